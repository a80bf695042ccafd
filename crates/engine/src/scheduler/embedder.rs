//! The thread that embeds texts beside a model's turns, one after the other in the order of their coming.
//!
//! It has a context of its own over the shared weights, so that no turn waits for it or gives it cells. While nobody
//! else computes, a text has as many cores as a step of the model would; beside others it is a guest with one, because
//! a text cannot be cut into portions and would hold their steps up for as long as it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::class::Class;
use super::cores::{Ask, Cores, Member};
use super::engine::Spawn;
use super::shield::{attempt, shielded};
use crate::error::{ContextNeed, Error, Result};
use crate::llama::{Context, DecodeFailure, ThreadCounts, Token};

/// What a guest computes with.
const ONE_THREAD: ThreadCounts = ThreadCounts {
    decode: 1,
    batch: 1,
};

/// What the thread works with.
pub(super) struct Tools {
    /// Made for embeddings.
    pub(super) context: Context,
    /// Compute threads at most.
    pub(super) threads: ThreadCounts,
    /// Layers are on a device: a text takes one core.
    pub(super) on_device: bool,
    /// What the backend's models compute on.
    pub(super) cores: Arc<Cores>,
    /// Set when everything is answered with `Cancelled`.
    pub(super) halt: Arc<AtomicBool>,
}

/// The way to the thread, which ends when this is dropped.
pub(super) struct Embedder {
    texts: Sender<Text>,
    most: usize,
    gives_score: bool,
}

/// A text in its order.
struct Text {
    tokens: Vec<Token>,
    /// Set by who does not want it any more.
    cancelled: Arc<AtomicBool>,
    reply: Sender<Result<Vec<f32>>>,
}

/// What the thread owns.
struct Desk {
    texts: Receiver<Text>,
    context: Context,
    threads: ThreadCounts,
    using: Option<ThreadCounts>,
    cores: Arc<Cores>,
    member: Member,
    halt: Arc<AtomicBool>,
}

impl Embedder {
    /// Starts the thread. Errors: those of `spawn`.
    pub(super) fn start(tools: Tools, spawn: &Spawn) -> Result<(Embedder, JoinHandle<()>)> {
        let (sender, texts) = unbounded();
        let embedder = Embedder {
            texts: sender,
            most: tools.context.n_batch() as usize,
            gives_score: tools.context.gives_score(),
        };
        let desk = Desk {
            texts,
            context: tools.context,
            threads: if tools.on_device {
                ONE_THREAD
            } else {
                tools.threads
            },
            using: None,
            member: Member::join(&tools.cores),
            cores: tools.cores,
            halt: tools.halt,
        };
        let thread = spawn(Box::new(move || desk.run()))?;
        Ok((embedder, thread))
    }

    /// Whether texts get a score and no embedding.
    pub(super) fn gives_score(&self) -> bool {
        self.gives_score
    }

    /// The values of a text; waits for them until `deadline`.
    ///
    /// Errors: `InvalidArgument` for a text without tokens; `PromptTooLong`; `Timeout`; `Cancelled`, also where
    /// `cancelled` is set; `Engine` from llama.cpp.
    pub(super) fn embed(
        &self,
        tokens: Vec<Token>,
        cancelled: &Arc<AtomicBool>,
        deadline: Instant,
    ) -> Result<Vec<f32>> {
        if tokens.is_empty() {
            return Err(Error::InvalidArgument(
                "the text has no tokens, an embedding needs one at least".into(),
            ));
        }
        if tokens.len() > self.most {
            return Err(Error::PromptTooLong(ContextNeed {
                kept: 0,
                history: 0,
                new: tokens.len(),
                reserve: 0,
                capacity: self.most,
            }));
        }
        let (reply, values) = bounded(1);
        let text = Text {
            tokens,
            cancelled: cancelled.clone(),
            reply,
        };
        self.texts.send(text).map_err(|_| Error::Closing)?;
        match values.recv_deadline(deadline) {
            Ok(values) => values,
            Err(RecvTimeoutError::Timeout) => {
                cancelled.store(true, Ordering::Relaxed);
                Err(Error::Timeout(
                    "the text was not embedded in time".to_owned(),
                ))
            }
            Err(RecvTimeoutError::Disconnected) => Err(Error::Closing),
        }
    }
}

impl Desk {
    /// Answers texts until nobody can bring one any more.
    fn run(mut self) {
        // Between two texts there is nothing that a panic could leave undone.
        while shielded(|| self.serve()).unwrap_or(true) {}
        let Desk {
            context, member, ..
        } = self;
        attempt("the end of a context", || drop(context));
        attempt("the end of a member", || drop(member));
    }

    /// Answers the next text. False: nobody can bring one any more.
    fn serve(&mut self) -> bool {
        if self.member.is_broken() {
            self.member = Member::join(&self.cores);
        }
        let text = match self.texts.try_recv() {
            Ok(text) => text,
            Err(_) => {
                // Nobody waits for who rests, and its threads wait asleep.
                self.member.rest();
                self.context.pause_threads();
                match self.texts.recv() {
                    Ok(text) => text,
                    Err(_) => return false,
                }
            }
        };
        let values = shielded(|| self.embed(&text)).unwrap_or_else(|panic| {
            Err(Error::Internal(format!("an embedding panicked: {panic}")))
        });
        // Who does not wait any more does not want it.
        drop(text.reply.send(values));
        true
    }

    fn embed(&mut self, text: &Text) -> Result<Vec<f32>> {
        let halt = self.halt.clone();
        let stop = || halt.load(Ordering::Relaxed) || text.cancelled.load(Ordering::Relaxed);
        if stop() {
            return Err(Error::Cancelled);
        }
        let beside = self.member.has_others();
        let counts = match beside {
            true => {
                // Steps are not to wait for one that asks for nothing.
                self.member.rest();
                ONE_THREAD
            }
            false => self.threads,
        };
        self.use_threads(counts);
        let Desk {
            member,
            cores,
            context,
            ..
        } = self;
        // A guest's core is one that steps leave free; alone, the text is a step like others.
        let _guest = beside.then(|| cores.guest());
        let ask = Ask {
            cores: counts.batch,
            classes: [Class::Normal].into_iter().collect(),
        };
        let permit = match beside {
            true => None,
            false => Some(member.take(ask, &stop).ok_or(Error::Cancelled)?),
        };
        context.resume_threads();
        let values = context.embed(&text.tokens, &stop);
        drop(permit);
        values.map_err(|failure| match failure {
            DecodeFailure::Aborted => Error::Cancelled,
            DecodeFailure::NoCells => Error::Engine("embed: no cells for the text".into()),
            DecodeFailure::Failed(reason) => Error::Engine(reason),
        })
    }

    fn use_threads(&mut self, counts: ThreadCounts) {
        if self.using == Some(counts) {
            return;
        }
        match self.context.set_threads(counts) {
            Ok(()) => self.using = Some(counts),
            Err(error) => log::warn!(target: "engine", "threads not changed: {error}"),
        }
    }
}
