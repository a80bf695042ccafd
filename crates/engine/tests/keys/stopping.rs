//! Section `stopping`: another end, or another text.

use engine::Error;
use serde_json::{Value, json};

use crate::Row;
use crate::common::{GREEDY, backend, metadata, open, say, say_with, tough};
use crate::proof::*;

/// An answer that says a sentence of two halves again and again.
fn chant() -> Value {
    json!({
        "temp": 0, "max_tokens": 160, "ignore_eos": true, "deterministic": true,
        "grammar": "root ::= (\"It rains all day, it rains all day. \")+",
    })
}

fn guard(more: Value) -> Value {
    let base = json!({"enabled": true, "max_repeats": 2, "min_span_tokens": 1});
    json!({"repetition_guard": with(base, more)})
}

fn semantic(more: Value) -> Value {
    json!({"semantic_stopping": with(json!({"enabled": true}), more)})
}

/// Where the answer of [`chant`] was cut.
fn cut(call: Value) -> usize {
    turn(&with(chant(), call)).0.len()
}

/// Whether a turn that is much slower than the one before it runs into its hard limit `timeout`.
fn times_out(timeout: Value) -> bool {
    times_out_in(100, timeout)
}

/// As `times_out`, for a turn whose grammar reads its text in so many `ways`.
fn times_out_in(ways: usize, timeout: Value) -> bool {
    let backend = backend(GREEDY);
    let c = open(&backend);
    say(&backend, c, "Hello.").unwrap();
    let call = json!({"timeout_config": timeout, "max_tokens": 60});
    match say_with(&backend, c, "Hello.", &tough(ways, call)) {
        Ok(_) => false,
        Err(Error::Timeout(_)) => true,
        Err(error) => panic!("{error}"),
    }
}

/// An adaptive limit far below what the turn takes, because the turns before it were fast.
fn adaptive(more: Value) -> Value {
    let base = json!({"adaptive_timeout": true, "max_inference_time_ms": 600_000, "min_timeout_ms": 1, "timeout_multiplier": 1.0});
    with(base, more)
}

pub const ROWS: &[Row] = &[
    ("stopping.max_tokens", || {
        says_otherwise(calm(), json!({"max_tokens": 2}))
    }),
    ("stopping.max_time_ms", || {
        let (_, end) = turn(
            &serde_json::from_str(&tough(60, json!({"max_tokens": 400, "max_time_ms": 50})))
                .unwrap(),
        );
        assert_eq!(end["finish_reason"], "time");
        let (_, end) = turn(&serde_json::from_str(&tough(60, json!({"max_tokens": 4}))).unwrap());
        assert_eq!(end["finish_reason"], "length");
    }),
    ("stopping.ignore_eos", || {
        ends_otherwise(calm(), json!({"stopping": {"ignore_eos": true}}), "length")
    }),
    ("stopping.stop", || {
        ends_otherwise(calm(), json!({"stop": "e"}), "stop")
    }),
    ("stopping.stop_after", || {
        ends_otherwise(calm(), json!({"stop_after": "e"}), "stop");
        let (text, _) = turn(&with(calm(), json!({"stop_after": "e"})));
        assert!(
            text.ends_with('e') && text.matches('e').count() == 1,
            "{text:?}"
        );
    }),
    ("stopping.stop_tokens", || {
        let (_, plain) = turn(&with(calm(), json!({"n_probs": 1})));
        let second = plain["logprobs"][1]["id"].clone();
        ends_otherwise(calm(), json!({"stop_tokens": [second]}), "stop_token");
    }),
    ("stopping.stop_regex", || {
        ends_otherwise(calm(), json!({"stop_regex": "[aeiou]"}), "stop_regex")
    }),
    ("stopping.repetition_guard.enabled", || {
        ends_otherwise(chant(), guard(json!({})), "repetition");
        let (_, off) = turn(&with(chant(), guard(json!({"enabled": false}))));
        assert_eq!(off["finish_reason"], "length");
    }),
    ("stopping.repetition_guard.max_repeats", || {
        let tokens = |n: u32| {
            turn(&with(chant(), guard(json!({"max_repeats": n})))).1["completion_tokens"].as_u64()
        };
        assert!(tokens(2) < tokens(4));
    }),
    ("stopping.repetition_guard.min_pattern_tokens", || {
        ends_otherwise(
            with(chant(), guard(json!({"min_pattern_tokens": 64}))),
            guard(json!({})),
            "repetition",
        );
    }),
    ("stopping.repetition_guard.max_pattern_tokens", || {
        ends_otherwise(
            with(chant(), guard(json!({"max_pattern_tokens": 2}))),
            guard(json!({})),
            "repetition",
        );
    }),
    ("stopping.repetition_guard.min_span_tokens", || {
        let tokens = |n: u32| {
            turn(&with(chant(), guard(json!({"min_span_tokens": n})))).1["completion_tokens"]
                .as_u64()
        };
        assert!(tokens(1) < tokens(100));
    }),
    ("stopping.grammar_triggers", || {
        let grammar = json!({"grammar": "root ::= \"yes\""});
        says_otherwise(
            with(calm(), grammar),
            json!({"grammar_triggers": ["never said"]}),
        );
    }),
    ("stopping.timeout_config.enabled", || {
        assert!(times_out(adaptive(json!({}))));
        assert!(!times_out(adaptive(json!({"enabled": false}))));
    }),
    ("stopping.timeout_config.max_inference_time_ms", || {
        // Its least value is a second, so the turn must take longer.
        let end = |ms: u32| {
            let backend = backend(GREEDY);
            let c = open(&backend);
            let call =
                json!({"timeout_config": {"max_inference_time_ms": ms}, "max_time_ms": 1500});
            let answer = say_with(
                &backend,
                c,
                "Hello.",
                &tough(60, with(call, json!({"max_tokens": 100_000}))),
            );
            answer.map(|_| metadata(&backend, c)["finish_reason"].clone())
        };
        assert!(matches!(end(1000), Err(Error::Timeout(_))));
        assert!(end(600_000).is_ok());
    }),
    ("stopping.timeout_config.adaptive_timeout", || {
        assert!(!times_out(adaptive(json!({"adaptive_timeout": false}))));
        assert!(times_out(adaptive(json!({}))));
    }),
    ("stopping.timeout_config.min_timeout_ms", || {
        assert!(!times_out(adaptive(json!({"min_timeout_ms": 600_000}))));
        assert!(times_out(adaptive(json!({}))));
    }),
    ("stopping.timeout_config.timeout_multiplier", || {
        // A few times as slow as the turn before.
        assert!(times_out_in(40, adaptive(json!({}))));
        assert!(!times_out_in(
            40,
            adaptive(json!({"timeout_multiplier": 100.0}))
        ));
    }),
    ("stopping.token_filters.forbidden_tokens", || {
        let (plain, _) = turn(&calm());
        let word = plain.split_whitespace().next().unwrap();
        says_otherwise(
            calm(),
            json!({"token_filters": {"forbidden_tokens": [word]}}),
        );
    }),
    ("stopping.token_filters.required_tokens", || {
        ends_otherwise(
            calm(),
            json!({"token_filters": {"required_tokens": ["xylophone"]}}),
            "length",
        );
    }),
    ("stopping.semantic_stopping.enabled", || {
        ends_otherwise(chant(), semantic(json!({})), "semantic");
        let (_, off) = turn(&with(chant(), semantic(json!({"enabled": false}))));
        assert_eq!(off["finish_reason"], "length");
    }),
    ("stopping.semantic_stopping.repetition_detection", || {
        ends_otherwise(
            with(chant(), semantic(json!({"repetition_detection": false}))),
            semantic(json!({})),
            "semantic",
        );
    }),
    ("stopping.semantic_stopping.max_repetition_count", || {
        let call = |n: u32| semantic(json!({"max_repetition_count": n}));
        assert!(cut(call(1)) < cut(call(2)));
    }),
    (
        "stopping.semantic_stopping.completion_confidence_threshold",
        || {
            ends_otherwise(
                calm(),
                semantic(json!({"completion_confidence_threshold": 0.001})),
                "semantic",
            );
        },
    ),
];
