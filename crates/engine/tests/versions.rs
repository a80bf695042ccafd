//! Which version serves, under a scheduler that chooses which thread runs next.
//!
//! `registry.rs` is the engine's own file; here the locks of `crate::sync` are shuttle's. The threads below do what turns,
//! swaps, unloads and a closing backend do with it. A run in which some thread waits for ever is a failure of its own.

/// What the engine takes from std.
mod sync {
    pub use shuttle::sync::atomic;
    pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
}

#[path = "../src/models"]
#[expect(dead_code, reason = "the rest of the engine is missing")]
mod models {
    pub mod registry;
}

#[path = "../src/scheduler"]
#[expect(dead_code, reason = "the rest of the engine is missing")]
mod scheduler {
    pub mod intake;
    pub mod permits;
}

use std::time::{Duration, Instant};

use models::registry::{Found, Name, Unserved};
use scheduler::intake::{Intake, Place, Refusal};
use scheduler::permits::{Pass, Permits};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Arc, Weak};
use shuttle::thread;

const RUNS: usize = 5_000;

/// A version in service.
#[derive(Debug)]
struct Version {
    number: usize,
    users: AtomicUsize,
    /// It takes no turn any more.
    retired: AtomicBool,
}

fn version(number: usize) -> Arc<Version> {
    Arc::new(Version {
        number,
        users: AtomicUsize::new(0),
        retired: AtomicBool::new(false),
    })
}

/// The next version is on its way; this one is brought back if it does not come.
fn away(before: usize) -> Found<Version, usize> {
    Found::Away(Arc::new(before))
}

type Registry = models::registry::Registry<Version, usize>;

fn name() -> Name {
    "m".into()
}

/// A registry in which version 1 serves.
fn serving() -> Arc<Registry> {
    let registry = Arc::new(Registry::new());
    let claim = registry.claim(&|| false).expect("nobody else is there");
    claim.put(&name(), Found::Serving(version(1)));
    drop(claim);
    registry
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

/// What a turn does; the number of the version that answered it.
fn turn(registry: &Registry, gives_up: &dyn Fn() -> bool) -> Result<usize, Unserved> {
    loop {
        match registry.wait("m", &|_| Ok(()), far(), gives_up)? {
            Found::Serving(version) => {
                version.users.fetch_add(1, Ordering::SeqCst);
                let is_late = version.retired.load(Ordering::SeqCst);
                thread::yield_now();
                version.users.fetch_sub(1, Ordering::SeqCst);
                if !is_late {
                    return Ok(version.number);
                }
            }
            Found::Asleep(asleep) => wake(registry, *asleep),
            Found::Absent => return Ok(0),
            Found::Away(_) => panic!("the wait is for its end"),
        }
    }
}

/// Brings a version back, if nobody else has.
fn wake(registry: &Registry, number: usize) {
    let claim = registry.claim(&|| false).expect("nobody closes");
    if let Found::Asleep(_) = claim.find("m") {
        claim.put(&name(), Found::Serving(version(number)));
    }
}

/// Waits until nobody uses a version any more.
fn drain(old: Arc<Version>) -> Weak<Version> {
    let left = Arc::downgrade(&old);
    drop(old);
    while left.strong_count() > 0 {
        thread::yield_now();
    }
    left
}

/// A swap without room for both: the version before goes, then the next one comes, or the same one again.
fn replace(registry: &Registry, fails: bool) {
    let claim = registry.claim(&|| false).expect("nobody closes");
    let number = match claim.find("m") {
        Found::Serving(version) => version.number,
        _ => return,
    };
    if let Some(old) = claim.put(&name(), away(number)) {
        let left = drain(old);
        thread::yield_now();
        assert!(
            left.upgrade().is_none(),
            "no lease is given of what has gone"
        );
    }
    let next = number + usize::from(!fails);
    claim.put(&name(), Found::Serving(version(next)));
}

/// A swap with room for both.
fn beside(registry: &Registry) -> usize {
    let claim = registry.claim(&|| false).expect("nobody closes");
    let number = match claim.find("m") {
        Found::Serving(version) => version.number,
        _ => 0,
    };
    thread::yield_now();
    claim.put(&name(), Found::Serving(version(number + 1)));
    number + 1
}

fn join<T>(threads: Vec<thread::JoinHandle<T>>) -> Vec<T> {
    let results = threads.into_iter().map(|t| t.join());
    results.map(|r| r.expect("a thread")).collect()
}

fn spawn<T: Send + 'static>(
    registry: &Arc<Registry>,
    work: impl FnOnce(&Registry) -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let registry = registry.clone();
    thread::spawn(move || work(&registry))
}

#[test]
fn turns_are_all_answered_while_versions_replace_each_other_without_room() {
    shuttle::check_random(
        || {
            let registry = serving();
            let turns: Vec<_> = (0..3)
                .map(|_| {
                    spawn(&registry, |registry| {
                        let first = turn(registry, &|| false).expect("answered");
                        let second = turn(registry, &|| false).expect("answered");
                        assert!(second >= first, "{first} then {second}");
                    })
                })
                .collect();
            let swaps = [false, true].map(|fails| spawn(&registry, move |r| replace(r, fails)));
            join(turns);
            join(swaps.into());
            let last = turn(&registry, &|| false);
            assert_eq!(last, Ok(2), "one of two came, the other one did not");
            assert!(registry.snapshot().1.is_empty());
        },
        RUNS,
    );
}

#[test]
fn swaps_that_come_together_have_one_turn_each() {
    shuttle::check_random(
        || {
            let registry = serving();
            let swaps: Vec<_> = (0..3).map(|_| spawn(&registry, beside)).collect();
            let reader = spawn(&registry, |r| turn(r, &|| false).expect("answered"));
            let mut numbers = join(swaps);
            numbers.sort_unstable();
            assert_eq!(numbers, [2, 3, 4]);
            assert!((1..=4).contains(&reader.join().expect("a turn")));
        },
        RUNS,
    );
}

#[test]
fn turns_find_a_version_that_was_put_to_sleep_under_them() {
    shuttle::check_random(
        || {
            let registry = serving();
            let slept = Arc::new(AtomicUsize::new(0));
            let turns: Vec<_> = (0..2)
                .map(|_| spawn(&registry, |r| assert_eq!(turn(r, &|| false), Ok(1))))
                .collect();
            let count = slept.clone();
            let other = spawn(&registry, move |registry| {
                for _ in 0..2 {
                    let claim = registry.claim(&|| false).expect("nobody closes");
                    let is_free = |v: &Version| v.users.load(Ordering::SeqCst) == 0;
                    if let Some(version) = claim.put_to_sleep(&name(), is_free, |v| v.number) {
                        version.retired.store(true, Ordering::SeqCst);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
            join(turns);
            other.join().expect("the other model's load");
            assert_eq!(turn(&registry, &|| false), Ok(1));
        },
        RUNS,
    );
}

#[test]
fn a_change_that_dies_on_its_way_leaves_the_version_before_to_be_woken() {
    shuttle::check_random(
        || {
            let registry = serving();
            let turns: Vec<_> = (0..2)
                .map(|_| spawn(&registry, |r| assert_eq!(turn(r, &|| false), Ok(1))))
                .collect();
            let claim = registry.claim(&|| false).expect("nobody else is there");
            drop(claim.put(&name(), away(1)));
            thread::yield_now();
            drop(claim);
            join(turns);
        },
        RUNS,
    );
}

#[test]
fn who_waits_for_a_version_leaves_when_the_backend_closes() {
    shuttle::check_random(
        || {
            let registry = serving();
            let closing = Arc::new(AtomicBool::new(false));
            let claim = registry.claim(&|| false).expect("nobody else is there");
            drop(claim.put(&name(), away(1)));
            let waiting: Vec<_> = (0..2)
                .map(|n| {
                    let closing = closing.clone();
                    spawn(&registry, move |registry| {
                        let gives_up = || closing.load(Ordering::SeqCst);
                        match n {
                            0 => assert_eq!(turn(registry, &gives_up), Err(Unserved::GivenUp)),
                            _ => assert!(registry.claim(&gives_up).is_none()),
                        }
                    })
                })
                .collect();
            closing.store(true, Ordering::SeqCst);
            registry.wake();
            join(waiting);
            drop(claim);
        },
        RUNS,
    );
}

#[test]
fn an_unload_ends_what_waits_and_leaves_what_runs() {
    shuttle::check_random(
        || {
            let registry = serving();
            let Found::Serving(lease) = registry.find("m") else {
                panic!("it serves")
            };
            let turns: Vec<_> = (0..2)
                .map(|_| spawn(&registry, |r| turn(r, &|| false).expect("answered")))
                .collect();
            let swap = spawn(&registry, |registry| {
                let claim = registry.claim(&|| false).expect("nobody closes");
                drop(claim.put(&name(), away(1)));
                thread::yield_now();
                claim.put(&name(), Found::Absent);
            });
            for answered in join(turns) {
                assert!([0, 1].contains(&answered));
            }
            swap.join().expect("the unload");
            assert_eq!(lease.number, 1);
            assert_eq!(registry.snapshot().1.len(), 1);
            drop(lease);
            assert!(registry.snapshot().1.is_empty());
            assert!(registry.current("m").is_none());
        },
        RUNS,
    );
}

#[test]
fn no_more_wait_than_may() {
    shuttle::check_random(
        || {
            let registry = serving();
            let claim = registry.claim(&|| false).expect("nobody else is there");
            drop(claim.put(&name(), away(1)));
            let permits = Arc::new(Permits::new());
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let (permits, pass) = (permits.clone(), Pass::new());
                    spawn(&registry, move |r| {
                        let joins = |_: &usize| pass.obtain(&permits, 2);
                        match r.wait("m", &joins, far(), &|| false) {
                            Ok(Found::Serving(_)) => 0,
                            Err(Unserved::Full(2)) => 1,
                            other => panic!("{other:?}"),
                        }
                    })
                })
                .collect();
            thread::yield_now();
            claim.put(&name(), Found::Serving(version(2)));
            drop(claim);
            assert!(join(waiting).iter().sum::<i32>() <= 1);
            assert_eq!(registry.list()[0].waiting, 0);
        },
        RUNS,
    );
}

/// A caller's way through versions that are replaced under it: what it is handed back by one it submits to the next.
fn submit_until_taken(versions: &[Intake<(Pass, Place)>; 2], taken: &AtomicUsize) {
    let pass = Pass::new();
    for version in versions {
        match version.submit(2, &pass, |place| (pass.clone(), place)) {
            Ok(()) => {
                taken.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Err(Refusal::Full(2)) => return,
            Err(Refusal::Full(held)) => panic!("{held} turns are in, 2 may be"),
            Err(Refusal::Closed) => {}
        }
    }
    panic!("the second version is open");
}

#[test]
fn around_a_swap_no_more_turns_are_in_than_may_be() {
    shuttle::check_random(
        || {
            let permits = Arc::new(Permits::new());
            let versions = Arc::new([(); 2].map(|()| Intake::new(permits.clone())));
            let taken = Arc::new(AtomicUsize::new(0));
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let (versions, taken) = (versions.clone(), taken.clone());
                    thread::spawn(move || submit_until_taken(&versions, &taken))
                })
                .collect();
            // The first version ends; what it had not begun goes to the second one, and is never refused.
            let moved = versions[0].close();
            for (pass, place) in moved {
                place.hand_back(false);
                thread::yield_now();
                let again = versions[1].submit(2, &pass, |place| (pass.clone(), place));
                assert!(again.is_ok());
                assert!(!pass.take_run());
            }
            for caller in callers {
                caller.join().expect("a caller");
            }
            let (inside, let_in) = (versions[1].unanswered(), taken.load(Ordering::SeqCst));
            assert_eq!((inside, let_in, permits.held()), (2, 2, 2));
            drop(versions[1].close());
            assert_eq!((versions[1].unanswered(), permits.held()), (0, 0));
        },
        RUNS,
    );
}
