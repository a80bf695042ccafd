//! How often somebody asked for a handle that is not there: pure, the time comes in.
//!
//! A guest that goes on with the handle of a failed load misses a few times; one that searches, millions of times. Does
//! not know what follows from an answer.

use std::time::{Duration, Instant};

/// Misses in a window that have no consequence.
const FREE: u32 = 64;

const WINDOW: Duration = Duration::from_secs(1);

/// What a miss has for a consequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// None.
    Free,
    /// The first of its window that has to wait.
    FirstSlow,
    /// It has to wait.
    Slow,
}

/// The misses of the whole process in the window that runs.
#[derive(Debug)]
pub(crate) struct Misses {
    began: Option<Instant>,
    count: u32,
}

impl Misses {
    /// No miss yet.
    pub(crate) const fn new() -> Misses {
        Misses {
            began: None,
            count: 0,
        }
    }

    /// Counts one.
    pub(crate) fn count(&mut self, now: Instant) -> Pace {
        let is_inside = |began: Instant| now.saturating_duration_since(began) < WINDOW;
        if !self.began.is_some_and(is_inside) {
            *self = Misses {
                began: Some(now),
                count: 0,
            };
        }
        self.count = self.count.saturating_add(1);
        match self.count {
            0..=FREE => Pace::Free,
            count if count == FREE + 1 => Pace::FirstSlow,
            _ => Pace::Slow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_64_misses_in_a_second_are_slow_until_the_second_is_over() {
        let mut misses = Misses::new();
        let began = Instant::now();
        let late = began + WINDOW - Duration::from_millis(1);
        for n in 1..=FREE {
            assert_eq!(misses.count(began), Pace::Free, "miss {n}");
        }
        assert_eq!(misses.count(late), Pace::FirstSlow);
        assert_eq!(misses.count(late), Pace::Slow);
        assert_eq!(misses.count(late), Pace::Slow);
        assert_eq!(misses.count(began + WINDOW), Pace::Free);
    }

    #[test]
    fn misses_far_apart_cost_nothing() {
        let mut misses = Misses::new();
        let began = Instant::now();
        for n in 0..1000 {
            assert_eq!(misses.count(began + n * WINDOW / 50), Pace::Free);
        }
    }
}
