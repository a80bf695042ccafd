//! Looks at every step of an engine thread for slow ones, counts them and says so.
//!
//! Lives in the engine thread only. What is slow and why is decided by `slow`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::slow::{Facts, Parts, Restraint, judge};
use super::stats::Totals;
use crate::machine;

/// How old the count of page faults may become that a slow step is compared with.
const FRESH: Duration = Duration::from_secs(1);

/// What the steps of one thread are measured with.
pub(super) struct Watch {
    /// From which length on a step is slow; zero: none is.
    limit: Duration,
    /// The end of the last step, or the beginning of the loop's round if that came later.
    since: Instant,
    /// Major page faults of the process, when they were counted last; `None` where the system does not tell.
    faults: Option<u64>,
    looked: Option<Instant>,
    restraint: Restraint,
    totals: Arc<Totals>,
}

impl Watch {
    pub(super) fn new(limit: Duration, totals: Arc<Totals>) -> Watch {
        Watch {
            limit,
            since: Instant::now(),
            faults: None,
            looked: None,
            restraint: Restraint::default(),
            totals,
        }
    }

    /// The loop begins with what comes before its next step.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = now;
        if !self.limit.is_zero()
            && self
                .looked
                .is_none_or(|at| now.saturating_duration_since(at) >= FRESH)
        {
            self.count_faults(now);
        }
    }

    /// How long ago the loop began with what comes before a step at `now`.
    pub(super) fn before(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// A step is over.
    pub(super) fn step(&mut self, parts: &Parts, mut facts: Facts, now: Instant) {
        self.since = now;
        if judge(self.limit, parts, &facts).is_none() {
            return;
        }
        facts.faults = self.count_faults(now);
        let Some(cause) = judge(self.limit, parts, &facts) else {
            return;
        };
        self.totals.slow.count(cause);
        let Some(suppressed) = self.restraint.ask(now) else {
            return;
        };
        let mib = facts.moved >> 20;
        log::warn!(
            target: "inference", tag = "PERF",
            ms = ms(parts.total()),
            cause = cause.words(),
            decode_ms = ms(parts.decode),
            wait_ms = ms(parts.waited),
            cells_ms = ms(parts.cells),
            sampling_ms = ms(parts.sampling),
            moved_mib = (mib > 0).then_some(mib),
            page_faults = facts.faults.filter(|&faults| faults > 0),
            prompt_tokens = facts.prompt_tokens,
            turns = facts.turns,
            suppressed;
            "slow step"
        );
    }

    /// Major page faults since they were counted last.
    fn count_faults(&mut self, now: Instant) -> Option<u64> {
        self.looked = Some(now);
        let all = machine::major_faults()?;
        let before = self.faults.replace(all)?;
        Some(all.saturating_sub(before))
    }
}

fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
