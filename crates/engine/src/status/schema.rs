//! The schemas of the documents, as JSON Schema (draft 2020-12), made of the structures themselves.

use schemars::JsonSchema;
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::{Map, Value, json};

use super::{Memory, Model, Performance, Queue, Sessions};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The name of each document, as its file below `docs/status/` has it, with its schema.
pub fn schemas() -> [(&'static str, Value); 5] {
    [
        ("queue", of::<Queue>("QUEUE")),
        ("memory", of::<Memory>("MEMORY")),
        ("sessions", of::<Sessions>("SESSIONS")),
        ("performance", of::<Performance>("PERFORMANCE")),
        ("model", of::<Model<'_>>("MODEL")),
    ]
}

fn of<T: JsonSchema>(name: &str) -> Value {
    let settings = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    RecursiveTransform(plain).transform(&mut schema);
    let mut document = Map::new();
    document.insert("$schema".into(), json!(DRAFT));
    document.insert("title".into(), json!(format!("Status {name}")));
    document.extend(schema.as_object().cloned().unwrap_or_default());
    document.into()
}

/// Without the names of Rust's types, and descriptions as one line.
fn plain(schema: &mut Schema) {
    schema.remove("format");
    schema.remove("title");
    let lines = schema.get("description").and_then(Value::as_str);
    if let Some(lines) = lines {
        let line = lines.split_whitespace().collect::<Vec<_>>().join(" ");
        schema.insert("description".into(), line.into());
    }
}
