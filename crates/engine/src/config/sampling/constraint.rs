//! Rows of section `sampling`: which tokens may be chosen at all, and what is told of them.

use serde_json::{Value, json};

use super::logit_bias;
use crate::config::document;
use crate::config::key::{Flat, Ints, Key, Kind};
use crate::config::reading::Reading;
use crate::config::value::{Wrong, type_of};

pub(super) static CONSTRAINT: &[Key] = &[
    // Flat, it is the one of `stopping`.
    Key::bool(
        "ignore_eos",
        |config| config.sampling.ignore_eos,
        |config, on| config.sampling.ignore_eos = on,
    )
    .per_call()
    .flat(Flat::Never)
    .about(
        "Never end at an end token, whose probability is set to zero. The one in \
         stopping beats it.",
    ),
    Key::text(
        "grammar",
        usize::MAX,
        |config| config.sampling.grammar.as_deref(),
        |config, text| config.sampling.grammar = text,
    )
    .per_call()
    .about(
        "GBNF grammar of the answer. Empty: none; per call it switches the load's \
         off.",
    ),
    Key::bool(
        "grammar_lazy",
        |config| config.sampling.grammar_lazy,
        |config, on| config.sampling.grammar_lazy = on,
    )
    .per_call()
    .about(
        "The grammar sleeps until a trigger appears. Triggers alone bring this \
         about; without any it is a finding.",
    ),
    Key::new(
        "json_schema",
        Kind::Special {
            expected: "object or string",
            schema: || json!({"type": ["object", "string"]}),
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
    .per_call()
    .about(
        "JSON schema of the answer, as an object or as text. Not together with \
         grammar: the schema wins. Empty text: none.",
    ),
    Key::int(
        "n_probs",
        Ints::new(0, 100),
        |config| config.sampling.n_probs.into(),
        |config, count| config.sampling.n_probs = count as u32,
    )
    .per_call()
    .minus_one_as_loaded()
    .read_as(&["n_probs", "logprobs"])
    .about("Alternatives per token that the metadata lists. 0: none."),
    Key::int(
        "min_keep",
        Ints::new(0, 1000),
        |config| config.sampling.min_keep.into(),
        |config, count| config.sampling.min_keep = count as u32,
    )
    .per_call()
    .minus_one_as_loaded()
    .about("Tokens that every filter leaves at least."),
    Key::new("tfs_z", Kind::NoEffect)
        .per_call()
        .about("Gone from the engine."),
    Key::new(
        "logit_bias",
        Kind::Special {
            expected: "array of [token, bias] pairs or object",
            schema: logit_bias::schema,
            get: |config| logit_bias::show(&config.sampling.logit_bias),
            read: |config, reading, expected| {
                logit_bias::read(&mut config.sampling.logit_bias, reading, expected)
            },
        },
    )
    .per_call()
    .about(
        "Changes of single tokens' logits: pairs of a token (id or one-token text) \
         and -100 to 100, or false for never. A call's list is merged over the \
         load's per token.",
    ),
];

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
