//! The MODEL document: what is loaded, and the configuration in force.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, Value};

use super::{Change, ChangeCounts, Load, Served};

/// What is loaded, and the configuration in force. The fields from `file` to `notes` are of the current model.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Model<'a> {
    /// Whether the current model is loaded: the one that plain loads are of, else the last one. The fields from `file` to `notes` are there only then.
    pub loaded: bool,
    /// File of the model, as the load named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub file: Option<&'a str>,
    /// Number of this version of the model, never given again in this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32")]
    pub graph: Option<u32>,
    /// What the load found and chose.
    #[serde(flatten)]
    pub described: Option<Described>,
    /// Every model, by name.
    pub models: Vec<Served>,
    /// The last changes of models, oldest first.
    pub changes: Vec<Change>,
    /// Changes of models since init.
    pub changes_total: ChangeCounts,
    /// Loads under way, and those that ended lately, oldest first.
    pub loads: Vec<Load>,
    /// Version of llama.cpp.
    pub llama_cpp: String,
    /// Every setting with the value in force for plain loads and the whole backend, by section and main name.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub config_effective: &'a RawValue,
    /// What was written in a configuration, at init or at plain loads, and is not, or not wholly, honoured.
    #[schemars(with = "Vec<Note>")]
    pub config_notes: &'a RawValue,
}

/// What a load found and chose.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Architecture in the file's metadata, such as `llama`; null where there is none.
    pub architecture: Option<String>,
    /// Name in the file's metadata; null where there is none.
    pub name: Option<String>,
    /// llama.cpp's line about the model.
    pub description: String,
    /// Parameters.
    pub parameters: u64,
    /// How the weights are quantised.
    pub quantisation: String,
    /// Tokens of context for which it was trained.
    pub training_context: u64,
    /// Layers.
    pub layers: u64,
    /// Those of them that are on a device.
    pub device_layers: u64,
    /// Tokens in the vocabulary.
    pub vocabulary: u64,
    /// Time that the load took, in milliseconds.
    pub load_time_ms: u64,
    /// Tokens that one conversation may have.
    pub session_tokens: u64,
    /// Turns that may run together.
    pub parallel: u64,
    /// `unified`: conversations share one pool of cells; `split`: each place has its own.
    pub kv_mode: String,
    /// Why it is so.
    pub kv_mode_reason: String,
    /// KV cells, in tokens.
    pub kv_cells: u64,
    /// Most tokens of a step.
    pub batch_size: u64,
    /// Most tokens that a step computes at once.
    pub ubatch_size: u64,
    /// Compute threads for answers.
    pub threads: u64,
    /// Compute threads for prompts.
    pub threads_batch: u64,
    /// How far cells can be taken back: `anywhere`, `snapshots(n)` by at most n tokens, `wholeonly` or
    /// `none`.
    pub removal: String,
    /// Tokens of the sliding window; 0 without one.
    pub sliding_window: u64,
    /// Whether cells can be moved when old turns give way.
    pub shift: bool,
    /// Type of the cells' keys.
    pub cache_type_k: String,
    /// Type of the cells' values.
    pub cache_type_v: String,
    /// Where the chat template is from: `configured`, `model` or `fallback`.
    pub chat_template: String,
    /// What was adapted to the model or the machine, in words.
    pub notes: Vec<String>,
}

/// One thing that was written in a configuration and is not, or not wholly, honoured.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is all that is wanted of it")]
struct Note {
    /// The call that brought the configuration: `init` or `load`.
    door: String,
    /// Path as written, such as `sampling.top_kk`; `$` is the whole text.
    path: String,
    /// What is wrong: `unknown_key`, `wrong_type`, `out_of_range`, `wrong_door`, `bad_combination`, `no_compile`,
    /// `no_effect` or `not_available`.
    code: String,
    /// The value as written, shortened when long.
    given: Value,
    /// The value in force instead; null where there is none.
    used: Value,
    /// One sentence that starts with the path.
    message: String,
}
