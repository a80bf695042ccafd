//! Where turns found the beginning of their tokens, and why they did not.
//!
//! Counters only. A turn that found any counts one hit; a turn that had to evaluate something of its past again counts one
//! miss, with its reason. It can be both.

use crate::metrics::Counter;
use crate::spill::{Loss, Tier};

/// Where the tokens were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// In its own idle sequence.
    Pool,
    /// In cells of another session that began alike.
    Shared,
    /// In its own cells that were kept in memory.
    Ram,
    /// In its own cells that were kept in a file.
    Disk,
}

/// Why something of the past was evaluated again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// There was no past: the first turn of its conversation, and nobody began alike.
    New,
    /// The prompt differs from what was kept: the history was edited, or the template writes old messages anew.
    Changed,
    /// Old turns gave way to this one, and what followed them was not moved.
    Trimmed,
    /// Nothing was to be kept: `cache_prompt` is off, or its last turn failed.
    NotKept,
    /// It was dropped for a budget.
    Evicted,
    /// It belongs to another model or another shape of the cache.
    OtherModel,
    /// Its file could not be read.
    Unreadable,
    /// Its file was cut, changed or exchanged.
    Damaged,
    /// The model's memory cannot be taken back to where the prompt differs.
    NotRewindable,
    /// llama.cpp did not take it.
    Refused,
}

impl Hit {
    /// All, in the order of their counters.
    pub const ALL: [Hit; 4] = [Hit::Pool, Hit::Shared, Hit::Ram, Hit::Disk];

    /// Its name in the status.
    pub fn name(self) -> &'static str {
        ["pool", "shared", "ram", "disk"][self as usize]
    }
}

impl Miss {
    /// All, in the order of their counters.
    pub const ALL: [Miss; 10] = [
        Miss::New,
        Miss::Changed,
        Miss::Trimmed,
        Miss::NotKept,
        Miss::Evicted,
        Miss::OtherModel,
        Miss::Unreadable,
        Miss::Damaged,
        Miss::NotRewindable,
        Miss::Refused,
    ];

    /// Its name in the status.
    pub fn name(self) -> &'static str {
        [
            "new",
            "changed",
            "trimmed",
            "not_kept",
            "evicted",
            "other_model",
            "unreadable",
            "damaged",
            "not_rewindable",
            "refused",
        ][self as usize]
    }
}

impl From<Tier> for Hit {
    fn from(tier: Tier) -> Hit {
        match tier {
            Tier::Ram => Hit::Ram,
            Tier::Disk => Hit::Disk,
        }
    }
}

impl From<Loss> for Miss {
    fn from(loss: Loss) -> Miss {
        match loss {
            Loss::Never => Miss::NotKept,
            Loss::Evicted => Miss::Evicted,
            Loss::OtherModel => Miss::OtherModel,
            Loss::Unreadable => Miss::Unreadable,
            Loss::Damaged => Miss::Damaged,
        }
    }
}

/// The counters.
#[derive(Debug, Default)]
pub struct Reuse {
    hits: [Counter; Hit::ALL.len()],
    misses: [Counter; Miss::ALL.len()],
    /// Tokens found, wherever they were.
    pub tokens: Counter,
}

impl Reuse {
    /// A turn found `tokens` of its tokens there.
    pub fn hit(&self, hit: Hit, tokens: usize) {
        self.hits[hit as usize].count();
        self.tokens.add(tokens as u64);
    }

    /// A turn evaluates something of its past again.
    pub fn miss(&self, miss: Miss) {
        self.misses[miss as usize].count();
    }

    /// Turns that found tokens there.
    pub fn hits(&self, hit: Hit) -> u64 {
        self.hits[hit as usize].get()
    }

    /// Turns that missed for this reason.
    pub fn misses(&self, miss: Miss) -> u64 {
        self.misses[miss as usize].get()
    }

    /// Turns that found tokens anywhere.
    pub fn all_hits(&self) -> u64 {
        self.hits.iter().map(Counter::get).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_counter_and_a_name_of_its_own() {
        for (index, hit) in Hit::ALL.into_iter().enumerate() {
            assert_eq!(hit as usize, index);
        }
        for (index, miss) in Miss::ALL.into_iter().enumerate() {
            assert_eq!(miss as usize, index);
        }
        let mut names: Vec<&str> = Miss::ALL.into_iter().map(Miss::name).collect();
        names.extend(Hit::ALL.map(Hit::name));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Hit::ALL.len() + Miss::ALL.len());
    }
}
