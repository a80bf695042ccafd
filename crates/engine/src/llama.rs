//! The only room that calls llama.cpp: owning types whose safe functions cannot make it abort, leak or throw.
//!
//! Holds every `unsafe` line of the engine and the C++ shim that turns exceptions into codes. Each type owns one C
//! pointer; whatever an assertion of llama.cpp would answer by ending the process is checked here first. Knows no
//! configuration, no sessions and no policy. Written against llama.cpp as shipped with llama-cpp-sys-2 0.1.161: a new
//! version touches this folder only.

#![cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the types are whole: shifts, copies and saved states are tested here and wait for the memory policy"
    )
)]

pub(crate) mod runtime;

mod log;

mod ffi;

pub(crate) mod gguf;
pub(crate) mod opened;

pub(crate) mod model;
pub(crate) mod vocab;

mod partition;
mod pretokenizer;
mod tokenizer;

mod capacity;
pub mod exit;
mod threads;

pub(crate) mod batch;
pub(crate) mod context;

pub(crate) mod format;

mod grammar;
mod greedy;
pub(crate) mod sampler;

mod media;

#[cfg(feature = "fuzzing")]
mod trial;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::forge;

pub(crate) use batch::Batch;
pub(crate) use context::{
    Context, ContextParams, DecodeFailure, Embedding, FlashAttention, KvType, Pooling, Rope,
    RopeScaling,
};
pub(crate) use ffi::DEAD_END_TEXT;
pub(crate) use grammar::json_schema_to_grammar;
pub use media::IMAGE_MARK;
pub(crate) use media::{Part, Projector, Rows};
pub(crate) use model::{CpuExperts, Model, ModelParams, SplitMode};
pub use opened::OpenFile;
pub(crate) use runtime::Numa;
pub(crate) use sampler::{Sampler, Stage};
pub(crate) use threads::ThreadCounts;
#[cfg(feature = "fuzzing")]
pub use trial::TrialVocab;
pub(crate) use vocab::{Special, Vocab, VocabKind};

/// A token id of some vocabulary; `Vocab::is_valid` says of which.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Token(pub(crate) i32);

/// A sequence of one context: a number below its `n_seq_max`, made by `Context::seq` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeqId(u32);

impl SeqId {
    /// The number that llama.cpp knows the sequence by.
    pub(crate) fn index(self) -> u32 {
        self.0
    }
}
