//! Whether a context of a given shape can exist: block sizes that must divide, and memory that must be there.
//!
//! llama.cpp clears what it allocates. A size that the system hands out and cannot back would thus end the host's
//! process by the system's hand, not with an error; so it is compared with the machine's memory first. An estimate
//! from above, meant for absurd sizes only: what merely is tight fails in llama.cpp, with an error.

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};
use crate::machine;

use super::context::{ContextParams, FlashAttention, KvType};
use super::{Model, runtime};

/// What llama.cpp keeps beside the tensors for each cell.
const CELL_BYTES: u64 = 64;
/// Of a model that mixes attention with recurrent layers, at most this part has cells.
const HYBRID_SHARE: u64 = 4;

/// The lengths of keys and values of one head; 0 for models without attention.
struct Heads {
    key: u64,
    value: u64,
}

/// Checks `params` for `model`.
///
/// Errors: `Load`, with the figure that does not fit.
pub(super) fn check(model: &Model, params: &ContextParams) -> Result<()> {
    let heads = heads(model);
    blocks(params.type_k, heads.key, "cache_type_k")?;
    blocks(params.type_v, heads.value, "cache_type_v")?;
    if params.type_v.is_quantised() && params.flash_attention == FlashAttention::Off {
        return Err(Error::Load(format!(
            "cache_type_v {} needs flash attention, which is off",
            params.type_v.name()
        )));
    }
    // On a GPU the cells lie elsewhere, and its allocator answers at once.
    let Some(limit) = machine::total().filter(|_| !runtime::supports_gpu()) else {
        return Ok(());
    };
    let needed = estimate(model, params);
    if needed > limit {
        return Err(Error::Load(format!(
            "n_ctx {} with {} sequences needs about {} MiB, this machine has {} MiB",
            params.n_ctx,
            params.n_seq_max,
            needed >> 20,
            limit >> 20
        )));
    }
    Ok(())
}

fn heads(model: &Model) -> Heads {
    let architecture = model.meta("general.architecture").unwrap_or_default();
    let default = u64::from(model.n_embd().checked_div(model.n_head()).unwrap_or(0));
    let length = |key: &str| {
        model
            .meta(&format!("{architecture}.attention.{key}"))
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    Heads {
        key: length("key_length"),
        value: length("value_length"),
    }
}

/// A quantised cache stores whole blocks per head.
fn blocks(kind: KvType, head: u64, name: &str) -> Result<()> {
    // SAFETY: reads a constant table; every `KvType` is a ggml type.
    let block = unsafe { sys::ggml_blck_size(kind.raw()) };
    let block = u64::try_from(block).unwrap_or(1).max(1);
    if head.is_multiple_of(block) {
        return Ok(());
    }
    Err(Error::Load(format!(
        "{name} {} stores blocks of {block}, the model's heads have {head}",
        kind.name()
    )))
}

/// The bytes of all cells of a context of this shape, states of recurrent layers left out.
pub(super) fn cell_bytes(model: &Model, params: &ContextParams) -> u64 {
    let heads = heads(model);
    // SAFETY: reads a constant table; every `KvType` is a ggml type.
    let bytes = |kind: KvType, count| unsafe { sys::ggml_row_size(kind.raw(), count) } as u64;
    let width = |head: u64| i64::try_from(head * u64::from(model.n_head_kv())).unwrap_or(i64::MAX);
    let mut layers = u64::from(model.n_layer());
    if model.is_recurrent() {
        layers = 0;
    } else if model.is_hybrid() {
        layers /= HYBRID_SHARE;
    }
    let row = bytes(params.type_k, width(heads.key)) + bytes(params.type_v, width(heads.value));
    cells(params).saturating_mul(CELL_BYTES + layers * row)
}

/// Cells as llama.cpp rounds them: in split mode, each sequence has a share of its own.
fn cells(params: &ContextParams) -> u64 {
    let total = u64::from(params.n_ctx);
    if params.kv_unified {
        return total.next_multiple_of(256);
    }
    let sequences = u64::from(params.n_seq_max);
    (total.next_multiple_of(256) / sequences)
        .max(1)
        .next_multiple_of(256)
        * sequences
}

fn estimate(model: &Model, params: &ContextParams) -> u64 {
    let cells = cells(params);
    let rows = u64::from(params.n_outputs_max.max(params.n_seq_max));
    let vocabulary = u64::from(model.vocab_size());
    // The mask, and without flash attention the scores of all heads of one layer.
    let ubatch = u64::from(params.n_ubatch.min(params.n_batch));
    let scores = match params.flash_attention {
        FlashAttention::Off => u64::from(model.n_head()),
        FlashAttention::Auto | FlashAttention::On => 0,
    };
    cell_bytes(model, params)
        .saturating_add(rows.saturating_mul(vocabulary).saturating_mul(4))
        .saturating_add(
            cells
                .saturating_mul(ubatch)
                .saturating_mul(4 * (1 + scores)),
        )
}
