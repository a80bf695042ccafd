//! The store as its callers see it, over real files: each rule once.

mod budgets;
mod faults;
mod model;
mod races;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;

/// A folder of a test's own, removed after it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("spill-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Of an earlier process with the same number.
        drop(fs::remove_dir_all(&path));
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The names inside, sorted.
    pub fn names(&self) -> Vec<String> {
        names(&self.0)
    }

    /// The folder of the only store.
    fn folder(&self) -> PathBuf {
        let names = self.names();
        assert_eq!(names.len(), 1, "{names:?}");
        self.0.join(&names[0])
    }

    /// The store's files with cells, oldest first.
    fn files(&self) -> Vec<PathBuf> {
        let folder = self.folder();
        let mut names = names(&folder);
        names.retain(|name| name.ends_with(".kv"));
        names.into_iter().map(|name| folder.join(name)).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A store whose time passes by as much as a test says, and by default a microsecond with each call.
struct Bench {
    store: Store,
    time: Arc<Mutex<Instant>>,
    scratch: Scratch,
}

impl Bench {
    fn new() -> Bench {
        Bench::ticking(Duration::from_micros(1))
    }

    fn ticking(tick: Duration) -> Bench {
        let time = Arc::new(Mutex::new(Instant::now()));
        let clock = {
            let time = time.clone();
            move || {
                let mut time = time.lock();
                *time += tick;
                *time
            }
        };
        Bench {
            store: Store::with_clock(threads(), Box::new(clock)),
            time,
            scratch: Scratch::new(),
        }
    }

    /// With `ram` and `disk` bytes and the scratch folder.
    fn with_disk(ram: u64, disk: u64) -> Bench {
        let bench = Bench::new();
        bench.limit(ram, Some(bench.scratch.path()), disk);
        bench
    }

    /// Without a folder.
    fn with_ram(ram: u64) -> Bench {
        let bench = Bench::new();
        bench.limit(ram, None, 0);
        bench
    }

    fn limit(&self, ram_bytes: u64, dir: Option<&Path>, disk_bytes: u64) {
        self.store.set_limits(Limits {
            ram_bytes,
            dir: dir.map(Path::to_owned),
            disk_bytes,
            strategy: CacheStrategy::Lru,
        });
    }

    fn pass(&self, time: Duration) {
        *self.time.lock() += time;
    }

    /// Puts and waits until that has had all its effects.
    fn put(&self, session: u64, bytes: usize) {
        self.store.put(key(session), cells(session, bytes));
        self.store.flush();
    }

    /// Takes, checks what was taken and says from where.
    fn take(&self, session: u64) -> Result<Tier, Loss> {
        self.store.take_waiting(key(session)).map(|(found, tier)| {
            let expected = cells(session, found.state.len() + 8);
            assert!(found.state == expected.state && found.tokens == expected.tokens);
            tier
        })
    }
}

fn threads() -> Spawn {
    Box::new(|body| std::thread::Builder::new().spawn(body))
}

fn key(session: u64) -> Key {
    Key {
        session,
        shape: 1,
        exact: false,
    }
}

/// `bytes` in all, of which two tokens are 8; the content tells the session.
fn cells(session: u64, bytes: usize) -> Cells {
    let state = (0..bytes as u64 - 8).map(|i| (i * 31 + session * 7) as u8);
    Cells {
        tokens: tokens(&[session as i32, 7]),
        state: state.collect(),
        moved: false,
        presence: detached(),
    }
}

fn tokens(ids: &[i32]) -> Arc<[Token]> {
    ids.iter().copied().map(Token).collect()
}

#[test]
fn what_was_put_is_taken_once() {
    let bench = Bench::with_ram(1000);
    bench.put(1, 100);
    assert_eq!(bench.take(1), Ok(Tier::Ram));
    assert_eq!(bench.take(1), Err(Loss::Never));
}

#[test]
fn a_put_replaces_what_the_key_had_in_every_tier() {
    for ram in [1000, 0] {
        let bench = Bench::with_disk(ram, 1000);
        bench.put(1, 100);
        bench.put(1, 300);
        let (found, _) = bench.store.take_waiting(key(1)).ok().unwrap();
        assert_eq!(found.state.len(), 292);
        bench.store.flush();
        let counts = bench.store.counts();
        assert_eq!((counts.ram.bytes, counts.disk.bytes), (0, 0));
        assert_eq!(counts.dropped, 0);
    }
}

#[test]
fn a_file_gives_back_everything_that_was_put() {
    let bench = Bench::with_disk(0, 1 << 20);
    let presence = detached();
    let given = Cells {
        moved: true,
        presence: presence.clone(),
        ..cells(1, 600_000)
    };
    bench.store.put(key(1), given);
    bench.store.flush();
    let (tokens, moved) = bench.store.tokens(key(1)).unwrap();
    assert!(moved && *tokens == [Token(1), Token(7)]);
    assert_eq!(bench.scratch.files().len(), 1);
    let (found, tier) = bench.store.take_waiting(key(1)).ok().unwrap();
    assert!(found.moved && found.tokens == tokens && Arc::ptr_eq(&found.presence, &presence));
    assert!(found.state == cells(1, 600_000).state && tier == Tier::Disk);
    assert_eq!(bench.scratch.files(), Vec::<PathBuf>::new());
    let counts = bench.store.counts();
    assert_eq!((counts.written, counts.read_back, counts.staged), (1, 1, 0));
}

#[test]
fn cells_without_state_and_tokens_come_back_too() {
    let bench = Bench::with_disk(0, 1000);
    let given = Cells {
        tokens: tokens(&[]),
        ..cells(1, 8)
    };
    bench.store.put(key(1), given);
    bench.store.shrink(0);
    bench.store.flush();
    assert!(
        bench
            .store
            .take_waiting(key(1))
            .is_ok_and(|(found, _)| found.state.is_empty())
    );
}

#[test]
fn a_loss_says_what_became_of_the_cells() {
    let bench = Bench::with_ram(100);
    assert_eq!(bench.take(1), Err(Loss::Never));
    bench.put(1, 100);
    let other = Key { shape: 2, ..key(1) };
    assert_eq!(
        bench.store.take_waiting(other).err(),
        Some(Loss::OtherModel)
    );
    // Of the same model, but not for this kind of turn.
    let exact = Key {
        exact: true,
        ..key(1)
    };
    assert_eq!(bench.store.take_waiting(exact).err(), Some(Loss::Never));
    bench.put(2, 100);
    assert_eq!(bench.take(1), Err(Loss::Evicted));
    assert_eq!(bench.take(1), Err(Loss::Evicted), "until it puts again");
    bench.put(1, 100);
    assert_eq!(bench.take(1), Ok(Tier::Ram));
    assert_eq!(bench.take(2), Err(Loss::Evicted));
    bench.store.forget(2);
    assert_eq!(bench.take(2), Err(Loss::Never));
}

#[test]
fn a_forgotten_session_leaves_nothing_in_either_tier() {
    let bench = Bench::with_disk(100, 1000);
    bench.put(1, 100);
    bench.store.put(Key { shape: 2, ..key(1) }, cells(1, 100));
    bench.put(2, 100);
    bench.store.forget(1);
    bench.store.flush();
    let counts = bench.store.counts();
    assert_eq!((counts.ram.entries, counts.disk.entries), (1, 0));
    assert_eq!(bench.scratch.files(), Vec::<PathBuf>::new());
    assert_eq!(bench.take(1), Err(Loss::Never));
}

#[test]
fn the_donor_shares_the_longest_prefix_of_another_session() {
    let bench = Bench::with_ram(10_000);
    let put = |key: Key, ids: &[i32], moved| {
        let given = Cells {
            tokens: tokens(ids),
            moved,
            ..cells(key.session, 100)
        };
        bench.store.put(key, given);
    };
    put(key(1), &[1, 2, 3, 4, 5, 6], false);
    put(key(2), &[1, 2, 3], false);
    put(key(3), &[1, 2, 3, 4, 9], false);
    put(key(4), &[1, 2, 3, 4, 5], true);
    put(
        Key {
            exact: true,
            ..key(5)
        },
        &[1, 2, 3, 4, 5],
        false,
    );
    put(Key { shape: 2, ..key(6) }, &[1, 2, 3, 4, 5], false);
    let prompt = tokens(&[1, 2, 3, 4, 5]);
    let donor = |least, but| bench.store.donor(1, &prompt, least, but);
    assert_eq!(donor(1, 9), Some((key(1), 5)));
    assert_eq!(donor(4, 1), Some((key(3), 4)));
    assert_eq!(donor(5, 1), None);
    assert_eq!(bench.store.donor(1, &tokens(&[8]), 0, 9), None);
    assert!(
        bench
            .store
            .read(key(3))
            .is_some_and(|cells| cells.tokens.len() == 5)
    );
    assert!(bench.store.tokens(key(3)).is_some(), "a donor stays");
}

#[test]
fn only_cells_in_memory_are_read_or_donated() {
    let bench = Bench::with_disk(0, 1000);
    bench.put(1, 100);
    assert!(bench.store.read(key(1)).is_none());
    assert_eq!(bench.store.donor(1, &tokens(&[1, 7]), 1, 2), None);
}

#[test]
fn a_staged_entry_is_taken_from_memory() {
    let bench = Bench::with_disk(100, 1000);
    bench.put(1, 100);
    bench.put(2, 100);
    assert_eq!(bench.store.counts().disk.entries, 1);
    bench.store.stage(key(1));
    bench.store.stage(key(1));
    bench.store.stage(key(9));
    bench.store.flush();
    // The other one made room.
    assert_eq!(bench.scratch.files().len(), 1);
    assert_eq!(bench.take(1), Ok(Tier::Ram));
    assert_eq!(bench.take(2), Ok(Tier::Disk));
    let counts = bench.store.counts();
    assert_eq!((counts.staged, counts.read_back, counts.written), (1, 2, 2));
}

#[test]
fn what_memory_cannot_hold_is_not_staged() {
    let bench = Bench::with_disk(99, 1000);
    bench.put(1, 100);
    bench.store.stage(key(1));
    bench.store.flush();
    assert_eq!(bench.store.counts().staged, 0);
    assert_eq!(bench.take(1), Ok(Tier::Disk));
}

#[test]
fn nothing_is_started_or_created_before_something_is_written() {
    let started = Arc::new(AtomicU64::new(0));
    let counted = started.clone();
    let spawn: Spawn = Box::new(move |body| {
        counted.fetch_add(1, Ordering::Relaxed);
        std::thread::Builder::new().spawn(body)
    });
    let bench = Bench {
        store: Store::new(spawn),
        ..Bench::new()
    };
    bench.limit(100, Some(bench.scratch.path()), 1000);
    bench.put(1, 100);
    bench.store.forget(1);
    assert_eq!(
        (started.load(Ordering::Relaxed), bench.scratch.names().len()),
        (0, 0)
    );
    bench.put(2, 200);
    bench.put(3, 200);
    assert_eq!(
        (started.load(Ordering::Relaxed), bench.scratch.names().len()),
        (1, 1)
    );
}

#[test]
fn a_closed_store_has_removed_everything_and_keeps_nothing() {
    let bench = Bench::with_disk(100, 1000);
    for session in 1..5 {
        bench.put(session, 100);
    }
    bench.store.close();
    assert_eq!(bench.scratch.names(), Vec::<String>::new());
    bench.limit(100, Some(bench.scratch.path()), 1000);
    bench.put(9, 200);
    bench.store.stage(key(1));
    bench.store.forget(1);
    bench.store.close();
    assert_eq!(bench.take(9), Err(Loss::Never));
    assert_eq!(bench.take(1), Err(Loss::Never));
    assert_eq!(bench.store.shrink(0), 0);
    assert!(bench.store.read(key(4)).is_none() && bench.store.tokens(key(4)).is_none());
    assert_eq!(bench.store.donor(1, &tokens(&[1, 7]), 1, 9), None);
    let counts = bench.store.counts();
    assert_eq!(
        (counts.ram, counts.disk, counts.written),
        (Held::default(), Held::default(), 3)
    );
    assert_eq!(bench.scratch.names(), Vec::<String>::new());
}

/// The mark of a session without an open context.
fn detached() -> Arc<Presence> {
    let presence = Presence::default();
    presence.detach();
    Arc::new(presence)
}

#[test]
fn cells_of_a_session_that_has_ended_are_not_kept() {
    let bench = Bench::with_ram(1000);
    let cells = |presence: &Arc<Presence>| Cells {
        tokens: Arc::from([Token(1)]),
        state: vec![0; 100],
        moved: false,
        presence: presence.clone(),
    };
    let key = Key {
        session: 1,
        shape: 1,
        exact: false,
    };
    let presence = detached();
    bench.store.put(key, cells(&presence));
    assert_eq!(bench.store.counts().ram.entries, 1);
    presence.end();
    bench.store.forget(1);
    bench.store.put(key, cells(&presence));
    assert_eq!(bench.store.counts().ram.entries, 0);
    assert_eq!(bench.store.take_waiting(key).err(), Some(Loss::Never));
}
