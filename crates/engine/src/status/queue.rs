//! The QUEUE document: turns that wait and run, and what became of the others.

use schemars::JsonSchema;
use serde::Serialize;

use super::class::ByClass;
use super::spread::Spread;
use super::sum;
use crate::scheduler::{Limits, Stats, Totals};

/// Turns that wait and run, and what became of those before them. Counts are since init, across models.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Queue {
    /// Turns that may wait for each model: `backend.queue_size`.
    pub limit: u32,
    /// Waiting turns of one model from which on the log has a warning.
    pub warning_threshold: u64,
    /// Waiting turns of one model from which on further ones are refused.
    pub reject_threshold: u64,
    /// Turns waiting now, by class.
    pub waiting: ByClass<u64>,
    /// Turns waiting now, for all models together.
    pub waiting_total: u64,
    /// Those of them that have waited so long that every second admission is theirs.
    pub overdue: u64,
    /// Turns that wait because the version before of their model has gone and the next one is on its way.
    pub waiting_for_model: u64,
    /// Turns running now.
    pub running: u64,
    /// Times that a running turn gave its slot to a waiting one.
    pub preempted: u64,
    /// Turns accepted.
    pub queued: u64,
    /// Turns answered with text.
    pub done: u64,
    /// Turns that an engine failure ended.
    pub failed: u64,
    /// Turns refused because the queue was full.
    pub rejected: u64,
    /// Turns that ran into a deadline.
    pub expired: u64,
    /// Turns that were cancelled.
    pub cancelled: u64,
    /// Turns that were handed over to the next version of their model; each is accepted there again.
    pub moved: u64,
    /// Longest time from a turn's arrival to its slot, in milliseconds.
    pub longest_wait_ms: u64,
    /// Times from a turn's arrival to its slot, by class, in milliseconds. Turns that never got one do not count.
    pub wait_ms: ByClass<Spread>,
}

impl Queue {
    /// Reads the counters. `limit`: `queue_size`; `bounds`: the thresholds in force.
    /// `away`: turns that wait for a version.
    pub fn read(totals: &Totals, now: &[&Stats], away: u64, limit: u32, bounds: &Limits) -> Queue {
        Queue {
            limit,
            warning_threshold: bounds.warn_at as u64,
            reject_threshold: bounds.reject_at as u64,
            waiting: ByClass::of(|class| sum(now, |stats| stats.waiting[class as usize].get())),
            waiting_total: sum(now, Stats::waiting_total),
            overdue: sum(now, |stats| stats.overdue.get()),
            waiting_for_model: away,
            running: sum(now, |stats| stats.running.get()),
            preempted: totals.preempted.get(),
            queued: totals.queued.get(),
            done: totals.done.get(),
            failed: totals.failed.get(),
            rejected: totals.rejected.get(),
            expired: totals.expired.get(),
            cancelled: totals.cancelled.get(),
            moved: totals.moved.get(),
            longest_wait_ms: totals.longest_wait_us.highest() / 1000,
            wait_ms: ByClass::of(|class| Spread::from(&totals.waits[class as usize])),
        }
    }
}
