//! Which tokens the next step evaluates: a token of every running answer first, then a share of the waiting prompts.

use super::pool::Pool;
use super::slot::Slot;
use crate::error::Result;
use crate::llama::Batch;

/// Fills `batch` for one step and notes in each slot what it got. `prefill`: most prompt tokens of the step.
///
/// There are never more slots than the batch holds tokens. Prompts are served in the order of `slots`, which is that of admission. Logits are asked for only where a token will
/// be sampled.
pub(super) fn fill(
    batch: &mut Batch,
    slots: &mut [Slot],
    pool: &Pool,
    prefill: usize,
) -> Result<()> {
    batch.clear();
    for slot in slots.iter_mut() {
        if let Some(token) = slot.decode_token() {
            let at = position(pool.len(slot.sequence));
            slot.output = Some(batch.push(token, at, slot.seq, true)?);
            slot.planned.push(token);
        }
    }
    let mut budget = prefill.min(batch.room());
    for slot in slots.iter_mut().filter(|s| s.decode_token().is_none()) {
        let rest = slot.prefill_rest();
        let share = rest.len().min(budget);
        let is_last = share == rest.len();
        let chunk = rest[..share].to_vec();
        let start = pool.len(slot.sequence);
        for (n, &token) in chunk.iter().enumerate() {
            let samples = is_last && n + 1 == share;
            let index = batch.push(token, position(start + n), slot.seq, samples)?;
            if samples {
                slot.output = Some(index);
            }
        }
        slot.planned = chunk;
        budget -= share;
    }
    Ok(())
}

/// Positions are below the context's size, which is far below 2^31.
fn position(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("a sequence holds at most n_ctx tokens")
}
