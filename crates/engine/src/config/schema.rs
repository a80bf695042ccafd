//! The configuration as JSON Schema (draft 2020-12), made of the tables: what a text may hold without a finding.
//!
//! Other spellings than the listed ones (`-` for `_`, other letter case) are left out, and so are rules between keys.

use serde_json::{Map, Value, json};

use super::key::{AsLoaded, Available, Doors, Flat, Ints, Key, Kind, Section};
use super::{Config, Door, sections, value};

/// The schema of a text for init or load; `$defs/call` is the one of a call's text.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for section in named() {
        definitions.insert(section.name.into(), base_section(section));
    }
    definitions.insert("runtime".into(), runtime());
    for section in per_call_sections() {
        definitions.insert(format!("call_{}", section.name), call_section(section));
    }
    let mut call = call_properties();
    definitions.insert("call_runtime".into(), object(call.clone()));
    call.insert("runtime".into(), to("#/$defs/call_runtime"));
    definitions.insert("call".into(), object(call));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of wasi-nn-backend",
        "description": "The text of init and load. $defs/call is the text of one call.",
        "type": "object",
        "properties": root_properties(),
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// The form of a key's values, without default and meaning.
pub(super) fn form(kind: &Kind) -> Value {
    match kind {
        Kind::Bool { .. } => json!({"type": "boolean"}),
        Kind::Int { range, .. } => integers(range),
        Kind::Number { min, max, .. } => {
            json!({"type": "number", "minimum": shortest(*min), "maximum": shortest(*max)})
        }
        Kind::Word { list, .. } => json!({"enum": list()}),
        Kind::Text { max_bytes, .. } => text(*max_bytes),
        Kind::Strings { shape, .. } => {
            let one = text(shape.max_bytes);
            let list = json!({"type": "array", "items": one, "maxItems": shape.most});
            if shape.or_one {
                json!({"anyOf": [one, list]})
            } else {
                list
            }
        }
        Kind::Tokens { most, .. } => {
            json!({"type": "array", "items": value::token_schema(), "maxItems": most})
        }
        Kind::Words { list, .. } => json!({"type": "array", "items": {"enum": list()}}),
        Kind::Object { .. } => json!({"type": "object"}),
        Kind::Special { schema, .. } => schema(),
        Kind::NoEffect => json!({}),
    }
}

/// What a key is for and what this version does not do of it.
pub(super) fn meaning(key: &Key) -> String {
    let lacks = match (&key.kind, key.available) {
        (Kind::NoEffect, _) => return format!("No effect. {}", key.about),
        (_, Available::Whole) => return key.about.to_owned(),
        (_, Available::BuiltInOnly) => "Not available in this version.".to_owned(),
        (_, Available::Except(word)) => format!("{word} is not available in this version."),
    };
    format!("{} {lacks}", key.about)
}

/// Whether a call may hold `key`.
pub(super) fn is_per_call(key: &Key) -> bool {
    key.doors == Doors::All
}

fn named() -> impl Iterator<Item = &'static Section> {
    sections().into_iter().skip(1)
}

fn per_call_sections() -> impl Iterator<Item = &'static Section> {
    named().filter(|section| section.keys().any(is_per_call))
}

fn to(place: &str) -> Value {
    json!({"$ref": place})
}

fn object(properties: Map<String, Value>) -> Value {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// The place of a key's row.
fn base(section: &Section, key: &Key) -> String {
    match section.name {
        "" => format!("#/properties/{}", key.name),
        name => format!("#/$defs/{name}/properties/{}", key.name),
    }
}

/// The place of a key's row with what a call may write beyond it.
fn in_call(section: &Section, key: &Key) -> String {
    match section.name {
        "" => base(section, key),
        name => format!("#/$defs/call_{name}/properties/{}", key.name),
    }
}

/// The root of a text for init or load: its own keys, the sections, and the keys that may stand flat.
fn root_properties() -> Map<String, Value> {
    let defaults = Config::from_layers(&[]).0;
    let root = sections()[0];
    let own = root
        .keys()
        .map(|key| (key.name.into(), row(key, &defaults)));
    let mut properties: Map<String, Value> = own.collect();
    for section in named() {
        for name in section.aliases.iter().chain([&section.name]) {
            properties.insert((*name).into(), to(&format!("#/$defs/{}", section.name)));
        }
    }
    properties.insert("runtime".into(), to("#/$defs/runtime"));
    for section in named() {
        let is_flat = |key: &&Key| matches!(key.flat, Flat::Always | Flat::NotPerCall);
        for key in section.keys().filter(is_flat) {
            refer(&mut properties, key, &base(section, key));
        }
    }
    properties
}

fn base_section(section: &Section) -> Value {
    let defaults = Config::from_layers(&[]).0;
    let mut properties = Map::new();
    for key in section.keys() {
        properties.insert(key.name.into(), row(key, &defaults));
        refer(&mut properties, key, &base(section, key));
    }
    let mut section_schema = object(properties);
    section_schema["description"] = section.about.into();
    section_schema
}

fn call_section(section: &Section) -> Value {
    let mut properties = Map::new();
    for key in section.keys().filter(|key| is_per_call(key)) {
        let row = to(&base(section, key));
        let row = match key.as_loaded {
            AsLoaded::Nothing => row,
            AsLoaded::MinusOne => json!({
                "anyOf": [row, {"const": -1}],
                "description": "-1: as loaded.",
            }),
            AsLoaded::NotPositive => json!({
                "anyOf": [row, {"type": "integer", "maximum": 0}],
                "description": "0 and below: as loaded.",
            }),
        };
        properties.insert(key.name.into(), row);
        refer(&mut properties, key, &in_call(section, key));
    }
    object(properties)
}

/// The base of every call, where -1 is a value like any other; `strict` stands at the root only.
fn runtime() -> Value {
    let mut properties = Map::new();
    for section in per_call_sections() {
        let place = format!("#/$defs/{}", section.name);
        properties.insert(section.name.into(), to(&place));
    }
    flat_per_call(&mut properties, base);
    properties.remove("strict");
    let mut runtime = object(properties);
    runtime["description"] = "What every call starts from.".into();
    runtime
}

/// A call's own keys; they may also stand in its `runtime` object.
fn call_properties() -> Map<String, Value> {
    let mut properties = Map::new();
    for section in per_call_sections() {
        let place = format!("#/$defs/call_{}", section.name);
        properties.insert(section.name.into(), to(&place));
    }
    flat_per_call(&mut properties, in_call);
    properties
}

fn flat_per_call(properties: &mut Map<String, Value>, place: fn(&Section, &Key) -> String) {
    for section in sections() {
        let is_flat = |key: &&Key| matches!(key.flat, Flat::Always | Flat::OnlyPerCall);
        for key in section
            .keys()
            .filter(is_flat)
            .filter(|key| is_per_call(key))
        {
            refer(properties, key, &place(section, key));
        }
    }
}

/// Adds every spelling of `key` that is not there yet as a reference to `place`.
fn refer(properties: &mut Map<String, Value>, key: &Key, place: &str) {
    for spelling in [key.name].iter().chain(key.spellings(Door::Load)) {
        properties.entry(*spelling).or_insert_with(|| to(place));
    }
}

/// A key's row: form, default and meaning; a group with its own keys.
fn row(key: &Key, defaults: &Config) -> Value {
    let mut row = match &key.kind {
        Kind::Object { keys, .. } => {
            let inner = keys.iter();
            object(
                inner
                    .map(|key| (key.name.into(), self::row(key, defaults)))
                    .collect(),
            )
        }
        kind => form(kind),
    };
    let default = key.kind.show(defaults);
    if !default.is_null() && !default.is_object() {
        row["default"] = default;
    }
    row["description"] = match key.doors {
        Doors::Load => format!("{} At a load only.", meaning(key)).into(),
        _ => meaning(key).into(),
    };
    if matches!(key.kind, Kind::NoEffect) {
        row["deprecated"] = true.into();
    }
    row
}

fn integers(range: &Ints) -> Value {
    let whole = json!({"type": "integer", "minimum": range.min, "maximum": range.max});
    match range.apart {
        Some(apart) => json!({"anyOf": [{"const": apart}, whole]}),
        None => whole,
    }
}

/// A text; its limit is one of bytes, of which there are never fewer than characters.
fn text(max_bytes: usize) -> Value {
    match max_bytes {
        usize::MAX => json!({"type": "string"}),
        max_bytes => json!({"type": "string", "maxLength": max_bytes}),
    }
}

/// A border of a range, without a fraction where it has none.
fn shortest(border: f64) -> Value {
    if border.fract() == 0.0 {
        (border as i64).into()
    } else {
        border.into()
    }
}
