//! What became of the models: the last changes, for status and log.

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::status::{Change, ChangeCounts, Outcome};

/// Changes that are remembered.
const MOST: usize = 32;

/// A change of `model` of which nothing else is known.
pub fn change(model: &str, outcome: Outcome) -> Change {
    Change {
        at_ms: 0,
        model: model.to_owned(),
        from: None,
        to: None,
        outcome,
        beside: false,
        total_ms: 0.0,
        gap_ms: 0.0,
        objections: Vec::new(),
        error: None,
    }
}

/// The last changes, and how many there were. Any thread.
#[derive(Debug, Default)]
pub struct Changes(Mutex<(VecDeque<Change>, ChangeCounts)>);

impl Changes {
    /// Remembers `change`, which is over now.
    pub fn add(&self, mut change: Change) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        change.at_ms = since.map_or(0, |time| time.as_millis() as u64);
        let (changes, counts) = &mut *self.0.lock();
        counts.add(change.outcome);
        if changes.len() == MOST {
            changes.pop_front();
        }
        changes.push_back(change);
    }

    /// Those that are remembered, oldest first.
    pub fn list(&self) -> Vec<Change> {
        self.0.lock().0.iter().cloned().collect()
    }

    /// All since the backend was opened.
    pub fn counts(&self) -> ChangeCounts {
        self.0.lock().1
    }
}
