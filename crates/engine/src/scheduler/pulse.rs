//! Whether an engine thread gets on, as its callers see it.
//!
//! A turn's own limits are the thread's to keep. Where a device or a driver never comes back from a call, the thread
//! keeps nothing any more, and nobody can end that call from outside. So each caller looks for itself how long the
//! present round of the thread has taken, and gives its turn up when that is beyond any step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::stats::Stats;
use crate::error::Error;

/// The life of an engine thread from one wait for commands to the next. Written by the thread, read by anyone.
#[derive(Debug)]
pub struct Pulse {
    origin: Instant,
    /// Microseconds from `origin` to the beginning of the present round, and one more; 0 while it waits for commands.
    round: AtomicU64,
    /// Somebody has said that the present round takes too long.
    is_told: AtomicBool,
}

/// From when on a round is no step any more.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Whatever limits a turn has. Steps are planned to take a quarter of a second, but one on a machine that reads
    /// its weights from a slow disk again may take minutes.
    pub any: Duration,
    /// For turns whose own time is over for as long.
    pub late: Duration,
}

impl Bounds {
    /// Those of all engine threads.
    pub const USUAL: Bounds = Bounds {
        any: Duration::from_secs(300),
        late: Duration::from_secs(30),
    };
}

impl Pulse {
    /// Of a thread that waits for commands.
    pub fn new() -> Pulse {
        Pulse {
            origin: Instant::now(),
            round: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
        }
    }

    /// A round begins at `now`.
    pub fn begin(&self, now: Instant) {
        let since = now.saturating_duration_since(self.origin).as_micros();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.round.store(since.saturating_add(1), Ordering::Relaxed);
        self.is_told.store(false, Ordering::Relaxed);
    }

    /// The thread waits for commands.
    pub fn rest(&self) {
        self.round.store(0, Ordering::Relaxed);
    }

    /// For how long the present round has been under way; nothing while the thread waits for commands.
    pub fn busy(&self, now: Instant) -> Duration {
        match self.round.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.saturating_duration_since(self.origin + Duration::from_micros(since - 1)),
        }
    }

    /// Whether the thread does not get on.
    pub fn is_stuck(&self, now: Instant) -> bool {
        self.busy(now) >= Bounds::USUAL.any
    }
}

/// How long the caller of one turn waits for a thread that does not get on.
pub struct Vigil {
    stats: Arc<Stats>,
    bounds: Bounds,
    /// The end of its wait in the queue.
    queued: Instant,
    /// The longest that it may run.
    hard: Option<Duration>,
    /// When its caller heard that it has a slot.
    started: Option<Instant>,
}

impl Vigil {
    /// For a turn that waits until `queued` and then runs for `hard` at most.
    pub fn new(
        stats: Arc<Stats>,
        bounds: Bounds,
        queued: Instant,
        hard: Option<Duration>,
    ) -> Vigil {
        Vigil {
            stats,
            bounds,
            queued,
            hard,
            started: None,
        }
    }

    /// The turn has a slot.
    pub fn start(&mut self, now: Instant) {
        self.started.get_or_insert(now);
    }

    /// How long to wait before the next look.
    pub fn look(&self) -> Duration {
        (self.bounds.late.min(self.bounds.any) / 4).min(Duration::from_secs(1))
    }

    /// Why not to wait any longer, if so. Says it once for each round in the log.
    pub fn lost(&self, now: Instant) -> Option<Error> {
        let pulse = &self.stats.pulse;
        let busy = pulse.busy(now);
        let end = match (self.started, self.hard) {
            (None, _) => Some(self.queued),
            (Some(started), Some(hard)) => started.checked_add(hard),
            (Some(_), None) => None,
        };
        let is_late = end.is_some_and(|end| now.saturating_duration_since(end) >= self.bounds.late);
        if busy < self.bounds.late.min(self.bounds.any) || busy < self.bounds.any && !is_late {
            return None;
        }
        let text = stuck(busy);
        if !pulse.is_told.swap(true, Ordering::Relaxed) {
            log::error!(target: "engine", "{text}: its turns are given up by their callers");
        }
        Some(Error::Timeout(text))
    }
}

/// What is said of a thread that does not get on.
pub fn stuck(busy: Duration) -> String {
    format!(
        "the model has not come back from a step for {} s",
        busy.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::super::job::{Piece, channel};
    use super::super::stats::Health;
    use super::*;

    const BOUNDS: Bounds = Bounds {
        any: Duration::from_secs(300),
        late: Duration::from_secs(30),
    };

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// A turn that may wait for 60 s and run for `hard`, from a moment on at which a round began.
    fn vigil(hard: Option<u64>) -> (Vigil, Instant) {
        let stats = Arc::new(Stats::new(Arc::default()));
        let begun = stats.pulse.origin + secs(1);
        stats.pulse.begin(begun);
        let hard = hard.map(Duration::from_secs);
        (Vigil::new(stats, BOUNDS, begun + secs(60), hard), begun)
    }

    fn ends_at(vigil: &Vigil, begun: Instant) -> Option<u64> {
        (0..1000).find(|&n| vigil.lost(begun + secs(n)).is_some())
    }

    #[test]
    fn a_turn_that_waits_is_given_up_soon_after_its_time_in_the_queue() {
        let (vigil, begun) = vigil(None);
        assert_eq!(ends_at(&vigil, begun), Some(90));
    }

    #[test]
    fn a_turn_that_runs_is_given_up_soon_after_its_hard_limit() {
        let (mut vigil, begun) = vigil(Some(100));
        vigil.start(begun + secs(10));
        assert_eq!(ends_at(&vigil, begun), Some(140));
    }

    #[test]
    fn a_turn_without_a_limit_is_given_up_when_no_step_takes_so_long() {
        let (mut vigil, begun) = vigil(None);
        vigil.start(begun);
        assert_eq!(ends_at(&vigil, begun), Some(300));
    }

    #[test]
    fn a_thread_that_does_not_get_on_is_shown_and_so_is_one_that_has_failed() {
        let (vigil, begun) = vigil(None);
        let health = |secs: u64| vigil.stats.health(begun + Duration::from_secs(secs));
        assert_eq!(health(299), Health::Well);
        assert_eq!(health(300), Health::Stuck);
        vigil.stats.pulse.begin(begun + secs(300));
        assert_eq!(health(301), Health::Well);
        vigil.stats.has_failed.set(1);
        assert_eq!(health(301), Health::Failed);
    }

    #[test]
    fn the_caller_of_a_thread_that_never_answers_gets_a_timeout_and_its_turn_is_cancelled() {
        let stats = Arc::new(Stats::new(Arc::default()));
        let now = Instant::now();
        stats.pulse.begin(now);
        let bounds = Bounds {
            any: Duration::from_millis(40),
            late: Duration::from_millis(10),
        };
        let cancelled = Arc::new(AtomicBool::new(false));
        let (answer, ticket) = channel(cancelled.clone());
        let vigil = Vigil::new(stats.clone(), bounds, now + secs(3600), None);
        let ticket = ticket.watched(vigil);
        answer.send(Piece::Started { cached_tokens: 0 });
        assert!(matches!(ticket.next(), Ok(Piece::Started { .. })));
        assert!(!cancelled.load(Ordering::Relaxed));
        assert!(matches!(ticket.next(), Err(Error::Timeout(_))));
        assert!(cancelled.load(Ordering::Relaxed));
        assert!(stats.pulse.is_told.load(Ordering::Relaxed));
        // What comes after all is not lost on who asks again.
        answer.send(Piece::Failed(Error::Cancelled));
        assert!(matches!(ticket.next(), Ok(Piece::Failed(_))));
    }

    #[test]
    fn a_thread_that_gets_on_is_waited_for_whatever_the_limits_say() {
        let (vigil, begun) = vigil(Some(1));
        for n in 0..1000 {
            let now = begun + secs(n);
            if n % 29 == 0 {
                vigil.stats.pulse.begin(now);
            }
            assert_eq!(vigil.lost(now), None);
        }
        vigil.stats.pulse.rest();
        assert_eq!(vigil.lost(begun + secs(5000)), None);
        assert!(!vigil.stats.pulse.is_stuck(begun + secs(5000)));
    }
}
