//! Where log lines go: each backend has a journal, and the `log` facade finds it by the thread that writes.
//!
//! Opens sinks and sets levels; everybody else writes through the facade. Never touches stdout. A program that has set
//! a logger of its own keeps it: then all lines go there.

mod journal;
mod line;

use std::cell::RefCell;
use std::sync::{Arc, Once};

use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::RwLock;

pub use journal::Journal;

/// Journals of the open backends, oldest first.
static JOURNALS: RwLock<Vec<Arc<Journal>>> = RwLock::new(Vec::new());

thread_local! {
    static CURRENT: RefCell<Option<Arc<Journal>>> = const { RefCell::new(None) };
}

struct Router;

/// Adds a backend's journal; the first call makes the router the process's logger.
pub fn open(journal: &Arc<Journal>) {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // A program with a logger of its own keeps it.
        drop(log::set_logger(&Router));
    });
    JOURNALS.write().push(journal.clone());
    update_level();
}

/// Takes a journal out; lines of its threads go to the oldest one that is left.
pub fn close(journal: &Arc<Journal>) {
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

/// Lets the facade drop lines early that no journal wants.
pub fn update_level() {
    // Exclusive, so that of two changes the later one stands.
    let journals = JOURNALS.write();
    let level = journals.iter().map(|j| j.level()).max();
    log::set_max_level(level.unwrap_or(LevelFilter::Off));
}

impl Router {
    fn journal() -> Option<Arc<Journal>> {
        let current = CURRENT.try_with(|c| c.borrow().clone()).ok().flatten();
        current.or_else(|| JOURNALS.read().first().cloned())
    }
}

impl Log for Router {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Router::journal().is_some_and(|j| j.wants(metadata))
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(journal) = Router::journal()
            && journal.wants(record.metadata())
        {
            journal.write(record);
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests;
