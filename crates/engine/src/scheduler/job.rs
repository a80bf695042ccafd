//! A turn prepared for the engine thread, and the caller's half of it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::answer::{Next, Reader, Writer, pipe};
use super::class::Class;
use super::intake::Place;
use super::media::Media;
use super::permits::Pass;
use super::pulse::Vigil;
use super::queue::Client;
use super::shield::attempt;
use super::speech::Speech;
use crate::error::{Error, Result};
use crate::llama::Token;
use crate::presence::Presence;
use crate::sampling::Odds;
use crate::stopping::Verdict;
use crate::stopping::deadline::{Adaptive, Speed};

/// Names a conversation to the engine thread: jobs of one key find each other's cached tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u64);

/// When a job gives up.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Latest moment to leave the queue.
    pub queued: Instant,
    /// Longest run, from the first prefill step; the turn fails then.
    pub hard: Option<HardLimit>,
}

/// The longest run of a turn.
#[derive(Debug, Clone, Copy)]
pub enum HardLimit {
    /// So long.
    Fixed(Duration),
    /// As long as the work should take at this speed, with a margin.
    Adaptive(Adaptive, Speed),
}

impl HardLimit {
    /// The longest that it may come to.
    pub(super) fn longest(&self) -> Duration {
        match self {
            HardLimit::Fixed(limit) => *limit,
            HardLimit::Adaptive(adaptive, _) => adaptive.max,
        }
    }
}

/// One turn's work: everything the engine thread needs, and nothing that needs text processing there.
pub struct Turn {
    /// The conversation whose cached tokens may be continued.
    pub session: SessionKey,
    /// Its class in the queue.
    pub class: Class,
    /// Who is charged for it.
    pub client: Client,
    /// It runs in engine calls of its own whose shapes depend on nothing else.
    pub deterministic: bool,
    /// Whether the caller wants the text in pieces.
    pub stream: bool,
    /// The whole prompt; at least one token, each valid for the model but for those of images.
    pub tokens: Vec<Token>,
    /// Which of them stand for embeddings; those are negative.
    pub media: Media,
    /// Its answer, empty yet: how tokens are chosen, and when it ends.
    pub speech: Speech,
    /// When it gives up.
    pub deadlines: Deadlines,
    /// Whether the conversation's tokens stay in the cache afterwards.
    pub keep_cache: bool,
    /// What the turn knows of its conversation.
    pub past: Past,
    /// When its caller first handed it in, to whichever version of the model.
    pub since: Instant,
    /// Its permit, which it has already if it was accepted before: then it is not refused for want of a place.
    pub pass: Pass,
    /// Ends the turn when set, from any thread.
    pub cancelled: Arc<AtomicBool>,
    /// Let go of when the turn is answered, whether or not somebody has read the answer.
    pub keeps: Kept,
}

/// Something that a turn keeps alive.
///
/// It is the caller's own, and let go of wherever the turn ends, in the middle of a panic too: its own panics end here.
#[derive(Default)]
pub struct Kept(Option<Box<dyn Any + Send>>);

impl Kept {
    /// Keeps this, if it is anything.
    pub fn new(kept: Option<Box<dyn Any + Send>>) -> Kept {
        Kept(kept)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.0.is_some() {
            attempt("the end of what a turn kept", || drop(self.0.take()));
        }
    }
}

/// What a turn knows of its conversation.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// There is none: it is the first turn.
    pub is_first: bool,
    /// Tokens at the prompt's start that its last turns had.
    pub tokens: usize,
    /// Old turns gave way to this one: the cells of those behind them may be moved.
    pub is_trimmed: bool,
    /// The conversation's mark.
    pub presence: Arc<Presence>,
    /// What may still give way while the answer grows; `None` ends the answer when the context is full.
    pub droppable: Option<Droppable>,
}

/// What gives way to an answer, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Droppable {
    /// Old turns in the prompt.
    Turns {
        /// Tokens before the first of them.
        kept: usize,
        /// Where each of them ends, in tokens of the prompt; rising.
        ends: Vec<usize>,
        /// Tokens that go at once at least; 0 is half of what may be dropped.
        at_least: usize,
    },
    /// Whatever stands behind the kept tokens, the older part of the answer too.
    Text {
        /// Tokens at the start of the prompt.
        kept: usize,
        /// Tokens that go at once: not so few that the next time comes soon, and at most half of what may be dropped,
        /// which 0 stands for.
        at_once: usize,
    },
}

/// A turn that was accepted, with the way of its answer.
pub(super) struct Job {
    pub(super) turn: Turn,
    /// When the caller handed it in.
    pub(super) submitted: Instant,
    /// Held until just before the answer, so that a caller who wakes finds the place free.
    pub(super) place: Option<Place>,
    pub(super) answer: Writer<Piece>,
}

/// What an answer is made of: text as it appears, then exactly one of the other two.
pub enum Piece {
    /// The job left the queue; so many tokens of its prompt were found in the cache.
    Started {
        /// Of the prompt.
        cached_tokens: usize,
    },
    /// Whole characters of the answer.
    Text {
        /// The next of them.
        text: String,
        /// Tokens sampled so far.
        completion_tokens: usize,
    },
    /// The turn ended with success.
    Done(Box<Outcome>),
    /// The turn failed.
    Failed(Error),
}

impl Piece {
    /// Appends text to text; gives back what cannot be appended.
    pub(super) fn join(&mut self, piece: Piece) -> Option<Piece> {
        match (self, piece) {
            (
                Piece::Text {
                    text,
                    completion_tokens,
                },
                Piece::Text {
                    text: more,
                    completion_tokens: now,
                },
            ) => {
                text.push_str(&more);
                *completion_tokens = now;
                None
            }
            (_, piece) => Some(piece),
        }
    }
}

/// A finished turn.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The whole answer after all cuts.
    pub text: String,
    /// What the model thought before it, where it did.
    pub reasoning: Option<String>,
    /// Sampled tokens that are no part of the answer, where the model thought.
    pub reasoning_tokens: usize,
    /// Sampled tokens whose bytes lie whole inside `text`.
    pub tokens: Vec<Token>,
    /// Bytes of `text` that `tokens` make up.
    pub token_bytes: usize,
    /// How likely each of `tokens` was, where the turn asked for it.
    pub odds: Vec<Odds>,
    /// Required tokens and texts that did not appear.
    pub required_missing: Vec<String>,
    /// Why it ended.
    pub verdict: Verdict,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Of those, the ones that were found in the cache.
    pub cached_tokens: usize,
    /// Tokens sampled, the end token included.
    pub completion_tokens: usize,
    /// Old turns that gave way while the answer grew.
    pub turns_dropped: usize,
    /// Tokens of those.
    pub tokens_dropped: usize,
    /// How often that happened.
    pub shifts: usize,
    /// Where the time went.
    pub timings: Timings,
}

/// Where a turn's time went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// From submission to the first prefill step.
    pub queued: Duration,
    /// From the first prefill step to the first sampled token.
    pub prefill: Duration,
    /// From the first sampled token to the last.
    pub decode: Duration,
    /// Of all that, the time for choosing tokens and judging their text.
    pub sampling: Duration,
}

/// The caller's half of a job. Dropping it before the last piece cancels the job.
pub struct Ticket {
    answer: Reader<Piece>,
    cancelled: Arc<AtomicBool>,
    is_answered: Cell<bool>,
    /// Reports a stuck engine thread to the caller that waits; `None`: nothing is checked.
    vigil: Option<RefCell<Vigil>>,
}

/// How long a caller waits at once whose thread nobody watches.
const LONG: Duration = Duration::from_secs(3600);

/// The two ends of a job's answer. `cancelled` is set when the ticket is dropped early, or by anyone who wants the job to end.
pub(super) fn channel(cancelled: Arc<AtomicBool>) -> (Writer<Piece>, Ticket) {
    let (answer, reader) = pipe();
    let ticket = Ticket {
        answer: reader,
        cancelled,
        is_answered: Cell::new(false),
        vigil: None,
    };
    (answer, ticket)
}

impl Ticket {
    /// Waits for the next piece. Errors: `Internal` if the engine thread ended without an answer; `Timeout` where it does
    /// not come back from a step, which also cancels the job.
    pub fn next(&self) -> Result<Piece> {
        let look = self.vigil.as_ref().map_or(LONG, |v| v.borrow().look());
        loop {
            let piece = match self.answer.next_until(Instant::now() + look) {
                Next::Piece(piece) => piece,
                // The engine answers every job; a silent end is only possible when its thread died.
                Next::Ended => return Err(Error::Internal("the engine thread ended".into())),
                Next::Late => match self.lost() {
                    None => continue,
                    Some(error) => {
                        self.cancelled.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                },
            };
            match piece {
                Piece::Done(_) | Piece::Failed(_) => self.is_answered.set(true),
                Piece::Started { .. } => {
                    if let Some(vigil) = &self.vigil {
                        vigil.borrow_mut().start(Instant::now());
                    }
                }
                Piece::Text { .. } => {}
            }
            return Ok(piece);
        }
    }

    /// The ticket looks from now on whether its thread gets on.
    pub(super) fn watched(mut self, vigil: Vigil) -> Ticket {
        self.vigil = Some(RefCell::new(vigil));
        self
    }

    fn lost(&self) -> Option<Error> {
        self.vigil.as_ref()?.borrow().lost(Instant::now())
    }

    /// The job was not accepted: there is nothing to cancel.
    pub(super) fn void(self) {
        self.is_answered.set(true);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The flag is the turn's, which may go on with another job.
        if !self.is_answered.get() {
            self.cancelled.store(true, Ordering::Relaxed);
        }
    }
}

impl Job {
    /// Whether nobody waits for the answer any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.turn.cancelled.load(Ordering::Relaxed)
    }

    /// Answers with an error. `has_run`: a step has worked for it.
    pub(super) fn fail(mut self, error: Error, has_run: bool) {
        match (self.place.take(), &error) {
            (Some(place), Error::Replaced) => place.hand_back(has_run),
            (place, _) => drop(place),
        }
        drop(std::mem::take(&mut self.turn.keeps));
        self.answer.send(Piece::Failed(error));
    }
}
