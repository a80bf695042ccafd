//! What every answer must look like, whatever the call was: codes, last errors, texts in buffers.
//!
//! Knows the functions' names and manuals, not how they are called.

use crate::c::{self, SUCCESS};
use crate::memory::{FILL, Fenced};
use crate::world::Picked;

/// A code is one that the manual of `function` names; a failure has a text that names the function and is no accident
/// inside the library.
pub fn check_code(function: &str, code: u32, documented: &[u32]) {
    assert!(documented.contains(&code), "{function} answered {code}");
    if code == SUCCESS {
        return;
    }
    let buffer = Fenced::new(2048);
    // SAFETY: a buffer of that size.
    let read = unsafe { c::wasi_nn_get_last_error(0, buffer.at(), 2048) };
    assert_eq!(read, SUCCESS, "the last error of this thread");
    let text = terminated(&buffer.bytes());
    assert!(
        text.starts_with(function),
        "{function} answered {code}, last error: {text}"
    );
    assert!(!text.contains("internal error"), "{text}");
}

/// A call with a handle that stands for nothing is refused.
pub fn check_bad<const N: usize>(function: &str, code: u32, bad: [bool; N]) {
    if bad.contains(&true) {
        assert_eq!(
            code,
            c::INVALID_ARGUMENT,
            "{function} took what cannot be used"
        );
    }
}

/// A number is written on success and only then; it is returned.
pub fn check_word(function: &str, code: u32, word: &Fenced, is_used: bool) -> Option<u32> {
    let untouched = u32::from_ne_bytes([FILL; 4]);
    let value = word.word();
    if code == SUCCESS && is_used {
        return Some(value);
    }
    assert_eq!(
        value, untouched,
        "{function} answered {code} and wrote a number"
    );
    None
}

/// A text of `written` bytes with its NUL, at the start of the buffer; nothing after it is touched.
pub fn check_text(function: &str, buffer: &[u8], written: usize) -> String {
    assert!(
        (1..=buffer.len()).contains(&written),
        "{function} claims {written} bytes"
    );
    let (text, rest) = buffer.split_at(written);
    assert_eq!(
        text[written - 1],
        0,
        "{function} ends its text without a NUL"
    );
    assert!(
        rest.iter().all(|&b| b == FILL),
        "{function} wrote behind its text"
    );
    let text = std::str::from_utf8(&text[..written - 1]);
    text.unwrap_or_else(|e| panic!("{function}: {e}"))
        .to_owned()
}

/// A text whose size nobody tells: up to its NUL, nothing after it is touched.
pub fn check_terminated(function: &str, buffer: &[u8]) -> String {
    let end = buffer.iter().position(|&b| b == 0);
    let end = end.unwrap_or_else(|| panic!("{function} wrote no NUL"));
    check_text(function, buffer, end + 1)
}

/// Nothing was written.
pub fn check_untouched(function: &str, buffer: &[u8]) {
    assert!(
        buffer.iter().all(|&b| b == FILL),
        "{function} failed and wrote"
    );
}

/// Only a NUL was written.
pub fn check_nul_alone(function: &str, buffer: &[u8]) {
    assert_eq!(
        buffer[0], 0,
        "{function} found the buffer too small and wrote no NUL"
    );
    check_untouched(function, &buffer[1..]);
}

pub fn check_json(function: &str, text: &str) {
    let read = serde_json::from_str::<serde_json::Value>(text);
    assert!(read.is_ok(), "{function}: {read:?} in {text}");
}

/// True if one of the handles is certainly bad.
pub fn is_bad(ctx: Picked<usize>, context: Picked<u32>) -> bool {
    ctx.is_bad || context.is_bad
}

fn terminated(buffer: &[u8]) -> String {
    let end = buffer.iter().position(|&b| b == 0).unwrap_or(buffer.len());
    String::from_utf8_lossy(&buffer[..end]).into_owned()
}
