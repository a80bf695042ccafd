//! How many lines of a log may be written: a guest can cause any number.

use std::time::{Duration, Instant};

/// Lines of one second that are written.
const MOST_IN_A_SECOND: u32 = 20;

/// What was written and withheld in the second that runs.
#[derive(Debug)]
pub struct Rate {
    began: Option<Instant>,
    written: u32,
    withheld: u32,
}

impl Rate {
    /// Before the first line.
    pub const fn new() -> Rate {
        Rate {
            began: None,
            written: 0,
            withheld: 0,
        }
    }

    /// Judges a line that is to be written `now`. `None`: it is withheld; else how many were, and not told of yet.
    pub fn pass(&mut self, now: Instant) -> Option<u32> {
        let runs = |began: Instant| now.saturating_duration_since(began) < Duration::from_secs(1);
        if !self.began.is_some_and(runs) {
            (self.began, self.written) = (Some(now), 0);
        }
        if self.written < MOST_IN_A_SECOND {
            self.written += 1;
            return Some(std::mem::take(&mut self.withheld));
        }
        self.withheld = self.withheld.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_twenty_lines_and_the_next_tells_how_many_more_there_were() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut rate = Rate::new();
        for ms in 0..20 {
            assert_eq!(rate.pass(at(ms)), Some(0));
        }
        for ms in [20, 500, 999] {
            assert_eq!(rate.pass(at(ms)), None);
        }
        assert_eq!(rate.pass(at(1000)), Some(3));
        assert_eq!(rate.pass(at(1001)), Some(0));
        // A clock that seems to go back begins no second.
        for _ in 0..18 {
            assert_eq!(rate.pass(at(500)), Some(0));
        }
        assert_eq!(rate.pass(at(500)), None);
        assert_eq!(rate.pass(at(9000)), Some(1));
    }
}
