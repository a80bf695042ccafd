//! The cells of one sequence as bytes, and back.
//!
//! llama.cpp trusts such bytes. They are therefore wrapped, and only what this module wrote for a context of the same
//! model and shape is handed back:
//!
//! | Offset | Bytes | Content, little-endian |
//! |---|---|---|
//! | 0 | 8 | `ENGSEQ02` |
//! | 8 | 8 | fingerprint of model and context shape |
//! | 16 | 8 | length of the payload |
//! | 24 | .. | what `llama_state_seq_get_data_ext` wrote |
//!
//! That finds what belongs elsewhere, not damage: who stores the bytes outside of memory guards them.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::error::{Error, Result};

use super::super::{Model, SeqId, ffi, runtime};
use super::{Context, ContextParams, FlashAttention};

const MAGIC: [u8; 8] = *b"ENGSEQ02";
const HEADER_BYTES: usize = 24;

impl Context {
    /// The cells of `seq` as bytes, for `restore_seq` of this or an equal context. Errors: `Engine`, also where cells were
    /// moved or copied since the last decode, because that decode has yet to write them.
    pub(crate) fn save_seq(&mut self, seq: SeqId) -> Result<Vec<u8>> {
        if self.is_unsettled(seq) {
            return Err(Error::Engine(format!(
                "save sequence: the cells of sequence {} are not written yet",
                seq.index()
            )));
        }
        let seq = self.check_seq(seq)?;
        let mut size = 0;
        ffi::guarded(|err, cap| {
            // SAFETY: the context is valid and the sequence is one of its own; `size` is written on success only.
            unsafe { ffi::engine_state_size(self.as_ptr(), seq, &mut size, err, cap) }
        })
        .map_err(|fault| fault.during("save sequence"))?;
        let mut bytes = vec![0; HEADER_BYTES + size];
        let mut written = 0;
        ffi::guarded(|err, cap| {
            let target = bytes[HEADER_BYTES..].as_mut_ptr();
            // SAFETY: as above; `target` has `size` bytes.
            unsafe {
                ffi::engine_state_get(self.as_ptr(), seq, target, size, &mut written, err, cap)
            }
        })
        .map_err(|fault| fault.during("save sequence"))?;
        if written == 0 || written > size {
            return Err(Error::Engine(format!(
                "save sequence: {written} bytes of {size} were written"
            )));
        }
        bytes.truncate(HEADER_BYTES + written);
        for (at, value) in [(8, self.fingerprint), (16, written as u64)] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[..8].copy_from_slice(&MAGIC);
        Ok(bytes)
    }

    /// Replaces the cells of `seq` by saved ones. Returns how many positions it has then.
    ///
    /// Errors: `InvalidEncoding` for bytes that `save_seq` of an equal context did not write, `Engine` where the next decode
    /// has yet to copy the sequence: nothing has changed; `Engine` where they do not fit: the sequence is empty then.
    pub(crate) fn restore_seq(&mut self, seq: SeqId, bytes: &[u8]) -> Result<usize> {
        let raw = self.check_seq(seq)?;
        if self.is_copied(seq) {
            return Err(Error::Engine(format!(
                "restore sequence: a copy of or to sequence {} is not made yet",
                seq.index()
            )));
        }
        let payload = self
            .payload(bytes)
            .map_err(|reason| Error::InvalidEncoding(format!("the saved sequence {reason}")))?;
        let mut read = 0;
        let restored = ffi::guarded(|err, cap| {
            // SAFETY: the context is valid, the sequence its own, and the bytes are as this module saved them.
            unsafe {
                ffi::engine_state_set(
                    self.as_ptr(),
                    raw,
                    payload.as_ptr(),
                    payload.len(),
                    &mut read,
                    err,
                    cap,
                )
            }
        })
        .map_err(|fault| fault.during("restore sequence"));
        if restored.is_err() || read == 0 {
            self.seq_clear(seq);
            restored?;
            return Err(Error::Engine(
                "restore sequence: not enough free cells".to_owned(),
            ));
        }
        Ok(self.seq_next_pos(seq) as usize)
    }

    fn payload<'a>(&self, bytes: &'a [u8]) -> std::result::Result<&'a [u8], &'static str> {
        let (header, payload) = bytes.split_at_checked(HEADER_BYTES).ok_or("is too short")?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(word)
        };
        if header[..8] != MAGIC {
            return Err("was not written by this engine");
        }
        if word(8) != self.fingerprint {
            return Err("belongs to another model or context shape");
        }
        if word(16) != payload.len() as u64 {
            return Err("has lost its end");
        }
        Ok(payload)
    }
}

/// What must be equal for a saved sequence to fit: the model, the cell types, their layout and how they are computed.
/// `n_ctx_seq`: cells that one sequence may have, as llama.cpp rounded them.
pub(super) fn fingerprint(model: &Model, params: &ContextParams, n_ctx_seq: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    runtime::version().hash(&mut hasher);
    model.description().hash(&mut hasher);
    model.meta("general.name").hash(&mut hasher);
    (model.n_params(), model.size_bytes(), model.vocab_size()).hash(&mut hasher);
    (model.n_layer(), model.n_embd(), model.n_head_kv()).hash(&mut hasher);
    (params.type_k.name(), params.type_v.name()).hash(&mut hasher);
    (params.flash_attention == FlashAttention::Off).hash(&mut hasher);
    // What else decides what the cells of a text hold; that the adapters are the same is for who names them to know.
    format!("{:?}", (params.rope, &params.adapter_scales)).hash(&mut hasher);
    model.rotates_long(n_ctx_seq).hash(&mut hasher);
    // A split context writes one stream per sequence.
    (!params.kv_unified)
        .then_some(params.n_seq_max)
        .hash(&mut hasher);
    hasher.finish()
}
