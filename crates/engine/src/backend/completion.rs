//! A turn on a raw prompt, whose pieces its caller fetches when it wants them.
//!
//! The prompt is template text that its author wrote out: no history, no system message, no template. What a context
//! keeps from one prompt to the next are the cells of their common beginning.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use serde_json::{Value, json};

use super::metadata::{Facts, metadata};
use super::prepare::{Told, prepare_raw};
use super::serving::{GraphId, Serving};
use super::submit::{How, Submitted, submit};
use super::turn::{class_of, nothing, waited};
use super::{Backend, lines};
use crate::chat::session::Turn;
use crate::chat::turnstile::Place;
use crate::chat::{Session, TurnResult, ledger};
use crate::config::{ArgumentsMode, TokenLimit};
use crate::error::{Error, Result};
use crate::llama::Special;
use crate::scheduler::{Outcome, Pass, Piece, SessionKey};
use crate::stopping::Verdict;

/// A raw prompt.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// Template text: special texts in it are special tokens. The beginning-of-text token is added where the model wants
    /// one.
    pub text: Arc<str>,
    /// Encoded images, PNG, JPEG or BMP: one for each [`crate::IMAGE_MARK`] in the text, in order. The model needs
    /// `model.mmproj`.
    pub images: Vec<Arc<[u8]>>,
    /// The turn's own configuration: a JSON object with what a call may set.
    pub config: Option<Arc<[u8]>>,
    /// Whether the answer is wanted piece by piece; else it comes whole.
    pub in_pieces: bool,
}

/// A turn under way. Dropping it before its end cancels it.
///
/// The engine goes on while nobody fetches, with one exception: where the next version of the model takes over before the
/// turn began, it is handed in again when somebody fetches. Until its end it is the context's turn: another one on the same
/// context waits for it, so one thread must not start two.
pub struct Completion {
    context: u32,
    session: Arc<Session>,
    prompt: Prompt,
    since: Instant,
    /// Latest moment to leave the queue.
    deadline: Instant,
    pass: Pass,
    cancelled: Arc<AtomicBool>,
    text: String,
    state: State,
    /// Its right to the context.
    right: Option<(Turn, Place)>,
    /// The last to go: with its last owner it closes.
    backend: Arc<Backend>,
}

enum State {
    /// Not handed to a version of the model, or not to the next one.
    Waiting(Weak<Serving>),
    Running(Running),
    Ended {
        metadata: Value,
        is_full: bool,
    },
    /// An error was answered, or is to be.
    Failed(Error),
}

struct Running {
    whose: Whose,
    submitted: Submitted,
    cached: usize,
    completion_tokens: usize,
}

/// The version that a turn runs on. It is not held: a turn that has ended does not keep the model, whether or not somebody
/// fetches its end.
struct Whose {
    serving: Weak<Serving>,
    name: String,
    graph: GraphId,
    told: Told,
}

impl Whose {
    fn new(serving: &Arc<Serving>, told: Told) -> Whose {
        Whose {
            serving: Arc::downgrade(serving),
            name: serving.name(),
            graph: serving.graph,
            told,
        }
    }
}

impl Backend {
    /// Starts a turn on a raw prompt. The conversation of the context stays as it is, and its result is this turn's.
    ///
    /// Waits for the turns before it on the context, not for its own. Errors: `UnknownContext`, `Reentrant`, `NoModel`,
    /// `Load`, `Timeout`, `Cancelled`, `QueueFull`, `Closing`; `PromptTooLong`; `InvalidArgument` for a configuration that
    /// does not hold or an empty prompt, for images without a projector, for a count of marks that is not that of the
    /// images, and for bytes that are no image; `TooLarge` for an image.
    pub fn complete(self: &Arc<Self>, context: u32, prompt: Prompt) -> Result<Completion> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        self.check_model(&session)?;
        self.begin_completion(context, &session, prompt)
            .inspect_err(|error| lines::failed(context, &session, error))
    }

    /// Tokens that the model of `context` makes of a raw prompt without images, those that it adds among them.
    /// `is_embedded`: the text is for [`Backend::embed`]. Errors: `UnknownContext`, `NoModel`, those of a lease.
    pub fn count_prompt(&self, context: u32, text: &str, is_embedded: bool) -> Result<u32> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        let lease = self.short_lease(&session.model())?;
        let vocab = lease.serving().vocab.clone();
        let text = text.to_owned();
        let count = self.workers.run(move || {
            let tokens = match is_embedded {
                true => vocab.enclose(vocab.tokenize(&text, Special::Parse)?),
                false => ledger::raw(&vocab, &text)?,
            };
            Ok(tokens.len())
        })?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn begin_completion(
        self: &Arc<Self>,
        context: u32,
        session: &Arc<Session>,
        prompt: Prompt,
    ) -> Result<Completion> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let turn = session
            .begin(&cancelled)
            .ok_or(Error::UnknownContext(context))?;
        let place = session.turnstile.join();
        let asked = Instant::now();
        let deadline = asked + self.settings().config.backend.default_task_timeout;
        if !place.enter(deadline, || cancelled.load(Ordering::Relaxed)) {
            return Err(match cancelled.load(Ordering::Relaxed) {
                true => Error::Cancelled,
                false => waited(asked.elapsed()),
            });
        }
        let mut completion = Completion {
            context,
            session: session.clone(),
            prompt,
            // It grows old in the queue, and not behind its predecessors.
            since: Instant::now(),
            deadline,
            pass: Pass::new(),
            cancelled,
            text: String::new(),
            state: State::Waiting(Weak::new()),
            right: Some((turn, place)),
            backend: self.clone(),
        };
        completion.hand_in(false)?;
        completion.pass.attend(false);
        Ok(completion)
    }
}

impl Completion {
    /// Waits for the next whole characters of the answer; `None` at its end. Text that may still turn out to belong to a
    /// stop string waits.
    ///
    /// Errors: `Cancelled`, `Timeout`, `Engine`, `Closing`; the same again whenever it is asked afterwards.
    pub fn next_piece(&mut self) -> Result<Option<String>> {
        let backend = self.backend.clone();
        let call = backend.enter();
        self.pass.attend(true);
        let next = match &call {
            Ok(_) => self.advance(),
            Err(error) => Err(error.clone()),
        };
        self.pass.attend(false);
        if let Err(error) = &next {
            if !matches!(self.state, State::Failed(_)) {
                lines::failed(self.context, &self.session, error);
            }
            self.state = State::Failed(error.clone());
            self.right = None;
        }
        next
    }

    /// The answer as far as it was fetched.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the answer has ended, with or without an error.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended { .. } | State::Failed(_))
    }

    /// Whether it ended because the context was full.
    pub fn is_context_full(&self) -> bool {
        matches!(self.state, State::Ended { is_full: true, .. })
    }

    /// What is known of the turn: the document of [`Backend::output`] once it has ended, else its counts so far.
    pub fn metadata(&self) -> Value {
        match &self.state {
            State::Ended { metadata, .. } => metadata.clone(),
            State::Running(running) => json!({
                "prompt_tokens": running.submitted.prompt_tokens,
                "cached_tokens": running.cached,
                "completion_tokens": running.completion_tokens,
            }),
            State::Waiting(_) | State::Failed(_) => json!({}),
        }
    }

    fn advance(&mut self) -> Result<Option<String>> {
        loop {
            let running = match &mut self.state {
                State::Ended { .. } => return Ok(None),
                State::Failed(error) => return Err(error.clone()),
                State::Waiting(_) => {
                    self.hand_in(true)?;
                    continue;
                }
                State::Running(running) => running,
            };
            match running.submitted.ticket.next()? {
                Piece::Started { cached_tokens } => running.cached = cached_tokens,
                Piece::Text {
                    text,
                    completion_tokens,
                } => {
                    running.completion_tokens = completion_tokens;
                    self.text.push_str(&text);
                    return Ok(Some(text));
                }
                Piece::Done(outcome) => {
                    // A rule may cut text that has left already; what has left stays with its reader.
                    let rest = outcome.text.get(self.text.len()..).map(str::to_owned);
                    self.end(*outcome);
                    let rest = rest.filter(|rest| !rest.is_empty());
                    self.text.extend(rest.as_deref());
                    return Ok(rest);
                }
                // The next lease is of the version that took over, or says that there is none.
                Piece::Failed(Error::Replaced) => {
                    self.state = State::Waiting(running.whose.serving.clone());
                }
                Piece::Failed(error) => return Err(error),
            }
        }
    }

    /// Prepares the turn for the version that serves now, and hands it over. `was_replaced`: another one handed it back.
    fn hand_in(&mut self, mut was_replaced: bool) -> Result<()> {
        let (backend, session) = (self.backend.clone(), self.session.clone());
        let timeout = backend.settings().config.backend.default_task_timeout;
        // A turn that ran begins to wait again, and so does one whose reader was slow to look: it could not be handed in.
        if was_replaced {
            self.pass.take_run();
            self.deadline = self.deadline.max(Instant::now() + timeout);
        }
        let mut before = match &self.state {
            State::Waiting(version) => version.clone(),
            _ => Weak::new(),
        };
        loop {
            let lease =
                backend.patient_lease(&session, self.deadline, &self.cancelled, &self.pass)?;
            let serving = lease.serving().clone();
            if was_replaced && before.ptr_eq(&Arc::downgrade(&serving)) {
                // It takes nothing any more, and none has come in its place.
                return Err(Error::Internal(
                    "the engine thread of the model ended".into(),
                ));
            }
            let call = self.prompt.config.as_deref();
            let settings = backend.call_settings(&serving, ArgumentsMode::Eight, call)?;
            let how = How {
                since: self.since,
                pass: self.pass.clone(),
                deadline: self.deadline,
                cancelled: self.cancelled.clone(),
                class: class_of(&session, &serving, &settings),
                deterministic: settings.sampling.deterministic,
                stream: self.prompt.in_pieces,
                keeps: Some(Box::new(lease)),
            };
            let is_nothing = matches!(settings.token_limit(), TokenLimit::AtMost(0));
            let images = backend.read_images(&serving, &self.prompt.images)?;
            let (told, ready) = {
                let own = *session.memory.lock();
                let (serving, text) = (serving.clone(), self.prompt.text.clone());
                if !settings.sampling.deterministic {
                    // What was kept in a file is read while the turn is prepared.
                    let key = serving.engine.key(SessionKey(session.id));
                    backend.store.stage(key);
                }
                let work = move || prepare_raw(&serving, &text, &images, &settings, &own);
                backend.workers.run(work)?
            };
            if is_nothing {
                let outcome = nothing(&ready);
                self.close(outcome, Whose::new(&serving, told));
                return Ok(());
            }
            match submit(&serving, &session, ready, how) {
                Err(Error::Replaced) => {
                    was_replaced = true;
                    before = Arc::downgrade(&serving);
                }
                Err(error) => return Err(error),
                Ok(submitted) => {
                    self.state = State::Running(Running {
                        whose: Whose::new(&serving, told),
                        submitted,
                        cached: 0,
                        completion_tokens: 0,
                    });
                    return Ok(());
                }
            }
        }
    }

    fn end(&mut self, outcome: Outcome) {
        let running = std::mem::replace(&mut self.state, State::Waiting(Weak::new()));
        if let State::Running(running) = running {
            self.close(outcome, running.whose);
        }
    }

    /// Keeps the result of a turn that has ended.
    fn close(&mut self, outcome: Outcome, whose: Whose) {
        let (serving, told) = (whose.serving.upgrade(), whose.told);
        let facts = Facts {
            turns_dropped: 0,
            cut: told.cut,
            seed: told.seed,
            session: self.session.name.as_deref(),
            context: self.context,
            model: whose.name,
            graph: whose.graph,
            vocab: serving.as_ref().map(|serving| &serving.vocab),
        };
        let metadata = metadata(&outcome, &facts);
        lines::completed(self.context, &self.session, whose.graph, &outcome);
        let used = outcome.prompt_tokens + outcome.completion_tokens - outcome.tokens_dropped;
        self.session.set_used(used);
        self.session.set_result(TurnResult {
            text: outcome.text.as_str().into(),
            metadata: metadata.clone(),
        });
        self.state = State::Ended {
            metadata,
            is_full: outcome.verdict == Verdict::ContextFull,
        };
        self.right = None;
    }
}
