//! Values with a form of their own: texts, lists, shares, biases, schemas.

use serde_json::{Map, Value, json};

/// A form of its own.
#[derive(Debug)]
pub(super) struct Special {
    /// What may be written, in words.
    pub(super) expected: &'static str,
    /// The value as it is handed on, null for nothing; `None` where it is wrong.
    pub(super) read: fn(&Value) -> Option<Value>,
}

/// Stop texts of one list, and the longest of them in bytes: the engine's limits.
const MOST_STOPS: usize = 64;
const LONGEST_STOP: usize = 1024;
/// The system's own limit, in bytes.
const LONGEST_PATH: usize = 4096;
const MOST_IMAGES: usize = 64;
/// The engine's limits on adapters.
const MOST_ADAPTERS: usize = 64;
const LARGEST_SCALE: f64 = 100.0;
/// The engine's limits on shares of devices.
const MOST_DEVICES: usize = 128;
const LARGEST_SHARE: f64 = 1_000_000.0;
/// The engine's limit on the change of a logit, to either side.
const LARGEST_BIAS: f64 = 100.0;

pub(super) static GRAMMAR: Special = Special {
    expected: "a string, the grammar in GBNF",
    read: |value| unless_empty(value.as_str()?),
};

pub(super) static SCHEMA: Special = Special {
    expected: "a JSON schema, as an object or as its text",
    read: |value| match value {
        Value::Object(_) => Some(value.clone()),
        Value::String(text) if text.is_empty() => Some(Value::Null),
        // A text has a nesting of its own, which the reader limits to 128.
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(_) | Value::Bool(_)) => Some(value.clone()),
            _ => None,
        },
        _ => None,
    },
};

pub(super) static STOPS: Special = Special {
    expected: "a string or an array of at most 64 strings, each of at most 1024 bytes",
    read: |value| {
        let texts = texts(value)?;
        let is_good = texts.len() <= MOST_STOPS && texts.iter().all(|t| t.len() <= LONGEST_STOP);
        is_good.then(|| unless_none(texts.into_iter().map(Value::from).collect()))
    },
};

pub(super) static IMAGES: Special = Special {
    expected: "a path or an array of at most 64 paths, each of at most 4096 bytes",
    read: |value| {
        let paths = texts(value)?;
        let is_good = paths.len() <= MOST_IMAGES && paths.iter().all(|path| is_path(path));
        is_good.then(|| unless_none(paths.into_iter().map(Value::from).collect()))
    },
};

pub(super) static PATH: Special = Special {
    expected: "a path of at most 4096 bytes",
    read: |value| match value.as_str()? {
        "" => Some(Value::Null),
        path => is_path(path).then(|| path.into()),
    },
};

/// One form for all, so that who resolves the paths finds them in one place.
pub(super) static ADAPTERS: Special = Special {
    expected: "a path or an array of at most 64 paths or {\"path\", \"scale\"} with a scale from -100 to 100",
    read: |value| match value {
        Value::String(path) if path.is_empty() => Some(Value::Null),
        Value::String(_) => Some(json!([adapter(value)?])),
        Value::Array(items) if items.len() <= MOST_ADAPTERS => {
            let adapters: Option<Vec<Value>> = items.iter().map(adapter).collect();
            Some(unless_none(adapters?))
        }
        _ => None,
    },
};

pub(super) static SHARES: Special = Special {
    expected: "shares like \"3,2\", or an array of them: at most 128 numbers from 0 to 1000000",
    read: |value| {
        let shares: Option<Vec<f64>> = match value {
            Value::String(text) if text.trim().is_empty() => Some(Vec::new()),
            Value::String(text) => {
                let parts = text.split([',', '/']);
                parts.map(|part| part.trim().parse().ok()).collect()
            }
            Value::Array(items) => items.iter().map(Value::as_f64).collect(),
            _ => None,
        };
        let shares = shares?;
        let is_good = |share: &f64| (0.0..=LARGEST_SHARE).contains(share);
        let fits = shares.len() <= MOST_DEVICES && shares.iter().all(is_good);
        // Adding 0 makes one zero of both, since the bytes are compared.
        fits.then(|| {
            unless_none(
                shares
                    .into_iter()
                    .map(|share| Value::from(share + 0.0))
                    .collect(),
            )
        })
    },
};

pub(super) static BIASES: Special = Special {
    expected: "pairs of a token (its id or text) and a number from -100 to 100 or false, \
               as an array of arrays or as an object",
    read: |value| {
        let is_good = match value {
            Value::Array(items) => items.iter().all(is_bias_pair),
            Value::Object(entries) => entries
                .iter()
                .all(|(token, bias)| !token.is_empty() && is_bias(bias)),
            _ => return None,
        };
        let is_empty = *value == json!([]) || *value == json!({});
        is_good.then(|| if is_empty { Value::Null } else { value.clone() })
    },
};

/// A boolean here, a word in the engine's nested form.
pub(super) static SHIFT: Special = Special {
    expected: "true or false, or in section memory \"shift\" or \"error\"",
    read: |value| match value {
        Value::Bool(_) => Some(value.clone()),
        Value::String(word) if word.eq_ignore_ascii_case("shift") => Some(true.into()),
        Value::String(word) if word.eq_ignore_ascii_case("error") => Some(false.into()),
        _ => None,
    },
};

/// The texts of a list, or the one that stands for a list; empty ones mean nothing and are left out.
fn texts(value: &Value) -> Option<Vec<&str>> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        Value::String(_) => std::slice::from_ref(value),
        _ => return None,
    };
    let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
    Some(texts?.into_iter().filter(|text| !text.is_empty()).collect())
}

/// An adapter with its scale written out; one without a path is none.
fn adapter(item: &Value) -> Option<Value> {
    let one = Value::from(1.0);
    let (path, scale) = match item {
        Value::String(path) => (path.as_str(), &one),
        Value::Object(object) => {
            let is_known = |key: &String| ["path", "scale"].contains(&key.as_str());
            if !object.keys().all(is_known) {
                return None;
            }
            (
                object.get("path")?.as_str()?,
                object.get("scale").unwrap_or(&one),
            )
        }
        _ => return None,
    };
    let scale = scale.as_f64()?;
    let is_good = is_path(path) && (-LARGEST_SCALE..=LARGEST_SCALE).contains(&scale);
    let mut adapter = Map::new();
    adapter.insert("path".to_owned(), path.into());
    adapter.insert("scale".to_owned(), (scale + 0.0).into());
    is_good.then_some(Value::Object(adapter))
}

fn is_path(path: &str) -> bool {
    (1..=LONGEST_PATH).contains(&path.len()) && !path.contains('\0')
}

fn is_bias_pair(item: &Value) -> bool {
    match item.as_array().map(Vec::as_slice) {
        Some([Value::String(token), bias]) => !token.is_empty() && is_bias(bias),
        Some([token, bias]) => token.is_i64() && is_bias(bias),
        _ => false,
    }
}

fn is_bias(value: &Value) -> bool {
    let is_small = |bias: f64| (-LARGEST_BIAS..=LARGEST_BIAS).contains(&bias);
    *value == Value::Bool(false) || value.as_f64().is_some_and(is_small)
}

fn unless_empty(text: &str) -> Option<Value> {
    Some(match text {
        "" => Value::Null,
        text => text.into(),
    })
}

fn unless_none(items: Vec<Value>) -> Value {
    match items.as_slice() {
        [] => Value::Null,
        _ => Value::Array(items),
    }
}
