//! The rows of section `sampling`.

use serde_json::Value;

use super::logit_bias;
use super::{SamplerName, Seed};
use crate::config::document;
use crate::config::key::{Available, Flat, Ints, Key, Kind, Section};
use crate::config::list;
use crate::config::reading::Reading;
use crate::config::value::{Word, Wrong, type_of, words};

/// The seed that means random at every door, as llama.cpp has it.
const RANDOM_SEED: i64 = u32::MAX as i64;

pub(in crate::config) static SECTION: Section = Section {
    name: "sampling",
    aliases: &[],
    keys: &[
        Key::int(
            "seed",
            Ints::new(-1, RANDOM_SEED),
            |config| match config.sampling.seed {
                Seed::Random => -1,
                Seed::Fixed(seed) => seed.into(),
            },
            |config, seed| {
                config.sampling.seed = match seed {
                    -1 | RANDOM_SEED => Seed::Random,
                    seed => Seed::Fixed(seed as u32),
                };
            },
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "temp",
            (0.0, 100.0),
            |config| config.sampling.temp,
            |config, value| config.sampling.temp = value,
        )
        .per_call()
        .minus_one_as_loaded()
        .read_as(&["temp", "temperature"])
        .read_at_run_as(&["temperature", "temp"]),
        Key::int(
            "top_k",
            Ints::new(-1, 1_000_000),
            |config| config.sampling.top_k.into(),
            |config, count| config.sampling.top_k = count as i32,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "top_p",
            (0.0, 1.0),
            |config| config.sampling.top_p,
            |config, value| config.sampling.top_p = value,
        )
        .per_call()
        .minus_one_as_loaded()
        .read_as(&["topP", "top_p"]),
        Key::number(
            "min_p",
            (0.0, 1.0),
            |config| config.sampling.min_p,
            |config, value| config.sampling.min_p = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "typical_p",
            (0.0, 1.0),
            |config| config.sampling.typical_p,
            |config, value| config.sampling.typical_p = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "top_n_sigma",
            (-1.0, 100.0),
            |config| config.sampling.top_n_sigma,
            |config, value| config.sampling.top_n_sigma = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "xtc_probability",
            (0.0, 1.0),
            |config| config.sampling.xtc_probability,
            |config, value| config.sampling.xtc_probability = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "xtc_threshold",
            (0.0, 1.0),
            |config| config.sampling.xtc_threshold,
            |config, value| config.sampling.xtc_threshold = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "dynatemp_range",
            (0.0, 100.0),
            |config| config.sampling.dynatemp_range,
            |config, value| config.sampling.dynatemp_range = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "dynatemp_exponent",
            (0.0, 100.0),
            |config| config.sampling.dynatemp_exponent,
            |config, value| config.sampling.dynatemp_exponent = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "repeat_penalty",
            (0.1, 10.0),
            |config| config.sampling.repeat_penalty,
            |config, value| config.sampling.repeat_penalty = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "presence_penalty",
            (-10.0, 10.0),
            |config| config.sampling.presence_penalty,
            |config, value| config.sampling.presence_penalty = value,
        )
        .per_call(),
        Key::number(
            "frequency_penalty",
            (-10.0, 10.0),
            |config| config.sampling.frequency_penalty,
            |config, value| config.sampling.frequency_penalty = value,
        )
        .per_call(),
        Key::int(
            "penalty_last_n",
            Ints::new(-1, 1_048_576),
            |config| config.sampling.penalty_last_n.into(),
            |config, count| config.sampling.penalty_last_n = count as i32,
        )
        .per_call()
        .minus_one_as_loaded()
        .read_as(&["penalty_last_n", "repeat_last_n"]),
        Key::int(
            "mirostat",
            Ints::new(0, 2),
            |config| config.sampling.mirostat.into(),
            |config, count| config.sampling.mirostat = count as u32,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "mirostat_tau",
            (0.0, 100.0),
            |config| config.sampling.mirostat_tau,
            |config, value| config.sampling.mirostat_tau = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "mirostat_eta",
            (0.0, 1.0),
            |config| config.sampling.mirostat_eta,
            |config, value| config.sampling.mirostat_eta = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "dry_multiplier",
            (0.0, 100.0),
            |config| config.sampling.dry_multiplier,
            |config, value| config.sampling.dry_multiplier = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::number(
            "dry_base",
            (1.0, 100.0),
            |config| config.sampling.dry_base,
            |config, value| config.sampling.dry_base = value,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::int(
            "dry_allowed_length",
            Ints::new(0, 1_048_576),
            |config| config.sampling.dry_allowed_length.into(),
            |config, count| config.sampling.dry_allowed_length = count as u32,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::int(
            "dry_penalty_last_n",
            Ints::new(-1, 1_048_576),
            |config| config.sampling.dry_penalty_last_n.into(),
            |config, count| config.sampling.dry_penalty_last_n = count as i32,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::new(
            "dry_sequence_breakers",
            Kind::Strings {
                shape: list::Strings {
                    most: 64,
                    max_bytes: 1024,
                    or_one: false,
                    joined: false,
                },
                get: |config| &config.sampling.dry_sequence_breakers,
                set: |config, texts| config.sampling.dry_sequence_breakers = texts,
            },
        )
        .per_call(),
        Key::new(
            "samplers",
            Kind::Words {
                list: words::<SamplerName>,
                get: |config| {
                    let order = config.sampling.samplers.as_ref()?;
                    Some(order.iter().map(|name| name.word()).collect())
                },
                set: |config, order| {
                    let order = order.iter().filter_map(|word| SamplerName::of(word));
                    config.sampling.samplers = Some(order.collect());
                },
            },
        )
        .per_call(),
        Key::bool(
            "deterministic",
            |config| config.sampling.deterministic,
            |config, on| config.sampling.deterministic = on,
        )
        .per_call(),
        // Flat, it is the one of `stopping`.
        Key::bool(
            "ignore_eos",
            |config| config.sampling.ignore_eos,
            |config, on| config.sampling.ignore_eos = on,
        )
        .per_call()
        .flat(Flat::Never),
        Key::text(
            "grammar",
            usize::MAX,
            |config| config.sampling.grammar.as_deref(),
            |config, text| config.sampling.grammar = text,
        )
        .per_call(),
        Key::bool(
            "grammar_lazy",
            |config| config.sampling.grammar_lazy,
            |config, on| config.sampling.grammar_lazy = on,
        )
        .per_call()
        .available(Available::BuiltInOnly),
        Key::new(
            "json_schema",
            Kind::Special {
                expected: "object or string",
                get: |config| config.sampling.json_schema.clone().into(),
                read: |config, reading, expected| match read_schema(reading, expected) {
                    Some(schema) => {
                        config.sampling.json_schema = schema;
                        true
                    }
                    None => false,
                },
            },
        )
        .per_call(),
        Key::int(
            "n_probs",
            Ints::new(0, 100),
            |config| config.sampling.n_probs.into(),
            |config, count| config.sampling.n_probs = count as u32,
        )
        .per_call()
        .minus_one_as_loaded()
        .read_as(&["n_probs", "logprobs"])
        .available(Available::BuiltInOnly),
        Key::int(
            "min_keep",
            Ints::new(0, 1000),
            |config| config.sampling.min_keep.into(),
            |config, count| config.sampling.min_keep = count as u32,
        )
        .per_call()
        .minus_one_as_loaded(),
        Key::new("tfs_z", Kind::NoEffect),
        Key::new(
            "logit_bias",
            Kind::Special {
                expected: "array of [token, bias] pairs or object",
                get: |config| logit_bias::show(&config.sampling.logit_bias),
                read: |config, reading, expected| {
                    logit_bias::read(&mut config.sampling.logit_bias, reading, expected)
                },
            },
        )
        .per_call(),
    ],
};

/// A schema, or `Some(None)` for the empty text, which switches one off.
fn read_schema(reading: &mut Reading<'_>, expected: &str) -> Option<Option<Value>> {
    reading.last(expected, String::new, |value| match value {
        Value::Object(_) => Ok(Some(value.clone())),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => match document::value_of(text) {
            Ok(schema @ (Value::Object(_) | Value::Bool(_))) => Ok(Some(schema)),
            Ok(_) => Err(Wrong::Parse("the text is not a JSON schema".into())),
            Err(error) => Err(Wrong::Parse(format!("the text is not JSON: {error}"))),
        },
        other => Err(Wrong::Type(type_of(other))),
    })
}
