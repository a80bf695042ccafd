//! Lists of single tokens' biases: two written forms, merged per token over the layer below.

use serde_json::{Map, Value, json};
use std::collections::HashMap;

use super::Bias;
use crate::config::finding::shown_key;
use crate::config::reading::Reading;
use crate::config::value::{self, TokenRef, Wrong, type_of};

const RANGE: &str = "-100..100";

/// Both written forms as JSON Schema.
pub(super) fn schema() -> Value {
    let bias =
        json!({"anyOf": [{"type": "number", "minimum": -100, "maximum": 100}, {"const": false}]});
    let pair = json!({
        "type": "array",
        "prefixItems": [value::token_schema(), bias],
        "minItems": 2,
        "maxItems": 2,
    });
    json!({"anyOf": [
        {"type": "array", "items": pair},
        {"type": "object", "propertyNames": {"minLength": 1}, "additionalProperties": bias},
    ]})
}

/// The list in its array form.
pub(super) fn show(list: &[(TokenRef, Bias)]) -> Value {
    let pairs = list.iter().map(|(token, bias)| {
        let bias = match bias {
            Bias::Value(value) => value::json_number(*value),
            Bias::Never => false.into(),
        };
        json!([value::json_token(token), bias])
    });
    pairs.collect()
}

/// Merges every written list over `list`; bad pairs are skipped. Returns whether there was a list at all.
pub(super) fn read(
    list: &mut Vec<(TokenRef, Bias)>,
    reading: &mut Reading<'_>,
    expected: &str,
) -> bool {
    let mut read = false;
    for written in std::mem::take(&mut reading.written) {
        let pairs = match written.value {
            Value::Array(items) => from_array(items, &written.path, reading),
            Value::Object(entries) => from_object(entries, &written.path, reading),
            other => {
                let found = Wrong::Type(type_of(other));
                reading.wrong(written.path, other, expected, "", found);
                continue;
            }
        };
        merge(list, pairs);
        read = true;
    }
    read
}

fn from_array(items: &[Value], path: &str, reading: &mut Reading<'_>) -> Vec<(TokenRef, Bias)> {
    let mut pairs = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let pair = match item.as_array().map(Vec::as_slice) {
            Some([token, bias]) => {
                value::token(token).and_then(|token| Ok((token, read_bias(bias)?)))
            }
            Some(_) => Err(Wrong::Type("array of another length")),
            None => Err(Wrong::Type(type_of(item))),
        };
        match pair {
            Ok(pair) => pairs.push(pair),
            Err(wrong) => {
                let expected = "a token with a number or false";
                reading.wrong_item(format!("{path}[{at}]"), item, expected, RANGE, wrong);
            }
        }
    }
    pairs
}

fn from_object(
    entries: &Map<String, Value>,
    path: &str,
    reading: &mut Reading<'_>,
) -> Vec<(TokenRef, Bias)> {
    let mut pairs = Vec::new();
    for (name, bias) in entries {
        match token_of_name(name).and_then(|token| Ok((token, read_bias(bias)?))) {
            Ok(pair) => pairs.push(pair),
            Err(wrong) => {
                let path = format!("{path}.{}", shown_key(name));
                reading.wrong_item(path, bias, "number or false", RANGE, wrong);
            }
        }
    }
    pairs
}

/// A name of digits is an id, since an object has no other way to write one.
fn token_of_name(name: &str) -> Result<TokenRef, Wrong> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    match name.parse() {
        _ if name.is_empty() => Err(Wrong::Type("empty name")),
        Ok(id) if digits => Ok(TokenRef::Id(id)),
        _ => Ok(TokenRef::Text(name.to_owned())),
    }
}

fn read_bias(value: &Value) -> Result<Bias, Wrong> {
    match value {
        Value::Bool(false) => Ok(Bias::Never),
        Value::Number(_) => match value::number(value)? {
            bias if (-100.0..=100.0).contains(&bias) => Ok(Bias::Value(bias as f32)),
            _ => Err(Wrong::Range),
        },
        other => Err(Wrong::Type(type_of(other))),
    }
}

/// Puts `pairs` behind `list` and leaves each token only where it stands last.
fn merge(list: &mut Vec<(TokenRef, Bias)>, pairs: Vec<(TokenRef, Bias)>) {
    list.extend(pairs);
    let last: HashMap<TokenRef, usize> = list
        .iter()
        .enumerate()
        .map(|(at, (token, _))| (token.clone(), at))
        .collect();
    let mut at = 0;
    list.retain(|(token, _)| {
        at += 1;
        last.get(token) == Some(&(at - 1))
    });
}
