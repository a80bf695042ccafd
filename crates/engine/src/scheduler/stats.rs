//! What an engine thread did, written by it and read by anyone without waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
    closed: AtomicBool,
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
            closed: AtomicBool::new(false),
        }
    }

    /// Jobs waiting in all classes.
    pub fn waiting_total(&self) -> u64 {
        Class::ALL
            .iter()
            .map(|&c| self.waiting[c as usize].get())
            .sum()
    }

    /// Takes a place among at most `limit` unanswered jobs.
    ///
    /// A place that was given is waited for: the thread does not end before every holder has left. Either the closing
    /// thread sees the place, or its holder sees the close here; hence the sequentially consistent order of both.
    pub(super) fn enter(self: &Arc<Self>, limit: usize) -> Result<Place, Refusal> {
        self.in_flight
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| {
                (n < limit).then_some(n + 1)
            })
            .map_err(Refusal::Full)?;
        let place = Place(self.clone());
        if self.closed.load(Ordering::SeqCst) {
            return Err(Refusal::Closed);
        }
        Ok(place)
    }

    /// Gives no further place.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether a place is still held.
    pub(super) fn is_occupied(&self) -> bool {
        self.in_flight.load(Ordering::SeqCst) > 0
    }
}

/// A place among the unanswered jobs, given back when it is dropped.
pub(super) struct Place(Arc<Stats>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Why no place was given.
pub(super) enum Refusal {
    /// So many are held.
    Full(usize),
    /// The thread is ending.
    Closed,
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
