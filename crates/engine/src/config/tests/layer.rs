//! Layers, sections, and settings that follow other settings.

use super::*;
use std::time::Duration;

#[test]
fn without_layers_the_built_in_values_hold() {
    let (config, findings) = Config::from_layers(&[]);
    assert_eq!(findings, []);
    assert_eq!(config.sampling.temp, 0.7);
    assert_eq!(config.backend.idle_timeout, Duration::from_secs(300));
    assert_eq!(config.backend.queue_warning_threshold, 40);
    assert_eq!(config.backend.queue_reject_threshold, 50);
    assert_eq!(config.model.n_predict, TokenLimit::AtMost(512));
    assert_eq!(config.model.n_gpu_layers, None);
    assert_eq!(config.performance.n_parallel, 8);
    assert!(!config.strict);
}

#[test]
fn a_load_wins_over_init_key_by_key() {
    let (config, found) = at(&[
        (
            Door::Init,
            r#"{"sampling":{"temp":0.1,"top_k":5},"max_sessions":7}"#,
        ),
        (
            Door::Load,
            r#"{"sampling":{"temp":0.2},"backend":{"max_concurrent":3}}"#,
        ),
    ]);
    assert_eq!(found, NONE);
    assert_eq!((config.sampling.temp, config.sampling.top_k), (0.2, 5));
    assert_eq!(
        (config.backend.max_sessions, config.backend.max_concurrent),
        (7, 3)
    );
}

#[test]
fn a_bad_value_leaves_the_lower_layers_one() {
    let (config, found) = at(&[
        (Door::Init, r#"{"temp":0.1}"#),
        (Door::Load, r#"{"temp":-3}"#),
    ]);
    assert_eq!(config.sampling.temp, 0.1);
    assert_eq!(found, ["temp: -3 not in 0..100, keeping 0.1"]);
}

#[test]
fn the_runtime_section_is_above_its_own_text_and_the_load() {
    let (config, found) = init(r#"{"runtime":{"temp":0.3},"sampling":{"temp":0.1},"temp":0.2}"#);
    assert_eq!((config.sampling.temp, found.len()), (0.3, 0));
    let (config, _) = at(&[
        (Door::Init, r#"{"runtime":{"temp":0.3}}"#),
        (Door::Load, r#"{"temp":0.9}"#),
    ]);
    assert_eq!(config.sampling.temp, 0.3);
}

#[test]
fn a_loads_runtime_section_replaces_that_of_init() {
    let (config, _) = at(&[
        (
            Door::Init,
            r#"{"temp":0.5,"runtime":{"temp":0.3,"top_k":3}}"#,
        ),
        (Door::Load, r#"{"runtime":{"sampling":{"top_k":9}}}"#),
    ]);
    assert_eq!((config.sampling.temp, config.sampling.top_k), (0.5, 9));
}

#[test]
fn a_key_in_its_section_beats_the_same_key_flat() {
    let (config, found) = init(
        r#"{"temp":0.1,"top_k":3,"max_sessions":4,"queue_size":9,
            "sampling":{"temp":0.9},"backend":{"queue_size":20}}"#,
    );
    assert_eq!(found, NONE);
    assert_eq!((config.sampling.temp, config.sampling.top_k), (0.9, 3));
    assert_eq!(
        (config.backend.queue_size, config.backend.max_sessions),
        (20, 4)
    );
}

#[test]
fn a_bad_key_in_its_section_leaves_the_good_flat_one() {
    let (config, found) = init(r#"{"temp":0.1,"sampling":{"temp":"hot"}}"#);
    assert_eq!(config.sampling.temp, 0.1);
    assert_eq!(found, ["sampling.temp: expected number, found string"]);
}

#[test]
fn a_section_of_another_type_is_skipped() {
    check(
        r#"{"sampling":[1],"temp":0.1}"#,
        Code::WrongType,
        "sampling: expected object, found array",
    );
    check(
        r#"{"runtime":5}"#,
        Code::WrongType,
        "runtime: expected object, found number",
    );
    check(
        r#"{"memory_policy":null}"#,
        Code::WrongType,
        "memory_policy: expected object, found null",
    );
    check(
        r#"{"stopping":{"timeout_config":true}}"#,
        Code::WrongType,
        "stopping.timeout_config: expected object, found boolean",
    );
}

#[test]
fn flat_names_of_two_sections_go_where_the_table_says() {
    let (config, found) = init(
        r#"{"batch_size":64,"max_tokens":9,"ignore_eos":true,"stop":"x","max_time_ms":5,"enable_debug":true}"#,
    );
    assert_eq!(found, NONE);
    assert_eq!(
        (config.model.batch_size, config.performance.batch_size),
        (64, None)
    );
    assert_eq!(config.model.n_predict, TokenLimit::AtMost(9));
    assert_eq!(config.stopping.max_tokens, None);
    assert!(config.stopping.ignore_eos && config.sampling.ignore_eos);
    assert_eq!(config.stopping.stop, ["x"]);
    assert_eq!(config.stopping.max_time, Some(Duration::from_millis(5)));
    assert_eq!(config.logging.level, Level::Debug);
}

#[test]
fn memory_is_read_after_its_older_name() {
    let text = r#"{"memory":{"n_keep":5},"memory_policy":{"n_keep":6,"n_discard":7},"n_keep":8}"#;
    let (config, found) = init(text);
    assert_eq!(found, NONE);
    assert_eq!(
        (config.memory.n_keep_tokens, config.memory.n_discard_tokens),
        (5, 7)
    );
}

#[test]
fn a_higher_layers_token_limit_wins_in_either_section() {
    let limit = |layers: &[(Door, &str)]| at(layers).0.for_call(None).0.token_limit();
    let both = r#"{"n_predict":10,"stopping":{"max_tokens":20}}"#;
    assert_eq!(limit(&[(Door::Init, both)]), TokenLimit::AtMost(20));
    assert_eq!(
        limit(&[(Door::Init, both), (Door::Load, r#"{"n_predict":30}"#)]),
        TokenLimit::AtMost(30)
    );
    assert_eq!(
        limit(&[(Door::Init, r#"{"n_predict":-1}"#)]),
        TokenLimit::UntilFull
    );
    assert_eq!(
        limit(&[(Door::Init, r#"{"n_predict":0}"#)]),
        TokenLimit::AtMost(0)
    );
    assert_eq!(limit(&[]), TokenLimit::AtMost(512));
}

#[test]
fn stoppings_ignore_eos_beats_samplings() {
    let check = |text: &str, expect: bool| {
        let config = init(text).0;
        let seen = (config.sampling.ignore_eos, config.stopping.ignore_eos);
        assert_eq!(seen, (expect, expect), "{text}");
    };
    check(r#"{"sampling":{"ignore_eos":true}}"#, true);
    check(
        r#"{"sampling":{"ignore_eos":true},"stopping":{"ignore_eos":false}}"#,
        false,
    );
    check(
        r#"{"sampling":{"ignore_eos":false},"ignore_eos":true}"#,
        true,
    );
}

#[test]
fn the_higher_layers_constraint_replaces_the_lower_ones() {
    let init = (Door::Init, r#"{"grammar":"root ::= \"a\""}"#);
    let (config, found) = at(&[init, (Door::Load, r#"{"json_schema":{"type":"object"}}"#)]);
    assert_eq!(found, NONE);
    assert!(config.sampling.grammar.is_none() && config.sampling.json_schema.is_some());
    let (config, _) = at(&[
        (Door::Init, r#"{"json_schema":{"type":"object"}}"#),
        (Door::Load, r#"{"grammar":""}"#),
    ]);
    assert!(config.sampling.grammar.is_none() && config.sampling.json_schema.is_none());
}

#[test]
fn a_schema_may_be_a_text_of_json() {
    let (config, found) = init(r#"{"json_schema":"{\"type\":\"object\"}"}"#);
    assert_eq!(found, NONE);
    assert_eq!(
        config.sampling.json_schema,
        Some(serde_json::json!({"type":"object"}))
    );
}

#[test]
fn overflow_and_context_shifting_say_one_thing() {
    let check = |text: &str, shifting: bool, overflow: Overflow| {
        let (config, found) = init(text);
        assert_eq!(found, NONE);
        let seen = (config.memory.context_shifting, config.memory.overflow);
        assert_eq!(seen, (shifting, overflow), "{text}");
    };
    check(r#"{"context_shifting":false}"#, false, Overflow::Error);
    check(r#"{"overflow":"error"}"#, false, Overflow::Error);
    check(
        r#"{"overflow":"error","context_shifting":false}"#,
        false,
        Overflow::Error,
    );
    check(
        r#"{"overflow":"shift","context_shifting":true}"#,
        true,
        Overflow::Shift,
    );
    let (config, _) = at(&[
        (Door::Init, r#"{"context_shifting":false}"#),
        (Door::Load, r#"{"context_shifting":true}"#),
    ]);
    assert_eq!(config.memory.overflow, Overflow::Shift);
}

#[test]
fn defaults_follow_the_settings_that_they_are_shares_of() {
    let config = init(r#"{"queue_size":10,"max_concurrent":100,"threads":3,"batch_size":128}"#).0;
    assert_eq!(config.backend.queue_warning_threshold, 8);
    assert_eq!(config.backend.queue_reject_threshold, 10);
    assert_eq!(config.performance.n_parallel, 32);
    assert_eq!(config.model.threads_batch, 3);
    assert_eq!(config.model.ubatch_size, 128);
    let config = init(r#"{"queue_size":1,"max_concurrent":2,"n_threads_batch":5}"#).0;
    assert_eq!(config.backend.queue_warning_threshold, 1);
    assert_eq!(config.performance.n_parallel, 2);
    assert_eq!((config.model.threads, config.model.threads_batch), (0, 5));
    let config = init(r#"{"queue_reject_threshold":30}"#).0;
    assert_eq!(config.backend.queue_warning_threshold, 30);
}

#[test]
fn performance_batch_size_counts_when_model_says_nothing() {
    let config = init(r#"{"performance":{"batch_size":64}}"#).0;
    assert_eq!(
        (config.model.batch_size, config.model.ubatch_size),
        (64, 64)
    );
    let config = init(r#"{"performance":{"batch_size":64},"n_batch":32}"#).0;
    assert_eq!(config.model.batch_size, 32);
}

#[test]
fn level_words_are_taken_in_any_case() {
    let check = |word: &str, level: Level| {
        let (config, found) = init(&format!(r#"{{"logging":{{"level":"{word}"}}}}"#));
        assert_eq!((config.logging.level, found.len()), (level, 0), "{word}");
    };
    check("DEBUG", Level::Debug);
    check("Warning", Level::Warn);
    check("off", Level::None);
    check("none", Level::None);
    let config = at(&[
        (Door::Init, r#"{"enable_debug":true}"#),
        (Door::Load, r#"{"logging":{"level":"error"}}"#),
    ]);
    assert_eq!(
        (config.0.logging.level, config.0.logging.enable_debug),
        (Level::Error, false)
    );
}

#[test]
fn strict_at_init_holds_for_life_and_at_load_until_the_call() {
    let strict = |layers: &[(Door, &str)], call: &str| {
        let config = at(layers).0;
        let call = config.for_call(Some(&raw(Door::Run, call))).0;
        (config.strict, call.strict)
    };
    let (on, off) = (r#"{"strict":true}"#, r#"{"strict":false}"#);
    assert_eq!(strict(&[], "{}"), (false, false));
    assert_eq!(strict(&[], on), (false, true));
    assert_eq!(
        strict(&[(Door::Init, on), (Door::Load, off)], off),
        (true, true)
    );
    assert_eq!(
        strict(&[(Door::Init, off), (Door::Load, on)], "{}"),
        (true, true)
    );
    assert_eq!(
        strict(&[(Door::Init, off), (Door::Load, on)], off),
        (true, false)
    );
    let runtime = (Door::Init, r#"{"runtime":{"temp":0}}"#);
    assert_eq!(strict(&[runtime, (Door::Load, on)], off), (true, false));
}

#[test]
fn odd_forms_of_model_keys_are_taken() {
    let (config, found) = init(
        r#"{"flash_attn":true,"numa":"isolate","n_gpu_layers":98,"tensor_split":[3,1.5],
            "cache_type_k":"q8_0","system_prompt":"Be brief.","chat_template":"chatml","run_inference_args":8}"#,
    );
    assert_eq!(found, NONE);
    assert_eq!(config.model.flash_attn, FlashAttention::On);
    assert_eq!(config.model.numa, Numa::Isolate);
    assert_eq!(config.model.n_gpu_layers, Some(98));
    assert_eq!(config.model.tensor_split, [3.0, 1.5]);
    assert_eq!(config.model.cache_type_k, CacheType::Q8_0);
    assert_eq!(config.model.system_prompt.as_deref(), Some("Be brief."));
    assert_eq!(config.backend.run_inference_args, ArgumentsMode::Eight);
    let config = init(r#"{"flash_attn":"off","numa":false,"system_prompt":""}"#).0;
    assert_eq!(config.model.flash_attn, FlashAttention::Off);
    assert_eq!(
        (config.model.numa, config.model.system_prompt),
        (Numa::Off, None)
    );
}

#[test]
fn the_override_text_is_one_of_three() {
    let check = |text, expect| assert_eq!(ArgumentsMode::from_text(text), expect);
    check("auto", Some(ArgumentsMode::Auto));
    check("6", Some(ArgumentsMode::Six));
    check("8", Some(ArgumentsMode::Eight));
    check("7", None);
    check("", None);
}

#[test]
fn a_timeout_group_switches_the_hard_limit_on_unless_it_says_otherwise() {
    let limit = |text: &str| {
        let (config, found) = init(text);
        assert_eq!(found, NONE);
        config
            .stopping
            .timeout_config
            .map(|limit| limit.max_inference_time)
    };
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(limit(r#"{}"#), None);
    assert_eq!(limit(r#"{"timeout_config":{}}"#), seconds(30));
    assert_eq!(
        limit(r#"{"stopping":{"timeout_config":{"max_inference_time_ms":5000}}}"#),
        seconds(5)
    );
    assert_eq!(
        limit(r#"{"timeout_config":{"max_inference_time_ms":5000,"enabled":true}}"#),
        seconds(5)
    );
    assert_eq!(
        limit(r#"{"timeout_config":{"max_inference_time_ms":5000,"enabled":false}}"#),
        None
    );
}
