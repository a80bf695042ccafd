//! How much of what a sequence holds serves a new prompt of the same conversation.
//!
//! Pure. The common prefix always does. Where turns were dropped from the middle, what followed them stands in the prompt
//! further left: its cells may be moved there, if the model can shift and the caller accepts that they still carry the
//! influence of what was dropped.

use std::ops::Range;

/// Fewest tokens in a row that are worth a move: fewer are evaluated as quickly.
pub const LEAST: usize = 64;

/// What stays, and what moves where. All else of the held tokens goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alignment {
    /// Leading tokens that stay where they are.
    pub keep: usize,
    /// In rising order.
    pub moves: Vec<Move>,
}

/// Held tokens that stand further left in the prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Where they are.
    pub from: Range<usize>,
    /// Where the first of them belongs. Each move follows what was kept and moved before it without a gap.
    pub to: usize,
}

impl Alignment {
    /// Leading tokens of the prompt that are served.
    pub fn len(&self) -> usize {
        self.keep + self.moves.iter().map(|m| m.from.len()).sum::<usize>()
    }

    /// What is to be taken out, one after the other: where each part lies once those before it are gone.
    pub fn gaps(&self) -> Vec<Range<usize>> {
        let mut gone = 0;
        let mut gaps = Vec::with_capacity(self.moves.len());
        for m in &self.moves {
            gaps.push(m.to..m.from.start - gone);
            gone = m.from.start - m.to;
        }
        gaps
    }

    /// At most the first `limit` tokens of the prompt.
    pub fn limited(mut self, limit: usize) -> Alignment {
        self.keep = self.keep.min(limit);
        self.moves.retain_mut(|m| {
            let length = m.from.len().min(limit.saturating_sub(m.to));
            m.from.end = m.from.start + length;
            length > 0
        });
        self
    }
}

/// Length of the longest common prefix.
pub fn common_prefix<T: PartialEq>(a: &[T], b: &[T]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

/// Aligns `held` with `prompt` by leaving parts of `held` out.
pub fn align<T: PartialEq>(held: &[T], prompt: &[T]) -> Alignment {
    let keep = common_prefix(held, prompt);
    let mut moves = Vec::new();
    let (mut at, mut to) = (keep, keep);
    while let Some(from) = next_run(held, at, &prompt[to..]) {
        moves.push(Move {
            from: from.clone(),
            to,
        });
        to += from.len();
        at = from.end;
    }
    Alignment { keep, moves }
}

/// The first place in `held` beyond `after` where at least [`LEAST`] tokens are as `wanted` begins.
fn next_run<T: PartialEq>(held: &[T], after: usize, wanted: &[T]) -> Option<Range<usize>> {
    let head = wanted.get(..LEAST)?;
    let last = held.len().checked_sub(LEAST)?;
    // A run right behind what was kept would have been kept.
    let from = (after + 1..=last).find(|&from| held[from..from + LEAST] == *head)?;
    Some(from..from + common_prefix(&held[from..], wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(range: Range<u32>) -> Vec<u32> {
        range.collect()
    }

    /// What a cache holds after it was aligned.
    fn apply(held: &[u32], alignment: &Alignment) -> Vec<u32> {
        let mut after = held.to_vec();
        for gap in alignment.gaps() {
            assert!(!gap.is_empty());
            after.drain(gap);
        }
        after.truncate(alignment.len());
        after
    }

    #[test]
    fn what_followed_a_dropped_part_moves_to_its_place() {
        let held = tokens(0..1000);
        let prompt = [tokens(0..100), tokens(400..1000), tokens(5000..5050)].concat();
        let alignment = align(&held, &prompt);
        assert_eq!(alignment.keep, 100);
        assert_eq!(
            alignment.moves,
            [Move {
                from: 400..1000,
                to: 100
            }]
        );
        assert_eq!(alignment.len(), 700);
    }

    #[test]
    fn two_holes_are_two_moves() {
        let held = tokens(0..1000);
        let prompt = [tokens(0..100), tokens(200..400), tokens(600..900)].concat();
        assert_eq!(align(&held, &prompt).moves.len(), 2);
        assert_eq!(align(&held, &prompt).len(), prompt.len());
    }

    #[test]
    fn short_runs_stay_out_and_so_does_all_behind_an_insertion() {
        let held = tokens(0..300);
        let short = [tokens(0..100), tokens(200..200 + LEAST as u32 - 1)].concat();
        assert_eq!(align(&held, &short).moves, []);
        let inserted = [tokens(0..100), tokens(900..910), tokens(100..300)].concat();
        assert_eq!(
            align(&held, &inserted),
            Alignment {
                keep: 100,
                moves: vec![]
            }
        );
    }

    #[test]
    fn a_limit_cuts_moves_from_behind() {
        let held = tokens(0..1000);
        let prompt = [tokens(0..100), tokens(400..1000)].concat();
        let limited = align(&held, &prompt).limited(699);
        assert_eq!(
            limited.moves,
            [Move {
                from: 400..999,
                to: 100
            }]
        );
        assert_eq!(
            align(&held, &prompt).limited(50),
            Alignment {
                keep: 50,
                moves: vec![]
            }
        );
    }

    proptest! {
        #[test]
        fn what_is_left_is_a_prefix_of_the_prompt(
            held in prop::collection::vec(0u32..3, 0..400),
            cuts in prop::collection::vec((0usize..400, 0usize..200), 0..3),
            tail in prop::collection::vec(0u32..3, 0..100),
            limit in 0usize..500,
        ) {
            let mut prompt = held.clone();
            for (start, length) in cuts {
                let start = start.min(prompt.len());
                prompt.drain(start..(start + length).min(prompt.len()));
            }
            prompt.extend(tail);
            let alignment = align(&held, &prompt);
            prop_assert!(prompt.starts_with(&apply(&held, &alignment)));
            let limited = alignment.clone().limited(limit);
            prop_assert_eq!(limited.len(), alignment.len().min(limit));
            prop_assert!(prompt.starts_with(&apply(&held, &limited)));
        }
    }
}
