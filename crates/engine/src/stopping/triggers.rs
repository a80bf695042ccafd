//! Where in an answer a lazy grammar wakes.
//!
//! Text and tokens in, position out: what the grammar is, and how the text behind the position reaches it, is not known
//! here. A trigger acts as soon as it is complete: one that began earlier and is still incomplete is not waited for,
//! since text that the grammar should have shaped cannot be taken back.

use regex::Regex;

use super::{floor_char, regex};

/// Bytes of the answer that patterns look at: the last ones, and for [`Pattern::Full`] the first ones.
const WINDOW: usize = 4096;

const KEY: &str = "grammar_triggers pattern";

/// What wakes a grammar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This text, anywhere; an empty one never.
    Word(String),
    /// A regular expression, anywhere in the last 4 KiB of the answer.
    Anywhere(String),
    /// A regular expression that matches from the start of the answer on, while the answer has at most 4 KiB.
    Full(String),
    /// This token.
    Token(i32),
}

/// Compiled triggers; they keep nothing of an answer.
#[derive(Debug)]
pub struct Triggers {
    words: Vec<String>,
    anywhere: Vec<Regex>,
    full: Vec<Regex>,
    tokens: Vec<i32>,
}

/// The moment at which a grammar wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// Byte of the answer from which on the grammar applies.
    pub from: usize,
}

impl Triggers {
    /// Compiles `patterns`.
    ///
    /// Errors: the text of a pattern that does not compile, with the reason.
    pub fn compile(patterns: &[Pattern]) -> Result<Triggers, String> {
        let mut triggers = Triggers {
            words: Vec::new(),
            anywhere: Vec::new(),
            full: Vec::new(),
            tokens: Vec::new(),
        };
        for pattern in patterns {
            match pattern {
                Pattern::Word(word) if word.is_empty() => {}
                Pattern::Word(word) => triggers.words.push(word.clone()),
                Pattern::Anywhere(text) => triggers.anywhere.push(regex(KEY, text)?),
                Pattern::Full(text) => triggers.full.push(regex(KEY, text)?),
                Pattern::Token(token) => triggers.tokens.push(*token),
            }
        }
        Ok(triggers)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        let texts = self.words.is_empty() && self.anywhere.is_empty() && self.full.is_empty();
        texts && self.tokens.is_empty()
    }

    /// Whether the answer wakes the grammar with its last token: the earliest position, if several triggers appear.
    ///
    /// `text`: the whole answer with the token's own text, which begins at byte `new_from`. To be called after each
    /// token until it answers: what lies before the windows is taken as searched.
    pub fn search(&self, text: &str, new_from: usize, token: i32) -> Option<Wake> {
        let token = self.tokens.contains(&token).then_some(new_from);
        let words = self.words.iter().filter_map(|w| word(w, text, new_from));
        let anywhere = self.anywhere.iter().filter_map(|p| anywhere(p, text));
        let full = self.full.iter().filter_map(|p| full(p, text));
        let from = words.chain(anywhere).chain(full).chain(token).min()?;
        Some(Wake { from })
    }
}

/// A word that ended before the new part would have been found with an earlier token.
fn word(word: &str, text: &str, new_from: usize) -> Option<usize> {
    let window = floor_char(text, (new_from + 1).saturating_sub(word.len()));
    Some(window + text[window..].find(word)?)
}

fn anywhere(pattern: &Regex, text: &str) -> Option<usize> {
    let window = floor_char(text, text.len().saturating_sub(WINDOW));
    pattern.find_at(text, window)?;
    begin(pattern, text, window)
}

/// The leftmost match begins at the start of the answer if any does, so no anchor has to be put around the pattern.
fn full(pattern: &Regex, text: &str) -> Option<usize> {
    let is_match = text.len() <= WINDOW && pattern.find(text)?.start() == 0;
    is_match.then(|| begin(pattern, text, 0)).flatten()
}

/// The first group that took part in the match says where it begins; without groups the match does.
fn begin(pattern: &Regex, text: &str, at: usize) -> Option<usize> {
    let captures = pattern.captures_at(text, at)?;
    let group = captures.iter().skip(1).flatten().next();
    group.or(captures.get(0)).map(|part| part.start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `pieces` as tokens 0, 1, ..; returns the token that woke the grammar, and from where.
    fn wake(patterns: &[Pattern], pieces: &[&str]) -> Option<(i32, usize)> {
        let triggers = Triggers::compile(patterns).unwrap();
        let mut text = String::new();
        (0..).zip(pieces).find_map(|(token, piece)| {
            let new_from = text.len();
            text += piece;
            let wake = triggers.search(&text, new_from, token)?;
            Some((token, wake.from))
        })
    }

    fn words(words: &[&str]) -> Vec<Pattern> {
        words.iter().map(|w| Pattern::Word(w.to_string())).collect()
    }

    #[test]
    fn a_word_across_tokens_wakes_where_it_begins() {
        let word = words(&["<tool>"]);
        assert_eq!(wake(&word, &["a <to", "ol", ">{", "}"]), Some((2, 2)));
        assert_eq!(wake(&word, &["a <tool", " >"]), None);
    }

    #[test]
    fn of_two_words_in_one_token_the_earlier_one_wakes() {
        assert_eq!(wake(&words(&["bc", "abcd", ""]), &["xabcd"]), Some((0, 1)));
        assert_eq!(wake(&words(&["bc", "abcd"]), &["xabc", "d"]), Some((0, 2)));
    }

    #[test]
    fn a_pattern_wakes_at_its_first_group_that_took_part() {
        let pattern = |text: &str| [Pattern::Anywhere(text.into())];
        assert_eq!(
            wake(&pattern("call: *[{]"), &["so call:", " {"]),
            Some((1, 3))
        );
        assert_eq!(
            wake(&pattern("call: *([{])"), &["so call:", " {"]),
            Some((1, 9))
        );
        assert_eq!(
            wake(&pattern("(x)?call: *([{])"), &["call: {"]),
            Some((0, 6))
        );
        assert_eq!(wake(&pattern("(x)?call:"), &["a call:"]), Some((0, 2)));
        assert_eq!(wake(&pattern("call:()"), &["a call:"]), Some((0, 7)));
    }

    #[test]
    fn a_full_pattern_matches_from_the_start_only() {
        let pattern = |text: &str| [Pattern::Full(text.into())];
        assert_eq!(wake(&pattern("b"), &["a", "b"]), None);
        assert_eq!(wake(&pattern("[ab]*c"), &["a", "b", "c"]), Some((2, 0)));
        assert_eq!(wake(&pattern("z|b"), &["ab"]), None);
        assert_eq!(
            wake(&pattern("(?x) a (b) # why"), &["a", "b"]),
            Some((1, 1))
        );
    }

    #[test]
    fn a_token_wakes_where_its_text_begins() {
        assert_eq!(wake(&[Pattern::Token(2)], &["ab", "c", "de"]), Some((2, 3)));
    }

    #[test]
    fn the_earliest_of_all_kinds_wakes() {
        let mut all = words(&["d"]);
        all.extend([Pattern::Token(1), Pattern::Anywhere("b(c)".into())]);
        assert_eq!(wake(&all, &["ab", "cd"]), Some((1, 2)));
        all.push(Pattern::Full("ab.".into()));
        assert_eq!(wake(&all, &["ab", "cd"]), Some((1, 0)));
    }

    #[test]
    fn patterns_see_no_further_than_their_window() {
        let long = "\u{e9}".repeat(WINDOW);
        let anywhere = [Pattern::Anywhere("x.*y".into())];
        assert_eq!(wake(&anywhere, &["x", &long, "y"]), None);
        assert_eq!(wake(&anywhere, &[&long, "x", "y"]), Some((2, 2 * WINDOW)));
        let full = [Pattern::Full("x.*y".into())];
        assert_eq!(wake(&full, &["x", &long, "y"]), None);
        assert_eq!(wake(&full, &["x", &long[..4000], "y"]), Some((2, 0)));
        let begin = [Pattern::Anywhere("^\u{e9}y".into())];
        assert_eq!(wake(&begin, &["a", &long, "y"]), None);
    }

    #[test]
    fn a_pattern_that_does_not_compile_is_named() {
        for text in ["(", r"\w{1000}", "a)|(b"] {
            for pattern in [Pattern::Anywhere(text.into()), Pattern::Full(text.into())] {
                let error = Triggers::compile(&[pattern]).unwrap_err();
                let head = format!("grammar_triggers pattern {text:?} does not compile: ");
                assert!(
                    error.starts_with(&head) && error.len() > head.len(),
                    "{error}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn one_word_is_found_where_the_whole_text_has_it_whatever_the_pieces(
            pieces in prop::collection::vec("[ab\u{e9}\u{20ac}]{0,4}", 0..12),
            word in "[ab\u{e9}\u{20ac}]{1,5}",
        ) {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let found = wake(&words(&[&word]), &pieces).map(|(_, from)| from);
            prop_assert_eq!(found, pieces.concat().find(&word));
        }

        #[test]
        fn words_wake_with_the_first_token_after_which_the_whole_text_has_one(
            pieces in prop::collection::vec("[ab\u{e9}\u{20ac}]{0,4}", 0..12),
            list in prop::collection::vec("[ab\u{e9}\u{20ac}]{1,5}", 0..4),
        ) {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let list: Vec<&str> = list.iter().map(String::as_str).collect();
            let expect = (1..=pieces.len()).find_map(|count| {
                let text = pieces[..count].concat();
                let from = list.iter().filter_map(|w| text.find(w)).min()?;
                Some((count as i32 - 1, from))
            });
            prop_assert_eq!(wake(&words(&list), &pieces), expect);
        }
    }
}
