//! What every token of a vocabulary spells, in an order in which neighbours share their beginnings.

/// The texts of tokens, those of control tokens included.
#[derive(Debug)]
pub(in super::super) struct Pieces {
    bytes: Vec<u8>,
    /// By token, where its text ends; the next one's begins there.
    ends: Vec<u32>,
    /// The tokens that spell something, by their texts.
    order: Vec<Place>,
    /// The tokens that have no name for a grammar, as they spell nothing, or nothing that a text may begin with.
    nameless: Vec<u32>,
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
            nameless: Vec::new(),
        };
        let all = || 0..count as u32;
        let mut order: Vec<u32> = all()
            .filter(|token| !pieces.of(*token as usize).is_empty())
            .collect();
        order.sort_by_key(|token| pieces.of(*token as usize));
        let mut before: &[u8] = &[];
        let place = |token| {
            let piece = pieces.of(token as usize);
            let pairs = piece.iter().zip(std::mem::replace(&mut before, piece));
            let shared = pairs.take_while(|(a, b)| a == b).count() as u32;
            Place { token, shared }
        };
        let order = order.into_iter().map(place).collect();
        let nameless = all().filter(|token| !begins_text(pieces.of(*token as usize)));
        let nameless = nameless.collect();
        (pieces.order, pieces.nameless) = (order, nameless);
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

    /// The tokens that have no name, in rising order.
    pub(super) fn nameless(&self) -> &[u32] {
        &self.nameless
    }

    /// How many tokens there are.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }
}

/// Whether `piece` begins with a character, and ends in the middle of one at most.
fn begins_text(piece: &[u8]) -> bool {
    match std::str::from_utf8(piece) {
        Ok(text) => !text.is_empty() && !text.starts_with('\0'),
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
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
        for piece in [&b""[..], b"\0a", b"\x80", b"a\xff", b"\xc3"] {
            assert!(!begins_text(piece), "{piece:?}");
        }
        assert!(begins_text(b"a\xc3") && begins_text("\u{e9}".as_bytes()));
        assert_eq!((pieces.of(1), pieces.of(9)), (&[][..], &[][..]));
        assert_eq!((pieces.count(), pieces.nameless()), (6, &[1][..]));
    }
}
