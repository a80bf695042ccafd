//! The KV cells of idle and preempted conversations outside the pool: in memory, then in files.
//!
//! A cache of opaque bytes: whatever goes wrong costs a recomputation, never a wrong answer and never an error to
//! anybody. Files serve one store only and do not outlive it; a file is believed only if every byte of it is what this
//! store wrote last. Knows no model, no session and no configuration beyond its limits.

mod counts;
mod entry;
mod file;
mod folder;
mod index;
pub mod order;
mod prefixes;
mod reader;
mod shelves;
mod writer;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::config::CacheStrategy;
use crate::llama::Token;
use crate::presence::Presence;

pub use counts::Counts;
#[cfg(test)]
use counts::Held;
pub use file::random;
use index::Index;
pub use reader::Fetch;
use reader::{Outcome, Reads};
use writer::{Clock, Shared};

/// Whose cells, and of which model's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The session; a smaller number is an older session.
    pub session: u64,
    /// Fingerprint of everything that makes cells fit: model, types, layout.
    pub shape: u64,
    /// Cells of a deterministic turn, used for that turn only.
    pub exact: bool,
}

/// The cells of one sequence.
pub struct Cells {
    /// What they hold, in order.
    pub tokens: Arc<[Token]>,
    /// Their state, opaque.
    pub state: Vec<u8>,
    /// Whether positions were shifted: such cells are never given to another session.
    pub moved: bool,
    /// The session's mark, now and later.
    pub presence: Arc<Presence>,
}

/// Where cells were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// In memory, or still there on their way to the disk.
    Ram,
    /// In a file.
    Disk,
}

/// Why there are no cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing was kept, or it was taken.
    Never,
    /// They were dropped for a budget.
    Evicted,
    /// The session has cells of another shape only.
    OtherModel,
    /// Their file was missing or could not be read.
    Unreadable,
    /// Their file was not what had been written.
    Damaged,
}

/// How much may be kept, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in memory; 0: nothing stays there longer than it takes to write it.
    pub ram_bytes: u64,
    /// Where files go; `None`: what leaves memory is dropped.
    pub dir: Option<PathBuf>,
    /// Bytes in files.
    pub disk_bytes: u64,
    /// Who leaves memory first.
    pub strategy: CacheStrategy,
}

/// Starts the writer's or the reader's thread with the given body.
pub type Spawn =
    Box<dyn Fn(Box<dyn FnOnce() + Send>) -> std::io::Result<JoinHandle<()>> + Send + Sync>;

/// The store of one backend. Any thread; no call touches a file on the calling thread, and none but `close` waits for one.
/// Dropping it closes it.
pub struct Store {
    shared: Arc<Shared>,
    spawn: Spawn,
}

impl Store {
    /// An empty one without room; `set_limits` gives it some. Starts no thread and touches no file.
    ///
    /// `spawn` is called when something is to be written or read for the first time, on the thread that caused it.
    pub fn new(spawn: Spawn) -> Store {
        Store::with_clock(spawn, Box::new(Instant::now))
    }

    fn with_clock(spawn: Spawn, clock: Clock) -> Store {
        Store {
            shared: Arc::new(Shared::new(clock)),
            spawn,
        }
    }

    /// Sets the limits, and shrinks to them at once. Files in a folder other than `limits.dir` are dropped.
    pub fn set_limits(&self, mut limits: Limits) {
        // The host may change its working directory.
        limits.dir = limits
            .dir
            .map(|dir| std::path::absolute(&dir).unwrap_or(dir));
        self.act(|index, now| index.set_limits(limits, now));
    }

    /// Keeps cells in place of what the key had. Does no file I/O.
    pub fn put(&self, key: Key, cells: Cells) {
        self.act(|index, now| index.put(key, cells, now));
    }

    /// The tokens of a key's cells in either tier, and whether their positions were shifted.
    pub fn tokens(&self, key: Key) -> Option<(Arc<[Token]>, bool)> {
        self.act(|index, _| index.tokens(key)).flatten()
    }

    /// Has a key's file read for a turn that is about to take its cells. `None`: they are in no file.
    pub fn fetch(&self, key: Key) -> Option<Fetch> {
        self.act_reading(|shared, index, reads| {
            let filed = index.in_file(key)?;
            Some(reads.want(shared, filed))
        })
        .flatten()
    }

    /// Whether a fetch has ended, and there is nothing more to fetch.
    pub fn has(&self, fetch: &Fetch) -> bool {
        !matches!(fetch.outcome(), None | Some(Outcome::Moved))
    }

    /// Takes a key's cells out: those in memory, or those that were fetched. Touches no file.
    pub fn take(&self, key: Key, fetched: Option<Fetch>) -> Result<(Arc<Cells>, Tier), Loss> {
        match fetched.and_then(|fetch| fetch.outcome()) {
            Some(Outcome::Read(cells)) => self
                .act(|index, _| index.take_read(key, cells))
                .ok_or(Loss::Never),
            Some(Outcome::Lost(loss)) => Err(loss),
            Some(Outcome::Moved) | None => {
                let took = self.act(|index, _| index.take(key));
                // What is in a file left a moment ago, and nobody waits for it now.
                let cells = took.unwrap_or(Err(Loss::Never))?.ok_or(Loss::Evicted)?;
                Ok((cells, Tier::Ram))
            }
        }
    }

    /// Drops a key's cells. Returns why there are none, if there are none.
    pub fn remove(&self, key: Key) -> Option<Loss> {
        self.act(|index, _| index.remove(key))
            .unwrap_or(Some(Loss::Never))
    }

    /// A key's cells, if they are in memory; they stay there.
    pub fn read(&self, key: Key) -> Option<Arc<Cells>> {
        self.act(|index, now| index.read(key, now)).flatten()
    }

    /// The entry in memory of another session than `but` that shares the longest prefix with `prompt`, and how many
    /// tokens that is: `least` or more, and not 0. Entries that were moved or are exact are never given.
    ///
    /// Costs as much as a look at each token of the prompt, however many entries there are. It may have left by the
    /// time it is read.
    pub fn donor(
        &self,
        shape: u64,
        prompt: &[Token],
        least: usize,
        but: u64,
    ) -> Option<(Key, usize)> {
        let found = self.act(|index, _| index.donor(shape, prompt, but));
        found
            .flatten()
            .filter(|(_, length)| *length >= least.max(1))
    }

    /// Has a key's cells brought from their file into memory ahead of need. Does not wait.
    ///
    /// Nothing happens if they are not in a file, are larger than all of memory's budget, or if too many are to be brought.
    pub fn stage(&self, key: Key) {
        self.act_reading(|_, index, reads| {
            if index.filed(key).is_some() {
                reads.want_ahead(key);
            }
        });
    }

    /// Drops everything of a session, of every shape, and the memory of what it lost.
    pub fn forget(&self, session: u64) {
        self.act(|index, _| index.forget(session));
    }

    /// Entries leave memory, in the order of the strategy, until it holds at most `ram_bytes`; returns how many left.
    ///
    /// They go to the disk where they may, else they are dropped. The limit stays as it is set.
    pub fn shrink(&self, ram_bytes: u64) -> usize {
        self.act(|index, now| index.enforce(ram_bytes, None, now))
            .unwrap_or(0)
    }

    /// A snapshot. After `close` only the numbers that rise are left.
    pub fn counts(&self) -> Counts {
        self.shared.look(Index::counts)
    }

    /// Takes a key's cells out, wherever they are, and waits until their file has gone.
    #[cfg(test)]
    fn take_waiting(&self, key: Key) -> Result<(Arc<Cells>, Tier), Loss> {
        loop {
            let fetch = self.fetch(key);
            while fetch.as_ref().is_some_and(|fetch| !fetch.is_over()) {
                std::thread::yield_now();
            }
            if fetch.as_ref().is_none_or(|fetch| self.has(fetch)) {
                let was_filed = fetch.is_some();
                let took = self.take(key, fetch);
                if was_filed {
                    self.flush();
                }
                return took;
            }
        }
    }

    /// Waits until writer and reader have nothing to do.
    #[cfg(test)]
    fn flush(&self) {
        self.shared.flush();
    }

    /// Drops everything, ends writer and reader and removes the folder. Waits for a file that is written or read just now; afterwards every
    /// call finds an empty store that keeps nothing.
    pub fn close(&self) {
        self.shared.close();
    }

    /// As `close`, for a process that is ending: does not wait for long.
    pub fn abandon(&self) {
        self.shared.abandon(Duration::from_secs(1));
    }

    /// As `act`, on what is to be read, too.
    fn act_reading<R>(
        &self,
        act: impl FnOnce(&Arc<Shared>, &mut Index, &mut Reads) -> R,
    ) -> Option<R> {
        let shared = &self.shared;
        let acted = shared.act_reading(|index, reads| act(shared, index, reads));
        let (result, starts_reader) = acted?;
        if starts_reader {
            let shared = shared.clone();
            let reader = (self.spawn)(Box::new(move || reader::run(&shared)));
            self.shared.reader_started(reader);
        }
        Some(result)
    }

    /// `None` once the store is closed.
    fn act<R>(&self, act: impl FnOnce(&mut Index, Instant) -> R) -> Option<R> {
        let (result, starts_writer) = self.shared.act(act)?;
        if starts_writer {
            let shared = self.shared.clone();
            let writer = (self.spawn)(Box::new(move || writer::run(&shared)));
            self.shared.started(writer);
        }
        Some(result)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

impl Key {
    /// The least key of a session.
    fn first(session: u64) -> Key {
        Key {
            session,
            shape: 0,
            exact: false,
        }
    }

    /// Its greatest.
    fn last(session: u64) -> Key {
        Key {
            session,
            shape: u64::MAX,
            exact: true,
        }
    }
}

fn warn(key: Key, fault: &file::Fault) {
    log::warn!(target: "memory", "the cache of session {} is computed again: {fault}", key.session);
}
