//! Calls while a file is being written or read: some in a chosen order, many in any.

use super::*;
use crate::spill::index::Index;

fn limits(dir: &str, ram_bytes: u64, disk_bytes: u64) -> Limits {
    Limits {
        ram_bytes,
        dir: Some(dir.into()),
        disk_bytes,
        strategy: CacheStrategy::Lru,
    }
}

/// An index whose writer has just begun with session 1; then `act`; whether its file is wanted when it is written.
fn check(act: impl FnOnce(&mut Index, Instant), expect: bool) -> Index {
    let now = Instant::now();
    let mut index = Index::new();
    index.set_limits(limits("folder", 0, 1000), now);
    index.put(key(1), cells(1, 100), now);
    let order = index.next_write().unwrap();
    act(&mut index, now);
    assert_eq!(index.written(&order, "file".into()), expect);
    index
}

#[test]
fn a_file_is_wanted_if_nothing_happens_meanwhile() {
    let index = check(|_, _| (), true);
    assert_eq!(index.counts().disk.bytes, 100);
}

#[test]
fn a_file_of_cells_that_were_taken_meanwhile_is_not_wanted() {
    let take = |index: &mut Index, _| assert!(matches!(index.take(key(1)), Ok(Some(_))));
    let index = check(take, false);
    assert_eq!(
        (index.counts().disk.bytes, index.counts().leaving.bytes),
        (0, 0)
    );
}

#[test]
fn a_file_of_a_session_that_was_forgotten_meanwhile_is_not_wanted() {
    let index = check(|index, _| index.forget(1), false);
    assert_eq!((index.counts().leaving.entries, index.losses()), (0, 0));
}

#[test]
fn a_file_of_cells_that_were_put_anew_meanwhile_is_not_wanted() {
    let mut index = check(|index, now| index.put(key(1), cells(1, 200), now), false);
    assert_eq!(index.next_write().unwrap().cells.state.len(), 192);
}

#[test]
fn a_file_in_a_folder_that_was_changed_meanwhile_is_not_wanted() {
    let change = |index: &mut Index, now| index.set_limits(limits("other", 0, 1000), now);
    let mut index = check(change, false);
    assert_eq!(index.next_write().unwrap().dir, Path::new("other"));
    let and_back = |index: &mut Index, now| {
        index.set_limits(limits("other", 0, 1000), now);
        index.set_limits(limits("folder", 0, 1000), now);
    };
    check(and_back, false);
}

#[test]
fn a_file_that_no_longer_fits_when_it_is_written_is_not_wanted() {
    let change = |index: &mut Index, now| index.set_limits(limits("folder", 0, 99), now);
    let mut index = check(change, false);
    assert_eq!(index.take(key(1)).err(), Some(Loss::Evicted));
}

/// An index with session 1 in a file that is being staged; then `act`; whether the outcome is of use.
fn check_stage(act: impl FnOnce(&mut Index, Instant), expect: bool) -> Index {
    let now = Instant::now();
    let mut index = check(|_, _| (), true);
    index.set_limits(limits("folder", 100, 1000), now);
    let filed = index.filed(key(1)).unwrap();
    act(&mut index, now);
    let read = filed.cells(cells(1, 100).state);
    assert_eq!(index.staged(&filed, Ok(read), now), expect);
    index
}

#[test]
fn what_was_staged_twice_is_kept_once() {
    let again = |index: &mut Index, now| {
        let filed = index.filed(key(1)).unwrap();
        assert!(index.staged(&filed, Ok(filed.cells(cells(1, 100).state)), now));
    };
    let index = check_stage(again, false);
    assert_eq!((index.counts().ram.entries, index.counts().staged), (1, 1));
}

#[test]
fn what_was_taken_or_forgotten_while_it_was_staged_stays_so() {
    let take = |index: &mut Index, _| {
        assert!(matches!(index.take(key(1)), Ok(None)));
        let read = Arc::new(cells(1, 100));
        assert_eq!(index.take_read(key(1), read).1, Tier::Disk);
    };
    assert_eq!(check_stage(take, false).counts().ram.entries, 0);
    assert_eq!(
        check_stage(|index, _| index.forget(1), false)
            .counts()
            .ram
            .entries,
        0
    );
}

#[test]
fn memory_that_shrank_while_it_was_staged_does_not_keep_it() {
    let shrink = |index: &mut Index, now| index.set_limits(limits("folder", 50, 1000), now);
    let index = check_stage(shrink, true);
    assert_eq!(
        (index.counts().ram.bytes, index.counts().leaving.bytes),
        (0, 100)
    );
}

#[test]
fn taking_forgetting_and_closing_are_harmless_while_a_large_file_is_written() {
    const LARGE: usize = 24 << 20;
    for what in 0..3 {
        let bench = Bench::with_disk(0, u64::MAX);
        bench.store.put(key(1), cells(1, LARGE));
        let begun = || fs::read_dir(bench.scratch.path()).unwrap().next().is_some();
        while !begun() || bench.scratch.files().is_empty() {
            std::thread::yield_now();
        }
        match what {
            0 => assert!(bench.take(1).is_ok()),
            1 => bench.store.forget(1),
            _ => bench.store.close(),
        }
        bench.store.flush();
        assert_eq!(bench.take(1), Err(Loss::Never));
        assert_eq!(bench.store.counts().disk.entries, 0);
        match what {
            2 => assert_eq!(bench.scratch.names(), Vec::<String>::new()),
            _ => assert_eq!(bench.scratch.files(), Vec::<PathBuf>::new()),
        }
    }
}

/// A step of a well-mixed sequence.
fn next(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    *seed >> 33
}

#[test]
fn many_threads_get_their_own_cells_or_none() {
    const RAM: u64 = 40_000;
    const DISK: u64 = 60_000;
    const SESSIONS: u64 = 12;
    let bench = Bench::with_disk(RAM, DISK);
    let work = |thread: u64| {
        let mut seed = thread;
        for _ in 0..2000 {
            let session = next(&mut seed) % SESSIONS;
            match next(&mut seed) % 12 {
                0..4 => {
                    let bytes = 8 + next(&mut seed) as usize % 20_000;
                    bench.store.put(key(session), cells(session, bytes));
                }
                4..7 => {
                    let took = bench.take(session);
                    assert!(
                        !matches!(took, Err(Loss::Damaged | Loss::OtherModel)),
                        "{took:?}"
                    );
                }
                7 | 8 => bench.store.stage(key(session)),
                9 => bench.store.forget(session),
                10 => drop(bench.store.shrink(RAM / 4)),
                _ => {
                    let donor = bench.store.donor(1, &tokens(&[session as i32]), 1, 99);
                    let read = donor.and_then(|(key, _)| bench.store.read(key));
                    assert!(read.is_none_or(|found| found.tokens[0] == Token(session as i32)));
                }
            }
            let counts = bench.store.counts();
            assert!(counts.ram.bytes <= RAM && counts.disk.bytes <= DISK);
        }
    };
    std::thread::scope(|scope| {
        for thread in 0..6 {
            scope.spawn(move || work(thread));
        }
    });
    bench.store.flush();
    let counts = bench.store.counts();
    assert_eq!(bench.scratch.files().len(), counts.disk.entries);
    assert_eq!(
        (counts.failed_writes, counts.damaged, counts.unreadable),
        (0, 0, 0)
    );
    assert!(counts.written > 0 && counts.read_back > 0 && counts.staged > 0);
    for session in 0..SESSIONS {
        bench.store.forget(session);
    }
    bench.store.flush();
    let counts = bench.store.counts();
    assert_eq!(
        (
            counts.ram.entries,
            counts.leaving.entries,
            counts.disk.entries
        ),
        (0, 0, 0)
    );
    assert_eq!(bench.scratch.files(), Vec::<PathBuf>::new());
}

#[test]
fn closing_while_others_work_ends_quietly() {
    for seed in 0..20 {
        let bench = Bench::with_disk(500, 2000);
        let (bench, mut seed) = (&bench, seed);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                scope.spawn(move || {
                    for session in 0..100 {
                        bench.store.put(key(session), cells(session, 100));
                        bench.store.stage(key(session / 2));
                        bench.store.take_waiting(key(session / 3 + thread)).ok();
                    }
                });
            }
            std::thread::sleep(Duration::from_micros(next(&mut seed) % 2000));
            bench.store.close();
        });
        assert_eq!(bench.scratch.names(), Vec::<String>::new());
        assert_eq!(bench.store.counts().ram, Held::default());
    }
}

#[test]
fn cells_that_were_put_while_their_file_was_read_are_those_that_are_taken() {
    let bench = Bench::with_disk(0, 1000);
    bench.put(1, 100);
    let fetch = bench.store.fetch(key(1)).unwrap();
    while !fetch.is_over() {
        std::thread::yield_now();
    }
    bench.limit(1000, Some(bench.scratch.path()), 1000);
    bench.put(1, 300);
    let (found, tier) = bench.store.take(key(1), Some(fetch)).ok().unwrap();
    assert_eq!((found.state.len(), tier), (292, Tier::Ram));
    assert!(bench.store.tokens(key(1)).is_none());
}

#[test]
fn no_call_waits_for_a_file_that_is_read_and_a_close_ends_the_wait() {
    let bench = Bench::with_disk(0, u64::MAX);
    for session in 0..3 {
        bench.put(session, 40 << 20);
    }
    // Two of them are more than may be held, so the third one waits for the first to be used.
    let fetches: Vec<_> = (0..3)
        .map(|session| bench.store.fetch(key(session)).unwrap())
        .collect();
    while !fetches[0].is_over() {
        std::thread::yield_now();
    }
    // A small one of another model behind them shows that the reader has passed them by.
    let other = Key { shape: 2, ..key(9) };
    bench.store.put(other, cells(9, 100));
    let passes = loop {
        if let Some(fetch) = bench.store.fetch(other) {
            break fetch;
        }
        std::thread::yield_now();
    };
    while !passes.is_over() {
        std::thread::yield_now();
    }
    assert_eq!(
        [1, 2].map(|at: usize| fetches[at].is_over()),
        [false, false]
    );
    let mut fetches = fetches.into_iter();
    let took = bench.store.take(key(0), fetches.next());
    assert_eq!(took.map(|(_, tier)| tier), Ok(Tier::Disk));
    let rest: Vec<_> = fetches.collect();
    while !rest[0].is_over() {
        std::thread::yield_now();
    }
    assert!(!rest[1].is_over() && bench.store.tokens(key(1)).is_some());
    bench.store.close();
    assert!(rest[1].is_over());
    let [read, unread] = rest.try_into().ok().unwrap();
    // What was read before the close is whole; the store has nothing any more.
    assert!(bench.store.take(key(1), Some(read)).is_err());
    assert!(bench.store.take(key(2), Some(unread)).is_err());
}

#[test]
fn a_model_whose_turns_hold_what_was_read_keeps_none_of_another_one_waiting() {
    let bench = Bench::with_disk(0, u64::MAX);
    bench.put(1, 70 << 20);
    bench.put(2, 70 << 20);
    let other = Key { shape: 2, ..key(3) };
    bench.store.put(other, cells(3, 100));
    bench.store.flush();
    let held = bench.store.fetch(key(1)).unwrap();
    let waits = bench.store.fetch(key(2)).unwrap();
    let comes = bench.store.fetch(other).unwrap();
    while !held.is_over() || !comes.is_over() {
        std::thread::yield_now();
    }
    assert!(!waits.is_over());
}
