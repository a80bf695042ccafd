//! The thread that writes to the disk, and what it and the reader share with those that only hand buffers over.
//!
//! It is started by the first entry that leaves for the disk. Everything about files is done between two visits to the
//! lock, never under it; a file belongs to the index only once the index has said that it still wants it.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::entry::Order;
use super::file::Seal;
use super::folder::Folder;
use super::index::{Chores, Index};
use super::reader::Reads;

/// The time, as a store sees it.
pub type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// What a store's callers and its writer share.
pub struct Shared {
    state: Mutex<State>,
    /// There is something to do.
    work: Condvar,
    /// There is something to read, or room for it.
    reads: Condvar,
    /// The writer or the reader has nothing to do, has ended, or its start has.
    quiet: Condvar,
    clock: Clock,
    /// Signs what is written.
    pub seal: Seal,
}

struct State {
    index: Index,
    hand: Hand,
    is_busy: bool,
    reads: Reads,
    is_closed: bool,
}

/// The life of the writer, or of the reader.
#[derive(Default)]
pub(super) enum Hand {
    #[default]
    None,
    Starting,
    Running(JoinHandle<()>),
}

/// What the writer does next, in this order.
struct Task {
    chores: Chores,
    write: Option<Order>,
}

impl Shared {
    /// An empty index and no writer.
    pub fn new(clock: Clock) -> Shared {
        Shared {
            state: Mutex::new(State {
                index: Index::new(),
                hand: Hand::None,
                is_busy: false,
                reads: Reads::default(),
                is_closed: false,
            }),
            work: Condvar::new(),
            reads: Condvar::new(),
            quiet: Condvar::new(),
            clock,
            seal: Seal::new(),
        }
    }

    /// Looks at the index, open or closed.
    pub fn look<R>(&self, look: impl FnOnce(&Index) -> R) -> R {
        look(&self.state.lock().index)
    }

    /// Works on the index of an open store. The flag: the caller has to start a writer and say so to `started`.
    pub fn act<R>(&self, act: impl FnOnce(&mut Index, Instant) -> R) -> Option<(R, bool)> {
        self.visit(|state, now| {
            let result = act(&mut state.index, now);
            let is_first = state.index.has_writes() && matches!(state.hand, Hand::None);
            if is_first {
                state.hand = Hand::Starting;
            }
            (result, is_first)
        })
    }

    /// Works on the index of an open store and on what is to be read. The flag: the caller has to start a reader and say so
    /// to `reader_started`.
    pub fn act_reading<R>(
        &self,
        act: impl FnOnce(&mut Index, &mut Reads) -> R,
    ) -> Option<(R, bool)> {
        self.visit(|state, _| {
            let result = act(&mut state.index, &mut state.reads);
            let is_first = state.reads.has_work() && matches!(state.reads.hand, Hand::None);
            if is_first {
                state.reads.hand = Hand::Starting;
            }
            self.reads.notify_one();
            (result, is_first)
        })
    }

    /// Changes what is to be read, in an open store or a closed one.
    pub fn let_read(&self, act: impl FnOnce(&mut Reads)) {
        let mut state = self.state.lock();
        act(&mut state.reads);
        drop(state);
        self.reads.notify_one();
        self.quiet.notify_all();
    }

    /// Waits until `next` finds something to read; `None` when the store is closed.
    pub fn wait_read<R>(
        &self,
        mut next: impl FnMut(&mut Index, &mut Reads) -> Option<R>,
    ) -> Option<R> {
        let mut guard = self.state.lock();
        loop {
            let state = &mut *guard;
            state.reads.is_busy = false;
            if state.is_closed {
                return None;
            }
            let before = state.reads.len();
            if let Some(found) = next(&mut state.index, &mut state.reads) {
                state.reads.is_busy = true;
                return Some(found);
            }
            // What has gone its way was left out; something may stand behind it.
            if state.reads.len() == before {
                self.quiet.notify_all();
                self.reads.wait(&mut guard);
            }
        }
    }

    /// The writer that `act` asked for, or why there is none.
    pub fn started(&self, writer: io::Result<JoinHandle<()>>) {
        let (handle, failure) = match writer {
            Ok(handle) => (Some(handle), None),
            Err(error) => (None, Some(error)),
        };
        let mut state = self.state.lock();
        if matches!(state.hand, Hand::Starting) {
            state.hand = handle.map_or(Hand::None, Hand::Running);
        }
        self.quiet.notify_all();
        drop(state);
        if let Some(error) = failure {
            self.failed(&error);
        }
    }

    /// Waits until writer and reader have nothing to do, or there is none.
    #[cfg(test)]
    pub fn flush(&self) {
        let mut state = self.state.lock();
        let writes = |state: &State| state.has_work() && !matches!(state.hand, Hand::None);
        let reads = |reads: &Reads| {
            (reads.is_busy || reads.has_work()) && !matches!(reads.hand, Hand::None)
        };
        while writes(&state) || reads(&state.reads) {
            self.quiet.wait(&mut state);
        }
    }

    /// Drops everything, ends the writer and waits for it. The folder goes with it.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.index.clear();
        let trash = state.index.take_trash();
        state.reads.give_up();
        self.work.notify_one();
        self.reads.notify_one();
        let is_starting = |state: &State| {
            matches!(state.hand, Hand::Starting) || matches!(state.reads.hand, Hand::Starting)
        };
        while is_starting(&state) {
            self.quiet.wait(&mut state);
        }
        let hands = [
            std::mem::take(&mut state.hand),
            std::mem::take(&mut state.reads.hand),
        ];
        drop(state);
        drop(trash);
        for hand in hands {
            if let Hand::Running(handle) = hand {
                // A panic of either costs the cache only.
                drop(handle.join());
            }
        }
    }

    /// Drops everything and lets the writer remove the folder; waits for that for at most `patience`.
    pub fn abandon(&self, patience: Duration) {
        let mut state = self.state.lock();
        state.is_closed = true;
        state.index.clear();
        state.reads.give_up();
        self.work.notify_one();
        self.reads.notify_one();
        let hand = std::mem::replace(&mut state.hand, Hand::None);
        drop(state);
        let end = Instant::now() + patience;
        while let Hand::Running(handle) = &hand
            && !handle.is_finished()
            && Instant::now() < end
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for something to do; `None` when the store is closed.
    fn next(&self) -> Option<Task> {
        let mut state = self.state.lock();
        state.is_busy = false;
        loop {
            if state.is_closed {
                return None;
            }
            // Files that give way to the next one are among the chores, and so are gone before it is written.
            let write = state.index.next_write();
            if write.is_some() || state.index.has_chores() {
                state.is_busy = true;
                let chores = state.index.take_chores();
                return Some(Task { chores, write });
            }
            self.quiet.notify_all();
            self.work.wait(&mut state);
        }
    }

    fn written(&self, order: &Order, path: PathBuf) -> bool {
        self.visit(|state, _| state.index.written(order, path))
            .unwrap_or(false)
    }

    fn failed(&self, error: &io::Error) {
        let is_first = self.visit(|state, now| state.index.failed(now));
        if is_first == Some(true) {
            log::warn!(target: "memory", "idle caches cannot be written to memory.spill_dir: {error}");
        }
    }

    /// One visit to the lock, unless the store is closed; what it leaves to be done or freed is passed on.
    fn visit<R>(&self, visit: impl FnOnce(&mut State, Instant) -> R) -> Option<R> {
        let now = (self.clock)();
        let mut state = self.state.lock();
        if state.is_closed {
            return None;
        }
        let result = visit(&mut state, now);
        let trash = state.index.take_trash();
        if state.index.has_writes() || state.index.has_chores() {
            self.work.notify_one();
        }
        drop(state);
        drop(trash);
        Some(result)
    }
}

impl State {
    #[cfg(test)]
    fn has_work(&self) -> bool {
        self.is_busy || self.index.has_writes() || self.index.has_chores()
    }
}

/// The writer, until the store is closed.
pub fn run(shared: &Shared) {
    let _ended = Ended(shared);
    let mut folder = None;
    while let Some(Task { chores, write }) = shared.next() {
        for path in chores.unwanted {
            // What cannot be removed goes with the folder.
            drop(fs::remove_file(path));
        }
        if chores.is_deserted {
            folder = None;
        }
        let Some(order) = write else {
            continue;
        };
        match write_file(&shared.seal, &mut folder, &order) {
            Ok(path) => {
                if !shared.written(&order, path.clone()) {
                    drop(fs::remove_file(path));
                }
            }
            Err(error) => shared.failed(&error),
        }
    }
}

/// Writes into the folder, which is made if there is none, and made anew once if it has vanished.
fn write_file(seal: &Seal, folder: &mut Option<Folder>, order: &Order) -> io::Result<PathBuf> {
    let write = |folder: &Folder| -> io::Result<PathBuf> {
        let path = folder.file(order.generation);
        seal.write(&path, &order.label(), &order.cells.state)?;
        Ok(path)
    };
    if let Some(there) = folder {
        match write(there) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => *folder = None,
            result => return result,
        }
    }
    write(folder.insert(Folder::create(&order.dir)?))
}

/// Tells those who wait when the writer ends, also by a panic. The next entry that leaves then starts another.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.is_busy = false;
        if !state.is_closed {
            let now = (self.0.clock)();
            state.index.failed(now);
            state.hand = Hand::None;
        }
        self.0.quiet.notify_all();
    }
}
