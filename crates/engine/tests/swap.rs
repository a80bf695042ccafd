//! Models in each other's place: who answers, what is kept, and what happens when it fails.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::models::*;
use common::*;
use engine::{Error, StatusKind};
use serde_json::{Value, json};

/// A copy of a pocket model whose weights are no numbers: it loads, and cannot compute.
fn broken(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("swap-{}-{name}.gguf", std::process::id()));
    let mut bytes = std::fs::read(pocket("b")).unwrap();
    let data = bytes.len() / 2;
    bytes[data..].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn without_room_for_both_turns_wait_and_none_fails() {
    let backend = &backend(&small(json!({"backend": {"swap_mode": "replace"}})));
    let told: Vec<(u32, &str)> = NAMES.iter().map(|n| (told(backend, n), *n)).collect();
    let (over, turns) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(move || {
                let c = open(backend);
                while !over.load(Ordering::Relaxed) {
                    say_with(backend, c, "Hello.", r#"{"max_tokens": 6}"#).unwrap();
                    turns.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for (which, own) in [("b", "Momo"), ("a", "Pip"), ("b", "Momo")] {
            let before = turns.load(Ordering::Relaxed);
            until("streams go on", || {
                turns.load(Ordering::Relaxed) > before + 6
            });
            backend.load_file(&pocket(which), None, None).unwrap();
            let change = last_change(backend);
            assert_eq!(change["outcome"], "swapped", "{change}");
            assert_eq!(change["beside"], false);
            assert!(change["gap_ms"].as_f64().unwrap() > 0.0);
            assert!(own_name(backend, told[0].0).contains(own));
        }
        over.store(true, Ordering::Relaxed);
    });
    for (c, name) in told {
        recalls(backend, c, name);
    }
}

#[test]
fn a_model_that_cannot_compute_brings_the_one_before_back() {
    for (mode, outcome) in [("replace", "restored"), ("beside", "failed")] {
        let backend = backend(&small(json!({"backend": {"swap_mode": mode}})));
        let graph = model(&backend)["graph"].clone();
        let c = told(&backend, "Zorvath");
        let error = backend.load_file(&broken(mode), None, None).unwrap_err();
        assert!(error.to_string().contains("not finite"), "{error}");
        let change = last_change(&backend);
        assert_eq!(change["outcome"], outcome, "{change}");
        assert!(change["error"].as_str().unwrap().contains("not finite"));
        assert_eq!(model(&backend)["graph"], graph, "its handle lives");
        recalls(&backend, c, "Zorvath");
        assert!(own_name(&backend, c).contains("Pip"));
        // A version that never served is none to come back to.
        assert!(backend.roll_back(0, None).is_err());
    }
}

#[test]
fn what_is_wrong_with_a_file_or_a_setting_is_found_before_anything_is_given_up() {
    let backend = backend(&small(json!({"backend": {"swap_mode": "replace"}})));
    let corrupt = std::env::temp_dir().join(format!("swap-{}-corrupt.gguf", std::process::id()));
    let bytes = std::fs::read(pocket("b")).unwrap();
    std::fs::write(&corrupt, &bytes[..bytes.len() / 3]).unwrap();
    let missing = PathBuf::from("/nonexistent.gguf");
    let good = pocket("b");
    let grammar = r#"{"sampling": {"grammar": "root ::= ("}, "backend": {"swap_mode": "replace"}}"#;
    let cases: [(&PathBuf, Option<&str>, &str); 3] = [
        (&corrupt, None, "swap-"),
        (&missing, None, "file not found"),
        (&good, Some(grammar), "grammar"),
    ];
    let c = told(&backend, "Zorvath");
    for (path, config, reason) in cases {
        let error = backend
            .load_file(path, config.map(str::as_bytes), None)
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        let change = last_change(&backend);
        assert_eq!(change["outcome"], "failed", "{change}");
        assert_eq!(change["gap_ms"], 0.0);
        assert_eq!(named(&backend, "default")["version"], 1);
        recalls(&backend, c, "Zorvath");
    }
    std::fs::remove_file(&corrupt).unwrap();
}

#[test]
fn swaps_that_come_together_are_done_one_after_the_other() {
    for mode in ["beside", "replace"] {
        let backend = &backend(&small(json!({"backend": {"swap_mode": mode}})));
        let c = told(backend, "Zorvath");
        thread::scope(|scope| {
            for n in 0..4 {
                let which = ["a", "b"][n % 2];
                scope.spawn(move || backend.load_file(&pocket(which), None, None).unwrap());
            }
            recalls(backend, c, "Zorvath");
        });
        assert_eq!(named(backend, "default")["version"], 5);
        let changes = model(backend)["changes"].clone();
        let swapped = changes.as_array().unwrap().iter();
        assert_eq!(
            swapped.filter(|c| c["outcome"] == "swapped").count(),
            4,
            "{changes}"
        );
        recalls(backend, c, "Zorvath");
    }
}

#[test]
fn an_unload_lets_running_turns_finish() {
    let backend = &backend(&small(json!({})));
    let c = open(backend);
    let answer = thread::scope(|scope| {
        let turn =
            scope.spawn(move || say_with(backend, c, "Hello.", &slow(json!({"max_tokens": 40}))));
        until("the turn runs", || {
            status(backend, StatusKind::Queue)["running"] == 1
        });
        backend.unload().unwrap();
        assert_eq!(backend.open_context(0).unwrap_err(), Error::NoModel);
        turn.join().unwrap()
    });
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(say(backend, c, "Hello").unwrap_err(), Error::NoModel);
    assert_eq!(metadata(backend, c)["completion_tokens"], 40);
}

#[test]
fn a_close_ends_a_swap_wherever_it_is() {
    for (round, mode) in ["beside", "replace"].iter().cycle().take(12).enumerate() {
        let backend = &backend(&small(json!({"backend": {"swap_mode": mode}})));
        let contexts: Vec<u32> = (0..3).map(|_| open(backend)).collect();
        let begun = Instant::now();
        thread::scope(|scope| {
            for c in contexts {
                scope.spawn(move || {
                    while say_with(backend, c, "Hello.", r#"{"max_tokens": 2}"#).is_ok() {}
                });
            }
            for which in ["b", "a"] {
                scope.spawn(move || while backend.load_file(&pocket(which), None, None).is_ok() {});
            }
            thread::sleep(Duration::from_millis(7 * round as u64));
            backend.close().unwrap();
        });
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "round {round} hung"
        );
    }
}

#[test]
fn a_roll_back_brings_the_version_before_with_its_settings() {
    let first = small(json!({"model": {"version": "one", "n_predict": 3}}));
    let backend = unloaded("{}");
    backend
        .load_file(&pocket("a"), Some(first.as_bytes()), None)
        .unwrap();
    let none = backend.roll_back(0, None).unwrap_err();
    assert!(matches!(none, Error::InvalidArgument(_)), "{none:?}");
    let second = small(json!({"model": {"version": "two"}}));
    let old = backend
        .load_file(&pocket("b"), Some(second.as_bytes()), None)
        .unwrap();
    let c = told(&backend, "Zorvath");
    let back = backend.roll_back(old.0, None).unwrap();
    let now = named(&backend, "default");
    assert_eq!((&now["label"], &now["version"]), (&json!("one"), &json!(3)));
    assert_eq!(now["graph"], back.0);
    assert_eq!(last_change(&backend)["outcome"], "rolled_back");
    say(&backend, c, "What is your name?").unwrap();
    assert_eq!(metadata(&backend, c)["completion_tokens"], 3);
    // And once more: the one that it came from.
    backend.roll_back(0, None).unwrap();
    assert_eq!(named(&backend, "default")["label"], "two");
    recalls(&backend, c, "Zorvath");
    assert_eq!(backend.roll_back(back.0, None).unwrap_err(), Error::NoModel);
}

#[test]
fn labels_name_the_content_and_a_copy_has_the_same() {
    let backend = backend(&small(json!({})));
    let label = named(&backend, "default")["label"].clone();
    assert!(label.as_str().unwrap().starts_with("pocket-a@"), "{label}");
    let copy = std::env::temp_dir().join(format!("swap-{}-copy.gguf", std::process::id()));
    std::fs::copy(pocket("a"), &copy).unwrap();
    backend.load_file(&copy, None, None).unwrap();
    std::fs::remove_file(&copy).unwrap();
    assert_eq!(named(&backend, "default")["label"], label);
    backend.load_file(&pocket("b"), None, None).unwrap();
    assert_ne!(named(&backend, "default")["label"], label);
}

#[test]
fn a_model_that_has_less_to_offer_is_refused_or_warned_of() {
    let shorter = |policy: &str| {
        small(json!({"model": {"ctx_size": 256}, "backend": {"swap_compatibility": policy}}))
    };
    let backend = backend(&small(json!({})));
    let c = open(&backend);
    while backend.usage(c).unwrap().used <= 256 {
        say(&backend, c, "Count to 3.").unwrap();
    }
    let error = backend
        .load_file(&pocket("b"), Some(shorter("refuse").as_bytes()), None)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("256 tokens instead of 512: 1 open ones"),
        "{error}"
    );
    assert!(own_name(&backend, c).contains("Pip"));
    backend
        .load_file(&pocket("b"), Some(shorter("warn").as_bytes()), None)
        .unwrap();
    assert_eq!(
        last_change(&backend)["objections"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(own_name(&backend, c).contains("Momo"));
}

#[test]
fn a_comparison_tells_what_would_change_and_changes_nothing() {
    let backend = backend(&small(json!({})));
    let compare = |which: &str| -> Value {
        let text = backend.compare_file(0, &pocket(which), None).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (same, other) = (compare("a"), compare("b"));
    assert_eq!(same["weights_in_memory"], true);
    assert_eq!(other["weights_in_memory"], false);
    let differs = |report: &Value| -> Vec<String> {
        let items = report["comparison"]["items"].as_array().unwrap().iter();
        let differing = items.filter(|i| i["verdict"] != "same");
        differing
            .map(|i| i["property"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(differs(&same), Vec::<String>::new(), "{same}");
    let differing = differs(&other);
    assert!(differing.contains(&"vocabulary".into()), "{other}");
    assert!(!differing.contains(&"session_tokens".into()), "{other}");
    // What it says of the model that is loaded is what the load found.
    let now = named(&backend, "default");
    assert_eq!(same["profile"]["weights_bytes"], now["weights_bytes"]);
    assert_eq!(same["profile"]["buffer_bytes"], now["buffer_bytes"]);
    assert_eq!(same["label"], now["label"]);
    assert_eq!(named(&backend, "default")["version"], 1);
    assert!(
        backend
            .compare_file(0, &PathBuf::from("/nonexistent"), None)
            .is_err()
    );
}

#[test]
fn turns_that_run_finish_where_they_began_or_begin_anew() {
    for (policy, is_old) in [("finish", true), ("requeue", false)] {
        let config = small(json!({"backend": {"swap_turns": policy}}));
        let backend = &backend(&config);
        let old = model(backend)["graph"].clone();
        let c = open(backend);
        thread::scope(|scope| {
            let call = slow(json!({"max_tokens": 60}));
            let turn = scope.spawn(move || say_with(backend, c, "Hello.", &call).unwrap());
            until("the turn runs", || {
                status(backend, StatusKind::Performance)["decode_tokens"].is_number()
                    && status(backend, StatusKind::Queue)["running"] == 1
            });
            backend.load_file(&pocket("b"), None, None).unwrap();
            turn.join().unwrap();
        });
        let graph = metadata(backend, c)["graph"].clone();
        assert_eq!(graph == old, is_old, "{policy}");
        let moved = status(backend, StatusKind::Queue)["moved"].clone();
        assert_eq!(moved, u32::from(!is_old), "{policy}");
    }
}

#[test]
fn past_the_drain_deadline_text_that_was_read_stands_and_the_rest_begins_anew() {
    let config = small(json!({"backend": {"swap_mode": "replace", "swap_drain_ms": 0}}));
    let backend = &backend(&config);
    let (streamed, plain) = (open(backend), open(backend));
    let (reads, has_read) = mpsc::channel();
    thread::scope(|scope| {
        let call = slow(json!({"max_tokens": 400}));
        let stream = scope.spawn(move || {
            let mut on_piece = |piece: &str| {
                let _ = reads.send(piece.to_owned());
                true
            };
            let mut own = || Some(call.clone().into_bytes());
            backend.run(streamed, "Hello.".into(), &mut own, Some(&mut on_piece))
        });
        has_read.recv().unwrap();
        let call = slow(json!({"max_tokens": 40}));
        let turn = scope.spawn(move || say_with(backend, plain, "Hello.", &call));
        until("both run", || {
            status(backend, StatusKind::Queue)["running"] == 2
        });
        backend.load_file(&pocket("b"), None, None).unwrap();
        assert!(!stream.join().unwrap().unwrap().is_empty());
        assert_eq!(turn.join().unwrap().map(|_| ()), Ok(()));
    });
    assert_eq!(
        metadata(backend, streamed)["finish_reason"],
        "model_replaced"
    );
    assert_eq!(metadata(backend, plain)["graph"], model(backend)["graph"]);
    assert_eq!(metadata(backend, plain)["completion_tokens"], 40);
}

#[test]
fn cells_come_back_with_the_model_that_they_belong_to() {
    let backend = backend(&small(json!({})));
    let c = told(&backend, "Zorvath");
    backend.load_file(&pocket("b"), None, None).unwrap();
    recalls(&backend, c, "Zorvath");
    let evaluated_by_b = metadata(&backend, c)["evaluated_tokens"].as_u64().unwrap();
    backend.load_file(&pocket("a"), None, None).unwrap();
    recalls(&backend, c, "Zorvath");
    let turn = metadata(&backend, c);
    assert!(turn["cached_tokens"].as_u64().unwrap() > 10, "{turn}");
    assert!(
        turn["evaluated_tokens"].as_u64().unwrap() < evaluated_by_b + 40,
        "{turn}"
    );
}

#[test]
fn a_turn_that_begins_anew_after_its_deadline_waits_anew() {
    let backend = &backend(&small(json!({"backend": {
        "swap_mode": "replace", "swap_drain_ms": 1100, "default_task_timeout_ms": 1000, "queue_reject_threshold": 1,
        "queue_warning_threshold": 1,
    }, "model": {"ctx_size": 1024}})));
    // Longer than it may wait: so long that the drain does not see its end.
    let call = &tough(120, json!({"max_tokens": 8000, "max_time_ms": 2500}));
    let contexts = [(); 2].map(|()| open(backend));
    thread::scope(|scope| {
        let turns = contexts.map(|c| {
            until("there is a place", || {
                status(backend, StatusKind::Queue)["waiting_total"] == 0
            });
            scope.spawn(move || say_with(backend, c, "Hello.", call).map(|_| ()))
        });
        until("both run", || {
            status(backend, StatusKind::Queue)["running"] == 2
        });
        backend.load_file(&pocket("b"), None, None).unwrap();
        for turn in turns {
            assert_eq!(turn.join().unwrap(), Ok(()), "accepted is accepted");
        }
    });
    let queue = status(backend, StatusKind::Queue);
    assert_eq!(
        (&queue["rejected"], &queue["moved"]),
        (&json!(0), &json!(2))
    );
}

#[test]
fn around_swaps_no_more_turns_wait_than_may() {
    const MOST: u64 = 4;
    for (mode, swaps) in [("beside", 50), ("replace", 10)] {
        let backend = &backend(&small(json!({"backend": {
            "swap_mode": mode, "queue_size": MOST, "queue_warning_threshold": MOST,
            "queue_reject_threshold": MOST,
        }})));
        let over = &AtomicBool::new(false);
        let (turns, refused) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
        let most = thread::scope(|scope| {
            for _ in 0..64 {
                scope.spawn(move || {
                    let c = open(backend);
                    while !over.load(Ordering::Relaxed) {
                        match say_with(backend, c, "Hello.", r#"{"max_tokens": 2}"#) {
                            Ok(_) => turns.fetch_add(1, Ordering::Relaxed),
                            Err(Error::QueueFull { .. }) => refused.fetch_add(1, Ordering::Relaxed),
                            Err(error) => panic!("{error}"),
                        };
                    }
                });
            }
            let watch = scope.spawn(move || {
                let mut most = 0;
                while !over.load(Ordering::Relaxed) {
                    let queue = status(backend, StatusKind::Queue);
                    let waiting = |what: &str| queue[what].as_u64().unwrap();
                    most = most.max(waiting("waiting_total") + waiting("waiting_for_model"));
                }
                most
            });
            for which in ["b", "a"].into_iter().cycle().take(swaps) {
                backend.load_file(&pocket(which), None, None).unwrap();
            }
            over.store(true, Ordering::Relaxed);
            watch.join().unwrap()
        });
        assert!(most <= MOST, "{mode}: {most} waited, {MOST} may");
        assert!(turns.load(Ordering::Relaxed) > 0 && refused.load(Ordering::Relaxed) > 0);
        let queue = status(backend, StatusKind::Queue);
        assert_eq!(
            (&queue["expired"], &queue["failed"]),
            (&json!(0), &json!(0))
        );
    }
}

#[test]
fn a_turn_that_only_waited_keeps_its_deadline_through_a_swap() {
    let backend = &backend(&small(json!({
        "performance": {"n_parallel": 1},
        "model": {"ctx_size": 4096},
        // Nobody takes the slot away from the long one.
        "backend": {
            "swap_mode": "replace", "swap_drain_ms": 700, "default_task_timeout_ms": 1000,
            "priority_scheduling_enabled": false, "fair_scheduling_enabled": false,
        },
    })));
    let contexts = [(); 2].map(|()| open(backend));
    thread::scope(|scope| {
        let long = tough(120, json!({"max_tokens": 100_000}));
        scope.spawn(move || say_with(backend, contexts[0], "Hello.", &long));
        until("it runs", || {
            status(backend, StatusKind::Queue)["running"] == 1
        });
        let waits = scope.spawn(move || say(backend, contexts[1], "Hello."));
        // It is handed back late in its time, and the next version comes after it.
        thread::sleep(Duration::from_millis(600));
        backend.load_file(&pocket("b"), None, None).unwrap();
        let answer = waits.join().unwrap();
        assert!(matches!(answer, Err(Error::Timeout(_))), "{answer:?}");
        backend.cancel(contexts[0]).unwrap();
    });
}
