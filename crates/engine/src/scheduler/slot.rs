//! A running turn's place: its sequence, and what this step evaluates for it.
//!
//! Lives in the engine thread only.

use super::queue::{Running, Standing};
use super::work::Work;
use crate::llama::{SeqId, Token};

/// A turn while it runs.
pub(super) struct Slot {
    pub(super) work: Work,
    /// Its place in the queue's books.
    pub(super) standing: Standing,
    /// Index in the pool.
    pub(super) sequence: usize,
    /// The same sequence as llama.cpp knows it.
    pub(super) seq: SeqId,
    /// Batch index whose logits are sampled from after the step.
    pub(super) output: Option<usize>,
    /// Tokens that this step evaluates, in order.
    pub(super) planned: Vec<Token>,
    /// Steps since it got this slot.
    pub(super) served: u64,
    /// It had a slot before and lost it.
    pub(super) resumed: bool,
}

impl Slot {
    /// The step did not happen for it.
    pub(super) fn unplan(&mut self) {
        self.planned.clear();
        self.output = None;
    }

    /// The slot as rotation sees it.
    pub(super) fn running(&self) -> Running<'_> {
        Running {
            standing: &self.standing,
            served: self.served,
            resumed: self.resumed,
        }
    }

    /// What the planned tokens cost the client: 1 for one of a prompt, 2 for one of an answer.
    pub(super) fn cost(&self) -> u64 {
        match self.work.decode_token() {
            Some(_) => 2,
            None => self.planned.len() as u64,
        }
    }
}
