//! Section `memory` (older name `memory_policy`): what happens when the context or the cache is full.

use std::path::{Path, PathBuf};

use super::key::{Available, Ints, Key, Section};
use super::value::{Word, put, words};

/// What happens when the context or the cache is full.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// Old turns are dropped when a turn does not fit; equal to `overflow != Overflow::Error`.
    pub context_shifting: bool,
    /// What happens when a turn does not fit.
    pub overflow: Overflow,
    /// Tokens at the start that are never dropped; who knows the context clamps it to half of that.
    pub n_keep_tokens: u32,
    /// Tokens that go per shift at least; 0: half of what may be dropped.
    pub n_discard_tokens: u32,
    /// Keep a session's cache between turns.
    pub cache_prompt: bool,
    /// Copy the cache of an equal prefix from another session.
    pub enable_token_cache_reuse: bool,
    /// Cached tokens of idle sessions in total; 0: no cap.
    pub max_cache_tokens: u32,
    /// Which idle cache leaves first.
    pub cache_strategy: CacheStrategy,
    /// Caches, compute buffers and histories in MiB; 0: no limit.
    pub max_memory_mb: u32,
    /// Share of the limits at which cleaning starts.
    pub memory_pressure_threshold: f32,
    /// Cut idle caches in half before dropping them.
    pub enable_partial_cache_deletion: bool,
    /// Folder for idle caches that leave memory; `None`: they are dropped.
    pub spill_dir: Option<PathBuf>,
    /// Room for those, in MiB.
    pub spill_max_mb: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Memory {
            context_shifting: true,
            overflow: Overflow::Shift,
            n_keep_tokens: 256,
            n_discard_tokens: 0,
            cache_prompt: true,
            enable_token_cache_reuse: true,
            max_cache_tokens: 10_000,
            cache_strategy: CacheStrategy::Lru,
            max_memory_mb: 0,
            memory_pressure_threshold: 0.85,
            enable_partial_cache_deletion: true,
            spill_dir: None,
            spill_max_mb: 1024,
        }
    }
}

/// What a conversation asks for beside the configuration; `None` is as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionMemory {
    /// What happens when a turn does not fit.
    pub overflow: Option<Overflow>,
    /// Tokens at the start that are never dropped.
    pub keep: Option<u32>,
    /// Tokens that go at once at least; 0 is half of what may be dropped.
    pub discard: Option<u32>,
    /// Most tokens of history and new turn together, as long as there is history to drop.
    pub window: Option<u32>,
}

/// What happens when a turn does not fit into the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest turns after the kept prefix are dropped.
    Shift,
    /// They are summarised first.
    Summarise,
    /// The turn is refused.
    Error,
}

impl Word for Overflow {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("shift", Overflow::Shift),
        ("summarise", Overflow::Summarise),
        ("error", Overflow::Error),
    ];
}

/// Which idle cache leaves first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStrategy {
    /// The one unused for longest.
    Lru,
    /// The oldest session's.
    Fifo,
    /// The one with the least tokens per idle second.
    Smart,
}

impl CacheStrategy {
    /// Its word in a configuration.
    pub fn name(self) -> &'static str {
        self.word()
    }
}

impl Word for CacheStrategy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("lru", CacheStrategy::Lru),
        ("fifo", CacheStrategy::Fifo),
        ("smart", CacheStrategy::Smart),
    ];
}

/// Longest path in bytes.
pub(super) const MAX_PATH: usize = 4096;
/// 16 TiB in MiB.
const MOST_MEBIBYTES: i64 = 16_777_216;

/// A path as text, for [`Kind::Text`](super::key::Kind::Text).
pub(super) fn path_text(path: &Option<PathBuf>) -> Option<&str> {
    path.as_deref().and_then(Path::to_str)
}

pub(super) static SECTION: Section = Section {
    name: "memory",
    aliases: &["memory_policy"],
    about: "What happens when the context or the cache is full.",
    lists: &[KEYS],
};

static KEYS: &[Key] = &[
    Key::bool(
        "context_shifting",
        |config| config.memory.context_shifting,
        |config, on| config.memory.context_shifting = on,
    )
    .about(
        "Old turns give way when history, new turn and room to answer do not fit, and the \
         middle of a raw prompt that does not. false is overflow error, true is shift.",
    ),
    Key::word(
        "overflow",
        words::<Overflow>,
        |config| config.memory.overflow.word(),
        |config, word| put(&mut config.memory.overflow, word),
    )
    .available(Available::Except("summarise"))
    .about(
        "What happens when a turn does not fit: the oldest turns, or of a raw prompt the oldest \
         text, after the kept beginning are dropped, they are summarised first, or the turn is \
         refused.",
    ),
    Key::int(
        "n_keep_tokens",
        Ints::new(0, 1_048_576),
        |config| config.memory.n_keep_tokens.into(),
        |config, count| config.memory.n_keep_tokens = count as u32,
    )
    .read_as(&["n_keep", "n_keep_tokens"])
    .about(
        "Tokens at the start that are never dropped, of a conversation at least the system \
         message; clamped to half of the context.",
    ),
    Key::int(
        "n_discard_tokens",
        Ints::new(0, 1_048_576),
        |config| config.memory.n_discard_tokens.into(),
        |config, count| config.memory.n_discard_tokens = count as u32,
    )
    .read_as(&["n_discard", "n_discard_tokens"])
    .about(
        "Tokens that go at once at least. 0: half of what may be dropped. Of a raw prompt and its \
         answer, at least a quarter of that and 64, and at most half.",
    ),
    Key::bool(
        "cache_prompt",
        |config| config.memory.cache_prompt,
        |config, on| config.memory.cache_prompt = on,
    )
    .about("Keep a session's cache between turns and evaluate only what changed."),
    Key::bool(
        "enable_token_cache_reuse",
        |config| config.memory.enable_token_cache_reuse,
        |config, on| config.memory.enable_token_cache_reuse = on,
    )
    .about(
        "A session may copy the cache of an equal beginning from another one. Off \
         where response times must not tell tenants apart.",
    ),
    Key::int(
        "max_cache_tokens",
        Ints::new(0, 100_000_000),
        |config| config.memory.max_cache_tokens.into(),
        |config, count| config.memory.max_cache_tokens = count as u32,
    )
    .about(
        "Cached tokens of idle sessions in total. 0: no cap. Histories are kept, \
         only caches leave.",
    ),
    Key::word(
        "cache_strategy",
        words::<CacheStrategy>,
        |config| config.memory.cache_strategy.word(),
        |config, word| put(&mut config.memory.cache_strategy, word),
    )
    .read_as(&["cache_deletion_strategy", "cache_strategy"])
    .about(
        "Which idle cache leaves first: the one unused for longest, the oldest \
         session's, or the one with the least tokens per idle second.",
    ),
    Key::int(
        "max_memory_mb",
        Ints::zero_or(64, MOST_MEBIBYTES),
        |config| config.memory.max_memory_mb.into(),
        |config, count| config.memory.max_memory_mb = count as u32,
    )
    .about(
        "Caches, compute buffers and histories in MiB; weights do not count. 0: no \
         limit.",
    ),
    Key::number(
        "memory_pressure_threshold",
        (0.1, 1.0),
        |config| config.memory.memory_pressure_threshold,
        |config, share| config.memory.memory_pressure_threshold = share,
    )
    .about(
        "Share of max_memory_mb or max_cache_tokens at which cleaning starts; it \
         ends 0.1 lower.",
    ),
    Key::bool(
        "enable_partial_cache_deletion",
        |config| config.memory.enable_partial_cache_deletion,
        |config, on| config.memory.enable_partial_cache_deletion = on,
    )
    .about(
        "Under pressure cut the newer half of idle caches first, then drop whole \
         ones.",
    ),
    Key::text(
        "spill_dir",
        MAX_PATH,
        |config| path_text(&config.memory.spill_dir),
        |config, path| config.memory.spill_dir = path.map(PathBuf::from),
    )
    .about(
        "Folder for idle caches that leave memory, from where they come back at the \
         next turn. Unless written: they are dropped.",
    ),
    Key::int(
        "spill_max_mb",
        Ints::new(1, MOST_MEBIBYTES),
        |config| config.memory.spill_max_mb.into(),
        |config, count| config.memory.spill_max_mb = count as u32,
    )
    .about("Room for those files in MiB; the oldest goes first."),
];
