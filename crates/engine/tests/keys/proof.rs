//! How a key shows its effect: another text, another end, another status, a finding.

use std::path::PathBuf;
use std::sync::OnceLock;

use engine::{Backend, StatusKind};
use serde_json::{Value, json};

use crate::common::*;

const PROMPT: &str = "Hello, who are you?";

/// A backend that all rows use which are about one call.
pub fn shared() -> &'static Backend {
    static SHARED: OnceLock<Backend> = OnceLock::new();
    SHARED.get_or_init(|| backend(GREEDY))
}

/// `more` over `base`, key by key.
pub fn with(mut base: Value, more: Value) -> Value {
    base.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    base
}

/// Random text that no filter tames, always the same.
pub fn wild() -> Value {
    json!({
        "temp": 1.5, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0, "seed": 7, "max_tokens": 24,
        "ignore_eos": true, "deterministic": true,
    })
}

/// The most likely text.
pub fn calm() -> Value {
    json!({"temp": 0, "repeat_penalty": 1.0, "max_tokens": 48, "deterministic": true})
}

/// The answer and the metadata of a turn of its own.
pub fn turn(call: &Value) -> (String, Value) {
    let backend = shared();
    let c = open(backend);
    let answer = say_with(backend, c, PROMPT, &call.to_string());
    let metadata = answer.is_ok().then(|| metadata(backend, c));
    backend.close_context(c).unwrap();
    (answer.unwrap().to_string(), metadata.unwrap())
}

/// A call with `more` says something else than one without, which says the same every time.
pub fn says_otherwise(base: Value, more: Value) {
    let (plain, _) = turn(&base);
    let (again, _) = turn(&base);
    assert_eq!(plain, again, "the same call says the same");
    let (changed, _) = turn(&with(base, more.clone()));
    assert_ne!(plain, changed, "{more}");
}

/// A call with `more` ends for the reason `expect`, one without for another.
pub fn ends_otherwise(base: Value, more: Value, expect: &str) {
    let (_, plain) = turn(&base);
    assert_ne!(plain["finish_reason"], expect, "{plain}");
    let (text, changed) = turn(&with(base, more.clone()));
    assert_eq!(changed["finish_reason"], expect, "{more}: {text:?}");
}

/// The value at `pointer` of a status document with the section keys `more` in the load's configuration.
pub fn status_with(more: Value, kind: StatusKind, pointer: &str) -> Value {
    let backend = loaded(&greedy(more));
    let document = status(&backend, kind);
    document
        .pointer(pointer)
        .unwrap_or_else(|| panic!("{pointer} in {document}"))
        .clone()
}

/// A load with `more` shows `expect` at `pointer` of a status document, one without another value.
pub fn status_shows(more: Value, kind: StatusKind, pointer: &str, expect: impl Into<Value>) {
    let expect = expect.into();
    assert_ne!(
        status_with(json!({}), kind, pointer),
        expect,
        "{pointer} without {more}"
    );
    assert_eq!(status_with(more, kind, pointer), expect);
}

/// What a key does is shown by `test` of the source file `path` (from this package's folder), which names the key.
pub fn shown_by(path: &str, test: &str, key: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let source =
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(
        source.contains(&format!(" {test}(")),
        "{test} is gone from {}",
        path.display()
    );
    assert!(
        source.contains(key),
        "{} does not name {key}",
        path.display()
    );
}
