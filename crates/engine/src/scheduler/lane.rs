//! A context with the turns that run on it: what one step evaluates, and what becomes of it.
//!
//! Lives in the engine thread only. Which turn comes next and which gives way is decided by the queue; the loop carries
//! that out through here.

mod evaluate;
mod follow;
mod keep;
mod look;
mod overflow;
mod plan;
mod room;
mod seat;
mod settle;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::balance::Balance;
use super::class::{Class, Classes};
use super::cores::Member;
use super::failpoint::{self, Point};
use super::fixed::Fixed;
use super::governor::Governor;
use super::pace::Pace;
use super::placement::Placement;
use super::pool::Pool;
use super::queue::{Client, Running, Standing};
use super::slot::Slot;
use super::slow::{Facts, Parts};
use super::stats::{CellUse, Totals};
use super::watch::Watch;
use super::work::Work;
use crate::error::{Error, Result};
use crate::llama::{Batch, Context, DecodeFailure, SeqId, ThreadCounts, Vocab};
use crate::stopping::Verdict;

pub use keep::Keeping;
use keep::Thinning;
pub(super) use seat::Refusal;
use settle::Settling;

/// Bytes of cells that may be carried out of a context and back between two steps of running turns.
const CARRY: usize = 16 << 20;

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
    /// Those that its context has now.
    using: ThreadCounts,
    /// Threads that a step may have while something else needs cores.
    most: Option<u32>,
    placement: Placement,
    shape: Shape,
    fair: bool,
    balance: Balance,
    keeps_one: bool,
    keeping: Keeping,
    settling: Settling,
    /// Bytes of cells that were carried out of the context and back since the last step.
    carried: usize,
    /// How many of them may be carried between two steps of running turns; one sequence may always be.
    carry: usize,
    /// Those of them that the step before counted.
    told: usize,
    /// Idle cells that are still to go.
    thinning: Option<Thinning>,
    /// Bytes of a sequence's own part of the cells.
    stream_bytes: usize,
    bytes: u64,
    totals: Arc<Totals>,
    steps: u64,
    /// The last step looked at an image.
    looked: bool,
}

/// How a step is filled.
pub(super) enum Shape {
    /// With all that its target time has room for.
    Paced(Pace, Governor),
    /// With one turn's next chunk of its prompt, or its next token: the same calls whatever else happens.
    Fixed(Fixed),
}

/// What a lane works with.
pub(super) struct Setup {
    pub(super) context: Context,
    pub(super) parallel: usize,
    pub(super) capacity: usize,
    pub(super) threads: ThreadCounts,
    /// Where its steps compute.
    pub(super) placement: Placement,
    pub(super) shape: Shape,
    /// Whether clients with many turns step back for those with few.
    pub(super) fair: bool,
    pub(super) keeping: Keeping,
    pub(super) totals: Arc<Totals>,
}

/// What a step has to do with.
pub(super) struct Around<'a> {
    pub(super) vocab: &'a Vocab,
    /// Cuts the step short from any thread.
    pub(super) halt: &'a AtomicBool,
    /// Where the cores are taken from.
    pub(super) cores: &'a Member,
    /// Classes that the model works for.
    pub(super) classes: Classes,
    /// Time that this model's other contexts take between two steps of the lane.
    pub(super) beside: Duration,
    /// Hears what each client's turn cost.
    pub(super) charge: &'a mut dyn FnMut(Client, u64),
    pub(super) watch: &'a mut Watch,
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
        let memory = context.memory();
        let own_part = memory.context / u64::from(context.n_seq_max());
        Lane {
            batch: context.new_batch(),
            pool: Pool::new(
                context.n_seq_max() as usize,
                context.n_ctx() as usize,
                context.is_unified(),
                setup.keeping.strategy,
            ),
            slots: Vec::with_capacity(setup.parallel),
            parallel: setup.parallel,
            capacity: setup.capacity,
            threads: setup.threads,
            using: setup.threads,
            most: None,
            placement: setup.placement,
            shape: setup.shape,
            fair: setup.fair,
            balance: Balance::default(),
            keeps_one: false,
            keeping: setup.keeping,
            settling: Settling::default(),
            carried: 0,
            carry: CARRY,
            told: 0,
            thinning: None,
            stream_bytes: usize::try_from(own_part).unwrap_or(usize::MAX),
            bytes: memory.context + memory.compute,
            totals: setup.totals,
            steps: 0,
            looked: false,
            context,
        }
    }

    /// Running turns.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of its cells and compute buffers.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What its cells are used for.
    pub(super) fn cells(&self) -> CellUse {
        CellUse {
            used: self.pool.used(),
            idle: self.pool.idle_tokens(),
            idle_sequences: self.pool.idle_sequences(),
            prefixes: self.pool.prefix_tokens(),
        }
    }

    /// Classes of the running turns.
    pub(super) fn classes(&self) -> impl Iterator<Item = Class> {
        self.slots.iter().map(|slot| slot.standing.class())
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

    /// The running turns as rotation sees them, in the order of `park`'s index.
    pub(super) fn running(&self) -> Vec<Running<'_>> {
        self.slots.iter().map(Slot::running).collect()
    }

    /// Puts the compute threads to sleep until the next step.
    pub(super) fn rest(&mut self) {
        self.context.pause_threads();
    }

    /// Shows every running turn.
    pub(super) fn each(&self, see: &mut impl FnMut(&Work)) {
        self.slots.iter().for_each(|slot| see(&slot.work));
    }

    /// Takes out the running turns that `end` has an end for and adds them to `ended`.
    pub(super) fn end(
        &mut self,
        now: Instant,
        mut end: impl FnMut(&Work) -> Option<Result<Verdict>>,
        ended: &mut Vec<Ended>,
    ) {
        let mut at = 0;
        while at < self.slots.len() {
            match end(&self.slots[at].work) {
                None => at += 1,
                Some(how) => {
                    let keep = self.slots[at].work.job.turn.keep_cache;
                    ended.push(self.leave(at, keep, how, now));
                }
            }
        }
    }

    /// Evaluates the next tokens of the running turns, samples, and adds the turns that are over to `ended`.
    pub(super) fn step(&mut self, around: Around<'_>, ended: &mut Vec<Ended>) {
        self.settle(Instant::now());
        let moved = std::mem::take(&mut self.carried) - std::mem::take(&mut self.told);
        let begun = Instant::now();
        let amount = match self.plan(begun, around.cores.rounds(), around.beside) {
            Ok(amount) => amount,
            Err(error) => return self.fail(&error, ended),
        };
        if self.batch.is_empty() {
            return;
        }
        #[cfg(debug_assertions)]
        self.check_books();
        self.steps += 1;
        self.totals.steps.count();
        let turns = self.slots.iter().filter(|s| !s.planned.is_empty()).count();
        self.totals.step_turns.add(turns as u64);
        self.totals.step_slots.add(self.parallel as u64);
        let mut facts = Facts {
            steps: self.steps,
            turns,
            prompt_tokens: amount.prefill,
            moved,
            shift: self.context.has_shift_pending(),
            expected: self.expected(amount),
            held_down: self.is_held_down(),
            faults: None,
        };
        let mut parts = Parts {
            cells: around.watch.before(begun),
            ..Parts::default()
        };
        match self.evaluate(&around, facts.expected, begun, &mut parts) {
            Ok(()) => {}
            Err(DecodeFailure::Aborted) if !around.halt.load(Ordering::Relaxed) => {
                return self.rewind();
            }
            Err(DecodeFailure::Aborted) => return self.fail(&Error::Cancelled, ended),
            Err(DecodeFailure::NoCells) => {
                return self.fail(&Error::Engine("decode found no free cells".into()), ended);
            }
            Err(DecodeFailure::Failed(reason)) => return self.fail(&Error::Engine(reason), ended),
        }
        let decoded = Instant::now();
        let leaving = self.deliver(around.vocab, begun, around.charge, ended);
        let now = Instant::now();
        parts.cells += leaving;
        parts.sampling = now.duration_since(decoded).saturating_sub(leaving);
        // They count for this step, and still for how much more may be carried before the next one.
        facts.moved += self.carried;
        self.told = self.carried;
        around.watch.step(&parts, facts, now);
        // What other models took is not this one's time.
        let time = now.duration_since(begun).saturating_sub(parts.waited);
        match facts.shift {
            // It says nothing about other steps.
            true => self.totals.shift_us.set(micros(time)),
            false => self.learn(amount, time),
        }
    }

    /// Samples every slot that has logits and takes out the turns that are over. Returns how long cells were put away.
    fn deliver(
        &mut self,
        vocab: &Vocab,
        begun: Instant,
        charge: &mut dyn FnMut(Client, u64),
        ended: &mut Vec<Ended>,
    ) -> Duration {
        let mut leaving = Duration::ZERO;
        let mut at = 0;
        while at < self.slots.len() {
            failpoint::hit(Point::Deliver);
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
            let has_room = self.pool.len(slot.sequence) < self.capacity;
            let may_shift = slot.work.droppable().is_some();
            let verdict = match slot.output.take() {
                None => Ok(None),
                Some(output) => {
                    slot.work
                        .sample(&self.context, output, vocab, has_room || may_shift)
                }
            };
            if let Some(gap) = slot.work.take_gap() {
                self.totals.token_gaps.record(gap);
            }
            match verdict {
                Ok(None) => {
                    if !has_room {
                        self.make_room(at);
                    }
                    at += 1;
                }
                Ok(Some(verdict)) => {
                    let keep = slot.work.job.turn.keep_cache;
                    let now = Instant::now();
                    ended.push(self.leave(at, keep, Ok(verdict), now));
                    leaving += now.elapsed();
                }
                Err(error) => ended.push(self.leave(at, false, Err(error), Instant::now())),
            }
        }
        leaving
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
            failpoint::hit(Point::Fail);
        }
        // Without slots no sequence runs, whatever the step was doing.
        for sequence in self.pool.clear_running() {
            self.clear(sequence);
        }
    }

    /// The running turns, for a lane that nobody uses any more: its books and cells are left as they are.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = Box<Work>> {
        let slots = std::mem::take(&mut self.slots);
        slots.into_iter().map(|slot| slot.work)
    }

    /// How long its next step takes: nothing without a turn, `None` before one like it was measured.
    pub(super) fn next_step(&self) -> Option<Duration> {
        let Some(slot) = self.slots.first() else {
            return Some(Duration::ZERO);
        };
        match &self.shape {
            Shape::Paced(..) => None,
            Shape::Fixed(fixed) => fixed.expected(slot.work.decode_token().is_none()),
        }
    }

    /// What the pool counts is what the context holds.
    #[cfg(debug_assertions)]
    fn check_books(&self) {
        for sequence in 0..self.context.n_seq_max() as usize {
            let (counted, held) = (
                self.pool.len(sequence),
                self.context.seq_next_pos(self.seq(sequence)),
            );
            assert_eq!(counted, held as usize, "cells of sequence {sequence}");
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

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A count of cells as llama.cpp takes it.
fn position(tokens: usize) -> u32 {
    u32::try_from(tokens).expect("a sequence holds at most n_ctx tokens")
}

#[cfg(test)]
mod tests;
