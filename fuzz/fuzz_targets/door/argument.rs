//! Arguments that calls about models share: files, names, places for numbers; what can be known of each.
//!
//! Calls nothing.

use std::ptr::null;

use crate::c::SUCCESS;
use crate::memory::{Fenced, place};
use crate::world::{MODEL, OTHER_MODEL};

/// A path of a file, and what can be known of it.
pub struct File {
    pub path: Fenced,
    pub len: u32,
    /// There is a model in it.
    pub is_model: bool,
    /// It cannot be a path.
    pub is_bad: bool,
}

/// A model's name as an argument.
pub struct Name {
    pub at: *const u8,
    pub len: u32,
    /// It cannot be a name.
    pub is_bad: bool,
    /// A pointer that is NULL.
    pub is_none: bool,
    _memory: Fenced,
}

/// A place for a number that is not always wanted.
pub struct Number {
    pub word: Fenced,
    pub at: *mut u32,
    pub is_right: bool,
}

impl File {
    /// One of a few.
    pub fn new(pick: u8) -> File {
        let path: &[u8] = match pick % 12 {
            0..=3 => MODEL.0.as_os_str().as_encoded_bytes(),
            4..=6 => OTHER_MODEL.as_os_str().as_encoded_bytes(),
            7 => b"/",
            8 => concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").as_bytes(),
            9 => b"",
            10 => &[b'x'; 4097],
            _ => b"no such model",
        };
        File {
            path: Fenced::holding(path),
            len: path.len() as u32,
            is_model: pick % 12 <= 6,
            is_bad: matches!(pick % 12, 9 | 10),
        }
    }

    /// What is no model is never loaded.
    pub fn check(&self, function: &str, code: u32) {
        assert!(
            self.is_model || code != SUCCESS,
            "{function} loaded what is no model"
        );
    }
}

impl Name {
    /// One of a few.
    pub fn new(pick: u8) -> Name {
        let (text, is_bad): (&[u8], bool) = match pick % 16 {
            0..=2 => (b"one", false),
            3 | 4 => (b"two", false),
            5 => (b"default", false),
            6 => (b"two\0and more", false),
            7 => ("gr\u{f6}\u{df}er".as_bytes(), false),
            8 => (&[b'n'; 256], false),
            9 => (&[b'n'; 257], true),
            10 => (b"", true),
            11 => (b"\0behind", true),
            12 => (b"line\nline", true),
            13 => (&[b'n', 0xFF, 0xFE], true),
            14 => (b"shorter than said", true),
            _ => (b"none", true),
        };
        let memory = Fenced::holding(text);
        let is_none = pick % 16 == 15;
        Name {
            at: if is_none { null() } else { memory.at() },
            len: match pick % 16 {
                14 => text.len() as u32 + 1,
                _ => text.len() as u32,
            },
            is_bad,
            is_none,
            _memory: memory,
        }
    }
}

impl Number {
    pub fn new(pick: u8) -> Number {
        let word = Fenced::new(4);
        let (at, is_right) = place(pick, word.at());
        Number {
            word,
            at: at.cast(),
            is_right,
        }
    }

    /// Whether the place is neither one nor NULL, by which a host says that it does not want the number.
    pub fn is_bad(&self) -> bool {
        !self.is_right && !self.at.is_null()
    }
}
