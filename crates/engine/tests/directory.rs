//! Paths of a configuration lead where they led when it was loaded, whatever directory the host changes to.
//!
//! One test, because the directory is the whole process's.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;
#[path = "keys/gguf.rs"]
#[expect(dead_code, reason = "the keys need more files")]
mod gguf;

use common::*;
use serde_json::json;

#[test]
fn a_version_comes_back_with_its_adapters_after_the_directory_changed() {
    let made = gguf::adapter();
    let folder = made.0.parent().unwrap();
    let name = made.0.file_name().unwrap().to_str().unwrap();
    std::env::set_current_dir(folder).unwrap();
    let says = |backend: &engine::Backend| {
        let c = open(backend);
        let call = json!({"temp": 1.5, "seed": 7, "max_tokens": 24, "ignore_eos": true});
        let text = say_with(backend, c, "Hello, who are you?", &call.to_string()).unwrap();
        backend.close_context(c).unwrap();
        text.to_string()
    };
    let plain = says(&loaded(GREEDY));
    let backend = unloaded("{}");
    let load = |lora: &str| {
        let config = greedy(json!({"model": {"lora": lora}}));
        let loaded = backend.load_file(&pocket("a"), Some(config.as_bytes()), None);
        loaded.unwrap();
        says(&backend)
    };
    let adapted = load(name);
    assert_ne!(adapted, plain);
    assert_eq!(load(""), plain);
    std::env::set_current_dir("/").unwrap();
    backend.roll_back(0, None).unwrap();
    assert_eq!(says(&backend), adapted);
    // What is loaded now is looked for here.
    let config = greedy(json!({"model": {"lora": name}}));
    let missing = backend.load_file(&pocket("a"), Some(config.as_bytes()), None);
    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains(&format!("/{name}")), "{missing}");
    assert_eq!(says(&backend), adapted);
}
