//! Rules that end an answer or shape it while it grows, by what the model says under them.

#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]

mod common;

use common::*;
use engine::Error;
use serde_json::{Value, json};

/// The answer and the metadata of a turn with a configuration of its own, in a context of its own.
fn turn(backend: &engine::Backend, call: &Value) -> (String, Value) {
    let c = open(backend);
    let text = say_with(backend, c, "Hello, who are you?", &call.to_string()).unwrap();
    let metadata = metadata(backend, c);
    backend.close_context(c).unwrap();
    (text.to_string(), metadata)
}

/// An answer of hot random text, which goes on until a rule ends it.
fn wild(mut keys: Value) -> Value {
    let base = json!({"temp": 3.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 7, "max_tokens": 48, "ignore_eos": true});
    for (name, value) in base.as_object().unwrap() {
        keys.as_object_mut()
            .unwrap()
            .entry(name.clone())
            .or_insert(value.clone());
    }
    keys
}

/// An answer that is forced to say `text` again and again.
fn chant(text: &str, mut keys: Value) -> Value {
    keys["grammar"] = format!("root ::= ({})+", json!(text)).into();
    keys["max_tokens"] = 200.into();
    keys["ignore_eos"] = true.into();
    keys
}

#[test]
fn the_guard_ends_an_answer_that_repeats_a_pattern_and_keeps_the_first() {
    let backend = backend(GREEDY);
    let guard = json!({"enabled": true, "max_repeats": 3, "min_span_tokens": 1});
    let (text, metadata) = turn(
        &backend,
        &chant("la di da. ", json!({"repetition_guard": guard})),
    );
    assert_eq!(metadata["finish_reason"], "repetition", "{text:?}");
    assert_eq!(text, "la di da. ");
    assert!(
        metadata["finish_detail"]
            .as_str()
            .unwrap()
            .starts_with("3 times"),
        "{metadata}"
    );

    let off = json!({"enabled": false, "max_repeats": 3});
    let (text, metadata) = turn(
        &backend,
        &chant("la di da. ", json!({"repetition_guard": off})),
    );
    assert_eq!(metadata["finish_reason"], "length");
    assert!(text.matches("la").count() > 10, "{text:?}");

    let long = json!({"enabled": true, "max_repeats": 3, "min_pattern_tokens": 100, "max_pattern_tokens": 200});
    let (_, metadata) = turn(
        &backend,
        &chant("la di da. ", json!({"repetition_guard": long})),
    );
    assert_eq!(metadata["finish_reason"], "length", "no pattern is so long");
}

#[test]
fn a_sentence_may_come_as_often_as_the_rule_says() {
    let backend = backend(GREEDY);
    let rule =
        |count: u32| json!({"semantic_stopping": {"enabled": true, "max_repetition_count": count}});
    let sentence = "It rains all day long. ";
    let (text, metadata) = turn(&backend, &chant(sentence, rule(2)));
    assert_eq!(
        (metadata["finish_reason"].as_str(), text.trim_end()),
        (Some("semantic"), sentence.repeat(2).trim_end())
    );

    let mut off = rule(2);
    off["semantic_stopping"]["repetition_detection"] = false.into();
    let (_, metadata) = turn(&backend, &chant(sentence, off));
    assert_eq!(metadata["finish_reason"], "length");
}

#[test]
fn an_answer_ends_when_its_end_is_probable_enough() {
    let backend = backend(GREEDY);
    let rule = |threshold: f64| json!({"temp": 0, "semantic_stopping": {"enabled": true, "completion_confidence_threshold": threshold}});
    let (whole, metadata) = turn(&backend, &json!({"temp": 0}));
    assert_eq!(metadata["finish_reason"], "eos");
    let (text, metadata) = turn(&backend, &rule(0.01));
    assert_eq!(metadata["finish_reason"], "semantic", "{text:?}");
    assert!(whole.starts_with(&text), "{text:?} {whole:?}");
    let mut endless = rule(0.01);
    endless["ignore_eos"] = true.into();
    let (_, metadata) = turn(&backend, &endless);
    assert_eq!(metadata["finish_reason"], "length", "off under ignore_eos");
}

#[test]
fn forbidden_tokens_and_texts_never_appear() {
    let backend = backend(GREEDY);
    let (free, _) = turn(&backend, &wild(json!({})));
    let words: Vec<&str> = free.split_whitespace().collect();
    let listed: Vec<&str> = words
        .iter()
        .copied()
        .filter(|w| w.len() > 3)
        .take(6)
        .collect();
    assert!(listed.len() > 2, "{free:?}");
    for seed in 0..8 {
        let call = wild(json!({"seed": 7 + seed, "token_filters": {"forbidden_tokens": listed}}));
        let (text, _) = turn(&backend, &call);
        for word in &listed {
            let is_there = text.split_whitespace().any(|w| w == *word);
            assert!(!is_there, "{word:?} in {text:?}");
        }
    }
    let (first, _) = turn(&backend, &json!({"temp": 0, "max_tokens": 1, "n_probs": 1}));
    let c = open(&backend);
    say_with(
        &backend,
        c,
        "Hello, who are you?",
        r#"{"temp": 0, "max_tokens": 1, "n_probs": 1}"#,
    )
    .unwrap();
    let id = metadata(&backend, c)["logprobs"][0]["id"].clone();
    let (other, _) = turn(
        &backend,
        &json!({"temp": 0, "max_tokens": 1, "token_filters": {"forbidden_tokens": [id]}}),
    );
    assert_ne!(first, other);
}

#[test]
fn an_answer_does_not_end_before_what_is_required_has_appeared() {
    let backend = backend(GREEDY);
    let (free, metadata) = turn(&backend, &json!({"temp": 0}));
    assert_eq!(metadata["finish_reason"], "eos");
    assert_eq!(metadata["required_missing"], Value::Null);
    let need = |text: &str| json!({"temp": 0, "max_tokens": 90, "token_filters": {"required_tokens": [text]}});
    let word = free.split_whitespace().next().unwrap();
    let (text, metadata) = turn(&backend, &need(word));
    assert_eq!(
        (text, metadata["finish_reason"].as_str()),
        (free.clone(), Some("eos"))
    );

    let (text, metadata) = turn(&backend, &need("xylophone"));
    assert_eq!(metadata["finish_reason"], "length");
    assert_eq!(metadata["required_missing"], json!(["xylophone"]));
    assert!(text.starts_with(&free), "{text:?} {free:?}");
    // A stop string is not held back by what is missing.
    let mut stopped = need("xylophone");
    stopped["stop"] = json!([word]);
    let (_, metadata) = turn(&backend, &stopped);
    assert_eq!(metadata["finish_reason"], "stop");
}

#[test]
fn a_lazy_grammar_holds_from_its_trigger_on() {
    let backend = backend(GREEDY);
    let (free, _) = turn(&backend, &json!({"temp": 0}));
    let mut words = free.split_whitespace();
    let word = words
        .find(|word| word.len() > 2 && word.chars().all(char::is_alphabetic))
        .unwrap();
    let at = free.find(word).unwrap();
    let grammar = format!("root ::= {} \" 1234.\"", json!(word));
    let lazy = |triggers: Value| json!({"temp": 0, "grammar": grammar, "grammar_lazy": true, "grammar_triggers": triggers});
    let expect = format!("{}{word} 1234.", &free[..at]);
    let pattern = format!("(?i){}", word.to_uppercase());
    for triggers in [
        json!([word]),
        json!({"enabled": true, "patterns": [{"type": "word", "value": word}]}),
        json!([{"type": "pattern", "value": pattern}]),
        json!([{"type": "pattern_full", "value": format!(r"(?s).*?({word})")}]),
    ] {
        let (text, metadata) = turn(&backend, &lazy(triggers.clone()));
        assert_eq!(
            (text.as_str(), &metadata["finish_reason"]),
            (expect.as_str(), &json!("eos")),
            "{triggers}"
        );
    }
    let (text, _) = turn(&backend, &lazy(json!(["never said"])));
    assert_eq!(
        text, free,
        "a grammar that nothing wakes constrains nothing"
    );

    let (_, metadata) = turn(
        &backend,
        &json!({"temp": 0, "grammar": "root ::= \"9\"", "grammar_triggers": [word]}),
    );
    assert_eq!(
        metadata["finish_reason"], "grammar_dead_end",
        "its own grammar does not allow the trigger"
    );
}

#[test]
fn a_trigger_token_wakes_the_grammar_with_itself() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    say_with(
        &backend,
        c,
        "Hello, who are you?",
        r#"{"temp": 0, "n_probs": 1}"#,
    )
    .unwrap();
    let probabilities = metadata(&backend, c)["logprobs"].clone();
    let third = &probabilities[2];
    let (id, piece) = (&third["id"], third["token"].as_str().unwrap());
    let grammar = format!("root ::= {} \"!!\"", json!(piece));
    let call = json!({"temp": 0, "grammar": grammar, "grammar_triggers": [{"type": "token", "token": id}]});
    let (text, _) = turn(&backend, &call);
    assert!(text.ends_with(&format!("{piece}!!")), "{text:?}");
}

#[test]
fn probabilities_are_those_of_the_model_before_any_sampler() {
    let backend = backend(GREEDY);
    let (text, metadata) = turn(&backend, &wild(json!({"n_probs": 5, "max_tokens": 8})));
    let list = metadata["logprobs"].as_array().unwrap().clone();
    let said: String = list.iter().map(|t| t["token"].as_str().unwrap()).collect();
    assert_eq!(said, text);
    for token in &list {
        let top = token["top_logprobs"].as_array().unwrap();
        assert_eq!(top.len(), 5);
        let falling: Vec<f64> = top.iter().map(|t| t["logprob"].as_f64().unwrap()).collect();
        assert!(
            falling.windows(2).all(|pair| pair[0] >= pair[1]),
            "{falling:?}"
        );
        assert!(falling.iter().map(|l| l.exp()).sum::<f64>() <= 1.001);
        assert!(token["logprob"].as_f64().unwrap() <= falling[0] + 1e-6);
    }
    let first = |keys: Value| turn(&backend, &keys).1["logprobs"][0]["top_logprobs"].clone();
    let cold = first(json!({"temp": 0, "n_probs": 5, "max_tokens": 1}));
    let biased = first(json!({"temp": 0, "n_probs": 5, "max_tokens": 1, "logit_bias": {"65": 50}}));
    assert_eq!(cold, biased);
    let (_, silent) = turn(&backend, &json!({"temp": 0, "max_tokens": 1}));
    assert_eq!(silent["logprobs"], Value::Null);
}

#[test]
fn an_adaptive_limit_follows_the_measured_speed() {
    let backend = backend(GREEDY);
    let adaptive = |more: Value| {
        let mut limit =
            json!({"enabled": true, "adaptive_timeout": true, "max_inference_time_ms": 600_000});
        limit
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        limit
    };
    // Before a turn was measured the limit is the highest one.
    let c = open(&backend);
    let call = json!({"timeout_config": adaptive(json!({"min_timeout_ms": 1}))});
    say_with(&backend, c, "Hello.", &call.to_string()).unwrap();
    // Fast turns were measured; one that takes a millisecond and more for each token is then far above what is expected.
    let tight = adaptive(json!({"min_timeout_ms": 1, "timeout_multiplier": 1.0}));
    let slow_call = tough(100, json!({"max_tokens": 60, "timeout_config": tight}));
    match say_with(&backend, c, "Hello again.", &slow_call) {
        Err(Error::Timeout(text)) => assert!(text.contains("hard limit"), "{text}"),
        other => panic!("{other:?}"),
    }
    // The floor holds whatever is expected.
    let floor = adaptive(json!({"min_timeout_ms": 600_000, "timeout_multiplier": 1.0}));
    let slow_call = tough(100, json!({"max_tokens": 20, "timeout_config": floor}));
    say_with(&backend, c, "Hello again.", &slow_call).unwrap();
}

#[test]
fn a_grammar_whose_triggers_the_model_lacks_holds_from_the_start() {
    let backend = backend(GREEDY);
    let triggers = json!([{"type": "token", "token": "no single token of this model"}]);
    let (text, _) = turn(
        &backend,
        &json!({"temp": 0, "grammar": "root ::= \"yes\"", "grammar_triggers": triggers}),
    );
    assert_eq!(text, "yes");
}

#[test]
fn tokens_without_text_are_no_text_of_a_grammar() {
    let backend = backend(GREEDY);
    // By its name the marker is twelve characters, so that a grammar of names would be content with it alone.
    let call = json!({
        "temp": 0, "max_tokens": 40, "logit_bias": {"<|im_start|>": 100},
        "json_schema": {"type": "string", "minLength": 5, "maxLength": 12},
    });
    let (text, _) = turn(&backend, &call);
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
    assert!(value.as_str().unwrap().chars().count() >= 5, "{text}");
    let free = json!({"temp": 0, "max_tokens": 4, "logit_bias": {"<|im_start|>": 100}});
    assert_eq!(
        turn(&backend, &free).0,
        "",
        "the bias does choose it where nothing forbids it"
    );
}
