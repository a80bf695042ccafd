//! Answers under a JSON schema: they parse and satisfy it, and a schema without a grammar fails its own call.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;
#[path = "schema/generate.rs"]
mod generate;

use std::time::Instant;

use common::*;
use engine::{Backend, Error, StatusKind};
use generate::Generator;
use serde_json::{Value, json};

/// As hot as a model gets, in a context that holds the longest of these answers.
const HOT: &str = r#"{
    "model": {"ctx_size": 4096, "n_predict": 3500, "threads": 1},
    "sampling": {"temp": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0},
    "logging": {"level": "none"}
}"#;

/// Runs a turn under `schema` and judges its answer.
fn satisfies(backend: &Backend, schema: &Value, seed: u64) {
    let c = open(backend);
    let call = json!({"json_schema": schema, "temp": 1.0, "seed": seed}).to_string();
    let answer = say_with(backend, c, "Tell me about rivers.", &call);
    let answer = answer.unwrap_or_else(|error| panic!("{schema}: {error}"));
    assert_eq!(
        metadata(backend, c)["finish_reason"],
        "eos",
        "{schema}: {answer}"
    );
    let value: Value =
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{schema}: {answer}: {error}"));
    let validator = jsonschema::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap();
    if let Err(error) = validator.validate(&value) {
        panic!("{schema}: {answer}: {error}");
    }
    backend.close_context(c).unwrap();
}

#[test]
fn answers_parse_and_satisfy_200_schemas_at_temperature_1() {
    let backend = backend(HOT);
    let mut written = String::new();
    for number in 0..200 {
        let schema = Generator::new(number).schema(number / 20);
        satisfies(&backend, &schema, number);
        written += &schema.to_string();
    }
    for keyword in generate::KEYWORDS {
        assert!(
            written.contains(&format!("\"{keyword}\":")),
            "no schema has {keyword}"
        );
    }
}

#[test]
fn answers_of_another_vocabulary_satisfy_theirs_too() {
    // SentencePiece pieces with a space in front, and bytes, where the model is at hand.
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/models/stories260K.gguf");
    if !path.exists() {
        return;
    }
    let config = HOT.replace("\"threads\"", "\"chat_template\": \"raw\", \"threads\"");
    let backend = unloaded(&config);
    backend.load_file(&path, None, None).unwrap();
    for number in (0..200).step_by(5) {
        satisfies(
            &backend,
            &Generator::new(number).schema(number / 20),
            number,
        );
    }
}

#[test]
fn a_schema_or_grammar_without_sense_fails_its_call_before_any_token() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    let before = say(&backend, c, "My name is Tarbo.").unwrap();
    assert!(!before.is_empty());
    let tokens = || {
        let performance = status(&backend, StatusKind::Performance);
        [
            performance["prefill_tokens"].clone(),
            performance["decode_tokens"].clone(),
        ]
    };
    let (history, evaluated) = (backend.history(c).unwrap(), tokens());
    let inner = |schema: Value| json!({"json_schema": {"properties": {"n": schema}}});
    let mut deep = json!({});
    (0..100).for_each(|_| deep = json!({"items": deep}));
    for (call, expect) in [
        (json!({"grammar": "root ::= ("}), "expected ')'"),
        (
            json!({"grammar": "root ::= missing"}),
            "rule missing is used and not defined",
        ),
        (
            json!({"grammar": "root ::= root \"a\""}),
            "begins with itself",
        ),
        (
            json!({"grammar": "root ::= \"a\"{5,3}"}),
            "at least 5 and at most 3",
        ),
        (
            json!({"grammar": "start ::= \"a\""}),
            "no rule is called root",
        ),
        (
            inner(json!({"type": "integer", "multipleOf": 3})),
            "multipleOf at $.properties.n has no grammar",
        ),
        (
            inner(json!({"type": "text"})),
            "type at $.properties.n is \"text\", must be null",
        ),
        (
            inner(json!({"$ref": "https://example.com/schema"})),
            "must point into the schema",
        ),
        (
            inner(json!({"maxItems": 1_000_000})),
            "maxItems at $.properties.n is 1000000, must be at most 10000",
        ),
        (
            inner(json!({"pattern": "^(?=a)"})),
            "pattern at $.properties.n has no grammar",
        ),
        (
            json!({"json_schema": {"allOf": [{"type": "null"}, {"type": "string"}]}}),
            "no value satisfies it",
        ),
        (json!({"json_schema": deep}), "nests deeper than 64"),
    ] {
        let error = say_with(&backend, c, "Hello", &call.to_string()).unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)),
            "{call}: {error:?}"
        );
        assert!(error.to_string().contains(expect), "{call}: {error}");
        assert_eq!(tokens(), evaluated, "{call}");
        assert_eq!(backend.history(c).unwrap(), history, "{call}");
    }
    recalls(&backend, c, "Tarbo");
    let call = json!({"json_schema": {"enum": ["yes", "no"]}}).to_string();
    let answer = say_with(&backend, c, "Hello", &call).unwrap();
    assert!(["\"yes\"", "\"no\""].contains(&&*answer), "{answer}");
}

#[test]
fn the_largest_grammars_are_ready_in_a_moment() {
    let backend = backend(GREEDY);
    let text = json!({"type": "string", "maxLength": 10_000});
    for schema in [
        text.clone(),
        json!({"type": "array", "prefixItems": [text, text, text, text]}),
        json!({"type": "array", "items": {"type": "null"}, "minItems": 10_000, "maxItems": 10_000}),
    ] {
        let c = open(&backend);
        let begun = Instant::now();
        let call = json!({"json_schema": schema, "max_tokens": 20}).to_string();
        say_with(&backend, c, "Hello", &call).unwrap();
        // It takes a fraction of a second, and for ever where the work doubles with the length. One minute stands for never.
        assert!(begun.elapsed().as_secs() < 60, "{schema}");
    }
}
