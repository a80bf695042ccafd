//! What an engine thread did, written by it and read by anyone without waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::job::{Class, Timings};
use crate::metrics::{Counter, Gauge, Rate};

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
    /// Longest wait in the queue, in microseconds.
    pub longest_wait_us: Gauge,
    /// Prompt tokens evaluated.
    pub prefill: Rate,
    /// Tokens sampled after the first of each turn.
    pub decode: Rate,
    /// Time to first token in microseconds, of the last turn.
    pub first_token_us: Gauge,
    /// Its sum over all turns.
    pub first_token_sum_us: Counter,
    /// Most jobs that ran together.
    pub running: Gauge,
    /// Idle sequences cleared to make room.
    pub evictions: Counter,
    /// Turns that found tokens of theirs in the cache.
    pub reuse_hits: Counter,
    /// Tokens so found.
    pub reused_tokens: Counter,
    /// Steps of the loops.
    pub steps: Counter,
    /// Decode calls that found no cells although the accounting had them: always 0 unless there is a bug.
    pub accounting_errors: Counter,
}

/// What one engine thread is doing.
#[derive(Debug)]
pub struct Stats {
    /// When the thread started.
    pub started: Instant,
    /// Jobs waiting, by class (lowest first).
    pub waiting: [Gauge; 4],
    /// Jobs running.
    pub running: Gauge,
    /// Tokens with filled cells.
    pub used_tokens: Gauge,
    /// Tokens in idle sequences.
    pub idle_tokens: Gauge,
    /// Counted together with the backend's other engine threads.
    pub totals: Arc<Totals>,
    /// Jobs accepted and not answered yet.
    in_flight: AtomicUsize,
}

impl Stats {
    pub(super) fn new(totals: Arc<Totals>) -> Stats {
        Stats {
            started: Instant::now(),
            waiting: Default::default(),
            running: Gauge::default(),
            used_tokens: Gauge::default(),
            idle_tokens: Gauge::default(),
            totals,
            in_flight: AtomicUsize::new(0),
        }
    }

    /// Jobs waiting in all classes.
    pub fn waiting_total(&self) -> u64 {
        Class::ALL
            .iter()
            .map(|&c| self.waiting[c as usize].get())
            .sum()
    }

    /// Takes a place among at most `limit` unanswered jobs; gives their number when there is none.
    pub(super) fn enter(&self, limit: usize) -> Result<(), usize> {
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < limit).then_some(n + 1)
            })
            .map(|_| ())
    }

    /// Gives the place back.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Totals {
    pub(super) fn turn(&self, evaluated: usize, completion: usize, timings: &Timings) {
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        self.prefill.record(evaluated as u64, timings.prefill);
        if completion > 1 {
            self.decode.record(completion as u64 - 1, timings.decode);
        }
        let first = micros(timings.queued + timings.prefill);
        self.first_token_us.set(first);
        self.first_token_sum_us.add(first);
    }
}
