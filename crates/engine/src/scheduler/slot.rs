//! A running turn's place: its sequence, and what this step evaluates for it.
//!
//! Lives in the engine thread only.

use std::cmp::Reverse;
use std::time::Instant;

use super::balance::Part;
use super::class::Class;
use super::hold::Next;
use super::queue::{Running, Standing};
use super::work::Work;
use crate::error::Result;
use crate::llama::{Batch, SeqId, Token};

/// Steps in which a turn that has waited does not give its cells up, if another one can.
const SPARED: u64 = 256;

/// A turn while it runs.
pub(super) struct Slot {
    pub(super) work: Box<Work>,
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
    /// Whether this step may work for it.
    pub(super) goes: bool,
    /// Steps since it got this slot.
    pub(super) served: u64,
    /// It had a slot before and lost it.
    pub(super) resumed: bool,
    /// It got this slot for its age.
    pub(super) is_overdue: bool,
}

impl Slot {
    /// Adds the next `count` tokens, at most one of an answer, to the step; its cells hold `filled` so far.
    pub(super) fn plan(&mut self, batch: &mut Batch, filled: usize, count: usize) -> Result<()> {
        self.unplan();
        let rest = match self.work.decode_token() {
            Some(_) => 1,
            None => self.work.prefill_rest().len(),
        };
        match self.work.decode_token() {
            Some(token) => self.planned.extend((count > 0).then_some(token)),
            None => self
                .planned
                .extend_from_slice(&self.work.prefill_rest()[..count]),
        }
        for (n, &token) in self.planned.iter().enumerate() {
            // Positions are below the context's size, which is far below 2^31.
            let position =
                u32::try_from(filled + n).expect("a sequence holds at most n_ctx tokens");
            let samples = n + 1 == rest;
            let index = batch.push(token, position, self.seq, samples)?;
            self.output = samples.then_some(index);
        }
        Ok(())
    }

    /// Whether a step would work on its answer or on its prompt.
    pub(super) fn part(&self) -> Part {
        match self.work.decode_token() {
            Some(_) => Part::Answer,
            None => Part::Prompt,
        }
    }

    /// What is lost if it has to wait: of running turns, the one with the least gives way first, the youngest of equals.
    /// Who waited for long, or gave way before, is spared for a while.
    pub(super) fn weight(&self) -> (bool, Class, usize, Reverse<Instant>) {
        let is_spared = (self.resumed || self.is_overdue) && self.served < SPARED;
        let (class, effort) = (self.standing.class(), self.work.effort());
        (is_spared, class, effort, Reverse(self.work.job.submitted))
    }

    /// What the turn would have of the next step.
    pub(super) fn next(&self) -> Next {
        self.work.next(self.standing.class())
    }

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
        let each = match self.work.decode_token() {
            Some(_) => 2,
            None => 1,
        };
        each * self.planned.len() as u64
    }
}
