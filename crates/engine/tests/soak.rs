//! Fifty swaps under load: nobody fails, nobody forgets, nothing leaks. Alone in its process, because it weighs it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::*;
use engine::{Backend, StatusKind};
use serde_json::json;

const STREAMS: usize = 32;
const CONVERSATIONS: usize = 20;
const SWAPS: usize = 50;

/// Bytes that are allocated. Not the resident ones: glibc keeps pages of which it has given out a part, and how many
/// depends on which threads shared an arena (`docs/models.md` has the figures).
#[cfg(target_env = "gnu")]
fn allocated_bytes() -> u64 {
    // SAFETY: takes nothing and returns numbers.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

/// Bytes that are in use when no turn runs and nothing of an old version is left, without saved cells.
fn bytes_at_rest(backend: &Backend) -> u64 {
    until("all turns have ended", || {
        status(backend, StatusKind::Queue)["running"] == 0
    });
    // The thread of an old version is joined, and its memory given back, by a watch that looks once a second.
    thread::sleep(Duration::from_millis(2500));
    allocated_bytes() - memory_number(backend, "ram.bytes")
}

#[test]
fn fifty_swaps_under_load_fail_no_turn_lose_no_memory_and_leak_nothing() {
    let backend = &backend(&greedy(json!({
        "backend": {"max_concurrent": 100, "queue_size": 200, "default_task_timeout_ms": 600_000},
        "memory": {"max_memory_mb": 64},
    })));
    let told: Vec<(u32, &str)> = (0..CONVERSATIONS)
        .map(|n| {
            let name = NAMES[n % NAMES.len()];
            (common::told(backend, name), name)
        })
        .collect();
    let (over, turns) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let quiet = &AtomicBool::new(false);
    let mut bytes = Vec::new();
    thread::scope(|scope| {
        for n in 0..STREAMS {
            scope.spawn(move || {
                let c = open(backend);
                for turn in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    while quiet.load(Ordering::Relaxed) {
                        thread::sleep(Duration::from_millis(5));
                    }
                    if turn % 6 == 0 {
                        backend.clear(c).unwrap();
                    }
                    let call = json!({"max_tokens": 4 + n % 9}).to_string();
                    let answer = say_with(backend, c, "Hello.", &call);
                    assert!(answer.is_ok(), "stream {n}: {answer:?}");
                    turns.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for swap in 0..SWAPS {
            let (which, own) = [("b", "Momo"), ("a", "Pip")][swap % 2];
            backend.load_file(&pocket(which), None, None).unwrap();
            let (c, _) = told[swap % CONVERSATIONS];
            let answer = say(backend, c, "What is your name?").unwrap();
            assert!(answer.contains(own), "swap {swap}: {answer}");
            let before = turns.load(Ordering::Relaxed);
            until("streams go on", || {
                turns.load(Ordering::Relaxed) > before + 8
            });
            // The same model each time.
            if swap % 10 == 5 || swap + 1 == SWAPS {
                quiet.store(true, Ordering::Relaxed);
                bytes.push(bytes_at_rest(backend));
                quiet.store(false, Ordering::Relaxed);
            }
        }
        for &(c, name) in &told {
            recalls(backend, c, name);
        }
        over.store(true, Ordering::Relaxed);
    });
    let queue = status(backend, StatusKind::Queue);
    for outcome in ["failed", "rejected", "expired", "cancelled"] {
        assert_eq!(queue[outcome], 0, "{outcome}: {queue}");
    }
    let changes = status(backend, StatusKind::Model)["changes"].clone();
    let swapped = changes.as_array().unwrap().iter();
    assert!(
        swapped.clone().all(|c| c["outcome"] == "swapped"),
        "{changes}"
    );
    assert_eq!(
        status(backend, StatusKind::Model)["models"][0]["version"],
        SWAPS + 1
    );
    let (early, late) = (bytes[0], bytes[bytes.len() - 1]);
    assert!(
        late as f64 <= early as f64 * 1.05,
        "{bytes:?} after 6 to {SWAPS} swaps"
    );
}
