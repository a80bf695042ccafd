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
mod shelves;
mod writer;

#[cfg(test)]
mod tests;

use std::fs;
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
use entry::Found;
pub use file::random;
use index::Index;
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

/// Starts the writer's thread with the given body.
pub type Spawn =
    Box<dyn Fn(Box<dyn FnOnce() + Send>) -> std::io::Result<JoinHandle<()>> + Send + Sync>;

/// The store of one backend. Any thread; no call but `close` waits for another one's file, and only `take`
/// and `stage` touch files on the calling thread. Dropping it closes it.
pub struct Store {
    shared: Arc<Shared>,
    spawn: Spawn,
}

impl Store {
    /// An empty one without room; `set_limits` gives it some. Starts no thread and touches no file.
    ///
    /// `spawn` is called when something is to be written for the first time, on the thread that caused it.
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

    /// Takes a key's cells out, reading and verifying their file if they are in one.
    pub fn take(&self, key: Key) -> Result<(Arc<Cells>, Tier), Loss> {
        let found = self.act(|index, _| index.take(key));
        let filed = match found.unwrap_or(Err(Loss::Never))? {
            Found::Ram(cells) => return Ok((cells, Tier::Ram)),
            Found::Disk(filed) => filed,
        };
        let read = self.shared.seal.read(&filed.path, &filed.label());
        // What cannot be removed goes with the folder.
        drop(fs::remove_file(&filed.path));
        match read {
            Ok(state) => {
                self.act(|index, _| index.count_read_back());
                Ok((filed.cells(state), Tier::Disk))
            }
            Err(fault) => {
                if self.act(|index, _| index.count_fault(&fault)).is_some() {
                    warn(key, &fault);
                }
                Err(fault.loss())
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

    /// Brings a key's cells from their file into memory ahead of need, on the calling thread.
    ///
    /// Nothing happens if they are not in a file or are larger than all of memory's budget.
    pub fn stage(&self, key: Key) {
        let Some(filed) = self.act(|index, _| index.filed(key)).flatten() else {
            return;
        };
        let read = self.shared.seal.read(&filed.path, &filed.label());
        let cells = read.map(|state| filed.cells(state));
        let outcome = cells.as_ref().map(Arc::clone);
        let is_news = self.act(|index, now| index.staged(&filed, outcome, now));
        if let (Some(true), Err(fault)) = (is_news, &cells) {
            warn(key, fault);
        }
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

    /// Waits until the writer has nothing to do.
    #[cfg(test)]
    fn flush(&self) {
        self.shared.flush();
    }

    /// Drops everything, ends the writer and removes its folder. Waits for a write that is under way; afterwards every
    /// call finds an empty store that keeps nothing.
    pub fn close(&self) {
        self.shared.close();
    }

    /// As `close`, for a process that is ending: does not wait for long.
    pub fn abandon(&self) {
        self.shared.abandon(Duration::from_secs(1));
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
