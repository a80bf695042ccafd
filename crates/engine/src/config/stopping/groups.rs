//! The rows of the groups inside section `stopping`.

use std::time::Duration;

use super::HardTimeout;
use crate::config::Config;
use crate::config::key::{Ints, Key, Kind};

pub(super) static REPETITION_GUARD: &[Key] = &[
    Key::bool(
        "enabled",
        |config| config.stopping.repetition_guard.enabled,
        |config, on| config.stopping.repetition_guard.enabled = on,
    )
    .per_call()
    .about("Master switch."),
    Key::int(
        "max_repeats",
        Ints::new(2, 100),
        |config| config.stopping.repetition_guard.max_repeats.into(),
        |config, count| config.stopping.repetition_guard.max_repeats = count as u32,
    )
    .per_call()
    .about("Times that the pattern stands in a row at the end of the answer."),
    Key::int(
        "min_pattern_tokens",
        Ints::new(1, 512),
        |config| config.stopping.repetition_guard.min_pattern_tokens.into(),
        |config, count| config.stopping.repetition_guard.min_pattern_tokens = count as u32,
    )
    .per_call()
    .about("Tokens of the shortest pattern; not above max_pattern_tokens."),
    Key::int(
        "max_pattern_tokens",
        Ints::new(1, 512),
        |config| config.stopping.repetition_guard.max_pattern_tokens.into(),
        |config, count| config.stopping.repetition_guard.max_pattern_tokens = count as u32,
    )
    .per_call()
    .about("Tokens of the longest pattern."),
    Key::int(
        "min_span_tokens",
        Ints::new(1, 1_048_576),
        |config| config.stopping.repetition_guard.min_span_tokens.into(),
        |config, count| config.stopping.repetition_guard.min_span_tokens = count as u32,
    )
    .per_call()
    .about("Tokens that all repeats span together at least."),
];

/// The limit in effect, or the one that switching it on would bring.
fn limit(config: &Config) -> HardTimeout {
    config.stopping.timeout_config.clone().unwrap_or_default()
}

/// `enabled` stands first: the others change nothing while the limit is off.
pub(super) static TIMEOUT_CONFIG: &[Key] = &[
    Key::bool(
        "enabled",
        |config| config.stopping.timeout_config.is_some(),
        |config, on| {
            let limit = &mut config.stopping.timeout_config;
            *limit = on.then(|| limit.take().unwrap_or_default());
        },
    )
    .per_call()
    .about(
        "Master switch; on when the group is given without it. Off, the other keys \
         of the group change nothing.",
    ),
    Key::int(
        "max_inference_time_ms",
        Ints::new(1000, 86_400_000),
        |config| limit(config).max_inference_time.as_millis() as i64,
        |config, ms| {
            if let Some(limit) = &mut config.stopping.timeout_config {
                limit.max_inference_time = Duration::from_millis(ms as u64);
            }
        },
    )
    .per_call()
    .about(
        "The limit in milliseconds from the start of prefill; waiting in the queue \
         does not count.",
    ),
    Key::bool(
        "adaptive_timeout",
        |config| limit(config).adaptive_timeout,
        |config, on| {
            if let Some(limit) = &mut config.stopping.timeout_config {
                limit.adaptive_timeout = on;
            }
        },
    )
    .per_call()
    .about(
        "The limit is the expected time, by the measured speeds of the model, times \
         timeout_multiplier.",
    ),
    Key::int(
        "min_timeout_ms",
        Ints::new(1, 86_400_000),
        |config| limit(config).min_timeout.as_millis() as i64,
        |config, ms| {
            if let Some(limit) = &mut config.stopping.timeout_config {
                limit.min_timeout = Duration::from_millis(ms as u64);
            }
        },
    )
    .per_call()
    .about("Least adaptive limit in milliseconds; not above max_inference_time_ms."),
    Key::number(
        "timeout_multiplier",
        (1.0, 100.0),
        |config| limit(config).timeout_multiplier,
        |config, factor| {
            if let Some(limit) = &mut config.stopping.timeout_config {
                limit.timeout_multiplier = factor;
            }
        },
    )
    .per_call()
    .about("Adaptive limit as a multiple of the expected time."),
];

pub(super) static TOKEN_FILTERS: &[Key] = &[
    Key::new(
        "forbidden_tokens",
        Kind::Tokens {
            most: 1024,
            get: |config| &config.stopping.token_filters.forbidden_tokens,
            set: |config, tokens| config.stopping.token_filters.forbidden_tokens = tokens,
        },
    )
    .per_call()
    .about(
        "Tokens of probability zero, by id or text. A text of several tokens: its \
         last one, whenever the others stand before it.",
    ),
    Key::new(
        "required_tokens",
        Kind::Tokens {
            most: 64,
            get: |config| &config.stopping.token_filters.required_tokens,
            set: |config, tokens| config.stopping.token_filters.required_tokens = tokens,
        },
    )
    .per_call()
    .about(
        "The answer does not end at an end token until each has appeared. Stop \
         texts and the token limit end it all the same; the metadata lists what \
         is missing.",
    ),
    Key::new("pattern_based_triggers", Kind::NoEffect)
        .per_call()
        .about("Short-lived experiment of the earlier library."),
];

pub(super) static SEMANTIC_STOPPING: &[Key] = &[
    Key::bool(
        "enabled",
        |config| config.stopping.semantic_stopping.enabled,
        |config, on| config.stopping.semantic_stopping.enabled = on,
    )
    .per_call()
    .about("Master switch."),
    Key::bool(
        "repetition_detection",
        |config| config.stopping.semantic_stopping.repetition_detection,
        |config, on| config.stopping.semantic_stopping.repetition_detection = on,
    )
    .per_call()
    .about(
        "Count sentences of 12 or more characters, without regard to case and \
         blanks.",
    ),
    Key::int(
        "max_repetition_count",
        Ints::new(1, 100),
        |config| {
            config
                .stopping
                .semantic_stopping
                .max_repetition_count
                .into()
        },
        |config, count| config.stopping.semantic_stopping.max_repetition_count = count as u32,
    )
    .per_call()
    .about("Times that a sentence may stand in the answer; the surplus one is cut."),
    Key::number(
        "completion_confidence_threshold",
        (0.0, 1.0),
        |config| {
            config
                .stopping
                .semantic_stopping
                .completion_confidence_threshold
        },
        |config, share| {
            config
                .stopping
                .semantic_stopping
                .completion_confidence_threshold = share;
        },
    )
    .per_call()
    .about(
        "Summed probability of all end tokens that ends the answer. 0: off; without \
         effect under ignore_eos, while a grammar holds, and before all required tokens have appeared.",
    ),
];
