//! Which tokens the next step evaluates: a token of every running answer that goes on, and a share of the waiting prompts.

use super::pace::Amount;
use super::pool::Pool;
use super::share::share;
use super::slot::Slot;
use crate::error::Result;
use crate::llama::Batch;

/// Every so many steps, prompts are served in the order of admission alone.
const BY_AGE: u64 = 4;

/// Answers that the next step may continue.
pub(super) fn decodes(slots: &[Slot]) -> usize {
    let going = slots.iter().filter(|s| s.goes);
    going.filter(|s| s.work.decode_token().is_some()).count()
}

/// What a step may evaluate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowance {
    /// Whether running answers go on.
    pub(super) answers: bool,
    /// Most tokens of prompts.
    pub(super) prefill: usize,
    /// A prompt that does not go in whole gets a multiple of this.
    pub(super) unit: usize,
    /// The lane's steps so far.
    pub(super) turn: u64,
}

/// Fills `batch` for one step and notes in each slot what it got.
///
/// There are never more slots than the batch holds tokens. Prompts are served in the order of class, then of admission;
/// every fourth step of admission alone.
/// Logits are asked for only where a token will be sampled. Tokens stand in the order of sequences: with split KV,
/// llama.cpp evaluates neighbours that follow each other in one graph, and all others in further ones.
pub(super) fn fill(
    batch: &mut Batch,
    slots: &mut [Slot],
    pool: &Pool,
    allowance: Allowance,
) -> Result<Amount> {
    batch.clear();
    let decodes = if allowance.answers { decodes(slots) } else { 0 };
    let mut waiting: Vec<usize> = (0..slots.len())
        .filter(|&at| slots[at].goes && !slots[at].work.text_rest().is_empty())
        .collect();
    // Slots stand in the order of admission. Class goes before it, but not always: the oldest prompt gets on, too.
    if !allowance.turn.is_multiple_of(BY_AGE) {
        waiting.sort_by_key(|&at| std::cmp::Reverse(slots[at].standing.class()));
    }
    let rests: Vec<usize> = waiting
        .iter()
        .map(|&at| slots[at].work.text_rest().len())
        .collect();
    let budget = allowance.prefill.min(batch.room().saturating_sub(decodes));
    // Who waits to look at an image is neither: it has a step of its own.
    let answer = |slot: &Slot| {
        usize::from(allowance.answers && slot.goes && slot.work.decode_token().is_some())
    };
    let mut counts: Vec<usize> = slots.iter().map(answer).collect();
    let shares = share(budget, &rests, allowance.unit, allowance.turn);
    for (&at, count) in waiting.iter().zip(shares) {
        counts[at] = count;
    }
    let mut order: Vec<usize> = (0..slots.len()).collect();
    order.sort_unstable_by_key(|&at| slots[at].sequence);
    for at in order {
        let filled = pool.len(slots[at].sequence);
        slots[at].plan(batch, filled, counts[at])?;
    }
    Ok(Amount {
        decodes,
        prefill: batch.len() - decodes,
    })
}
