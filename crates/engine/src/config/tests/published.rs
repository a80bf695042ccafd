//! What is published of the tables: the schema takes what the reader takes, and every row is explained.

use super::table::{TYPICAL, rows, text, wrong_values};
use super::*;
use jsonschema::Validator;
use serde_json::json;

/// The judge of a text for init or load.
fn of_base() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

/// The judge of a call's text.
fn of_call() -> Validator {
    let mut schema = schema();
    schema["$id"] = "urn:config".into();
    let call = json!({"$ref": "urn:config#/$defs/call", "$defs": {"config": schema}});
    jsonschema::draft202012::new(&call).unwrap()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn every_row_is_explained() {
    for (path, key) in rows() {
        let about = key.about;
        assert!(about.len() > 10, "{path:?} {}", key.name);
        assert!(about.ends_with('.') && about.is_ascii(), "{about}");
        assert!(!about.contains('|') && !about.contains("  "), "{about}");
    }
}

#[test]
fn the_schema_is_one() {
    jsonschema::draft202012::meta::validate(&schema()).unwrap();
}

#[test]
fn the_schema_takes_what_the_original_test_suite_writes() {
    let judge = of_base();
    let errors: Vec<_> = judge
        .iter_errors(&json_of(TYPICAL))
        .map(|e| e.to_string())
        .collect();
    assert_eq!(errors, NONE);
}

#[test]
fn the_schema_refuses_the_wrong_types_of_every_key() {
    let judge = of_base();
    for (path, key) in rows() {
        for value in wrong_values(&key.kind) {
            let (text, _) = text(&path, key.name, value);
            assert!(!judge.is_valid(&json_of(&text)), "{text}");
        }
    }
}

#[test]
fn the_schema_takes_every_built_in_value_and_every_border() {
    let (judge, (default, _)) = (of_base(), Config::from_layers(&[]));
    for (path, key) in rows() {
        let mut values = vec![key.kind.show(&default)];
        let mut outside = vec![];
        match &key.kind {
            Kind::Int { range, .. } => {
                values.extend([json!(range.min), json!(range.max)]);
                outside.push(json!(range.max + 1));
            }
            Kind::Number { min, max, .. } => {
                values.extend([json!(min), json!(max)]);
                outside.extend([json!(min - 0.001), json!(max + 0.001)]);
            }
            _ => {}
        }
        let is_valid = |value: &Value| {
            let (text, _) = text(&path, key.name, value.clone());
            judge.is_valid(&json_of(&text))
        };
        for value in values.iter().filter(|value| !value.is_null()) {
            assert!(is_valid(value), "{} {value}", key.name);
        }
        for value in &outside {
            assert!(!is_valid(value), "{} {value}", key.name);
        }
    }
}

#[test]
fn the_schema_takes_the_effective_configuration() {
    let (config, _) = init(
        r#"{"grammar":"g","grammar_triggers":["x",{"type":"token","token":5}],"logit_bias":[[5,false]],
            "n_gpu_layers":4,"tensor_split":[1,2],"samplers":["top_k"],"timeout_config":{}}"#,
    );
    let shown = table::without_nulls(config.to_json());
    let judge = of_base();
    let errors: Vec<_> = judge.iter_errors(&shown).map(|e| e.to_string()).collect();
    assert_eq!(errors, NONE);
}

/// Checks that the schema and the reader agree on `text`: a finding that `strict` refuses, or none.
fn agree(door: Door, text: &str, is_good: bool) {
    let raw = raw(door, text);
    let (findings, judge) = match door {
        Door::Run => (Config::from_layers(&[]).0.for_call(Some(&raw)).1, of_call()),
        _ => (Config::from_layers(&[(door, &raw)]).1, of_base()),
    };
    let refused = findings.iter().any(|f| f.code.is_refused_under_strict());
    assert_eq!(!refused, is_good, "{text} {findings:?}");
    assert_eq!(judge.is_valid(&json_of(text)), is_good, "{text}");
}

#[test]
fn schema_and_reader_agree_on_a_base_text() {
    for text in [
        r#"{"temperature":0.5,"n_ctx":512,"memory_policy":{"n_keep":5},"stream_stdout":true}"#,
        r#"{"sampling":{"topP":0.5,"logit_bias":{"a":1}},"runtime":{"stop":"x","priority":"low"}}"#,
        r#"{"runtime":{"sampling":{"temp":1},"max_tokens":5}}"#,
        r#"{"ctx_size":0,"flash_attn":true,"numa":false,"run_inference_args":8,"json_schema":"{}"}"#,
    ] {
        agree(Door::Load, text, true);
    }
    for text in [
        r#"{"ctx_size":5}"#,
        r#"{"level":"info"}"#,
        r#"{"sampling":{"top_kk":1}}"#,
        r#"{"stopping":{"timeout_config":{"enabld":true}}}"#,
        r#"{"runtime":{"ctx_size":512}}"#,
        r#"{"runtime":{"strict":true}}"#,
        r#"{"runtime":{"temp":-1}}"#,
        r#"{"logit_bias":[[1,101]]}"#,
        r#"{"samplers":["topk"]}"#,
        r#"{"numa":true}"#,
        r#"{"grammar_triggers":{"patterns":[5]}}"#,
    ] {
        agree(Door::Load, text, false);
    }
}

#[test]
fn schema_and_reader_agree_on_a_call() {
    for text in [
        r#"{"temp":-1,"sampling":{"top_k":-1},"runtime":{"seed":-1,"stopping":{"max_tokens":-5}}}"#,
        r#"{"n_predict":0,"stop":["."],"priority":"high","strict":true,"logprobs":-1}"#,
        r#"{"runtime":{"strict":true,"logit_bias":[[5,1]]},"token_filters":{"forbidden_tokens":[5,"x"]}}"#,
        r#"{"tfs_z":1}"#,
    ] {
        agree(Door::Run, text, true);
    }
    for text in [
        r#"{"ctx_size":512}"#,
        r#"{"model":{"n_predict":3}}"#,
        r#"{"presence_penalty":-11}"#,
        r#"{"temp":-2}"#,
        r#"{"runtime":{"runtime":{}}}"#,
        r#"{"max_tokens":-1.5}"#,
    ] {
        agree(Door::Run, text, false);
    }
}

#[test]
fn every_key_stands_in_the_reference() {
    let page = reference();
    for (_, key) in rows() {
        for spelling in key.spellings(Door::Load) {
            assert!(page.contains(&format!("`{spelling}`")), "{spelling}");
        }
        assert!(page.contains(key.about), "{}", key.name);
    }
    assert!(page.is_ascii());
}
