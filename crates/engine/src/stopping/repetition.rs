//! Repetition guard: whether an answer's tail is one pattern of tokens over and over.
//!
//! Numbers in, decision out: what a token means and where its text begins is not known here.

/// When a repetition ends the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Times that a pattern must stand in a row; fewer than two are no repetition and count as two.
    pub max_repeats: usize,
    /// Tokens of the shortest pattern, at least one.
    pub min_pattern: usize,
    /// Tokens of the longest pattern; below `min_pattern` no pattern is looked for.
    pub max_pattern: usize,
    /// Tokens that all repeats must span together.
    pub min_span: usize,
}

/// A repetition at the end of the answer. Of the answer's tokens all but the last `pattern * (repeats - 1)` stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeats {
    /// Tokens of the pattern.
    pub pattern: usize,
    /// Times that it stands in a row, the first one included.
    pub repeats: usize,
}

/// The tail of one answer, as far as its repetitions go.
///
/// Costs one comparison per length of a pattern and token; keeps `max_pattern` tokens and as many numbers.
#[derive(Debug)]
pub struct Guard {
    lengths: Vec<Length>,
    /// The last tokens: the one at position n of the answer stands at n modulo the size.
    ring: Vec<i32>,
    seen: usize,
}

/// Patterns of one length.
#[derive(Debug)]
struct Length {
    pattern: usize,
    /// Tokens at the end of the answer of which each equals the one `pattern` before it.
    run: usize,
    /// The run that ends the answer. A run of n is n / pattern + 1 patterns in a row.
    needed: usize,
}

impl Guard {
    /// A guard at the start of an answer.
    pub fn new(limits: Limits) -> Guard {
        let lengths: Vec<Length> = (limits.min_pattern.max(1)..=limits.max_pattern)
            .map(|pattern| {
                let repeats = limits
                    .max_repeats
                    .max(limits.min_span.div_ceil(pattern))
                    .max(2);
                Length {
                    pattern,
                    run: 0,
                    needed: pattern.saturating_mul(repeats - 1),
                }
            })
            .collect();
        let size = lengths.last().map_or(0, |longest| longest.pattern);
        Guard {
            lengths,
            ring: vec![0; size],
            seen: 0,
        }
    }

    /// Takes the next token; returns the repetition that it completes, the one of the shortest pattern.
    pub fn push(&mut self, token: i32) -> Option<Repeats> {
        let size = self.ring.len();
        let mut found = None;
        for length in &mut self.lengths {
            let is_repeated = self
                .seen
                .checked_sub(length.pattern)
                .is_some_and(|before| self.ring[before % size] == token);
            length.run = if is_repeated { length.run + 1 } else { 0 };
            if found.is_none() && length.run >= length.needed {
                found = Some(Repeats {
                    pattern: length.pattern,
                    repeats: length.run / length.pattern + 1,
                });
            }
        }
        if size > 0 {
            self.ring[self.seen % size] = token;
        }
        self.seen += 1;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEFAULTS: Limits = Limits {
        max_repeats: 4,
        min_pattern: 1,
        max_pattern: 64,
        min_span: 16,
    };

    /// The first repetition, with the number of tokens at which it was seen.
    fn first(limits: Limits, tokens: impl IntoIterator<Item = i32>) -> Option<(usize, Repeats)> {
        let mut guard = Guard::new(limits);
        (1..)
            .zip(tokens)
            .find_map(|(seen, token)| Some((seen, guard.push(token)?)))
    }

    /// Counts the copies of each tail by comparing them, whatever was found before.
    fn naive(limits: Limits, tokens: &[i32]) -> Option<Repeats> {
        (limits.min_pattern..=limits.max_pattern.min(tokens.len())).find_map(|pattern| {
            let last = &tokens[tokens.len() - pattern..];
            let repeats = tokens
                .rchunks_exact(pattern)
                .take_while(|chunk| *chunk == last)
                .count();
            let is_enough = repeats >= limits.max_repeats && pattern * repeats >= limits.min_span;
            is_enough.then_some(Repeats { pattern, repeats })
        })
    }

    #[test]
    fn one_token_repeats_until_it_spans_enough() {
        let found = first(DEFAULTS, [7; 40]);
        let repeats = Repeats {
            pattern: 1,
            repeats: 16,
        };
        assert_eq!(found, Some((16, repeats)));
    }

    #[test]
    fn a_long_pattern_ends_the_answer_at_its_last_repeat() {
        let tokens = [90, 91].into_iter().chain((0..5).cycle()).take(100);
        let repeats = Repeats {
            pattern: 5,
            repeats: 4,
        };
        assert_eq!(first(DEFAULTS, tokens), Some((22, repeats)));
    }

    #[test]
    fn a_pattern_outside_the_lengths_is_let_through() {
        let limits = Limits {
            min_pattern: 2,
            max_pattern: 3,
            ..DEFAULTS
        };
        assert_eq!(first(limits, (0..4).cycle().take(400)), None);
        let of_two = first(limits, [1; 400]).map(|(_, found)| found.pattern);
        assert_eq!(of_two, Some(2));
    }

    #[test]
    fn limits_that_describe_no_pattern_never_end_an_answer() {
        let none = Limits {
            min_pattern: 9,
            max_pattern: 8,
            ..DEFAULTS
        };
        assert_eq!(first(none, [1; 400]), None);
        let zero = Limits {
            max_repeats: 0,
            min_pattern: 0,
            max_pattern: 0,
            min_span: 0,
        };
        assert_eq!(first(zero, [1; 400]), None);
    }

    #[test]
    fn a_token_that_stands_once_is_no_repetition_whatever_the_limits() {
        let limits = Limits {
            max_repeats: 0,
            min_span: 0,
            ..DEFAULTS
        };
        assert_eq!(first(limits, 0..400), None);
    }

    proptest! {
        #[test]
        fn every_token_is_judged_as_by_comparing_whole_tails(
            tokens in prop::collection::vec(0..3i32, 0..60),
            (max_repeats, min_span) in (2usize..5, 1usize..20),
            (min_pattern, more) in (1usize..5, 0usize..6),
        ) {
            let max_pattern = min_pattern + more;
            let limits = Limits { max_repeats, min_pattern, max_pattern, min_span };
            let mut guard = Guard::new(limits);
            for (at, &token) in tokens.iter().enumerate() {
                prop_assert_eq!(guard.push(token), naive(limits, &tokens[..=at]));
            }
        }

        #[test]
        fn a_loop_after_any_beginning_is_judged_as_by_comparing_whole_tails(
            beginning in prop::collection::vec(0..9i32, 0..30),
            pattern in prop::collection::vec(0..9i32, 1..12),
            min_span in 1usize..40,
        ) {
            let limits = Limits { max_repeats: 3, min_pattern: 1, max_pattern: 10, min_span };
            let looped = pattern.iter().cycle().take(60);
            let tokens: Vec<i32> = beginning.iter().chain(looped).copied().collect();
            let expect = (1..=tokens.len())
                .find_map(|seen| Some((seen, naive(limits, &tokens[..seen])?)));
            prop_assert_eq!(first(limits, tokens), expect);
            prop_assert!(expect.is_some() || pattern.len() > 10);
        }
    }
}
