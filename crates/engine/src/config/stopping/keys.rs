//! The rows of section `stopping`.

use serde_json::Value;
use std::time::Duration;

use super::HardTimeout;
use crate::config::finding::{Code, NOT_AVAILABLE, shortened};
use crate::config::key::{Available, Flat, Ints, Key, Kind, Section};
use crate::config::list;
use crate::config::reading::{Fault, Reading};
use crate::config::value::{TokenLimit, Wrong, boolean, type_of};

pub(in crate::config) static SECTION: Section = Section {
    name: "stopping",
    aliases: &[],
    keys: &[
        Key::int(
            "max_tokens",
            Ints::new(-1, 1_048_576),
            |config| {
                let limit = config.stopping.max_tokens.unwrap_or(config.model.n_predict);
                limit.to_int()
            },
            |config, count| config.stopping.max_tokens = Some(TokenLimit::from_int(count)),
        )
        .read_as(&["n_predict", "max_tokens"])
        .read_at_run_as(&["max_tokens", "n_predict"])
        .flat(Flat::OnlyPerCall)
        .per_call()
        .not_positive_as_loaded(),
        Key::int(
            "max_time_ms",
            Ints::new(0, 86_400_000),
            |config| {
                config
                    .stopping
                    .max_time
                    .map_or(0, |time| time.as_millis() as i64)
            },
            |config, ms| {
                config.stopping.max_time = (ms != 0).then(|| Duration::from_millis(ms as u64));
            },
        )
        .per_call(),
        Key::bool(
            "ignore_eos",
            |config| config.stopping.ignore_eos,
            |config, on| config.stopping.ignore_eos = on,
        )
        .per_call(),
        Key::new(
            "stop",
            Kind::Strings {
                shape: list::Strings {
                    most: 64,
                    max_bytes: 1024,
                    or_one: true,
                    joined: true,
                },
                get: |config| &config.stopping.stop,
                set: |config, texts| config.stopping.stop = texts,
            },
        )
        .read_as(&["stop", "stop_sequences", "reverse_prompt"])
        .per_call(),
        Key::new(
            "stop_tokens",
            Kind::Tokens {
                most: 64,
                get: |config| &config.stopping.stop_tokens,
                set: |config, tokens| config.stopping.stop_tokens = tokens,
            },
        )
        .per_call(),
        Key::new(
            "stop_regex",
            Kind::Strings {
                shape: list::Strings {
                    most: 16,
                    max_bytes: 1024,
                    or_one: true,
                    joined: false,
                },
                get: |config| &config.stopping.stop_regex,
                set: |config, texts| config.stopping.stop_regex = texts,
            },
        )
        .per_call(),
        group("repetition_guard", REPETITION_GUARD, |_| ()),
        Key::new(
            "grammar_triggers",
            Kind::Special {
                expected: "object or array",
                get: |_| Value::Null,
                read: |_, reading, expected| {
                    read_triggers(reading, expected);
                    false
                },
            },
        )
        .per_call(),
        group("timeout_config", TIMEOUT_CONFIG, |config| {
            config.stopping.timeout_config.get_or_insert_default();
        }),
        group("token_filters", TOKEN_FILTERS, |_| ()),
        group("semantic_stopping", SEMANTIC_STOPPING, |_| ()),
        Key::new("context_aware", Kind::NoEffect),
        Key::new("dynamic_timeout", Kind::NoEffect),
        Key::new("token_conditions", Kind::NoEffect),
        Key::new("pattern_conditions", Kind::NoEffect),
        Key::new("semantic_conditions", Kind::NoEffect),
    ],
};

const fn group(
    name: &'static str,
    keys: &'static [Key],
    implied: fn(&mut crate::config::Config),
) -> Key {
    Key::new(name, Kind::Object { keys, implied }).per_call()
}

static REPETITION_GUARD: &[Key] = &[
    Key::bool(
        "enabled",
        |config| config.stopping.repetition_guard.enabled,
        |config, on| config.stopping.repetition_guard.enabled = on,
    )
    .per_call()
    .available(Available::BuiltInOnly),
    Key::int(
        "max_repeats",
        Ints::new(2, 100),
        |config| config.stopping.repetition_guard.max_repeats.into(),
        |config, count| config.stopping.repetition_guard.max_repeats = count as u32,
    )
    .per_call(),
    Key::int(
        "min_pattern_tokens",
        Ints::new(1, 512),
        |config| config.stopping.repetition_guard.min_pattern_tokens.into(),
        |config, count| config.stopping.repetition_guard.min_pattern_tokens = count as u32,
    )
    .per_call(),
    Key::int(
        "max_pattern_tokens",
        Ints::new(1, 512),
        |config| config.stopping.repetition_guard.max_pattern_tokens.into(),
        |config, count| config.stopping.repetition_guard.max_pattern_tokens = count as u32,
    )
    .per_call(),
    Key::int(
        "min_span_tokens",
        Ints::new(1, 1_048_576),
        |config| config.stopping.repetition_guard.min_span_tokens.into(),
        |config, count| config.stopping.repetition_guard.min_span_tokens = count as u32,
    )
    .per_call(),
];

/// The limit in effect, or the one that switching it on would bring.
fn limit(config: &crate::config::Config) -> HardTimeout {
    config.stopping.timeout_config.clone().unwrap_or_default()
}

/// `enabled` stands first: the others change nothing while the limit is off.
static TIMEOUT_CONFIG: &[Key] = &[
    Key::bool(
        "enabled",
        |config| config.stopping.timeout_config.is_some(),
        |config, on| {
            let limit = &mut config.stopping.timeout_config;
            *limit = on.then(|| limit.take().unwrap_or_default());
        },
    )
    .per_call(),
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
    .per_call(),
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
    .available(Available::BuiltInOnly),
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
    .available(Available::BuiltInOnly),
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
    .available(Available::BuiltInOnly),
];

static TOKEN_FILTERS: &[Key] = &[
    Key::new(
        "forbidden_tokens",
        Kind::Tokens {
            most: 1024,
            get: |config| &config.stopping.token_filters.forbidden_tokens,
            set: |config, tokens| config.stopping.token_filters.forbidden_tokens = tokens,
        },
    )
    .per_call()
    .available(Available::BuiltInOnly),
    Key::new(
        "required_tokens",
        Kind::Tokens {
            most: 64,
            get: |config| &config.stopping.token_filters.required_tokens,
            set: |config, tokens| config.stopping.token_filters.required_tokens = tokens,
        },
    )
    .per_call()
    .available(Available::BuiltInOnly),
    Key::new("pattern_based_triggers", Kind::NoEffect),
];

static SEMANTIC_STOPPING: &[Key] = &[
    Key::bool(
        "enabled",
        |config| config.stopping.semantic_stopping.enabled,
        |config, on| config.stopping.semantic_stopping.enabled = on,
    )
    .per_call()
    .available(Available::BuiltInOnly),
    Key::bool(
        "repetition_detection",
        |config| config.stopping.semantic_stopping.repetition_detection,
        |config, on| config.stopping.semantic_stopping.repetition_detection = on,
    )
    .per_call(),
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
    .per_call(),
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
    .per_call(),
];

/// Triggers are not available; what is written is judged by its form, and only ones that would act are answered.
fn read_triggers(reading: &mut Reading<'_>, expected: &str) {
    for written in std::mem::take(&mut reading.written) {
        let acting = match written.value {
            Value::Array(patterns) => Ok(!patterns.is_empty()),
            Value::Object(group) => {
                let enabled = group.get("enabled").map_or(Ok(true), boolean);
                let patterns = match group.get("patterns") {
                    None => Ok(false),
                    Some(Value::Array(patterns)) => Ok(!patterns.is_empty()),
                    Some(other) => Err(Wrong::Type(type_of(other))),
                };
                enabled.and_then(|on| Ok(patterns? && on))
            }
            other => Err(Wrong::Type(type_of(other))),
        };
        match acting {
            Ok(false) => {}
            Ok(true) => reading.fault(Fault {
                code: Code::NotAvailable,
                path: written.path,
                given: shortened(written.value),
                said: NOT_AVAILABLE.into(),
                keeping: false,
            }),
            Err(wrong) => {
                reading.wrong(written.path, written.value, expected, "", wrong);
            }
        }
    }
}
