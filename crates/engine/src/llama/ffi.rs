//! The functions of `shim.h` as Rust sees them, and the one way to call them.
//!
//! Knows no types of this room: it turns a code and a buffer of text into a `Fault`.

use std::ffi::{CStr, c_char};

use llama_cpp_sys_2 as sys;

use crate::error::Error;

/// How the text of an error begins when the sampler is left without any token.
pub(crate) const DEAD_END_TEXT: &str = "dead end";

/// What a wrapped call reported instead of success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// `std::bad_alloc`.
    NoMemory,
    /// Another exception, with its text.
    Failed(String),
    /// A logit is not a number, or infinite.
    BadLogits(String),
    /// No candidate is left to choose from.
    DeadEnd(String),
    /// This llama.cpp does not have the function.
    Absent,
}

impl Fault {
    /// The engine's error for a fault in `what`, such as `decode`.
    pub(super) fn during(self, what: &str) -> Error {
        Error::Engine(match self {
            Fault::NoMemory => format!("{what}: out of memory"),
            Fault::Failed(text) => format!("{what}: {text}"),
            Fault::BadLogits(text) => format!("bad logits: {text}"),
            Fault::DeadEnd(text) => format!("{DEAD_END_TEXT}: {text}"),
            Fault::Absent => format!("{what}: not offered by this llama.cpp"),
        })
    }
}

/// Runs one wrapped call with a buffer for the text of an exception.
///
/// `call` gets the buffer and its size and returns the shim's code.
pub(super) fn guarded(call: impl FnOnce(*mut c_char, usize) -> i32) -> Result<(), Fault> {
    let mut text = [0 as c_char; 512];
    let code = call(text.as_mut_ptr(), text.len());
    if code == OK {
        return Ok(());
    }
    let text = || {
        // SAFETY: `text` is zeroed at first and the shim writes at most its length, terminator included.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) };
        text.to_string_lossy().trim().to_owned()
    };
    Err(match code {
        NO_MEMORY => Fault::NoMemory,
        BAD_LOGITS => Fault::BadLogits(text()),
        DEAD_END => Fault::DeadEnd(text()),
        ABSENT => Fault::Absent,
        _ => Fault::Failed(text()),
    })
}

const OK: i32 = 0;
const NO_MEMORY: i32 = 1;
const BAD_LOGITS: i32 = 3;
const DEAD_END: i32 = 4;
const ABSENT: i32 = 5;

/// `struct engine_sampler` of the shim.
#[repr(C)]
pub(super) struct RawSampler {
    _private: [u8; 0],
}

/// `struct engine_stage` of the shim; which fields count depends on `kind`.
#[repr(C)]
pub(super) struct RawStage {
    pub(super) kind: i32,
    pub(super) i0: i32,
    pub(super) i1: i32,
    pub(super) f0: f32,
    pub(super) f1: f32,
    pub(super) f2: f32,
    pub(super) seed: u32,
    pub(super) keep: usize,
    pub(super) bias: *const sys::llama_logit_bias,
    pub(super) n_bias: usize,
    pub(super) texts: *const *const c_char,
    pub(super) n_texts: usize,
}

unsafe extern "C" {
    pub(super) fn engine_model_load(
        paths: *mut *const c_char,
        n_paths: usize,
        params: *const sys::llama_model_params,
        out: *mut *mut sys::llama_model,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_model_free(
        model: *mut sys::llama_model,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_model_devices(
        model: *const sys::llama_model,
        out: *mut i32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_adapter_load(
        model: *mut sys::llama_model,
        path: *const c_char,
        out: *mut *mut sys::llama_adapter_lora,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_adapters_set(
        ctx: *mut sys::llama_context,
        adapters: *mut *mut sys::llama_adapter_lora,
        count: usize,
        scales: *mut f32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_context_new(
        model: *mut sys::llama_model,
        params: *const sys::llama_context_params,
        out: *mut *mut sys::llama_context,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_context_free(
        ctx: *mut sys::llama_context,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_tokenize(
        vocab: *const sys::llama_vocab,
        text: *const c_char,
        len: i32,
        tokens: *mut sys::llama_token,
        room: i32,
        special: bool,
        out: *mut i32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_chat_format(
        name: *const c_char,
        chat: *const sys::llama_chat_message,
        count: usize,
        opens_answer: bool,
        text: *mut c_char,
        room: i32,
        out: *mut i32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_decode(
        ctx: *mut sys::llama_context,
        batch: *const sys::llama_batch,
        out: *mut i32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_logits(
        ctx: *mut sys::llama_context,
        index: i32,
        out: *mut *const f32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_embedding(
        ctx: *mut sys::llama_context,
        seq: i32,
        index: i32,
        out: *mut *const f32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_memory_clear(
        ctx: *mut sys::llama_context,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_seq_rm(
        ctx: *mut sys::llama_context,
        seq: i32,
        from: i32,
        to: i32,
        out: *mut bool,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_seq_cp(
        ctx: *mut sys::llama_context,
        src: i32,
        dst: i32,
        from: i32,
        to: i32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_seq_add(
        ctx: *mut sys::llama_context,
        seq: i32,
        from: i32,
        to: i32,
        delta: i32,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_state_size(
        ctx: *mut sys::llama_context,
        seq: i32,
        out: *mut usize,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_state_get(
        ctx: *mut sys::llama_context,
        seq: i32,
        dst: *mut u8,
        size: usize,
        out: *mut usize,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_state_set(
        ctx: *mut sys::llama_context,
        seq: i32,
        src: *const u8,
        size: usize,
        out: *mut usize,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_memory_breakdown(
        ctx: *const sys::llama_context,
        out: *mut u64,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_sampler_new(
        vocab: *const sys::llama_vocab,
        out: *mut *mut RawSampler,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_sampler_free(sampler: *mut RawSampler);
    pub(super) fn engine_sampler_add(
        sampler: *mut RawSampler,
        stage: *const RawStage,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_sampler_clone(
        sampler: *const RawSampler,
        out: *mut *mut RawSampler,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_sampler_choose(
        sampler: *mut RawSampler,
        logits: *const f32,
        n_vocab: i32,
        banned: *const sys::llama_token,
        n_banned: usize,
        allowed: *const u64,
        out: *mut sys::llama_token,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    pub(super) fn engine_sampler_accept(
        sampler: *mut RawSampler,
        token: sys::llama_token,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
}
