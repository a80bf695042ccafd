//! Spellings, their order, and what an unknown one may have meant.

use super::*;

#[test]
fn dashes_and_letter_case_are_forgiven() {
    let (config, found) = init(
        r#"{"n-gpu-layers":3,"CTX-SIZE":1024,"Sampling":{"Top-K":7},"memory-policy":{"N_KEEP":9},"topP":0.5}"#,
    );
    assert_eq!(found, NONE);
    assert_eq!(config.model.n_gpu_layers, Some(3));
    assert_eq!(config.model.ctx_size, 1024);
    assert_eq!(config.sampling.top_k, 7);
    assert_eq!(config.memory.n_keep_tokens, 9);
    assert_eq!(config.sampling.top_p, 0.5);
}

#[test]
fn the_best_spelling_of_a_name_is_taken_wherever_it_stands() {
    let check = |text: &str, expect: i32| {
        let (config, found) = init(text);
        assert_eq!((config.sampling.top_k, found.len()), (expect, 0), "{text}");
    };
    check(r#"{"TOP_K":1,"top-k":2,"top_k":3}"#, 3);
    check(r#"{"TOP_K":1,"top-k":2}"#, 2);
    check(r#"{"TOP-K":1,"Top_k":2}"#, 1);
}

#[test]
fn at_init_and_load_later_spellings_win_in_the_fixed_order() {
    let (config, found) = init(
        r#"{"temperature":0.2,"temp":0.1,"max_tokens":2,"n_predict":1,"n_ctx":256,"ctx_size":512,
            "n_batch":16,"batch_size":32,"repeat_last_n":5,"penalty_last_n":6,"top_p":0.4,"topP":0.5,
            "ubatch_size":8,"n_ubatch":4,"n_threads":7,"threads":8,"n_keep_tokens":1,"n_keep":2,
            "auto_cleanup":false,"auto_cleanup_enabled":true,"auto_cleanup_sessions":true,
            "stopping":{"max_tokens":4,"n_predict":3},"performance":{"n_parallel":3,"parallel":4}}"#,
    );
    assert_eq!(found, NONE);
    assert_eq!(config.sampling.temp, 0.2);
    assert_eq!(config.model.n_predict, TokenLimit::AtMost(2));
    assert_eq!(config.stopping.max_tokens, Some(TokenLimit::AtMost(4)));
    assert_eq!((config.model.ctx_size, config.model.batch_size), (256, 16));
    assert_eq!(config.sampling.penalty_last_n, 5);
    assert_eq!(config.sampling.top_p, 0.4);
    assert_eq!((config.model.ubatch_size, config.model.threads), (8, 8));
    assert_eq!(config.memory.n_keep_tokens, 1);
    assert!(!config.backend.auto_cleanup);
    assert_eq!(config.performance.n_parallel, 3);
}

#[test]
fn at_run_the_order_of_two_settings_is_reversed() {
    let call = r#"{"temp":0.1,"temperature":0.2,"n_predict":1,"max_tokens":2,
                   "repeat_last_n":5,"penalty_last_n":6}"#;
    let (settings, found) = called("{}", call);
    assert_eq!(found, NONE);
    assert_eq!(settings.sampling.temp, 0.1);
    assert_eq!(settings.token_limit(), TokenLimit::AtMost(1));
    assert_eq!(settings.sampling.penalty_last_n, 5);
}

#[test]
fn stop_lists_under_several_names_are_joined() {
    let (config, found) = init(
        r#"{"stop":["flat"],"reverse_prompt":"User:","stopping":{"stop_sequences":["b","c"],"stop":"a"}}"#,
    );
    assert_eq!(found, NONE);
    // The section's `stop` replaces the flat one, the other names add to it.
    let mut stop = config.stopping.stop;
    stop.sort_unstable();
    assert_eq!(stop, ["User:", "a", "b", "c"]);
}

#[test]
fn unknown_keys_are_answered_with_what_they_may_mean() {
    let unknown = |text, message| check(text, Code::UnknownKey, message);
    unknown(
        r#"{"sampling":{"top_kk":1}}"#,
        "sampling.top_kk: unknown, did you mean top_k?",
    );
    unknown(
        r#"{"que_size":1}"#,
        "que_size: unknown, did you mean queue_size?",
    );
    unknown(
        r#"{"samplng":{"temp":1}}"#,
        "samplng: unknown, did you mean sampling?",
    );
    unknown(r#"{"whatever_it_is":1}"#, "whatever_it_is: unknown");
    unknown(r#"{"runtime":{"runtime":{}}}"#, "runtime.runtime: unknown");
    unknown(
        r#"{"stopping":{"timeout_config":{"enabld":true,"enabled":true}}}"#,
        "stopping.timeout_config.enabld: unknown, did you mean enabled?",
    );
}

#[test]
fn keys_that_are_not_read_flat_are_unknown_there() {
    let unknown = |text, message| check(text, Code::UnknownKey, message);
    unknown(
        r#"{"level":"debug"}"#,
        "level: unknown, did you mean logging.level?",
    );
    unknown(
        r#"{"file":"x"}"#,
        "file: unknown, did you mean logging.file?",
    );
    unknown(
        r#"{"n_parallel":3}"#,
        "n_parallel: unknown, did you mean performance.n_parallel?",
    );
    unknown(
        r#"{"model":{"temp":1}}"#,
        "model.temp: unknown, did you mean sampling.temp?",
    );
}

#[test]
fn control_characters_and_long_names_do_not_reach_the_log() {
    let (_, found) = init(&format!(r#"{{"a\nb{}":1}}"#, "x".repeat(100_000)));
    let expect = format!("a\\nb{}...: unknown", "x".repeat(61));
    assert_eq!(found, [expect]);
}

#[test]
fn a_flood_of_findings_is_cut() {
    let keys: Vec<String> = (0..50_000).map(|n| format!("\"unknown_{n}\":1")).collect();
    let text = format!("{{{}}}", keys.join(","));
    let (_, findings) = found(&[(Door::Init, &text)]);
    assert_eq!(findings.len(), 201);
    let last = findings.last().unwrap();
    assert_eq!(last.message, "$: more findings, not listed");
    assert!(last.code.is_refused_under_strict());
}
