//! Keys of section `backend` about models that are loaded beside each other and take each other's place.

use std::time::Duration;

use super::key::{Ints, Key};
use super::value::{Word, put, words};

/// How models share memory, and what happens when one takes another's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Swap {
    /// Bytes in MiB that all models together may take; 0: no such limit.
    pub max_model_memory_mb: u32,
    /// Whether the next version comes up before the one before goes.
    pub mode: SwapMode,
    /// What becomes of turns that run when the next version takes over.
    pub turns: SwapTurns,
    /// For how long the version before may finish turns where it has to go first.
    pub drain: Duration,
    /// What happens where conversations lose something by the next version.
    pub compatibility: Compatibility,
}

impl Default for Swap {
    fn default() -> Self {
        Swap {
            max_model_memory_mb: 0,
            mode: SwapMode::Auto,
            turns: SwapTurns::Finish,
            drain: Duration::from_secs(30),
            compatibility: Compatibility::Warn,
        }
    }
}

/// Whether the next version comes up before the one before goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapMode {
    /// Where there is room for both.
    Auto,
    /// Always; without room the load fails.
    Beside,
    /// Never.
    Replace,
}

impl Word for SwapMode {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", SwapMode::Auto),
        ("beside", SwapMode::Beside),
        ("replace", SwapMode::Replace),
    ];
}

/// What becomes of turns that run when the next version takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapTurns {
    /// They finish on the version that they began on.
    Finish,
    /// They begin anew on the next one, unless the host has some of their text.
    Requeue,
}

impl Word for SwapTurns {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("finish", SwapTurns::Finish),
        ("requeue", SwapTurns::Requeue),
    ];
}

/// What happens where conversations lose something by the next version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compatibility {
    /// It is logged.
    Warn,
    /// The load fails, and the version before serves on.
    Refuse,
}

impl Word for Compatibility {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("warn", Compatibility::Warn),
        ("refuse", Compatibility::Refuse),
    ];
}

/// 16 TiB in MiB.
const MOST_MEBIBYTES: i64 = 16_777_216;

pub(super) static KEYS: &[Key] = &[
    Key::int(
        "max_model_memory_mb",
        Ints::new(0, MOST_MEBIBYTES),
        |config| config.backend.swap.max_model_memory_mb.into(),
        |config, count| config.backend.swap.max_model_memory_mb = count as u32,
    )
    .about(
        "Weights, KV cells and compute buffers of all models together in MiB. A load \
         that would exceed it unloads models that no turn uses, the one unused for \
         longest first; they come back when they are used. 0: no limit.",
    ),
    Key::word(
        "swap_mode",
        words::<SwapMode>,
        |config| config.backend.swap.mode.word(),
        |config, word| put(&mut config.backend.swap.mode, word),
    )
    .about(
        "Whether a model that takes another one's place is loaded before that one \
         goes: where max_model_memory_mb, or else the machine's memory, has room for \
         both; always; or never. Turns wait while neither serves.",
    ),
    Key::word(
        "swap_turns",
        words::<SwapTurns>,
        |config| config.backend.swap.turns.word(),
        |config, word| put(&mut config.backend.swap.turns, word),
    )
    .about(
        "What becomes of turns that run when the next model takes over: they finish \
         on the one that they began on, or begin anew on the next one, unless their \
         host has received some of their text.",
    ),
    Key::int(
        "swap_drain_ms",
        Ints::new(0, 3_600_000),
        |config| config.backend.swap.drain.as_millis() as i64,
        |config, ms| config.backend.swap.drain = Duration::from_millis(ms as u64),
    )
    .about(
        "Where a model must go before the next one is loaded: for how long it may \
         finish its turns, in milliseconds. Those that are not done then begin anew \
         on the next one, or end with the text that they have.",
    ),
    Key::word(
        "swap_compatibility",
        words::<Compatibility>,
        |config| config.backend.swap.compatibility.word(),
        |config, word| put(&mut config.backend.swap.compatibility, word),
    )
    .about(
        "What happens where the next model gives conversations less: a shorter \
         context, no chat template, no tools. It is logged, or the load fails.",
    ),
];
