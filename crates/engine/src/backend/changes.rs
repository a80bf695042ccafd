//! What became of the models: the last changes, for status and log.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::Serialize;

/// Changes that are remembered.
const MOST: usize = 32;

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A model came that was not there.
    Loaded,
    /// A version took another one's place.
    Swapped,
    /// The version before came back, because it was asked for.
    RolledBack,
    /// A version that had been unloaded to make room came back.
    Woken,
    /// Nothing changed.
    Failed,
    /// The version before had gone already and was loaded again.
    Restored,
    /// The version before had gone already, and could not be loaded again: the next turn tries.
    Lost,
    /// It was unloaded, because that was asked for.
    Unloaded,
    /// It was unloaded to make room; the next turn brings it back.
    PutToSleep,
}

/// A change of one model, or an attempt.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The model.
    pub model: String,
    /// The label of the version before.
    pub from: Option<String>,
    /// The label of the version that was to come, or its file where that could not be read.
    pub to: Option<String>,
    /// How it ended.
    pub outcome: Ended,
    /// Both versions were in memory at once.
    pub beside: bool,
    /// From the request until it was over, without the wait for other loads.
    pub total_ms: f64,
    /// Of that, the time in which no version served.
    pub gap_ms: f64,
    /// What conversations lost by it, in words.
    pub objections: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Change {
    /// A change of `model` that ended now, and of which nothing else is known.
    pub fn of(model: &str, outcome: Ended) -> Change {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Change {
            at_ms: since.map_or(0, |time| time.as_millis() as u64),
            model: model.to_owned(),
            from: None,
            to: None,
            outcome,
            beside: true,
            total_ms: 0.0,
            gap_ms: 0.0,
            objections: Vec::new(),
            error: None,
        }
    }
}

/// The last changes, oldest first. Any thread.
#[derive(Debug, Default)]
pub struct Changes(Mutex<VecDeque<Change>>);

impl Changes {
    /// Remembers `change`.
    pub fn add(&self, change: Change) {
        let mut changes = self.0.lock();
        if changes.len() == MOST {
            changes.pop_front();
        }
        changes.push_back(change);
    }

    /// All that are remembered.
    pub fn list(&self) -> Vec<Change> {
        self.0.lock().iter().cloned().collect()
    }
}

/// As a number for a document.
pub fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
