//! Every key of the configuration does something: a row for each, which shows what changes when the key is set.
//!
//! A row without an effect fails by itself: each compares with the same thing done without the key. A key without a row
//! fails the walk over the schema.

#![expect(clippy::unwrap_used, reason = "a failed call fails the test")]

#[path = "../common/mod.rs"]
mod common;

mod backend;
mod gguf;
mod logging;
mod memory;
mod model;
mod proof;
mod rope;
mod sampling;
mod stopping;

use std::collections::BTreeSet;
use std::panic::catch_unwind;

use serde_json::Value;

/// A key by its path, and what shows its effect.
type Row = (&'static str, fn());

const ALL: [&[Row]; 7] = [
    backend::ROWS,
    model::ROWS,
    rope::ROWS,
    sampling::ROWS,
    stopping::ROWS,
    memory::ROWS,
    logging::ROWS,
];

/// The sections whose function a later version has: their keys are answered by name.
const LATER: [&str; 1] = ["events"];

/// Adds the keys of an object of the schema, those of groups by their own paths. Other spellings of a key, which only
/// point to it, and keys without a function are left out.
fn keys(prefix: &str, object: &Value, all: &mut BTreeSet<String>) {
    for (name, schema) in object["properties"].as_object().unwrap() {
        let path = format!("{prefix}{name}");
        if schema["deprecated"] == true || schema.get("$ref").is_some() {
            continue;
        }
        match schema.get("properties") {
            Some(_) => keys(&format!("{path}."), schema, all),
            None => drop(all.insert(path)),
        }
    }
}

#[test]
fn every_key_of_the_schema_has_a_row_and_every_row_has_a_key() {
    let schema = engine::config_schema();
    let mut known = BTreeSet::new();
    keys("", &schema, &mut known);
    for (section, object) in schema["$defs"].as_object().unwrap() {
        // The others are the same keys as a call may have them.
        let is_section = schema["properties"].get(section).is_some() && section != "runtime";
        if is_section && !LATER.contains(&section.as_str()) {
            keys(&format!("{section}."), object, &mut known);
        }
    }
    let rows: BTreeSet<String> = ALL
        .iter()
        .flat_map(|rows| rows.iter())
        .map(|row| row.0.to_owned())
        .collect();
    let without: Vec<_> = known.difference(&rows).collect();
    assert!(without.is_empty(), "keys without a row: {without:?}");
    let unknown: Vec<_> = rows.difference(&known).collect();
    assert!(unknown.is_empty(), "rows without a key: {unknown:?}");
    assert_eq!(
        rows.len(),
        ALL.iter().map(|rows| rows.len()).sum::<usize>(),
        "a key has two rows"
    );
}

/// Runs all rows, so that one run names every key that shows nothing.
fn check(rows: &[Row]) {
    let shows = |row: &&Row| catch_unwind(row.1).is_err();
    let silent: Vec<_> = rows.iter().filter(shows).map(|row| row.0).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn keys_of_backend_and_performance_act() {
    check(backend::ROWS);
}

#[test]
fn keys_of_model_act() {
    check(model::ROWS);
}

#[test]
fn keys_of_positions_act() {
    check(rope::ROWS);
}

#[test]
fn keys_of_sampling_act() {
    check(sampling::ROWS);
}

#[test]
fn keys_of_stopping_act() {
    check(stopping::ROWS);
}

#[test]
fn keys_of_memory_act() {
    check(memory::ROWS);
}

#[test]
fn keys_of_logging_act() {
    check(logging::ROWS);
}
