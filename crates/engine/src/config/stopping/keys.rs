//! The rows of section `stopping`.

use std::time::Duration;

use super::groups::{REPETITION_GUARD, SEMANTIC_STOPPING, TIMEOUT_CONFIG, TOKEN_FILTERS};
use super::triggers;
use crate::config::Config;
use crate::config::key::{Flat, Ints, Key, Kind, Section};
use crate::config::list;
use crate::config::value::TokenLimit;

pub(in crate::config) static SECTION: Section = Section {
    name: "stopping",
    aliases: &[],
    about: "When a turn ends.",
    lists: &[KEYS],
};

static KEYS: &[Key] = &[
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
    .not_positive_as_loaded()
    .about(
        "New tokens per turn; beats model.n_predict. -1: until an end token or a \
         full context.",
    ),
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
    .per_call()
    .about(
        "Soft limit on generation in milliseconds: the text so far is the answer; \
         without a token yet, timeout. 0: off.",
    ),
    Key::bool(
        "ignore_eos",
        |config| config.stopping.ignore_eos,
        |config, on| config.stopping.ignore_eos = on,
    )
    .per_call()
    .about("Never end at an end token. Beats the one in sampling."),
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
    .per_call()
    .about(
        "Texts before whose earliest match the answer is cut, also across tokens. \
         Lists under several names are joined; a call's list replaces the load's.",
    ),
    Key::new(
        "stop_after",
        Kind::Strings {
            shape: list::Strings {
                most: 64,
                max_bytes: 1024,
                or_one: true,
                joined: false,
            },
            get: |config| &config.stopping.stop_after,
            set: |config, texts| config.stopping.stop_after = texts,
        },
    )
    .per_call()
    .about(
        "As stop, but the text that ends the answer stays in it. Where texts of both kinds \
         match, the one that begins first counts; of a text in both lists, this one.",
    ),
    Key::new(
        "stop_tokens",
        Kind::Tokens {
            most: 64,
            get: |config| &config.stopping.stop_tokens,
            set: |config, tokens| config.stopping.stop_tokens = tokens,
        },
    )
    .per_call()
    .about(
        "Tokens that end the answer and are not part of it, by id or one-token \
         text.",
    ),
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
    .per_call()
    .about(
        "Regular expressions before whose match the answer is cut, tested over its \
         last 4 KiB after each token.",
    ),
    group("repetition_guard", REPETITION_GUARD, |_| ()).about(
        "Ends an answer that repeats one pattern of tokens; all but the first are \
         cut.",
    ),
    Key::new(
        "grammar_triggers",
        Kind::Special {
            expected: "object or array",
            schema: triggers::schema,
            get: |config| triggers::show(&config.stopping.grammar_triggers),
            read: |config, reading, expected| match triggers::read(reading, expected) {
                Some(triggers) => {
                    config.stopping.grammar_triggers = triggers;
                    true
                }
                None => false,
            },
        },
    )
    .per_call()
    .about(
        "Free text until a trigger appears in the answer, constrained by grammar or \
         json_schema from there on.",
    ),
    group("timeout_config", TIMEOUT_CONFIG, |config| {
        config.stopping.timeout_config.get_or_insert_default();
    })
    .about(
        "Hard limit on a running turn: it fails with timeout, its text is dropped \
         and the history stays as it was.",
    ),
    group("token_filters", TOKEN_FILTERS, |_| ())
        .about("Tokens that may not, or must, appear in an answer."),
    group("semantic_stopping", SEMANTIC_STOPPING, |_| ()).about("Ends an answer by what it says."),
    Key::new("context_aware", Kind::NoEffect)
        .per_call()
        .about("Short-lived experiment of the earlier library."),
    Key::new("dynamic_timeout", Kind::NoEffect)
        .per_call()
        .about("Short-lived experiment of the earlier library."),
    Key::new("token_conditions", Kind::NoEffect)
        .per_call()
        .about("Short-lived experiment of the earlier library."),
    Key::new("pattern_conditions", Kind::NoEffect)
        .per_call()
        .about("Short-lived experiment of the earlier library."),
    Key::new("semantic_conditions", Kind::NoEffect)
        .per_call()
        .about("Short-lived experiment of the earlier library."),
];

const fn group(name: &'static str, keys: &'static [Key], implied: fn(&mut Config)) -> Key {
    Key::new(name, Kind::Object { keys, implied }).per_call()
}
