//! What an engine thread did, written by it and read by anyone without waiting for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::class::Class;
use super::job::Timings;
use super::pulse::Pulse;
use super::reuse::Reuse;
use super::slow::Counts;
use crate::metrics::{Counter, Gauge, Histogram, Rate};
use crate::stopping::deadline::Speed;

/// What all engine threads of a backend did, across the models that it had.
#[derive(Debug, Default)]
pub struct Totals {
    /// Jobs accepted.
    pub queued: Counter,
    /// Jobs answered with text.
    pub done: Counter,
    /// Jobs answered with an engine failure.
    pub failed: Counter,
    /// Jobs refused because the queue was full.
    pub rejected: Counter,
    /// Jobs that ran into a deadline.
    pub expired: Counter,
    /// Jobs that were cancelled.
    pub cancelled: Counter,
    /// Jobs handed back because another version of the model took over; each is accepted there again.
    pub moved: Counter,
    /// Longest wait in the queue, in microseconds.
    pub longest_wait_us: Gauge,
    /// Times from a turn's arrival to its slot, by class (lowest first).
    pub waits: [Histogram; 4],
    /// How fast turns went, with every model.
    pub pace: Pace,
    /// Time to first token in microseconds, of the last turn.
    pub first_token_us: Gauge,
    /// Its sum over all turns.
    pub first_token_sum_us: Counter,
    /// Times to first token, of turns that were answered.
    pub first_tokens: Histogram,
    /// Times from one token of an answer to the next.
    pub token_gaps: Histogram,
    /// Tokens of answers, of turns that were answered.
    pub generated: Counter,
    /// Most jobs that ran together.
    pub running: Gauge,
    /// Sequences that gave way.
    pub evictions: Counter,
    /// Sequences whose cells were saved outside of a context.
    pub spills: Counter,
    /// Sequences that were filled with saved cells.
    pub restores: Counter,
    /// Times that old turns or old text gave way, before a turn or while its answer grew.
    pub shifts: Counter,
    /// How long the last step with moved cells took, and the longest, in microseconds.
    pub shift_us: Gauge,
    /// Sequences that were written anew into lower cells.
    pub packed: Counter,
    /// Running sequences that moved next to others.
    pub moves: Counter,
    /// Running turns that gave their cells to others and waited.
    pub displaced: Counter,
    /// Turns that waited for a beginning that another one evaluated.
    pub followed: Counter,
    /// What turns found of their past.
    pub reuse: Reuse,
    /// Steps of the loops.
    pub steps: Counter,
    /// How long the last one took, and the longest, in microseconds.
    pub step_us: Gauge,
    /// Times of all of them.
    pub step_times: Histogram,
    /// Steps that took longer than `performance.slow_step_ms`, by cause.
    pub slow: Counts,
    /// How long steps waited for cores that other models computed on, of those that had to. No part of their times.
    pub cores_wait: Histogram,
    /// Turns that steps worked for, summed over the steps.
    pub step_turns: Counter,
    /// Turns that they had slots for, summed likewise.
    pub step_slots: Counter,
    /// Prompt tokens of the last step that evaluated any.
    pub step_prefill: Gauge,
    /// Compute threads in use.
    pub threads: Gauge,
    /// Steps given up for a cancelled turn.
    pub aborted_steps: Counter,
    /// Times that a running turn gave its slot to a waiting one.
    pub preempted: Counter,
    /// Decode calls that found no cells although the accounting had them: always 0 unless there is a bug.
    pub accounting_errors: Counter,
}

/// How fast turns went, whatever ran beside them.
#[derive(Debug, Default)]
pub struct Pace {
    /// Prompt tokens evaluated.
    pub prefill: Rate,
    /// Tokens sampled after the first of each turn.
    pub decode: Rate,
}

impl Pace {
    /// Tokens per second on average, where turns were measured.
    pub fn speed(&self) -> Speed {
        let average = |rate: &Rate| (rate.units() > 0).then(|| rate.average());
        Speed {
            prefill_tps: average(&self.prefill),
            decode_tps: average(&self.decode),
        }
    }

    pub(super) fn turn(&self, evaluated: usize, completion: usize, timings: &Timings) {
        self.prefill.record(evaluated as u64, timings.prefill);
        if completion > 1 {
            self.decode.record(completion as u64 - 1, timings.decode);
        }
    }
}

/// What the cells of a context are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellUse {
    /// Filled.
    pub used: usize,
    /// Tokens in idle sequences.
    pub idle: usize,
    /// Idle sequences with tokens.
    pub idle_sequences: usize,
    /// Tokens that several conversations began with, all of which are gone.
    pub prefixes: usize,
}

/// What one engine thread is doing.
#[derive(Debug)]
pub struct Stats {
    /// When the thread started.
    pub started: Instant,
    /// Jobs waiting, by class (lowest first).
    pub waiting: [Gauge; 4],
    /// Those of them that have waited so long that every second admission is theirs.
    pub overdue: Gauge,
    /// Jobs running.
    pub running: Gauge,
    /// Tokens with filled cells.
    pub used_tokens: Gauge,
    /// Tokens in idle sequences.
    pub idle_tokens: Gauge,
    /// Idle sequences with tokens.
    pub idle_sequences: Gauge,
    /// Tokens that several conversations began with, all of which are gone.
    pub prefix_tokens: Gauge,
    /// Bytes of the context that deterministic turns have for themselves.
    pub spare_bytes: Gauge,
    /// How fast turns of this model went.
    pub pace: Pace,
    /// Whether the thread gets on.
    pub pulse: Pulse,
    /// Times that the thread began again over its weights, because what a panic left behind was beyond repair.
    pub restarts: Counter,
    /// 1 once the thread has ended because it could not begin again.
    pub has_failed: Gauge,
    /// Counted together with the backend's other engine threads.
    pub totals: Arc<Totals>,
}

/// How an engine thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It does what it should.
    Well,
    /// It does not come back from a step.
    Stuck,
    /// It has ended because it could not begin again.
    Failed,
}

impl Stats {
    /// How the thread is at `now`.
    pub fn health(&self, now: Instant) -> Health {
        match (self.has_failed.get(), self.pulse.is_stuck(now)) {
            (0, false) => Health::Well,
            (0, true) => Health::Stuck,
            _ => Health::Failed,
        }
    }

    pub(super) fn new(totals: Arc<Totals>) -> Stats {
        Stats {
            started: Instant::now(),
            waiting: Default::default(),
            running: Gauge::default(),
            used_tokens: Gauge::default(),
            idle_tokens: Gauge::default(),
            idle_sequences: Gauge::default(),
            prefix_tokens: Gauge::default(),
            spare_bytes: Gauge::default(),
            pace: Pace::default(),
            pulse: Pulse::new(),
            restarts: Counter::default(),
            has_failed: Gauge::default(),
            totals,
            overdue: Gauge::default(),
        }
    }

    /// Jobs waiting in all classes.
    pub fn waiting_total(&self) -> u64 {
        Class::ALL
            .iter()
            .map(|&c| self.waiting[c as usize].get())
            .sum()
    }
}

impl Totals {
    /// A turn ran into its deadline before an engine thread could count it.
    pub fn came_late(&self) {
        self.queued.count();
        self.expired.count();
    }

    /// A turn was cancelled before an engine thread could count it.
    pub fn given_up(&self) {
        self.queued.count();
        self.cancelled.count();
    }

    pub(super) fn step(&self, prefill: usize, time: Duration) {
        self.step_times.record(time);
        self.step_us
            .set(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        if prefill > 0 {
            self.step_prefill.set(prefill as u64);
        }
    }

    pub(super) fn turn(&self, evaluated: usize, completion: usize, timings: &Timings) {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        self.pace.turn(evaluated, completion, timings);
        self.generated.add(completion as u64);
        let first = micros(timings.queued + timings.prefill);
        self.first_token_us.set(first);
        self.first_token_sum_us.add(first);
        self.first_tokens.record(timings.queued + timings.prefill);
    }
}
