//! Section `performance`: how turns share the engine.

use std::time::Duration;

use super::key::{Flat, Ints, Key, Kind, Section};
use super::value::{Word, put, words};

/// How turns share the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Performance {
    /// Turns of different sessions are decoded in one batch; off: one turn at a time.
    pub batch_processing: bool,
    /// Already part of `model.batch_size` where that was not written; `None`: not written.
    pub batch_size: Option<u32>,
    /// Wait for more turns before the first step of a batch.
    pub batch_timeout: Duration,
    /// Turns decoded together.
    pub n_parallel: u32,
    /// Longest gap that a running stream should see.
    pub target_gap: Duration,
    /// Steps that take so long are told of; zero: none is.
    pub slow_step: Duration,
    /// Layout of the KV cache.
    pub kv_mode: KvMode,
    /// Cells of the KV cache, in tokens; 0: as many as the turns that are decoded together may need and memory allows.
    pub kv_pool_tokens: u32,
}

impl Default for Performance {
    fn default() -> Self {
        Performance {
            batch_processing: true,
            batch_size: None,
            batch_timeout: Duration::ZERO,
            n_parallel: 8,
            target_gap: Duration::from_millis(250),
            slow_step: Duration::from_secs(1),
            kv_mode: KvMode::Auto,
            kv_pool_tokens: 0,
        }
    }
}

/// Layout of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvMode {
    /// Chosen for the model.
    Auto,
    /// One pool for all sequences.
    Unified,
    /// A part of its own for each sequence.
    Split,
}

impl Word for KvMode {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", KvMode::Auto),
        ("unified", KvMode::Unified),
        ("split", KvMode::Split),
    ];
}

pub(super) static SECTION: Section = Section {
    name: "performance",
    aliases: &[],
    about: "How turns share the engine.",
    lists: &[KEYS],
};

static KEYS: &[Key] = &[
    Key::bool(
        "batch_processing",
        |config| config.performance.batch_processing,
        |config, on| config.performance.batch_processing = on,
    )
    .flat(Flat::Never)
    .about("Turns of different sessions are decoded in one batch. Off: one at a time."),
    Key::new(
        "batch_size",
        Kind::Int {
            range: Ints::new(1, 65_536),
            get: |config| {
                let written = config.performance.batch_size;
                written.unwrap_or(config.model.batch_size).into()
            },
            set: |config, count| config.performance.batch_size = Some(count as u32),
        },
    )
    .flat(Flat::Never)
    .about("Used as model.batch_size where that is not written."),
    Key::int(
        "batch_timeout_ms",
        Ints::new(0, 1000),
        |config| config.performance.batch_timeout.as_millis() as i64,
        |config, ms| config.performance.batch_timeout = Duration::from_millis(ms as u64),
    )
    .flat(Flat::Never)
    .about("Wait so many milliseconds for more turns before the first step of a batch."),
    Key::int(
        "n_parallel",
        Ints::new(1, 256),
        |config| config.performance.n_parallel.into(),
        |config, count| config.performance.n_parallel = count as u32,
    )
    .read_as(&["parallel", "n_parallel"])
    .flat(Flat::Never)
    .about(
        "Turns decoded together; more wait in the queue. Unless written: \
         max_concurrent, at most 32.",
    ),
    Key::int(
        "target_gap_ms",
        Ints::new(20, 10_000),
        |config| config.performance.target_gap.as_millis() as i64,
        |config, ms| config.performance.target_gap = Duration::from_millis(ms as u64),
    )
    .flat(Flat::Never)
    .about(
        "Longest gap in milliseconds that a running stream should see; sets how \
         much prompt a step takes.",
    ),
    Key::int(
        "slow_step_ms",
        Ints::new(0, 600_000),
        |config| config.performance.slow_step.as_millis() as i64,
        |config, ms| config.performance.slow_step = Duration::from_millis(ms as u64),
    )
    .flat(Flat::Never)
    .about(
        "Warn of steps that take so many milliseconds or more, with the most \
         likely cause, at most every 5 seconds. 0: never.",
    ),
    Key::word(
        "kv_mode",
        words::<KvMode>,
        |config| config.performance.kv_mode.word(),
        |config, word| put(&mut config.performance.kv_mode, word),
    )
    .flat(Flat::Never)
    .at_load_only()
    .about(
        "Layout of the KV cache: chosen for the model, one pool for all, or a part \
         for each.",
    ),
    Key::int(
        "kv_pool_tokens",
        Ints::zero_or(256, 1 << 30),
        |config| config.performance.kv_pool_tokens.into(),
        |config, count| config.performance.kv_pool_tokens = count as u32,
    )
    .flat(Flat::Never)
    .about(
        "Cells of the KV cache in tokens. 0: a full context for each turn that is \
         decoded together, as far as memory allows.",
    ),
];
