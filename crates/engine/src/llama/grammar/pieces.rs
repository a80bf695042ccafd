//! What every token of a vocabulary spells, in an order in which neighbours share their beginnings.

/// The texts of tokens, those of control tokens included.
#[derive(Debug)]
pub(in super::super) struct Pieces {
    bytes: Vec<u8>,
    /// By token, where its text ends; the next one's begins there.
    ends: Vec<u32>,
    /// The tokens that spell something, by their texts.
    order: Vec<Place>,
    /// The others.
    mute: Vec<u32>,
}

/// A token among the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) token: u32,
    /// Bytes at its beginning that the token before it has, too.
    pub(super) shared: u32,
}

impl Pieces {
    /// Of `count` tokens, whose texts `spell` appends to what it is given.
    pub(in super::super) fn new(
        count: usize,
        mut spell: impl FnMut(usize, &mut Vec<u8>),
    ) -> Pieces {
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(count);
        for token in 0..count {
            spell(token, &mut bytes);
            ends.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        let mut pieces = Pieces {
            bytes,
            ends,
            order: Vec::new(),
            mute: Vec::new(),
        };
        let all = 0..count as u32;
        let (mute, mut order): (Vec<u32>, Vec<u32>) =
            all.partition(|token| pieces.of(*token as usize).is_empty());
        order.sort_by_key(|token| pieces.of(*token as usize));
        let mut before: &[u8] = &[];
        let place = |token| {
            let piece = pieces.of(token as usize);
            let pairs = piece.iter().zip(std::mem::replace(&mut before, piece));
            let shared = pairs.take_while(|(a, b)| a == b).count() as u32;
            Place { token, shared }
        };
        let order = order.into_iter().map(place).collect();
        (pieces.order, pieces.mute) = (order, mute);
        pieces
    }

    /// The text of `token`; empty for one outside the vocabulary.
    pub(super) fn of(&self, token: usize) -> &[u8] {
        let start = token.checked_sub(1).map_or(0, |before| self.end(before));
        self.bytes.get(start..self.end(token)).unwrap_or(&[])
    }

    fn end(&self, token: usize) -> usize {
        self.ends.get(token).map_or(0, |end| *end as usize)
    }

    /// The tokens that spell something, by their texts.
    pub(super) fn order(&self) -> &[Place] {
        &self.order
    }

    /// The tokens that spell nothing.
    pub(super) fn mute(&self) -> &[u32] {
        &self.mute
    }

    /// How many tokens there are.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn tokens_stand_in_the_order_of_their_texts() {
        let texts = ["b", "", "ab", "a", "abc", "b"];
        let pieces = Pieces::new(texts.len(), |token, out| {
            out.extend(texts[token].as_bytes());
        });
        let order = pieces.order().iter();
        let order: Vec<(u32, u32)> = order.map(|place| (place.token, place.shared)).collect();
        assert_eq!(order, [(3, 0), (2, 1), (4, 2), (0, 0), (5, 1)]);
        assert_eq!(pieces.of(4), b"abc");
        assert_eq!((pieces.of(1), pieces.of(9)), (&[][..], &[][..]));
        assert_eq!((pieces.count(), pieces.mute()), (6, &[1][..]));
    }
}
