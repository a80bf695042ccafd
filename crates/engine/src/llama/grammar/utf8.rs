//! Characters that arrive byte by byte.

/// The beginning of a character, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Partial {
    value: u32,
    /// Bytes that are missing.
    missing: u8,
}

/// What a byte makes of the beginning of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    More(Partial),
    Whole(u32),
    /// It cannot follow.
    Wrong,
}

impl Partial {
    pub(super) const NONE: Partial = Partial {
        value: 0,
        missing: 0,
    };

    pub(super) fn step(self, byte: u8) -> Step {
        let begin = |bits: u8, missing: u8| {
            Step::More(Partial {
                value: u32::from(byte & bits),
                missing,
            })
        };
        match (self.missing, byte) {
            // llama.cpp ends texts there.
            (0, 0) => Step::Wrong,
            (0, 0x01..=0x7f) => Step::Whole(byte.into()),
            (0, 0xc2..=0xdf) => begin(0x1f, 1),
            (0, 0xe0..=0xef) => begin(0x0f, 2),
            (0, 0xf0..=0xf4) => begin(0x07, 3),
            (1.., 0x80..=0xbf) => {
                let value = self.value << 6 | u32::from(byte & 0x3f);
                match (self.missing - 1, value) {
                    (0, value) => Step::Whole(value),
                    // Longer than need be, halves of surrogate pairs, and what is beyond the last character.
                    (1, 0..0x20 | 0x360..0x380) | (2, 0..0x10 | 0x110..) => Step::Wrong,
                    (missing, value) => Step::More(Partial { value, missing }),
                }
            }
            _ => Step::Wrong,
        }
    }

    /// The first and the last character that it may become; `None` where it is none or becomes none.
    pub(super) fn range(self) -> Option<(u32, u32)> {
        let bits = 6 * u32::from(self.missing);
        let low = self.value << bits;
        // What is below has shorter forms.
        let least = match self.missing {
            0 => return None,
            2 => low.max(1 << 11),
            3 => low.max(1 << 16),
            _ => low,
        };
        Some((least, low | ((1 << bits) - 1)))
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn characters_are_put_together_and_what_is_none_is_wrong() {
        for c in [
            'a',
            '\u{7f}',
            '\u{80}',
            '\u{7ff}',
            '\u{800}',
            '\u{ffff}',
            '\u{10000}',
            '\u{10ffff}',
        ] {
            let mut partial = Partial::NONE;
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).as_bytes();
            for (at, byte) in bytes.iter().enumerate() {
                match partial.step(*byte) {
                    Step::More(next) => partial = next,
                    Step::Whole(code) => assert_eq!((code, at + 1), (c.into(), bytes.len())),
                    Step::Wrong => panic!("{c:?} at {at}"),
                }
                if at + 1 < bytes.len() {
                    let (low, high) = partial.range().expect("characters that begin so");
                    assert!((low..=high).contains(&u32::from(c)), "{c:?} at {at}");
                }
            }
        }
        for byte in [0, 0x80, 0xbf, 0xc0, 0xc1, 0xf5, 0xff] {
            assert_eq!(Partial::NONE.step(byte), Step::Wrong, "{byte:x}");
        }
        let Step::More(partial) = Partial::NONE.step(0xe2) else {
            panic!("the beginning of three bytes");
        };
        assert_eq!(partial.step(b'a'), Step::Wrong);
        for bytes in [[0xe0, 0x9f], [0xed, 0xa0], [0xf0, 0x8f], [0xf4, 0x90]] {
            let Step::More(partial) = Partial::NONE.step(bytes[0]) else {
                panic!("the beginning of a character");
            };
            assert_eq!(partial.step(bytes[1]), Step::Wrong, "{bytes:x?}");
        }
        assert_eq!(Partial::NONE.range(), None);
    }
}
