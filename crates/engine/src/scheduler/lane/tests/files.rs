//! Turns whose cells are in a file, with a disk that hangs until a test lets it go on.

use std::sync::mpsc;

use super::super::super::reuse::Hit;
use super::*;
use crate::spill;

/// A store that writes to a folder of its own at once, and reads only when something is sent.
fn hanging(name: &str) -> (Arc<Store>, mpsc::Sender<()>, std::path::PathBuf) {
    let name = format!("wasi-nn-hanging-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let (release, released) = mpsc::channel();
    let reader = parking_lot::Mutex::new((0, Some(released)));
    let store = Store::new(Box::new(move |body| {
        let mut threads = reader.lock();
        threads.0 += 1;
        // The first one writes, the second one reads.
        let released = if threads.0 == 2 {
            threads.1.take()
        } else {
            None
        };
        std::thread::Builder::new().spawn(move || {
            if let Some(released) = released {
                // A test that fails lets go of the other end.
                let _ = released.recv();
            }
            body();
        })
    }));
    store.set_limits(spill::Limits {
        ram_bytes: 0,
        dir: Some(folder.clone()),
        disk_bytes: 64 << 20,
        strategy: CacheStrategy::Lru,
    });
    (Arc::new(store), release, folder)
}

#[test]
fn a_turn_waits_for_its_file_and_nobody_waits_for_the_disk() {
    let mut bench = Bench::new();
    let (store, release, folder) = hanging("turn");
    bench.lane.keeping.store = store.clone();
    let first = bench.enter(RIVERS);
    bench.finish();
    let session = bench.turns;
    bench.lane.thin(0, true, Instant::now());
    while store.counts().disk.entries == 0 {
        std::thread::yield_now();
    }
    let (work, standing, caller) = bench.wait(RIVERS, session);
    let now = Instant::now();
    for _ in 0..2 {
        let refused = bench.lane.reserve(&work, false, now).err();
        assert_eq!(refused, Some(Refusal::Fetching));
        assert!(work.is_fetching());
    }
    // Others come and go meanwhile.
    let other = bench.enter(COUNT);
    bench.finish();
    assert_eq!(other.answer().unwrap(), alone(COUNT));
    assert!(work.is_fetching());
    release.send(()).unwrap();
    while work.is_fetching() {
        std::thread::yield_now();
    }
    let seat = bench.lane.reserve(&work, false, now).ok().unwrap();
    assert!(seat.enter(work, standing, now).is_ok());
    bench.finish();
    assert_eq!(caller.answer().unwrap(), first.answer().unwrap());
    let reuse = &bench.lane.totals.reuse;
    assert_eq!(
        (reuse.hits(Hit::Disk), bench.lane.totals.restores.get()),
        (1, 1)
    );
    drop(bench);
    store.close();
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_turn_that_is_cancelled_while_its_file_is_read_leaves_the_file_to_the_next_one() {
    let mut bench = Bench::new();
    let (store, release, folder) = hanging("cancelled");
    bench.lane.keeping.store = store.clone();
    let _first = bench.enter(RIVERS);
    bench.finish();
    let session = bench.turns;
    bench.lane.thin(0, true, Instant::now());
    while store.counts().disk.entries == 0 {
        std::thread::yield_now();
    }
    let (work, _standing, caller) = bench.wait(RIVERS, session);
    assert!(bench.lane.reserve(&work, false, Instant::now()).is_err());
    caller.cancel();
    assert!(matches!(
        desk::over(&work, Instant::now()),
        Some(Error::Cancelled)
    ));
    work.fail(Error::Cancelled);
    release.send(()).unwrap();
    let (work, standing, caller) = bench.wait(RIVERS, session);
    let now = Instant::now();
    let seat = loop {
        match bench.lane.reserve(&work, false, now) {
            Ok(seat) => break seat,
            Err(refusal) => assert_eq!(refusal, Refusal::Fetching),
        }
        std::thread::yield_now();
    };
    assert!(seat.enter(work, standing, now).is_ok());
    bench.finish();
    assert_eq!(caller.answer().unwrap(), alone(RIVERS));
    assert_eq!(bench.lane.totals.reuse.hits(Hit::Disk), 1);
    drop(bench);
    store.close();
    std::fs::remove_dir_all(folder).unwrap();
}
