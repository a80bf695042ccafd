//! When a turn ends and which of its text leaves: token and bytes in, verdict and text out.
//!
//! Pure: time comes in as an argument, tokens are numbers, and nothing here knows a model or a channel. The order of
//! the rules is that of the configuration reference: end or stop token, stop string, stop pattern, repeated tokens,
//! repeated sentences, token limit, soft time limit. What also belongs to an answer and looks at its tokens or text is
//! here as well: forbidden and required tokens, and what wakes a grammar.

pub mod deadline;
mod filters;
mod needles;
mod repetition;
mod sentences;
mod triggers;
mod utf8;
mod watch;

use std::time::Duration;

use regex::{Regex, RegexBuilder};

use crate::config;
use filters::Filters;
use needles::Needles;
use repetition::Limits;
use triggers::Triggers;

pub use filters::Required;
pub use triggers::Pattern;
pub use watch::Watch;

/// Why a turn ended with success.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// The model ended its answer.
    Eos,
    /// One of `stop_tokens` was sampled; it is not part of the text.
    StopToken(i32),
    /// This stop string appeared; the text ends before it.
    Stop(String),
    /// This stop pattern matched; the text ends before the match.
    StopRegex(String),
    /// The answer's end was one pattern of tokens over and over; the text ends after the first.
    Repetition {
        /// Tokens of the pattern.
        pattern: usize,
        /// How often it stood in a row.
        repeats: usize,
    },
    /// A sentence came once more than it may; the text ends before it.
    Sentence(usize),
    /// The probability that the answer ends here reached its threshold.
    Complete(f32),
    /// The token limit.
    Length,
    /// The soft time limit.
    Time,
    /// No free cell is left in the context.
    ContextFull,
    /// The grammar is complete, and the end of the answer is forbidden.
    GrammarDeadEnd,
    /// The streaming callback asked for it.
    Callback,
    /// Its model had to go for another one.
    Replaced,
}

impl Verdict {
    /// The word for the metadata's `finish_reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Verdict::Eos => "eos",
            Verdict::StopToken(_) => "stop_token",
            Verdict::Stop(_) => "stop",
            Verdict::StopRegex(_) => "stop_regex",
            Verdict::Repetition { .. } => "repetition",
            Verdict::Sentence(_) | Verdict::Complete(_) => "semantic",
            Verdict::Length => "length",
            Verdict::Time => "time",
            Verdict::ContextFull => "context_full",
            Verdict::GrammarDeadEnd => "grammar_dead_end",
            Verdict::Callback => "callback",
            Verdict::Replaced => "model_replaced",
        }
    }

    /// What exactly matched, where the rule has several.
    pub fn detail(&self) -> Option<String> {
        match self {
            Verdict::StopToken(token) => Some(token.to_string()),
            Verdict::Stop(text) | Verdict::StopRegex(text) => Some(text.clone()),
            Verdict::Repetition { pattern, repeats } => {
                Some(format!("{repeats} times {pattern} tokens"))
            }
            Verdict::Sentence(most) => Some(format!("a sentence more than {most} times")),
            Verdict::Complete(mass) => Some(format!("end tokens at probability {mass:.4}")),
            _ => None,
        }
    }
}

/// What the settings name, as tokens of the model.
#[derive(Debug, Default)]
pub struct Named {
    /// Tokens that end the answer and are not part of it.
    pub stop_tokens: Vec<i32>,
    /// The most tokens that the answer may have; `None` is until the context is full.
    pub token_limit: Option<usize>,
    /// Sequences of two tokens and more that may not appear.
    pub forbidden: Vec<Vec<i32>>,
    /// What must appear before the answer may end.
    pub required: Vec<Required>,
    /// What wakes the grammar; none: it never sleeps.
    pub triggers: Vec<Pattern>,
}

/// The rules of one turn, compiled once and shared.
#[derive(Debug)]
pub struct Rules {
    needles: Needles,
    patterns: Vec<Regex>,
    stop_tokens: Vec<i32>,
    repeats: Option<Limits>,
    /// Times that a sentence may stand in the answer.
    sentences: Option<usize>,
    /// Summed probability of all end tokens that ends the answer.
    confidence: Option<f32>,
    filters: Filters,
    triggers: Triggers,
    token_limit: Option<usize>,
    soft_time: Option<Duration>,
}

impl Rules {
    /// Compiles the rules of `settings`, what they name being `named`.
    ///
    /// Errors: the text of a pattern that does not compile, with the reason.
    pub fn compile(settings: &config::Stopping, named: Named) -> Result<Rules, String> {
        let patterns = settings
            .stop_regex
            .iter()
            .map(|pattern| regex("stop_regex", pattern))
            .collect::<Result<_, _>>()?;
        let guard = &settings.repetition_guard;
        let semantic = &settings.semantic_stopping;
        let threshold = semantic.completion_confidence_threshold;
        Ok(Rules {
            needles: Needles::new(&settings.stop, &settings.stop_after),
            patterns,
            stop_tokens: named.stop_tokens,
            repeats: guard.enabled.then_some(Limits {
                max_repeats: guard.max_repeats as usize,
                min_pattern: guard.min_pattern_tokens as usize,
                max_pattern: guard.max_pattern_tokens as usize,
                min_span: guard.min_span_tokens as usize,
            }),
            sentences: (semantic.enabled && semantic.repetition_detection)
                .then_some(semantic.max_repetition_count as usize),
            confidence: (semantic.enabled && threshold > 0.0 && !settings.ignore_eos)
                .then_some(threshold),
            filters: Filters::new(&named.forbidden, named.required),
            triggers: Triggers::compile(&named.triggers)?,
            token_limit: named.token_limit,
            soft_time: settings.max_time,
        })
    }

    /// Whether the answer ends after some time.
    pub fn is_timed(&self) -> bool {
        self.soft_time.is_some()
    }

    /// Whether a grammar sleeps until something in the answer wakes it.
    pub fn is_lazy(&self) -> bool {
        !self.triggers.is_empty()
    }

    /// The most tokens that the answer may have; `None` is until the context is full.
    pub fn token_limit(&self) -> Option<usize> {
        self.token_limit
    }
}

/// Bytes that one compiled pattern may have, and again those that it may use while it searches: the time for each token
/// grows with them.
const PATTERN_LIMIT: usize = 256 << 10;

/// Compiles a pattern that stands under `key`. Errors: both and the reason.
fn regex(key: &str, pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_LIMIT)
        .dfa_size_limit(PATTERN_LIMIT)
        .build()
        .map_err(|error| format!("{key} {pattern:?} does not compile: {error}"))
}

/// The largest character border at or below `at`.
fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests;
