//! What values mean for each other, what becomes one model, and texts without any sense.

use serde_json::{Value, json};

use super::{Fault, Written, known, settle, wanted};

#[test]
fn texts_of_one_meaning_ask_for_one_model() {
    let same = |texts: &[&str]| {
        for text in texts {
            let (found, first) = (
                wanted(text).model.to_string(),
                wanted(texts[0]).model.to_string(),
            );
            assert_eq!(found, first, "{text}");
        }
    };
    same(&[
        "{}",
        r#"{"batch-size": 512, "ubatch-size": 512, "threads": -1, "use-mmap": true, "main-gpu": 0}"#,
        r#"{"rope-freq-base": -0.0, "ubatch-size": 4096, "temp": 0.1, "n-predict": 7, "stop": "x", "n-keep": 4}"#,
        r#"{"pooling-type": "mean", "attention-type": 1}"#,
        r#"{"cache-type-k": 1, "flash-attn": "auto", "numa": 0, "n-cpu-moe": 0, "tensor-split": ""}"#,
    ]);
    same(&[
        r#"{"n-gpu-layers": 4, "tensor-split": "3,2.50", "rope-freq-base": 10000, "threads": 2, "threads-batch": 2}"#,
        r#"{"threads": 2, "rope_freq_base": 1e4, "model": {"tensor_split": [3, 2.5], "n-gpu-layers": 4}}"#,
    ]);
    same(&[
        r#"{"memory": {"n_discard": 5}, "model": {"split_seed": 1.0}}"#,
        r#"{"model": {"split-seed": 1}, "memory": {"n-discard": 5.0}}"#,
    ]);
    let (one, other) = (
        wanted(r#"{"ctx-size": 512}"#),
        wanted(r#"{"ctx-size": 1024}"#),
    );
    assert_ne!(one.model, other.model);
}

#[test]
fn the_order_of_a_schema_stays_as_it_is_written() {
    let text = r#"{"json-schema": {"properties": {"z": {}, "a": {}}}}"#;
    let schema = wanted(text).call["sampling"]["json_schema"].to_string();
    assert_eq!(schema, r#"{"properties":{"z":{},"a":{}}}"#);
}

#[test]
fn a_limit_that_no_call_can_say_is_said_at_load() {
    let limits = |text: &str| {
        let found = wanted(text);
        (
            found.model["model"]["n_predict"].clone(),
            found.call["stopping"]["max_tokens"].clone(),
        )
    };
    assert_eq!(limits("{}"), (json!(-1), Value::Null));
    assert_eq!(limits(r#"{"n-predict": 7}"#), (json!(-1), json!(7)));
    assert_eq!(limits(r#"{"n-predict": 0}"#), (json!(0), Value::Null));
}

#[test]
fn batches_fit_each_other_and_a_text_to_embed() {
    let batches = |text: &str| {
        let found = wanted(text);
        let model = &found.model["model"];
        (
            model["batch_size"].clone(),
            model["ubatch_size"].clone(),
            found.warnings.len(),
        )
    };
    assert_eq!(batches("{}"), (Value::Null, Value::Null, 0));
    assert_eq!(
        batches(r#"{"batch-size": 2048}"#),
        (json!(2048), Value::Null, 0)
    );
    assert_eq!(
        batches(r#"{"batch-size": 64}"#),
        (json!(64), Value::Null, 0)
    );
    assert_eq!(
        batches(r#"{"batch-size": 64, "ubatch-size": 32}"#),
        (json!(64), json!(32), 0)
    );
    assert_eq!(
        batches(r#"{"batch-size": 64, "ubatch-size": 128}"#),
        (json!(64), Value::Null, 1)
    );
    assert_eq!(
        batches(r#"{"batch-size": 1024, "ubatch-size": 1024}"#),
        (json!(1024), json!(1024), 0)
    );
    assert_eq!(
        batches(r#"{"embedding": true}"#),
        (json!(2048), json!(2048), 0)
    );
    assert_eq!(
        batches(r#"{"embedding": true, "batch-size": 512}"#),
        (Value::Null, Value::Null, 0)
    );
    assert_eq!(
        batches(r#"{"embedding": true, "ubatch-size": 512}"#),
        (json!(2048), json!(2048), 1)
    );
}

#[test]
fn reranking_is_an_embedding_whose_pooling_is_rank_and_its_value_counts() {
    let found = wanted(r#"{"reranking": true, "pooling-type": 1, "embedding": false}"#);
    assert!(found.options.embedding && found.options.reranking);
    assert_eq!(found.model["model"]["embedding"], true);
    assert_eq!(found.model["model"]["pooling"], "rank");
    assert_eq!(found.warnings.len(), 1);
    let found = wanted(
        r#"{"reranking": false, "embedding": true, "attention-type": 1, "pooling-type": 3}"#,
    );
    assert!(found.options.embedding && !found.options.reranking);
    assert_eq!(found.model["model"]["pooling"], "last");
    assert_eq!(found.model["model"]["attention"], "non_causal");
}

#[test]
fn values_that_exclude_each_other_are_settled_or_refused() {
    for text in [
        r#"{"ctx-size": 127}"#,
        r#"{"ctx-size": 1}"#,
        r#"{"flash-attn": false, "cache-type-v": "q8_0"}"#,
        r#"{"image": "a.png"}"#,
        r#"{"image": ["a.png"], "mmproj": ""}"#,
    ] {
        assert!(matches!(settle(text), Err(Fault::Wrong(_))), "{text}");
    }
    wanted(
        r#"{"flash-attn": false, "cache-type-v": "bf16", "cache-type-k": "q8_0", "ctx-size": 128}"#,
    );
    let found = wanted(r#"{"grammar": "root ::= \"a\"", "json-schema": "{}"}"#);
    assert_eq!(found.call["sampling"]["json_schema"], "{}");
    assert_eq!(found.call["sampling"].get("grammar"), None);
    assert_eq!(
        found.warnings,
        ["changed: grammar gives way to json-schema"]
    );
}

#[test]
fn options_are_what_was_written() {
    let options = wanted(
        r#"{"stream-stdout": true, "embd-normalize": -1, "no-perf": true, "enable-log": true,
            "enable-debug-log": true, "ctx-shift": true, "n-keep": -1, "image": ["a", "", "b"], "mmproj": "m"}"#,
    )
    .options;
    assert!(
        options.stream_stdout && options.no_perf && options.enable_log && options.enable_debug_log
    );
    assert!(options.context_shift);
    assert_eq!((options.embd_normalize, options.n_keep), (-1, u32::MAX));
    assert_eq!(
        (options.image, options.mmproj.as_deref()),
        (vec!["a".into(), "b".into()], Some("m"))
    );
}

#[test]
fn a_projector_is_never_the_engines_before_its_path_was_judged() {
    for text in [
        r#"{"mmproj": "p"}"#,
        r#"{"model": {"mmproj": "p"}}"#,
        r#"{"mmproj": "q", "model": {"mmproj": "p"}}"#,
    ] {
        let found = wanted(text);
        assert_eq!(found.options.mmproj.as_deref(), Some("p"), "{text}");
        assert!(!found.model.to_string().contains("mmproj"), "{text}");
    }
    for text in [
        r#"{"model.mmproj": "p"}"#,
        r#"{"model": {"MMPROJ": "p"}}"#,
        r#"{"sampling": {"mmproj": "p"}}"#,
        r#"{"runtime": {"mmproj": "p"}}"#,
        r#"{"runtime": {"model": {"mmproj": "p"}}}"#,
    ] {
        let found = wanted(text);
        assert_eq!(found.options.mmproj, None, "{text}");
        let said = format!("{}{}", found.model, found.call);
        assert!(!said.contains("mmproj"), "{text}: {said}");
    }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

#[test]
fn no_text_makes_it_panic_and_what_passes_is_canonical() {
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    let keys: Vec<&str> = crate::config::rows::rows()
        .flat_map(|row| row.also.iter().chain([&row.key]))
        .copied()
        .collect();
    let values = [
        "0",
        "-1",
        "1",
        "2",
        "0.5",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        "[1]",
        "1e308",
        "-0.0",
        "\"3,2\"",
        "\"on\"",
        "18446744073709551615",
        "-9223372036854775808",
        "[\"a\",{}]",
        "512",
    ];
    let (mut good, mut base) = (0, Written::default());
    for _ in 0..5_000 {
        let mut text = String::from("{");
        for at in 0..1 + draw.below(4) {
            let comma = if at == 0 { "" } else { "," };
            let (key, value) = (
                keys[draw.below(keys.len())],
                values[draw.below(values.len())],
            );
            match key.split_once('.') {
                Some((section, key)) => {
                    text += &format!("{comma}\"{section}\":{{\"{key}\":{value}}}")
                }
                None => text += &format!("{comma}\"{key}\":{value}"),
            }
        }
        text.push('}');
        let mut bytes = text.into_bytes();
        if draw.below(4) == 0 {
            let at = draw.below(bytes.len());
            bytes[at] = draw.below(256) as u8;
        }
        let Ok(written) = Written::parse(&bytes) else {
            continue;
        };
        let again = written.over(&written).settle(&known);
        let found = written.settle(&known);
        assert_eq!(found, again);
        if let Ok(found) = found {
            good += 1;
            assert_eq!(found.model["strict"], true);
            assert_eq!(
                found.model,
                crate::config::place::canonical(found.model.clone())
            );
        }
        base = written.over(&base);
        let _ = base.settle(&known);
    }
    assert!(good > 250, "only {good} texts passed");
    for length in 0..2000 {
        let noise: Vec<u8> = (0..length % 64).map(|_| draw.below(256) as u8).collect();
        let _ = Written::parse(&noise).map(|written| written.settle(&known));
    }
}
