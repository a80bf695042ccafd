//! Prompts of an exact count of tokens, each different, the same in every run. Knows no measurements.

use crate::engine::{Engine, Request};
use crate::error::{Error, Result};
use crate::ours::Ours;
use crate::random::Random;

const WORDS: &[&str] = &[
    "river", "stone", "garden", "window", "summer", "letter", "silver", "market", "forest",
    "winter", "bridge", "candle", "island", "mirror", "doctor", "planet", "engine", "corner",
    "bottle", "castle", "farmer", "dinner", "yellow", "simple", "travel", "answer", "follow",
    "listen", "morning", "evening", "mountain", "village", "teacher", "student", "machine",
    "picture", "weather", "quiet", "narrow", "bright", "under", "above", "before", "after", "with",
    "about", "the", "one", "for", "that", "was", "over", "from", "into", "near",
];

/// What may fill the last places, tried in this order: most vocabularies make one token of one of these.
const FILLERS: &[&str] = &[" a", "a", " x", "x", ".", "q"];

/// `count` prompts that become `tokens` tokens each, the beginning-of-text token included.
pub fn prompts(model: &Ours, tokens: u32, count: usize) -> Result<Vec<String>> {
    let added = added_tokens(model)?;
    (0..count)
        .map(|number| {
            // The seed depends on the size, so that no prompt begins like one of another section.
            let seed = (u64::from(tokens) << 32) | number as u64;
            prompt(model, tokens.saturating_sub(added), seed)
        })
        .collect()
}

/// Tokens that a turn has beyond those of its text.
fn added_tokens(model: &Ours) -> Result<u32> {
    let text = WORDS[..4].join(" ");
    let turn = model.run(Request {
        prompt: &text,
        tokens: 1,
    })?;
    let all = u32::try_from(turn.prompt_tokens).unwrap_or(u32::MAX);
    Ok(all.saturating_sub(model.count_tokens(&text)?))
}

fn prompt(model: &Ours, tokens: u32, seed: u64) -> Result<String> {
    let mut random = Random::new(seed);
    // No vocabulary here makes less than one token of a word.
    let words: Vec<&str> = (0..=tokens)
        .map(|_| WORDS[random.below(WORDS.len())])
        .collect();
    let (mut fits, mut exceeds) = (0, words.len());
    while exceeds - fits > 1 {
        let middle = usize::midpoint(fits, exceeds);
        match model.count_tokens(&words[..middle].join(" "))? <= tokens {
            true => fits = middle,
            false => exceeds = middle,
        }
    }
    let mut text = words[..fits].join(" ");
    let mut count = model.count_tokens(&text)?;
    while count < tokens {
        let longer = FILLERS.iter().find_map(|filler| {
            let longer = format!("{text}{filler}");
            let longer_count = model.count_tokens(&longer).ok()?;
            (longer_count == count + 1).then_some(longer)
        });
        let Some(longer) = longer else {
            return Err(Error::Setup(format!(
                "no text of {tokens} tokens was found, only of {count}"
            )));
        };
        (text, count) = (longer, count + 1);
    }
    Ok(text)
}
