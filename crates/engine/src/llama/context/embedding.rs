//! Embeddings: what a context that was made for them says of a text.
//!
//! Knows no text and no scale: tokens in, values as the model gives them out.

use llama_cpp_sys_2 as sys;

use super::super::{Token, ffi};
use super::{Context, DecodeFailure, Stop};

/// The one sequence that texts are evaluated in.
const SEQUENCE: u32 = 0;

impl Context {
    /// Whether what it gives is a score instead of an embedding.
    pub(crate) fn gives_score(&self) -> bool {
        self.pooling() == sys::LLAMA_POOLING_TYPE_RANK
    }

    /// The values of a text of 1 to `n_batch` tokens: pooled, or the last token's where the context does not pool.
    /// Gives up with `Aborted` as `decode_unless` does. Leaves the context empty.
    pub(crate) fn embed(
        &mut self,
        tokens: &[Token],
        stop: Stop<'_>,
    ) -> Result<Vec<f32>, DecodeFailure> {
        let result = self.evaluate(tokens, stop);
        match (result, self.clear()) {
            (Ok(_), Err(error)) => Err(DecodeFailure::Failed(error.to_string())),
            (result, _) => result,
        }
    }

    fn evaluate(&mut self, tokens: &[Token], stop: Stop<'_>) -> Result<Vec<f32>, DecodeFailure> {
        let failed = |text: &str| DecodeFailure::Failed(format!("embed: {text}"));
        let seq = self
            .seq(SEQUENCE)
            .ok_or_else(|| failed("the context has no sequence"))?;
        let mut batch = self.new_batch();
        for (position, token) in (0..).zip(tokens) {
            batch
                .push(*token, position, seq, true)
                .map_err(|error| DecodeFailure::Failed(error.to_string()))?;
        }
        self.decode_unless(&batch, stop)?;
        let values = self
            .values(tokens.len())
            .ok_or_else(|| failed("llama.cpp gave no values"))?;
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(failed("a value is not finite")),
        }
    }

    /// What the last batch, of `count` tokens, left.
    fn values(&self, count: usize) -> Option<Vec<f32>> {
        let is_pooled = self.pooling() != sys::LLAMA_POOLING_TYPE_NONE;
        let seq = if is_pooled { SEQUENCE as i32 } else { -1 };
        let index = i32::try_from(count).ok()? - 1;
        let width = self.model.n_embd_out(self.gives_score()) as usize;
        let mut values = std::ptr::null();
        ffi::guarded(|err, cap| {
            // SAFETY: the context is valid and its last batch had that entry; `values` is written on success only.
            unsafe { ffi::engine_embedding(self.as_ptr(), seq, index, &mut values, err, cap) }
        })
        .ok()?;
        if values.is_null() {
            return None;
        }
        // SAFETY: llama.cpp keeps as many values for an entry and for a sequence, until the next decode.
        Some(unsafe { std::slice::from_raw_parts(values, width) }.to_vec())
    }

    fn pooling(&self) -> sys::llama_pooling_type {
        // SAFETY: the pointer is valid for the life of `self`.
        unsafe { sys::llama_pooling_type(self.as_ptr()) }
    }
}
