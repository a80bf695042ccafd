//! The committed documents are those that the tables of keys and the structures of the status make.
//!
//! Rewrites them instead when `WASI_NN_WRITE_DOCS=1` is set.

#![expect(clippy::unwrap_used, reason = "an unreadable tree fails the test")]

use std::fs;
use std::path::Path;

use serde_json::Value;

fn check(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    if std::env::var_os("WASI_NN_WRITE_DOCS").is_some_and(|value| value == "1") {
        fs::write(&path, generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/{name} is not what the code says: run the tests with WASI_NN_WRITE_DOCS=1 and look at the difference"
    );
}

fn check_schema(name: &str, schema: &Value) {
    let schema = serde_json::to_string_pretty(schema).unwrap();
    check(name, &format!("{schema}\n"));
}

#[test]
fn schema_is_what_the_tables_say() {
    check_schema("config.schema.json", &engine::config_schema());
}

#[test]
fn reference_is_what_the_tables_say() {
    check("configuration.md", &engine::config_reference());
}

#[test]
fn schemas_of_the_status_are_what_the_structures_say() {
    for (name, schema) in engine::status_schemas() {
        check_schema(&format!("status/{name}.schema.json"), &schema);
    }
}

#[test]
fn page_about_the_status_is_what_the_structures_say() {
    check("status.md", &engine::status_reference());
}
