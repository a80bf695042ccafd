//! Forbidden and required tokens of one answer: tokens and text in, tokens of probability zero out.
//!
//! Which tokens a written text is made of, and which tokens end an answer, is not known here. Forbidden sequences are
//! followed together by one automaton over tokens (Aho and Corasick, 1975): a token costs the same with one sequence
//! and with a thousand.

use std::collections::HashMap;

use super::floor_char;

/// What must appear in an answer before it may end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// This token was sampled.
    Token(i32),
    /// This text stands in the answer; an empty one always does.
    Text(String),
}

/// Compiled filters, shared by the answers under them.
#[derive(Debug)]
pub struct Filters {
    /// The states: the beginnings of all sequences, shorter ones first; the empty one is [`ROOT`].
    beginnings: Vec<Beginning>,
    longer: HashMap<(usize, i32), usize>,
    required: Vec<Required>,
}

/// A forbidden sequence without some tokens at its end.
#[derive(Debug, Default)]
struct Beginning {
    /// Its longest proper suffix that is a beginning as well.
    suffix: usize,
    /// Its longest proper suffix that forbids a token.
    forbidding: Option<usize>,
    /// Tokens that complete a sequence here.
    banned: Vec<i32>,
}

const ROOT: usize = 0;

/// One answer as the filters see it.
#[derive(Debug)]
pub struct FilterState {
    /// The longest beginning that the answer ends with.
    tail: usize,
    /// Indices of what is required and has not appeared.
    missing: Vec<usize>,
}

impl Filters {
    /// Compiles the sequences and what is required. A sequence of one token is forbidden everywhere, an empty one
    /// nowhere.
    pub fn new(forbidden_sequences: &[Vec<i32>], required: Vec<Required>) -> Filters {
        let mut filters = Filters {
            beginnings: vec![Beginning::default()],
            longer: HashMap::new(),
            required,
        };
        // All sequences grow together by one token: what is shorter exists when a longer one looks for its suffix.
        let mut open: Vec<(usize, &[i32])> = forbidden_sequences
            .iter()
            .map(|sequence| (ROOT, sequence.as_slice()))
            .collect();
        while !open.is_empty() {
            open.retain_mut(|(at, rest)| match *rest {
                [] => false,
                [last] => {
                    let banned = &mut filters.beginnings[*at].banned;
                    if !banned.contains(last) {
                        banned.push(*last);
                    }
                    false
                }
                [token, more @ ..] => {
                    (*at, *rest) = (filters.grow(*at, *token), more);
                    true
                }
            });
        }
        for at in 1..filters.beginnings.len() {
            let suffix = filters.beginnings[at].suffix;
            let next = &filters.beginnings[suffix];
            filters.beginnings[at].forbidding = if next.banned.is_empty() {
                next.forbidding
            } else {
                Some(suffix)
            };
        }
        filters
    }

    /// The state at the start of an answer.
    pub fn start(&self) -> FilterState {
        let is_missing =
            |required: &Required| !matches!(required, Required::Text(text) if text.is_empty());
        FilterState {
            tail: ROOT,
            missing: (0..self.required.len())
                .filter(|&index| is_missing(&self.required[index]))
                .collect(),
        }
    }

    fn grow(&mut self, at: usize, token: i32) -> usize {
        if let Some(&next) = self.longer.get(&(at, token)) {
            return next;
        }
        let suffix = if at == ROOT {
            ROOT
        } else {
            self.step(self.beginnings[at].suffix, token)
        };
        let next = self.beginnings.len();
        self.beginnings.push(Beginning {
            suffix,
            ..Beginning::default()
        });
        self.longer.insert((at, token), next);
        next
    }

    /// The longest beginning that an answer ends with which ended with `at` and goes on with `token`.
    fn step(&self, mut at: usize, token: i32) -> usize {
        loop {
            if let Some(&next) = self.longer.get(&(at, token)) {
                return next;
            }
            if at == ROOT {
                return ROOT;
            }
            at = self.beginnings[at].suffix;
        }
    }
}

impl FilterState {
    /// Notes a sampled token. `text`: the whole answer with the token's own text, which begins at byte `new_from`.
    pub fn push(&mut self, filters: &Filters, token: i32, text: &str, new_from: usize) {
        self.tail = filters.step(self.tail, token);
        self.missing
            .retain(|&index| match &filters.required[index] {
                Required::Token(required) => *required != token,
                Required::Text(required) => {
                    // What ended before the new part was seen before.
                    let from = (new_from + 1).saturating_sub(required.len());
                    !text[floor_char(text, from)..].contains(required.as_str())
                }
            });
    }

    /// Tokens that would complete a forbidden sequence now; one may come twice.
    pub fn banned<'a>(&self, filters: &'a Filters) -> impl Iterator<Item = i32> + use<'a> {
        let forbidding = |at: &usize| filters.beginnings[*at].forbidding;
        std::iter::successors(Some(self.tail), forbidding)
            .flat_map(|at| filters.beginnings[at].banned.iter().copied())
    }

    /// Whether the answer may not end yet.
    pub fn is_waiting(&self) -> bool {
        !self.missing.is_empty()
    }

    /// What is required and has not appeared, in the order in which it was given.
    pub fn missing<'a>(&self, filters: &'a Filters) -> impl Iterator<Item = &'a Required> {
        self.missing.iter().map(|&index| &filters.required[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is banned after `tokens`, sorted and each once.
    fn banned(forbidden: &[Vec<i32>], tokens: &[i32]) -> Vec<i32> {
        let filters = Filters::new(forbidden, Vec::new());
        let mut state = filters.start();
        for &token in tokens {
            state.push(&filters, token, "", 0);
        }
        sorted(state.banned(&filters))
    }

    fn naive(forbidden: &[Vec<i32>], tokens: &[i32]) -> Vec<i32> {
        let last = |sequence: &Vec<i32>| {
            let (last, before) = sequence.split_last()?;
            tokens.ends_with(before).then_some(*last)
        };
        sorted(forbidden.iter().filter_map(last))
    }

    fn sorted(tokens: impl Iterator<Item = i32>) -> Vec<i32> {
        let mut tokens: Vec<i32> = tokens.collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    #[test]
    fn the_last_token_is_banned_right_after_those_before_it() {
        let forbidden = [vec![1, 2, 3]];
        assert_eq!(banned(&forbidden, &[1, 2]), [3]);
        assert_eq!(banned(&forbidden, &[1, 2, 4]), [0; 0]);
        assert_eq!(banned(&forbidden, &[2]), [0; 0]);
        assert_eq!(banned(&forbidden, &[1, 1, 2]), [3]);
    }

    #[test]
    fn a_sequence_inside_another_is_banned_as_well() {
        let forbidden = [vec![1, 2, 3, 4], vec![2, 3, 5], vec![3, 4], vec![6]];
        assert_eq!(banned(&forbidden, &[1, 2, 3]), [4, 5, 6]);
        assert_eq!(banned(&forbidden, &[]), [6]);
    }

    #[test]
    fn a_thousand_sequences_with_one_tail_are_told_apart() {
        let forbidden: Vec<Vec<i32>> = (0..1024).map(|n| vec![n, -1, -1, -1, 5000 + n]).collect();
        assert_eq!(banned(&forbidden, &[700, -1, -1, -1]), [5700]);
        assert_eq!(banned(&forbidden, &[-1, -1, -1]), [0; 0]);
    }

    #[test]
    fn an_answer_waits_until_each_required_one_has_appeared() {
        let required = vec![Required::Token(7), Required::Text("d\u{e9}j\u{e0}".into())];
        let filters = Filters::new(&[], required.clone());
        let mut state = filters.start();
        assert_eq!(
            state.missing(&filters).cloned().collect::<Vec<_>>(),
            required
        );
        state.push(&filters, 1, "a d\u{e9}", 0);
        assert!(state.is_waiting());
        state.push(&filters, 2, "a d\u{e9}j\u{e0} b", 5);
        assert_eq!(
            state.missing(&filters).collect::<Vec<_>>(),
            [&Required::Token(7)]
        );
        state.push(&filters, 7, "a d\u{e9}j\u{e0} b", 10);
        assert!(!state.is_waiting());
        assert_eq!(state.missing(&filters).next(), None);
    }

    #[test]
    fn an_empty_requirement_is_met_from_the_start() {
        let filters = Filters::new(&[], vec![Required::Text(String::new())]);
        assert!(!filters.start().is_waiting());
    }

    proptest! {
        #[test]
        fn bans_are_those_of_comparing_every_sequence(
            forbidden in prop::collection::vec(prop::collection::vec(0..3i32, 0..6), 0..8),
            tokens in prop::collection::vec(0..3i32, 0..20),
        ) {
            prop_assert_eq!(banned(&forbidden, &tokens), naive(&forbidden, &tokens));
        }

        #[test]
        fn an_answer_that_honours_the_bans_has_no_forbidden_sequence(
            forbidden in prop::collection::vec(prop::collection::vec(0..3i32, 2..6), 0..12),
            choices in prop::collection::vec(0usize..3, 0..60),
        ) {
            let filters = Filters::new(&forbidden, Vec::new());
            let mut state = filters.start();
            let mut answer = Vec::new();
            for choice in choices {
                let banned = sorted(state.banned(&filters));
                let allowed: Vec<i32> = (0..3).filter(|token| !banned.contains(token)).collect();
                if allowed.is_empty() {
                    break;
                }
                let token = allowed[choice % allowed.len()];
                state.push(&filters, token, "", 0);
                answer.push(token);
                let is_clean = |sequence: &Vec<i32>| !answer.ends_with(sequence);
                prop_assert!(forbidden.iter().all(is_clean), "{answer:?}");
            }
        }

        #[test]
        fn what_is_missing_is_what_the_whole_answer_lacks(
            pieces in prop::collection::vec((0..4i32, "[ab\u{e9}]{0,3}"), 0..12),
            texts in prop::collection::vec("[ab\u{e9}]{0,5}", 0..5),
        ) {
            let required = texts.into_iter().map(Required::Text).chain([Required::Token(2)]);
            let filters = Filters::new(&[], required.collect());
            let mut state = filters.start();
            let (mut text, mut tokens) = (String::new(), Vec::new());
            for (token, piece) in pieces {
                let new_from = text.len();
                text += &piece;
                tokens.push(token);
                state.push(&filters, token, &text, new_from);
                let is_lacking = |required: &&Required| match required {
                    Required::Token(token) => !tokens.contains(token),
                    Required::Text(part) => !text.contains(part.as_str()),
                };
                let lacking: Vec<&Required> = filters.required.iter().filter(is_lacking).collect();
                prop_assert_eq!(state.is_waiting(), !lacking.is_empty());
                prop_assert_eq!(state.missing(&filters).collect::<Vec<_>>(), lacking);
            }
        }
    }
}
