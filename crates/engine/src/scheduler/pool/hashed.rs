//! A row of tokens that is compared with others by the hashes of its leading blocks.
//!
//! Each hash is of a whole beginning, so two rows are compared in as many looks as a binary search takes and no more
//! than a block of tokens. Hashes may be equal by chance or by design: a caller that relies on the length compares the
//! tokens of the row that it chose. Pure.

use std::ops::{Deref, Range};

use crate::llama::Token;
use crate::memory::align::common_prefix;

/// Tokens of a block.
const BLOCK: usize = 16;
/// Of the hash: 2^64 over the golden ratio, which mixes the bits of what it is multiplied with.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Tokens that are compared often.
#[derive(Debug, Default, Clone)]
pub(super) struct Hashed {
    tokens: Vec<Token>,
    /// Of the first block, of the first two, and so on, as far as blocks are whole.
    hashes: Vec<u64>,
}

impl Hashed {
    /// Of these tokens.
    pub fn of(tokens: &[Token]) -> Hashed {
        let mut hashed = Hashed {
            tokens: tokens.to_vec(),
            hashes: Vec::with_capacity(tokens.len() / BLOCK),
        };
        hashed.catch_up();
        hashed
    }

    /// Appends a token.
    pub fn push(&mut self, token: Token) {
        self.tokens.push(token);
        self.catch_up();
    }

    /// Leaves the first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        self.tokens.truncate(length);
        self.hashes.truncate(length / BLOCK);
    }

    /// Takes tokens out of the middle.
    pub fn remove(&mut self, range: Range<usize>) {
        self.hashes.truncate(range.start / BLOCK);
        self.tokens.drain(range);
        self.catch_up();
    }

    /// Length of the longest common prefix, if no two hashes are equal by chance.
    pub fn probable_prefix(&self, other: &Hashed) -> usize {
        let blocks = self.hashes.len().min(other.hashes.len());
        let (mut equal, mut end) = (0, blocks);
        while equal < end {
            let middle = equal + (end - equal) / 2;
            match self.hashes[middle] == other.hashes[middle] {
                true => equal = middle + 1,
                false => end = middle,
            }
        }
        let from = equal * BLOCK;
        let tail = |tokens: &Hashed| from..tokens.len().min(from + BLOCK);
        from + common_prefix(&self.tokens[tail(self)], &other.tokens[tail(other)])
    }

    fn catch_up(&mut self) {
        while let Some(block) = self.tokens[self.hashes.len() * BLOCK..].get(..BLOCK) {
            let before = self.hashes.last().copied().unwrap_or(0);
            let hash = block.iter().fold(before ^ MIX, |hash, token| {
                (hash.rotate_left(23) ^ u64::from(token.0.cast_unsigned())).wrapping_mul(MIX)
            });
            self.hashes.push(hash);
        }
    }
}

impl Deref for Hashed {
    type Target = [Token];

    fn deref(&self) -> &[Token] {
        &self.tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prefixes_are_those_of_the_tokens_whatever_was_done_to_them(
            first in prop::collection::vec(0i32..2, 0..200),
            keep in 0usize..200,
            gap in (0usize..200, 0usize..60),
            more in prop::collection::vec(0i32..2, 0..80),
        ) {
            let list = |ids: &[i32]| ids.iter().copied().map(Token).collect::<Vec<_>>();
            let original = Hashed::of(&list(&first));
            let mut changed = original.clone();
            changed.truncate(keep);
            let start = gap.0.min(changed.len());
            changed.remove(start..(start + gap.1).min(changed.len()));
            list(&more).into_iter().for_each(|token| changed.push(token));
            prop_assert_eq!(&Hashed::of(&changed).hashes, &changed.hashes);
            let length = common_prefix(&original, &changed);
            prop_assert_eq!(original.probable_prefix(&changed), length);
            prop_assert_eq!(changed.probable_prefix(&original), length);
        }
    }
}
