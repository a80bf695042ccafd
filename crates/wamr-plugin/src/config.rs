//! What a guest may configure: its own JSON on one side, the engine's configuration on the other.
//!
//! Data only, driven by the table in `rows`: each key with its range, its default and where it goes. Knows neither the
//! engine nor the model names: which keys of the engine exist is asked of the caller, and paths (`lora`, `mmproj`,
//! `image`) are taken as they are written, for the caller to resolve.
//!
//! Three steps. [`Written::parse`] reads a text and makes all spellings one. [`Written::over`] lays it over what the
//! guest said before. [`Written::settle`] checks every value and splits the result: what a load must be given, what
//! every call must be given, and what the plugin does itself.

mod depth;
mod kind;
mod leftovers;
mod place;
mod row;
mod rows;
mod settle;
mod special;
#[cfg(test)]
mod tests;
mod words;
mod written;

use serde_json::Value;

pub use written::Written;

/// Why a text of a guest is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is not a JSON object.
    Broken(String),
    /// A value has the wrong type or is out of its range; the text names key and value.
    Wrong(String),
    /// It asks for what this plugin does not do: speech output.
    Unsupported(String),
}

/// What a guest asks for, checked and split by who does it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The engine's configuration of a load.
    ///
    /// Canonical: texts that mean the same give the same bytes, so these bytes tell which guests can share a model.
    /// Keys are sorted, and what equals the engine's default is left out. `model.lora`, where it is there, is an array
    /// of objects with `path` and `scale`; the paths are the guest's, and not yet judged by any policy of names.
    pub model: Value,
    /// The engine's configuration of each call: `sampling`, `stopping` and `priority`, over a load with `model`.
    pub call: Value,
    /// What the plugin does itself.
    pub options: Options,
    /// What was written without effect and what was changed: at most one line for each matter.
    pub warnings: Vec<String>,
}

/// What the plugin does itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Text also goes to the standard output while it is made.
    pub stream_stdout: bool,
    /// The context makes embeddings, not text.
    pub embedding: bool,
    /// The context makes scores; `embedding` is on then.
    pub reranking: bool,
    /// How an embedding is scaled: -1 not, 0 by the largest value to 32760, 1 taxicab, 2 Euclidean, above: that norm.
    pub embd_normalize: i32,
    /// No times in the output metadata.
    pub no_perf: bool,
    /// The plugin's informational lines are written.
    pub enable_log: bool,
    /// Its debug lines too.
    pub enable_debug_log: bool,
    /// A full context drops its oldest tokens and goes on.
    pub context_shift: bool,
    /// Tokens at the start that such a drop spares; `u32::MAX`: the whole prompt.
    pub n_keep: u32,
    /// Paths of images that belong to the prompt. Not yet judged by any policy of names.
    pub image: Vec<String>,
    /// Path of the file that lets the model see. Not yet judged by any policy of names.
    pub mmproj: Option<String>,
}
