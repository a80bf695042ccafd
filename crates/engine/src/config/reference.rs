//! The reference of the configuration as Markdown: tables made of the rows, with hand-written text around them.
//!
//! Knows no text; what the columns mean stands in `reference/intro.md`.

use serde_json::Value;
use std::fmt::{self, Write};

use super::key::{AsLoaded, Doors, Key, Kind, Section};
use super::schema::{form, meaning};
use super::{Config, Door, sections};

/// What stands before the tables.
const INTRO: &str = include_str!("reference/intro.md");
/// What stands behind the table of a section.
const NOTES: [(&str, &str); 2] = [
    ("sampling", include_str!("reference/sampling.md")),
    ("stopping", include_str!("reference/stopping.md")),
];

/// The text of `docs/configuration.md`.
pub fn reference() -> String {
    let mut page = String::from(INTRO);
    let defaults = Config::from_layers(&[]).0;
    // A string takes whatever is written into it.
    let _ = sections()
        .into_iter()
        .try_for_each(|section| write_section(&mut page, section, &defaults));
    page
}

fn write_section(page: &mut String, section: &Section, defaults: &Config) -> fmt::Result {
    let aliases: Vec<String> = section.aliases.iter().map(|name| code(name)).collect();
    match (section.name, aliases.as_slice()) {
        ("", _) => writeln!(page, "\n## At the root\n")?,
        (name, []) => writeln!(page, "\n## {}\n", code(name))?,
        (name, aliases) => writeln!(
            page,
            "\n## {}, older name {}\n",
            code(name),
            aliases.join(", ")
        )?,
    }
    writeln!(page, "{}\n", section.about)?;
    let rows: Vec<&Key> = section.keys().collect();
    write_table(page, &rows, defaults)?;
    for key in rows {
        if let Kind::Object { keys, .. } = &key.kind {
            writeln!(page, "\n### {}\n\n{}\n", code(key.name), key.about)?;
            write_table(page, &keys.iter().collect::<Vec<_>>(), defaults)?;
        }
    }
    for (_, note) in NOTES.iter().filter(|(name, _)| *name == section.name) {
        write!(page, "\n{note}")?;
    }
    Ok(())
}

fn write_table(page: &mut String, rows: &[&Key], defaults: &Config) -> fmt::Result {
    let is_sentinel = |key: &&Key| key.as_loaded != AsLoaded::Nothing;
    let has_sentinels = rows.iter().any(is_sentinel);
    let (title, line) = if has_sentinels {
        (" As loaded |", " --- |")
    } else {
        ("", "")
    };
    writeln!(
        page,
        "| Key | Type and range | Default | Doors |{title} Meaning |"
    )?;
    writeln!(page, "| --- | --- | --- | --- |{line} --- |")?;
    for key in rows {
        let sentinel = match key.as_loaded {
            _ if !has_sentinels => "",
            AsLoaded::Nothing => " - |",
            AsLoaded::MinusOne => " -1 |",
            AsLoaded::NotPositive => " 0 and below |",
        };
        let (names, values) = (names(key), values(key));
        let (default, doors) = (default(key, defaults), doors(key));
        let meaning = meaning(key);
        writeln!(
            page,
            "| {names} | {values} | {default} | {doors} |{sentinel} {meaning} |"
        )?;
    }
    Ok(())
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

/// The main name, and the others in brackets.
fn names(key: &Key) -> String {
    let spellings = key.spellings(Door::Load).iter();
    let others: Vec<String> = spellings
        .filter(|name| **name != key.name)
        .map(|name| code(name))
        .collect();
    match others.as_slice() {
        [] => code(key.name),
        others => format!("{} ({})", code(key.name), others.join(", ")),
    }
}

fn doors(key: &Key) -> &'static str {
    match key.doors {
        Doors::InitAndLoad => "I L",
        Doors::Load => "L",
        Doors::All => "I L R",
    }
}

fn default(key: &Key, defaults: &Config) -> String {
    match (&key.kind, key.kind.show(defaults)) {
        (Kind::NoEffect | Kind::Object { .. }, _) => "-".into(),
        (_, Value::Null) => "none".into(),
        (_, value) => code(&value.to_string()),
    }
}

fn values(key: &Key) -> String {
    match &key.kind {
        Kind::NoEffect => "any".into(),
        Kind::Object { .. } => "object, below".into(),
        kind => words_of(&form(kind)),
    }
}

/// A form in words: what JSON Schema says of it, read aloud.
fn words_of(form: &Value) -> String {
    if let Some(forms) = form["anyOf"].as_array() {
        return list(forms, words_of, " or ");
    }
    if let Some(values) = form["enum"].as_array() {
        return list(values, |value| code(&value.to_string()), ", ");
    }
    if !form["const"].is_null() {
        return code(&form["const"].to_string());
    }
    match form["type"].as_str() {
        Some(kind @ ("integer" | "number")) if !form["minimum"].is_null() => {
            format!("{kind}, {}..{}", form["minimum"], form["maximum"])
        }
        Some("string") if !form["maxLength"].is_null() => {
            format!("string, 0..{} bytes", form["maxLength"])
        }
        Some("array") => array(form),
        Some(kind) => kind.to_owned(),
        None => form["type"].as_array().map_or_else(String::new, |kinds| {
            list(
                kinds,
                |kind| kind.as_str().unwrap_or_default().to_owned(),
                " or ",
            )
        }),
    }
}

fn array(form: &Value) -> String {
    let most = match &form["maxItems"] {
        Value::Null => String::new(),
        most => format!(", 0..{most}"),
    };
    if let Some(items) = form["prefixItems"].as_array() {
        return format!("[{}]", list(items, words_of, "; "));
    }
    format!("array{most} of ({})", words_of(&form["items"]))
}

fn list(values: &[Value], words: impl Fn(&Value) -> String, between: &str) -> String {
    values.iter().map(words).collect::<Vec<_>>().join(between)
}
