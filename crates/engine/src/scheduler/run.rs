//! The step loop of one engine thread: take in, drop, admit, evaluate, sample, deliver.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::batch;
use super::job::{Class, Job, SessionKey};
use super::pool::Pool;
use super::queue::{Pushed, Queue};
use super::slot::Slot;
use super::stats::Stats;
use crate::error::Error;
use crate::llama::{Batch, Context, DecodeFailure, Vocab};
use crate::stopping::Verdict;

/// What callers tell the engine thread.
pub(super) enum Command {
    Submit(Box<Job>),
    /// The conversation is gone: its idle tokens leave the cache.
    Forget(SessionKey),
    Stop,
}

/// Everything that an engine thread owns.
pub(super) struct Loop {
    pub(super) context: Context,
    pub(super) batch: Batch,
    pub(super) vocab: Vocab,
    pub(super) queue: Queue<Job>,
    pub(super) slots: Vec<Slot>,
    pub(super) pool: Pool,
    pub(super) inbox: Receiver<Command>,
    pub(super) stats: Arc<Stats>,
    /// Jobs that may run together.
    pub(super) parallel: usize,
    /// Tokens that one session may use.
    pub(super) capacity: usize,
}

impl Loop {
    /// Runs until told to stop, or until all callers have left and every accepted job is answered.
    pub(super) fn run(mut self) {
        while self.take_in() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.step())) {
                self.recover(&*panic);
            }
            self.publish();
        }
    }

    fn step(&mut self) {
        let now = Instant::now();
        self.drop_ended(now);
        self.admit(now);
        let budget = self.context.n_batch() as usize;
        if let Err(error) = batch::fill(&mut self.batch, &mut self.slots, &self.pool, budget) {
            return self.fail_slots(&error);
        }
        if self.batch.is_empty() {
            return;
        }
        match self.decode() {
            Ok(()) => self.deliver(),
            Err(DecodeFailure::NoCells) => {
                self.fail_slots(&Error::Engine("decode found no free cells".into()));
            }
            // The flag is raised only by a stop, whose command comes next.
            Err(DecodeFailure::Aborted) => self.fail_slots(&Error::Cancelled),
            Err(DecodeFailure::Failed(reason)) => self.fail_slots(&Error::Engine(reason)),
        }
    }

    /// Takes commands in; blocks while there is nothing to do. False: stop.
    fn take_in(&mut self) -> bool {
        let mut idle = self.slots.is_empty() && self.queue.is_empty();
        if idle {
            self.context.pause_threads();
        }
        loop {
            let command = if idle {
                self.inbox.recv().map_err(|_| TryRecvError::Disconnected)
            } else {
                self.inbox.try_recv()
            };
            match command {
                Ok(Command::Submit(job)) => {
                    self.enqueue(*job);
                    idle = false;
                }
                Ok(Command::Forget(session)) => self.forget(session),
                Ok(Command::Stop) => return false,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) if idle => return false,
                Err(TryRecvError::Disconnected) => break,
            }
        }
        true
    }

    fn enqueue(&mut self, job: Job) {
        let (class, deadline) = (job.turn.class, job.turn.deadlines.queued);
        match self.queue.push(job, class, deadline) {
            Ok(Pushed::Admitted) => {}
            Ok(Pushed::Warned) => {
                log::warn!(target: "queue", "{} turns wait, the warning threshold is reached", self.queue.len());
            }
            Err(job) => {
                let waiting = self.queue.len();
                self.stats.totals.rejected.count();
                job.fail(Error::QueueFull {
                    waiting,
                    limit: waiting,
                });
            }
        }
    }

    /// Jobs that nobody waits for any more, and jobs whose time is over.
    fn drop_ended(&mut self, now: Instant) {
        for job in self.queue.remove(Job::is_cancelled) {
            self.stats.totals.cancelled.count();
            job.fail(Error::Cancelled);
        }
        for job in self.queue.expire(now) {
            self.stats.totals.expired.count();
            let waited = now.saturating_duration_since(job.submitted);
            job.fail(timeout("waited in the queue", waited));
        }
        let mut at = 0;
        while at < self.slots.len() {
            let slot = &self.slots[at];
            let elapsed = slot.elapsed(now);
            let error = if slot.job.is_cancelled() {
                self.stats.totals.cancelled.count();
                Error::Cancelled
            } else if slot
                .job
                .turn
                .deadlines
                .hard
                .is_some_and(|limit| elapsed >= limit)
            {
                self.stats.totals.expired.count();
                timeout("the hard limit (timeout_config) ended the turn", elapsed)
            } else if slot.is_out_of_time(now) {
                self.stats.totals.expired.count();
                timeout("max_time_ms passed before the first token", elapsed)
            } else {
                at += 1;
                continue;
            };
            let slot = self.slots.remove(at);
            self.release(slot.sequence, slot.job.turn.keep_cache, now);
            slot.fail(error);
        }
    }

    /// Gives slots and cells to waiting jobs while there are any.
    fn admit(&mut self, now: Instant) {
        while self.slots.len() < self.parallel
            && let Some(job) = self.queue.peek()
        {
            let room = self.capacity.saturating_sub(job.turn.tokens.len());
            let reserve = job.turn.rules.token_limit().unwrap_or(room).min(room);
            let Some(grant) = self
                .pool
                .admit(job.turn.session, &job.turn.tokens, reserve, now)
            else {
                return;
            };
            let Some(job) = self.queue.pick() else { return };
            for sequence in grant.evicted {
                self.clear(sequence);
                self.stats.totals.evictions.count();
            }
            let waited = now.saturating_duration_since(job.submitted);
            self.stats
                .totals
                .longest_wait_us
                .set(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
            self.start(job, grant.sequence, grant.cached, now);
        }
    }

    fn start(&mut self, job: Job, sequence: usize, cached: usize, now: Instant) {
        let seq = self.seq(sequence);
        let keep = u32::try_from(cached).expect("a sequence holds at most n_ctx tokens");
        match Slot::new(job, sequence, seq, cached, now) {
            Ok(mut slot) => {
                if cached > 0 && self.context.seq_truncate(seq, keep) {
                    self.stats.totals.reuse_hits.count();
                    self.stats.totals.reused_tokens.add(cached as u64);
                } else {
                    self.context.seq_clear(seq);
                    self.pool.restart(sequence);
                    slot.restart();
                }
                slot.announce();
                self.slots.push(slot);
            }
            Err((job, error)) => {
                self.release(sequence, false, now);
                self.stats.totals.failed.count();
                job.fail(error);
            }
        }
    }

    /// Evaluates the batch. Without cells, which the accounting excludes, idle sequences give way once.
    fn decode(&mut self) -> Result<(), DecodeFailure> {
        let now = Instant::now();
        for slot in &mut self.slots {
            if !slot.planned.is_empty() {
                slot.begin(now);
            }
        }
        self.stats.totals.steps.count();
        self.context.resume_threads();
        let result = self.context.decode(&self.batch);
        if !matches!(result, Err(DecodeFailure::NoCells)) {
            return result;
        }
        self.stats.totals.accounting_errors.count();
        log::error!(target: "memory", "decode found no cells although {} of them are accounted for", self.pool.used());
        for sequence in self.pool.clear_idle() {
            self.clear(sequence);
        }
        self.context.decode(&self.batch)
    }

    /// Samples every slot that has logits and ends the turns that are over.
    fn deliver(&mut self) {
        let mut at = 0;
        while at < self.slots.len() {
            let slot = &mut self.slots[at];
            for &token in &slot.planned {
                self.pool.filled(slot.sequence, token);
            }
            slot.advance();
            let room = self.pool.len(slot.sequence) < self.capacity;
            match slot.sample(&self.context, &self.vocab, room) {
                Ok(None) => at += 1,
                Ok(Some(verdict)) => {
                    let slot = self.slots.remove(at);
                    self.finish(slot, verdict);
                }
                Err(error) => {
                    let slot = self.slots.remove(at);
                    self.release(slot.sequence, false, Instant::now());
                    self.stats.totals.failed.count();
                    slot.fail(error);
                }
            }
        }
    }

    fn finish(&mut self, slot: Slot, verdict: Verdict) {
        let now = Instant::now();
        let (evaluated, completion) = (slot.evaluated(), slot.completion());
        self.release(slot.sequence, slot.job.turn.keep_cache, now);
        self.stats.totals.done.count();
        let timings = slot.finish(verdict, now);
        self.stats.totals.turn(evaluated, completion, &timings);
    }

    /// Ends a sequence's turn; its tokens stay for the next one unless they must not.
    fn release(&mut self, sequence: usize, keep: bool, now: Instant) {
        let mut cleared = self.pool.release(sequence, now);
        if !keep {
            self.pool.forget(sequence);
            cleared.push(sequence);
        }
        for sequence in cleared {
            self.clear(sequence);
        }
    }

    fn forget(&mut self, session: SessionKey) {
        for slot in &mut self.slots {
            // Its last turn still runs: the tokens go when it ends.
            slot.job.turn.keep_cache &= slot.job.turn.session != session;
        }
        if let Some(sequence) = self.pool.idle_of(session) {
            self.pool.forget(sequence);
            self.clear(sequence);
        }
    }

    fn clear(&mut self, sequence: usize) {
        let seq = self.seq(sequence);
        self.context.seq_clear(seq);
    }

    fn seq(&self, sequence: usize) -> crate::llama::SeqId {
        u32::try_from(sequence)
            .ok()
            .and_then(|index| self.context.seq(index))
            .expect("the pool has n_seq_max sequences")
    }

    /// The step failed as a whole: what its sequences hold is unknown, so they are cleared.
    fn fail_slots(&mut self, error: &Error) {
        let level = match error {
            Error::Cancelled => log::Level::Debug,
            _ => log::Level::Error,
        };
        log::log!(target: "inference", level, "a step of {} turns failed: {error}", self.slots.len());
        for slot in std::mem::take(&mut self.slots) {
            self.pool.forget(slot.sequence);
            self.clear(slot.sequence);
            self.stats.totals.failed.count();
            slot.fail(error.clone());
        }
        self.batch.clear();
    }

    fn recover(&mut self, panic: &(dyn std::any::Any + Send)) {
        let text = panic
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        self.fail_slots(&Error::Internal(format!("a step panicked: {text}")));
        // Without slots no sequence runs, whatever the step was doing.
        for sequence in self.pool.clear_running() {
            self.clear(sequence);
        }
    }

    fn publish(&self) {
        for class in Class::ALL {
            self.stats.waiting[class as usize].set(self.queue.waiting(class) as u64);
        }
        self.stats.running.set(self.slots.len() as u64);
        self.stats.totals.running.set(self.slots.len() as u64);
        self.stats.used_tokens.set(self.pool.used() as u64);
        self.stats.idle_tokens.set(self.pool.idle_tokens() as u64);
    }
}

/// However the thread ends, every accepted job is answered: those that run, those that wait, and those that are still on
/// their way through the inbox, which would keep a message for as long as one of its senders waits for the answer.
impl Drop for Loop {
    fn drop(&mut self) {
        self.stats.close();
        let mut jobs = self.queue.remove(|_| true);
        jobs.extend(
            std::mem::take(&mut self.slots)
                .into_iter()
                .map(|slot| slot.job),
        );
        loop {
            for job in jobs.drain(..) {
                self.stats.totals.cancelled.count();
                job.fail(Error::Cancelled);
            }
            if !self.stats.is_occupied() {
                break;
            }
            // A holder of a place is about to send.
            if let Ok(Command::Submit(job)) = self.inbox.recv_timeout(Duration::from_millis(1)) {
                jobs.push(*job);
            }
        }
        self.publish();
    }
}

fn timeout(what: &str, after: Duration) -> Error {
    Error::Timeout(format!("{what} after {} ms", after.as_millis()))
}
