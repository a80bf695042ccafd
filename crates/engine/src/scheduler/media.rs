//! Images in a prompt: which of its tokens stand for embeddings.
//!
//! Such a token is no token of the vocabulary but a negative number that says which embedding of which image is meant,
//! so that cells are found again by comparing tokens, whatever they were made of.

use crate::llama::Rows;

/// The images of a prompt, in its order.
#[derive(Debug, Clone, Default)]
pub struct Media(Vec<Run>);

/// A run of tokens that stand for embeddings.
#[derive(Debug, Clone)]
struct Run {
    start: usize,
    rows: Rows,
}

impl Media {
    /// Notes that as many tokens as there are `rows` stand for them, from `start` on; behind all that were noted
    /// before.
    pub fn push(&mut self, start: usize, rows: Rows) {
        debug_assert!(self.0.last().is_none_or(|run| run.end() <= start));
        self.0.push(Run { start, rows });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The embeddings that the token at `place` belongs to, and its index among them.
    pub fn at(&self, place: usize) -> Option<(&Rows, usize)> {
        let run = self.next(place).filter(|run| run.start <= place)?;
        Some((&run.rows, place - run.start))
    }

    /// Where text ends that goes on at `place`; `None` where no image follows.
    pub fn text_end(&self, place: usize) -> Option<usize> {
        self.next(place).map(|run| run.start.max(place))
    }

    /// The run that `place` is in, or the first behind it.
    fn next(&self, place: usize) -> Option<&Run> {
        let before = self.0.partition_point(|run| run.end() <= place);
        self.0.get(before)
    }
}

impl Run {
    fn end(&self) -> usize {
        self.start + self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_prompt_is_text_or_of_one_image() {
        let rows = |count: usize| Rows::of(&vec![0.5; count * 2], 2, false);
        let mut media = Media::default();
        assert!(media.is_empty() && media.text_end(0).is_none() && media.at(0).is_none());
        media.push(2, rows(3));
        media.push(5, rows(1));
        media.push(8, rows(2));
        let index = |place| media.at(place).map(|(rows, index)| (rows.len(), index));
        let expect = [
            None,
            None,
            Some((3, 0)),
            Some((3, 1)),
            Some((3, 2)),
            Some((1, 0)),
            None,
            None,
            Some((2, 0)),
            Some((2, 1)),
            None,
        ];
        for (place, expect) in expect.into_iter().enumerate() {
            assert_eq!(index(place), expect, "{place}");
        }
        let ends = (0..11).map(|place| media.text_end(place));
        let expect = [2, 2, 2, 3, 4, 5, 8, 8, 8, 9]
            .map(Some)
            .into_iter()
            .chain([None]);
        assert!(ends.eq(expect));
    }
}
