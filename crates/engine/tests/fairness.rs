//! Who is served while more is asked for than there is: classes, and clients with many conversations.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::*;
use engine::{Backend, Error, StatusKind};
use serde_json::json;

/// Runs `load` on `threads` threads, each with a context of its own, again and again until `work` is done.
fn beside(backend: &Backend, threads: usize, load: impl Fn(u32) + Sync, work: impl FnOnce()) {
    /// Ends the load however the work ends.
    struct Finally<'a>(&'a AtomicBool);
    impl Drop for Finally<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _over = Finally(&over);
        for _ in 0..threads {
            scope.spawn(|| {
                let c = open(backend);
                while !over.load(Ordering::Relaxed) {
                    load(c);
                }
            });
        }
        work();
    });
}

fn waiting(backend: &Backend, class: &str) -> u64 {
    let queue = status(backend, StatusKind::Queue);
    queue["waiting"][class].as_u64().unwrap()
}

#[test]
fn a_low_prompt_gets_on_beside_endless_long_ones_of_high() {
    let backend = backend(&greedy(json!({
        "model": {"batch_size": 32, "ubatch_size": 32},
        "performance": {"n_parallel": 4},
        "backend": {"max_concurrent": 16, "default_task_timeout_ms": 3_600_000},
    })));
    let words = "My name is Zorvath. ";
    let high = |c| {
        let call = r#"{"priority": "high", "max_tokens": 1}"#;
        say_with(&backend, c, &words.repeat(30), call).unwrap();
        backend.clear(c).unwrap();
    };
    beside(&backend, 6, high, || {
        until("high turns wait", || waiting(&backend, "high") >= 2);
        let c = open(&backend);
        // More than half of a step, so that it does not go in whole beside another one.
        let call = r#"{"priority": "low", "max_tokens": 1}"#;
        say_with(&backend, c, &words.repeat(12), call).unwrap();
    });
}

#[test]
fn low_turns_are_served_under_endless_high_load() {
    for slots in [1, 2] {
        let backend = backend(&greedy(json!({
            // What counts is that they are served, not how long steps take here.
            "backend": {"max_concurrent": 16, "default_task_timeout_ms": 3_600_000},
            "performance": {"n_parallel": slots},
        })));
        let high = |c| {
            let call = r#"{"priority": "high", "ignore_eos": true, "max_tokens": 20}"#;
            say_with(&backend, c, "Count to 20.", call).unwrap();
            backend.clear(c).unwrap();
        };
        beside(&backend, 6, high, || {
            until("high turns wait", || waiting(&backend, "high") >= 3);
            let c = open(&backend);
            backend.set_priority(c, 0).unwrap();
            for n in 2..5 {
                let answer = say(&backend, c, &format!("Count to {n}.")).unwrap();
                assert_eq!(&*answer, &"1 2 3 4"[..2 * n - 1]);
                until("the load goes on", || waiting(&backend, "high") >= 3);
            }
        });
        assert_eq!(status(&backend, StatusKind::Queue)["expired"], 0);
    }
}

/// Tokens that the last turn of a context was charged for: 1 for one of a prompt, 2 for one of an answer.
fn cost(backend: &Backend, c: u32) -> u64 {
    let metadata = metadata(backend, c);
    let count = |name: &str| metadata[name].as_u64().unwrap();
    count("evaluated_tokens") + 2 * count("completion_tokens")
}

/// The part of all served tokens that a client in four conversations gets beside six conversations, whose key is `heavy`.
/// There are four, so that some of them wait while others are between their turns, even where the machine is slow to let
/// their threads go on.
fn share_beside_six(heavy: &[u8]) -> f64 {
    let backend = backend(&greedy(json!({
        "backend": {"max_concurrent": 16, "default_task_timeout_ms": 3_600_000},
        "performance": {"n_parallel": 1},
    })));
    // Few steps, so that nobody who waits grows old, and slow ones, so that hosts are back in time.
    let call = tough(30, json!({"max_tokens": 8}));
    let turn = |c, key: &[u8], served: &AtomicU64| {
        backend.set_client(c, key).unwrap();
        say_with(&backend, c, "Count to 20.", &call).unwrap();
        served.fetch_add(cost(&backend, c), Ordering::Relaxed);
        backend.clear(c).unwrap();
    };
    let (heavy_served, light_served) = (AtomicU64::new(0), AtomicU64::new(0));
    let served = |of: &AtomicU64| of.load(Ordering::Relaxed);
    let mut share = 0.0;
    beside(
        &backend,
        6,
        |c| turn(c, heavy, &heavy_served),
        || {
            until("they wait", || waiting(&backend, "normal") == 5);
            let before = served(&heavy_served);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let c = open(&backend);
                        (0..8).for_each(|_| turn(c, b"light", &light_served));
                    });
                }
            });
            let light = served(&light_served);
            let all = light + served(&heavy_served) - before;
            share = light as f64 / all as f64;
        },
    );
    share
}

#[test]
fn conversations_of_one_key_share_what_one_client_gets() {
    let together = share_beside_six(b"heavy");
    let apart = share_beside_six(b"");
    assert!(together >= 0.4, "{together}");
    assert!(apart <= 0.25, "{apart}");
}

#[test]
fn a_client_key_of_more_than_1024_bytes_is_refused_with_its_length() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    backend.set_client(c, &[0xff; 1024]).unwrap();
    let error = backend.set_client(c, &[b'k'; 1025]).unwrap_err();
    assert!(matches!(&error, Error::InvalidArgument(text) if text.contains("1025")));
    assert_eq!(
        backend.set_client(c + 1, b"k"),
        Err(Error::UnknownContext(c + 1))
    );
}
