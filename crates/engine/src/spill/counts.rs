//! What a store holds and what became of the rest, as numbers.

/// A snapshot; all numbers are of one moment. The last seven only rise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Kept in memory.
    pub ram: Held,
    /// In memory still, on their way to the disk.
    pub leaving: Held,
    /// In files.
    pub disk: Held,
    /// Files written.
    pub written: u64,
    /// Files that came back whole, taken or staged.
    pub read_back: u64,
    /// Those of them that were read ahead of need.
    pub staged: u64,
    /// Entries dropped for a budget, or because their folder is no longer the configured one.
    pub dropped: u64,
    /// Attempts to write that failed.
    pub failed_writes: u64,
    /// Files refused because they were not what was written.
    pub damaged: u64,
    /// Files that could not be read.
    pub unreadable: u64,
}

/// The entries of one tier. A session has one for each shape and kind of turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub entries: usize,
    /// State and tokens.
    pub bytes: u64,
    /// How many bytes there may be.
    pub limit_bytes: u64,
}

impl Held {
    /// One more.
    pub(super) fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }

    /// One less.
    pub(super) fn remove(&mut self, bytes: u64) {
        self.entries -= 1;
        self.bytes -= bytes;
    }
}
