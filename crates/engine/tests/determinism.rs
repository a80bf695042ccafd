//! Turns whose text depends on nothing but their own conversation: deterministic ones, and those that lost their slot.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::*;
use engine::{Backend, Error, StatusKind};
use serde_json::{Value, json};

/// A sampled turn, so that any difference in the logits shows in its text sooner or later.
const DETERMINISTIC: &str =
    r#"{"deterministic": true, "temp": 1.0, "seed": 7, "ignore_eos": true, "max_tokens": 120}"#;

fn deterministic(backend: &Backend) -> String {
    let c = open(backend);
    let text = say_with(backend, c, "Tell me about rivers.", DETERMINISTIC).unwrap();
    assert_eq!(metadata(backend, c)["completion_tokens"], 120);
    backend.close_context(c).unwrap();
    text.to_string()
}

/// Sets a flag at the end of a scope, however that comes.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_deterministic_turn_says_the_same_alone_and_beside_seven_others() {
    let backend = backend(&greedy(json!({
        "backend": {"max_concurrent": 16},
        "performance": {"n_parallel": 8},
    })));
    let alone = deterministic(&backend);
    let (stop, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let _stop = Finally(&stop);
        for n in 0..7 {
            let (backend, stop, turns) = (&backend, &stop, &turns);
            scope.spawn(move || {
                let c = open(backend);
                while !stop.load(Ordering::Relaxed) {
                    let call = json!({"ignore_eos": true, "max_tokens": 40 + n, "temp": 1.0});
                    say_with(backend, c, "Count to 20.", &call.to_string()).unwrap();
                    turns.fetch_add(1, Ordering::Relaxed);
                    backend.clear(c).unwrap();
                }
            });
        }
        until("seven neighbours run", || {
            status(&backend, StatusKind::Queue)["running"] == 7
        });
        for _ in 0..3 {
            let before = turns.load(Ordering::Relaxed);
            assert_eq!(deterministic(&backend), alone);
            until("the neighbours move", || {
                turns.load(Ordering::Relaxed) > before
            });
        }
    });
}

#[test]
fn a_deterministic_turn_says_the_same_whatever_the_batches_and_the_cells() {
    let texts: Vec<String> = [("unified", 512), ("split", 64), ("split", 512)]
        .iter()
        .map(|(cells, batch)| {
            let backend = backend(&greedy(json!({
                "model": {"batch_size": batch},
                "performance": {"kv_mode": cells},
            })));
            let text = deterministic(&backend);
            assert_eq!(deterministic(&backend), text, "{cells} {batch}");
            text
        })
        .collect();
    assert_eq!([&texts[1], &texts[2]], [&texts[0]; 2]);
}

#[test]
fn a_second_deterministic_turn_waits_for_the_first_and_says_the_same() {
    let backend = backend(&greedy(json!({"performance": {"n_parallel": 4}})));
    let alone = deterministic(&backend);
    let first = open(&backend);
    // Long enough for whatever else the machine does meanwhile; it is cancelled.
    let call = slow(json!({"deterministic": true, "max_tokens": 900}));
    std::thread::scope(|scope| {
        let long = scope.spawn(|| say_with(&backend, first, "Hello", &call));
        until("the first runs", || {
            status(&backend, StatusKind::Queue)["running"] == 1
        });
        let second = scope.spawn(|| deterministic(&backend));
        until("the second waits", || {
            status(&backend, StatusKind::Queue)["waiting_total"] == 1
        });
        // A turn of the others neither waits for them nor moves them.
        let other = open(&backend);
        assert_eq!(&*say(&backend, other, "Count to 3.").unwrap(), "1 2 3");
        assert_eq!(status(&backend, StatusKind::Queue)["waiting_total"], 1);
        assert!(!long.is_finished());
        backend.cancel(first).unwrap();
        assert_eq!(long.join().unwrap(), Err(Error::Cancelled));
        assert_eq!(second.join().unwrap(), alone);
    });
}

#[test]
fn a_turn_that_lost_its_slot_says_what_it_would_have_said_alone() {
    check_lost_slot(json!({}));
}

#[test]
fn a_deterministic_turn_that_lost_its_slot_says_what_it_would_have_said_alone() {
    check_lost_slot(json!({"deterministic": true, "temp": 1.0, "seed": 7}));
}

/// An urgent turn of the same kind takes the only slot of a long one.
fn check_lost_slot(kind: Value) {
    let backend = backend(&greedy(json!({"performance": {"n_parallel": 1}})));
    let kind = |mut keys: Value| {
        let kind = kind.as_object().unwrap().clone();
        keys.as_object_mut().unwrap().extend(kind);
        keys
    };
    let call = slow(kind(json!({"priority": "low", "max_tokens": 150})));
    let urgent = kind(json!({"priority": "urgent", "max_tokens": 10})).to_string();
    let long = || {
        let c = open(&backend);
        let text = say_with(&backend, c, "Tell me about rivers.", &call).unwrap();
        backend.close_context(c).unwrap();
        text
    };
    let count = |kind, name: &str| status(&backend, kind)[name].as_u64().unwrap();
    let preempted = || count(StatusKind::Queue, "preempted");
    let steps = || count(StatusKind::Performance, "steps");
    let alone = long();
    assert_eq!(preempted(), 0);
    let c = open(&backend);
    let disturb = || {
        let (before, first) = (preempted(), steps());
        let finished = AtomicUsize::new(0);
        let place = || finished.fetch_add(1, Ordering::SeqCst);
        let places = std::thread::scope(|scope| {
            let long = scope.spawn(|| (long(), place()));
            until("it has run for a while", || steps() > first + 20);
            say_with(&backend, c, "Count to 3.", &urgent).unwrap();
            let urgent = place();
            let (text, long) = long.join().unwrap();
            assert_eq!(text, alone);
            (urgent, long)
        });
        let lost = preempted() - before;
        assert!(lost == 0 || places == (0, 1), "the urgent one was first");
        lost
    };
    // A machine that is busy elsewhere may end the long turn before the urgent one is in.
    assert!((0..20).any(|_| disturb() > 0), "it never lost its slot");
}
