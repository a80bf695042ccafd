//! What breaks, and what it costs: a recomputation.

use super::*;
use crate::spill::file::{Fault, Label, Seal};
use crate::spill::index::RETRY;

/// One entry of 100 bytes in a file; what `damage` does to that file; what the session then gets.
fn check(damage: impl FnOnce(&Path), expect: Result<Tier, Loss>) {
    let bench = Bench::with_disk(0, 1000);
    bench.put(1, 100);
    damage(&bench.scratch.files()[0]);
    assert_eq!(bench.take(1), expect);
    // A turn that comes for its cells once more learns why there are none.
    assert_eq!(bench.take(1), Err(expect.err().unwrap_or(Loss::Never)));
    let counts = bench.store.counts();
    assert_eq!((counts.disk.entries, counts.disk.bytes), (0, 0));
    assert_eq!(counts.damaged, u64::from(expect == Err(Loss::Damaged)));
    assert_eq!(
        counts.unreadable,
        u64::from(expect == Err(Loss::Unreadable))
    );
    bench.store.close();
    assert_eq!(bench.scratch.names(), Vec::<String>::new());
}

fn resize(path: &Path, by: i64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_add_signed(by)).unwrap();
}

#[test]
fn an_untouched_file_is_believed() {
    check(|_| (), Ok(Tier::Disk));
}

#[test]
fn a_missing_file_is_unreadable() {
    check(|path| fs::remove_file(path).unwrap(), Err(Loss::Unreadable));
}

#[test]
fn a_folder_in_its_place_is_unreadable() {
    let replace = |path: &Path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        fs::write(path.join("file"), "x").unwrap();
    };
    check(replace, Err(Loss::Unreadable));
}

#[test]
fn a_link_in_its_place_is_not_followed() {
    let replace = |path: &Path| {
        let moved = path.with_extension("moved");
        fs::rename(path, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, path).unwrap();
    };
    check(replace, Err(Loss::Unreadable));
}

#[test]
fn a_file_of_another_length_is_damaged() {
    for by in [i64::MIN, -100, -1, 1, 4096] {
        check(|path| resize(path, by), Err(Loss::Damaged));
    }
}

#[test]
fn a_flip_of_any_byte_is_damage() {
    let scratch = Scratch::new();
    let (path, seal, cells) = (scratch.path().join("file"), Seal::new(), cells(1, 100));
    let label = Label {
        key: key(1),
        generation: 5,
        moved: false,
        tokens: &cells.tokens,
        state_bytes: cells.state.len(),
    };
    seal.write(&path, &label, &cells.state).unwrap();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in [1, 0x80] {
            let mut flipped = whole.clone();
            flipped[at] ^= bit;
            fs::write(&path, &flipped).unwrap();
            let read = seal.read(&path, &label);
            assert!(matches!(read, Err(Fault::Damaged(_))), "byte {at}");
        }
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let read = seal.read(&path, &label);
        assert!(matches!(read, Err(Fault::Damaged(_))), "cut at {length}");
    }
    fs::write(&path, &whole).unwrap();
    assert!(seal.read(&path, &label).unwrap() == cells.state);
    let other = Seal::new();
    assert!(
        matches!(other.read(&path, &label), Err(Fault::Damaged(_))),
        "another store's"
    );
}

#[test]
fn files_of_two_sessions_that_were_swapped_are_damaged() {
    let bench = Bench::with_disk(0, 1000);
    bench.put(1, 100);
    bench.put(2, 100);
    let files = bench.scratch.files();
    let contents: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    fs::write(&files[0], &contents[1]).unwrap();
    fs::write(&files[1], &contents[0]).unwrap();
    assert_eq!(bench.take(1), Err(Loss::Damaged));
    assert_eq!(bench.take(2), Err(Loss::Damaged));
    assert_eq!(bench.scratch.files(), Vec::<PathBuf>::new());
}

#[test]
fn an_older_file_of_the_same_session_is_damaged() {
    let bench = Bench::with_disk(0, 1000);
    bench.put(1, 100);
    let old = fs::read(&bench.scratch.files()[0]).unwrap();
    bench.put(1, 100);
    fs::write(&bench.scratch.files()[0], old).unwrap();
    assert_eq!(bench.take(1), Err(Loss::Damaged));
}

#[test]
fn a_damaged_file_that_was_to_be_staged_is_remembered_as_such() {
    let bench = Bench::with_disk(100, 1000);
    bench.put(1, 100);
    bench.store.shrink(0);
    bench.store.flush();
    resize(&bench.scratch.files()[0], -1);
    bench.store.stage(key(1));
    bench.store.stage(key(1));
    bench.store.flush();
    assert_eq!(bench.take(1), Err(Loss::Damaged));
    let counts = bench.store.counts();
    assert_eq!((counts.damaged, counts.staged, counts.dropped), (1, 0, 0));
    assert_eq!(bench.scratch.files(), Vec::<PathBuf>::new());
}

/// A folder that cannot be created, however mighty the user: its parent is a file.
fn broken(bench: &Bench) -> PathBuf {
    let file = bench.scratch.path().join("file");
    fs::write(&file, "").unwrap();
    file.join("folder")
}

#[test]
fn a_disk_that_fails_is_left_alone_for_a_while() {
    let bench = Bench::new();
    let dir = broken(&bench);
    bench.limit(0, Some(&dir), 1000);
    for session in 1..=3 {
        bench.put(session, 100);
        assert_eq!(bench.take(session), Err(Loss::Evicted));
    }
    assert_eq!(bench.store.counts().failed_writes, 1);
    bench.pass(RETRY);
    bench.put(4, 100);
    assert_eq!(bench.store.counts().failed_writes, 2);
    fs::remove_file(bench.scratch.path().join("file")).unwrap();
    bench.put(5, 100);
    assert_eq!(bench.take(5), Err(Loss::Evicted), "not tried again yet");
    bench.pass(RETRY);
    bench.put(6, 100);
    assert_eq!(bench.take(6), Ok(Tier::Disk));
    let counts = bench.store.counts();
    assert_eq!(
        (counts.failed_writes, counts.written, counts.dropped),
        (2, 1, 5)
    );
}

#[test]
fn what_could_not_be_written_stays_in_memory_within_its_budget() {
    let bench = Bench::new();
    bench.limit(250, Some(&broken(&bench)), 1000);
    bench.put(1, 100);
    bench.put(2, 100);
    assert_eq!(bench.store.shrink(0), 2);
    bench.store.flush();
    let counts = bench.store.counts();
    assert_eq!(
        (counts.ram.entries, counts.leaving.entries, counts.dropped),
        (2, 0, 0)
    );
    bench.put(3, 100);
    assert_eq!(bench.take(1), Err(Loss::Evicted));
    assert_eq!(bench.take(2), Ok(Tier::Ram));
}

#[test]
fn a_spell_of_failures_is_told_once() {
    let now = Instant::now();
    let mut index = Index::new();
    let limits = Limits {
        ram_bytes: 0,
        dir: Some("folder".into()),
        disk_bytes: 1000,
        strategy: CacheStrategy::Lru,
    };
    index.set_limits(limits, now);
    assert!(index.failed(now));
    assert!(!index.failed(now + RETRY));
    index.put(key(1), cells(1, 100), now + 3 * RETRY);
    let order = index.next_write().unwrap();
    assert!(index.written(&order, "file".into()));
    assert!(index.failed(now + 4 * RETRY));
}

#[test]
fn a_thread_that_cannot_be_started_is_a_disk_that_fails() {
    let spawn: Spawn = Box::new(|_| Err(std::io::Error::other("no thread")));
    let bench = Bench {
        store: Store::new(spawn),
        ..Bench::new()
    };
    bench.limit(100, Some(bench.scratch.path()), 1000);
    bench.put(1, 100);
    bench.put(2, 100);
    let counts = bench.store.counts();
    assert_eq!(
        (counts.failed_writes, counts.dropped, counts.ram.entries),
        (1, 1, 1)
    );
    bench.store.close();
}

#[test]
fn a_folder_that_was_deleted_costs_its_files_and_is_made_anew() {
    let bench = Bench::with_disk(0, 1000);
    bench.put(1, 100);
    let before = bench.scratch.folder();
    fs::remove_dir_all(&before).unwrap();
    bench.put(2, 100);
    assert_eq!(bench.take(1), Err(Loss::Unreadable));
    assert_eq!(bench.take(2), Ok(Tier::Disk));
    assert_ne!(bench.scratch.folder(), before);
    assert_eq!(bench.store.counts().failed_writes, 0);
    // With the configured folder itself.
    fs::remove_dir_all(bench.scratch.path()).unwrap();
    bench.put(3, 100);
    assert_eq!(bench.take(3), Ok(Tier::Disk));
}

#[test]
fn a_new_store_removes_what_a_killed_process_left_and_no_living_store() {
    let living = Bench::with_disk(0, 1000);
    living.put(1, 100);
    let dead = living.scratch.path().join("wasi-nn-kv-1-0");
    fs::create_dir(&dead).unwrap();
    for name in ["lock", "0000000000000001.kv"] {
        fs::write(dead.join(name), "").unwrap();
    }
    let next = Bench::new();
    next.limit(0, Some(living.scratch.path()), 1000);
    next.put(2, 100);
    assert!(!dead.exists());
    assert_eq!(living.take(1), Ok(Tier::Disk));
    assert_eq!(next.take(2), Ok(Tier::Disk));
    next.store.close();
    assert_eq!(living.scratch.names().len(), 1);
}
