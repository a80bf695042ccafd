//! A context: the KV cells of a model, its compute threads, and what runs on them.
//!
//! Owns the `llama_context` pointer, its threadpool and a share of its model, and frees them in that order. One thread
//! at a time. Knows no sessions: it is told which tokens to decode and which cells to drop.

mod attention;
mod create;
mod embedding;
mod memory;
mod params;
mod state;

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};

use super::batch::{Batch, Limits};
use super::exit;
use super::threads::Pool;
use super::{Model, SeqId, ThreadCounts, Token, capacity, ffi, log};
use attention::Attention;
use create::Raw;

pub(crate) use create::measure;
pub(crate) use memory::Removal;
pub(crate) use params::{
    ContextParams, Embedding, FlashAttention, KvType, Pooling, Rope, RopeScaling,
};

/// Bytes that a context and its model hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MemoryBreakdown {
    /// Weights.
    pub(crate) model: u64,
    /// KV cells and recurrent states.
    pub(crate) context: u64,
    /// Scratch space of the graphs.
    pub(crate) compute: u64,
    /// Whether llama.cpp told these numbers. Otherwise weights and cells are computed from the model's shape and
    /// scratch space is not counted.
    pub(crate) measured: bool,
}

/// Why a decode call did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DecodeFailure {
    /// No cells for the batch; nothing has changed.
    NoCells,
    /// It was told to stop; what was finished before stays: ask `seq_next_pos` for every sequence of the batch.
    Aborted,
    /// Refused (nothing has changed) or failed (as after `Aborted`), with the reason.
    Failed(String),
}

/// Asked between the nodes of a graph whether to give the step up.
type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// What the abort callback reads; at a fixed address for the life of the context.
#[derive(Default)]
struct Abort {
    /// The question of the decode that is running; null outside of one, and while a shift is applied, which must not be
    /// cut because llama.cpp would apply it a second time.
    stop: AtomicPtr<Stop<'static>>,
}

impl Abort {
    /// Lets the callback ask `stop` until the result is dropped.
    fn ask<'a>(&'a self, stop: Stop<'a>, shift_pending: bool) -> Asking<'a> {
        let asking = Asking {
            abort: self,
            stop: Box::new(stop),
        };
        if !shift_pending {
            let stop = std::ptr::from_ref(&*asking.stop).cast_mut().cast();
            self.stop.store(stop, Ordering::Relaxed);
        }
        asking
    }
}

/// Keeps a question where the callback finds it.
struct Asking<'a> {
    abort: &'a Abort,
    stop: Box<Stop<'a>>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.abort
            .stop
            .store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

/// The KV cells and compute threads of one model. `Send`, not `Sync`.
pub(crate) struct Context {
    /// First in the order of fields: it is freed before what it uses.
    raw: Raw,
    abort: Box<Abort>,
    pool: Pool,
    model: Arc<Model>,
    limits: Limits,
    kv_unified: bool,
    removal: Removal,
    /// By batch index, whether the last decode left logits there.
    outputs: Vec<bool>,
    shift_pending: bool,
    /// Sequences with cells that the next decode has yet to write.
    unsettled: Vec<u32>,
    /// Copies of whole sequences, from and to, that the next decode has yet to make.
    copies: Vec<(u32, u32)>,
    quantised_keys: bool,
    /// What the saved states of this context have in common with others of the same shape.
    fingerprint: u64,
    /// For builds whose llama.cpp does not tell what it allocated.
    estimated_cell_bytes: u64,
}

// SAFETY: a context may be used by any one thread at a time; it has no ties to the thread that made it. It is not
// `Sync`: even reading logits reorders them.
unsafe impl Send for Context {}

impl Context {
    /// Makes a context of `model` with its own threadpool, and finds out how its cells can be removed.
    ///
    /// Errors: `InvalidArgument` for a number out of range; `Unsupported` for encoders and models that do not generate;
    /// `Load` for memory that is not there and for combinations that the model refuses.
    pub(crate) fn new(model: Arc<Model>, params: &ContextParams) -> Result<Context> {
        if model.is_outline() {
            let text = "a model without its tensors cannot compute";
            return Err(Error::Internal(text.into()));
        }
        let raw = Raw::new(&model, params)?;
        // SAFETY: the context is valid.
        let n_ctx_seq = unsafe { sys::llama_n_ctx_seq(raw.as_ptr()) };
        let pool = Pool::new(params.threads, params.poll)?;
        let mut context = Context {
            raw,
            abort: Box::default(),
            pool,
            limits: Limits {
                context: next_number(),
                n_batch: 0,
                n_outputs: params.outputs(),
                n_seq_max: params.n_seq_max,
                n_tokens: model.vocab_size() as usize,
                n_embd: model.n_embd_inp() as usize,
            },
            kv_unified: params.kv_unified,
            removal: Removal::None,
            outputs: Vec::new(),
            shift_pending: false,
            unsettled: Vec::new(),
            copies: Vec::new(),
            quantised_keys: params.type_k.is_quantised(),
            fingerprint: state::fingerprint(&model, params, n_ctx_seq),
            estimated_cell_bytes: capacity::cell_bytes(&model, params),
            model,
        };
        context.limits.n_batch = context.n_batch();
        // SAFETY: context and pool are valid and `Drop` detaches before either is freed.
        unsafe {
            sys::llama_attach_threadpool(
                context.as_ptr(),
                context.pool.as_ptr(),
                context.pool.as_ptr(),
            )
        };
        // SAFETY: the `Abort` is boxed, so its address stays; it is dropped after the context is freed.
        unsafe {
            sys::llama_set_abort_callback(
                context.as_ptr(),
                Some(is_aborted),
                std::ptr::from_ref::<Abort>(&context.abort)
                    .cast_mut()
                    .cast(),
            )
        };
        if params.embedding.is_none() {
            context.check_causal()?;
        }
        if params.is_shy {
            context.set_threads(ThreadCounts {
                decode: 1,
                batch: 1,
            })?;
        }
        if params.embedding.is_none() {
            context.removal = context.probe_removal()?;
        }
        Ok(context)
    }

    /// A batch graph needs every token of a sequence at once when attention looks both ways.
    fn check_causal(&self) -> Result<()> {
        // SAFETY: the pointer is valid for the life of `self`.
        if unsafe { sys::llama_get_causal_attn(self.as_ptr()) } {
            return Ok(());
        }
        Err(Error::Unsupported(format!(
            "{} attends in both directions: it embeds texts (model.embedding) and generates none",
            self.model.description()
        )))
    }

    /// Cells of all sequences.
    pub(crate) fn n_ctx(&self) -> u32 {
        // SAFETY: the pointer is valid for the life of `self`.
        unsafe { sys::llama_n_ctx(self.as_ptr()) }
    }

    /// Cells that one sequence can have: the capacity of a conversation.
    pub(crate) fn n_ctx_seq(&self) -> u32 {
        // SAFETY: as above.
        unsafe { sys::llama_n_ctx_seq(self.as_ptr()) }
    }

    /// Tokens per decode call.
    pub(crate) fn n_batch(&self) -> u32 {
        // SAFETY: as above.
        unsafe { sys::llama_n_batch(self.as_ptr()) }
    }

    /// Whether all sequences share one pool of cells and one graph.
    pub(crate) fn is_unified(&self) -> bool {
        self.kv_unified
    }

    /// Tokens per graph.
    pub(crate) fn n_ubatch(&self) -> u32 {
        // SAFETY: as above.
        unsafe { sys::llama_n_ubatch(self.as_ptr()) }
    }

    /// Sequences.
    pub(crate) fn n_seq_max(&self) -> u32 {
        self.limits.n_seq_max
    }

    /// Tokens that a sliding window looks back on; 0 without one.
    pub(crate) fn n_swa(&self) -> u32 {
        self.model.n_swa()
    }

    /// What saved cells of this context have in common with those of others of the same shape.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The sequence with number `index`, if the context has it.
    pub(crate) fn seq(&self, index: u32) -> Option<SeqId> {
        (index < self.n_seq_max()).then_some(SeqId(index))
    }

    /// An empty batch for this context.
    pub(crate) fn new_batch(&self) -> Batch {
        Batch::new(self.limits)
    }

    /// Evaluates `batch`. Its positions must continue what each sequence holds, from 0 for an empty one.
    pub(crate) fn decode(&mut self, batch: &Batch) -> std::result::Result<(), DecodeFailure> {
        self.decode_unless(batch, &|| false)
    }

    /// As `decode`, and gives up with `Aborted` when `stop` says so, on devices that ask: the CPU does on this thread
    /// after every node of the graph. A decode that applies a shift runs to its end.
    pub(crate) fn decode_unless(
        &mut self,
        batch: &Batch,
        stop: Stop<'_>,
    ) -> std::result::Result<(), DecodeFailure> {
        self.check_batch(batch).map_err(DecodeFailure::Failed)?;
        let _computing = exit::Computing::begin();
        self.outputs.clear();
        let mut status = 0;
        let _attention = Attention::of(self, batch);
        let (called, lines) = {
            let _asking = self.abort.ask(stop, self.shift_pending);
            log::capture_details(|| {
                batch.with_raw(|raw| {
                    ffi::guarded(|err, cap| {
                        // SAFETY: the context is valid and the batch was checked against everything that it asserts.
                        unsafe { ffi::engine_decode(self.as_ptr(), raw, &mut status, err, cap) }
                    })
                })
            })
        };
        if let Err(fault) = called {
            return Err(DecodeFailure::Failed(fault.during("decode").to_string()));
        }
        match status {
            0 => {
                self.shift_pending = false;
                self.unsettled.clear();
                self.copies.clear();
                self.outputs.extend(batch.outputs());
                Ok(())
            }
            1 => Err(DecodeFailure::NoCells),
            2 => Err(DecodeFailure::Aborted),
            code => {
                let reason = log::reason(&lines).unwrap_or_default();
                Err(DecodeFailure::Failed(format!(
                    "decode: code {code} {reason}"
                )))
            }
        }
    }

    fn check_batch(&self, batch: &Batch) -> std::result::Result<(), String> {
        if *batch.limits() != self.limits {
            return Err("the batch belongs to another context".to_owned());
        }
        if batch.is_empty() {
            return Err("the batch is empty".to_owned());
        }
        if batch.looks_ahead() && batch.len() > self.n_ubatch() as usize {
            return Err(format!(
                "{} positions that look ahead do not fit into a graph of {}",
                batch.len(),
                self.n_ubatch()
            ));
        }
        for (index, span) in batch.spans() {
            let next = self.seq_next_pos(SeqId(index));
            if span.first != next {
                return Err(format!(
                    "position {} of sequence {index} does not continue the context, must be {next}",
                    span.first
                ));
            }
        }
        Ok(())
    }

    /// The logits of entry `output` of the last batch, one per token; `None` if it did not ask for them.
    ///
    /// Natural log scale, not normalised. Nothing after a failed decode.
    pub(crate) fn logits(&self, output: usize) -> Option<&[f32]> {
        // llama.cpp aborts in debug builds when asked for a row that is not there.
        if !self.outputs.get(output).copied().unwrap_or(false) {
            return None;
        }
        let index = i32::try_from(output).ok()?;
        let mut row = std::ptr::null();
        ffi::guarded(|err, cap| {
            // SAFETY: the context is valid and the entry has logits; `row` is written on success only.
            unsafe { ffi::engine_logits(self.as_ptr(), index, &mut row, err, cap) }
        })
        .ok()?;
        if row.is_null() {
            return None;
        }
        // SAFETY: the row has one value per token and stays until the next decode, which needs `&mut self`.
        Some(unsafe { std::slice::from_raw_parts(row, self.limits.n_tokens) })
    }

    /// As `logits`. Errors: `InvalidArgument` for an entry without logits.
    pub(crate) fn row(&self, output: usize) -> Result<&[f32]> {
        self.logits(output).ok_or_else(|| {
            Error::InvalidArgument(format!("entry {output} of the last batch has no logits"))
        })
    }

    /// Changes the number of compute threads, within the pool that was made at creation. Between steps.
    pub(crate) fn set_threads(&mut self, counts: ThreadCounts) -> Result<()> {
        counts.check()?;
        let size = self.pool.size();
        let [decode, batch] = [counts.decode, counts.batch].map(|count| signed(count.min(size)));
        // SAFETY: the pointer is valid; both counts are at least 1.
        unsafe { sys::llama_set_n_threads(self.as_ptr(), decode, batch) };
        Ok(())
    }

    /// Puts the compute threads to sleep; the next decode wakes them.
    pub(crate) fn pause_threads(&mut self) {
        self.pool.pause();
    }

    /// Wakes the compute threads ahead of a decode.
    pub(crate) fn resume_threads(&mut self) {
        self.pool.resume();
    }

    fn as_ptr(&self) -> *mut sys::llama_context {
        self.raw.as_ptr()
    }

    fn check_seq(&self, seq: SeqId) -> Result<i32> {
        if seq.index() >= self.n_seq_max() {
            return Err(Error::InvalidArgument(format!(
                "sequence {} is unknown, the context has {}",
                seq.index(),
                self.n_seq_max()
            )));
        }
        Ok(signed(seq.index()))
    }

    /// Two tokens of the model, for probes.
    fn probe_token(&self) -> Token {
        self.model.vocab().bos().unwrap_or(Token(0))
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("limits", &self.limits)
            .field("removal", &self.removal)
            .finish_non_exhaustive()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is valid; it must not touch the pool any more when it is freed.
        unsafe { sys::llama_detach_threadpool(self.as_ptr()) };
    }
}

unsafe extern "C" fn is_aborted(data: *mut c_void) -> bool {
    // SAFETY: `data` is the boxed `Abort` of the context that is computing.
    let abort = unsafe { &*data.cast::<Abort>() };
    let stop = abort.stop.load(Ordering::Relaxed);
    if exit::is_under_way() || stop.is_null() {
        return exit::is_under_way();
    }
    // SAFETY: not null only while an `Asking` keeps what it points to, on this thread's stack above.
    let stop = unsafe { &*stop };
    // A panic must not cross llama.cpp.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(stop)).unwrap_or(true)
}

fn check_kind(model: &Model) -> Result<()> {
    if model.has_encoder() || !model.has_decoder() {
        return Err(Error::Unsupported(format!(
            "{} is an encoder, the engine runs decoders",
            model.description()
        )));
    }
    Ok(())
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
