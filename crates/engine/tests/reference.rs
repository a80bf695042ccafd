//! The committed documents of the configuration are those that the tables of keys make.
//!
//! Rewrites them instead when `WASI_NN_WRITE_DOCS=1` is set.

#![expect(clippy::unwrap_used, reason = "an unreadable tree fails the test")]

use std::fs;
use std::path::Path;

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
        "docs/{name} is not what the tables say: run the tests with WASI_NN_WRITE_DOCS=1 and look at the difference"
    );
}

#[test]
fn schema_is_what_the_tables_say() {
    let schema = serde_json::to_string_pretty(&engine::config_schema()).unwrap();
    check("config.schema.json", &format!("{schema}\n"));
}

#[test]
fn reference_is_what_the_tables_say() {
    check("configuration.md", &engine::config_reference());
}
