//! Texts of guests as a log may show them: in ASCII, on one line, cut where they are long.

/// Bytes of a text that a message shows.
const SHOWN_BYTES: usize = 80;
/// Bytes of a name or path: what is refused should be recognised.
const SHOWN_NAME_BYTES: usize = 200;

/// The text without control characters.
pub(crate) fn plain(text: &str) -> String {
    shown(text, SHOWN_BYTES, "")
}

/// The text between quotes, so that its end is seen.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text, SHOWN_NAME_BYTES, "\"\\"))
}

/// `escaped`: what is written as an escape beside all that is no printable ASCII.
fn shown(text: &str, most: usize, escaped: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if out.len() >= most {
            out.push_str("...");
            break;
        }
        match character {
            ' '..='~' if !escaped.contains(character) => out.push(character),
            other => out.extend(other.escape_default()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stays_on_its_line_and_between_its_quotes() {
        let text = "a\"b\\c\n\u{1b}\u{e9}";
        assert_eq!(plain(text), r#"a"b\c\n\u{1b}\u{e9}"#);
        assert_eq!(quoted(text), r#""a\"b\\c\n\u{1b}\u{e9}""#);
    }

    #[test]
    fn long_texts_are_cut() {
        let long = "\u{202e}".repeat(1000);
        for (shown, most) in [(plain(&long), 100), (quoted(&long), 220)] {
            assert!(shown.contains("...") && shown.len() < most, "{shown}");
        }
    }
}
