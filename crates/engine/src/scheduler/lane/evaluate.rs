//! The evaluation of a lane's batch: with cores that other models leave, and given up when nobody wants it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::cores::Ask;
use super::super::failpoint::{self, Point};
use super::super::pace::Amount;
use super::super::patience::Patience;
use super::super::slow::Parts;
use super::{Around, Lane, Shape, position};
use crate::llama::context::Removal;
use crate::llama::{DecodeFailure, ThreadCounts};

impl Lane {
    /// How long a step should take.
    pub(super) fn expected(&self, amount: Amount) -> Option<Duration> {
        match &self.shape {
            Shape::Paced(pace, _) => pace.expected(amount),
            Shape::Fixed(_) => None,
        }
    }

    /// Whether it computes with fewer threads than it may.
    pub(super) fn is_held_down(&self) -> bool {
        match &self.shape {
            Shape::Paced(_, governor) => {
                governor.threads() < self.threads.decode.max(self.threads.batch)
            }
            Shape::Fixed(_) => false,
        }
    }

    /// Evaluates the batch once there are cores for it, and notes how long both took. Without cells, which the accounting
    /// excludes, idle sequences give way once.
    pub(super) fn evaluate(
        &mut self,
        around: &Around<'_>,
        expected: Option<Duration>,
        begun: Instant,
        parts: &mut Parts,
    ) -> Result<(), DecodeFailure> {
        for slot in self.slots.iter_mut().filter(|s| !s.planned.is_empty()) {
            slot.work.begin(begun, self.capacity);
            slot.standing.begin();
        }
        self.most = around.cores.most();
        self.use_threads();
        let mut patience = Patience::new(&self.slots);
        let ask = Ask {
            cores: self.compute_threads(),
            classes: around.classes,
        };
        let halt = around.halt;
        // The wait may be long: who left is swept out, and the step is planned anew.
        let is_unwanted = || halt.load(Ordering::Relaxed) || patience.was_left();
        let Some(permit) = around.cores.take(ask, &is_unwanted) else {
            return Err(DecodeFailure::Aborted);
        };
        parts.waited = permit.waited;
        if !permit.waited.is_zero() {
            self.totals.cores_wait.record(permit.waited);
        }
        let computing = Instant::now();
        // Where cells cannot be cut, neighbours of a cancelled turn would have to start again.
        let is_cut = self.context.removal() == Removal::Anywhere;
        patience.begin(computing, expected.filter(|_| is_cut));
        let stop = || halt.load(Ordering::Relaxed) || patience.is_over();
        failpoint::hit(Point::Evaluate);
        self.context.resume_threads();
        let mut result = self.context.decode_unless(&self.batch, &stop);
        if matches!(result, Err(DecodeFailure::NoCells)) {
            self.totals.accounting_errors.count();
            log::error!(target: "memory", "decode found no cells although {} of them are accounted for", self.pool.used());
            while let Some(leaving) = self.pool.evict(begun) {
                self.clear(leaving.sequence);
            }
            result = self.context.decode_unless(&self.batch, &stop);
        }
        parts.decode = computing.elapsed();
        if around.cores.rounds() > 1 {
            // They would wait for the next step awake, on cores that are another model's by then.
            self.context.pause_threads();
        }
        drop(permit);
        result
    }

    /// Threads that the batch is evaluated with.
    fn compute_threads(&self) -> u32 {
        if self.placement.is_on_device() {
            return 1;
        }
        // llama.cpp takes the count for batches from two tokens on.
        let most = match self.batch.len() {
            0 | 1 => self.threads.decode,
            _ => self.threads.batch,
        };
        most.min(self.allowed())
    }

    /// Threads that a step may have now.
    fn allowed(&self) -> u32 {
        match &self.shape {
            Shape::Paced(_, governor) => governor.threads().min(self.most.unwrap_or(u32::MAX)),
            // Sums over parts of the cells may depend on how many threads share them.
            Shape::Fixed(_) => u32::MAX,
        }
    }

    /// Lets the context compute with as many threads as it may.
    fn use_threads(&mut self) {
        let allowed = self.allowed();
        let counts = ThreadCounts {
            decode: self.threads.decode.min(allowed),
            batch: self.threads.batch.min(allowed),
        };
        if counts == self.using {
            return;
        }
        log::debug!(target: "engine", "{} compute threads", counts.decode.max(counts.batch));
        match self.context.set_threads(counts) {
            Ok(()) => self.using = counts,
            Err(error) => log::warn!(target: "engine", "threads not changed: {error}"),
        }
    }

    /// Adapts the next steps to how long this one took.
    pub(super) fn learn(&mut self, amount: Amount, time: Duration) {
        self.totals.step(amount.prefill, time);
        let (pace, governor) = match &mut self.shape {
            Shape::Paced(pace, governor) => (pace, governor),
            Shape::Fixed(fixed) => return fixed.record(amount, time),
        };
        pace.record(amount, time);
        // Steps that were held down tell nothing about what other programs take.
        if self.most.is_none() {
            governor.record(amount, time.as_secs_f64());
        }
        self.totals.threads.set(
            self.allowed()
                .min(self.threads.decode.max(self.threads.batch))
                .into(),
        );
    }

    /// The step was given up: what it evaluated is cut off again, so that the turns that go on are as before it.
    pub(super) fn rewind(&mut self) {
        self.totals.aborted_steps.count();
        for slot in &mut self.slots {
            slot.unplan();
            let kept = self.pool.len(slot.sequence);
            let from = position(kept);
            if !self.context.seq_truncate(slot.seq, from) {
                self.context.seq_clear(slot.seq);
                self.pool.restart(slot.sequence);
                slot.work.restart();
            }
        }
        self.batch.clear();
    }
}
