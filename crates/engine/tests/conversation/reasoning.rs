//! Models that think before they answer: pocket model `a` with two of its words turned into the marks of a thought.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::PathBuf;

use engine::Backend;
use serde_json::{Value, json};

use crate::common::*;

/// A file of one test, gone when it is over.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Replaces a text of the file that stands once with its length before it.
fn put(file: &mut Vec<u8>, from: &str, to: &str) {
    let sized = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let from = sized(from);
    let places: Vec<usize> = (0..file.len() - from.len())
        .filter(|&at| file[at..].starts_with(&from))
        .collect();
    let [at] = places[..] else {
        panic!("{} places", places.len())
    };
    file.splice(at..at + from.len(), sized(to));
}

/// Where the values of the array `key` begin.
fn array(file: &[u8], key: &str) -> usize {
    let at = file.windows(key.len()).position(|w| w == key.as_bytes());
    // The types of the value and of its elements, and their count.
    at.unwrap() + key.len() + 16
}

/// The index of the token `text`.
fn index(file: &[u8], text: &str) -> usize {
    let mut at = array(file, "tokenizer.ggml.tokens");
    let mut index = 0;
    loop {
        let length = u64::from_le_bytes(file[at..at + 8].try_into().unwrap()) as usize;
        at += 8;
        if &file[at..at + length] == text.as_bytes() {
            return index;
        }
        (at, index) = (at + length, index + 1);
    }
}

/// The model answers "I will remember it.": "I" and " remember", which are tokens, become the marks of a thought, which is
/// then "will", and "it." is the answer.
fn thinker(name: &str) -> Made {
    const ABOUT: &str = "A tiny chat model that calls itself Pip; it knows only a small world.";
    /// The kind of tokens whose text is theirs alone.
    const USER_DEFINED: i32 = 4;
    let mut file = std::fs::read(pocket("a")).unwrap();
    let before = file.len();
    for (word, mark) in [("I", "<think>"), ("\u{120}remember", "</think>")] {
        let kind = array(&file, "tokenizer.ggml.token_type") + 4 * index(&file, word);
        file[kind..kind + 4].copy_from_slice(&USER_DEFINED.to_le_bytes());
        put(&mut file, word, mark);
    }
    // What follows the texts stays where it was.
    let longer = file.len() - before;
    put(&mut file, ABOUT, &ABOUT[..ABOUT.len() - longer]);
    assert_eq!(file.len(), before);
    let path = std::env::temp_dir().join(format!("thinker-{name}-{}.gguf", std::process::id()));
    std::fs::write(&path, file).unwrap();
    Made(path)
}

fn thinking(name: &str, more: Value) -> Backend {
    let file = thinker(name);
    let backend = unloaded("{}");
    let config = greedy(more);
    backend
        .load_file(&file.0, Some(config.as_bytes()), None)
        .unwrap();
    backend
}

const TELLS: &str = "The secret word is trammyt.";

fn history(backend: &Backend, context: u32) -> Value {
    serde_json::from_str(&backend.history(context).unwrap()).unwrap()
}

#[test]
fn a_thought_is_told_beside_the_answer_and_kept_beside_it_in_the_history() {
    let backend = thinking("answer", json!({}));
    let c = open(&backend);
    assert_eq!(&*say(&backend, c, TELLS).unwrap(), "it.");
    let told = metadata(&backend, c);
    assert_eq!(told["reasoning"], "will", "{told}");
    assert_eq!(told["text_bytes"], 3);
    // All but the answer's: two marks, what stands between them, and the end.
    assert_eq!(
        told["reasoning_tokens"].as_u64().unwrap() + 2,
        told["completion_tokens"].as_u64().unwrap()
    );
    assert_eq!(
        history(&backend, c)[1],
        json!({"role": "assistant", "content": "it.", "reasoning_content": "will"})
    );
    // One that does not think is as it was.
    let answer = say(&backend, c, "Count to 5.").unwrap();
    assert!(answer.contains('5'), "{answer}");
    let told = metadata(&backend, c);
    assert!(told.get("reasoning").is_none(), "{told}");
    assert!(history(&backend, c)[3].get("reasoning_content").is_none());
}

#[test]
fn a_thought_is_not_streamed() {
    let backend = thinking("stream", json!({}));
    let c = open(&backend);
    let mut pieces = String::new();
    let mut take = |text: &str| {
        pieces.push_str(text);
        true
    };
    let answer = backend
        .run(c, TELLS.to_owned(), &mut || None, Some(&mut take))
        .unwrap();
    assert_eq!((&*answer, &*pieces), ("it.", "it."));
}

#[test]
fn without_a_format_the_thought_is_part_of_the_answer() {
    let more = json!({"model": {"reasoning_format": "none"}});
    let backend = thinking("none", more);
    let c = open(&backend);
    assert_eq!(
        &*say(&backend, c, TELLS).unwrap(),
        "<think> will</think> it."
    );
    assert!(metadata(&backend, c).get("reasoning").is_none());
}

#[test]
fn an_answer_that_ends_inside_its_thought_is_empty_and_the_conversation_goes_on() {
    // Refuses empty messages, as those of several models do.
    let template = "{% for m in messages %}{% if not m.content %}{{ raise_exception('empty') }}{% endif %}\
        <|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\n' }}";
    let backend = thinking("short", json!({"model": {"chat_template": template}}));
    let c = open(&backend);
    let answer = say_with(&backend, c, TELLS, r#"{"max_tokens": 2}"#).unwrap();
    let told = metadata(&backend, c);
    assert_eq!((&*answer, &told["reasoning"]), ("", &json!("will")));
    assert_eq!(told["finish_reason"], "length");
    let answer = say(&backend, c, "Count to 5.").unwrap();
    assert!(answer.contains('5'), "{answer}");
    assert_eq!(history(&backend, c)[1]["content"], "");
}

#[test]
fn a_grammar_binds_the_answer_and_not_the_thought() {
    let backend = thinking("grammar", json!({}));
    let call = r#"{"grammar": "root ::= \"yes\" | \"no\""}"#;
    let c = open(&backend);
    let answer = say_with(&backend, c, TELLS, call).unwrap();
    assert!(["yes", "no"].contains(&&*answer), "{answer}");
    assert_eq!(metadata(&backend, c)["reasoning"], "will");
    // And where the model does not think.
    let answer = say_with(&backend, c, "Count to 5.", call).unwrap();
    assert!(["yes", "no"].contains(&&*answer), "{answer}");
    assert!(metadata(&backend, c).get("reasoning").is_none());
}

#[test]
fn a_raw_prompt_is_answered_raw() {
    let backend = std::sync::Arc::new(thinking("raw", json!({})));
    let c = open(&backend);
    let text = format!("<|im_start|>user\n{TELLS}<|im_end|>\n<|im_start|>assistant\n");
    let prompt = engine::Prompt {
        text: text.into(),
        images: Vec::new(),
        config: None,
        in_pieces: false,
    };
    let mut completion = backend.complete(c, prompt).unwrap();
    while completion.next_piece().unwrap().is_some() {}
    assert_eq!(completion.text(), "<think> will</think> it.");
}
