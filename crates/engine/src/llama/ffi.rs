//! The functions of `shim.h` as Rust sees them, and the one way to call them.
//!
//! Knows no types of this room: it turns a code and a buffer of text into a `Fault`.

use std::ffi::{CStr, c_char};

use llama_cpp_sys_2 as sys;

use crate::error::Error;

use super::Vocab;

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

/// `struct engine_split_rules` of the shim.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RawSplitRules {
    pub(super) pre: i32,
    pub(super) ignores_merges: bool,
    pub(super) escapes_whitespace: bool,
    pub(super) lowers: bool,
}

/// `struct engine_word_rules` of the shim.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct RawWordRules {
    pub(super) encodes_bytes: bool,
    pub(super) ignores_merges: bool,
    pub(super) keeps_newlines: bool,
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
    fn engine_vocab_rules(
        vocab: *const sys::llama_vocab,
        out: *mut RawSplitRules,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    fn engine_sort_by_length(
        ids: *mut sys::llama_token,
        lengths: *const usize,
        count: usize,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    fn engine_characters(
        flags: *mut u16,
        lower: *mut u32,
        count: usize,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
    fn engine_merge_words(
        vocab: *const sys::llama_vocab,
        text: *const c_char,
        ends: *const u32,
        n_words: usize,
        rules: *const RawWordRules,
        tokens: *mut sys::llama_token,
        room: usize,
        out: *mut usize,
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

/// How a byte-pair vocabulary treats text before it is split.
pub(super) fn split_rules(vocab: &Vocab) -> Result<RawSplitRules, Fault> {
    let mut rules = RawSplitRules::default();
    guarded(|err, cap| {
        // SAFETY: the vocabulary is valid, `rules` is written on success only.
        unsafe { engine_vocab_rules(vocab.as_ptr(), &mut rules, err, cap) }
    })?;
    Ok(rules)
}

/// `ids` from the longest text to the shortest, equal ones in llama.cpp's order; `lengths` are theirs.
///
/// Panics if there are not as many of each.
pub(super) fn sort_by_length(
    mut ids: Vec<sys::llama_token>,
    lengths: &[usize],
) -> Result<Vec<sys::llama_token>, Fault> {
    assert_eq!(ids.len(), lengths.len(), "each id has a length");
    guarded(|err, cap| {
        // SAFETY: both arrays have as many elements as is said.
        unsafe { engine_sort_by_length(ids.as_mut_ptr(), lengths.as_ptr(), ids.len(), err, cap) }
    })?;
    Ok(ids)
}

/// llama.cpp's flags and small letters of the first `count` code points.
pub(super) fn characters(count: usize) -> Result<(Vec<u16>, Vec<u32>), Fault> {
    let (mut flags, mut lower) = (vec![0; count], vec![0; count]);
    guarded(|err, cap| {
        // SAFETY: both arrays have room for `count` elements.
        unsafe { engine_characters(flags.as_mut_ptr(), lower.as_mut_ptr(), count, err, cap) }
    })?;
    Ok((flags, lower))
}

/// The tokens of words, each of which ends in `text` where `ends` says.
///
/// Panics if the ends do not rise, or lie beyond the text.
pub(super) fn merge_words(
    vocab: &Vocab,
    text: &str,
    ends: &[u32],
    rules: &RawWordRules,
) -> Result<Vec<sys::llama_token>, Fault> {
    assert!(ends.is_sorted(), "words follow each other");
    assert!(ends.last().is_none_or(|end| *end as usize <= text.len()));
    // A byte is one character of the vocabulary's spelling, which has two bytes at most: as many tokens.
    let mut tokens = vec![0; 2 * text.len()];
    let mut count = 0;
    guarded(|err, cap| {
        // SAFETY: the words lie inside the text as was just checked, `tokens` has the room that is said.
        unsafe {
            engine_merge_words(
                vocab.as_ptr(),
                text.as_ptr().cast(),
                ends.as_ptr(),
                ends.len(),
                rules,
                tokens.as_mut_ptr(),
                tokens.len(),
                &mut count,
                err,
                cap,
            )
        }
    })?;
    tokens.truncate(count);
    Ok(tokens)
}
