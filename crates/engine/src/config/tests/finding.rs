//! Each kind of finding, with its words.

use super::*;
use crate::config::logging::Category;
use serde_json::json;

#[test]
fn wrong_types_name_what_was_expected_and_found() {
    let wrong = |text, message| check(text, Code::WrongType, message);
    wrong(
        r#"{"model":{"threads":"4"}}"#,
        "model.threads: expected integer, found string",
    );
    wrong(
        r#"{"threads":4.5}"#,
        "threads: expected integer, found number with a fraction",
    );
    wrong(
        r#"{"use_mmap":1}"#,
        "use_mmap: expected boolean, found number",
    );
    wrong(r#"{"temp":true}"#, "temp: expected number, found boolean");
    wrong(
        r#"{"grammar":null}"#,
        "grammar: expected string, found null",
    );
    wrong(
        r#"{"stop":{}}"#,
        "stop: expected string or array of strings, found object",
    );
    wrong(
        r#"{"strict":"yes"}"#,
        "strict: expected boolean, found string",
    );
    wrong(
        r#"{"tensor_split":[1,"2"]}"#,
        "tensor_split: expected array of numbers, found array with other items",
    );
}

#[test]
fn a_whole_float_is_an_integer() {
    let (config, found) = init(r#"{"threads":4.0,"ctx_size":1e3}"#);
    assert_eq!(found, NONE);
    assert_eq!((config.model.threads, config.model.ctx_size), (4, 1000));
}

#[test]
fn values_out_of_range_name_the_range_and_what_is_kept() {
    let out = |text, message| check(text, Code::OutOfRange, message);
    out(
        r#"{"backend":{"idle_timeout_ms":0}}"#,
        "backend.idle_timeout_ms: 0 not in 10..86400000, keeping 300000",
    );
    out(
        r#"{"ctx_size":99}"#,
        "ctx_size: 99 not in 0, 128..4194304, keeping 2048",
    );
    out(r#"{"top_p":1.01}"#, "top_p: 1.01 not in 0..1, keeping 0.95");
    out(
        r#"{"threads":99999999999999999999}"#,
        "threads: 1e+20 not in 0..1024, keeping 0",
    );
    out(
        r#"{"cache_type_k":"q3"}"#,
        "cache_type_k: \"q3\" not in f16, bf16, f32, q8_0, q4_0, q4_1, q5_0, q5_1, iq4_nl, keeping \"f16\"",
    );
    out(
        r#"{"run_inference_args":7}"#,
        "run_inference_args: 7 not in auto, 6, 8, keeping \"auto\"",
    );
    out(
        r#"{"n_gpu_layers":-2}"#,
        "n_gpu_layers: -2 not in -1..100000, keeping null",
    );
    out(
        r#"{"numa":true}"#,
        "numa: true not in false, distribute, isolate, numactl, keeping false",
    );
    out(
        r#"{"temp":1e999}"#,
        "temp: 1.7976931348623157e+308 not in 0..100, keeping 0.7",
    );
}

#[test]
fn a_system_prompt_has_at_most_256_kibibytes() {
    let text = |len| format!(r#"{{"system_prompt":"{}"}}"#, "x".repeat(len));
    assert_eq!(init(&text(256 << 10)).1, NONE);
    let (config, found) = init(&text((256 << 10) + 1));
    assert_eq!(
        found,
        ["system_prompt: 262145 bytes not in 0..262144, keeping null"]
    );
    assert_eq!(config.model.system_prompt, None);
}

#[test]
fn bad_items_of_a_list_are_skipped_one_by_one() {
    let long = "x".repeat(1025);
    let (config, found) = init(&format!(r#"{{"stop":["a",5,"{long}","","b"]}}"#));
    assert_eq!(config.stopping.stop, ["a", "b"]);
    assert_eq!(
        found,
        [
            "stop[1]: expected string, found number, ignored",
            "stop[2]: 1025 bytes not in 1..1024, ignored",
        ]
    );
    let (config, found) = init(r#"{"dry_sequence_breakers":["x",null]}"#);
    assert_eq!(config.sampling.dry_sequence_breakers, ["x"]);
    assert_eq!(
        found,
        ["dry_sequence_breakers[1]: expected string, found null, ignored"]
    );
    let (config, found) = init(r#"{"stop_tokens":[1,1.5,""]}"#);
    assert_eq!(config.stopping.stop_tokens, [TokenRef::Id(1)]);
    assert_eq!(
        found,
        [
            "stop_tokens[1]: expected token id or string, found number with a fraction, ignored",
            "stop_tokens[2]: expected token id or string, found empty string, ignored",
        ]
    );
}

#[test]
fn lists_have_a_most() {
    let list = |count: usize| {
        let items: Vec<String> = (0..count).map(|n| format!("\"s{n}\"")).collect();
        format!("[{}]", items.join(","))
    };
    assert_eq!(init(&format!(r#"{{"stop":{}}}"#, list(64))).1, NONE);
    let (config, found) = init(&format!(
        r#"{{"stop":{},"stop_sequences":["x"]}}"#,
        list(65)
    ));
    assert_eq!(config.stopping.stop.len(), 64);
    assert_eq!(
        found,
        [
            "stop: more than 64 entries, the rest is ignored",
            "stop_sequences: more than 64 entries, the rest is ignored",
        ]
    );
    let (config, found) = init(&format!(r#"{{"stop_regex":{}}}"#, list(17)));
    assert_eq!((config.stopping.stop_regex.len(), found.len()), (16, 1));
}

#[test]
fn one_bad_word_voids_a_list_of_words() {
    let (config, found) = init(r#"{"samplers":["top_k","topk"]}"#);
    assert_eq!(config.sampling.samplers, None);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("samplers[1]: \"topk\" not in penalties, dry,"));
    assert!(found[0].ends_with("temp, keeping null"));
    let (config, found) = init(r#"{"logging":{"categories":["queue","Model"]}}"#);
    assert_eq!(
        config.logging.categories,
        Some(vec![Category::Queue, Category::Model])
    );
    assert_eq!(found, NONE);
}

#[test]
fn bad_biases_are_skipped() {
    let (config, found) = init(r#"{"logit_bias":[[1,2],[1],5,[2,true],[3,101],["",1],[4,100]]}"#);
    assert_eq!(
        config.sampling.logit_bias,
        [
            (TokenRef::Id(1), Bias::Value(2.0)),
            (TokenRef::Id(4), Bias::Value(100.0)),
        ]
    );
    let form = "expected a token with a number or false";
    assert_eq!(
        found,
        [
            format!("logit_bias[1]: {form}, found array of another length, ignored"),
            format!("logit_bias[2]: {form}, found number, ignored"),
            format!("logit_bias[3]: {form}, found boolean, ignored"),
            "logit_bias[4]: [3,101] not in -100..100, ignored".to_owned(),
            format!("logit_bias[5]: {form}, found empty string, ignored"),
        ]
    );
    let (_, found) = init(r#"{"logit_bias":{"x":-101}}"#);
    assert_eq!(found, ["logit_bias.x: -101 not in -100..100, ignored"]);
}

#[test]
fn thresholds_that_contradict_each_other_go_back_to_their_shares() {
    let bad = |text, message| {
        check(text, Code::BadCombination, message);
        let backend = init(text).0.backend;
        assert_eq!(
            (
                backend.queue_warning_threshold,
                backend.queue_reject_threshold
            ),
            (8, 10)
        );
    };
    bad(
        r#"{"queue_size":10,"queue_reject_threshold":11}"#,
        "queue_reject_threshold: 11 above queue_size 10, keeping 10",
    );
    bad(
        r#"{"queue_size":10,"backend":{"queue_warning_threshold":9,"queue_reject_threshold":7}}"#,
        "backend.queue_warning_threshold: 9 above queue_reject_threshold 7, keeping 8",
    );
    bad(
        r#"{"queue_size":10,"queue_warning_threshold":11}"#,
        "queue_warning_threshold: 11 above queue_reject_threshold 10, keeping 8",
    );
    let (config, found) = init(r#"{"queue_warning_threshold":50,"queue_reject_threshold":50}"#);
    assert_eq!(
        (config.backend.queue_warning_threshold, found.len()),
        (50, 0)
    );
}

#[test]
fn other_contradictions_are_answered_too() {
    let bad = |text, message| check(text, Code::BadCombination, message);
    bad(
        r#"{"grammar":"root ::= \"a\"","json_schema":{}}"#,
        "grammar: not together with json_schema, which is used",
    );
    bad(
        r#"{"context_shifting":false,"memory":{"overflow":"shift"}}"#,
        "context_shifting: contradicts overflow, keeping \"error\"",
    );
    bad(
        r#"{"cache_type_v":"q8_0","flash_attn":"off"}"#,
        "cache_type_v: q8_0 needs flash attention, which is off, keeping \"f16\"",
    );
    bad(
        r#"{"timeout_config":{"max_inference_time_ms":1000,"min_timeout_ms":1001}}"#,
        "timeout_config.min_timeout_ms: min_timeout_ms 1001 above max_inference_time_ms 1000, keeping 1000",
    );
    bad(
        r#"{"repetition_guard":{"min_pattern_tokens":9,"max_pattern_tokens":8}}"#,
        "repetition_guard.min_pattern_tokens: min_pattern_tokens 9 above max_pattern_tokens 8, keeping 1 and 64",
    );
    let (config, found) = init(
        r#"{"timeout_config":{"max_inference_time_ms":1000,"min_timeout_ms":1000},
            "repetition_guard":{"min_pattern_tokens":8,"max_pattern_tokens":8}}"#,
    );
    assert_eq!(found, NONE);
    assert_eq!(config.stopping.repetition_guard.min_pattern_tokens, 8);
}

#[test]
fn a_call_is_judged_on_what_it_makes_of_the_loaded_settings() {
    let (settings, found) = called(
        r#"{"timeout_config":{"min_timeout_ms":5000}}"#,
        r#"{"timeout_config":{"max_inference_time_ms":2000}}"#,
    );
    let limit = settings.stopping.timeout_config.unwrap();
    assert_eq!(limit.min_timeout, limit.max_inference_time);
    let said = "min_timeout_ms 5000 above max_inference_time_ms 2000, keeping 2000";
    assert_eq!(
        found,
        [format!("timeout_config.max_inference_time_ms: {said}")]
    );
    let (settings, found) = called(
        r#"{"repetition_guard":{"max_pattern_tokens":8}}"#,
        r#"{"stopping":{"repetition_guard":{"min_pattern_tokens":9}}}"#,
    );
    assert_eq!(settings.stopping.repetition_guard.max_pattern_tokens, 8);
    assert_eq!(found.len(), 1);
}

#[test]
fn a_contradiction_is_told_of_the_door_that_brought_it_about() {
    let (_, findings) = found(&[
        (Door::Init, r#"{"timeout_config":{"min_timeout_ms":5000}}"#),
        (
            Door::Load,
            r#"{"timeout_config":{"max_inference_time_ms":2000}}"#,
        ),
    ]);
    let seen: Vec<_> = findings.iter().map(|f| (f.door, f.path.as_str())).collect();
    assert_eq!(seen, [(Door::Load, "timeout_config.max_inference_time_ms")]);
}

#[test]
fn a_schema_text_that_is_not_json_does_not_compile() {
    check_at(
        Door::Run,
        r#"{"json_schema":"{\"type\":"}"#,
        Code::NoCompile,
        "json_schema: the text is not JSON: EOF while parsing a value at line 1 column 8",
    );
    check_at(
        Door::Load,
        r#"{"json_schema":"5"}"#,
        Code::NoCompile,
        "json_schema: the text is not a JSON schema",
    );
}

#[test]
fn keys_without_a_function_are_known_and_never_refused() {
    for (door, text, path) in [
        (Door::Init, r#"{"stream-stdout":true}"#, "stream-stdout"),
        (Door::Init, r#"{"enable_log":1}"#, "enable_log"),
        (Door::Load, r#"{"model":{"image":"x"}}"#, "model.image"),
        (Door::Run, r#"{"tfs_z":1}"#, "tfs_z"),
        (
            Door::Run,
            r#"{"stopping":{"context_aware":{}}}"#,
            "stopping.context_aware",
        ),
        (
            Door::Run,
            r#"{"token_filters":{"pattern_based_triggers":[]}}"#,
            "token_filters.pattern_based_triggers",
        ),
    ] {
        check_at(
            door,
            text,
            Code::NoEffect,
            &format!("{path}: known, has no effect here"),
        );
    }
    assert!(!Code::NoEffect.is_refused_under_strict());
    assert!(Code::NotAvailable.is_refused_under_strict());
}

#[test]
fn what_this_version_lacks_is_answered_when_asked_for() {
    let lacks = |text: &str, path: &str| {
        let message = format!("{path}: not available in this version, ignored");
        check(text, Code::NotAvailable, &message);
        assert_eq!(init(text).0, Config::from_layers(&[]).0, "{text}");
    };
    lacks(r#"{"memory":{"overflow":"summarise"}}"#, "memory.overflow");
    lacks(r#"{"overflow":"summarise"}"#, "overflow");
    lacks(r#"{"events":{"enabled":true}}"#, "events.enabled");
    lacks(r#"{"events":{"path":"x"}}"#, "events.path");
    lacks(r#"{"events":{"types":["load"]}}"#, "events.types");
    lacks(r#"{"events":{"buffer":64}}"#, "events.buffer");
}

#[test]
fn asking_for_what_happens_anyway_is_no_finding() {
    let (_, found) = init(
        r#"{"n_probs":0,"enable_token_cache_reuse":false,
            "max_memory_mb":0,"memory_pressure_threshold":0.85,"cache_strategy":"LRU","spill_dir":"",
            "events":{"enabled":false},"repetition_guard":{"enabled":false},"token_filters":{"required_tokens":[]},
            "grammar_triggers":{"enabled":false,"patterns":["x"]},"semantic_stopping":{"repetition_detection":true}}"#,
    );
    assert_eq!(found, NONE);
}

#[test]
fn a_finding_as_json_has_the_six_fields_of_the_status() {
    let (_, findings) = found(&[(Door::Load, r#"{"backend":{"idle_timeout_ms":0}}"#)]);
    assert_eq!(
        findings[0].to_json(),
        json!({
            "door": "load",
            "path": "backend.idle_timeout_ms",
            "code": "out_of_range",
            "given": 0,
            "used": 300_000,
            "message": "backend.idle_timeout_ms: 0 not in 10..86400000, keeping 300000",
        })
    );
}

#[test]
fn long_values_are_kept_short() {
    let long = "\u{e9}".repeat(5000);
    let (_, findings) = found(&[(Door::Init, &format!(r#"{{"zzz_zzz":"{long}"}}"#))]);
    let given = findings[0].given.as_str().unwrap();
    assert!(given.len() < 300 && given.ends_with("..."));
}

#[test]
fn used_is_what_holds_in_the_end() {
    let (_, findings) = found(&[(Door::Init, r#"{"temp":-3,"sampling":{"temp":0.25}}"#)]);
    assert_eq!(findings[0].used, json!(0.25));
}
