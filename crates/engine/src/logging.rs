//! Where log lines go: each backend has a journal, and the `log` facade finds it by the thread that writes.
//!
//! Opens sinks and sets levels; everybody else writes through the facade. Never touches stdout. A program that has set
//! a logger of its own keeps it, and its level: then all lines go there.
//!
//! A line that no backend wants costs one relaxed load of the facade's level: neither its message nor its values are
//! looked at. One that another backend wants costs, in addition, a look at the thread's journal.

mod category;
mod directives;
mod journal;
mod line;
mod outlet;
mod pairs;
mod unblocked;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::RwLock;

pub use directives::Directives;
pub use journal::Journal;

/// Journals of the open backends, oldest first.
static JOURNALS: RwLock<Vec<Arc<Journal>>> = RwLock::new(Vec::new());

/// The process that opened the last of them.
static PROCESS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static CURRENT: RefCell<Option<Arc<Journal>>> = const { RefCell::new(None) };
}

struct Router;

/// Whether the router is the process's logger: a program that had one before keeps it.
static IS_INSTALLED: OnceLock<bool> = OnceLock::new();

/// Adds a backend's journal; the first call makes the router the process's logger.
pub fn open(journal: &Arc<Journal>) {
    IS_INSTALLED.get_or_init(|| log::set_logger(&Router).is_ok());
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    JOURNALS.write().push(journal.clone());
    update_level();
}

/// Takes a journal out; lines of its threads go to the oldest one that is left. What waits for its reader is written as far
/// as a moment's patience goes.
pub fn close(journal: &Arc<Journal>) {
    journal.finish();
    JOURNALS.write().retain(|j| !Arc::ptr_eq(j, journal));
    update_level();
}

/// Sends this thread's lines to `journal` while the guard lives.
pub fn enter(journal: &Arc<Journal>) -> Entered {
    // A host may call from a destructor that runs after those of its thread: then the oldest journal has to do.
    let before = CURRENT.try_with(|c| c.replace(Some(journal.clone())));
    Entered {
        before: before.ok().flatten(),
    }
}

/// Restores the thread's journal of before.
pub struct Entered {
    before: Option<Arc<Journal>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.before.take();
        // A thread that is being torn down has no journal any more.
        drop(CURRENT.try_with(|c| c.replace(before)));
    }
}

/// Whether lines of an open journal wait for their reader.
pub fn is_behind() -> bool {
    JOURNALS.read().iter().any(|journal| journal.is_behind())
}

/// Writes what waits, as far as readers take it now.
pub fn drain() {
    let journals = JOURNALS.read().clone();
    for journal in journals {
        journal.drain();
    }
}

/// As `drain`, and waits for readers, but not for long: the process ends. Does nothing in a child that was forked: the
/// lines are its parent's, and who held a lock is not there.
pub fn finish() {
    if PROCESS.load(Ordering::Relaxed) != std::process::id() {
        return;
    }
    let journals = JOURNALS.try_read().map(|journals| journals.clone());
    journals
        .iter()
        .flatten()
        .for_each(|journal| journal.finish());
}

/// Lets the facade drop lines early that no journal wants.
pub fn update_level() {
    if IS_INSTALLED.get() != Some(&true) {
        // The level is that of the program's own logger.
        return;
    }
    // Exclusive, so that of two changes the later one stands.
    let journals = JOURNALS.write();
    let level = journals.iter().map(|j| j.level()).max();
    log::set_max_level(level.unwrap_or(LevelFilter::Off));
}

impl Router {
    /// The journal that takes a line of this thread, if it wants it.
    fn wanting(metadata: &Metadata<'_>) -> Option<Arc<Journal>> {
        let wanting = |journal: &Arc<Journal>| journal.wants(metadata).then(|| journal.clone());
        let current = CURRENT.try_with(|c| c.borrow().as_ref().map(wanting));
        match current.ok().flatten() {
            Some(answer) => answer,
            // A thread that is not ours, or one that is being torn down.
            None => JOURNALS.read().first().and_then(wanting),
        }
    }
}

impl Log for Router {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Router::wanting(metadata).is_some()
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(journal) = Router::wanting(record.metadata()) {
            journal.write(record);
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests;
