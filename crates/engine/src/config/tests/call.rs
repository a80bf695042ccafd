//! One call's settings over the loaded ones.

use super::*;
use std::time::Duration;

#[test]
fn a_call_without_settings_is_as_loaded() {
    let load = r#"{"temp":0.2,"seed":7,"stop":["x"],"n_predict":9}"#;
    let (config, _) = at(&[(Door::Load, load)]);
    let (settings, findings) = config.for_call(None);
    assert_eq!(findings, []);
    assert_eq!(settings.sampling, config.sampling);
    assert_eq!(settings.sampling.seed, Seed::Fixed(7));
    assert_eq!(settings.stopping.stop, ["x"]);
    assert_eq!(settings.token_limit(), TokenLimit::AtMost(9));
    assert_eq!(called(load, "{}").0, settings);
}

#[test]
fn nothing_that_a_call_sets_survives_it() {
    let (config, _) = at(&[(Door::Load, r#"{"temp":0.2}"#)]);
    let before = config.clone();
    let call = raw(Door::Run, r#"{"temp":5,"stop":".","logit_bias":[[1,2]]}"#);
    assert_eq!(config.for_call(Some(&call)).0.sampling.temp, 5.0);
    assert_eq!(config, before);
    assert_eq!(config.for_call(None).0.sampling.temp, 0.2);
}

#[test]
fn inner_beats_outer_and_section_beats_flat() {
    let temp = |call: &str| {
        let (settings, found) = called("{}", call);
        assert_eq!(found, NONE);
        settings.sampling.temp
    };
    let all = r#"{"temp":1,"sampling":{"temp":2},"runtime":{"temp":3,"sampling":{"temp":4}}}"#;
    assert_eq!(temp(all), 4.0);
    assert_eq!(
        temp(r#"{"temp":1,"sampling":{"temp":2},"runtime":{"temp":3}}"#),
        3.0
    );
    assert_eq!(
        temp(r#"{"temp":1,"sampling":{"temp":2},"runtime":{}}"#),
        2.0
    );
    assert_eq!(temp(r#"{"temp":1}"#), 1.0);
}

#[test]
fn minus_one_is_as_loaded_where_the_table_says_so() {
    let load = r#"{"temp":0.2,"seed":7,"top_k":3,"repeat_penalty":1.5,"mirostat":2,"penalty_last_n":9,
                   "dry_base":2,"min_keep":4,"presence_penalty":0.5}"#;
    let (settings, found) = called(
        load,
        r#"{"temp":-1,"seed":-1,"top_k":-1,"repeat_penalty":-1,"mirostat":-1.0,"penalty_last_n":-1,
            "dry_base":-1,"min_keep":-1,"presence_penalty":-1,"n_probs":-1}"#,
    );
    assert_eq!(found, NONE);
    let expect = Sampling {
        presence_penalty: -1.0,
        ..called(load, "{}").0.sampling
    };
    assert_eq!(settings.sampling, expect);
}

#[test]
fn as_loaded_in_a_stronger_place_voids_a_weaker_value() {
    let (settings, found) = called(r#"{"temp":0.2}"#, r#"{"temp":1,"runtime":{"temp":-1}}"#);
    assert_eq!((settings.sampling.temp, found.len()), (0.2, 0));
    let (settings, _) = called(r#"{"temp":0.2}"#, r#"{"temp":-1,"runtime":{"temp":1}}"#);
    assert_eq!(settings.sampling.temp, 1.0);
}

#[test]
fn at_load_minus_one_is_a_value_like_any_other() {
    let (config, found) = init(r#"{"top_k":-1,"temp":-1}"#);
    assert_eq!(config.sampling.top_k, -1);
    assert_eq!(found, ["temp: -1 not in 0..100, keeping 0.7"]);
}

#[test]
fn two_seeds_are_random_and_the_rest_is_fixed() {
    let load = |seed: &str| init(&format!("{{\"seed\":{seed}}}")).0.sampling.seed;
    assert_eq!(load("-1"), Seed::Random);
    assert_eq!(load("4294967295"), Seed::Random);
    assert_eq!(load("4294967294"), Seed::Fixed(4_294_967_294));
    assert_eq!(load("0"), Seed::Fixed(0));
    let call = |seed: &str| {
        let call = format!("{{\"seed\":{seed}}}");
        called(r#"{"seed":7}"#, &call).0.sampling.seed
    };
    assert_eq!(call("4294967295"), Seed::Random);
    assert_eq!(call("-1"), Seed::Fixed(7));
    assert_eq!(call("8.0"), Seed::Fixed(8));
}

#[test]
fn a_token_limit_of_nothing_is_as_loaded() {
    let limit = |call: &str| {
        let (settings, found) = called(r#"{"n_predict":10}"#, call);
        assert_eq!(found, NONE);
        settings.token_limit()
    };
    assert_eq!(limit(r#"{"max_tokens":0}"#), TokenLimit::AtMost(10));
    assert_eq!(limit(r#"{"n_predict":-1}"#), TokenLimit::AtMost(10));
    assert_eq!(
        limit(r#"{"stopping":{"max_tokens":-5}}"#),
        TokenLimit::AtMost(10)
    );
    assert_eq!(limit(r#"{"max_tokens":3}"#), TokenLimit::AtMost(3));
}

#[test]
fn keys_of_the_base_are_not_settable_per_call() {
    let wrong = |text, message| check_at(Door::Run, text, Code::WrongDoor, message);
    wrong(r#"{"ctx_size":512}"#, "ctx_size: not settable per call");
    wrong(
        r#"{"backend":{"queue_size":3}}"#,
        "backend.queue_size: not settable per call",
    );
    wrong(
        r#"{"model":{"n_predict":3}}"#,
        "model.n_predict: not settable per call",
    );
    wrong(
        r#"{"runtime":{"memory":{"n_keep":3}}}"#,
        "runtime.memory.n_keep: not settable per call",
    );
    wrong(
        r#"{"enable_debug":true}"#,
        "enable_debug: not settable per call",
    );
    wrong(
        r#"{"events":{"enabled":true}}"#,
        "events.enabled: not settable per call",
    );
    wrong(
        r#"{"performance":{"kv_mode":"split"}}"#,
        "performance.kv_mode: not settable per call",
    );
}

#[test]
fn a_runtime_section_takes_no_keys_of_the_base_either() {
    let wrong = |text, message| check(text, Code::WrongDoor, message);
    wrong(
        r#"{"runtime":{"ctx_size":512}}"#,
        "runtime.ctx_size: not settable per call",
    );
    wrong(
        r#"{"runtime":{"strict":true}}"#,
        "runtime.strict: only settable at the root",
    );
}

#[test]
fn one_key_is_for_loads_only() {
    let text = r#"{"performance":{"kv_mode":"split"}}"#;
    check_at(
        Door::Init,
        text,
        Code::WrongDoor,
        "performance.kv_mode: not settable at init",
    );
    let (config, found) = at(&[(Door::Load, text)]);
    assert_eq!(
        (config.performance.kv_mode, found.len()),
        (KvMode::Split, 0)
    );
}

#[test]
fn a_calls_stop_list_replaces_the_loads() {
    let stop = |call: &str| called(r#"{"stop":["a","b"]}"#, call).0.stopping.stop;
    assert_eq!(stop(r#"{"stop":["."]}"#), ["."]);
    assert_eq!(stop(r#"{"stop":"!"}"#), ["!"]);
    assert_eq!(stop(r#"{"stop":[]}"#), NONE);
    assert_eq!(stop(r#"{"stop":[""]}"#), NONE);
    assert_eq!(stop(r#"{"stop":[5]}"#), ["a", "b"]);
    assert_eq!(stop(r#"{"stop":5}"#), ["a", "b"]);
}

#[test]
fn biases_are_merged_per_token() {
    let id = |id| TokenRef::Id(id);
    let text = |text: &str| TokenRef::Text(text.into());
    let load = r#"{"logit_bias":[[5,1],["yes",2.5],[6,false]]}"#;
    let (settings, found) = called(load, r#"{"sampling":{"logit_bias":{"5":-100,"no":false}}}"#);
    assert_eq!(found, NONE);
    assert_eq!(
        settings.sampling.logit_bias,
        [
            (text("yes"), Bias::Value(2.5)),
            (id(6), Bias::Never),
            (id(5), Bias::Value(-100.0)),
            (text("no"), Bias::Never),
        ]
    );
    let (settings, _) = called(load, r#"{"runtime":{"logit_bias":[["5",3]]}}"#);
    let last = settings.sampling.logit_bias.last().cloned();
    assert_eq!(last, Some((text("5"), Bias::Value(3.0))));
}

#[test]
fn an_empty_grammar_switches_the_loads_off() {
    let (settings, _) = called(r#"{"grammar":"root ::= \"a\""}"#, r#"{"grammar":""}"#);
    assert_eq!(settings.sampling.grammar, None);
    let (settings, _) = called(r#"{"json_schema":{}}"#, r#"{"json_schema":""}"#);
    assert_eq!(settings.sampling.json_schema, None);
}

#[test]
fn lists_of_words_and_texts_reach_the_call() {
    let (settings, found) = called(
        "{}",
        r#"{"samplers":["temp","top_k"],"dry_sequence_breakers":[],"stop_tokens":[5,"x"],"stop_regex":"[0-9]+",
            "max_time_ms":250}"#,
    );
    assert_eq!(found, NONE);
    let order = [SamplerName::Temperature, SamplerName::TopK];
    assert_eq!(settings.sampling.samplers.as_deref(), Some(&order[..]));
    assert_eq!(settings.sampling.dry_sequence_breakers, NONE);
    assert_eq!(
        settings.stopping.stop_tokens,
        [TokenRef::Id(5), TokenRef::Text("x".into())]
    );
    assert_eq!(settings.stopping.stop_regex, ["[0-9]+"]);
    assert_eq!(settings.stopping.max_time, Some(Duration::from_millis(250)));
}

#[test]
fn a_calls_hard_limit_builds_on_the_loads() {
    let limit = |call: &str| {
        let load = r#"{"timeout_config":{"max_inference_time_ms":5000}}"#;
        let timeout = called(load, call).0.stopping.timeout_config;
        timeout.map(|limit| limit.max_inference_time.as_millis())
    };
    assert_eq!(limit("{}"), Some(5000));
    assert_eq!(limit(r#"{"timeout_config":{}}"#), Some(5000));
    assert_eq!(
        limit(r#"{"timeout_config":{"max_inference_time_ms":7000}}"#),
        Some(7000)
    );
    assert_eq!(limit(r#"{"timeout_config":{"enabled":false}}"#), None);
}
