//! All models of a backend, as part of the MODEL document.

use schemars::JsonSchema;
use serde::Serialize;

/// One model.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Served {
    /// Its name; plain loads are of `default`.
    pub name: String,
    /// What it is doing.
    pub state: State,
    /// Counts its versions from 1; null while its next one is on its way.
    pub version: Option<u64>,
    /// What the version is called.
    pub label: Option<String>,
    /// The version's handle.
    pub graph: Option<u32>,
    /// The file that it was loaded from.
    pub file: Option<String>,
    /// Turns that use it now.
    pub leases: u64,
    /// Bytes of weights; models of one file share them.
    pub weights_bytes: u64,
    /// Bytes of KV cells and compute buffers.
    pub buffer_bytes: u64,
    /// How long its last load took, in milliseconds.
    pub load_time_ms: Option<u64>,
    /// Since it was used, in milliseconds.
    pub idle_ms: u64,
    /// Conversations whose next turns it answers.
    pub sessions: u64,
    /// Turns that wait for it.
    pub waiting: u64,
    /// Turns that run on it.
    pub running: u64,
    /// Times that this version began again with fresh cells, because a panic left some beyond repair.
    pub restarts: u64,
    /// Versions before this one whose turns have not ended.
    pub draining: Vec<Draining>,
}

/// What a model is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It answers.
    #[default]
    Serving,
    /// The version before has gone and the next one is on its way; turns wait.
    Swapping,
    /// Its memory was needed for others; the next turn brings it back.
    Asleep,
    /// It has not come back from a step for so long that its callers give their turns up; a device may hang.
    Stuck,
    /// It could not begin again after a panic, and takes no turn until it is loaded again.
    Failed,
    /// It is gone but for its last turns.
    Unloaded,
}

impl State {
    /// Its word in the documents.
    pub fn name(self) -> &'static str {
        match self {
            State::Serving => "serving",
            State::Swapping => "swapping",
            State::Asleep => "asleep",
            State::Stuck => "stuck",
            State::Failed => "failed",
            State::Unloaded => "unloaded",
        }
    }
}

/// A version that was replaced.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Draining {
    /// Its handle, which is dead.
    pub graph: u32,
    /// Its number.
    pub version: u64,
    /// What it is called.
    pub label: String,
    /// Turns that use it.
    pub leases: u64,
    /// Turns that run on it.
    pub running: u64,
}

/// A change of one model, or an attempt.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Change {
    /// When it was over, in milliseconds since 1970.
    pub at_ms: u64,
    /// The model's name.
    pub model: String,
    /// The label of the version before.
    pub from: Option<String>,
    /// The label of the version that was to come, or its file where that could not be read.
    pub to: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The version before and the next one were in memory at once.
    pub beside: bool,
    /// How long it took without the wait for other loads, in milliseconds.
    pub total_ms: f64,
    /// Of that, the time in which no version served: from the end of the last turn on the one before.
    pub gap_ms: f64,
    /// What conversations lost by it, in words.
    pub objections: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// Changes since init, by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ChangeCounts {
    /// Models that came and were not there.
    pub loaded: u64,
    /// Versions that took another one's place.
    pub swapped: u64,
    /// Versions that came back because that was asked for.
    pub rolled_back: u64,
    /// Models that had been unloaded to make room and came back.
    pub woken: u64,
    /// Attempts that changed nothing.
    pub failed: u64,
    /// Attempts after which the version before was loaded again.
    pub restored: u64,
    /// Attempts after which no version served.
    pub lost: u64,
    /// Models that were unloaded because that was asked for.
    pub unloaded: u64,
    /// Models that were unloaded to make room.
    pub put_to_sleep: u64,
}

impl ChangeCounts {
    /// Counts one.
    pub fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Loaded => &mut self.loaded,
            Outcome::Swapped => &mut self.swapped,
            Outcome::RolledBack => &mut self.rolled_back,
            Outcome::Woken => &mut self.woken,
            Outcome::Failed => &mut self.failed,
            Outcome::Restored => &mut self.restored,
            Outcome::Lost => &mut self.lost,
            Outcome::Unloaded => &mut self.unloaded,
            Outcome::PutToSleep => &mut self.put_to_sleep,
        } += 1;
    }

    /// Each with its name.
    pub fn each(&self) -> [(&'static str, u64); 9] {
        [
            ("loaded", self.loaded),
            ("swapped", self.swapped),
            ("rolled_back", self.rolled_back),
            ("woken", self.woken),
            ("failed", self.failed),
            ("restored", self.restored),
            ("lost", self.lost),
            ("unloaded", self.unloaded),
            ("put_to_sleep", self.put_to_sleep),
        ]
    }
}

/// How a change ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A model came that was not there.
    Loaded,
    /// A version took another one's place.
    Swapped,
    /// The version before came back, because that was asked for.
    RolledBack,
    /// A version that had been unloaded to make room came back.
    Woken,
    /// Nothing changed.
    Failed,
    /// It failed when the version before had gone already; that one was loaded again.
    Restored,
    /// It failed when the version before had gone already, which could not be loaded again: the next turn tries.
    Lost,
    /// The model was unloaded, because that was asked for.
    Unloaded,
    /// The model was unloaded to make room; the next turn brings it back.
    PutToSleep,
}

/// A load under way, or one that ended lately.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Load {
    /// Its number.
    pub load: u32,
    /// The model's name.
    pub model: String,
    /// Its file as it was given.
    pub file: String,
    /// What it is doing.
    pub phase: Phase,
    /// The part of the weights that is read, 0 to 1.
    pub progress: f64,
    /// Once it succeeded: the model's handle.
    pub graph: Option<u32>,
    /// Once it failed: why.
    pub error: Option<String>,
}

/// What a load is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Phase {
    /// Another load runs.
    Waiting,
    /// The file is looked at.
    Reading,
    /// The version before finishes its turns, because there is no room for both.
    Draining,
    /// Weights come into memory, and the model computes a token.
    Loading,
    /// It is over.
    Ended,
}
