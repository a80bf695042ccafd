//! Finds the text of special tokens in a text, and says what ordinary text is left between them.
//!
//! As llama.cpp does it: token after token, the longest text first, each one from left to right in what the ones before
//! it have left over. Knows no splitting of ordinary text.

use std::ops::Range;

use aho_corasick::AhoCorasick;
use memchr::memmem;

use super::Token;

/// A token that a text may spell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spelled {
    pub(super) token: Token,
    pub(super) text: Vec<u8>,
    /// It is looked for in text that is not parsed for special tokens, too: a file's own additions to the vocabulary.
    pub(super) is_always: bool,
    /// White space before it is part of it.
    pub(super) strips_before: bool,
    /// White space after it is part of it.
    pub(super) strips_after: bool,
}

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fragment {
    Special(Token),
    /// Bytes of the text without any special token; never empty.
    Ordinary(Range<usize>),
}

/// All tokens that a text may spell, in the order in which they are looked for.
#[derive(Debug)]
pub(super) struct Partition {
    spelled: Vec<Spelled>,
    /// Says which of them occur at all: some vocabularies have thousands, and a text spells a few.
    automaton: AhoCorasick,
}

impl Partition {
    /// Errors: the reason why there are too many.
    pub(super) fn new(mut spelled: Vec<Spelled>) -> Result<Partition, String> {
        spelled.retain(|one| !one.text.is_empty());
        let texts = spelled.iter().map(|one| &one.text);
        let automaton = AhoCorasick::new(texts).map_err(|e| e.to_string())?;
        Ok(Partition { spelled, automaton })
    }

    /// The parts of `text`, in order; without `parses`, only tokens that are looked for always.
    pub(super) fn of(&self, text: &[u8], parses: bool) -> Vec<Fragment> {
        let mut fragments = Vec::new();
        if !text.is_empty() {
            fragments.push(Fragment::Ordinary(0..text.len()));
        }
        let occurs = self.occurring(text, parses);
        for (one, _) in self
            .spelled
            .iter()
            .zip(occurs)
            .filter(|(_, occurs)| *occurs)
        {
            let finder = memmem::Finder::new(&one.text);
            let mut parts = Vec::with_capacity(fragments.len());
            for fragment in fragments {
                match fragment {
                    Fragment::Ordinary(range) => one.cut(text, range, &finder, &mut parts),
                    special => parts.push(special),
                }
            }
            fragments = parts;
        }
        fragments
    }

    fn occurring(&self, text: &[u8], parses: bool) -> Vec<bool> {
        let is_asked = |one: &Spelled| parses || one.is_always;
        let mut occurs = vec![false; self.spelled.len()];
        let mut left = self.spelled.iter().filter(|one| is_asked(one)).count();
        if left == 0 {
            return occurs;
        }
        for found in self.automaton.find_overlapping_iter(text) {
            let at = found.pattern().as_usize();
            if !occurs[at] && is_asked(&self.spelled[at]) {
                occurs[at] = true;
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        occurs
    }
}

impl Spelled {
    fn cut(
        &self,
        text: &[u8],
        range: Range<usize>,
        finder: &memmem::Finder<'_>,
        parts: &mut Vec<Fragment>,
    ) {
        let mut from = range.start;
        while let Some(found) = finder.find(&text[from..range.end]) {
            let at = from + found;
            let mut before = at;
            while self.strips_before && before > from && is_space(text[before - 1]) {
                before -= 1;
            }
            if before > from {
                parts.push(Fragment::Ordinary(from..before));
            }
            parts.push(Fragment::Special(self.token));
            from = at + self.text.len();
            while self.strips_after && from < range.end && is_space(text[from]) {
                from += 1;
            }
        }
        if from < range.end {
            parts.push(Fragment::Ordinary(from..range.end));
        }
    }
}

/// C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

#[cfg(test)]
mod unit {
    use super::*;

    fn spelled(id: i32, text: &str) -> Spelled {
        Spelled {
            token: Token(id),
            text: text.into(),
            is_always: false,
            strips_before: false,
            strips_after: false,
        }
    }

    fn check(spelled: &[Spelled], text: &str, expect: &[&str]) {
        let partition = Partition::new(spelled.to_vec()).expect("few tokens");
        let parts = partition.of(text.as_bytes(), true);
        let shown: Vec<String> = parts
            .into_iter()
            .map(|part| match part {
                Fragment::Special(token) => format!("<{}>", token.0),
                Fragment::Ordinary(range) => text[range].to_owned(),
            })
            .collect();
        assert_eq!(shown, expect, "{text}");
    }

    #[test]
    fn the_first_token_of_the_list_takes_its_text_wherever_it_is() {
        let tokens = [spelled(1, "abc"), spelled(2, "ab"), spelled(3, "c")];
        check(&tokens, "", &[]);
        check(&tokens, "x", &["x"]);
        check(&tokens, "abcab", &["<1>", "<2>"]);
        check(&tokens, "xababcabc", &["x", "<2>", "<1>", "<1>"]);
        // Overlaps go to the token that is looked for first, not to the one that begins first.
        check(
            &[spelled(1, "bcd"), spelled(2, "ab")],
            "abcd",
            &["a", "<1>"],
        );
        check(&[spelled(1, "aa")], "aaaaa", &["<1>", "<1>", "a"]);
    }

    #[test]
    fn white_space_beside_a_token_goes_where_the_token_says() {
        let mut token = spelled(1, "|");
        token.strips_after = true;
        check(&[token.clone()], "a | \n b |", &["a ", "<1>", "b ", "<1>"]);
        check(&[token.clone()], "| ", &["<1>"]);
        token.strips_before = true;
        token.strips_after = false;
        check(&[token.clone()], " \t| b", &["<1>", " b"]);
        // What is stripped is gone: no other token finds it.
        check(
            &[token, spelled(2, " ")],
            "a  | b",
            &["a", "<1>", "<2>", "b"],
        );
    }

    #[test]
    fn text_that_is_not_parsed_spells_only_what_is_always_looked_for() {
        let mut always = spelled(2, "b");
        always.is_always = true;
        let partition = Partition::new(vec![spelled(1, "a"), always]).expect("few tokens");
        let parts = partition.of(b"ab", false);
        assert_eq!(
            parts,
            [Fragment::Ordinary(0..1), Fragment::Special(Token(2))]
        );
    }
}
