//! The inference engine behind every door: conversations in, text out.
//!
//! Everything that is decided is decided here, once, for all doors alike: which turn runs next, what gives way when a
//! context is full, when an answer ends. The engine exports no symbols, reads no environment, writes nothing to stdout
//! and knows neither C nor HTTP. Modules import downwards only; `ARCHITECTURE.md` has the table.

#![deny(unsafe_code)]

mod calendar;
mod error;
mod machine;
mod metrics;
mod presence;
mod sync;

mod config;
mod handles;
#[expect(unsafe_code, reason = "the one room that calls llama.cpp")]
mod llama;

mod chat;
mod logging;
mod memory;
mod models;
mod reasoning;
mod sampling;
mod spill;
mod stopping;

mod scheduler;
mod status;

mod backend;

pub use backend::{
    Backend, Completion, ContextId, Embedding, GraphId, LoadId, OnPiece, OnProgress, Options,
    Prompt, StatusKind, Target, Usage,
};
pub use config::{Overflow, SessionMemory, reference as config_reference, schema as config_schema};
pub use error::{ContextNeed, Error, Result};
#[cfg(feature = "fuzzing")]
pub use llama::TrialVocab;
pub use llama::{IMAGE_MARK, OpenFile};
pub use status::{reference as status_reference, schemas as status_schemas};

/// Copies a model's bytes into an anonymous file in memory that nobody can change, for models that are to be loaded by
/// path more than once. Errors: `Load` where there is no memory for it.
pub fn memory_file(bytes: &[u8]) -> Result<OpenFile> {
    llama::Model::open_bytes(bytes)
}

/// Bytes of memory that this process could ever have: the machine's, or fewer where a control group limits it. `None`
/// where the system does not tell.
pub fn total_memory() -> Option<u64> {
    machine::total()
}

/// llama.cpp's version, as it tells it.
pub fn llama_version() -> String {
    llama::runtime::version()
}

/// The library's version, the ABI number of the frozen header and the engine's build, as one line.
pub fn version() -> &'static std::ffi::CStr {
    static TEXT: once_cell::sync::Lazy<std::ffi::CString> = once_cell::sync::Lazy::new(|| {
        let text = format!(
            "wasi-nn-backend {} (abi 1, llama.cpp {}, {})",
            env!("CARGO_PKG_VERSION"),
            llama::runtime::version(),
            llama::runtime::system_info()
        );
        // An interior NUL cannot come from a version text; without it the text is the crate's version alone.
        std::ffi::CString::new(text).unwrap_or_else(|_| c"wasi-nn-backend".into())
    });
    &TEXT
}
