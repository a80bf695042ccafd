//! The page about the status: what each document is for, its fields as the schema has them, and the rows of the
//! figures.
//!
//! Knows no text of its own: what is said of a document stands in `reference/`, what is said of a field at the field.

use std::fmt::{self, Write};

use serde_json::{Map, Value};

use super::metrics::families;
use super::schema::schemas;

/// What stands before the documents.
const INTRO: &str = include_str!("reference/intro.md");
/// What is said of each document: what it is for, what to watch, an example.
const NOTES: [&str; 5] = [
    include_str!("reference/queue.md"),
    include_str!("reference/memory.md"),
    include_str!("reference/sessions.md"),
    include_str!("reference/performance.md"),
    include_str!("reference/model.md"),
];
/// What stands before the figures.
const METRICS: &str = include_str!("reference/metrics.md");

/// The text of `docs/status.md`.
pub fn reference() -> String {
    let mut page = String::from(INTRO);
    // A string takes whatever is written into it.
    let _ = write_documents(&mut page);
    let _ = write_figures(&mut page);
    page
}

fn write_documents(page: &mut String) -> fmt::Result {
    let mut shapes = Vec::new();
    for ((name, schema), note) in schemas().iter().zip(NOTES) {
        let title = name.to_uppercase();
        write!(page, "\n## {title}\n\n{note}\n")?;
        writeln!(page, "| Field | Type | Meaning |\n| --- | --- | --- |")?;
        write_fields(page, "", schema, &mut shapes)?;
    }
    Ok(())
}

/// The fields of an object, each followed by those inside it unless an object of the same kind has been there before.
fn write_fields(
    page: &mut String,
    prefix: &str,
    object: &Value,
    shapes: &mut Vec<Map<String, Value>>,
) -> fmt::Result {
    for (name, schema) in properties(object) {
        let meaning = schema["description"].as_str().unwrap_or_default();
        writeln!(page, "| `{prefix}{name}` | {} | {meaning} |", form(schema))?;
        let (inner, mark) = match schema["items"].is_object() {
            true => (&schema["items"], "[]"),
            false => (schema, ""),
        };
        if let Some(fields) = inner["properties"].as_object()
            && !shapes.contains(fields)
        {
            shapes.push(fields.clone());
            write_fields(page, &format!("{prefix}{name}{mark}."), inner, shapes)?;
        }
    }
    Ok(())
}

fn properties(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object["properties"].as_object().into_iter().flatten()
}

/// The type of a value in words.
fn form(schema: &Value) -> String {
    let names = |object: &Value| {
        let names: Vec<&str> = properties(object).map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    };
    match &schema["type"] {
        Value::String(word) if word == "array" => format!("array of {}", form(&schema["items"])),
        Value::String(word) if word == "object" && names(schema).len() > 60 => word.clone(),
        Value::String(word) if word == "object" && properties(schema).next().is_some() => {
            format!("{{{}}}", names(schema))
        }
        Value::String(word) => word.clone(),
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            words.join(" or ")
        }
        _ => words(schema).unwrap_or_else(|| "any".into()),
    }
}

/// The words of an enumeration, with what they mean.
fn words(schema: &Value) -> Option<String> {
    let cases = schema["oneOf"].as_array().or(schema["enum"].as_array())?;
    let word = |case: &Value| {
        let word = case["const"].as_str().or(case.as_str())?;
        Some(format!("`{word}`"))
    };
    let words: Option<Vec<String>> = cases.iter().map(word).collect();
    Some(words?.join(", "))
}

fn write_figures(page: &mut String) -> fmt::Result {
    write!(page, "\n{METRICS}\n")?;
    writeln!(
        page,
        "| Name | Type | Labels | Meaning |\n| --- | --- | --- | --- |"
    )?;
    for family in families() {
        let head = &family.head;
        let labels: Vec<String> = head.labels.iter().map(|l| format!("`{l}`")).collect();
        writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            head.name,
            head.kind.name(),
            labels.join(", "),
            head.help
        )?;
    }
    Ok(())
}
