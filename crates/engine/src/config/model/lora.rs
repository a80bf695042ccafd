//! Key `lora`: adapters that change a model's weights as they are used.

use serde_json::{Value, json};

use crate::config::key::{Key, Kind};
use crate::config::reading::Reading;
use crate::config::value::{self, Wrong, type_of};

/// Adapters of one model; each costs two small products per layer and token.
const MOST: usize = 64;
/// Longest path of a file in bytes: the system's own limit.
const LONGEST_PATH: usize = 4096;
/// Largest scale to either side; beyond 1 an adapter is exaggerated.
const LARGEST_SCALE: f64 = 100.0;

/// An adapter and how much of it counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    /// Its file.
    pub path: String,
    /// Factor of what it adds; 0 switches it off, 1 is as trained.
    pub scale: f32,
}

pub(super) static KEYS: &[Key] = &[Key::new(
    "lora",
    Kind::Special {
        expected: "string or array of strings and objects",
        schema: || {
            let path = json!({"type": "string", "minLength": 1, "maxLength": LONGEST_PATH});
            let scale =
                json!({"type": "number", "minimum": -LARGEST_SCALE, "maximum": LARGEST_SCALE});
            let adapter = json!({
                "type": "object", "properties": {"path": path, "scale": scale},
                "required": ["path"], "additionalProperties": false,
            });
            let items = json!({"anyOf": [path, adapter]});
            json!({"anyOf": [
                {"type": "string", "maxLength": LONGEST_PATH},
                {"type": "array", "items": items, "maxItems": MOST},
            ]})
        },
        get: |config| {
            let show = |lora: &Lora| {
                let scale = value::json_number(lora.scale);
                json!({"path": lora.path, "scale": scale})
            };
            config.model.lora.iter().map(show).collect()
        },
        read: |config, reading, expected| match read(reading, expected) {
            Some(adapters) => {
                config.model.lora = adapters;
                true
            }
            None => false,
        },
    },
)
.about(
    "LoRA adapters in GGUF: a path, or paths and objects of path and scale (-100 to 100, 1 \
     unless written). They are loaded with the model; one that cannot be is a load error.",
)];

/// A bad item voids the list: a model that lacks one of its adapters is another model.
fn read(reading: &mut Reading<'_>, expected: &str) -> Option<Vec<Lora>> {
    let range = || {
        format!(
            "at most {MOST} paths of 1..{LONGEST_PATH} bytes with scales of -{LARGEST_SCALE}..{LARGEST_SCALE}"
        )
    };
    reading.last(expected, range, |value| match value {
        // An empty text is none, as everywhere.
        Value::String(path) if path.is_empty() => Ok(Vec::new()),
        Value::String(_) => Ok(vec![adapter(value)?]),
        Value::Array(items) if items.len() > MOST => Err(Wrong::Range),
        Value::Array(items) => items.iter().map(adapter).collect(),
        other => Err(Wrong::Type(type_of(other))),
    })
}

fn adapter(value: &Value) -> Result<Lora, Wrong> {
    let strange = Wrong::Type("array with other items");
    let (path, scale) = match value {
        Value::String(path) => (path, 1.0),
        Value::Object(object) => {
            let Some(Value::String(path)) = object.get("path") else {
                return Err(strange);
            };
            let scale = object.get("scale").map_or(Some(1.0), Value::as_f64);
            let known = ["path", "scale"];
            match scale {
                Some(scale) if object.keys().all(|key| known.contains(&key.as_str())) => {
                    (path, scale)
                }
                _ => return Err(strange),
            }
        }
        _ => return Err(strange),
    };
    let is_path = (1..=LONGEST_PATH).contains(&path.len()) && !path.contains('\0');
    if !is_path || !(-LARGEST_SCALE..=LARGEST_SCALE).contains(&scale) {
        return Err(Wrong::Range);
    }
    Ok(Lora {
        path: path.clone(),
        scale: scale as f32,
    })
}
