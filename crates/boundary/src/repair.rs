//! Text at the border: bytes of a host become UTF-8, and UTF-8 is cut without breaking a character.
//!
//! Knows neither pointers nor lengths of buffers.

/// Makes text of any bytes.
///
/// UTF-8 stays as it is; of UTF-8 that stops inside its last character that character is dropped. Anything else is read
/// as Latin-1, all of it: in such a text a last byte that could begin a longer character is one of its own.
pub fn repair(bytes: Vec<u8>) -> String {
    let error = match String::from_utf8(bytes) {
        Ok(text) => return text,
        Err(error) => error,
    };
    let (valid, stops_inside) = (
        error.utf8_error().valid_up_to(),
        error.utf8_error().error_len().is_none(),
    );
    let mut bytes = error.into_bytes();
    if stops_inside {
        bytes.truncate(valid);
    }
    String::from_utf8(bytes).unwrap_or_else(|error| {
        error
            .as_bytes()
            .iter()
            .map(|&byte| char::from(byte))
            .collect()
    })
}

/// The longest start of `text` that has at most `limit` bytes and ends between two characters.
pub fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit)
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(repair(bytes.to_vec()), expected);
    }

    #[test]
    fn utf8_is_kept_and_loses_only_an_incomplete_last_character() {
        check(b"", "");
        check("gr\u{fc}n \u{1f600}".as_bytes(), "gr\u{fc}n \u{1f600}");
        check(b"smile \xf0\x9f\x98", "smile ");
        check(b"\xc3", "");
    }

    #[test]
    fn other_bytes_are_latin1() {
        check(b"gr\xfcn", "gr\u{fc}n");
        check(b"\xe9t\xe9", "\u{e9}t\u{e9}");
        check(b"\xff\xfe", "\u{ff}\u{fe}");
        check(b"\x80 \xe2\x82", "\u{80} \u{e2}\u{82}");
    }

    #[test]
    fn cut_respects_characters() {
        let check = |text, limit, expected| assert_eq!(cut(text, limit), expected);
        check("abc", 3, "abc");
        check("abc", 2, "ab");
        check("abc", 0, "");
        check("a\u{20ac}", 3, "a");
        check("a\u{20ac}", 4, "a\u{20ac}");
        check("\u{1f600}", 3, "");
    }

    proptest! {
        #[test]
        fn cut_is_the_longest_start_within_the_limit(text in ".{0,40}", limit in 0usize..200) {
            let start = cut(&text, limit);
            prop_assert!(text.starts_with(start));
            prop_assert!(start.len() <= limit);
            if let Some(next) = text[start.len()..].chars().next() {
                prop_assert!(start.len() + next.len_utf8() > limit);
            }
        }

        #[test]
        fn latin1_keeps_every_byte(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            // A lone continuation byte in front makes it no UTF-8 whatever follows.
            bytes.insert(0, 0x80);
            let text = repair(bytes.clone());
            let back: Vec<u32> = text.chars().map(u32::from).collect();
            prop_assert_eq!(back, bytes.into_iter().map(u32::from).collect::<Vec<_>>());
        }

        #[test]
        fn utf8_cut_anywhere_keeps_all_whole_characters(text in ".{0,40}", at in 0usize..160) {
            let at = at.min(text.len());
            let repaired = repair(text.as_bytes()[..at].to_vec());
            prop_assert_eq!(repaired.as_str(), cut(&text, at));
        }
    }
}
