//! Which characters Python takes for what.

/// Whether it is a blank.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether it ends a line for `splitlines`.
pub fn ends_line(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// The lines of `text` as `splitlines` has them, each with the length of its end.
pub fn lines(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(at) = rest.find(ends_line) else {
            return Some((std::mem::take(&mut rest), 0));
        };
        let line = &rest[..at];
        let end = match rest[at..].starts_with("\r\n") {
            true => 2,
            false => rest[at..].chars().next().map_or(0, char::len_utf8),
        };
        rest = &rest[at + end..];
        Some((line, end))
    })
}

/// Whether Python shows the character as it is inside a quoted text.
pub fn is_printable(c: char) -> bool {
    !(c.is_control()
        || (c != ' ' && c.is_whitespace())
        || matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{e000}'..='\u{f8ff}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}'..='\u{ffff}'
            | '\u{e0000}'..))
}

/// Capitals at the start of every run of letters, as `str.title` has them.
pub fn titled(text: &str, mut put: impl FnMut(char)) {
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            c.to_lowercase().for_each(&mut put);
        } else {
            c.to_uppercase().for_each(&mut put);
        }
        in_word = c.is_alphabetic();
    }
}
