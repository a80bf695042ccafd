//! A real instruct model, where one is at hand: the folder that `WASI_NN_TEST_MODELS` names has
//! `smollm2-135m-instruct-q4_1.gguf`.

use std::path::{Path, PathBuf};

use engine::Backend;
use serde_json::{Value, json};

use crate::Direct;
use crate::common::*;

/// Most tokens of an answer.
const MOST: usize = 24;

/// The model's file; `None`, and a word about it, where it is absent.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn smollm() -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("WASI_NN_TEST_MODELS") else {
        eprintln!("skipped: WASI_NN_TEST_MODELS names no folder with real models");
        return None;
    };
    let path = Path::new(&folder).join("smollm2-135m-instruct-q4_1.gguf");
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn loaded(path: &Path, more: Value) -> Backend {
    let mut config: Value = json!({
        "model": {"ctx_size": 2048, "n_predict": MOST, "threads": 1},
        "sampling": {"temp": 0, "repeat_penalty": 1.0},
        "logging": {"level": "none"},
    });
    for (section, keys) in more.as_object().unwrap() {
        let keys = keys.as_object().unwrap().clone();
        config[section].as_object_mut().unwrap().extend(keys);
    }
    let backend = unloaded(&config.to_string());
    backend.load_file(path, None, None).unwrap();
    backend
}

/// The tokens of the last answer.
fn answered(backend: &Backend, context: u32) -> Vec<i32> {
    let metadata = metadata(backend, context);
    let entries = metadata["logprobs"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["id"].as_i64().unwrap() as i32)
        .collect()
}

/// A conversation under `system` that has the tokens that llama.cpp has, turn by turn.
fn equals_llama_cpp(backend: &Backend, path: &Path, system: &str, questions: &[&str]) {
    let mut direct = Direct::new(path, MOST);
    let c = open(backend);
    let mut text = format!("<|im_start|>system\n{system}<|im_end|>\n");
    for question in questions {
        text += &format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n");
        let expect = direct.answer(&text);
        let answer = say_with(backend, c, question, r#"{"n_probs": 1}"#).unwrap();
        assert_eq!(answered(backend, c), expect, "{question}: {answer}");
        let told = metadata(backend, c);
        let seen = direct.seen.len() as u64;
        let prompt = told["prompt_tokens"].as_u64().unwrap();
        assert_eq!(prompt + expect.len() as u64, seen, "{question}");
        text = "<|im_end|>\n".to_owned();
    }
}

const QUESTIONS: [&str; 10] = [
    "What is the capital of France?",
    "And of Italy?",
    "How many legs does a spider have?",
    "Name three colours.",
    "What is 2 + 3?",
    "Write one sentence about the sea.",
    "Is ice cold or hot?",
    "What do bees make?",
    "Say hello in Spanish.",
    "Thank you, goodbye.",
];

#[test]
fn ten_questions_have_the_tokens_that_llama_cpp_has() {
    let Some(path) = smollm() else { return };
    // The model's template writes this where there is no system message.
    let system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
    let backend = loaded(&path, json!({}));
    equals_llama_cpp(&backend, &path, system, &QUESTIONS);
}

#[test]
fn a_system_prompt_takes_the_place_of_the_templates_own() {
    let Some(path) = smollm() else { return };
    let system = "You are a pirate. Answer in one short sentence.";
    let backend = loaded(&path, json!({"model": {"system_prompt": system}}));
    equals_llama_cpp(&backend, &path, system, &QUESTIONS[..3]);
}

#[test]
fn a_schema_gives_json_that_satisfies_it() {
    let Some(path) = smollm() else { return };
    let backend = loaded(&path, json!({}));
    let c = open(&backend);
    let call = json!({
        "max_tokens": 100,
        "json_schema": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "minLength": 1, "maxLength": 20},
                "people": {"type": "integer", "minimum": 0, "maximum": 99_999_999},
            },
            "required": ["city", "people"],
        },
    });
    for question in [
        "Tell me a city of France and how many people live there.",
        "Another one?",
    ] {
        let answer = say_with(&backend, c, question, &call.to_string()).unwrap();
        let value: Value = serde_json::from_str(&answer).unwrap();
        assert!(!value["city"].as_str().unwrap().is_empty(), "{answer}");
        assert!(value["people"].as_u64().unwrap() <= 99_999_999, "{answer}");
        assert_eq!(value.as_object().unwrap().len(), 2);
    }
}

#[test]
fn emoji_and_chinese_are_streamed_in_whole_characters() {
    let Some(path) = smollm() else { return };
    let backend = loaded(&path, json!({}));
    let c = open(&backend);
    let text = "\u{4f60}\u{597d}\u{ff0c}\u{4e16}\u{754c}\u{ff01} \u{1f389}\u{1f30d} \u{1f469}\u{200d}\u{1f680}";
    let call = json!({"grammar": format!("root ::= \"{text}\""), "max_tokens": 200}).to_string();
    let mut pieces = Vec::new();
    let mut take = |piece: &str| {
        pieces.push(piece.to_owned());
        true
    };
    let answer = backend
        .run(
            c,
            "Greet the world.".to_owned(),
            &mut || Some(call.clone().into_bytes()),
            Some(&mut take),
        )
        .unwrap();
    assert_eq!((&*answer, &*pieces.concat()), (text, text));
    // The next turn has it in its prompt, and is none the worse.
    let answer = say(&backend, c, "What is the capital of France?").unwrap();
    assert!(
        !answer.is_empty() && !answer.contains('\u{fffd}'),
        "{answer}"
    );
}

#[test]
fn a_conversation_goes_on_past_its_context() {
    let Some(path) = smollm() else { return };
    let backend = loaded(&path, json!({"model": {"ctx_size": 256}}));
    let c = open(&backend);
    for question in QUESTIONS.iter().chain(&QUESTIONS) {
        let answer = say(&backend, c, question).unwrap();
        assert!(!answer.trim().is_empty(), "{question}");
        let usage = backend.usage(c).unwrap();
        assert!(usage.used <= usage.capacity && usage.capacity == 256);
    }
    assert!(metadata(&backend, c)["turns_dropped"].as_u64().unwrap() > 0);
}
