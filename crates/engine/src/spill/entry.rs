//! One conversation's cells and the place where they are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::file::Label;
use super::order::Idle;
use super::{Cells, Key};
use crate::llama::Token;
use crate::presence::Presence;

/// What is known of an entry wherever its state is.
pub struct Entry {
    /// What the cells hold.
    pub tokens: Arc<[Token]>,
    /// Length of the state in bytes.
    pub state_bytes: usize,
    /// Positions were shifted.
    pub moved: bool,
    /// The session's mark.
    pub presence: Arc<Presence>,
    /// When it was last of use.
    pub used: Instant,
    /// Of its put, then of its latest departure.
    pub generation: u64,
    /// Where its state is.
    pub place: Place,
}

/// Where a state is.
pub enum Place {
    /// In memory.
    Ram(Arc<Cells>),
    /// In memory until its file is written.
    Leaving(Arc<Cells>),
    /// In this file.
    Disk(PathBuf),
}

/// An entry whose state is in a file.
pub struct Filed {
    /// Whose.
    pub key: Key,
    /// Where.
    pub path: PathBuf,
    /// Which departure.
    pub generation: u64,
    tokens: Arc<[Token]>,
    state_bytes: usize,
    moved: bool,
    presence: Arc<Presence>,
}

/// An entry to be written.
pub struct Order {
    /// Whose.
    pub key: Key,
    /// Which departure.
    pub generation: u64,
    /// What.
    pub cells: Arc<Cells>,
    /// The folder that was configured when the order was given.
    pub dir: PathBuf,
}

impl Entry {
    /// One that was put just now.
    pub fn new(cells: Cells, generation: u64, now: Instant) -> Entry {
        Entry {
            tokens: cells.tokens.clone(),
            state_bytes: cells.state.len(),
            moved: cells.moved,
            presence: cells.presence.clone(),
            used: now,
            generation,
            place: Place::Ram(Arc::new(cells)),
        }
    }

    /// State and tokens.
    pub fn bytes(&self) -> u64 {
        (self.state_bytes + size_of_val(&*self.tokens)) as u64
    }

    /// The cells, if they are in memory.
    pub fn cells(&self) -> Option<&Arc<Cells>> {
        match &self.place {
            Place::Ram(cells) | Place::Leaving(cells) => Some(cells),
            Place::Disk(_) => None,
        }
    }

    /// What the order of leaving looks at.
    pub fn idle(&self, session: u64, now: Instant) -> Idle {
        Idle {
            tokens: self.tokens.len(),
            idle: now.saturating_duration_since(self.used),
            session,
            open: self.presence.is_open(),
        }
    }

    /// The entry as one in the file `path`.
    pub fn filed(&self, key: Key, path: &Path) -> Filed {
        Filed {
            key,
            path: path.to_owned(),
            generation: self.generation,
            tokens: self.tokens.clone(),
            state_bytes: self.state_bytes,
            moved: self.moved,
            presence: self.presence.clone(),
        }
    }

    /// Whether this is still the entry of that departure, on its way.
    pub fn is_leaving(&self, generation: u64) -> bool {
        self.generation == generation && matches!(self.place, Place::Leaving(_))
    }

    /// Whether this is still the entry of that departure, arrived.
    pub fn is_filed(&self, generation: u64) -> bool {
        self.generation == generation && matches!(self.place, Place::Disk(_))
    }
}

impl Filed {
    /// State and tokens.
    pub fn bytes(&self) -> u64 {
        (self.state_bytes + size_of_val(&*self.tokens)) as u64
    }

    /// What must stand in the file.
    pub fn label(&self) -> Label<'_> {
        Label {
            key: self.key,
            generation: self.generation,
            moved: self.moved,
            tokens: &self.tokens,
            state_bytes: self.state_bytes,
        }
    }

    /// The cells, with the state that was read.
    pub fn cells(&self, state: Vec<u8>) -> Arc<Cells> {
        Arc::new(Cells {
            tokens: self.tokens.clone(),
            state,
            moved: self.moved,
            presence: self.presence.clone(),
        })
    }
}

impl Order {
    /// What will stand in the file.
    pub fn label(&self) -> Label<'_> {
        Label {
            key: self.key,
            generation: self.generation,
            moved: self.cells.moved,
            tokens: &self.cells.tokens,
            state_bytes: self.cells.state.len(),
        }
    }
}
