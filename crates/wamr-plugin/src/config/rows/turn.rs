//! The rows of what every turn may have its own way: how tokens are chosen and when the turn ends.

use super::MOST_TOKENS;
use crate::config::kind::Kind;
use crate::config::place::Place::{Call, Own};
use crate::config::row::Plain::{Flag, Real, Whole};
use crate::config::row::Row;
use crate::config::{special, words};

/// The seed that C has for a random one.
const RANDOM_SEED: i64 = u32::MAX as i64;

pub(super) static SAMPLING: &[Row] = &[
    Row::new(
        "temp",
        Kind::real(0.0, 100.0).raised(),
        Call("sampling", "temp"),
    )
    .also(&["temperature", "sampling.temp", "sampling.temperature"])
    .default(Real(0.8))
    .but_engine(Real(0.7)),
    // A call reads -1 as "as loaded", so that off is said with 0.
    Row::new(
        "top-k",
        Kind::whole_as(-1, 1_000_000, |k| Some(k.max(0))).lowered(),
        Call("sampling", "top_k"),
    )
    .also(&["sampling.top_k"])
    .default(Whole(40)),
    Row::new(
        "top-p",
        Kind::real(0.0, 1.0).raised(),
        Call("sampling", "top_p"),
    )
    .also(&["sampling.top_p", "sampling.topP"])
    .default(Real(0.95)),
    Row::new("min-p", Kind::real(0.0, 1.0), Call("sampling", "min_p"))
        .also(&["sampling.min_p"])
        .default(Real(0.05)),
    Row::new("typ-p", Kind::real(0.0, 1.0), Call("sampling", "typical_p"))
        .also(&["typical-p", "sampling.typical_p"])
        .default(Real(1.0)),
    Row::new(
        "top-n-sigma",
        Kind::real(-1.0, 100.0),
        Call("sampling", "top_n_sigma"),
    )
    .also(&["sampling.top_n_sigma"])
    .default(Real(-1.0)),
    Row::new(
        "xtc-probability",
        Kind::real(0.0, 1.0),
        Call("sampling", "xtc_probability"),
    )
    .also(&["sampling.xtc_probability"])
    .default(Real(0.0)),
    Row::new(
        "xtc-threshold",
        Kind::real(0.0, 1.0),
        Call("sampling", "xtc_threshold"),
    )
    .also(&["sampling.xtc_threshold"])
    .default(Real(0.1)),
    Row::new(
        "dynatemp-range",
        Kind::real(0.0, 100.0),
        Call("sampling", "dynatemp_range"),
    )
    .also(&["sampling.dynatemp_range"])
    .default(Real(0.0)),
    Row::new(
        "dynatemp-exponent",
        Kind::real(0.0, 100.0),
        Call("sampling", "dynatemp_exponent"),
    )
    .also(&["sampling.dynatemp_exponent"])
    .default(Real(1.0)),
    Row::new(
        "min-keep",
        Kind::whole(0, 1000),
        Call("sampling", "min_keep"),
    )
    .also(&["sampling.min_keep"])
    .default(Whole(0))
    .but_engine(Whole(1)),
    Row::new(
        "seed",
        Kind::whole_as(-1, RANDOM_SEED, fixed_seed),
        Call("sampling", "seed"),
    )
    .also(&["sampling.seed"]),
    Row::new(
        "last-n-penalty",
        Kind::whole_as(-1, MOST_TOKENS, window).lowered(),
        Call("sampling", "penalty_last_n"),
    )
    .also(&[
        "repeat-last-n",
        "sampling.penalty_last_n",
        "sampling.repeat_last_n",
    ])
    .default(Whole(64)),
    Row::new(
        "repeat-penalty",
        Kind::real(0.1, 10.0),
        Call("sampling", "repeat_penalty"),
    )
    .also(&["sampling.repeat_penalty"])
    .default(Real(1.0))
    .but_engine(Real(1.1)),
    Row::new(
        "presence-penalty",
        Kind::real(-10.0, 10.0),
        Call("sampling", "presence_penalty"),
    )
    .also(&["sampling.presence_penalty"])
    .default(Real(0.0)),
    Row::new(
        "frequency-penalty",
        Kind::real(-10.0, 10.0),
        Call("sampling", "frequency_penalty"),
    )
    .also(&["sampling.frequency_penalty"])
    .default(Real(0.0)),
    // Guests of the other plugin know it misspelt; `written` lets the right spelling win.
    Row::new(
        "dry-multiplier",
        Kind::real(0.0, 100.0),
        Call("sampling", "dry_multiplier"),
    )
    .also(&["dry-multipier", "sampling.dry_multiplier"])
    .default(Real(0.0)),
    Row::new(
        "dry-base",
        Kind::real(1.0, 100.0),
        Call("sampling", "dry_base"),
    )
    .also(&["sampling.dry_base"])
    .default(Real(1.75)),
    Row::new(
        "dry-allowed-length",
        Kind::whole(0, MOST_TOKENS),
        Call("sampling", "dry_allowed_length"),
    )
    .also(&["sampling.dry_allowed_length"])
    .default(Whole(2)),
    Row::new(
        "dry-last-n-penalty",
        Kind::whole_as(-1, MOST_TOKENS, window).lowered(),
        Call("sampling", "dry_penalty_last_n"),
    )
    .also(&["sampling.dry_penalty_last_n"])
    .default(Whole(MOST_TOKENS)),
    Row::new("mirostat", Kind::whole(0, 2), Call("sampling", "mirostat"))
        .also(&["sampling.mirostat"])
        .default(Whole(0)),
    Row::new(
        "mirostat-eta",
        Kind::real(0.0, 1.0),
        Call("sampling", "mirostat_eta"),
    )
    .also(&["sampling.mirostat_eta"])
    .default(Real(0.1)),
    Row::new(
        "mirostat-tau",
        Kind::real(0.0, 100.0),
        Call("sampling", "mirostat_tau"),
    )
    .also(&["sampling.mirostat_tau"])
    .default(Real(5.0)),
    Row::new(
        "logit-bias",
        Kind::Special(&special::BIASES),
        Call("sampling", "logit_bias"),
    )
    .also(&["sampling.logit_bias"]),
    Row::new("n-probs", Kind::whole(0, 100), Call("sampling", "n_probs"))
        .also(&["sampling.n_probs", "sampling.logprobs"])
        .default(Whole(0)),
    Row::new(
        "grammar",
        Kind::Special(&special::GRAMMAR),
        Call("sampling", "grammar"),
    )
    .also(&["sampling.grammar"]),
    Row::new(
        "json-schema",
        Kind::Special(&special::SCHEMA),
        Call("sampling", "json_schema"),
    )
    .also(&["sampling.json_schema"]),
];

pub(super) static STOPPING: &[Row] = &[
    // -1 cannot be said in a call and 0 neither: `settle` says them at load.
    Row::new("n-predict", Kind::whole(-1, MOST_TOKENS).lowered(), Own)
        .also(&[
            "max-tokens",
            "model.n_predict",
            "model.max_tokens",
            "stopping.n_predict",
            "stopping.max_tokens",
        ])
        .default(Whole(-1)),
    Row::new(
        "reverse-prompt",
        Kind::Special(&special::STOPS),
        Call("stopping", "stop_after"),
    )
    .also(&["stop-after", "stopping.stop_after"]),
    Row::new(
        "stop",
        Kind::Special(&special::STOPS),
        Call("stopping", "stop"),
    )
    .also(&[
        "stopping.reverse_prompt",
        "stopping.stop_sequences",
        "stopping.stop",
    ]),
    Row::new("ignore-eos", Kind::Flag, Call("stopping", "ignore_eos"))
        .also(&["sampling.ignore_eos", "stopping.ignore_eos"])
        .default(Flag(false)),
    Row::new(
        "max-time-ms",
        Kind::whole(0, 86_400_000),
        Call("stopping", "max_time_ms"),
    )
    .also(&["stopping.max_time_ms"])
    .default(Whole(0)),
    Row::new(
        "priority",
        Kind::Word(words::PRIORITIES),
        Call("", "priority"),
    )
    .also(&["runtime.priority"]),
];

/// -1 and C's number for it leave the seed to chance.
fn fixed_seed(seed: i64) -> Option<i64> {
    (seed != -1 && seed != RANDOM_SEED).then_some(seed)
}

/// A call reads -1 as "as loaded", so that the whole context is said with a window that no context exceeds.
fn window(tokens: i64) -> Option<i64> {
    Some(if tokens == -1 { MOST_TOKENS } else { tokens })
}
