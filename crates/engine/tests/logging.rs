//! The log of a backend as its reader finds it: tags with their pairs in both forms, what is written and what is not.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;
#[path = "logging/unread.rs"]
mod unread;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use engine::{Backend, Error, Options};
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

const PROMPT: &str = "My name is Zorvath.";

/// Tests that open backends of their own would see each other's lines where a line has no backend.
static ALONE: Mutex<()> = Mutex::new(());

/// A log file of one test, gone when it is over.
struct LogFile {
    path: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl LogFile {
    fn new(name: &str) -> LogFile {
        let name = format!("wasi-nn-log-{name}-{}.log", std::process::id());
        LogFile {
            path: std::env::temp_dir().join(name),
            _alone: ALONE.lock(),
        }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }

    /// The lines of a structured log.
    fn objects(&self) -> Vec<Value> {
        let text = self.text();
        let read =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        text.lines().map(read).collect()
    }

    /// A configuration that logs here.
    fn config(&self, logging: Value, more: Value) -> String {
        let mut logging = logging;
        logging["file"] = self.path.to_str().unwrap().into();
        let mut sections = more;
        sections["logging"] = logging;
        greedy(sections)
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// Brings about a line of every kind.
fn tell_everything(backend: &Backend) {
    backend.load_file(&pocket("a"), None, None).unwrap();
    backend.load_file(&pocket("b"), None, None).unwrap();
    let c = open(backend);
    // So many that the oldest give way.
    for _ in 0..40 {
        say(backend, c, PROMPT).unwrap();
    }
    let long = "word ".repeat(5000);
    let error = say(backend, c, &long).unwrap_err();
    assert!(matches!(error, Error::PromptTooLong(_)), "{error}");
    refuse_turns(backend);
    cancel_a_turn(backend, c);
    backend.open_named_context(b"the first").unwrap();
    backend.open_named_context(b"the second").unwrap();
    backend.close_context(c).unwrap();
    backend.unload().unwrap();
}

/// Turns that come all at once, for which there is no room.
fn refuse_turns(backend: &Backend) {
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let c = open(backend);
                let call = slow(json!({"max_tokens": 16}));
                if let Err(Error::QueueFull { .. }) = say_with(backend, c, "Hello!", &call) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                backend.close_context(c).unwrap();
            });
        }
    });
    assert!(refused.into_inner() > 0);
}

fn cancel_a_turn(backend: &Backend, c: u32) {
    std::thread::scope(|scope| {
        let call = slow(json!({"max_tokens": -1}));
        let turn = scope.spawn(move || say_with(backend, c, "Hello!", &call));
        until("cancelled", || {
            backend.cancel(c).unwrap();
            turn.is_finished()
        });
        assert_eq!(turn.join().unwrap().unwrap_err(), Error::Cancelled);
    });
}

fn talkative(file: &LogFile, structured: bool) -> Backend {
    let logging = json!({"level": "debug", "structured": structured});
    unloaded(&file.config(
        logging,
        json!({
            "model": {"ctx_size": 512, "n_predict": 16},
            "backend": {"max_sessions": 1, "queue_size": 1},
            "performance": {"n_parallel": 1},
        }),
    ))
}

/// Category, tag and message of every kind of line that has pairs, and the names of those that it always has.
const KINDS: [(&str, &str, &str, &str, &[&str]); 12] = [
    (
        "info",
        "model",
        "MODEL",
        "model loaded",
        &["graph", "file", "bytes", "cells", "ms"],
    ),
    (
        "info",
        "model",
        "MODEL",
        "model loaded",
        &["graph", "replaces"],
    ),
    (
        "info",
        "model",
        "MODEL",
        "model unloaded",
        &["graph", "file"],
    ),
    (
        "debug",
        "session",
        "SESSION",
        "context opened",
        &["context", "session", "named"],
    ),
    (
        "debug",
        "session",
        "SESSION",
        "context closed",
        &["context", "session_kept"],
    ),
    (
        "info",
        "session",
        "SESSION",
        "session evicted",
        &["session", "named", "reason"],
    ),
    (
        "info",
        "memory",
        "MEM",
        "old turns give way to a new one",
        &["turns", "of", "new_tokens", "capacity"],
    ),
    (
        "warn",
        "queue",
        "TASK",
        "turn refused",
        &["context", "session", "waiting", "limit"],
    ),
    (
        "debug",
        "inference",
        "TASK",
        "turn cancelled",
        &["context", "session"],
    ),
    (
        "debug",
        "inference",
        "TASK",
        "turn failed",
        &["context", "session", "error"],
    ),
    (
        "debug",
        "inference",
        "TASK",
        "turn completed",
        &[
            "context",
            "session",
            "graph",
            "finish_reason",
            "text_bytes",
            "turns_dropped",
            "shifts",
        ],
    ),
    (
        "debug",
        "inference",
        "PERF",
        "turn",
        &[
            "context",
            "session",
            "prompt_tokens",
            "cached_tokens",
            "completion_tokens",
            "queue_ms",
            "prefill_ms",
            "decode_ms",
            "tokens_per_s",
        ],
    ),
];

#[test]
fn every_tag_is_there_with_its_pairs_in_text_and_in_json() {
    for structured in [false, true] {
        let file = LogFile::new("tags");
        let backend = talkative(&file, structured);
        tell_everything(&backend);
        drop(backend);
        for (level, category, tag, message, names) in KINDS {
            let is_there = match structured {
                true => file.objects().iter().any(|line| {
                    line["level"] == level
                        && line["category"] == category
                        && line["tag"] == tag
                        && line["message"] == message
                        && line["time"].is_string()
                        && names.iter().all(|name| !line[name].is_null())
                }),
                false => file.text().lines().any(|line| {
                    line.contains(&format!("{level:5} [{category}] [{tag}] {message} "))
                        && names.iter().all(|name| line.contains(&format!(" {name}=")))
                }),
            };
            assert!(is_there, "{tag} {message} {names:?}: {}", file.text());
        }
        // What llama.cpp says of the file that it reads.
        assert!(file.text().contains("llama_model_loader"));
        // Not even at debug.
        for secret in ["Zorvath", "the first"] {
            assert!(!file.text().contains(secret), "{secret}");
        }
    }
}

#[test]
fn categories_and_level_select_lines_and_none_is_silence() {
    let check = |logging: Value, is_expected: &dyn Fn(&Value) -> bool, any: bool| {
        let file = LogFile::new("select");
        let mut logging = logging;
        logging["structured"] = true.into();
        let backend = backend(&file.config(logging.clone(), json!({})));
        let c = open(&backend);
        say(&backend, c, PROMPT).unwrap();
        drop(backend);
        let lines = file.objects();
        assert_eq!(!lines.is_empty(), any, "{logging}");
        let other = lines.iter().find(|line| !is_expected(line));
        assert_eq!(other, None, "{logging}");
    };
    let is_of = |line: &Value, list: &[&str]| list.iter().any(|c| line["category"] == *c);
    check(
        json!({"level": "debug", "categories": ["model", "session"]}),
        &|line| is_of(line, &["model", "session"]),
        true,
    );
    check(
        json!({"level": "debug", "categories": ["engine"]}),
        &|line| is_of(line, &["engine"]),
        true,
    );
    check(
        json!({"level": "info"}),
        &|line| line["level"] != "debug",
        true,
    );
    check(json!({"level": "none"}), &|_| false, false);
}

#[test]
fn the_log_changes_while_turns_run_and_stays_so_until_a_load_says_otherwise() {
    let file = LogFile::new("change");
    let backend = backend(&file.config(json!({"level": "info"}), json!({})));
    let c = open(&backend);
    let turns = |config: &str| {
        let before = file.text().matches("[PERF]").count();
        if !config.is_empty() {
            backend.set_logging(config.as_bytes()).unwrap();
        }
        say(&backend, c, "Hello!").unwrap();
        file.text().matches("[PERF]").count() - before
    };
    assert_eq!(turns(""), 0);
    assert_eq!(turns(r#"{"level": "debug"}"#), 1);
    assert_eq!(turns(r#"{"logging": {"timestamps": false}}"#), 1);
    assert!(file.text().contains("\ndebug [inference] [PERF] turn "));
    assert_eq!(turns(r#"{"categories": ["model"]}"#), 0);
    assert_eq!(
        turns(r#"{"categories": ["inference"], "enable_debug": true}"#),
        1
    );
    assert_eq!(turns(r#"{"level": "warn"}"#), 0);
    assert_eq!(turns(r#"{"enable_debug": true}"#), 1);
    // A load without a word about it leaves it.
    let load = |config: Option<&str>| {
        let config = config.map(str::as_bytes);
        backend.load_file(&pocket("a"), config, None).unwrap();
    };
    load(None);
    assert_eq!(turns(""), 1);
    load(Some(r#"{"model": {"ctx_size": 512}}"#));
    assert_eq!(turns(""), 1);
    load(Some(r#"{"logging": {"level": "info"}}"#));
    assert_eq!(turns(""), 0);
    assert_eq!(turns(r#"{"level": "debug"}"#), 1);
}

#[test]
fn what_is_no_logging_configuration_is_refused_or_named() {
    let file = LogFile::new("refused");
    let config = file.config(json!({"level": "info"}), json!({}));
    let lenient = unloaded(&config);
    let refused = |backend: &Backend, text: &str, part: &str| {
        let error = backend.set_logging(text.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(&lenient, "", "logging config: the text is empty");
    refused(&lenient, "[]", "not an object");
    refused(&lenient, "{\"level\":", "not JSON");
    lenient
        .set_logging(br#"{"levle": "debug", "level": "loud", "logging": {"model": 1}}"#)
        .unwrap();
    let text = file.text();
    for part in [
        "logging.levle: unknown",
        "logging.level: ",
        "logging.model: unknown",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    lenient.close().unwrap();
    let strict = unloaded(&config.replacen('{', r#"{"strict": true,"#, 1));
    let lines = || file.text().lines().count();
    refused(
        &strict,
        r#"{"level": "none", "levle": "debug"}"#,
        "logging.levle",
    );
    let before = lines();
    strict.set_logging(br#"{"level": "none"}"#).unwrap();
    strict.close().unwrap();
    assert_eq!(lines(), before);
    assert!(matches!(strict.set_logging(b"{}"), Err(Error::Closing)));
}

#[test]
fn a_line_of_a_foreign_thread_goes_to_the_oldest_backend_and_of_none_nowhere() {
    let file = LogFile::new("foreign");
    let later = file.path.with_extension("later");
    let first = unloaded(&file.config(json!({"level": "error"}), json!({})));
    let second = json!({"logging": {"level": "debug", "file": later}});
    let second = unloaded(&second.to_string());
    log::error!(target: "engine", "from nowhere");
    log::warn!(target: "engine", "not for the first");
    let told = std::fs::read_to_string(&later).unwrap();
    assert!(!told.contains("from nowhere") && !told.contains("not for"));
    assert!(file.text().contains("[engine] from nowhere"));
    assert!(!file.text().contains("not for"));
    first.close().unwrap();
    log::error!(target: "engine", "then from nowhere");
    assert!(
        std::fs::read_to_string(&later)
            .unwrap()
            .contains("then from nowhere")
    );
    second.close().unwrap();
    std::fs::remove_file(later).unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Off);
}

#[test]
fn without_a_line_to_write_nothing_is_made() {
    /// Fails whoever looks at it.
    struct Untouchable;
    impl fmt::Display for Untouchable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("a line that is not written was made");
        }
    }
    let file = LogFile::new("nothing");
    let backend = unloaded(&file.config(json!({"level": "none"}), json!({})));
    // One relaxed load decides.
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    let value = || -> u32 { panic!("a value of a line that is not written was asked for") };
    log::error!(target: "queue", value = value(); "{}", Untouchable);
    drop(backend);
}

#[test]
fn directives_that_do_not_parse_do_not_keep_a_backend_from_opening() {
    let _alone = ALONE.lock();
    for filter in ["=", "a=b=c", "off,/(", "wasi_nn=", "\u{0}", "////", "off"] {
        let backend = Backend::open(Options {
            config: None,
            run_inference_args: None,
            log_filter: Some(filter),
        });
        drop(backend.unwrap());
    }
}
