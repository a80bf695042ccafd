//! Where something stands in a schema: as the paths of messages, and as the pointers of `$ref`.

use std::fmt;
use std::rc::Rc;

use serde_json::Value;

/// As many characters of a name stand in a message.
const SHOWN: usize = 80;

/// The way from the root to a place. Ways share their beginnings, so that every node can keep its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Path(Option<Rc<Step>>);

#[derive(Debug, PartialEq)]
struct Step {
    before: Path,
    to: To,
}

#[derive(Debug, PartialEq)]
enum To {
    Member(String),
    Element(usize),
}

impl Path {
    pub(super) const ROOT: Path = Path(None);

    pub(super) fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// The path of `name` below this one.
    pub(super) fn below(&self, name: &str) -> Path {
        self.then(To::Member(name.to_owned()))
    }

    /// The path of element `index` below this one.
    pub(super) fn at(&self, index: usize) -> Path {
        self.then(To::Element(index))
    }

    fn then(&self, to: To) -> Path {
        let before = self.clone();
        Path(Some(Rc::new(Step { before, to })))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(step) = &self.0 else {
            return f.write_str("$");
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == '-';
        write!(f, "{}", step.before)?;
        match &step.to {
            To::Element(index) => write!(f, "[{index}]"),
            To::Member(name) => match name.char_indices().nth(SHOWN) {
                Some((end, _)) => write!(f, "[{:?}...]", &name[..end]),
                None if !name.is_empty() && name.chars().all(is_word) => write!(f, ".{name}"),
                None => write!(f, "[{name:?}]"),
            },
        }
    }
}

/// What `reference`, a `$ref`, points to, with its path; `None` where it points to nothing in `root`.
///
/// A pointer's steps are percent-encoded, and `~1` is `/` and `~0` is `~` in them (RFC 6901).
pub(super) fn follow<'a>(root: &'a Value, reference: &str) -> Option<(&'a Value, Path)> {
    let mut path = Path::ROOT;
    let mut value = root;
    let pointer = percent_decoded(reference.strip_prefix('#')?)?;
    if pointer.is_empty() {
        return Some((value, path));
    }
    for step in pointer.strip_prefix('/')?.split('/') {
        let step = step.replace("~1", "/").replace("~0", "~");
        (value, path) = match value {
            Value::Object(members) => (members.get(&step)?, path.below(&step)),
            Value::Array(elements) => {
                let index: usize = step.parse().ok()?;
                (elements.get(index)?, path.at(index))
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
            let found = found.map(|(value, path)| (value.as_i64().unwrap(), path.to_string()));
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

    #[test]
    fn a_long_name_is_cut_in_messages() {
        let path = Path::ROOT.below(&"\u{e9}".repeat(81)).at(3).below("a");
        let expect = format!("$[\"{}\"...][3].a", "\u{e9}".repeat(80));
        assert_eq!(path.to_string(), expect);
    }
}
