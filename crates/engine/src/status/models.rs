//! All models of a backend, as part of the MODEL document.

use serde::Serialize;

/// One model.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
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
    /// Turns that use it now, and whoever looks at it.
    pub leases: usize,
    /// Bytes of weights; models of one file share them.
    pub weights_bytes: u64,
    /// Bytes of KV cells and compute buffers.
    pub buffer_bytes: u64,
    /// How long its last load took, in milliseconds.
    pub load_time_ms: Option<u64>,
    /// Since it was used, in milliseconds.
    pub idle_ms: u64,
    /// Conversations whose next turns it answers.
    pub sessions: usize,
    /// Turns that wait for it.
    pub waiting: u64,
    /// Turns that run on it.
    pub running: u64,
    /// Versions before this one whose turns have not ended.
    pub draining: Vec<Draining>,
}

/// What a model is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It answers.
    Serving,
    /// The version before has gone and the next one is on its way; turns wait.
    Swapping,
    /// Its memory was needed for others; the next turn brings it back.
    Asleep,
}

/// A version that was replaced.
#[derive(Debug, Clone, Serialize)]
pub struct Draining {
    /// Its handle, which is dead.
    pub graph: u32,
    /// Its number.
    pub version: u64,
    /// What it is called.
    pub label: String,
    /// Turns that use it.
    pub leases: usize,
    /// Turns that run on it.
    pub running: u64,
}
