//! The thread that reads files, so that nobody who computes or prepares turns waits for a disk.
//!
//! It is started by the first file that is wanted. What a turn waits for comes before what is read ahead of need. What was
//! read and is not used yet is bounded in bytes; one file may always be read, however large it is.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::entry::Filed;
use super::index::Index;
use super::writer::{Hand, Shared};
use super::{Cells, Key, Loss};

/// Bytes of one shape that may be read and not used yet: what turns of one model leave unused keeps none of another's.
const MOST_HELD: u64 = 64 << 20;

/// Keys that may wait to be read ahead of need; further ones are read when they are needed.
const MOST_AHEAD: usize = 64;

/// A file that is read for a turn. Dropping it gives up what was read; the file stays until somebody takes it.
pub struct Fetch(Arc<Slot>);

/// What becomes of it.
pub(super) struct Slot {
    shared: Arc<Shared>,
    filed: Filed,
    state: Mutex<State>,
}

struct State {
    outcome: Option<Outcome>,
    /// Bytes that it counts for.
    held: u64,
}

/// How a read ended.
#[derive(Clone)]
pub(super) enum Outcome {
    /// The cells, whole.
    Read(Arc<Cells>),
    /// Why there are none.
    Lost(Loss),
    /// They are not in that file any more: look again.
    Moved,
}

/// What the reader has to do.
#[derive(Default)]
pub(super) struct Reads {
    wanted: VecDeque<Weak<Slot>>,
    ahead: VecDeque<Key>,
    /// By shape.
    held: BTreeMap<u64, u64>,
    pub(super) hand: Hand,
    pub(super) is_busy: bool,
}

/// What it does next.
enum Task {
    Wanted(Arc<Slot>),
    Ahead(Filed),
}

impl Fetch {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.0.state.lock().outcome.is_some()
    }

    /// How it ended, if it has.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.0.state.lock().outcome.clone()
    }
}

impl Slot {
    fn end(&self, outcome: Outcome) {
        self.state.lock().outcome = Some(outcome);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let held = self.state.get_mut().held;
        if held > 0 {
            let shape = self.filed.key.shape;
            self.shared.let_read(|reads| reads.give_back(shape, held));
        }
    }
}

impl Reads {
    /// Whether there is something to read.
    pub(super) fn has_work(&self) -> bool {
        !self.wanted.is_empty() || !self.ahead.is_empty()
    }

    fn give_back(&mut self, shape: u64, bytes: u64) {
        if let Some(held) = self.held.get_mut(&shape) {
            *held -= bytes;
            if *held == 0 {
                self.held.remove(&shape);
            }
        }
    }

    /// The first file that a turn wants and that there is room for. What is not read yet counts for nothing, so that its last
    /// share may end here, under the lock.
    fn next_wanted(&mut self, index: &Index) -> Option<Task> {
        let mut at = 0;
        while let Some(wanted) = self.wanted.get(at) {
            let Some(slot) = wanted.upgrade() else {
                self.wanted.remove(at);
                continue;
            };
            if !index.is_filed(&slot.filed) {
                self.wanted.remove(at);
                slot.end(Outcome::Moved);
                continue;
            }
            let bytes = slot.filed.bytes();
            let held = self.held.get(&slot.filed.key.shape).copied().unwrap_or(0);
            if held == 0 || held + bytes <= MOST_HELD {
                self.wanted.remove(at);
                self.held.insert(slot.filed.key.shape, held + bytes);
                slot.state.lock().held = bytes;
                return Some(Task::Wanted(slot));
            }
            at += 1;
        }
        None
    }

    /// How many files may be to read.
    pub(super) fn len(&self) -> usize {
        self.wanted.len() + self.ahead.len()
    }

    /// A file is to be read for a turn.
    pub(super) fn want(&mut self, shared: &Arc<Shared>, filed: Filed) -> Fetch {
        let slot = Arc::new(Slot {
            shared: shared.clone(),
            filed,
            state: Mutex::new(State {
                outcome: None,
                held: 0,
            }),
        });
        self.wanted.push_back(Arc::downgrade(&slot));
        Fetch(slot)
    }

    /// A key's file is to be read ahead of need, if there are not too many.
    pub(super) fn want_ahead(&mut self, key: Key) {
        if self.ahead.len() < MOST_AHEAD && !self.ahead.contains(&key) {
            self.ahead.push_back(key);
        }
    }

    /// Nothing will be read: all pending fetches fail.
    pub(super) fn give_up(&mut self) {
        self.ahead.clear();
        for slot in self.wanted.drain(..).filter_map(|wanted| wanted.upgrade()) {
            slot.end(Outcome::Lost(Loss::Unreadable));
        }
    }
}

impl Shared {
    /// The reader that was asked for, or why there is none.
    pub fn reader_started(&self, reader: io::Result<std::thread::JoinHandle<()>>) {
        self.let_read(|reads| match reader {
            Ok(handle) if matches!(reads.hand, Hand::Starting) => {
                reads.hand = Hand::Running(handle);
            }
            Ok(_) => {}
            Err(error) => {
                log::warn!(target: "memory", "saved caches are not read: {error}");
                reads.hand = Hand::None;
                reads.give_up();
            }
        });
    }

    /// Waits for something to read; `None` when the store is closed.
    fn next_read(&self) -> Option<Task> {
        self.wait_read(|index, reads| {
            if let Some(task) = reads.next_wanted(index) {
                return Some(task);
            }
            // It may have gone its way since.
            let filed = index.filed(reads.ahead.pop_front()?)?;
            Some(Task::Ahead(filed))
        })
    }
}

/// The reader, until the store is closed.
pub(super) fn run(shared: &Arc<Shared>) {
    let _ended = Ended(shared);
    while let Some(task) = shared.next_read() {
        match task {
            Task::Ahead(filed) => {
                let read = shared.seal.read(&filed.path, &filed.label());
                let cells = read.map(|state| filed.cells(state));
                let outcome = cells.as_ref().map(Arc::clone);
                let staged = shared.act(|index, now| index.staged(&filed, outcome, now));
                if let (Some((true, _)), Err(fault)) = (staged, &cells) {
                    super::warn(filed.key, fault);
                }
            }
            Task::Wanted(slot) => {
                let filed = &slot.filed;
                let outcome = match shared.seal.read(&filed.path, &filed.label()) {
                    Ok(state) => Outcome::Read(filed.cells(state)),
                    Err(fault) => {
                        let refused = shared.act(|index, _| index.refuse(filed, &fault));
                        match refused {
                            Some((true, _)) => {
                                super::warn(filed.key, &fault);
                                Outcome::Lost(fault.loss())
                            }
                            Some((false, _)) => Outcome::Moved,
                            None => Outcome::Lost(Loss::Never),
                        }
                    }
                };
                slot.end(outcome);
            }
        }
    }
}

/// Fails pending fetches when the reader ends, also by a panic. The next fetch then starts another reader.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.let_read(|reads| {
            reads.is_busy = false;
            reads.give_up();
            if matches!(reads.hand, Hand::Running(_)) && std::thread::panicking() {
                reads.hand = Hand::None;
            }
        });
    }
}
