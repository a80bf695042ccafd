//! Splits ordinary text into the words within which a byte-pair vocabulary merges, as llama.cpp would.
//!
//! llama.cpp matches most of its expressions with `std::regex`, which recurses for every character of a match: some ten
//! thousand exhaust a stack. Here the same expressions run in linear time and constant depth. Knows no tokens.

mod characters;
mod expressions;
mod stage;

use crate::error::Result;

pub(super) use characters::Characters;

use stage::{Stage, Text};

/// What a metaspace vocabulary has in place of a blank.
const METASPACE: &str = "\u{2581}";

/// The splitter of one kind of vocabulary.
#[derive(Debug)]
pub(super) struct Pretokenizer {
    stages: Vec<Stage>,
    traits: Traits,
}

/// What else the kind of vocabulary decides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traits {
    /// Merges are over UTF-8 itself, and not over one character for each byte.
    pub(super) is_raw: bool,
    /// A word of line feeds alone is one token if there is one.
    pub(super) keeps_newlines: bool,
    /// Every word begins with a metaspace, and every metaspace begins a word.
    pub(super) begins_words: bool,
}

impl Pretokenizer {
    /// The splitter with llama.cpp's number `pre`; `None` for a number that this llama.cpp does not have.
    pub(super) fn new(pre: i32) -> Option<Pretokenizer> {
        let (recipes, traits) = expressions::of(pre)?;
        let stages = recipes.iter().map(Stage::new).collect();
        Some(Pretokenizer { stages, traits })
    }

    pub(super) fn traits(&self) -> Traits {
        self.traits
    }

    /// The words of `text`: where each ends, in bytes of the text that comes back, which is `text` but for what
    /// `begins_words` adds. Without words where `text` is empty.
    pub(super) fn split(&self, text: String) -> Result<(String, Vec<u32>)> {
        let ends = {
            let view = Text::new(&text, Characters::get()?);
            let mut pieces = view.whole();
            for stage in &self.stages {
                pieces = stage.split(&view, &pieces);
            }
            view.to_bytes(pieces)
        };
        match self.traits.begins_words {
            true => Ok(begin_words(&text, &ends)),
            false => Ok((text, ends)),
        }
    }
}

/// Every piece that is not line feeds gets a metaspace in front unless it has one, and is cut before each metaspace.
fn begin_words(text: &str, ends: &[u32]) -> (String, Vec<u32>) {
    let mut words = String::with_capacity(text.len() + METASPACE.len());
    let mut word_ends = Vec::new();
    let mut from = 0;
    for end in ends {
        let piece = &text[from..*end as usize];
        from = *end as usize;
        if piece.bytes().all(|byte| byte == b'\n') {
            words.push_str(piece);
            word_ends.push(words.len() as u32);
            continue;
        }
        let start = words.len();
        if !piece.starts_with(METASPACE) {
            words.push_str(METASPACE);
        }
        words.push_str(piece);
        let cuts = words[start..].match_indices(METASPACE).skip(1);
        word_ends.extend(cuts.map(|(at, _)| (start + at) as u32));
        word_ends.push(words.len() as u32);
    }
    (words, word_ends)
}

#[cfg(test)]
mod unit;
