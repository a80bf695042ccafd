//! Where jobs come in and answers go out: the queue, and what is counted about both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::class::Class;
use super::failpoint::{self, Point};
use super::job::Job;
use super::lane::Ended;
use super::queue::{Ask, Choice, Now, Pushed, Queue, Standing};
use super::stats::Stats;
use super::work::Work;
use crate::error::Error;
use crate::stopping::Verdict;

/// The queue with its counters.
pub(super) struct Desk {
    pub(super) queue: Queue<Box<Work>>,
    pub(super) stats: Arc<Stats>,
}

impl Desk {
    /// Lets a job wait, or answers that too many do.
    pub(super) fn enqueue(&mut self, job: Job, step: u64) {
        let ask = Ask {
            class: job.turn.class,
            client: job.turn.client,
            deadline: job.turn.deadlines.queued,
        };
        let now = Now {
            step,
            time: job.submitted,
        };
        match self.queue.push(Box::new(Work::new(job)), ask, now) {
            Ok(Pushed::Admitted) => {}
            Ok(Pushed::Warned) => {
                log::warn!(target: "queue", "{} turns wait, the warning threshold is reached", self.queue.len());
            }
            Err(work) => {
                let waiting = self.queue.len();
                self.stats.totals.rejected.count();
                work.fail(Error::QueueFull {
                    waiting,
                    limit: waiting,
                });
            }
        }
    }

    /// Answers waiting jobs that nobody waits for any more, and those whose time in the queue is over.
    pub(super) fn sweep(&mut self, now: Now) {
        failpoint::hit(Point::Sweep);
        for work in self.queue.remove(|work| work.job.is_cancelled()) {
            self.stats.totals.cancelled.count();
            work.fail(Error::Cancelled);
        }
        for work in self.queue.expire(now) {
            self.stats.totals.expired.count();
            let waited = now.time.saturating_duration_since(work.job.submitted);
            work.fail(timeout("waited in the queue", waited));
        }
    }

    /// Takes the chosen job out for a slot. `None` if the queue has changed since.
    pub(super) fn take(&mut self, choice: Choice, now: Now) -> Option<(Box<Work>, Standing)> {
        let (work, standing) = self.queue.take(choice, now)?;
        if !work.has_started() {
            let waited = now.time.saturating_duration_since(work.job.submitted);
            let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
            let totals = &self.stats.totals;
            totals.longest_wait_us.set(micros);
            totals.waits[work.job.turn.class as usize].record(waited);
        }
        Some((work, standing))
    }

    /// Answers a turn that has left its slot.
    pub(super) fn answer(&mut self, ended: Ended) {
        failpoint::hit(Point::Answer);
        self.queue.done(ended.standing);
        let totals = &self.stats.totals;
        match ended.how {
            Ok(verdict) => self.finish(ended.work, verdict),
            Err(error) => {
                // Limits that follow the speed must learn of turns that were too slow for them.
                let (work, now) = (&ended.work, Instant::now());
                if work.has_begun() {
                    let completion = work.completion();
                    let evaluated = work.effort() - completion;
                    self.stats
                        .pace
                        .turn(evaluated, completion, &work.timings(now));
                }
                match error {
                    Error::Cancelled => totals.cancelled.count(),
                    Error::Timeout(_) => totals.expired.count(),
                    Error::Replaced => totals.moved.count(),
                    _ => totals.failed.count(),
                }
                ended.work.fail(error);
            }
        }
    }

    /// Answers a turn with the text that it has.
    pub(super) fn finish(&self, work: Box<Work>, verdict: Verdict) {
        let totals = &self.stats.totals;
        let (evaluated, completion) = (work.evaluated(), work.completion());
        totals.done.count();
        let now = Instant::now();
        // Who wakes finds the turn counted.
        let timings = work.timings(now);
        totals.turn(evaluated, completion, &timings);
        self.stats.pace.turn(evaluated, completion, &timings);
        work.finish(verdict, now);
    }

    /// Publishes the lengths of the queue.
    pub(super) fn publish(&self, now: Now) {
        failpoint::hit(Point::Publish);
        self.publish_waiting();
        self.stats.overdue.set(self.queue.overdue(now) as u64);
    }

    /// Publishes how many wait.
    pub(super) fn publish_waiting(&self) {
        for class in Class::ALL {
            self.stats.waiting[class as usize].set(self.queue.waiting(class) as u64);
        }
    }
}

/// Why a running turn is over at `now`, if it is.
pub(super) fn over(work: &Work, now: Instant) -> Option<Error> {
    let elapsed = work.elapsed(now);
    if work.job.is_cancelled() {
        Some(Error::Cancelled)
    } else if let Some(limit) = work.hard_limit().filter(|limit| elapsed >= *limit) {
        let limit = limit.as_millis();
        let what = format!("the hard limit of {limit} ms (timeout_config) ended the turn");
        Some(timeout(&what, elapsed))
    } else if !work.has_begun() && now >= work.job.turn.deadlines.queued {
        // A slot whose prompt no step had room for is a place in the queue.
        let waited = now.saturating_duration_since(work.job.submitted);
        Some(timeout("waited for its first step, and gave up", waited))
    } else if work.is_out_of_time(now) {
        Some(timeout(
            "max_time_ms passed before the first token",
            elapsed,
        ))
    } else {
        None
    }
}

fn timeout(what: &str, after: Duration) -> Error {
    Error::Timeout(format!("{what} after {} ms", after.as_millis()))
}
