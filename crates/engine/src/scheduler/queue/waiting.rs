//! A waiting job: since when, and what its age has made of it.
//!
//! Each 256 steps or 2 s of waiting, whichever comes first, raise a job's class by one, to urgent at most; after three
//! rises it is overdue. The overdue lane has neither classes nor clients: its order is that of entering the queue, and
//! every second admission is its own while others wait too. It does not know credits, virtual times or what runs.

use std::time::Instant;

use super::{Choice, Class, Standing, Turn};

const STEPS_PER_RISE: u64 = 256;
const SECONDS_PER_RISE: u64 = 2;
const RISES_TO_OVERDUE: usize = 3;

/// A moment: the loop's step number and the clock. Neither ever falls.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Of the loop.
    pub step: u64,
    /// Of the clock.
    pub time: Instant,
}

impl Now {
    fn rises_since(self, since: Now) -> usize {
        let steps = self.step.saturating_sub(since.step) / STEPS_PER_RISE;
        let time = self.time.saturating_duration_since(since.time).as_secs() / SECONDS_PER_RISE;
        usize::try_from(steps.max(time)).unwrap_or(usize::MAX)
    }
}

pub(super) struct Waiting<J> {
    pub(super) job: J,
    pub(super) standing: Standing,
    /// Rises with each job that enters, new or put back.
    pub(super) entry: u64,
    /// When it entered.
    pub(super) since: Now,
}

/// Where a job waits once its age is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    Class(Class),
    Overdue,
}

impl<J> Waiting<J> {
    pub(super) fn is_expired(&self, now: Now) -> bool {
        self.standing
            .deadline
            .is_some_and(|deadline| deadline <= now.time)
    }

    pub(super) fn lane(&self, now: Now) -> Lane {
        let rises = now.rises_since(self.since);
        if rises >= RISES_TO_OVERDUE {
            return Lane::Overdue;
        }
        let raised = Class::ALL.get(self.standing.class as usize + rises);
        Lane::Class(raised.copied().unwrap_or(Class::Urgent))
    }

    pub(super) fn chosen(&self, turn: Turn) -> Choice {
        Choice {
            arrival: self.standing.arrival,
            turn,
        }
    }
}

/// The job that has been waiting longest, if it is overdue.
pub(super) fn oldest_overdue<'a, J>(
    candidates: &[&'a Waiting<J>],
    now: Now,
) -> Option<&'a Waiting<J>> {
    let overdue = candidates.iter().filter(|w| w.lane(now) == Lane::Overdue);
    overdue.min_by_key(|w| w.entry).copied()
}
