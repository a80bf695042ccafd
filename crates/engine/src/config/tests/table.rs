//! Claims about every row of the tables.

use super::*;
use crate::config::key::Flat;
use serde_json::{Map, json};

/// Every key with the path of its object, groups included.
pub(super) fn rows() -> Vec<(Vec<&'static str>, &'static Key)> {
    fn add(
        path: Vec<&'static str>,
        key: &'static Key,
        rows: &mut Vec<(Vec<&'static str>, &'static Key)>,
    ) {
        if let Kind::Object { keys, .. } = key.kind {
            let mut inner = path.clone();
            inner.push(key.name);
            for key in keys {
                add(inner.clone(), key, rows);
            }
        }
        rows.push((path, key));
    }
    let mut rows = Vec::new();
    for section in sections() {
        for key in section.keys() {
            let path = Some(section.name).filter(|name| !name.is_empty());
            add(path.into_iter().collect(), key, &mut rows);
        }
    }
    rows
}

/// A text that has `value` at `path` under `name`, and the path in dots.
pub(super) fn text(path: &[&str], name: &str, value: Value) -> (String, String) {
    let nested = path.iter().rev().fold(
        json!({ name: value }),
        |inner, part| json!({ *part: inner }),
    );
    let dotted = path
        .iter()
        .chain([&name])
        .copied()
        .collect::<Vec<_>>()
        .join(".");
    (nested.to_string(), dotted)
}

pub(super) fn wrong_values(kind: &Kind) -> Vec<Value> {
    let null = Value::Null;
    match kind {
        Kind::Bool { .. } => vec![null, json!(1), json!("true")],
        Kind::Int { .. } => vec![null, json!("1"), json!(true), json!(1.5)],
        Kind::Number { .. } => vec![null, json!("1"), json!([1])],
        Kind::Word { .. } | Kind::Text { .. } => vec![null, json!(5), json!({})],
        Kind::Strings { .. } | Kind::Words { .. } => vec![null, json!(5), json!({})],
        Kind::Tokens { .. } => vec![null, json!(5), json!("x")],
        Kind::Object { .. } => vec![null, json!(5), json!([])],
        Kind::Special { .. } => vec![null],
        Kind::NoEffect => vec![],
    }
}

#[test]
fn a_wrong_type_on_any_key_is_one_finding_with_its_path_and_changes_nothing() {
    let (default, _) = Config::from_layers(&[]);
    for (path, key) in rows() {
        for value in wrong_values(&key.kind) {
            let (text, dotted) = text(&path, key.name, value);
            // A group given without `enabled` switches itself on; only its own keys are the matter here.
            let (mut config, findings) = found(&[(Door::Load, &text)]);
            config.stopping.timeout_config = None;
            let seen: Vec<_> = findings.iter().map(|f| (f.code, f.path.as_str())).collect();
            assert_eq!(seen, [(Code::WrongType, dotted.as_str())], "{text}");
            assert_eq!(config, default, "{text}");
        }
    }
}

#[test]
fn every_built_in_value_can_be_written_and_changes_nothing() {
    let (default, _) = Config::from_layers(&[]);
    let mut written = 0;
    for (path, key) in rows() {
        let shown = key.kind.show(&default);
        if shown.is_null() || key.name == "kv_mode" {
            continue;
        }
        let (text, _) = text(&path, key.name, shown);
        let (mut config, found) = at(&[(Door::Load, &text)]);
        assert_eq!(found, NONE, "{text}");
        config.stopping.timeout_config = None;
        config.stopping.max_tokens = None;
        config.performance.batch_size = None;
        assert_eq!(config, default, "{text}");
        written += 1;
    }
    assert!(written > 80, "{written} rows");
}

#[test]
fn every_border_of_a_range_is_inside_and_the_next_value_is_not() {
    for (path, key) in rows() {
        let (inside, outside): (Vec<Value>, Vec<Value>) = match &key.kind {
            Kind::Int { range, .. } => (
                vec![json!(range.min), json!(range.max)],
                vec![json!(range.min - 1), json!(range.max + 1), json!(u64::MAX)],
            ),
            Kind::Number { min, max, .. } => (
                vec![json!(min), json!(max)],
                vec![json!(min - 0.001), json!(max + 0.001), json!(1e300)],
            ),
            _ => continue,
        };
        let codes = |value: &Value| {
            let (text, _) = text(&path, key.name, value.clone());
            let found = found(&[(Door::Load, &text)]).1;
            found.iter().map(|f| f.code).collect::<Vec<_>>()
        };
        for value in &inside {
            assert!(
                !codes(value).contains(&Code::OutOfRange),
                "{} {value}",
                key.name
            );
        }
        for value in outside {
            // Beside 0, some ranges start later; just below them may be that 0.
            let apart = match (&key.kind, value.as_i64()) {
                (Kind::Int { range, .. }, Some(number)) => range.contains(number),
                _ => false,
            };
            assert!(
                apart || codes(&value) == [Code::OutOfRange],
                "{} {value}",
                key.name
            );
        }
    }
}

#[test]
fn every_spelling_of_every_key_is_known_at_every_door() {
    for (path, key) in rows() {
        for door in [Door::Init, Door::Load, Door::Run] {
            assert!(key.spellings(door).contains(&key.name), "{}", key.name);
            for spelling in key.spellings(door) {
                let (text, _) = text(&path, spelling, Value::Null);
                let raw = raw(door, &text);
                let findings = match door {
                    Door::Run => Config::default().for_call(Some(&raw)).1,
                    _ => Config::from_layers(&[(door, &raw)]).1,
                };
                assert!(
                    findings.iter().all(|f| f.code != Code::UnknownKey),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn no_name_stands_for_two_flat_keys() {
    for per_call in [false, true] {
        let mut seen = std::collections::HashSet::new();
        for section in sections() {
            for key in section.keys() {
                let flat = match key.flat {
                    Flat::Never => false,
                    Flat::Always => true,
                    Flat::NotPerCall => !per_call,
                    Flat::OnlyPerCall => per_call,
                };
                for spelling in key.spellings(Door::Load).iter().filter(|_| flat) {
                    assert!(seen.insert(spelling.to_ascii_lowercase()), "{spelling}");
                }
            }
            assert!(seen.insert(section.name.to_owned()), "{}", section.name);
        }
    }
}

#[test]
fn the_effective_configuration_can_be_read_back() {
    let layers = [(
        Door::Load,
        r#"{"strict":true,"temp":0.25,"stop":["a"],"logit_bias":[[5,false]],"samplers":["top_k"],"n_gpu_layers":4,
            "queue_size":9,"logging":{"categories":["queue"],"file":"x.log"},"timeout_config":{},"n_predict":-1}"#,
    )];
    let (config, found) = at(&layers);
    assert_eq!(found, NONE);
    let shown = config.to_json();
    assert_eq!(shown["strict"], json!(true));
    assert_eq!(shown["sampling"]["temp"], json!(0.25));
    assert_eq!(shown["sampling"]["repeat_penalty"], json!(1.1));
    assert_eq!(shown["sampling"]["logit_bias"], json!([[5, false]]));
    assert_eq!(shown["stopping"]["timeout_config"]["enabled"], json!(true));
    assert_eq!(shown["backend"]["queue_reject_threshold"], json!(9));
    let names: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "strict",
            "priority",
            "backend",
            "model",
            "sampling",
            "stopping",
            "memory",
            "logging",
            "performance",
            "events"
        ]
    );
    let (again, found) = at(&[(Door::Load, &without_nulls(shown.clone()).to_string())]);
    assert_eq!(found, NONE);
    assert_eq!(again.to_json(), shown);
}

pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(object) => object
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

/// What the original library's test suite writes.
pub(super) const TYPICAL: &str = r#"{
        "model": {"n_gpu_layers": 98, "ctx_size": 2048, "n_predict": 512, "batch_size": 512, "threads": 16},
        "sampling": {"temp": 0.7, "top_p": 0.95, "top_k": 40, "min_p": 0.05, "seed": -1,
                     "grammar": "", "mirostat": 0, "dry_multiplier": 0.0},
        "stopping": {"max_tokens": 150, "max_time_ms": 30000, "ignore_eos": false, "stop": ["\n\n", "User:"]},
        "backend": {"max_sessions": 3, "max_concurrent": 2, "idle_timeout_ms": 100, "auto_cleanup_enabled": true,
                    "queue_size": 10, "default_task_timeout_ms": 5000, "priority_scheduling_enabled": true,
                    "queue_warning_threshold": 8, "queue_reject_threshold": 9, "auto_queue_cleanup": true},
        "memory_policy": {"context_shifting": true, "cache_strategy": "lru", "max_cache_tokens": 10000,
                          "n_keep_tokens": 256},
        "logging": {"level": "none", "enable_debug": false, "timestamps": true, "colors": false},
        "performance": {"batch_processing": true, "batch_size": 512}
    }"#;

#[test]
fn the_original_test_suites_typical_config_is_taken_without_a_refusal() {
    let (config, found) = at(&[(Door::Init, TYPICAL)]);
    assert_eq!(found, NONE);
    assert_eq!(config.backend.max_sessions, 3);
    assert_eq!(config.logging.level, Level::None);
}
