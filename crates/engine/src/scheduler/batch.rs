//! Which tokens the next step evaluates: a token of every running answer first, then a share of the waiting prompts.

use super::pace::Amount;
use super::pool::Pool;
use super::share::share;
use super::slot::Slot;
use crate::error::Result;
use crate::llama::Batch;

/// Answers that the next step continues.
pub(super) fn decodes(slots: &[Slot]) -> usize {
    slots
        .iter()
        .filter(|s| s.work.decode_token().is_some())
        .count()
}

/// Fills `batch` for one step and notes in each slot what it got. `prefill`: most prompt tokens of step number `turn`.
///
/// There are never more slots than the batch holds tokens. Prompts are served in the order of class, then of admission.
/// Logits are asked for only where a token will be sampled.
pub(super) fn fill(
    batch: &mut Batch,
    slots: &mut [Slot],
    pool: &Pool,
    prefill: usize,
    turn: u64,
) -> Result<Amount> {
    batch.clear();
    let mut waiting = Vec::new();
    for (at, slot) in slots.iter_mut().enumerate() {
        slot.unplan();
        let Some(token) = slot.work.decode_token() else {
            waiting.push(at);
            continue;
        };
        let position = position(pool.len(slot.sequence));
        slot.output = Some(batch.push(token, position, slot.seq, true)?);
        slot.planned.push(token);
    }
    let decodes = batch.len();
    // The sort is stable: inside a class, slots stand in the order of admission.
    waiting.sort_by_key(|&at| std::cmp::Reverse(slots[at].standing.class()));
    let rests: Vec<usize> = waiting
        .iter()
        .map(|&at| slots[at].work.prefill_rest().len())
        .collect();
    let shares = share(prefill.min(batch.room()), &rests, turn);
    for (&at, count) in waiting.iter().zip(shares) {
        let slot = &mut slots[at];
        let rest = slot.work.prefill_rest();
        let piece = rest[..count].to_vec();
        let start = pool.len(slot.sequence);
        for (n, &token) in piece.iter().enumerate() {
            let samples = n + 1 == rest.len();
            let index = batch.push(token, position(start + n), slot.seq, samples)?;
            if samples {
                slot.output = Some(index);
            }
        }
        slot.planned = piece;
    }
    Ok(Amount {
        decodes,
        prefill: batch.len() - decodes,
    })
}

/// Positions are below the context's size, which is far below 2^31.
fn position(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("a sequence holds at most n_ctx tokens")
}
