//! A running engine thread as its callers see it: submit, forget, stop.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::cores::Cores;
use super::embedder::{Embedder, Tools};
use super::intake::{Intake, Refusal};
use super::job::{Deadlines, Job, SessionKey, Ticket, Turn, channel};
use super::lane::Keeping;
use super::life::Life;
use super::maker::Spare;
use super::permits::Permits;
use super::placement::Placement;
use super::pulse::{Bounds, Vigil, stuck};
use super::queue::Limits;
use super::run::Command;
use super::stats::{Stats, Totals};
use crate::error::{Error, Result};
use crate::llama::{Context, ThreadCounts, Token, Vocab};
use crate::memory::Level;
use crate::spill::Key;

/// What an engine thread starts with.
pub struct Start {
    /// The context that the thread will own.
    pub context: Context,
    /// The one that embeds texts, if the model does.
    pub embedding: Option<Context>,
    /// It generates. Otherwise it embeds only, and its turns are refused.
    pub generates: bool,
    /// Makes another one like it, for a thread that begins again.
    pub again: Spare,
    /// Makes the context that deterministic turns have for themselves.
    pub spare: Spare,
    /// Prompt tokens that a deterministic turn evaluates in one call.
    pub chunk: usize,
    /// The model's vocabulary.
    pub vocab: Vocab,
    /// Jobs that may run together.
    pub parallel: usize,
    /// Tokens that one session may use.
    pub capacity: usize,
    /// How the cells of idle conversations are kept.
    pub keeping: Keeping,
    /// The queue's bounds and rules.
    pub limits: Limits,
    /// Those of the model's turns, which all of its versions have in common.
    pub permits: Arc<Permits>,
    /// Compute threads at most; fewer while others need the cores.
    pub threads: ThreadCounts,
    /// Where the model computes.
    pub placement: Placement,
    /// What the backend's models compute on.
    pub cores: Arc<Cores>,
    /// Longest gap that a running stream should see.
    pub target_gap: Duration,
    /// From which length on a step is slow; zero: none is.
    pub slow_step: Duration,
    /// How long the first job of a batch waits for others.
    pub gather: Duration,
    /// Where the backend counts.
    pub totals: Arc<Totals>,
}

/// Starts a named thread of the caller's making, so that it belongs to the caller's log.
pub type Spawn = Arc<dyn Fn(Box<dyn FnOnce() + Send>) -> Result<JoinHandle<()>> + Send + Sync>;

/// A handle to an engine thread, and to one that embeds. Dropping it lets them answer what they accepted and end.
pub struct Engine {
    intake: Arc<Intake<Command>>,
    stats: Arc<Stats>,
    halt: Arc<AtomicBool>,
    parallel: usize,
    capacity: usize,
    reject_at: usize,
    n_vocab: usize,
    shape: u64,
    generates: bool,
    embedder: Option<Embedder>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Starts the threads, which need a stack of 8 MiB for llama.cpp's graphs. Errors: those of `spawn`.
    pub fn start(start: Start, spawn: &Spawn) -> Result<Engine> {
        let intake = Arc::new(Intake::new(start.permits));
        let stats = Arc::new(Stats::new(start.totals.clone()));
        let halt = Arc::new(AtomicBool::new(false));
        let n_vocab = start.vocab.n_tokens();
        let shape = start.keeping.shape(&start.context);
        let embedding = start.embedding.map(|context| {
            let tools = Tools {
                context,
                threads: start.threads,
                on_device: start.placement.is_on_device(),
                cores: start.cores.clone(),
                halt: halt.clone(),
            };
            Embedder::start(tools, spawn)
        });
        let (embedder, embedding) = embedding.transpose()?.unzip();
        let life = Life {
            intake: intake.clone(),
            stats: stats.clone(),
            halt: halt.clone(),
            vocab: start.vocab,
            cores: start.cores,
            again: start.again,
            spare: start.spare,
            spawn: spawn.clone(),
            chunk: start.chunk,
            parallel: start.parallel,
            capacity: start.capacity,
            keeping: start.keeping,
            limits: unbound(start.limits),
            threads: start.threads,
            placement: start.placement,
            target_gap: start.target_gap,
            slow_step: start.slow_step,
            gather: start.gather,
        };
        let context = start.context;
        let thread = spawn(Box::new(move || life.run(context)))?;
        let threads = embedding.into_iter().chain([thread]).collect();
        Ok(Engine {
            intake,
            stats,
            halt,
            parallel: start.parallel,
            capacity: start.capacity,
            reject_at: start.limits.reject_at,
            n_vocab,
            shape,
            generates: start.generates,
            embedder,
            threads: Mutex::new(threads),
        })
    }

    /// Whether it embeds texts, and then whether what they get is a score.
    pub fn embeds(&self) -> Option<bool> {
        self.embedder.as_ref().map(Embedder::gives_score)
    }

    /// The values of a text; waits for them until `deadline`. Setting `cancelled` ends it.
    ///
    /// Errors: `InvalidArgument` for a text without tokens; `Unsupported` where the model does not embed;
    /// `PromptTooLong`; `Timeout`; `Cancelled`; `Engine` from llama.cpp.
    pub fn embed(
        &self,
        tokens: Vec<Token>,
        cancelled: &Arc<AtomicBool>,
        deadline: Instant,
    ) -> Result<Vec<f32>> {
        match &self.embedder {
            Some(embedder) => embedder.embed(tokens, cancelled, deadline),
            None => Err(Error::Unsupported("the model does not embed texts".into())),
        }
    }

    /// Hands a turn in. Errors: `QueueFull`; `Unsupported` where the model only embeds; `InvalidArgument` for a prompt
    /// that is empty, longer than the context or holds a token that the model does not have; `Replaced` once it retires;
    /// `Closing` when it was stopped; `Timeout` while the thread does not come back from a step.
    pub fn submit(&self, turn: Turn) -> Result<Ticket> {
        self.check(&turn)?;
        let now = Instant::now();
        if self.stats.pulse.is_stuck(now) {
            return Err(Error::Timeout(stuck(self.stats.pulse.busy(now))));
        }
        let Deadlines { queued, hard } = turn.deadlines;
        let hard = hard.map(|hard| hard.longest());
        let vigil = Vigil::new(self.stats.clone(), Bounds::USUAL, queued, hard);
        let (answer, ticket) = channel(turn.cancelled.clone());
        let ticket = ticket.watched(vigil);
        let pass = turn.pass.clone();
        let job = |place| {
            Command::Submit(Box::new(Job {
                submitted: turn.since,
                turn,
                place: Some(place),
                answer,
            }))
        };
        let refusal = match self
            .intake
            .submit(self.reject_at + self.parallel, &pass, job)
        {
            Ok(()) => {
                self.stats.totals.queued.count();
                return Ok(ticket);
            }
            Err(refusal) => refusal,
        };
        ticket.void();
        Err(match refusal {
            Refusal::Closed if self.halt.load(Ordering::Relaxed) => Error::Closing,
            Refusal::Closed if self.stats.has_failed.get() > 0 => {
                Error::Internal("the engine thread of the model ended".into())
            }
            Refusal::Closed => Error::Replaced,
            Refusal::Full(unanswered) => {
                self.stats.totals.rejected.count();
                Error::QueueFull {
                    waiting: unanswered.saturating_sub(self.parallel),
                    limit: self.reject_at,
                }
            }
        })
    }

    /// What the cells of a conversation are kept under when they leave the context.
    pub fn key(&self, session: SessionKey) -> Key {
        Key {
            shape: self.shape,
            session: session.0,
            exact: false,
        }
    }

    /// Drops the cached tokens of a conversation that has ended. Does not wait.
    pub fn forget(&self, session: SessionKey) {
        self.intake.tell(Command::Forget(session));
    }

    /// Lets the thread give idle cells up under memory pressure. Does not wait.
    pub fn relieve(&self, level: Level) {
        self.intake.tell(Command::Relieve(level));
    }

    /// Whether no turn is in it. Any that comes later is let in only before `retire`.
    pub fn is_empty(&self) -> bool {
        self.intake.unanswered() == 0
    }

    /// Counters of the thread; reading them never waits.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Tokens that one session may use.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes no turn any more. Those that wait and that no step has worked for are answered with `Replaced`, and with
    /// `requeue` those that run and whose callers have none of their text. The thread does the others, keeps the cells of idle
    /// conversations for later, and ends.
    pub fn retire(&self, requeue: bool) {
        self.intake.leave_with(Command::Retire { requeue });
    }

    /// After `retire`: what still runs is answered now, with `Replaced` or with the text that it has.
    pub fn cut(&self) {
        self.intake.tell(Command::Cut);
    }

    /// Tells the thread to answer everything with `Cancelled`; the step that is running is cut short.
    pub fn stop(&self) {
        self.halt.store(true, Ordering::Relaxed);
        self.intake.stop();
    }

    /// The threads, for the one who waits for their end.
    pub fn take_threads(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut *self.threads.lock())
    }

    fn check(&self, turn: &Turn) -> Result<()> {
        if !self.generates {
            let text = "the model is an encoder: it embeds texts and generates none";
            return Err(Error::Unsupported(text.into()));
        }
        let tokens = &turn.tokens;
        if tokens.is_empty() || tokens.len() >= self.capacity {
            return Err(Error::InvalidArgument(format!(
                "prompt has {} tokens, must be between 1 and {}",
                tokens.len(),
                self.capacity - 1
            )));
        }
        // What stands for an embedding is negative, and nothing else is.
        let is_valid = |(place, token): &(usize, &Token)| match turn.media.at(*place) {
            Some(_) => token.0 < 0,
            None => usize::try_from(token.0).is_ok_and(|id| id < self.n_vocab),
        };
        match tokens.iter().enumerate().find(|entry| !is_valid(entry)) {
            None => Ok(()),
            Some((_, token)) => Err(Error::InvalidArgument(format!(
                "token {} is not in the vocabulary of {}",
                token.0, self.n_vocab
            ))),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.intake.leave();
    }
}

/// The queue's own bound: none. Places are counted at submission, where turns that another version had accepted are let
/// in beyond it.
fn unbound(limits: Limits) -> Limits {
    Limits {
        reject_at: usize::MAX,
        ..limits
    }
}
