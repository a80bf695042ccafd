//! A context with the turns that run on it: what one step evaluates, and what becomes of it.
//!
//! Lives in the engine thread only. Which turn comes next and which gives way is decided by the queue; the loop carries
//! that out through here.

mod plan;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::balance::Balance;
use super::governor::Governor;
use super::job::SessionKey;
use super::pace::{Amount, Pace};
use super::patience::Patience;
use super::pool::{Grant, Pool};
use super::queue::{Client, Rotation, Running, Standing};
use super::slot::Slot;
use super::stats::Totals;
use super::work::{Saved, Work};
use crate::error::{Error, Result};
use crate::llama::context::Removal;
use crate::llama::{Batch, Context, DecodeFailure, SeqId, ThreadCounts, Vocab};
use crate::stopping::Verdict;

/// A context and its running turns.
pub(super) struct Lane {
    context: Context,
    batch: Batch,
    pool: Pool,
    slots: Vec<Slot>,
    /// Turns that may run together.
    parallel: usize,
    /// Tokens that one turn may use.
    capacity: usize,
    threads: ThreadCounts,
    shape: Shape,
    fair: bool,
    balance: Balance,
    keeps_one: bool,
    /// Bytes of the cells of turns that wait for a slot again.
    saved_bytes: Arc<AtomicUsize>,
    saved_limit: usize,
    totals: Arc<Totals>,
    steps: u64,
}

/// How a step is filled.
pub(super) enum Shape {
    /// With all that its target time has room for.
    Paced(Pace, Governor),
    /// With one turn's next piece of its prompt of this many tokens, or its next token: the same calls whatever else
    /// happens.
    Fixed(usize),
}

/// What a lane works with.
pub(super) struct Setup {
    pub(super) context: Context,
    pub(super) parallel: usize,
    pub(super) capacity: usize,
    pub(super) idle_limit: usize,
    pub(super) threads: ThreadCounts,
    pub(super) shape: Shape,
    /// Whether clients with many turns step back for those with few.
    pub(super) fair: bool,
    pub(super) totals: Arc<Totals>,
}

/// A turn that left its slot for good.
pub(super) struct Ended {
    pub(super) work: Box<Work>,
    pub(super) standing: Standing,
    pub(super) how: Result<Verdict>,
}

impl Lane {
    pub(super) fn new(setup: Setup) -> Lane {
        let context = setup.context;
        Lane {
            batch: context.new_batch(),
            pool: Pool::new(
                context.n_seq_max() as usize,
                context.n_ctx() as usize,
                setup.idle_limit,
                Instant::now(),
            ),
            slots: Vec::with_capacity(setup.parallel),
            parallel: setup.parallel,
            capacity: setup.capacity,
            threads: setup.threads,
            shape: setup.shape,
            fair: setup.fair,
            balance: Balance::default(),
            keeps_one: false,
            saved_bytes: Arc::default(),
            saved_limit: usize::try_from(context.memory().context / 2).unwrap_or(usize::MAX),
            totals: setup.totals,
            steps: 0,
            context,
        }
    }

    /// Running turns.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Further turns that may run.
    pub(super) fn free(&self) -> usize {
        self.parallel - self.slots.len()
    }

    /// Whether one more turn may run. A slot that was just left by the only turn of its client stays free for a step
    /// where another client has several: the next turn of the first one is often on its way.
    pub(super) fn has_room(&self) -> bool {
        self.free() > usize::from(self.keeps_one)
    }

    /// Tokens with filled cells, and those of them that no running turn uses.
    pub(super) fn cells(&self) -> (usize, usize) {
        (self.pool.used(), self.pool.idle_tokens())
    }

    /// The running turns as rotation sees them, in the order of `park`'s index.
    pub(super) fn running(&self) -> Vec<Running<'_>> {
        self.slots.iter().map(Slot::running).collect()
    }

    /// Puts the compute threads to sleep until the next step.
    pub(super) fn rest(&mut self) {
        self.context.pause_threads();
    }

    /// A sequence and cells for a turn; `None` while running turns hold too much.
    pub(super) fn reserve(&mut self, work: &Work, now: Instant) -> Option<Grant> {
        let answer = work.answer_room(self.capacity);
        let grant = self
            .pool
            .admit(work.job.turn.session, work.tokens(), answer, now)?;
        for &sequence in &grant.evicted {
            self.clear(sequence);
            self.totals.evictions.count();
        }
        Some(grant)
    }

    /// The running turns that must give way so that `work` has a slot and its cells, highest index first: the victim
    /// that was chosen, and for an overdue turn as many more as it takes, those with the least work done first. `None`
    /// where that is not enough.
    pub(super) fn victims(&self, work: &Work, rotation: &Rotation) -> Option<Vec<usize>> {
        let need = work.tokens().len() + work.answer_room(self.capacity);
        let mut victims = vec![rotation.victim];
        let mut others: Vec<usize> = match rotation.choice.is_overdue() {
            true => (0..self.slots.len()).collect(),
            false => Vec::new(),
        };
        others.retain(|&at| at != rotation.victim);
        others.sort_by_key(|&at| {
            let slot = &self.slots[at];
            (slot.standing.class(), slot.work.completion())
        });
        let mut others = others.into_iter();
        loop {
            let sequences: Vec<usize> = victims.iter().map(|&v| self.slots[v].sequence).collect();
            if self.pool.fits_without(need, &sequences) {
                victims.sort_unstable_by_key(|&at| std::cmp::Reverse(at));
                return Some(victims);
            }
            victims.push(others.next()?);
        }
    }

    /// Gives a turn the slot that was reserved for it. Fails it where its sampler does not take the prompt.
    pub(super) fn enter(
        &mut self,
        mut work: Box<Work>,
        standing: Standing,
        grant: &Grant,
        now: Instant,
    ) -> std::result::Result<(), Ended> {
        let resumed = work.has_started();
        let cached = self.fill(&mut work, grant);
        if let Err(error) = work.start(cached, now) {
            self.release(grant.sequence, false, now);
            return Err(Ended {
                work,
                standing,
                how: Err(error),
            });
        }
        self.slots.push(Slot {
            work,
            standing,
            sequence: grant.sequence,
            seq: self.seq(grant.sequence),
            output: None,
            planned: Vec::new(),
            goes: true,
            served: 0,
            resumed,
        });
        Ok(())
    }

    /// Brings the cells of a granted sequence to a prefix of the turn's tokens; returns its length.
    fn fill(&mut self, work: &mut Work, grant: &Grant) -> usize {
        let seq = self.seq(grant.sequence);
        let keep = u32::try_from(grant.cached).expect("a sequence holds at most n_ctx tokens");
        let saved = work.saved.take();
        if keep > 0 && self.context.seq_truncate(seq, keep) {
            self.totals.reuse_hits.count();
            self.totals.reused_tokens.add(keep.into());
            return grant.cached;
        }
        self.context.seq_clear(seq);
        self.pool.restart(grant.sequence);
        let Some(saved) = saved else { return 0 };
        match self.context.restore_seq(seq, saved.bytes()) {
            Ok(count) if count == saved.tokens => {
                self.pool
                    .restored(grant.sequence, &work.tokens()[..saved.tokens]);
                saved.tokens
            }
            other => {
                log::warn!(target: "memory", "saved cells of {} tokens not restored: {other:?}", saved.tokens);
                self.context.seq_clear(seq);
                0
            }
        }
    }

    /// Takes the slot of the running turn at `index` away; its cells are saved as far as there is room.
    pub(super) fn park(&mut self, index: usize, now: Instant) -> (Box<Work>, Standing) {
        let slot = self.slots.remove(index);
        let mut work = slot.work;
        work.park(now);
        let filled = self.pool.len(slot.sequence);
        let held = self.saved_bytes.load(Ordering::Relaxed);
        if filled > 0 && held < self.saved_limit {
            match self.context.save_seq(slot.seq) {
                Ok(bytes) => work.saved = Some(Saved::new(bytes, filled, &self.saved_bytes)),
                Err(error) => log::warn!(target: "memory", "cells not saved: {error}"),
            }
        }
        self.release(slot.sequence, false, now);
        self.totals.preempted.count();
        (work, slot.standing)
    }

    /// Takes out the running turns that `end` has an error for and adds them to `ended`.
    pub(super) fn end(
        &mut self,
        now: Instant,
        mut end: impl FnMut(&Work) -> Option<Error>,
        ended: &mut Vec<Ended>,
    ) {
        let mut at = 0;
        while at < self.slots.len() {
            match end(&self.slots[at].work) {
                None => at += 1,
                Some(error) => {
                    let keep = self.slots[at].work.job.turn.keep_cache;
                    ended.push(self.leave(at, keep, Err(error), now));
                }
            }
        }
    }

    /// Evaluates the next tokens of the running turns, samples, and adds the turns that are over to `ended`.
    ///
    /// `halt` cuts the step short from any thread; `charge` hears what each client's turn cost.
    pub(super) fn step(
        &mut self,
        vocab: &Vocab,
        halt: &AtomicBool,
        charge: &mut dyn FnMut(Client, u64),
        ended: &mut Vec<Ended>,
    ) {
        let begun = Instant::now();
        let amount = match self.plan(begun) {
            Ok(amount) => amount,
            Err(error) => return self.fail(&error, ended),
        };
        if self.batch.is_empty() {
            return;
        }
        self.steps += 1;
        self.totals.steps.count();
        match self.decode(amount, halt, begun) {
            Ok(()) => self.deliver(vocab, begun, charge, ended),
            Err(DecodeFailure::Aborted) if !halt.load(Ordering::Relaxed) => return self.rewind(),
            Err(DecodeFailure::Aborted) => return self.fail(&Error::Cancelled, ended),
            Err(DecodeFailure::NoCells) => {
                return self.fail(&Error::Engine("decode found no free cells".into()), ended);
            }
            Err(DecodeFailure::Failed(reason)) => return self.fail(&Error::Engine(reason), ended),
        }
        self.learn(amount, begun.elapsed());
    }

    /// Evaluates the batch. Without cells, which the accounting excludes, idle sequences give way once.
    fn decode(
        &mut self,
        amount: Amount,
        halt: &AtomicBool,
        begun: Instant,
    ) -> std::result::Result<(), DecodeFailure> {
        for slot in self.slots.iter_mut().filter(|s| !s.planned.is_empty()) {
            slot.work.begin(begun);
            slot.standing.begin();
        }
        // Where cells cannot be cut, neighbours of a cancelled turn would have to start again.
        let expected = match (&self.shape, self.context.removal()) {
            (Shape::Paced(pace, _), Removal::Anywhere) => pace.expected(amount),
            _ => None,
        };
        let patience = Patience::new(&self.slots, begun, expected);
        let stop = || halt.load(Ordering::Relaxed) || patience.is_over();
        self.context.resume_threads();
        let result = self.context.decode_unless(&self.batch, &stop);
        if !matches!(result, Err(DecodeFailure::NoCells)) {
            return result;
        }
        self.totals.accounting_errors.count();
        log::error!(target: "memory", "decode found no cells although {} of them are accounted for", self.pool.used());
        for sequence in self.pool.clear_idle() {
            self.clear(sequence);
        }
        self.context.decode_unless(&self.batch, &stop)
    }

    /// Adapts the next steps to how long this one took.
    fn learn(&mut self, amount: Amount, time: Duration) {
        self.totals.step(amount.prefill, time);
        let Shape::Paced(pace, governor) = &mut self.shape else {
            return;
        };
        pace.record(amount, time);
        if let Some(threads) = governor.record(amount, time.as_secs_f64()) {
            let counts = ThreadCounts {
                decode: self.threads.decode.min(threads),
                batch: self.threads.batch.min(threads),
            };
            log::debug!(target: "engine", "{threads} compute threads");
            if let Err(error) = self.context.set_threads(counts) {
                log::warn!(target: "engine", "threads not changed: {error}");
            }
        }
        self.totals.threads.set(governor.threads().into());
    }

    /// Samples every slot that has logits and takes out the turns that are over.
    fn deliver(
        &mut self,
        vocab: &Vocab,
        begun: Instant,
        charge: &mut dyn FnMut(Client, u64),
        ended: &mut Vec<Ended>,
    ) {
        let mut at = 0;
        while at < self.slots.len() {
            let slot = &mut self.slots[at];
            if slot.goes && slot.planned.is_empty() && slot.work.decode_token().is_some() {
                slot.work.hold(begun.elapsed());
            }
            let (client, cost) = (slot.standing.client(), slot.cost());
            charge(client, cost);
            self.balance
                .charge(client, slot.part(), cost, Instant::now());
            slot.served += 1;
            for &token in &slot.planned {
                self.pool.filled(slot.sequence, token);
            }
            slot.work.advance(slot.planned.len());
            slot.planned.clear();
            let room = self.pool.len(slot.sequence) < self.capacity;
            let verdict = match slot.output.take() {
                None => Ok(None),
                Some(output) => slot.work.sample(&self.context, output, vocab, room),
            };
            match verdict {
                Ok(None) => at += 1,
                Ok(Some(verdict)) => {
                    let keep = slot.work.job.turn.keep_cache;
                    ended.push(self.leave(at, keep, Ok(verdict), Instant::now()));
                }
                Err(error) => ended.push(self.leave(at, false, Err(error), Instant::now())),
            }
        }
    }

    /// The step was given up: what it evaluated is cut off again, so that the turns that go on are as before it.
    fn rewind(&mut self) {
        self.totals.aborted_steps.count();
        for slot in &mut self.slots {
            slot.unplan();
            let kept = self.pool.len(slot.sequence);
            let from = u32::try_from(kept).expect("a sequence holds at most n_ctx tokens");
            if !self.context.seq_truncate(slot.seq, from) {
                self.context.seq_clear(slot.seq);
                self.pool.restart(slot.sequence);
                slot.work.restart();
            }
        }
        self.batch.clear();
    }

    /// Forgets what is cached of a conversation that is gone.
    pub(super) fn forget(&mut self, session: SessionKey) {
        for slot in &mut self.slots {
            // Its last turn still runs: the tokens go when it ends.
            slot.work.job.turn.keep_cache &= slot.work.job.turn.session != session;
        }
        if let Some(sequence) = self.pool.idle_of(session) {
            self.pool.forget(sequence);
            self.clear(sequence);
        }
    }

    /// The step failed as a whole: what its sequences hold is unknown, so they are cleared.
    pub(super) fn fail(&mut self, error: &Error, ended: &mut Vec<Ended>) {
        let level = match error {
            Error::Cancelled => log::Level::Debug,
            _ => log::Level::Error,
        };
        log::log!(target: "inference", level, "a step of {} turns failed: {error}", self.slots.len());
        self.batch.clear();
        while !self.slots.is_empty() {
            ended.push(self.leave(0, false, Err(error.clone()), Instant::now()));
        }
        // Without slots no sequence runs, whatever the step was doing.
        for sequence in self.pool.clear_running() {
            self.clear(sequence);
        }
    }

    fn leave(&mut self, at: usize, keep: bool, how: Result<Verdict>, now: Instant) -> Ended {
        let slot = self.slots.remove(at);
        self.keeps_one |= self.fair
            && self
                .balance
                .is_only_turn_beside_many(slot.standing.client());
        self.release(slot.sequence, keep, now);
        Ended {
            work: slot.work,
            standing: slot.standing,
            how,
        }
    }

    /// Ends a sequence's turn; its tokens stay for the next one unless they must not.
    fn release(&mut self, sequence: usize, keep: bool, now: Instant) {
        let mut cleared = self.pool.release(sequence, now);
        if !keep || matches!(self.shape, Shape::Fixed(_)) {
            self.pool.forget(sequence);
            cleared.push(sequence);
        }
        for sequence in cleared {
            self.clear(sequence);
        }
    }

    fn clear(&mut self, sequence: usize) {
        let seq = self.seq(sequence);
        self.context.seq_clear(seq);
    }

    fn seq(&self, sequence: usize) -> SeqId {
        u32::try_from(sequence)
            .ok()
            .and_then(|index| self.context.seq(index))
            .expect("the pool has n_seq_max sequences")
    }
}

#[cfg(test)]
mod tests;
