//! How deep a JSON text is nested, found without recursion, before anything recursive reads it.

/// Nesting that a guest's text may have. The root object counts as one.
///
/// A parsed value is read, compared and dropped by recursion; this many frames fit on a small stack.
pub(super) const DEEPEST: usize = 64;

/// Whether brackets outside strings are nested deeper than [`DEEPEST`]. Says nothing of whether `text` is JSON.
pub(super) fn is_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for &byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: bool) {
        assert_eq!(is_too_deep(text.as_bytes()), expect, "{text}");
    }

    #[test]
    fn only_brackets_outside_strings_count() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        check(&nested(DEEPEST), false);
        check(&nested(DEEPEST + 1), true);
        check(&format!("\"{}\"", nested(1000)), false);
        check(&format!(r#""\"{}""#, nested(1000)), false);
        check(&format!(r#""\\"{}"#, nested(1000)), true);
        check(&"[]".repeat(1000), false);
        check(&"]".repeat(1000), false);
    }
}
