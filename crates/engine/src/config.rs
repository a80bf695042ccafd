//! The configuration: what a host wrote (`RawConfig`) and what the engine works with (`Config`).
//!
//! Data only. Reading has no side effects: every value that cannot be honoured becomes a [`Finding`] and leaves the
//! setting as the layer below has it; whether findings are logged or refused is the caller's business. Knows neither
//! the model (ids outside its vocabulary, its training context) nor the machine (cores, devices): whoever has those
//! clamps. Texts that need a compiler (grammar, regular expressions) are taken as they are.

mod backend;
mod combinations;
mod document;
mod events;
mod finding;
mod key;
mod layers;
mod list;
mod logging;
mod memory;
mod model;
mod performance;
mod priority;
mod reading;
mod reference;
mod sampling;
mod schema;
mod spelling;
mod stopping;
mod swap;
#[cfg(test)]
mod tests;
mod value;

use serde_json::{Map, Value};

pub use backend::{ArgumentsMode, BackendLimits};
pub use document::RawConfig;
pub use events::Events;
pub use finding::{Code, Finding};
pub use logging::{Level, Logging};
pub use memory::{CacheStrategy, Memory, Overflow, SessionMemory};
pub use model::{
    Attention, CacheType, FlashAttention, Lora, ModelSettings, Numa, Pooling, ReasoningFormat,
    Rope, RopeScaling, SplitMode,
};
pub use performance::{KvMode, Performance};
pub use priority::Priority;
pub use reference::reference;
pub use sampling::{Bias, SamplerName, Sampling, Seed};
pub use schema::schema;
pub use stopping::{Stopping, Trigger};
pub use swap::{Compatibility, Swap, SwapMode, SwapTurns};
pub use value::{TokenLimit, TokenRef};

use key::{Key, Kind, Section};
use value::{Word, put, words};

/// The call that brought a configuration text, in the order of their layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// `init_backend_with_config`: everything, as the base of every later load.
    Init,
    /// A load with a configuration: everything.
    Load,
    /// A load of a model beside the backend's own: everything but what is of the whole backend.
    Further,
    /// One call's own settings: sampling and stopping.
    Run,
}

impl Door {
    /// The name in findings: `init`, `load`, `run`.
    pub fn as_str(self) -> &'static str {
        match self {
            Door::Init => "init",
            Door::Load | Door::Further => "load",
            Door::Run => "run",
        }
    }
}

/// Every setting, checked: each value is in its range and fits the others.
///
/// `Config::default()` holds the built-in values, before anything that depends on another setting is filled in;
/// [`Config::from_layers`] of no layers is the same with those filled in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Findings refuse the call that brought them. Given at init it holds for the life of the backend.
    pub strict: bool,
    /// How urgent turns are whose context and call do not say.
    pub priority: Priority,
    /// Limits on contexts, the queue and output buffers.
    pub backend: BackendLimits,
    /// How a model is loaded and run.
    pub model: ModelSettings,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// When a turn ends.
    pub stopping: Stopping,
    /// What happens when the context or the cache is full.
    pub memory: Memory,
    /// What is logged, where and how.
    pub logging: Logging,
    /// How turns share the engine.
    pub performance: Performance,
    /// The durable event log.
    pub events: Events,
    /// `strict` came from init, so no later layer takes it back.
    strict_for_life: bool,
}

/// The settings of one turn.
#[derive(Debug, Clone, PartialEq)]
pub struct CallSettings {
    /// Findings of this call refuse it.
    pub strict: bool,
    /// How urgent the turn is, where the call says so.
    pub priority: Option<Priority>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// When the turn ends; `max_tokens` is always filled in.
    pub stopping: Stopping,
}

impl CallSettings {
    /// The number of new tokens that this turn may have.
    pub fn token_limit(&self) -> TokenLimit {
        self.stopping.max_tokens.unwrap_or(model::TOKEN_LIMIT)
    }
}

impl Config {
    /// Merges the built-in defaults and `layers`, lowest first: init, then load.
    ///
    /// Above all of them comes the `runtime` section of the last layer that has one. Returns what was written and
    /// cannot be honoured, in the order of the layers; nothing is refused here.
    pub fn from_layers(layers: &[(Door, &RawConfig)]) -> (Config, Vec<Finding>) {
        layers::merge(layers)
    }

    /// Takes what is of the whole backend from `other`.
    pub fn share(&mut self, other: &Config) {
        self.backend = other.backend.clone();
        self.logging = other.logging.clone();
        self.events = other.events.clone();
        self.memory.max_memory_mb = other.memory.max_memory_mb;
        self.memory.memory_pressure_threshold = other.memory.memory_pressure_threshold;
        self.memory.spill_dir.clone_from(&other.memory.spill_dir);
        self.memory.spill_max_mb = other.memory.spill_max_mb;
    }

    /// The settings of one call: `call` (parsed at [`Door::Run`]) over these.
    pub fn for_call(&self, call: Option<&RawConfig>) -> (CallSettings, Vec<Finding>) {
        layers::for_call(self, call)
    }

    /// Every setting with its value, in section form; durations in milliseconds under their configuration names.
    pub fn to_json(&self) -> Value {
        let mut root = Map::new();
        for section in sections() {
            if section.name.is_empty() {
                root.extend(self.show(section.keys()));
            } else {
                root.insert(section.name.into(), self.show(section.keys()).into());
            }
        }
        root.into()
    }

    fn show(&self, keys: impl Iterator<Item = &'static Key>) -> Map<String, Value> {
        keys.filter(|key| !matches!(key.kind, Kind::NoEffect))
            .map(|key| (key.name.into(), key.kind.show(self)))
            .collect()
    }
}

/// The sections in the order of the reference; the first, without a name, is the root itself.
fn sections() -> [&'static Section; 9] {
    [
        &ROOT,
        &backend::SECTION,
        &model::SECTION,
        &sampling::SECTION,
        &stopping::SECTION,
        &memory::SECTION,
        &logging::SECTION,
        &performance::SECTION,
        &events::SECTION,
    ]
}

static ROOT: Section = Section {
    name: "",
    aliases: &[],
    about: "Keys that stand outside every section.",
    lists: &[ROOT_KEYS],
};

static ROOT_KEYS: &[Key] = &[
    Key::bool(
        "strict",
        |config| config.strict,
        |config, on| config.strict = on,
    )
    .per_call()
    .about(
        "Every finding except no_effect refuses the call that brought it. Given at \
         init it holds for the life of the backend.",
    ),
    Key::word(
        "priority",
        words::<Priority>,
        |config| config.priority.word(),
        |config, word| put(&mut config.priority, word),
    )
    .per_call()
    .about(
        "How urgent turns are that wait to run, where neither the context nor the \
         call says it.",
    ),
    Key::new("stream_stdout", Kind::NoEffect)
        .per_call()
        .about("stdout is never written."),
];
