//! The forms of a text: spellings, sections, layers, and what is no configuration at all.

use serde_json::json;

use super::{Fault, Written, difference, known, settle, wanted, wanted_of_nothing};

fn layers(texts: &[&str]) -> Written {
    texts.iter().fold(Written::default(), |base, text| {
        Written::parse(text.as_bytes()).unwrap().over(&base)
    })
}

#[test]
fn a_guest_that_says_nothing_gets_the_defaults_of_the_other_plugin() {
    let found = wanted_of_nothing();
    assert_eq!(
        found.model.to_string(),
        r#"{"model":{"ctx_size":0,"n_predict":-1},"strict":true}"#
    );
    assert_eq!(
        found.call.to_string(),
        r#"{"sampling":{"min_keep":0,"repeat_penalty":1.0,"temp":0.8},"strict":true}"#
    );
    let options = found.options;
    assert_eq!((options.embd_normalize, options.n_keep), (2, 0));
    assert!(!options.stream_stdout && !options.embedding && !options.reranking);
    assert!(!options.context_shift && !options.no_perf && !options.enable_log);
    assert!(options.image.is_empty() && options.mmproj.is_none());
    for text in ["", " \n\t", "\0", " \0", "{}\0", " { } "] {
        assert_eq!(wanted(text), wanted_of_nothing(), "{text:?}");
    }
}

#[test]
fn what_is_not_a_json_object_is_broken() {
    let deep = |levels: usize| format!(r#"{{"a": {}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let broken: &[&[u8]] = &[
        b"[]",
        b"1",
        b"null",
        b"\"a\"",
        b"{",
        b"{}{}",
        b"{\"a\":}",
        b"{'a':1}",
        b"{}\0\0",
        b"\0{}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":NaN}",
        b"\xef\xbb\xbf{}",
    ];
    for text in broken {
        let fault = Written::parse(text).unwrap_err();
        assert!(matches!(fault, Fault::Broken(_)), "{text:?}: {fault:?}");
    }
    assert!(Written::parse(deep(63).as_bytes()).is_ok());
    for levels in [64, 1_000_000] {
        let fault = Written::parse(deep(levels).as_bytes()).unwrap_err();
        assert!(matches!(fault, Fault::Broken(_)), "{fault:?}");
    }
}

#[test]
fn what_no_number_holds_and_what_is_too_long_is_wrong_and_not_broken() {
    for text in [r#"{"temp": 1e999}"#, r#"{"a": -1e999}"#] {
        assert!(matches!(settle(text), Err(Fault::Wrong(_))), "{text}");
    }
    let long = format!(r#"{{"a": "{}"}}"#, "a".repeat(2 << 20));
    assert!(matches!(settle(&long), Err(Fault::Wrong(_))));
    let grammar = json!({"grammar": "a".repeat(1 << 20)}).to_string();
    assert!(matches!(settle(&grammar), Err(Fault::Wrong(_))));
    for section in ["model", "sampling", "memory-policy", "runtime"] {
        let fault = settle(&json!({ section: 1 }).to_string());
        assert!(matches!(fault, Err(Fault::Wrong(_))), "{section}");
    }
}

#[test]
fn hyphens_and_underscores_are_one_spelling_and_case_is_not() {
    let expect = wanted(r#"{"n-gpu-layers": 3}"#);
    for text in [r#"{"n_gpu_layers": 3}"#, r#"{"n-gpu_layers": 3}"#] {
        assert_eq!(wanted(text), expect, "{text}");
    }
    let other = wanted(r#"{"N-GPU-LAYERS": 3}"#);
    assert_eq!(other.model, wanted_of_nothing().model);
    assert_eq!(other.warnings, ["unknown, ignored: N-GPU-LAYERS"]);
}

#[test]
fn the_right_spelling_of_the_misspelt_key_wins_in_any_order() {
    for text in [
        r#"{"dry-multiplier": 0.5, "dry-multipier": 0.9}"#,
        r#"{"dry-multipier": 0.9, "dry-multiplier": 0.5}"#,
        r#"{"dry_multipier": 0.5}"#,
    ] {
        assert_eq!(
            wanted(text).call["sampling"]["dry_multiplier"],
            0.5,
            "{text}"
        );
    }
}

#[test]
fn sections_say_the_same_as_flat_keys_and_are_stronger() {
    for (flat, nested) in [
        (r#"{"temp": 0.5}"#, r#"{"sampling": {"temp": 0.5}}"#),
        (
            r#"{"temp": 0.5}"#,
            r#"{"temp": 0.9, "sampling": {"temperature": 0.5}}"#,
        ),
        (r#"{"temp": 0.5}"#, r#"{"runtime": {"temp": 0.5}}"#),
        (
            r#"{"temp": 0.5}"#,
            r#"{"runtime": {"temp": 1, "sampling": {"temp": 0.5}}}"#,
        ),
        (
            r#"{"temp": 0.5}"#,
            r#"{"runtime": {"temp": 0.5}, "sampling": {"temp": 2}}"#,
        ),
        (r#"{"n-predict": 9}"#, r#"{"stopping": {"max_tokens": 9}}"#),
        (r#"{"n-predict": 9}"#, r#"{"runtime": {"n_predict": 9}}"#),
        (r#"{"n-predict": 9}"#, r#"{"model": {"n-predict": 9}}"#),
        (r#"{"ctx-size": 512}"#, r#"{"model": {"n_ctx": 512}}"#),
        (
            r#"{"batch-size": 64}"#,
            r#"{"performance": {"batch_size": 32}, "model": {"batch_size": 64}}"#,
        ),
        (
            r#"{"no-kv-offload": true}"#,
            r#"{"model": {"kv_offload": false}}"#,
        ),
        (
            r#"{"no-kv-offload": false}"#,
            r#"{"no-kv-offload": true, "model": {"kv_offload": true}}"#,
        ),
        (
            r#"{"ctx-shift": true}"#,
            r#"{"memory": {"context_shifting": true}}"#,
        ),
        (
            r#"{"ctx-shift": true}"#,
            r#"{"memory_policy": {"overflow": "shift"}}"#,
        ),
        (r#"{"n-keep": 5}"#, r#"{"memory": {"n_keep_tokens": 5}}"#),
        (
            r#"{"reverse-prompt": "x"}"#,
            r#"{"stopping": {"stop_after": "x"}}"#,
        ),
        (
            r#"{"stop": ["x"]}"#,
            r#"{"stopping": {"reverse_prompt": "x"}}"#,
        ),
        (
            r#"{"ignore-eos": true}"#,
            r#"{"sampling": {"ignore_eos": false}, "stopping": {"ignore_eos": true}}"#,
        ),
        (
            r#"{"priority": "low"}"#,
            r#"{"runtime": {"priority": "low"}}"#,
        ),
        (
            r#"{"pooling-type": 1, "embedding": true}"#,
            r#"{"model": {"pooling": "mean", "embedding": true}}"#,
        ),
    ] {
        assert_eq!(wanted(nested), wanted(flat), "{nested}");
        assert_ne!(wanted(flat), settle(r#"{"stream-stdout": true}"#).unwrap());
    }
}

#[test]
fn a_flat_key_with_a_dot_is_no_path_into_a_section() {
    for text in [r#"{"sampling.temp": 0.1}"#, r#"{"model": {"a.b": 1}}"#] {
        let found = wanted(text);
        assert_eq!(difference(&found), json!({"model": {}, "call": {}}));
        assert_eq!(found.warnings.len(), 1, "{text}");
    }
}

#[test]
fn the_engines_own_keys_pass_and_the_rest_is_told() {
    let found = wanted(
        r#"{"performance": {"kv-mode": "split", "zzz": 1}, "sampling": {"samplers": ["top_k"]},
            "memory": {"cache_prompt": false, "n_discard": 5, "spill_dir": "/tmp", "max_memory_mb": 1},
            "model": {"system_prompt": "x", "warmup": true, "version": "1"}, "backend": {"queue_size": 1},
            "runtime": {"deterministic": true, "nothing": 1, "strict": false}, "strict": false, "frobnicate": 1,
            "stopping": {"stop_regex": ["a"], "context_aware": 1}, "events": 3, "logging": {}}"#,
    );
    let expect = json!({
        "model": {"memory": {"n_discard": 5}},
        "call": {
            "sampling": {"samplers": ["top_k"], "deterministic": true},
            "stopping": {"stop_regex": ["a"]},
        },
    });
    assert_eq!(difference(&found), expect);
    assert_eq!(
        found.warnings,
        [
            "without effect here: model.warmup, stopping.context_aware",
            "not a guest's to set, ignored: memory.cache_prompt, memory.max_memory_mb, memory.spill_dir, \
             model.system_prompt, model.version, performance.kv_mode, runtime.strict, backend, events, logging, strict",
            "unknown, ignored: performance.zzz, runtime.nothing, frobnicate",
        ]
    );
}

#[test]
fn a_call_section_is_weaker_than_runtime() {
    let found = wanted(r#"{"runtime": {"samplers": ["a"]}, "sampling": {"samplers": ["b"]}}"#);
    assert_eq!(found.call["sampling"]["samplers"], json!(["a"]));
}

#[test]
fn what_public_examples_carry_along_is_not_worth_a_word() {
    let found = wanted(r#"{"llama3": true, "enable-log": false, "ctx-size": 512}"#);
    assert_eq!(found.warnings, Vec::<String>::new());
    let found = wanted(r#"{"llama3": true, "llama4": true}"#);
    assert_eq!(found.warnings, ["unknown, ignored: llama4"]);
}

#[test]
fn leftovers_are_told_in_one_line_and_change_nothing() {
    let found = wanted(
        r#"{"ppl-stride": 1, "hellaswag": true, "hf-token": "x", "model-url": "", "use-color": null, "port": 80,
            "n-out-freq": 1, "p-min-speculative": 0.5, "n_prev": 64, "priority": 2, "chat_template": "x"}"#,
    );
    assert_eq!(difference(&found), json!({"model": {}, "call": {}}));
    assert_eq!(
        found.warnings,
        [
            "without effect here: chat-template, hellaswag, hf-token, model-url, n-out-freq, n-prev, \
          p-min-speculative, port, ppl-stride, priority"
        ]
    );
    let many: Vec<String> = (0..1000).map(|at| format!("\"hf-{at:04}\": 1")).collect();
    let found = wanted(&format!("{{{}}}", many.join(",")));
    assert_eq!(found.warnings.len(), 1);
    assert!(
        found.warnings[0].ends_with("hf-0015 and 240 more"),
        "{:?}",
        found.warnings
    );
}

#[test]
fn what_a_guest_writes_cannot_break_a_line_of_the_log() {
    let hostile = json!({"a\n[ERROR] \u{1b}[31m\u{202e}": 1, "temp": 1}).to_string();
    let said = wanted(&hostile).warnings.join("");
    assert!(
        said.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{said:?}"
    );
    let fault = settle(&json!({"grammar": ["\n\u{e9}".repeat(500)]}).to_string());
    let Err(Fault::Wrong(said)) = fault else {
        panic!("{fault:?}");
    };
    assert!(
        said.len() < 200 && said.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{said:?}"
    );
}

#[test]
fn speech_is_refused_only_where_it_is_asked_for() {
    for text in [
        r#"{"tts": true}"#,
        r#"{"model-vocoder": "v"}"#,
        r#"{"tts_output_file": "o"}"#,
        r#"{"tts": 1}"#,
    ] {
        assert!(matches!(settle(text), Err(Fault::Unsupported(_))), "{text}");
    }
    for text in [
        r#"{"tts": false}"#,
        r#"{"model-vocoder": ""}"#,
        r#"{"tts-speaker-file": null}"#,
    ] {
        assert_eq!(wanted(text), wanted_of_nothing(), "{text}");
    }
}

#[test]
fn a_later_text_lies_over_an_earlier_one_key_by_key_and_null_takes_back() {
    let check = |texts: &[&str], expect: &str| {
        let found = layers(texts).settle(&known).unwrap();
        assert_eq!(found, wanted(expect), "{texts:?}");
    };
    check(
        &[r#"{"temp": 0.5, "top-k": 5}"#, r#"{"temp": 0.6}"#],
        r#"{"temp": 0.6, "top-k": 5}"#,
    );
    check(
        &[r#"{"temp": 0.5}"#, r#"{"sampling": {"temp": 0.6}}"#],
        r#"{"temp": 0.6}"#,
    );
    check(
        &[r#"{"sampling": {"temp": 0.5}}"#, r#"{"temp": 0.6}"#],
        r#"{"temp": 0.6}"#,
    );
    check(&[r#"{"temp": 0.5}"#, r#"{"temp": null}"#], "{}");
    check(
        &[r#"{"temp": 0.5}"#, r#"{"sampling": {"temp": null}}"#],
        "{}",
    );
    check(
        &[
            r#"{"sampling": {"samplers": []}}"#,
            r#"{"sampling": {"samplers": null}}"#,
        ],
        "{}",
    );
    check(
        &[r#"{"temp": null}"#, r#"{"temp": 0.5}"#],
        r#"{"temp": 0.5}"#,
    );
    check(
        &[
            r#"{"hf-token": 1, "tts": true}"#,
            r#"{"hf-token": null, "tts": false}"#,
        ],
        "{}",
    );
    check(
        &[r#"{"dry-multiplier": 0.5}"#, r#"{"dry-multipier": 0.9}"#],
        r#"{"dry-multiplier": 0.9}"#,
    );
    check(
        &[
            r#"{"model": {"kv_offload": false}}"#,
            r#"{"no_kv_offload": false}"#,
        ],
        "{}",
    );
}

#[test]
fn a_guest_cannot_pile_up_entries() {
    let mut written = Written::default();
    for at in 0..50 {
        let entries: Vec<String> = (0..50).map(|more| format!("\"k{at}x{more}\": 1")).collect();
        let entries = entries.join(",");
        let text = format!("{{\"model\": {{{entries}}}, {entries}}}");
        written = Written::parse(text.as_bytes()).unwrap().over(&written);
    }
    assert_eq!((written.nested.len(), written.others.len()), (256, 256));
}
