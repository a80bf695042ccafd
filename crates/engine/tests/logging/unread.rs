//! A process whose stderr is a pipe that nobody reads, or that is read late.

use std::io::{BufRead, BufReader, Read, Write};

use serde_json::json;

use super::PROMPT;
use super::common::*;

/// What a child does whose stderr nobody reads: it logs more than a pipe and the room behind it hold, answers turns, says so
/// on stdout, and waits for a word on stdin before it logs once more and ends.
fn log_to_nobody() {
    let backend = backend(&greedy(json!({"logging": {"level": "debug"}})));
    let c = open(&backend);
    for number in 0..LINES {
        backend.note(
            log::Level::Info,
            &format!("number {number} {}", "x".repeat(4000)),
        );
    }
    for _ in 0..3 {
        say(&backend, c, PROMPT).unwrap();
    }
    std::io::stdout().write_all(b"\nanswered\n").unwrap();
    let mut word = String::new();
    std::io::stdin().read_line(&mut word).unwrap();
    backend.note(log::Level::Info, "after the pause");
    backend.close().unwrap();
    std::io::stdout().write_all(b"\nclosed\n").unwrap();
}

const LINES: usize = 600;

/// What stands in the place of lines that were dropped, after their number.
const DROPPED: &str = " lines of the log were dropped";

#[test]
fn a_stderr_that_nobody_reads_keeps_no_turn_and_its_reader_learns_what_is_missing() {
    const CHILD: &str = "WASI_NN_LOG_TEST_CHILD";
    let name =
        "unread::a_stderr_that_nobody_reads_keeps_no_turn_and_its_reader_learns_what_is_missing";
    if std::env::var_os(CHILD).is_some() {
        return log_to_nobody();
    }
    for is_read in [true, false] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(CHILD, "1")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let mut wait_for = |word: &str| {
            let mut line = String::new();
            while line.trim() != word {
                line.clear();
                assert!(told.read_line(&mut line).unwrap() > 0, "never {word}");
            }
        };
        wait_for("answered");
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut text = String::new();
        while is_read && !text.contains(DROPPED) {
            assert!(log.read_line(&mut text).unwrap() > 0, "it ended");
        }
        child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
        if is_read {
            log.read_to_string(&mut text).unwrap();
        }
        // A log that nobody reads does not keep the end either.
        wait_for("closed");
        assert!(child.wait().unwrap().success());
        if is_read {
            check_whole(&text);
        }
    }
}

/// Every line is there in its order, or counted where it would stand.
fn check_whole(text: &str) {
    let mut next = 0;
    let mut dropped = 0;
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("[backend] number ") {
            let number: usize = rest.split(' ').next().unwrap().parse().unwrap();
            assert_eq!((number, dropped), (next, 0));
            next += 1;
        } else if let Some((before, _)) = line.split_once(DROPPED) {
            dropped += before.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
        }
    }
    assert!(next > 64 && next < LINES, "{next}");
    // Those of the turns, too.
    assert!(dropped > LINES - next, "{dropped}");
    assert!(
        text.contains("after the pause") && text.contains(" closed"),
        "{dropped}"
    );
}
