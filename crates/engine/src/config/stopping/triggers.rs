//! Triggers of a lazy grammar: two written forms of the list, four kinds of entry.
//!
//! Knows neither the vocabulary nor whether a pattern compiles.

use serde_json::{Map, Value, json};

use crate::config::finding::{Code, shortened, shown_key};
use crate::config::list::surplus;
use crate::config::reading::{Fault, Reading};
use crate::config::spelling;
use crate::config::value::{self, TokenRef, Wrong, json_token, type_of};

/// What wakes a lazy grammar: from it on the answer is constrained.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// This text anywhere in the answer.
    Word(String),
    /// A match of this regular expression anywhere in the answer.
    Pattern(String),
    /// A match of this regular expression from the start of the answer.
    PatternFull(String),
    /// This token.
    Token(TokenRef),
}

/// Entries that count.
const MOST: usize = 64;
/// Longest text of an entry in bytes.
const MAX_BYTES: usize = 1024;
/// The accepted lengths of a text, in words.
const LENGTHS: &str = "1..1024";

const KEYS: [&str; 2] = ["enabled", "patterns"];
const ENTRY_KEYS: [&str; 3] = ["type", "value", "token"];

/// The kind of an entry.
#[derive(Debug, Clone, Copy)]
enum Type {
    Word,
    Pattern,
    PatternFull,
    Token,
}

const TYPES: [(&str, Type); 4] = [
    ("word", Type::Word),
    ("pattern", Type::Pattern),
    ("pattern_full", Type::PatternFull),
    ("token", Type::Token),
];

/// The list in its array form.
pub(super) fn show(triggers: &[Trigger]) -> Value {
    let entry = |trigger: &Trigger| match trigger {
        Trigger::Word(text) => text.as_str().into(),
        Trigger::Pattern(text) => json!({"type": "pattern", "value": text}),
        Trigger::PatternFull(text) => json!({"type": "pattern_full", "value": text}),
        Trigger::Token(token) => json!({"type": "token", "token": json_token(token)}),
    };
    triggers.iter().map(entry).collect()
}

/// Both written forms as JSON Schema.
pub(super) fn schema() -> Value {
    let text = json!({"type": "string", "minLength": 1, "maxLength": MAX_BYTES});
    let entry = json!({"anyOf": [text, {
        "type": "object",
        "properties": {
            "type": {"enum": TYPES.map(|(name, _)| name)},
            "value": {"anyOf": [text, {"type": "integer"}]},
            "token": value::token_schema(),
        },
        "additionalProperties": false,
    }]});
    let list = json!({"type": "array", "items": entry, "maxItems": MOST});
    json!({"anyOf": [list, {
        "type": "object",
        "properties": {"enabled": {"type": "boolean", "default": true}, "patterns": list},
        "additionalProperties": false,
    }]})
}

/// The triggers of the last good list; bad entries are skipped.
pub(super) fn read(reading: &mut Reading<'_>, expected: &str) -> Option<Vec<Trigger>> {
    let mut taken = None;
    for written in std::mem::take(&mut reading.written) {
        let list = match written.value {
            Value::Array(items) => read_list(items, &written.path, reading),
            Value::Object(group) => read_group(group, &written.path, reading),
            other => {
                let found = Wrong::Type(type_of(other));
                reading.wrong(written.path, other, expected, "", found);
                None
            }
        };
        taken = list.or(taken);
    }
    taken
}

/// A group without `patterns` says nothing of them, unless it switches them off.
fn read_group(
    group: &Map<String, Value>,
    path: &str,
    reading: &mut Reading<'_>,
) -> Option<Vec<Trigger>> {
    unknown(group, path, &KEYS, reading);
    let mut enabled = true;
    if let Some((name, written)) = spelling::find(group, "enabled") {
        match value::boolean(written) {
            Ok(on) => enabled = on,
            Err(wrong) => {
                let path = format!("{path}.{}", shown_key(name));
                reading.wrong(path, written, "boolean", "", wrong);
            }
        }
    }
    let list = spelling::find(group, "patterns").and_then(|(name, written)| {
        let path = format!("{path}.{}", shown_key(name));
        match written {
            Value::Array(items) => read_list(items, &path, reading),
            other => {
                let found = Wrong::Type(type_of(other));
                reading.wrong(path, other, "array", "", found);
                None
            }
        }
    });
    if enabled { list } else { Some(Vec::new()) }
}

/// The good entries; `None` when there are bad ones only, since an empty list would switch triggers off.
fn read_list(items: &[Value], path: &str, reading: &mut Reading<'_>) -> Option<Vec<Trigger>> {
    let mut list = Vec::new();
    for (at, item) in items.iter().enumerate() {
        if list.len() == MOST {
            let given = Value::Array(items.to_vec());
            reading.fault(surplus(path.to_owned(), &given, MOST));
            break;
        }
        list.extend(read_entry(item, format!("{path}[{at}]"), reading));
    }
    (!list.is_empty() || items.is_empty()).then_some(list)
}

fn read_entry(item: &Value, path: String, reading: &mut Reading<'_>) -> Option<Trigger> {
    match item {
        Value::String(_) => {
            let good = text(item).map(Trigger::Word);
            good.map_err(|wrong| reading.wrong_item(path, item, "string", LENGTHS, wrong))
                .ok()
        }
        Value::Object(entry) => read_object(entry, &path, reading),
        other => {
            let found = Wrong::Type(type_of(other));
            reading.wrong_item(path, other, "string or object", "", found);
            None
        }
    }
}

fn read_object(
    entry: &Map<String, Value>,
    path: &str,
    reading: &mut Reading<'_>,
) -> Option<Trigger> {
    unknown(entry, path, &ENTRY_KEYS, reading);
    let kind = read_type(entry, path, reading)?;
    let is_token = matches!(kind, Type::Token);
    let named = is_token.then(|| spelling::find(entry, "token")).flatten();
    let (place, written) = match named.or_else(|| spelling::find(entry, "value")) {
        Some((name, written)) => (format!("{path}.{}", shown_key(name)), written),
        None if is_token => (format!("{path}.token"), &Value::Null),
        None => (format!("{path}.value"), &Value::Null),
    };
    let (expected, trigger) = match kind {
        Type::Word => ("string", text(written).map(Trigger::Word)),
        Type::Pattern => ("string", text(written).map(Trigger::Pattern)),
        Type::PatternFull => ("string", text(written).map(Trigger::PatternFull)),
        Type::Token => ("token id or string", token(written).map(Trigger::Token)),
    };
    trigger
        .map_err(|wrong| reading.wrong_item(place, written, expected, LENGTHS, wrong))
        .ok()
}

/// Without a type an entry is a word, or a token where it has nothing else.
fn read_type(entry: &Map<String, Value>, path: &str, reading: &mut Reading<'_>) -> Option<Type> {
    let Some((name, written)) = spelling::find(entry, "type") else {
        let has = |name| spelling::find(entry, name).is_some();
        return Some(if has("token") && !has("value") {
            Type::Token
        } else {
            Type::Word
        });
    };
    let kind = value::text(written).and_then(|text| {
        let named = TYPES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        named.map(|(_, kind)| *kind).ok_or(Wrong::Range)
    });
    let names = || TYPES.map(|(name, _)| name).join(", ");
    kind.map_err(|wrong| {
        let path = format!("{path}.{}", shown_key(name));
        reading.wrong_item(path, written, "string", &names(), wrong);
    })
    .ok()
}

fn text(written: &Value) -> Result<String, Wrong> {
    let text = value::text(written)?;
    let fits = (1..=MAX_BYTES).contains(&text.len());
    fits.then(|| text.to_owned())
        .ok_or(Wrong::Length(text.len()))
}

fn token(written: &Value) -> Result<TokenRef, Wrong> {
    match written {
        Value::String(_) => text(written).map(TokenRef::Text),
        _ => value::token(written),
    }
}

fn unknown(
    object: &Map<String, Value>,
    path: &str,
    names: &[&'static str],
    reading: &mut Reading<'_>,
) {
    for (written, value) in object {
        if names.iter().any(|name| spelling::is_same(written, name)) {
            continue;
        }
        let said = match spelling::nearest(written, names.iter().copied()) {
            Some(name) => format!("unknown, did you mean {name}?"),
            None => "unknown".to_owned(),
        };
        reading.fault(Fault {
            code: Code::UnknownKey,
            path: format!("{path}.{}", shown_key(written)),
            given: shortened(value),
            said,
            keeping: false,
        });
    }
}
