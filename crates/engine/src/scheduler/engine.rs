//! A running engine thread as its callers see it: submit, forget, stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;

use super::job::{Job, SessionKey, Ticket, Turn, channel};
use super::pool::Pool;
use super::queue::{Limits, Queue};
use super::run::{Command, Loop};
use super::stats::{Refusal, Stats, Totals};
use crate::error::{Error, Result};
use crate::llama::{Context, Token, Vocab};

/// Commands that may wait for the engine thread, which takes all of them in at every step.
const INBOX: usize = 1024;

/// What an engine thread starts with.
pub struct Start {
    /// The context that the thread will own.
    pub context: Context,
    /// The model's vocabulary.
    pub vocab: Vocab,
    /// Jobs that may run together.
    pub parallel: usize,
    /// Tokens that one session may use.
    pub capacity: usize,
    /// Idle tokens kept in total; 0 is no cap.
    pub idle_limit: usize,
    /// The queue's bounds.
    pub limits: Limits,
    /// Where the backend counts.
    pub totals: Arc<Totals>,
}

/// Starts a named thread of the caller's making, so that it belongs to the caller's log.
pub type Spawn<'a> = &'a dyn Fn(Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>>;

/// A handle to an engine thread. Dropping it lets the thread answer what it accepted and end.
pub struct Engine {
    inbox: Sender<Command>,
    stats: Arc<Stats>,
    abort: Arc<AtomicBool>,
    parallel: usize,
    capacity: usize,
    reject_at: usize,
    n_vocab: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the thread, which needs a stack of 8 MiB for llama.cpp's graphs. Errors: those of `spawn`.
    pub fn start(start: Start, spawn: Spawn<'_>) -> Result<Engine> {
        let (inbox, commands) = bounded(INBOX);
        let stats = Arc::new(Stats::new(start.totals));
        let context = start.context;
        let abort = context.abort_flag();
        let pool = Pool::new(
            context.n_seq_max() as usize,
            context.n_ctx() as usize,
            start.idle_limit,
            Instant::now(),
        );
        let n_vocab = start.vocab.n_tokens();
        let engine = Loop {
            batch: context.new_batch(),
            context,
            vocab: start.vocab,
            queue: Queue::new(bound(start.limits, start.parallel)),
            slots: Vec::with_capacity(start.parallel),
            pool,
            inbox: commands,
            stats: stats.clone(),
            parallel: start.parallel,
            capacity: start.capacity,
        };
        let thread = spawn(Box::new(move || engine.run()))?;
        Ok(Engine {
            inbox,
            stats,
            abort,
            parallel: start.parallel,
            capacity: start.capacity,
            reject_at: start.limits.reject_at,
            n_vocab,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands a turn in. Errors: `QueueFull`; `InvalidArgument` for a prompt that is empty, longer than the context or
    /// holds a token that the model does not have; `Closing` when the thread has ended.
    pub fn submit(&self, turn: Turn) -> Result<Ticket> {
        self.check(&turn.tokens)?;
        let limit = self.reject_at;
        let place = match self.stats.enter(limit + self.parallel) {
            Ok(place) => place,
            Err(Refusal::Closed) => return Err(Error::Closing),
            Err(Refusal::Full(in_flight)) => {
                self.stats.totals.rejected.count();
                return Err(Error::QueueFull {
                    waiting: in_flight - self.parallel,
                    limit,
                });
            }
        };
        self.stats.totals.queued.count();
        let room = self.capacity - turn.tokens.len();
        let most = turn.rules.token_limit().unwrap_or(room).min(room) + 1;
        let (answer, ticket) = channel(most, turn.cancelled.clone());
        let job = Job {
            turn,
            submitted: Instant::now(),
            place: Some(place),
            answer,
        };
        if self.inbox.send(Command::Submit(Box::new(job))).is_err() {
            return Err(Error::Closing);
        }
        Ok(ticket)
    }

    /// Drops the cached tokens of a conversation that has ended. Does not wait.
    pub fn forget(&self, session: SessionKey) {
        // A stopped thread has no cache left to forget.
        drop(self.inbox.send(Command::Forget(session)));
    }

    /// Counters of the thread; reading them never waits.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Tokens that one session may use.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Tells the thread to answer everything with `Cancelled`; the step that is running is cut short.
    pub fn stop(&self) {
        self.abort.store(true, Ordering::Relaxed);
        drop(self.inbox.send(Command::Stop));
    }

    /// The thread, for the one who waits for its end.
    pub fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().take()
    }

    fn check(&self, tokens: &[Token]) -> Result<()> {
        if tokens.is_empty() || tokens.len() >= self.capacity {
            return Err(Error::InvalidArgument(format!(
                "prompt has {} tokens, must be between 1 and {}",
                tokens.len(),
                self.capacity - 1
            )));
        }
        let is_valid = |t: &&Token| usize::try_from(t.0).is_ok_and(|id| id < self.n_vocab);
        match tokens.iter().find(|t| !is_valid(t)) {
            None => Ok(()),
            Some(token) => Err(Error::InvalidArgument(format!(
                "token {} is not in the vocabulary of {}",
                token.0, self.n_vocab
            ))),
        }
    }
}

/// The queue's own bound: places are counted at submission, and between two steps a job waits although a slot is free.
fn bound(limits: Limits, parallel: usize) -> Limits {
    Limits {
        reject_at: limits.reject_at + parallel,
        ..limits
    }
}
