//! Section `stopping`: when a turn ends.

mod groups;
mod keys;
mod triggers;

use std::time::Duration;

use super::value::{TokenLimit, TokenRef};

pub(super) use keys::SECTION;
pub use triggers::Trigger;

/// When a turn ends.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stopping {
    /// New tokens; `None`: `model.n_predict`.
    pub max_tokens: Option<TokenLimit>,
    /// Soft limit on generation: the text so far is the answer.
    pub max_time: Option<Duration>,
    /// Never end at an end token.
    pub ignore_eos: bool,
    /// Texts before which the answer is cut: at most 64 per list, of 1..=1024 bytes.
    pub stop: Vec<String>,
    /// Texts behind which the answer is cut: as `stop`.
    pub stop_after: Vec<String>,
    /// Tokens that end the answer and are not part of it, at most 64.
    pub stop_tokens: Vec<TokenRef>,
    /// Regular expressions before whose match the answer is cut, not compiled: at most 16, of 1..=1024 bytes.
    pub stop_regex: Vec<String>,
    /// Ends an answer that repeats one pattern of tokens.
    pub repetition_guard: RepetitionGuard,
    /// Texts and tokens that wake a lazy grammar, at most 64; empty: a grammar holds from the start.
    pub grammar_triggers: Vec<Trigger>,
    /// Hard limit on a running turn, which fails then; `None`: off.
    pub timeout_config: Option<HardTimeout>,
    /// Tokens that may not, or must, appear.
    pub token_filters: TokenFilters,
    /// Ends an answer by what it says.
    pub semantic_stopping: SemanticStopping,
}

/// The hard limit on a running turn.
#[derive(Debug, Clone, PartialEq)]
pub struct HardTimeout {
    /// The limit, from the start of prefill.
    pub max_inference_time: Duration,
    /// The limit follows the measured speed.
    pub adaptive_timeout: bool,
    /// Least adaptive limit.
    pub min_timeout: Duration,
    /// Adaptive limit as a multiple of the expected time.
    pub timeout_multiplier: f32,
}

impl Default for HardTimeout {
    fn default() -> Self {
        HardTimeout {
            max_inference_time: Duration::from_millis(30_000),
            adaptive_timeout: false,
            min_timeout: Duration::from_millis(1000),
            timeout_multiplier: 2.0,
        }
    }
}

/// The end of an answer whose tail is one pattern of tokens over and over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepetitionGuard {
    /// Master switch.
    pub enabled: bool,
    /// Times that a pattern stands in a row.
    pub max_repeats: u32,
    /// Tokens of the shortest pattern.
    pub min_pattern_tokens: u32,
    /// Tokens of the longest pattern.
    pub max_pattern_tokens: u32,
    /// Tokens that all repeats span together at least.
    pub min_span_tokens: u32,
}

impl Default for RepetitionGuard {
    fn default() -> Self {
        RepetitionGuard {
            enabled: false,
            max_repeats: 4,
            min_pattern_tokens: 1,
            max_pattern_tokens: 64,
            min_span_tokens: 16,
        }
    }
}

/// Tokens that may not, or must, appear in an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TokenFilters {
    /// Tokens and texts of probability zero, at most 1024.
    pub forbidden_tokens: Vec<TokenRef>,
    /// Tokens and texts before which the answer does not end, at most 64.
    pub required_tokens: Vec<TokenRef>,
}

/// The end of an answer by what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticStopping {
    /// Master switch.
    pub enabled: bool,
    /// Count sentences.
    pub repetition_detection: bool,
    /// Times that a sentence may stand in the answer.
    pub max_repetition_count: u32,
    /// Summed probability of all end tokens that ends the answer; 0: off.
    pub completion_confidence_threshold: f32,
}

impl Default for SemanticStopping {
    fn default() -> Self {
        SemanticStopping {
            enabled: false,
            repetition_detection: true,
            max_repetition_count: 3,
            completion_confidence_threshold: 0.0,
        }
    }
}
