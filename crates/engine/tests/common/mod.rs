//! A backend with a pocket model, for tests that judge the engine by what the model says.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fixture fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;

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
