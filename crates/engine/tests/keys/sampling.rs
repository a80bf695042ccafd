//! Section `sampling`: another chain says another thing.

use serde_json::{Value, json};

use crate::Row;
use crate::proof::*;

/// An answer of a few letters, which repeats itself without anybody's help.
fn letters() -> Value {
    with(
        wild(),
        json!({"temp": 1.0, "max_tokens": 60, "grammar": "root ::= [ab ]+"}),
    )
}

fn dry(more: Value) -> Value {
    with(
        letters(),
        with(
            json!({"dry_multiplier": 2.0, "dry_allowed_length": 1, "dry_sequence_breakers": []}),
            more,
        ),
    )
}

pub const ROWS: &[Row] = &[
    ("sampling.seed", || {
        says_otherwise(wild(), json!({"seed": 8}))
    }),
    ("sampling.temp", || {
        says_otherwise(wild(), json!({"temp": 0.0}))
    }),
    ("sampling.top_k", || {
        says_otherwise(wild(), json!({"top_k": 1}))
    }),
    ("sampling.top_p", || {
        says_otherwise(wild(), json!({"top_p": 0.1}))
    }),
    ("sampling.min_p", || {
        says_otherwise(wild(), json!({"min_p": 0.9}))
    }),
    ("sampling.typical_p", || {
        says_otherwise(wild(), json!({"typical_p": 0.1}))
    }),
    ("sampling.top_n_sigma", || {
        says_otherwise(wild(), json!({"top_n_sigma": 0.1}))
    }),
    ("sampling.xtc_probability", || {
        says_otherwise(
            wild(),
            json!({"xtc_probability": 1.0, "xtc_threshold": 0.01}),
        );
    }),
    ("sampling.xtc_threshold", || {
        says_otherwise(
            with(
                wild(),
                json!({"xtc_probability": 1.0, "xtc_threshold": 0.01}),
            ),
            json!({"xtc_threshold": 0.5}),
        );
    }),
    ("sampling.dynatemp_range", || {
        says_otherwise(wild(), json!({"dynatemp_range": 1.5}))
    }),
    ("sampling.dynatemp_exponent", || {
        says_otherwise(
            with(wild(), json!({"dynatemp_range": 1.5})),
            json!({"dynatemp_exponent": 9.0}),
        );
    }),
    ("sampling.repeat_penalty", || {
        says_otherwise(letters(), json!({"repeat_penalty": 5.0}))
    }),
    ("sampling.presence_penalty", || {
        says_otherwise(letters(), json!({"presence_penalty": 5.0}))
    }),
    ("sampling.frequency_penalty", || {
        says_otherwise(letters(), json!({"frequency_penalty": 2.0}))
    }),
    ("sampling.penalty_last_n", || {
        says_otherwise(
            with(letters(), json!({"frequency_penalty": 2.0})),
            json!({"penalty_last_n": 1}),
        );
    }),
    ("sampling.mirostat", || {
        says_otherwise(wild(), json!({"mirostat": 2}))
    }),
    ("sampling.mirostat_tau", || {
        says_otherwise(
            with(wild(), json!({"mirostat": 2})),
            json!({"mirostat_tau": 0.1}),
        );
    }),
    ("sampling.mirostat_eta", || {
        says_otherwise(
            with(wild(), json!({"mirostat": 2, "mirostat_tau": 1.0})),
            json!({"mirostat_eta": 1.0}),
        );
    }),
    ("sampling.dry_multiplier", || {
        says_otherwise(
            letters(),
            json!({"dry_multiplier": 2.0, "dry_allowed_length": 1}),
        )
    }),
    ("sampling.dry_base", || {
        says_otherwise(dry(json!({"dry_base": 1.0})), json!({"dry_base": 9.0}))
    }),
    ("sampling.dry_allowed_length", || {
        says_otherwise(dry(json!({})), json!({"dry_allowed_length": 50}))
    }),
    ("sampling.dry_penalty_last_n", || {
        says_otherwise(dry(json!({})), json!({"dry_penalty_last_n": 2}))
    }),
    ("sampling.dry_sequence_breakers", || {
        says_otherwise(
            dry(json!({})),
            json!({"dry_sequence_breakers": ["a", "b", " "]}),
        );
    }),
    ("sampling.samplers", || {
        says_otherwise(
            with(wild(), json!({"top_k": 1})),
            json!({"samplers": ["temperature"]}),
        );
    }),
    ("sampling.deterministic", || {
        shown_by(
            "tests/determinism.rs",
            "a_deterministic_turn_says_the_same_alone_and_beside_seven_others",
            "deterministic",
        );
    }),
    ("sampling.ignore_eos", || {
        ends_otherwise(calm(), json!({"sampling": {"ignore_eos": true}}), "length")
    }),
    ("sampling.grammar", || {
        says_otherwise(calm(), json!({"grammar": "root ::= \"yes\" | \"no\""}))
    }),
    ("sampling.grammar_lazy", || {
        // Without a trigger it is refused by name; what it does with one is a row of `stopping.grammar_triggers`.
        let call = json!({"strict": true, "grammar": "root ::= \"yes\"", "grammar_lazy": true});
        let c = crate::common::open(shared());
        let error = crate::common::say_with(shared(), c, "Hello.", &call.to_string())
            .unwrap_err()
            .to_string();
        assert!(error.contains("grammar_lazy"), "{error}");
        let lazy = with(call, json!({"grammar_triggers": ["never said"]}));
        crate::common::say_with(shared(), c, "Hello.", &lazy.to_string()).unwrap();
    }),
    ("sampling.json_schema", || {
        says_otherwise(calm(), json!({"json_schema": {"enum": [17, 18]}}))
    }),
    ("sampling.n_probs", || {
        let (_, plain) = turn(&calm());
        assert_eq!(plain["logprobs"], Value::Null);
        let (_, changed) = turn(&with(calm(), json!({"n_probs": 3})));
        assert_eq!(
            changed["logprobs"][0]["top_logprobs"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
    }),
    ("sampling.min_keep", || {
        says_otherwise(
            with(wild(), json!({"top_p": 0.0})),
            json!({"min_keep": 100}),
        )
    }),
    ("sampling.logit_bias", || {
        let (_, plain) = turn(&with(calm(), json!({"n_probs": 1})));
        let first = plain["logprobs"][0]["id"].clone();
        says_otherwise(calm(), json!({"logit_bias": [[first, false]]}));
    }),
];
