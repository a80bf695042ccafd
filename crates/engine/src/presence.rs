//! Whether a conversation is still there, for those who keep what belongs to it.

use std::sync::atomic::{AtomicU8, Ordering};

const OPEN: u8 = 0;
const DETACHED: u8 = 1;
const GONE: u8 = 2;

/// A conversation's mark, shared by all who hold something of it. Any thread.
#[derive(Debug, Default)]
pub struct Presence(AtomicU8);

impl Presence {
    /// Whether it has an open context.
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) == OPEN
    }

    /// Whether it has ended: what is kept of it serves nobody any more.
    pub fn is_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GONE
    }

    /// A context was opened on it.
    pub fn open(&self) {
        self.0.store(OPEN, Ordering::Relaxed);
    }

    /// Its context was closed; it may be found again by its name.
    pub fn detach(&self) {
        self.0.store(DETACHED, Ordering::Relaxed);
    }

    /// It has ended, for good.
    pub fn end(&self) {
        self.0.store(GONE, Ordering::Relaxed);
    }
}
