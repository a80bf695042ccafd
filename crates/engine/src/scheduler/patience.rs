//! When a step is given up before its end: for callers who left, of its turns or of turns that wait beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::slot::Slot;

/// A step that takes so many times what it should is given up for one cancelled turn.
const TIMES: u32 = 4;

/// What one step is watched by. Any thread may ask; the flags are set by any.
pub(super) struct Patience {
    /// Cancellation of the turns that the step works for, and of the others.
    working: Vec<Arc<AtomicBool>>,
    waiting: Vec<Arc<AtomicBool>>,
    end: Option<Instant>,
}

impl Patience {
    /// For a step over `slots` that has yet to begin.
    pub(super) fn new(slots: &[Slot]) -> Patience {
        let of = |works: bool| {
            let slots = slots.iter().filter(|s| s.planned.is_empty() != works);
            slots.map(|s| s.work.job.turn.cancelled.clone()).collect()
        };
        Patience {
            working: of(true),
            waiting: of(false),
            end: None,
        }
    }

    /// The step begins at `now` and should take `expected`; `None` where that is not known, or where giving up would cost
    /// the other turns their cells.
    pub(super) fn begin(&mut self, now: Instant, expected: Option<Duration>) {
        self.end = expected.map(|time| now + TIMES * time);
    }

    /// Whether a caller of a turn that the step works for has left.
    pub(super) fn was_left(&self) -> bool {
        let mut flags = self.working.iter();
        flags.any(|flag| flag.load(Ordering::Relaxed))
    }

    /// Whether to give up now.
    pub(super) fn is_over(&self) -> bool {
        let is_set = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
        self.working.iter().all(is_set)
            || self.end.is_some_and(|end| Instant::now() >= end)
                && self.working.iter().chain(&self.waiting).any(is_set)
    }
}
