//! Bringing a `llama_context` into being, and asking what one would take.

use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};

use super::super::{Model, capacity, exit, ffi, log, runtime};
use super::{ContextParams, FlashAttention, MemoryBreakdown, Pooling, Rope, check_kind, signed};

/// An owned `llama_context`. The model outlives it by the owner's share of it.
pub(super) struct Raw(NonNull<sys::llama_context>);

impl Raw {
    /// Makes a context of `model`, which for one without tensors has no cells either, unless it is recurrent.
    ///
    /// Errors: as `Context::new`.
    pub(super) fn new(model: &Model, params: &ContextParams) -> Result<Raw> {
        runtime::init();
        params.check()?;
        params.rope.check_reach(model.original_context())?;
        check_kind(model)?;
        capacity::check(model, params)?;
        let n_batch = params.n_batch.min(params.n_ctx);
        // SAFETY: no arguments; returns a struct by value.
        let mut raw_params = unsafe { sys::llama_context_default_params() };
        raw_params.n_ctx = params.n_ctx;
        raw_params.n_batch = n_batch;
        raw_params.n_ubatch = params.n_ubatch.min(n_batch);
        raw_params.n_seq_max = params.n_seq_max;
        // llama.cpp asserts that the output buffer, which it sizes by sequences, is within this bound.
        raw_params.n_outputs_max = params.outputs().max(params.n_seq_max);
        raw_params.n_threads = signed(params.threads.decode);
        raw_params.n_threads_batch = signed(params.threads.batch);
        raw_params.type_k = params.type_k.raw();
        raw_params.type_v = params.type_v.raw();
        raw_params.flash_attn_type = match params.flash_attention {
            FlashAttention::Auto => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
            FlashAttention::On => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
            FlashAttention::Off => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
        };
        params.rope.fill(&mut raw_params);
        raw_params.offload_kqv = params.offload_kv;
        raw_params.kv_unified = params.kv_unified;
        if let Some(embedding) = params.embedding {
            if embedding.pooling == Pooling::Rank && !model.ranks() {
                return Err(Error::Load(format!(
                    "no context: {} has no head that gives a text a score (pooling rank)",
                    model.description()
                )));
            }
            embedding.fill(&mut raw_params);
        }
        let mut raw = std::ptr::null_mut();
        let is_reshaping = params.rope != Rope::MODEL;
        let _writing = is_reshaping.then(|| model.reshaping.write());
        let _reading_it = (!is_reshaping).then(|| model.reshaping.read());
        // The end of the process waits for this call.
        let _reading = exit::Reading::begin()
            .ok_or_else(|| Error::Load("no context: the process is ending".into()))?;
        let (made, lines) = log::capture(|| {
            ffi::guarded(|err, cap| {
                // SAFETY: the model outlives the context; `raw` is written on success only.
                unsafe { ffi::engine_context_new(model.as_ptr(), &raw_params, &mut raw, err, cap) }
            })
        });
        made.map_err(|fault| Error::Load(format!("no context: {}", fault.during("creation"))))?;
        let raw = NonNull::new(raw).map(Raw).ok_or_else(|| {
            let reason = log::reason(&lines).unwrap_or_else(|| "llama.cpp gave no reason".into());
            Error::Load(format!("no context: {reason}"))
        })?;
        raw.adapt(model, &params.adapter_scales)?;
        Ok(raw)
    }

    /// Sets how much of each of the model's adapters counts.
    fn adapt(&self, model: &Model, scales: &[f32]) -> Result<()> {
        let mut adapters = model.adapters();
        let mut scales = scales.to_vec();
        scales.resize(adapters.len(), 0.0);
        if adapters.is_empty() {
            return Ok(());
        }
        ffi::guarded(|err, cap| {
            let (adapters, count) = (adapters.as_mut_ptr(), adapters.len());
            // SAFETY: context and adapters are valid and of one model, and there is a scale for each.
            unsafe {
                ffi::engine_adapters_set(
                    self.as_ptr(),
                    adapters,
                    count,
                    scales.as_mut_ptr(),
                    err,
                    cap,
                )
            }
        })
        .map_err(|fault| Error::Load(format!("no context: {}", fault.during("adapters"))))
    }

    /// The pointer, valid for the life of `self`.
    pub(super) fn as_ptr(&self) -> *mut sys::llama_context {
        self.0.as_ptr()
    }

    /// The bytes that weights, cells and scratch space take, or would take; `None` where this llama.cpp does not tell.
    pub(super) fn memory(&self) -> Option<[u64; 3]> {
        let mut bytes = [0_u64; 3];
        let told = ffi::guarded(|err, cap| {
            // SAFETY: the context is valid and `bytes` has the three values that are written on success.
            unsafe { ffi::engine_memory_breakdown(self.as_ptr(), bytes.as_mut_ptr(), err, cap) }
        });
        told.is_ok().then_some(bytes)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let freed = ffi::guarded(|err, cap| {
            // SAFETY: `self` owns the pointer; what the context uses is dropped after this.
            unsafe { ffi::engine_context_free(self.as_ptr(), err, cap) }
        });
        if let Err(fault) = freed {
            ::log::error!(target: "engine", "{}", fault.during("free context"));
        }
    }
}

/// The bytes that `model` and a context of it with this shape would take. The model may lack its tensors.
///
/// Errors: as `Context::new`.
pub(crate) fn measure(model: &Model, params: &ContextParams) -> Result<MemoryBreakdown> {
    // llama.cpp takes the memory for recurrent states also where it is told to take none.
    let told = match model.is_recurrent() || model.is_hybrid() {
        true => None,
        false => Raw::new(model, params)?.memory(),
    };
    Ok(MemoryBreakdown::of(
        told,
        model,
        capacity::cell_bytes(model, params),
    ))
}

impl MemoryBreakdown {
    /// What llama.cpp told, or what can be computed: the weights, and `cells`. It tells of no adapters.
    pub(super) fn of(told: Option<[u64; 3]>, model: &Model, cells: u64) -> MemoryBreakdown {
        let measured = told.is_some();
        let [model_bytes, context, compute] =
            told.unwrap_or_else(|| [model.size_bytes(), cells, 0]);
        MemoryBreakdown {
            model: model_bytes.saturating_add(model.adapter_bytes()),
            context,
            compute,
            measured,
        }
    }
}
