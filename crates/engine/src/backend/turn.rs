//! One turn, from the text that a host passes to the answer that it gets back.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::lease::{Lease, Patience};
use super::metadata::{Facts, metadata};
use super::prepare::{Conversation, Ready, prepare};
use super::serving::Serving;
use super::submit::{How, Submitted, submit};
use super::{Backend, OnPiece, lines};
use crate::chat::history::ContentTokens;
use crate::chat::{Message, Role, Session, TurnResult};
use crate::config::{
    ArgumentsMode, CallSettings, Config, Door, Finding, Priority, RawConfig, TokenLimit,
};
use crate::error::{Error, Result};
use crate::scheduler::{Class, Outcome, Pass, Piece, SessionKey, Timings};
use crate::stopping::Verdict;

thread_local! {
    /// Backends and contexts whose callbacks run on this thread, innermost last.
    static CALLBACKS: RefCell<Vec<(u64, u32)>> = const { RefCell::new(Vec::new()) };
}

impl Backend {
    /// Runs a turn: appends `text` as the user's message and returns the answer.
    ///
    /// `call` yields a copy of the call's own configuration and is asked only where the configured mode looks at it.
    /// `on_piece` gets whole characters as they appear, on this thread; false ends the turn with what was delivered.
    /// On an error the conversation is as it was.
    pub fn run(
        &self,
        context: u32,
        text: String,
        call: &mut dyn FnMut() -> Option<Vec<u8>>,
        on_piece: Option<OnPiece<'_>>,
    ) -> Result<Arc<str>> {
        let _inside = self.enter()?;
        let session = self.session(context)?;
        let mode = match on_piece {
            // The streaming call is new, so its configuration is always meant.
            Some(_) => ArgumentsMode::Eight,
            None => self.arguments_mode(),
        };
        self.check_model(&session)?;
        let asked = Asked {
            submitted: Instant::now(),
            text: text.into(),
            mode,
            call: match mode {
                ArgumentsMode::Six => None,
                ArgumentsMode::Auto | ArgumentsMode::Eight => call(),
            },
        };
        let turn = self.turn(context, &session, &asked, on_piece);
        if let Err(error) = &turn {
            lines::failed(context, &session, error);
        }
        turn
    }

    /// Runs the turn of the text that `set_input` left.
    pub fn compute(&self, context: u32) -> Result<()> {
        let input = {
            let _inside = self.enter()?;
            self.fleet.current().ok_or(Error::NoModel)?;
            let session = self.session(context)?;
            self.check_model(&session)?;
            session.input().ok_or(Error::NoInput)?
        };
        self.run(context, input, &mut || None, None).map(|_| ())
    }

    fn turn(
        &self,
        context: u32,
        session: &Arc<Session>,
        asked: &Asked,
        mut on_piece: Option<OnPiece<'_>>,
    ) -> Result<Arc<str>> {
        let timeout = self.settings().config.backend.default_task_timeout;
        let mut deadline = asked.submitted + timeout;
        let cancelled = Arc::new(AtomicBool::new(false));
        let _turn = session
            .begin(&cancelled)
            .ok_or(Error::UnknownContext(context))?;
        // In the order of the calls, whatever they wait for.
        let place = session.turnstile.join();
        // What is wrong with the call's own configuration is answered at once, not after the turns before.
        let pass = Pass::new();
        let first = self.patient_lease(session, deadline, &cancelled, &pass)?;
        let call = asked.call.as_deref();
        let mut settings = self.call_settings(first.serving(), asked.mode, call)?;
        let mut version = Arc::downgrade(first.serving());
        drop(first);
        // Behind other turns of its context it has no place in the queue.
        pass.release();
        if !place.enter(deadline, || cancelled.load(Ordering::Relaxed)) {
            return Err(match cancelled.load(Ordering::Relaxed) {
                true => Error::Cancelled,
                false => waited(asked.submitted.elapsed()),
            });
        }
        let since = Instant::now();
        let mut was_replaced = false;
        loop {
            // The lease is taken here, not earlier: a turn that waited for its predecessor runs on the current model.
            let lease = self.patient_lease(session, deadline, &cancelled, &pass)?;
            let now = Arc::downgrade(lease.serving());
            let is_same = version.ptr_eq(&now);
            if was_replaced && is_same {
                // It takes nothing any more, and none has come in its place.
                return Err(Error::Internal(
                    "the engine thread of the model ended".into(),
                ));
            }
            if !is_same {
                settings = self.call_settings(lease.serving(), asked.mode, call)?;
                version = now;
            }
            let run = Run {
                backend: self,
                context,
                lease: lease.serving(),
                session,
            };
            let how = How {
                since,
                pass: pass.clone(),
                deadline,
                cancelled: cancelled.clone(),
                class: class_of(session, lease.serving(), &settings),
                deterministic: settings.sampling.deterministic,
                stream: on_piece.is_some(),
                // Its caller has a lease until it has read the answer, which it does at once.
                keeps: None,
            };
            let on_piece = on_piece
                .as_mut()
                .map(|on_piece| &mut **on_piece as OnPiece<'_>);
            match run.attempt(&asked.text, &settings, how, on_piece) {
                // The next lease is of the version that took over, or says that there is none. A turn that ran begins to
                // wait again; one that was refused, or waited only, has the time that it had.
                Err(Error::Replaced) => {
                    was_replaced = true;
                    if pass.take_run() {
                        deadline = deadline.max(Instant::now() + timeout);
                    }
                }
                result => return result,
            }
        }
    }

    pub(super) fn patient_lease(
        &self,
        session: &Session,
        deadline: Instant,
        cancelled: &AtomicBool,
        pass: &Pass,
    ) -> Result<Lease> {
        let patience = Patience {
            deadline,
            cancelled,
            pass: Some(pass),
        };
        self.lease(session, &patience)
    }

    /// The settings of one call, from arguments 7 and 8 where they are a configuration.
    pub(super) fn call_settings(
        &self,
        lease: &Serving,
        mode: ArgumentsMode,
        call: Option<&[u8]>,
    ) -> Result<CallSettings> {
        let Some(call) = call else {
            return Ok(lease.config.for_call(None).0);
        };
        let mut bytes = call.to_vec();
        if mode == ArgumentsMode::Eight {
            // Believed arguments may be a buffer that is longer than its text.
            bytes.truncate(bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len()));
        }
        // Nested text takes more stack than a host's thread may have.
        let config = lease.config.clone();
        let (settings, findings) = self.workers.run(move || read_call(&config, mode, &bytes))?;
        self.note_findings(&findings, settings.strict)?;
        Ok(settings)
    }

    /// Refuses a call into a context, or any context, from one of its own callbacks.
    pub(super) fn refuse_reentrance(&self, context: Option<u32>) -> Result<()> {
        // A thread whose locals are gone already is in no callback.
        let inner = CALLBACKS.try_with(|c| {
            let callbacks = c.borrow();
            let own = callbacks
                .iter()
                .find(|(backend, id)| *backend == self.id && context.is_none_or(|c| c == *id));
            own.map(|(_, id)| *id)
        });
        let inner = inner.ok().flatten();
        inner.map_or(Ok(()), |id| Err(Error::Reentrant(id)))
    }
}

/// Reads the configuration of one call. Text that is none means none, because without a proven object the caller may as
/// well be one of six arguments; where the arguments are believed, `strict` refuses it.
fn read_call(
    config: &Config,
    mode: ArgumentsMode,
    bytes: &[u8],
) -> Result<(CallSettings, Vec<Finding>)> {
    match RawConfig::parse(Door::Run, bytes) {
        Ok(raw) => Ok(config.for_call(Some(&raw))),
        Err(reason) if mode == ArgumentsMode::Eight && config.strict && !bytes.is_empty() => {
            Err(Error::InvalidArgument(format!("runtime config: {reason}")))
        }
        Err(reason) => {
            log::debug!(target: "config", "arguments 7 and 8 are no runtime config: {reason}");
            Ok(config.for_call(None))
        }
    }
}

/// What a host asked for.
struct Asked {
    submitted: Instant,
    text: Arc<str>,
    mode: ArgumentsMode,
    /// What may be the call's own configuration.
    call: Option<Vec<u8>>,
}

/// A turn under way on one version of the model.
struct Run<'a> {
    backend: &'a Backend,
    context: u32,
    lease: &'a Arc<Serving>,
    session: &'a Session,
}

impl Run<'_> {
    /// Prepares the turn, runs it and commits it. Errors: `Replaced` where another version took over before it began.
    fn attempt(
        &self,
        text: &Arc<str>,
        settings: &CallSettings,
        how: How,
        on_piece: Option<OnPiece<'_>>,
    ) -> Result<Arc<str>> {
        let history = self.session.history();
        let (conversation, ready) = {
            let (lease, settings, text) = (self.lease.clone(), settings.clone(), text.clone());
            let own = *self.session.memory.lock();
            if !settings.sampling.deterministic {
                // What was kept in a file is read while the turn is prepared.
                let key = lease.engine.key(SessionKey(self.session.id));
                self.backend.store.stage(key);
            }
            let work = move || prepare(&lease, history, &text, &settings, &own);
            self.backend.workers.run(work)?
        };
        let outcome = match settings.token_limit() {
            TokenLimit::AtMost(0) => nothing(&ready),
            _ => self.on_engine(&submit(self.lease, self.session, ready, how)?, on_piece)?,
        };
        Ok(self.commit(conversation, outcome))
    }

    /// Waits for the answer and hands its pieces out.
    fn on_engine(
        &self,
        submitted: &Submitted,
        mut on_piece: Option<OnPiece<'_>>,
    ) -> Result<Outcome> {
        let begun = Instant::now();
        let mut delivered = String::new();
        let mut cached = 0;
        loop {
            match submitted.ticket.next()? {
                Piece::Started { cached_tokens } => cached = cached_tokens,
                Piece::Done(outcome) => return Ok(*outcome),
                Piece::Failed(error) => return Err(error),
                Piece::Text {
                    text,
                    completion_tokens,
                } => {
                    let Some(deliver) = on_piece.as_mut() else {
                        continue;
                    };
                    delivered.push_str(&text);
                    if !self.in_callback(|| deliver(&text)) {
                        return Ok(Outcome {
                            text: delivered,
                            reasoning: None,
                            reasoning_tokens: 0,
                            tokens: Vec::new(),
                            token_bytes: 0,
                            odds: Vec::new(),
                            required_missing: Vec::new(),
                            verdict: Verdict::Callback,
                            prompt_tokens: submitted.prompt_tokens,
                            cached_tokens: cached,
                            completion_tokens,
                            turns_dropped: 0,
                            tokens_dropped: 0,
                            shifts: 0,
                            timings: Timings {
                                decode: begun.elapsed(),
                                ..Timings::default()
                            },
                        });
                    }
                }
            }
        }
    }

    fn in_callback<T>(&self, call: impl FnOnce() -> T) -> T {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                // Gone with the thread's locals, if it is being torn down.
                let _ = CALLBACKS.try_with(|c| c.borrow_mut().pop());
            }
        }
        let _ = CALLBACKS.try_with(|c| c.borrow_mut().push((self.backend.id, self.context)));
        let _leave = Leave;
        call()
    }

    /// Makes the turn part of the conversation and keeps its result.
    fn commit(&self, conversation: Conversation, outcome: Outcome) -> Arc<str> {
        let text: Arc<str> = outcome.text.as_str().into();
        let mut history = conversation.history;
        let kept = conversation.kept;
        history.drop_turns(kept..kept + outcome.turns_dropped);
        history.push(
            conversation.message,
            Message {
                role: Role::Assistant,
                content: text.clone(),
                reasoning: outcome.reasoning.as_deref().map(Arc::from),
                // An answer that was cut inside a token is tokenised anew when it is needed.
                tokens: (outcome.token_bytes == text.len()).then(|| ContentTokens {
                    vocabulary: self.lease.vocabulary,
                    tokens: outcome.tokens.as_slice().into(),
                    part: None,
                }),
            },
        );
        let used = outcome.prompt_tokens + outcome.completion_tokens - outcome.tokens_dropped;
        let facts = Facts {
            turns_dropped: history.dropped(),
            cut: 0,
            seed: conversation.seed,
            session: self.session.name.as_deref(),
            context: self.context,
            model: self.lease.name(),
            graph: self.lease.graph,
            vocab: Some(&self.lease.vocab),
        };
        let metadata = metadata(&outcome, &facts);
        lines::completed(self.context, self.session, self.lease.graph, &outcome);
        self.session.commit(history, used);
        self.session.set_result(TurnResult {
            text: text.clone(),
            metadata,
        });
        text
    }
}

/// How urgent a turn of `session` is: the call's word, the context's, or the configuration's.
pub(super) fn class_of(session: &Session, serving: &Serving, settings: &CallSettings) -> Class {
    let own = Class::from_number(session.priority.load(Ordering::Relaxed));
    match settings.priority {
        Some(priority) => class(priority),
        None => own.unwrap_or_else(|| class(serving.config.priority)),
    }
}

/// A configured priority as a class of the queue.
pub(super) fn class(priority: Priority) -> Class {
    match priority {
        Priority::Low => Class::Low,
        Priority::Normal => Class::Normal,
        Priority::High => Class::High,
        Priority::Urgent => Class::Urgent,
    }
}

/// The outcome of a turn whose token limit is 0: nothing is evaluated.
pub(super) fn nothing(ready: &Ready) -> Outcome {
    Outcome {
        text: String::new(),
        reasoning: None,
        reasoning_tokens: 0,
        tokens: Vec::new(),
        token_bytes: 0,
        odds: Vec::new(),
        required_missing: Vec::new(),
        verdict: Verdict::Length,
        prompt_tokens: ready.tokens.len(),
        cached_tokens: ready.tokens.len(),
        completion_tokens: 0,
        turns_dropped: 0,
        tokens_dropped: 0,
        shifts: 0,
        timings: Timings::default(),
    }
}

pub(super) fn waited(time: Duration) -> Error {
    Error::Timeout(format!(
        "waited behind other turns of its context for {} ms",
        time.as_millis()
    ))
}
