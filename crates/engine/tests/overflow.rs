//! Conversations that outgrow their context: what gives way, how the cells follow, and how it ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{backend, greedy, metadata, open, say, say_with, status};
use engine::{Backend, Error, Overflow, StatusKind};
use serde_json::json;

const SMALL_TALK: [&str; 4] = [
    "Tell me about rivers.",
    "Count to 12.",
    "Repeat after me: tok mar vel sen",
    "What is your name?",
];

fn shifts(backend: &Backend) -> u64 {
    status(backend, StatusKind::Memory)["shifts"]
        .as_u64()
        .unwrap()
}

fn number(backend: &Backend, context: u32, field: &str) -> u64 {
    metadata(backend, context)[field].as_u64().unwrap()
}

/// Turns until old ones have given way.
fn until_full(backend: &Backend, context: u32) {
    for text in SMALL_TALK.iter().cycle().take(200) {
        say(backend, context, text).unwrap();
        if number(backend, context, "turns_dropped") > 0 {
            return;
        }
    }
    panic!("200 turns fit into the context");
}

/// A turn whose answer goes on until there is no room.
fn endless(backend: &Backend, context: u32) {
    let call = r#"{"ignore_eos": true}"#;
    say_with(backend, context, "Tell me about rivers.", call).unwrap();
}

#[test]
fn a_long_conversation_keeps_its_head_and_moves_its_cells() {
    let backend = backend(&greedy(json!({"model": {"ctx_size": 1024}})));
    let c = open(&backend);
    say(&backend, c, "My name is Zorvath.").unwrap();
    until_full(&backend, c);
    // What was left was moved and not evaluated again.
    assert_eq!(shifts(&backend), 1);
    assert!(
        number(&backend, c, "evaluated_tokens") < 60,
        "{}",
        metadata(&backend, c)
    );
    for text in SMALL_TALK.iter().cycle().take(60) {
        say(&backend, c, text).unwrap();
    }
    assert!(shifts(&backend) > 2);
    // The first turns lie within the 256 tokens that are kept.
    let answer = say(&backend, c, "What is my name?").unwrap();
    assert!(answer.contains("Zorvath"), "{answer}");
}

#[test]
fn an_answer_that_fills_the_context_makes_room_twice_and_then_ends() {
    let backend = backend(&greedy(json!({
        "model": {"ctx_size": 512, "n_predict": -1},
        "memory": {"n_keep_tokens": 32, "n_discard_tokens": 64},
    })));
    let c = open(&backend);
    say(&backend, c, "My name is Zorvath.").unwrap();
    for text in SMALL_TALK.iter().cycle().take(8) {
        say_with(&backend, c, text, r#"{"max_tokens": 30}"#).unwrap();
    }
    let turns = |backend: &Backend| {
        let history: serde_json::Value =
            serde_json::from_str(&backend.history(c).unwrap()).unwrap();
        history.as_array().unwrap().len() / 2
    };
    let before = turns(&backend);
    endless(&backend, c);
    let told = metadata(&backend, c);
    assert_eq!(
        (&told["finish_reason"], &told["shifts"]),
        (&json!("context_full"), &json!(2))
    );
    let dropped = told["turns_dropped"].as_u64().unwrap() as usize;
    assert!(dropped >= 2, "{told}");
    assert_eq!(turns(&backend), before + 1 - dropped);
    // It goes on from there.
    say_with(&backend, c, "Hello.", r#"{"max_tokens": 8}"#).unwrap();
}

#[test]
fn without_anything_to_drop_a_full_context_ends_the_answer() {
    let backend = backend(&greedy(
        json!({"model": {"ctx_size": 256, "n_predict": -1}}),
    ));
    let c = open(&backend);
    endless(&backend, c);
    let told = metadata(&backend, c);
    assert_eq!(
        (&told["finish_reason"], &told["shifts"]),
        (&json!("context_full"), &json!(0))
    );
}

#[test]
fn a_conversation_may_refuse_to_forget_beside_one_that_does_not() {
    let backend = backend(&greedy(json!({"model": {"ctx_size": 256}})));
    let (strict, lenient) = (open(&backend), open(&backend));
    backend
        .set_memory(strict, |memory| memory.overflow = Some(Overflow::Error))
        .unwrap();
    until_full(&backend, lenient);
    let error = loop {
        if let Err(error) = say(&backend, strict, "Tell me about rivers.") {
            break error;
        }
    };
    assert!(matches!(error, Error::ContextFull(_)), "{error}");
    for part in ["kept", "history", "new", "context holds 256"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    backend
        .set_memory(strict, |memory| memory.overflow = Some(Overflow::Shift))
        .unwrap();
    say(&backend, strict, "Tell me about rivers.").unwrap();
}

#[test]
fn a_window_slides_over_the_conversation() {
    let backend = backend(&greedy(json!({"memory": {"n_keep_tokens": 0}})));
    let c = open(&backend);
    backend
        .set_memory(c, |memory| memory.window = Some(150))
        .unwrap();
    say(&backend, c, "My name is Zorvath.").unwrap();
    for text in SMALL_TALK.iter().cycle().take(16) {
        say(&backend, c, text).unwrap();
        assert!(number(&backend, c, "prompt_tokens") <= 150);
    }
    let answer = say(&backend, c, "What is my name?").unwrap();
    assert!(!answer.contains("Zorvath"), "{answer}");
    assert!(shifts(&backend) > 0);
}

#[test]
fn turns_that_were_removed_have_no_effect_any_more() {
    let backend = backend(&greedy(json!({})));
    let c = open(&backend);
    say(&backend, c, "My name is Zorvath.").unwrap();
    say(&backend, c, "Count to 5.").unwrap();
    say(&backend, c, "Tell me about rivers.").unwrap();
    let error = backend.remove_turns(c, 2, 2).unwrap_err();
    assert!(error.to_string().contains("has 3"), "{error}");
    backend.remove_turns(c, 0, 1).unwrap();
    let answer = say(&backend, c, "What is my name?").unwrap();
    assert!(!answer.contains("Zorvath"), "{answer}");
    // As if it had never been said: all behind it is evaluated again.
    let clean = open(&backend);
    for text in ["Count to 5.", "Tell me about rivers."] {
        say(&backend, clean, text).unwrap();
    }
    assert_eq!(say(&backend, clean, "What is my name?").unwrap(), answer);
}

/// Shows nothing of a message up to the end of a thought in it, and trims the rest.
const STRIPS: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n\
    {{ m.content.split('</think>')[-1] | trim }}<|im_end|>\n{% endfor %}{{ '<|im_start|>assistant\n' }}";

#[test]
fn a_conversation_that_its_template_rewrites_is_weighed_by_what_is_left_of_it() {
    let backend = backend(&greedy(json!({
        "model": {"ctx_size": 512, "n_predict": -1, "chat_template": STRIPS},
        "memory": {"n_keep_tokens": 32, "n_discard_tokens": 64},
    })));
    let c = open(&backend);
    let thought = "hm ".repeat(2000) + "</think>";
    say(&backend, c, "My name is Zorvath.").unwrap();
    for text in SMALL_TALK.iter().cycle().take(8) {
        let text = format!("{thought}\n{text}");
        say_with(&backend, c, &text, r#"{"max_tokens": 30}"#).unwrap();
    }
    // The last message is nearly all of the text, and nearly nothing of the prompt: it fits.
    let long = format!("{}{thought} Count to 5.", "hm ".repeat(20_000));
    say_with(&backend, c, &long, r#"{"max_tokens": 8}"#).unwrap();
    endless(&backend, c);
    let told = metadata(&backend, c);
    assert_eq!(
        (&told["finish_reason"], &told["shifts"]),
        (&json!("context_full"), &json!(2)),
        "{told}"
    );
    say_with(&backend, c, "Hello.", r#"{"max_tokens": 8}"#).unwrap();
}
