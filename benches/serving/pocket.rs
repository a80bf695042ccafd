//! What is said to the pocket model: a name, talk of the world that it was trained on, and the question for the name.
//!
//! `models/README.md` tells what it answers. Knows no measurements.

use crate::random::Random;

/// Tokens that every answer has room in.
pub const ANSWER: u32 = 32;

/// The question.
pub const QUESTION: &str = "What is my name?";

/// Made-up names that the model recalls.
const NAMES: [&str; 8] = [
    "Zorvath", "Melkin", "Tarbo", "Quendil", "Fennor", "Ballas", "Dorimi", "Vexanu",
];

/// Nothing here tells a name or asks for one.
const TALK: [&str; 16] = [
    "How are you?",
    "Thank you",
    "What can you do?",
    "Tell me about rivers.",
    "Tell me about mountains.",
    "Tell me about the sea.",
    "Tell me about trains.",
    "Tell me about winter.",
    "The weather is nice.",
    "I had soup today.",
    "It is raining.",
    "Why is the sky blue?",
    "Count to 3.",
    "Count to 5.",
    "Count to 7.",
    "Repeat after me: stone river bird",
];

/// The name of somebody.
pub fn name(person: usize) -> &'static str {
    NAMES[person % NAMES.len()]
}

/// How somebody opens a conversation.
pub fn introduction(person: usize) -> String {
    format!("My name is {}.", name(person))
}

/// What somebody says in a turn, the same in every run. Few say the same one after the other.
pub fn talk(person: usize, turn: usize) -> &'static str {
    let seed = ((person as u64) << 32) | turn as u64;
    TALK[Random::new(seed).below(TALK.len())]
}
