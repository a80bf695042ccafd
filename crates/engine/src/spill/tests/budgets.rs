//! What the limits do.

use super::*;
use crate::spill::index::LEAVING_BYTES;

#[test]
fn memory_over_its_budget_drops_the_longest_unused_where_there_is_no_disk() {
    let bench = Bench::with_ram(300);
    for session in 1..=3 {
        bench.put(session, 100);
    }
    assert!(bench.store.read(key(1)).is_some());
    bench.put(4, 100);
    let counts = bench.store.counts();
    assert_eq!(
        (counts.ram.entries, counts.ram.bytes, counts.dropped),
        (3, 300, 1)
    );
    assert_eq!(bench.take(2), Err(Loss::Evicted), "1 was read meanwhile");
    assert_eq!(bench.take(1), Ok(Tier::Ram));
}

#[test]
fn the_strategy_names_who_leaves() {
    let stays = |strategy, open: u64| {
        let bench = Bench::new();
        bench.store.set_limits(Limits {
            ram_bytes: 250,
            dir: None,
            disk_bytes: 0,
            strategy,
        });
        for session in [2, 1] {
            let given = cells(session, 100);
            if session == open {
                given.presence.open();
            }
            bench.store.put(key(session), given);
            bench.pass(Duration::from_millis(1));
        }
        bench.store.put(
            key(3),
            Cells {
                tokens: tokens(&[3, 7]),
                ..cells(3, 100)
            },
        );
        [1, 2, 3].map(|session| bench.take(session).is_ok())
    };
    assert_eq!(stays(CacheStrategy::Lru, 0), [true, false, true]);
    assert_eq!(stays(CacheStrategy::Fifo, 0), [false, true, true]);
    assert_eq!(stays(CacheStrategy::Smart, 0), [true, false, true]);
    assert_eq!(stays(CacheStrategy::Smart, 2), [false, true, true]);
}

#[test]
fn no_memory_and_no_disk_keep_nothing() {
    let bench = Bench::with_ram(0);
    bench.put(1, 100);
    assert_eq!(bench.store.counts().ram.bytes, 0);
    assert_eq!(bench.take(1), Err(Loss::Evicted));
}

#[test]
fn an_entry_larger_than_the_disk_is_dropped_and_costs_no_file() {
    let bench = Bench::with_disk(0, 250);
    bench.put(1, 100);
    bench.put(2, 251);
    assert_eq!(bench.take(2), Err(Loss::Evicted));
    assert_eq!(bench.take(1), Ok(Tier::Disk));
}

#[test]
fn the_oldest_file_gives_way_to_a_new_one() {
    let bench = Bench::with_disk(0, 250);
    for session in [3, 1, 2] {
        bench.put(session, 100);
    }
    assert_eq!(bench.scratch.files().len(), 2);
    let counts = bench.store.counts();
    assert_eq!(
        (counts.disk.entries, counts.disk.bytes, counts.dropped),
        (2, 200, 1)
    );
    assert_eq!(bench.take(3), Err(Loss::Evicted));
    assert_eq!(bench.take(1), Ok(Tier::Disk));
}

#[test]
fn smaller_limits_take_effect_at_once() {
    let bench = Bench::with_disk(300, 1000);
    for session in 1..=5 {
        bench.put(session, 100);
    }
    bench.limit(100, Some(bench.scratch.path()), 300);
    bench.store.flush();
    let counts = bench.store.counts();
    assert_eq!(
        (counts.ram.entries, counts.disk.entries, counts.dropped),
        (1, 3, 1)
    );
    assert_eq!(
        (counts.ram.limit_bytes, counts.disk.limit_bytes),
        (100, 300)
    );
    bench.limit(0, None, 300);
    let counts = bench.store.counts();
    assert_eq!(
        (counts.ram.entries, counts.disk.entries, counts.dropped),
        (0, 0, 5)
    );
    assert_eq!(counts.disk.limit_bytes, 0);
    bench.store.flush();
    assert_eq!(bench.scratch.names(), Vec::<String>::new());
}

#[test]
fn another_folder_drops_the_files_of_the_old_one() {
    let (bench, other) = (Bench::with_disk(100, 1000), Scratch::new());
    bench.put(1, 100);
    bench.put(2, 100);
    bench.limit(100, Some(other.path()), 1000);
    bench.put(3, 100);
    assert_eq!(bench.scratch.names(), Vec::<String>::new());
    assert_eq!(other.files().len(), 1);
    assert_eq!(bench.take(1), Err(Loss::Evicted));
    assert_eq!(bench.take(2), Ok(Tier::Disk));
}

#[test]
fn shrinking_empties_memory_and_keeps_the_limit() {
    let bench = Bench::with_disk(300, 1000);
    for session in 1..=3 {
        bench.put(session, 100);
    }
    assert_eq!(bench.store.shrink(150), 2);
    assert_eq!(bench.store.shrink(150), 0);
    bench.store.flush();
    let counts = bench.store.counts();
    assert_eq!(
        (
            counts.ram.bytes,
            counts.ram.limit_bytes,
            counts.disk.entries
        ),
        (100, 300, 2)
    );
    assert_eq!(bench.take(1), Ok(Tier::Disk));
}

#[test]
fn a_slow_disk_piles_nothing_up() {
    // A writer that never begins is the slowest there is.
    let (bench, (go, gate)) = (Bench::new(), std::sync::mpsc::channel::<()>());
    let gate = Arc::new(Mutex::new(gate));
    let spawn: Spawn = Box::new(move |body| {
        let gate = gate.clone();
        std::thread::Builder::new().spawn(move || {
            // Until the other end is dropped.
            gate.lock().recv().unwrap_err();
            body();
        })
    });
    let bench = Bench {
        store: Store::new(spawn),
        ..bench
    };
    bench.limit(0, Some(bench.scratch.path()), u64::MAX);
    // Dropped before the store, also by a panic: closing waits for the writer.
    let go = go;
    let quarter = LEAVING_BYTES as usize / 4;
    for session in 1..=6 {
        bench.store.put(key(session), cells(session, quarter));
    }
    let counts = bench.store.counts();
    assert_eq!((counts.leaving.entries, counts.dropped), (4, 2));
    assert!(counts.leaving.bytes <= counts.leaving.limit_bytes);
    // On their way they are as good as in memory.
    assert!(bench.store.read(key(1)).is_some());
    assert_eq!(
        bench.store.donor(1, &tokens(&[2, 7]), 1, 9),
        Some((key(2), 2))
    );
    assert_eq!(bench.take(3), Ok(Tier::Ram));
    assert_eq!(bench.take(5), Err(Loss::Evicted));
    bench.store.forget(2);
    drop(go);
    bench.store.flush();
    let counts = bench.store.counts();
    assert_eq!(
        (counts.leaving.entries, counts.disk.entries, counts.written),
        (0, 2, 2)
    );
    assert_eq!(bench.take(4), Ok(Tier::Disk));
}

#[test]
fn one_entry_may_be_larger_than_what_may_be_on_its_way() {
    let bench = Bench::with_disk(0, u64::MAX);
    bench.put(1, LEAVING_BYTES as usize + 1000);
    assert_eq!(bench.take(1), Ok(Tier::Disk));
}

#[test]
fn a_session_is_remembered_once_however_often_it_loses() {
    let bench = Bench::with_ram(0);
    for shape in 0..50 {
        bench.store.put(Key { shape, ..key(1) }, cells(1, 100));
    }
    assert_eq!(bench.store.shared.look(|index| index.losses()), 1);
    bench.store.forget(1);
    assert_eq!(bench.store.shared.look(|index| index.losses()), 0);
}
