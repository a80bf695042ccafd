//! Many turns at once: which of them wait, run together, and that each is answered.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use common::*;
use engine::{Backend, Error, StatusKind};
use serde_json::{Value, json};

/// How many turns ended how.
#[derive(Default)]
struct Ends {
    done: AtomicUsize,
    cancelled: AtomicUsize,
    timeout: AtomicUsize,
    full: AtomicUsize,
}

impl Ends {
    fn count(&self, end: &engine::Result<std::sync::Arc<str>>) {
        let counter = match end {
            Ok(_) => &self.done,
            Err(Error::Cancelled) => &self.cancelled,
            Err(Error::Timeout(_)) => &self.timeout,
            Err(Error::QueueFull { .. }) => &self.full,
            Err(other) => panic!("{other:?}"),
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Done, cancelled, timed out, refused.
    fn all(&self) -> [usize; 4] {
        [&self.done, &self.cancelled, &self.timeout, &self.full].map(|c| c.load(Ordering::Relaxed))
    }
}

#[test]
fn ten_thousand_short_jobs_with_random_cancels_and_deadlines_are_each_answered_once() {
    const TURNS: usize = 10_000;
    const THREADS: usize = 64;
    let backend = backend(&greedy(json!({
        "model": {"batch_size": 64},
        "backend": {"max_concurrent": 80, "queue_size": 48},
        "performance": {"n_parallel": 8},
    })));
    let contexts: Vec<AtomicU32> = (0..THREADS).map(|_| open(&backend).into()).collect();
    let (begun, ends, over) = (AtomicUsize::new(0), Ends::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (backend, begun, ends) = (&backend, &begun, &ends);
        let callers: Vec<_> = (contexts.iter().enumerate())
            .map(|(seed, context)| {
                let caller = move || {
                    let mut random = Random(seed as u64);
                    while begun.fetch_add(1, Ordering::Relaxed) < TURNS {
                        let end = short_turn(backend, context, &mut random);
                        ends.count(&end);
                        if matches!(end, Err(Error::QueueFull { .. })) {
                            std::thread::sleep(Duration::from_millis(random.below(100)));
                        }
                    }
                };
                scope.spawn(caller)
            })
            .collect();
        scope.spawn(|| {
            let mut random = Random(THREADS as u64);
            while !over.load(Ordering::Relaxed) {
                let context = &contexts[random.below(THREADS as u64) as usize];
                // Its owner may have closed it.
                drop(backend.cancel(context.load(Ordering::Relaxed)));
                std::thread::sleep(Duration::from_millis(random.below(10)));
            }
        });
        let callers: Vec<_> = callers.into_iter().map(|caller| caller.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(callers.iter().all(Result::is_ok));
    });
    let ends = ends.all();
    assert_eq!(ends.iter().sum::<usize>(), TURNS);
    assert!(ends.iter().all(|&count| count > 0), "{ends:?}");
    check_at_rest(&backend, ends);
    for context in contexts {
        backend.close_context(context.into_inner()).unwrap();
    }
    until("no cell is held but for what several began with", || {
        let memory = status(&backend, StatusKind::Memory);
        let [held, prefixes] =
            ["cache_tokens", "cache_tokens_prefixes"].map(|n| memory[n].as_u64());
        held <= prefixes && memory["ram"]["sessions"] == 0
    });
    let c = open(&backend);
    assert_eq!(&*say(&backend, c, "Count to 3.").unwrap(), "1 2 3");
}

/// One turn of few words and tokens, some with little time; now and then its conversation begins anew.
fn short_turn(
    backend: &Backend,
    context: &AtomicU32,
    random: &mut Random,
) -> engine::Result<std::sync::Arc<str>> {
    let words = ["Hello", "Count to 9.", "My name is Zorvath.", "Hi"];
    match random.below(16) {
        0 => backend.clear(context.load(Ordering::Relaxed)).unwrap(),
        1 => {
            let closed = context.swap(open(backend), Ordering::Relaxed);
            backend.close_context(closed).unwrap();
        }
        _ => {}
    }
    let mut call = json!({"max_tokens": 1 + random.below(6)});
    let mut text = words[random.below(4) as usize].to_owned();
    if random.below(8) == 0 {
        // A prompt of several steps that take longer than that.
        call["max_time_ms"] = 1.into();
        text = text.repeat(30);
    }
    if random.below(4) == 0 {
        call["priority"] = ["low", "high", "urgent"][random.below(3) as usize].into();
    }
    let context = context.load(Ordering::Relaxed);
    say_with(backend, context, &text, &call.to_string())
}

/// Nothing waits or runs, and the counters agree with what the callers saw.
fn check_at_rest(backend: &Backend, [done, cancelled, timeout, full]: [usize; 4]) {
    until("nothing waits or runs", || {
        let queue = status(backend, StatusKind::Queue);
        queue["waiting_total"] == 0 && queue["running"] == 0
    });
    let queue = status(backend, StatusKind::Queue);
    assert_eq!(queue["done"], done);
    assert_eq!(queue["cancelled"], cancelled);
    assert_eq!(queue["expired"], timeout);
    assert_eq!(queue["rejected"], full);
    assert_eq!(queue["failed"], 0);
    assert_eq!(queue["queued"], done + cancelled + timeout);
    assert_eq!(status(backend, StatusKind::Memory)["accounting_errors"], 0);
}

#[test]
fn turns_of_128_host_threads_all_succeed() {
    let backend = backend(&greedy(json!({
        "backend": {"max_concurrent": 128, "queue_size": 256},
        "performance": {"n_parallel": 8},
    })));
    std::thread::scope(|scope| {
        for _ in 0..128 {
            scope.spawn(|| {
                let c = open(&backend);
                for n in 2..5 {
                    let answer = say(&backend, c, &format!("Count to {n}.")).unwrap();
                    assert_eq!(&*answer, &"1 2 3 4"[..2 * n - 1]);
                }
            });
        }
    });
    check_at_rest(&backend, [3 * 128, 0, 0, 0]);
}

#[test]
fn a_calls_priority_beats_its_contexts_and_that_beats_the_configurations() {
    let backend = backend(&greedy(json!({
        "priority": "low",
        "performance": {"n_parallel": 1},
    })));
    let waiting = || status(&backend, StatusKind::Queue)["waiting"].clone();
    let classes = |low: u32, normal: u32, high: u32, urgent: u32| -> Value {
        json!({"low": low, "normal": normal, "high": high, "urgent": urgent})
    };
    let running = open(&backend);
    let contexts = [(); 3].map(|()| open(&backend));
    for c in &contexts[1..] {
        backend.set_priority(*c, 2).unwrap();
    }
    let steps = [
        (contexts[0], "{}", classes(1, 0, 0, 0)),
        (contexts[1], "{}", classes(1, 0, 1, 0)),
        (
            contexts[2],
            r#"{"priority": "urgent"}"#,
            classes(1, 0, 1, 1),
        ),
    ];
    // Long enough for whatever else the machine does meanwhile; it is cancelled.
    let long = slow(json!({"priority": "urgent", "max_tokens": 900}));
    std::thread::scope(|scope| {
        let long = scope.spawn(|| say_with(&backend, running, "Hello", &long));
        until("the slot is taken", || {
            status(&backend, StatusKind::Queue)["running"] == 1
        });
        for (c, call, expected) in &steps {
            scope.spawn(|| say_with(&backend, *c, "Hello", call).unwrap());
            until("it waits in its class", || waiting() == *expected);
        }
        backend.cancel(running).unwrap();
        assert_eq!(long.join().unwrap(), Err(Error::Cancelled));
    });
    until("nothing waits", || waiting() == classes(0, 0, 0, 0));
}

#[test]
fn the_first_of_a_batch_waits_for_the_second() {
    // The two must come within a second of each other, which a machine that is busy elsewhere may miss.
    assert!((0..5).any(|_| two_short_turns_run_together()));
}

/// Hands in a turn and then, once the engine has it, another one. Both end in the step that has their whole prompts;
/// these are longer than the 32 tokens of a first step, so that turns that run together are seen.
fn two_short_turns_run_together() -> bool {
    let backend = backend(&greedy(json!({
        "performance": {"n_parallel": 2, "batch_timeout_ms": 1000},
    })));
    let text = "My name is Zorvath. ".repeat(12);
    assert!(backend.count_tokens(&text).unwrap() > 32);
    let contexts = [open(&backend), open(&backend)];
    std::thread::scope(|scope| {
        let turn = |c| say_with(&backend, c, &text, r#"{"max_tokens": 1}"#).unwrap();
        scope.spawn(move || turn(contexts[0]));
        until("the first is accepted", || {
            status(&backend, StatusKind::Queue)["queued"] == 1
        });
        // Long enough for the first one to run and end, if it did not wait.
        std::thread::sleep(Duration::from_millis(50));
        turn(contexts[1]);
    });
    for c in contexts {
        assert_eq!(metadata(&backend, c)["completion_tokens"], 1);
    }
    status(&backend, StatusKind::Performance)["most_running"] == 2
}
