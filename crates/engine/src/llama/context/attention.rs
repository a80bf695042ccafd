//! Attention in both directions, for the one decode call that wants it.

use llama_cpp_sys_2 as sys;

use super::super::batch::Batch;
use super::Context;

/// The direction of attention during a decode call. Contexts of this room look back only, which dropping it restores.
pub(super) struct Attention(Option<*mut sys::llama_context>);

impl Attention {
    /// That of `batch`. It must be dropped before `context` is.
    pub(super) fn of(context: &Context, batch: &Batch) -> Attention {
        let changed = batch.looks_ahead().then(|| context.as_ptr());
        if let Some(raw) = changed {
            // SAFETY: the pointer is valid for the life of the context.
            unsafe { sys::llama_set_causal_attn(raw, false) };
        }
        Attention(changed)
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        if let Some(raw) = self.0 {
            // SAFETY: the maker of `self` drops it before the context.
            unsafe { sys::llama_set_causal_attn(raw, true) };
        }
    }
}
