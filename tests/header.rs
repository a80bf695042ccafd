//! The committed headers are those that cbindgen makes of the sources.
//!
//! Rewrites them instead when `WASI_NN_WRITE_HEADERS=1` is set. Does not compile them: C tests do.

#![expect(clippy::unwrap_used, reason = "an unreadable tree fails the test")]

use std::fs;
use std::path::Path;

fn check(header: &str, config: &str, sources: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join(config)).unwrap();
    let builder = sources.iter().fold(
        cbindgen::Builder::new().with_config(config),
        |builder, source| builder.with_src(root.join(source)),
    );
    let mut generated = Vec::new();
    builder.generate().unwrap().write(&mut generated);
    let generated = String::from_utf8(generated).unwrap();

    let path = root.join("include").join(header);
    if std::env::var_os("WASI_NN_WRITE_HEADERS").is_some_and(|value| value == "1") {
        fs::write(&path, &generated).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "include/{header} is not what the sources say: run the tests with WASI_NN_WRITE_HEADERS=1 and look at the \
         difference"
    );
}

#[test]
fn frozen_header_is_what_the_sources_say() {
    check("wasi_nn_llama.h", "cbindgen.toml", &["src/lib.rs"]);
}

#[test]
fn ext_header_is_what_the_sources_say() {
    check(
        "wasi_nn_llama_ext.h",
        "cbindgen-ext.toml",
        &["src/ext.rs", "src/ext/models.rs"],
    );
}
