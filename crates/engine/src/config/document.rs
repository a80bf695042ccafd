//! From bytes to [`RawConfig`]: the text as written, with the first of two equal keys and a bounded depth.
//!
//! Knows no key.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

use super::{Door, spelling};

/// Longest text at init and load, in bytes.
const LONGEST: usize = 16 << 20;
/// Longest text of a call, in bytes.
const LONGEST_AT_RUN: usize = 1 << 20;
/// Objects and arrays that may lie within each other.
const DEEPEST: usize = 128;

/// A configuration as it was written: a JSON object, nothing in it checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RawConfig {
    pub(super) root: Map<String, Value>,
    /// Text after the root object, shortened.
    pub(super) ignored: Option<Ignored>,
}

/// Text after the root object that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ignored {
    pub(super) bytes: usize,
    pub(super) start: String,
}

impl RawConfig {
    /// Reads `text`, which counts up to its first NUL.
    ///
    /// At [`Door::Run`] the object must fill the whole text: a NUL is allowed as the last byte only and nothing but
    /// white space may follow the object, since the bytes may be no configuration at all. A caller that knows that
    /// they are one cuts them at their first NUL before.
    ///
    /// Errors: the reason why this is no configuration (too long, not UTF-8, not JSON, too deep, not an object).
    pub fn parse(door: Door, text: &[u8]) -> Result<RawConfig, String> {
        let longest = if door == Door::Run {
            LONGEST_AT_RUN
        } else {
            LONGEST
        };
        if text.len() > longest {
            return Err(format!("{} bytes, at most {longest} are read", text.len()));
        }
        let text = match door {
            Door::Run => text.strip_suffix(b"\0").unwrap_or(text),
            Door::Init | Door::Load | Door::Further => until_nul(text),
        };
        let text = std::str::from_utf8(text).map_err(|error| format!("not UTF-8: {error}"))?;
        let end = end_of_root(text)?;
        let (object, rest) = text.split_at(end);
        let read = read_object(object).or_else(|error| match with_finite_numbers(object) {
            Some(finite) => read_object(&finite),
            None => Err(error),
        });
        let root = match read {
            Ok(FirstOfEqual(Value::Object(root))) => root,
            Ok(_) => return Err("the root is not an object".into()),
            Err(error) => return Err(format!("not JSON: {error}")),
        };
        let rest = rest.trim_matches([' ', '\t', '\r', '\n']);
        if door == Door::Run && !rest.is_empty() {
            return Err("not JSON: text after the object".into());
        }
        let ignored = (!rest.is_empty()).then(|| Ignored {
            bytes: rest.len(),
            start: rest.chars().take(32).collect(),
        });
        Ok(RawConfig { root, ignored })
    }

    /// Whether anything is written in `section`, or at the root under one of its `flat` names.
    pub fn says(&self, section: &str, flat: &[&str]) -> bool {
        let inside = spelling::find(&self.root, section).and_then(|(_, keys)| keys.as_object());
        let at_root = |name: &&str| spelling::find(&self.root, name).is_some();
        inside.is_some_and(|keys| !keys.is_empty()) || flat.iter().any(at_root)
    }

    /// The text as one that has nothing but `section`: its entries are taken for keys of it, except for the section itself,
    /// which may be written too. Of two equal keys the one inside that counts.
    pub fn within(mut self, section: &str) -> RawConfig {
        let written = spelling::find(&self.root, section)
            .filter(|(_, keys)| keys.is_object())
            .map(|(name, _)| name.clone());
        let mut keys = match written.and_then(|name| self.root.shift_remove(&name)) {
            Some(Value::Object(keys)) => keys,
            _ => Map::new(),
        };
        for (name, value) in self.root {
            keys.entry(name).or_insert(value);
        }
        let root = Map::from_iter([(section.to_owned(), Value::Object(keys))]);
        RawConfig { root, ..self }
    }
}

/// Reads `object`, whose depth `end_of_root` has bounded; the reader's own limit is one short of ours.
fn read_object(object: &str) -> Result<FirstOfEqual, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(object);
    reader.disable_recursion_limit();
    FirstOfEqual::deserialize(&mut reader)
}

/// `text` with the largest number in place of each that is beyond it, such as `1e999`; `None` when there is none.
///
/// Such numbers are JSON, but the reader refuses the whole text for one. Put this way, each is a matter of its key.
fn with_finite_numbers(text: &str) -> Option<String> {
    let mut finite = String::new();
    let mut done = 0;
    let mut in_string = false;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let start = at;
        at += 1;
        match bytes[start] {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            b'-' | b'0'..=b'9' if !in_string => {
                at += number_length(&bytes[at..]);
                let number = &text[start..at];
                if is_beyond_finite(number) {
                    finite.push_str(&text[done..start]);
                    finite.push_str(if number.starts_with('-') { "-" } else { "" });
                    finite.push_str("1.7976931348623157e308");
                    done = at;
                }
            }
            _ => {}
        }
    }
    finite.push_str(&text[done..]);
    (done > 0).then_some(finite)
}

/// Bytes at the start that a number may have.
fn number_length(bytes: &[u8]) -> usize {
    let of_number = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    bytes.iter().take_while(of_number).count()
}

/// Whether `number` is well-formed and larger than any 64-bit float.
fn is_beyond_finite(number: &str) -> bool {
    number.parse().is_ok_and(f64::is_infinite) && serde_json::from_str::<IgnoredAny>(number).is_ok()
}

/// The bytes before the first NUL.
fn until_nul(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or(text)
}

/// The end of the object that `text` starts with, provided that it is well-formed.
fn end_of_root(text: &str) -> Result<usize, String> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'{' => depth += 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if depth == 0 => return Err("the root is not an object".into()),
            b'"' => in_string = true,
            b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("nested deeper than {DEEPEST}"));
        }
        if depth == 0 && matches!(byte, b'}' | b']') {
            return Ok(at + 1);
        }
    }
    Err(match depth {
        0 => "the text is empty".into(),
        _ => "not JSON: the text ends inside the object".into(),
    })
}

/// A value in which the first of two equal keys has won; the JSON library's own keeps the last.
struct FirstOfEqual(Value);

/// Reads `text` as one JSON value under the rules of a configuration text.
pub(super) fn value_of(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).map(|FirstOfEqual(value)| value)
}

impl<'de> Deserialize<'de> for FirstOfEqual {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Building).map(FirstOfEqual)
    }
}

struct Building;

impl<'de> Visitor<'de> for Building {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(FirstOfEqual(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                entries.next_value::<IgnoredAny>()?;
            } else {
                let FirstOfEqual(value) = entries.next_value()?;
                object.insert(key, value);
            }
        }
        Ok(Value::Object(object))
    }
}
