//! Bytes of tokens to whole characters: a token may end inside one.

/// Appends `bytes` to `text`; a character that is incomplete at the end waits in `partial` (at most 3 bytes) for the
/// next call, bytes that can never become a character turn into U+FFFD.
pub fn append(text: &mut String, partial: &mut Vec<u8>, bytes: &[u8]) {
    partial.extend_from_slice(bytes);
    let mut rest = partial.as_slice();
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                rest = &[];
                break;
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                match error.error_len() {
                    None => {
                        rest = after;
                        break;
                    }
                    Some(bad) => {
                        text.push(char::REPLACEMENT_CHARACTER);
                        rest = &after[bad..];
                    }
                }
            }
        }
    }
    let done = partial.len() - rest.len();
    partial.drain(..done);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_split_of_a_text_gives_the_text(s in ".{0,40}", cuts in prop::collection::vec(0usize..200, 0..10)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % (s.len() + 1)).collect();
            cuts.extend([0, s.len()]);
            cuts.sort_unstable();
            let (mut text, mut partial) = (String::new(), Vec::new());
            for pair in cuts.windows(2) {
                append(&mut text, &mut partial, &s.as_bytes()[pair[0]..pair[1]]);
                prop_assert!(partial.len() < 4);
            }
            prop_assert_eq!(text, s);
        }

        #[test]
        fn any_bytes_give_what_lossy_conversion_gives(b in prop::collection::vec(any::<u8>(), 0..40)) {
            let (mut text, mut partial) = (String::new(), Vec::new());
            append(&mut text, &mut partial, &b);
            let held = b.len() - partial.len();
            prop_assert_eq!(text, String::from_utf8_lossy(&b[..held]).into_owned());
        }
    }
}
