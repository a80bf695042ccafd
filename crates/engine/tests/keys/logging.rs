//! Section `logging`: other lines in the file.

use serde_json::{Value, json};

use crate::Row;
use crate::common::*;
use crate::proof::*;

/// What a backend writes that loads a model and runs a turn under these keys.
fn lines(keys: Value) -> String {
    let folder = std::env::temp_dir().join(format!("wasi-nn-keys-log-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("lines.log");
    let _ = std::fs::remove_file(&file);
    let settings = with(
        json!({"level": "info", "file": file, "timestamps": false}),
        keys,
    );
    let backend = unloaded(&greedy(json!({"logging": settings})));
    backend.load_file(&pocket("a"), None, None).unwrap();
    let c = open(&backend);
    say(&backend, c, "Hello.").unwrap();
    drop(backend);
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    std::fs::remove_dir_all(&folder).unwrap();
    text
}

pub const ROWS: &[Row] = &[
    ("logging.level", || {
        assert!(lines(json!({})).contains("loaded"));
        assert_eq!(lines(json!({"level": "error"})), "");
    }),
    ("logging.enable_debug", || {
        assert!(!lines(json!({})).contains("debug"));
        assert!(lines(json!({"enable_debug": true})).contains("debug"));
    }),
    ("logging.file", || {
        assert!(lines(json!({})).contains("pocket-a.gguf"))
    }),
    ("logging.timestamps", || {
        assert!(lines(json!({"timestamps": true})).starts_with("20"));
        assert!(!lines(json!({})).starts_with("20"));
    }),
    ("logging.colors", || {
        // Colours are for terminals, which a file is not.
        assert!(!lines(json!({"colors": true})).contains('\u{1b}'));
        shown_by(
            "src/logging/line.rs",
            "colours_are_put_around_the_level_alone_and_never_into_json",
            "colors: true",
        );
    }),
    ("logging.structured", || {
        for line in lines(json!({"structured": true})).lines() {
            serde_json::from_str::<Value>(line).unwrap();
        }
        assert!(!lines(json!({})).starts_with('{'));
    }),
    ("logging.categories", || {
        let model = lines(json!({"categories": ["model"]}));
        assert!(
            model.lines().all(|line| line.contains("[model]")) && !model.is_empty(),
            "{model}"
        );
        assert!(lines(json!({})).contains("[backend]"));
    }),
];
