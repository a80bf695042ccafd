//! The root, `backend` and `performance`: who gets in, who runs when, and how turns share the engine.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use engine::{Backend, Error, StatusKind};
use serde_json::{Value, json};

use crate::Row;
use crate::common::*;
use crate::proof::*;

/// A backend for one turn at a time with more keys.
fn narrow(more: Value) -> Backend {
    let mut config: Value =
        serde_json::from_str(&greedy(json!({"performance": {"n_parallel": 1}}))).unwrap();
    for (name, keys) in more.as_object().unwrap() {
        let section = config[name].take();
        config[name] = match section {
            Value::Object(_) => with(section, keys.clone()),
            _ => keys.clone(),
        };
    }
    loaded(&config.to_string())
}

fn queue(backend: &Backend, field: &str) -> u64 {
    status(backend, StatusKind::Queue)[field].as_u64().unwrap()
}

/// Tokens of a turn that somebody else ends.
const ENDLESS: u32 = 900;

/// Runs `work` while a turn of the client `heavy` has the only slot, and then takes that away from it. False beside the
/// result: the turn was over before, because the machine was busy with other things. `work` can ask whether it is.
fn beside_a_turn<T>(backend: &Backend, work: impl FnOnce(&dyn Fn() -> bool) -> T) -> (T, bool) {
    let running = open(backend);
    backend.set_client(running, b"heavy").unwrap();
    let (result, end) = thread::scope(|scope| {
        let turn = scope.spawn(|| {
            let call = slow(json!({"max_tokens": ENDLESS}));
            say_with(backend, running, "Go on.", &call)
        });
        until("a turn runs", || {
            queue(backend, "running") == 1 || turn.is_finished()
        });
        let result = work(&|| turn.is_finished());
        backend.cancel(running).unwrap();
        (result, turn.join().unwrap())
    });
    backend.close_context(running).unwrap();
    (result, end == Err(Error::Cancelled))
}

/// The first result of `attempt`, which is made again where the machine was too busy.
fn persist<T>(attempt: impl Fn() -> Option<T>) -> T {
    (0..20)
        .find_map(|_| attempt())
        .expect("turns are over before anything else is done")
}

/// The order in which `calls` get the only slot that come one after the other while a turn has it; each has its own client
/// key. A call keeps the slot until it was seen there.
fn order(backend: &Backend, calls: &[(&'static str, Value)]) -> Vec<&'static str> {
    persist(|| order_once(backend, calls))
}

fn order_once(backend: &Backend, calls: &[(&'static str, Value)]) -> Option<Vec<&'static str>> {
    let contexts: Vec<u32> = calls.iter().map(|_| open(backend)).collect();
    let order = thread::scope(|scope| {
        let (sender, starts) = mpsc::channel();
        let ((), was_beside) = beside_a_turn(backend, |is_over| {
            for (at, (client, call)) in calls.iter().enumerate() {
                let (c, sender) = (contexts[at], sender.clone());
                backend.set_client(c, client.as_bytes()).unwrap();
                let call = slow(with(json!({"max_tokens": ENDLESS}), call.clone()));
                scope.spawn(move || {
                    let mut is_first = true;
                    let mut on_piece = |_: &str| {
                        if std::mem::take(&mut is_first) {
                            sender.send(at).unwrap();
                        }
                        true
                    };
                    let mut call = || Some(call.as_bytes().to_vec());
                    drop(backend.run(c, "Hello.".into(), &mut call, Some(&mut on_piece)));
                });
                until("it is in", || {
                    queue(backend, "waiting_total") > at as u64 || is_over()
                });
            }
            // What runs is charged for it.
            let before = steps(backend);
            until("the turn goes on", || {
                steps(backend) >= before + 3 || is_over()
            });
        });
        if !was_beside {
            contexts.iter().for_each(|c| backend.cancel(*c).unwrap());
            return None;
        }
        let next = |_| {
            let at = starts.recv_timeout(Duration::from_secs(60)).unwrap();
            backend.cancel(contexts[at]).unwrap();
            calls[at].0
        };
        Some(calls.iter().map(next).collect())
    });
    for c in contexts {
        backend.close_context(c).unwrap();
    }
    order
}

fn steps(backend: &Backend) -> u64 {
    status(backend, StatusKind::Performance)["steps"]
        .as_u64()
        .unwrap()
}

/// The last change of a model.
fn last(backend: &Backend) -> Value {
    let changes = status(backend, StatusKind::Model)["changes"].clone();
    changes.as_array().unwrap().last().unwrap().clone()
}

/// The change that the load of another pocket model is, with the settings of the load before.
fn last_change(backend: &Backend, which: &str) -> Value {
    backend.load_file(&pocket(which), None, None).unwrap();
    last(backend)
}

/// The lines of a log about the queue.
fn queue_lines(more: Value) -> String {
    let file = std::env::temp_dir().join(format!(
        "wasi-nn-keys-{}-{:?}.log",
        std::process::id(),
        thread::current().id()
    ));
    let backend = narrow(with(
        more,
        json!({"logging": {"level": "warn", "file": file}}),
    ));
    let calls = vec![("x", json!({})); 3];
    order(&backend, &calls);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    text
}

/// How many of 3 calls get in beside a running turn.
fn admitted(more: Value) -> usize {
    let backend = narrow(more);
    persist(|| admitted_once(&backend))
}

fn admitted_once(backend: &Backend) -> Option<usize> {
    thread::scope(|scope| {
        let (calls, was_beside) = beside_a_turn(backend, |_| {
            let call = |_| {
                let before = queue(backend, "queued") + queue(backend, "rejected");
                let c = open(backend);
                let call = scope
                    .spawn(move || say_with(backend, c, "Hello.", r#"{"max_tokens": 1}"#).is_ok());
                until("it is in or out", || {
                    queue(backend, "queued") + queue(backend, "rejected") > before
                });
                call
            };
            (0..3).map(call).collect::<Vec<_>>()
        });
        let ends = calls.into_iter().map(|call| call.join().unwrap());
        let count = ends.filter(|is_in| *is_in).count();
        was_beside.then_some(count)
    })
}

fn first_steps_together(more: Value) -> Duration {
    let backend = loaded(&greedy(more));
    let c = open(&backend);
    let begun = Instant::now();
    say_with(&backend, c, "Hello.", r#"{"max_tokens": 1}"#).unwrap();
    begun.elapsed()
}

/// The lines about slow steps that a turn with a long prompt leaves.
fn slow_lines(ms: u32) -> usize {
    let file = std::env::temp_dir().join(format!("wasi-nn-keys-slow-{}.log", std::process::id()));
    let backend = loaded(&greedy(json!({
        "performance": {"slow_step_ms": ms},
        "logging": {"level": "warn", "file": file},
    })));
    let c = open(&backend);
    let prompt = "Tell me about rivers. ".repeat(40);
    say_with(&backend, c, &prompt, r#"{"max_tokens": 2}"#).unwrap();
    drop(backend);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::remove_file(&file).unwrap();
    text.lines()
        .filter(|line| line.contains("slow step"))
        .count()
}

pub const ROWS: &[Row] = &[
    ("strict", || {
        let backend = unloaded("{}");
        let load = |text: &str| backend.load_file(&pocket("a"), Some(text.as_bytes()), None);
        load(r#"{"no_such_key": 1}"#).unwrap();
        let error = load(r#"{"strict": true, "no_such_key": 1}"#).unwrap_err();
        assert!(error.to_string().contains("no_such_key"), "{error}");
        // It refuses what its own text brings, and not what init brought.
        let tolerant = unloaded(r#"{"no_such_key": 1}"#);
        tolerant
            .load_file(&pocket("a"), Some(br#"{"strict": true}"#), None)
            .unwrap();
    }),
    ("priority", || {
        let calls = [
            ("low", json!({"priority": "low"})),
            ("urgent", json!({"priority": "urgent"})),
        ];
        assert_eq!(order(&narrow(json!({})), &calls), ["urgent", "low"]);
    }),
    ("backend.max_sessions", || {
        let backend = loaded(&greedy(
            json!({"backend": {"max_sessions": 1, "auto_cleanup": false}}),
        ));
        backend.open_named_context(b"one").unwrap();
        assert!(backend.open_named_context(b"two").is_err());
    }),
    ("backend.idle_timeout_ms", || {
        let evicted = |ms: u32| {
            let config = json!({"backend": {"max_sessions": 10, "idle_timeout_ms": ms}});
            let backend = loaded(&greedy(config));
            backend.open_named_context(b"one").unwrap();
            thread::sleep(Duration::from_millis(30));
            backend.open_named_context(b"two").unwrap();
            status(&backend, StatusKind::Sessions)["evictions"]["idle"].clone()
        };
        assert_eq!((evicted(10), evicted(60_000)), (json!(1), json!(0)));
    }),
    ("backend.auto_cleanup", || {
        let opens = |on: bool| {
            let backend = loaded(&greedy(
                json!({"backend": {"max_sessions": 1, "auto_cleanup": on}}),
            ));
            backend.open_named_context(b"one").unwrap();
            backend.open_named_context(b"two").is_ok()
        };
        assert!(opens(true) && !opens(false));
    }),
    ("backend.max_concurrent", || {
        let backend = loaded(&greedy(json!({"backend": {"max_concurrent": 1}})));
        open(&backend);
        assert!(backend.open_context(0).is_err());
    }),
    ("backend.queue_size", || {
        assert_eq!(admitted(json!({"backend": {"queue_size": 1}})), 1);
        assert_eq!(admitted(json!({})), 3);
    }),
    ("backend.default_task_timeout_ms", || {
        shown_by(
            "tests/turns.rs",
            "a_turn_that_waits_too_long_for_a_slot_times_out",
            "default_task_timeout_ms",
        );
    }),
    ("backend.priority_scheduling_enabled", || {
        let calls = [
            ("low", json!({"priority": "low"})),
            ("urgent", json!({"priority": "urgent"})),
        ];
        let off = json!({"backend": {"priority_scheduling_enabled": false}});
        assert_eq!(order(&narrow(json!({})), &calls), ["urgent", "low"]);
        assert_eq!(order(&narrow(off), &calls), ["low", "urgent"]);
    }),
    ("backend.fair_scheduling_enabled", || {
        let heavy = || ("heavy", json!({}));
        let calls = [heavy(), heavy(), heavy(), ("light", json!({}))];
        let off = json!({"backend": {"fair_scheduling_enabled": false}});
        assert_eq!(order(&narrow(json!({})), &calls)[0], "light");
        assert_eq!(order(&narrow(off), &calls)[3], "light");
    }),
    ("backend.queue_warning_threshold", || {
        let warns = |turns: u32| {
            let lines = queue_lines(json!({"backend": {"queue_warning_threshold": turns}}));
            lines.contains("warning threshold")
        };
        assert!(warns(2) && !warns(30));
    }),
    ("backend.queue_reject_threshold", || {
        let bounds = json!({"queue_reject_threshold": 2, "queue_warning_threshold": 1});
        assert_eq!(admitted(json!({"backend": bounds})), 2);
    }),
    ("backend.auto_queue_cleanup", || {
        let test = "without_sweeping_an_expired_job_leaves_only_in_its_turn_and_never_runs";
        shown_by("src/scheduler/queue/tests.rs", test, "sweep_expired: false");
        shown_by(
            "src/backend/serving.rs",
            "limits",
            "sweep_expired: backend.auto_queue_cleanup",
        );
    }),
    ("backend.run_inference_args", || {
        let length = |mode: Value| {
            let backend = loaded(&greedy(json!({"backend": {"run_inference_args": mode}})));
            let c = open(&backend);
            say_with(&backend, c, "Hello, who are you?", r#"{"max_tokens": 1}"#)
                .unwrap()
                .len()
        };
        assert!(
            length(json!(8)) < length(json!(6)),
            "six arguments carry no settings"
        );
    }),
    ("backend.max_output_bytes", || {
        shown_by("../../c-tests/output.c", "main", "max_output_bytes");
        assert_eq!(
            unloaded(r#"{"max_output_bytes": 256}"#).max_output_bytes(),
            Some(256)
        );
        assert_eq!(unloaded("{}").max_output_bytes(), None);
    }),
    ("backend.session_names_in_status", || {
        let name = |more: Value| {
            let backend = loaded(&greedy(more));
            backend.open_named_context(b"someone@example.org").unwrap();
            status(&backend, StatusKind::Sessions)["sessions"][0]["name"].clone()
        };
        let shown = json!({"backend": {"session_names_in_status": true}});
        assert_eq!(name(shown), "someone@example.org");
        assert!(name(json!({})).as_str().unwrap().starts_with('#'));
    }),
    ("backend.max_model_memory_mb", || {
        let state = |more: Value| {
            let backend = loaded(&greedy(
                json!({"model": {"ctx_size": 512}, "backend": more}),
            ));
            let b = backend.load_model(b"b", &pocket("b"), None, None);
            b.unwrap();
            status(&backend, StatusKind::Model)["models"][1]["state"].clone()
        };
        assert_eq!(state(json!({})), "serving");
        assert_eq!(state(json!({"max_model_memory_mb": 70})), "asleep");
    }),
    ("backend.swap_mode", || {
        let beside = |more: Value| {
            last_change(&loaded(&greedy(json!({"backend": more}))), "b")["beside"].clone()
        };
        assert_eq!(beside(json!({})), true);
        assert_eq!(beside(json!({"swap_mode": "beside"})), true);
        assert_eq!(beside(json!({"swap_mode": "replace"})), false);
    }),
    ("backend.swap_turns", || {
        shown_by(
            "tests/swap.rs",
            "turns_that_run_finish_where_they_began_or_begin_anew",
            "swap_turns",
        );
    }),
    ("backend.swap_drain_ms", || {
        shown_by(
            "tests/swap.rs",
            "past_the_drain_deadline_text_that_was_read_stands_and_the_rest_begins_anew",
            "swap_drain_ms",
        );
    }),
    ("backend.swap_compatibility", || {
        let outcome = |policy: &str| {
            let backend = loaded(&greedy(json!({})));
            let less = greedy(json!({
                "model": {"ctx_size": 256},
                "backend": {"swap_compatibility": policy},
            }));
            let is_done = backend
                .load_file(&pocket("b"), Some(less.as_bytes()), None)
                .is_ok();
            (is_done, last(&backend)["outcome"].clone())
        };
        assert_eq!(outcome("warn"), (true, json!("swapped")));
        assert_eq!(outcome("refuse"), (false, json!("failed")));
    }),
    ("performance.batch_processing", || {
        status_shows(
            json!({"performance": {"batch_processing": false}}),
            StatusKind::Model,
            "/parallel",
            1,
        );
    }),
    ("performance.batch_size", || {
        status_shows(
            json!({"performance": {"batch_size": 64}}),
            StatusKind::Model,
            "/batch_size",
            64,
        );
    }),
    ("performance.batch_timeout_ms", || {
        let slow = first_steps_together(json!({"performance": {"batch_timeout_ms": 700}}));
        assert!(
            slow >= Duration::from_millis(700),
            "{slow:?}: a lone turn waits for company"
        );
    }),
    ("performance.n_parallel", || {
        status_shows(
            json!({"performance": {"n_parallel": 3}}),
            StatusKind::Model,
            "/parallel",
            3,
        );
    }),
    ("performance.target_gap_ms", || {
        shown_by(
            "src/scheduler/pace.rs",
            "steps_settle_within_the_gap_on_any_machine_that_can",
            "gap",
        );
    }),
    ("performance.slow_step_ms", || {
        assert_eq!(slow_lines(1), 1, "one line for all of them");
        assert_eq!(slow_lines(0), 0);
    }),
    ("performance.kv_mode", || {
        let split = json!({"performance": {"kv_mode": "split", "n_parallel": 2}});
        status_shows(split, StatusKind::Model, "/kv_mode", "split");
    }),
    ("performance.kv_pool_tokens", || {
        status_shows(
            json!({"performance": {"kv_pool_tokens": 2048}}),
            StatusKind::Model,
            "/kv_cells",
            2048,
        );
    }),
];
