//! Where something stands in a schema: as the paths of messages, and as the pointers of `$ref`.

use serde_json::Value;

/// The path of `name` below `path`.
pub(super) fn below(path: &str, name: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == '-';
    match !name.is_empty() && name.chars().all(is_word) {
        true => format!("{path}.{name}"),
        false => format!("{path}[{name:?}]"),
    }
}

/// The path of element `index` below `path`.
pub(super) fn at(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// What `reference`, a `$ref`, points to, with its path; `None` where it points to nothing in `root`.
///
/// A pointer's steps are percent-encoded, and `~1` is `/` and `~0` is `~` in them (RFC 6901).
pub(super) fn follow<'a>(root: &'a Value, reference: &str) -> Option<(&'a Value, String)> {
    let mut path = "$".to_owned();
    let mut value = root;
    let pointer = percent_decoded(reference.strip_prefix('#')?)?;
    if pointer.is_empty() {
        return Some((value, path));
    }
    for step in pointer.strip_prefix('/')?.split('/') {
        let step = step.replace("~1", "/").replace("~0", "~");
        (value, path) = match value {
            Value::Object(members) => (members.get(&step)?, below(&path, &step)),
            Value::Array(elements) => {
                let index: usize = step.parse().ok()?;
                (elements.get(index)?, at(&path, index))
            }
            _ => return None,
        };
    }
    Some((value, path))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn pointers_are_followed_with_their_escapes() {
        let root = serde_json::json!({"a/b": {"~": [1, 2]}, "c d": 3, "": 4});
        let check = |reference: &str, expect: Option<(i64, &str)>| {
            let found = follow(&root, reference);
            let found = found.map(|(value, path)| (value.as_i64().unwrap(), path));
            let expect = expect.map(|(value, path)| (value, path.to_owned()));
            assert_eq!(found, expect, "{reference}");
        };
        check("#/a~1b/~0/1", Some((2, "$[\"a/b\"][\"~\"][1]")));
        check("#/c%20d", Some((3, "$[\"c d\"]")));
        check("#/", Some((4, "$[\"\"]")));
        check("#/a~1b/~0/2", None);
        check("#/a~1b/~0/x", None);
        check("#/c%2", None);
        check("#/c%ff", None);
        check("#c d", None);
        check("other.json#/c d", None);
    }
}
