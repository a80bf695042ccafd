//! Turns whose model sleeps while another load runs: how long they wait, and what becomes of them.

use std::sync::Arc;

use serde_json::json;

use super::backend;
use crate::backend::version::{DEFAULT, Sleeper};
use crate::backend::{Backend, StatusKind};
use crate::error::Error;
use crate::llama::forge::Forge;
use crate::models::Found;

/// A backend whose model sleeps while somebody else has the right to change models, for as long as `meanwhile` takes.
fn while_another_load_runs(backend: &Backend, meanwhile: impl FnOnce(u32)) {
    let context = backend.open_context(0).unwrap().0;
    let registry = &backend.fleet.registry;
    let claim = registry.claim(&|| false).unwrap();
    let old = claim.put_to_sleep(&DEFAULT.into(), |_| true, Sleeper::of);
    let old = old.unwrap();
    old.engine.retire(false);
    backend.fleet.let_go(old);
    meanwhile(context);
    drop(claim);
    // What it waited for is over: the next turn wakes it.
    assert!(
        backend
            .run(context, "abc".into(), &mut || None, None)
            .is_ok()
    );
    assert!(matches!(registry.find(DEFAULT), Found::Serving(_)));
    assert!(backend.fleet.wakes.lock().values().all(|job| job.is_over()));
}

/// One backend that outlives its calls, and one that does not.
fn both(name: &str, check: impl Fn(&Backend)) {
    let config = json!({"backend": {"default_task_timeout_ms": 1000, "queue_size": 2,
        "queue_warning_threshold": 2, "queue_reject_threshold": 2}});
    let forge = Forge::model();
    check(&backend(
        &forge,
        &format!("waking-{name}.gguf"),
        config.clone(),
    ));
    let shared: Arc<Backend> =
        backend(&forge, &format!("waking-{name}-shared.gguf"), config).share();
    check(&shared);
}

fn count(backend: &Backend, what: &str) -> u64 {
    let queue: serde_json::Value =
        serde_json::from_str(&backend.status(StatusKind::Queue).unwrap()).unwrap();
    queue[what].as_u64().unwrap()
}

#[test]
fn a_turn_that_waits_for_another_load_ends_at_its_deadline_and_is_not_submitted() {
    both("late", |backend| {
        while_another_load_runs(backend, |context| {
            let turn = backend.run(context, "abc".into(), &mut || None, None);
            assert!(matches!(turn, Err(Error::Timeout(_))), "{turn:?}");
            assert_eq!((count(backend, "expired"), count(backend, "done")), (1, 0));
        });
        assert_eq!((count(backend, "expired"), count(backend, "done")), (1, 1));
    });
}

#[test]
fn a_turn_that_waits_for_another_load_is_cancelled_at_once() {
    both("cancelled", |backend| {
        while_another_load_runs(backend, |context| {
            let turn = std::thread::scope(|scope| {
                let turn = scope.spawn(|| backend.run(context, "abc".into(), &mut || None, None));
                while !turn.is_finished() {
                    backend.cancel(context).unwrap();
                    std::thread::yield_now();
                }
                turn.join().unwrap()
            });
            assert_eq!(turn.unwrap_err(), Error::Cancelled);
            assert_eq!(
                (count(backend, "cancelled"), count(backend, "expired")),
                (1, 0)
            );
        });
    });
}

#[test]
fn no_more_turns_wait_for_a_sleeping_model_than_may() {
    both("full", |backend| {
        while_another_load_runs(backend, |_| {
            let turns: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..5)
                    .map(|_| {
                        let context = backend.open_context(0).unwrap().0;
                        scope.spawn(move || backend.run(context, "abc".into(), &mut || None, None))
                    })
                    .collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            let is_full = |turn: &&Result<_, Error>| {
                matches!(
                    turn,
                    Err(Error::QueueFull {
                        waiting: 2,
                        limit: 2
                    })
                )
            };
            let is_late = |turn: &&Result<_, Error>| matches!(turn, Err(Error::Timeout(_)));
            let counts = (
                turns.iter().filter(is_full).count(),
                turns.iter().filter(is_late).count(),
            );
            assert_eq!(counts, (3, 2), "{turns:?}");
        });
    });
}
