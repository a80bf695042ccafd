//! What llama.cpp takes characters for.
//!
//! Its tables decide, not Rust's: the Unicode versions of the two differ, and every word border follows from them. Knows
//! no expression.

use std::sync::OnceLock;

use crate::error::Result;

use super::super::ffi;

/// A number, of any script but ASCII.
pub(super) const NUMBER: u8 = 0xD1;
/// A letter, of any script but ASCII.
pub(super) const LETTER: u8 = 0xD2;
/// Punctuation outside ASCII.
pub(super) const PUNCTUATION: u8 = 0xD3;
/// A combining mark.
pub(super) const MARK: u8 = 0xD4;
/// A symbol outside ASCII.
pub(super) const SYMBOL: u8 = 0xD5;
/// Everything else.
const OTHER: u8 = 0xD0;
/// White space outside ASCII; an expression's `\s` knows the vertical tab.
const BLANK: u8 = 0x0B;

/// llama.cpp's bits of a character (`unicode_cpt_flags`).
const CATEGORIES: u16 = 0xFF;
const IS_BLANK: u16 = 0x100;

/// One past the last code point.
const CODE_POINTS: usize = 0x11_0000;

/// The classes and small letters of all characters, read from llama.cpp once per process.
#[derive(Debug)]
pub(crate) struct Characters {
    classes: Box<[u8]>,
    /// Characters that have another small letter, in rising order.
    lower: Vec<(u32, u32)>,
}

impl Characters {
    /// Errors: `Engine` where llama.cpp fails, for want of memory say.
    pub(crate) fn get() -> Result<&'static Characters> {
        static CHARACTERS: OnceLock<Characters> = OnceLock::new();
        match CHARACTERS.get() {
            Some(known) => Ok(known),
            None => {
                let read = Characters::read()?;
                Ok(CHARACTERS.get_or_init(|| read))
            }
        }
    }

    fn read() -> Result<Characters> {
        let (flags, lower) =
            ffi::characters(CODE_POINTS).map_err(|fault| fault.during("tokenize"))?;
        let lower = (0..).zip(&lower).filter(|(c, small)| c != *small);
        Ok(Characters {
            classes: (0..).zip(flags).map(|(c, flags)| class(c, flags)).collect(),
            lower: lower.map(|(c, small)| (c, *small)).collect(),
        })
    }

    /// The byte that stands for `c` in an expression: itself in ASCII, else its class.
    pub(super) fn class(&self, c: char) -> u8 {
        self.classes[c as usize]
    }

    /// Whether `c` is white space.
    pub(crate) fn is_blank(&self, c: char) -> bool {
        is_blank(self.class(c))
    }

    /// The small letter of `c`, or `c`.
    pub(crate) fn lower(&self, c: char) -> char {
        let found = self.lower.binary_search_by_key(&(c as u32), |pair| pair.0);
        let small = found.ok().map(|at| self.lower[at].1);
        small.and_then(char::from_u32).unwrap_or(c)
    }
}

/// Whether a class is one of white space.
pub(super) fn is_blank(class: u8) -> bool {
    matches!(class, b'\t'..=b'\r' | b' ')
}

/// Whether a class is one of numbers.
pub(super) fn is_number(class: u8) -> bool {
    class == NUMBER || class.is_ascii_digit()
}

/// Whether llama.cpp takes `c` for a Chinese character: by its block, whatever it is.
pub(super) fn is_han(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{2A6DF}'
        | '\u{2A700}'..='\u{2EBEF}'
        | '\u{2F800}'..='\u{2FA1F}')
}

fn class(c: u32, flags: u16) -> u8 {
    if let Ok(ascii @ 0..=127) = u8::try_from(c) {
        return ascii;
    }
    if flags & IS_BLANK != 0 {
        return BLANK;
    }
    match flags & CATEGORIES {
        0x02 => NUMBER,
        0x04 => LETTER,
        0x10 => MARK,
        0x20 => PUNCTUATION,
        0x40 => SYMBOL,
        _ => OTHER,
    }
}
