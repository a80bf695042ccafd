//! A backend with a pocket model, for tests that judge the engine by what the model says.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fixture fails by panicking")]

pub mod models;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Backend, Options, Result, StatusKind};
use serde_json::Value;

/// Greedy and short, in the context that the pocket models were trained for.
pub const GREEDY: &str = r#"{
    "model": {"ctx_size": 1024, "n_predict": 64, "threads": 1},
    "sampling": {"temp": 0, "repeat_penalty": 1.0},
    "logging": {"level": "none"}
}"#;

/// The file of a pocket model: `a` calls itself Pip, `b` Momo.
pub fn pocket(which: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("../../models/pocket-{which}.gguf"))
}

/// A backend without a model, configured by `config` at init.
pub fn unloaded(config: &str) -> Backend {
    Backend::open(Options {
        config: Some(config.as_bytes()),
        run_inference_args: None,
        log_filter: None,
    })
    .unwrap()
}

/// A backend with pocket model `a`.
pub fn backend(config: &str) -> Backend {
    let backend = unloaded(config);
    backend.load_file(&pocket("a"), None, None).unwrap();
    backend
}

/// Runs a turn.
pub fn say(backend: &Backend, context: u32, text: &str) -> Result<Arc<str>> {
    backend.run(context, text.to_owned(), &mut || None, None)
}

/// Runs a turn with a configuration of its own.
pub fn say_with(backend: &Backend, context: u32, text: &str, call: &str) -> Result<Arc<str>> {
    let mut call = || Some(call.as_bytes().to_vec());
    backend.run(context, text.to_owned(), &mut call, None)
}

/// The metadata of the last turn.
pub fn metadata(backend: &Backend, context: u32) -> Value {
    serde_json::from_str(&backend.output(context, 1).unwrap()).unwrap()
}

/// A status document.
pub fn status(backend: &Backend, kind: StatusKind) -> Value {
    serde_json::from_str(&backend.status(kind).unwrap()).unwrap()
}

/// Opens an anonymous context.
pub fn open(backend: &Backend) -> u32 {
    backend.open_context(0).unwrap().0
}

/// The configuration [`GREEDY`] with the keys of `more` in its sections.
pub fn greedy(more: Value) -> String {
    let mut config: Value = serde_json::from_str(GREEDY).unwrap();
    for (name, keys) in more.as_object().unwrap() {
        match (&mut config[name], keys) {
            (Value::Object(section), Value::Object(keys)) => section.extend(keys.clone()),
            (place, value) => *place = value.clone(),
        }
    }
    config.to_string()
}

/// The call configuration `keys` of a turn that takes some milliseconds for each token and does not end by itself.
pub fn slow(keys: Value) -> String {
    tough(60, keys)
}

/// The call configuration `keys` of a turn that does not end by itself and whose grammar reads every character in
/// `40 * ways` ways: 30 take half a millisecond for each token.
///
/// Next to them a count goes up, so that no character finds the grammar where one before it has.
pub fn tough(ways: usize, mut keys: Value) -> String {
    let many = "w \"\\x01\" | ".repeat(40 * ways);
    let count = "[ -~]{1900} ".repeat(20);
    keys["grammar"] = format!("root ::= {many}count\nw ::= [ -~]*\ncount ::= {count}").into();
    keys["ignore_eos"] = true.into();
    keys.to_string()
}

/// Waits until `holds`; one minute stands for never.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Pseudo-random numbers: SplitMix64.
pub struct Random(pub u64);

impl Random {
    /// The next one, below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Names that the pocket models recall.
pub const NAMES: [&str; 8] = [
    "Zorvath", "Melkin", "Tarbo", "Quendil", "Fennor", "Ballas", "Dorimi", "Vexanu",
];

/// A backend with pocket model `a`, configured at its load, where all keys are taken.
pub fn loaded(config: &str) -> Backend {
    let backend = unloaded("{}");
    backend
        .load_file(&pocket("a"), Some(config.as_bytes()), None)
        .unwrap();
    backend
}

/// The memory status.
pub fn memory(backend: &Backend) -> Value {
    status(backend, StatusKind::Memory)
}

/// The number at a path such as `hits.ram`.
pub fn memory_number(backend: &Backend, path: &str) -> u64 {
    let mut value = &memory(backend);
    for part in path.split('.') {
        value = &value[part];
    }
    value.as_u64().unwrap_or_else(|| panic!("{path}: {value}"))
}

/// A context that was told a name.
pub fn told(backend: &Backend, name: &str) -> u32 {
    let c = open(backend);
    say(backend, c, &format!("My name is {name}.")).unwrap();
    c
}

/// Asks for the name that a context was told.
pub fn recalls(backend: &Backend, context: u32, name: &str) {
    let answer = say(backend, context, "What is my name?").unwrap();
    assert!(answer.contains(name), "{name}: {answer}");
}
