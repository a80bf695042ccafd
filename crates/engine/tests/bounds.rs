//! Values at and beyond the bounds of what the scheduler takes: they are answered by name, and turns run.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::*;
use engine::{Backend, StatusKind};
use serde_json::{Value, json};

/// A turn of several steps gives the usual answer.
fn check_turn(backend: &Backend) {
    let c = open(backend);
    assert_eq!(&*say(backend, c, "Count to 4.").unwrap(), "1 2 3 4");
}

/// The only finding about the backend's configuration: its path, code and the value that is used instead.
fn finding(backend: &Backend) -> (String, String, Value) {
    let model = status(backend, StatusKind::Model);
    let notes = model["config_notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let text = |name: &str| notes[0][name].as_str().unwrap().to_owned();
    (text("path"), text("code"), notes[0]["used"].clone())
}

/// A value out of range is found, the default is kept, and turns run.
fn check_kept(section: &str, key: &str, value: u64, kept: u64) {
    let config = json!({section: {key: value}});
    let backend = backend(&greedy(config));
    let expected = (
        format!("{section}.{key}"),
        "out_of_range".into(),
        kept.into(),
    );
    assert_eq!(finding(&backend), expected);
    let model = status(&backend, StatusKind::Model);
    assert_eq!(model["config_effective"][section][key], kept);
    check_turn(&backend);
}

#[test]
fn bounds_of_the_scheduler_are_named_and_their_defaults_kept() {
    check_kept("backend", "queue_size", 0, 50);
    check_kept("backend", "default_task_timeout_ms", 999, 30_000);
    check_kept("backend", "default_task_timeout_ms", 3_600_001, 30_000);
    check_kept("performance", "target_gap_ms", 5, 250);
    check_kept("performance", "batch_timeout_ms", 1001, 0);
    check_kept("performance", "n_parallel", 0, 8);
    check_kept("stopping", "max_time_ms", 86_400_001, 0);
}

#[test]
fn a_batch_of_one_token_runs_turns() {
    let backend = backend(&greedy(json!({"model": {"batch_size": 1}})));
    let model = status(&backend, StatusKind::Model);
    assert_eq!(model["parallel"], 1);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| check_turn(&backend));
        }
    });
    let performance = status(&backend, StatusKind::Performance);
    assert_eq!(performance["step_prefill_tokens_last"], 1);
    assert_eq!(performance["most_running"], 1);
}

#[test]
fn any_count_of_threads_loads_and_runs() {
    // By default, as many as the machine has, and more than any key takes, which is found and keeps the default.
    for (threads, findings) in [(0, 0), (1024, 0), (10_000, 1)] {
        let backend = backend(&greedy(json!({"model": {"threads": threads}})));
        let model = status(&backend, StatusKind::Model);
        assert_eq!(model["config_notes"].as_array().unwrap().len(), findings);
        let machine = std::thread::available_parallelism().unwrap().get();
        let used = usize::try_from(model["threads"].as_u64().unwrap()).unwrap();
        assert!((1..=machine).contains(&used), "{used} of {machine}");
        check_turn(&backend);
    }
}

#[test]
fn a_priority_that_is_no_word_is_found_and_the_turn_runs() {
    let call = r#"{"priority": "asap", "max_tokens": 7}"#;
    let lenient = backend(GREEDY);
    let c = open(&lenient);
    let answer = say_with(&lenient, c, "Count to 9.", call).unwrap();
    assert_eq!(metadata(&lenient, c)["completion_tokens"], 7, "{answer}");
    let strict = backend(&greedy(json!({"strict": true})));
    let c = open(&strict);
    let error = say_with(&strict, c, "Count to 9.", call).unwrap_err();
    assert!(error.to_string().contains("priority"), "{error}");
    let at_init = backend(&greedy(json!({"priority": "asap"})));
    let expected = ("priority".into(), "out_of_range".into(), "normal".into());
    assert_eq!(finding(&at_init), expected);
}

#[test]
fn a_deadline_of_a_call_that_is_out_of_range_is_found_and_the_turn_runs() {
    let call = r#"{"max_time_ms": -1}"#;
    let lenient = backend(GREEDY);
    let c = open(&lenient);
    assert_eq!(
        &*say_with(&lenient, c, "Count to 4.", call).unwrap(),
        "1 2 3 4"
    );
    let strict = backend(&greedy(json!({"strict": true})));
    let c = open(&strict);
    let error = say_with(&strict, c, "Count to 4.", call).unwrap_err();
    assert!(error.to_string().contains("max_time_ms: -1"), "{error}");
}
