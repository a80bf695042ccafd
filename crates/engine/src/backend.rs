//! The verbs of wasi-nn: the only API that a door sees.
//!
//! Owns and wires the rest: settings, the model registry, contexts, workers. Decides nothing that a policy module
//! decides, and knows no pointers, codes or wire formats.

mod aliases;
mod changes;
mod completion;
mod contexts;
mod embedding;
mod fleet;
mod gate;
mod images;
mod jobs;
mod lease;
mod lines;
mod load;
mod look;
mod metadata;
mod monitor;
mod naming;
mod opening;
mod prepare;
mod report;
mod serving;
mod settings;
mod submit;
mod swap;
mod templates;
#[cfg(test)]
mod tests;
mod turn;
mod version;
mod workers;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

pub use completion::{Completion, Prompt};
pub use contexts::ContextId;
pub use embedding::Embedding;
pub use jobs::LoadId;
pub use load::{OnProgress, Target};
pub use report::StatusKind;
pub use serving::GraphId;

use crate::chat::Session;
use crate::config::SessionMemory;
use crate::error::{Error, Result};
use crate::llama::{self, Special};
use crate::logging::{self, Entered, Journal};
use crate::models::Found;
use crate::scheduler::{Class, Cores, Totals};
use crate::spill::{self, Store};
use aliases::Aliases;
use contexts::Contexts;
use fleet::Fleet;
use gate::{Gate, Inside};
use monitor::Monitor;
use settings::Settings;
use workers::Workers;

/// Receives whole characters of an answer on the calling thread; false ends the turn.
pub type OnPiece<'a> = &'a mut dyn FnMut(&str) -> bool;

/// Longest client key; a line of a log or a header holds it.
const MOST_KEY_BYTES: usize = 1024;

/// How a backend is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// The init configuration, if the host gave one.
    pub config: Option<&'a [u8]>,
    /// Overrides `backend.run_inference_args`: `auto`, `6` or `8`. Other texts are warned about and ignored.
    pub run_inference_args: Option<&'a str>,
    /// What is logged as long as no configuration says anything of it: directives in env_logger's syntax.
    pub log_filter: Option<&'a str>,
}

/// Tokens of a conversation and the room that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the conversation at its last turn.
    pub used: u32,
    /// Tokens that the current model gives each conversation.
    pub capacity: u32,
}

/// An engine for one host: at most one current model, any number of conversations. Any thread.
pub struct Backend {
    id: u64,
    opened: Instant,
    settings: RwLock<Settings>,
    /// One change of the settings at a time; who only reads them does not wait for it.
    settling: Mutex<()>,
    fleet: Arc<Fleet>,
    /// Counts that outlive the models.
    totals: Arc<Totals>,
    /// What its models compute on.
    cores: Arc<Cores>,
    contexts: Arc<Contexts>,
    /// Cells of idle conversations, across the models.
    store: Arc<Store>,
    aliases: Aliases,
    monitor: Monitor,
    workers: Workers,
    journal: Arc<Journal>,
    gate: Gate,
    closing: AtomicBool,
    warned_graph: AtomicBool,
    /// Threads of loads in the background.
    background: Mutex<Vec<JoinHandle<()>>>,
    /// Itself, where `share` was called.
    itself: OnceLock<Weak<Backend>>,
}

/// A call that is inside a backend, with its log lines going there.
struct Call<'a> {
    _journal: Entered,
    _inside: Inside<'a>,
}

impl Backend {
    /// Opens a backend without a model and without a thread. Errors: `InvalidArgument` naming the first finding when
    /// the configuration is strict.
    pub fn open(options: Options<'_>) -> Result<Backend> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (settings, opening) = match options.config {
            // Nested text takes more stack than a host's thread may have.
            Some(_) => workers::apart(|| Settings::open(options))?,
            None => Settings::open(options)?,
        };
        let (journal, problem) = Journal::open(&settings.config.logging, settings.directives());
        let journal = Arc::new(journal);
        logging::open(&journal);
        llama::exit::at_end(logging::finish);
        let fleet = Arc::new(Fleet::new());
        let contexts = Arc::new(Contexts::new());
        let store = Arc::new(Store::new(writer(&journal)));
        let monitor = Monitor::new(fleet.clone(), contexts.clone(), store.clone());
        monitor.configure(&settings.config.memory);
        let backend = Backend {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            opened: Instant::now(),
            settings: RwLock::new(settings),
            settling: Mutex::new(()),
            fleet,
            totals: Arc::default(),
            cores: Cores::new(llama::runtime::physical_cores()),
            contexts,
            store,
            aliases: Aliases::new(),
            monitor,
            workers: Workers::new(journal.clone()),
            journal,
            gate: Gate::default(),
            closing: AtomicBool::new(false),
            warned_graph: AtomicBool::new(false),
            background: Mutex::default(),
            itself: OnceLock::new(),
        };
        let _entered = logging::enter(&backend.journal);
        opening.log();
        if let Some(problem) = problem {
            log::warn!(target: "config", "{problem}");
        }
        log::info!(target: "backend", "backend {} opened", backend.id);
        Ok(backend)
    }

    /// Makes it one that several owners share. A model that comes back for a turn then goes on coming where the turn has
    /// ended meanwhile.
    pub fn share(self) -> Arc<Backend> {
        let shared = Arc::new(self);
        // It was nobody's before, so it is set once.
        drop(shared.itself.set(Arc::downgrade(&shared)));
        shared
    }

    /// Itself, for what outlives a call.
    fn shared(&self) -> Option<Arc<Backend>> {
        self.itself.get()?.upgrade()
    }

    /// Cancels all turns and loads, waits until every caller has left, and ends all threads. Errors: `Closing` when it
    /// was closed before; `Reentrant` from one of its own callbacks.
    pub fn close(&self) -> Result<()> {
        self.refuse_reentrance(None)?;
        if !self.gate.close() {
            return Err(Error::Closing);
        }
        if llama::exit::is_under_way() {
            // An exit handler of the host: threads that computed have stopped for good and are not waited for.
            self.store.abandon();
            return Ok(());
        }
        let _entered = logging::enter(&self.journal);
        self.closing.store(true, Ordering::Relaxed);
        self.fleet.registry.wake();
        self.contexts.close_all();
        for serving in self.fleet.registry.versions() {
            serving.engine.stop();
        }
        self.gate.wait_empty();
        self.end_models();
        self.monitor.close();
        self.store.close();
        self.workers.close();
        log::info!(target: "backend", "backend {} closed", self.id);
        logging::close(&self.journal);
        Ok(())
    }

    /// Lets go of all models, when nobody is inside any more.
    fn end_models(&self) {
        for thread in std::mem::take(&mut *self.background.lock()) {
            // A load in the background may have been the last owner of this backend.
            if thread.thread().id() != std::thread::current().id() {
                drop(thread.join());
            }
        }
        if let Some(claim) = self.fleet.registry.claim(&|| false) {
            for listed in self.fleet.registry.list() {
                drop(claim.put(&listed.name, Found::Absent));
            }
        }
        self.fleet.join(|_| true);
        self.fleet.give_back();
    }

    /// Errors: `NoModel`, `UnknownContext`, `Reentrant`: what a turn on `context` would answer before its input is
    /// looked at.
    pub fn check_context(&self, context: u32) -> Result<()> {
        let _call = self.enter()?;
        self.fleet.current().ok_or(Error::NoModel)?;
        let session = self.session(context)?;
        self.check_model(&session)
    }

    /// Errors: `UnknownContext`, `Reentrant`. A model is not needed.
    pub fn check_open(&self, context: u32) -> Result<()> {
        let _call = self.enter()?;
        self.session(context).map(|_| ())
    }

    /// Keeps the text of the next `compute`; the last one wins.
    pub fn set_input(&self, context: u32, text: String) -> Result<()> {
        let _call = self.enter()?;
        self.session(context)?.set_input(text);
        Ok(())
    }

    /// The result of the last turn, any number of times: 0 the text, 1 its metadata as JSON. Errors: `InvalidArgument`
    /// for another index; `NoResult`.
    pub fn output(&self, context: u32, index: u32) -> Result<Arc<str>> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        if index > 1 {
            return Err(Error::InvalidArgument(format!(
                "output index is {index}, must be 0 (text) or 1 (metadata)"
            )));
        }
        let result = session.result().ok_or(Error::NoResult)?;
        Ok(match index {
            0 => result.text,
            _ => result.metadata.to_string().into(),
        })
    }

    /// Notes that the host's buffer took less than the last answer.
    pub fn mark_truncated(&self, context: u32) {
        // The answer was delivered; a context that was closed meanwhile has no metadata to mark.
        if let Ok(session) = self.contexts.get(context) {
            session.mark_truncated();
        }
    }

    /// Cancels the turns of a context that run or wait; without one nothing happens.
    pub fn cancel(&self, context: u32) -> Result<()> {
        let _call = self.enter()?;
        self.refuse_reentrance(Some(context))?;
        self.contexts.get(context)?.cancel();
        Ok(())
    }

    /// Sets the class of a context's next turns: 0 low, 1 normal, 2 high, 3 urgent.
    pub fn set_priority(&self, context: u32, priority: u32) -> Result<()> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        if Class::from_number(priority).is_none() {
            return Err(Error::InvalidArgument(format!(
                "priority is {priority}, must be 0 (low) to 3 (urgent)"
            )));
        }
        session.priority.store(priority, Ordering::Relaxed);
        Ok(())
    }

    /// Charges the turns of a context to `key` from now on, in common with all contexts of the backend that have the same
    /// one; an empty key is the conversation itself again. Errors: `InvalidArgument` for a key above 1 KiB.
    pub fn set_client(&self, context: u32, key: &[u8]) -> Result<()> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        if key.len() > MOST_KEY_BYTES {
            return Err(Error::InvalidArgument(format!(
                "the client key has {} bytes, must be at most {MOST_KEY_BYTES}",
                key.len()
            )));
        }
        let client = match key {
            [] => session.id,
            key => named_client(key),
        };
        session.client.store(client, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets what was said, after the turns that run or wait now. The system message stays. Errors: `Timeout` when
    /// they do not end within `default_task_timeout_ms`.
    pub fn clear(&self, context: u32) -> Result<()> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        self.after_turns(context, &session, |session| {
            session.clear();
            self.forget(session);
            Ok(())
        })
    }

    /// Forgets `count` turns from the `first` on, after those that run or wait now: what they said has no effect on later
    /// answers. Errors: `InvalidArgument` where there are not so many; `Timeout` as for `clear`.
    pub fn remove_turns(&self, context: u32, first: u32, count: u32) -> Result<()> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        let end = u64::from(first) + u64::from(count);
        self.after_turns(context, &session, |session| {
            let turns = session.activity().turns;
            let range = first as usize..usize::try_from(end).unwrap_or(usize::MAX);
            match session.remove_turns(range) {
                true => Ok(()),
                false => Err(Error::InvalidArgument(format!(
                    "turns {first} to {end} are to be removed, the conversation has {turns}"
                ))),
            }
        })
    }

    /// Sets a conversation's own rules for what gives way when it outgrows its context; they hold from its next turn on.
    pub fn set_memory(&self, context: u32, change: impl FnOnce(&mut SessionMemory)) -> Result<()> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        change(&mut session.memory.lock());
        Ok(())
    }

    fn after_turns<T>(
        &self,
        context: u32,
        session: &Session,
        act: impl FnOnce(&Session) -> Result<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + self.settings().config.backend.default_task_timeout;
        let place = session.turnstile.join();
        if !place.enter(deadline, || self.closing.load(Ordering::Relaxed)) {
            return Err(Error::Timeout(format!(
                "the turns of context {context} did not end in time to change it"
            )));
        }
        act(session)
    }

    /// Writes a line about a call of this backend to its log.
    pub fn note(&self, level: log::Level, text: &str) {
        let _entered = logging::enter(&self.journal);
        log::log!(target: "backend", level, "{text}");
    }

    /// Lets the model `graph` answer the next turns of a context, with the conversation as it is. Errors: `NoModel` for a
    /// graph that is not loaded here.
    pub fn use_graph(&self, context: u32, graph: u32) -> Result<()> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        session.set_model(self.meant(graph)?);
        Ok(())
    }

    /// Tokens in use and available. Errors: `NoModel`.
    pub fn usage(&self, context: u32) -> Result<Usage> {
        let _call = self.enter()?;
        let session = self.session(context)?;
        let lease = self.short_lease(&session.model())?;
        let lease = lease.serving();
        let tokens = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let capacity = tokens(lease.engine.capacity());
        Ok(Usage {
            // The token that ended an answer for want of room has no cell.
            used: tokens(session.activity().used_tokens).min(capacity),
            capacity,
        })
    }

    /// The conversation as a JSON array of `{role, content}`.
    pub fn history(&self, context: u32) -> Result<String> {
        let _call = self.enter()?;
        Ok(self.session(context)?.history().to_json().to_string())
    }

    /// Tokens that the current model makes of `text`: no template, no beginning-of-text token. Errors: `NoModel`.
    pub fn count_tokens(&self, text: &str) -> Result<u32> {
        let _call = self.enter()?;
        let model = self.fleet.current().ok_or(Error::NoModel)?;
        let lease = self.short_lease(&model)?;
        let vocab = lease.serving().vocab.clone();
        let text = text.to_owned();
        let count = self
            .workers
            .run(move || Ok(vocab.tokenize(&text, Special::Plain)?.len()))?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn enter(&self) -> Result<Call<'_>> {
        Ok(Call {
            _inside: self.gate.enter()?,
            _journal: logging::enter(&self.journal),
        })
    }

    /// The session of an open context, unless this thread is inside a callback of it.
    fn session(&self, context: u32) -> Result<Arc<Session>> {
        self.refuse_reentrance(Some(context))?;
        self.contexts.get(context)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // A Rust host may drop without closing; threads must not outlive their backend.
        drop(self.close());
    }
}

/// Starts the thread that writes saved cells to files.
fn writer(journal: &Arc<Journal>) -> spill::Spawn {
    let journal = journal.clone();
    Box::new(move |work| {
        workers::spawn("wasi-nn-spill", &journal, work).map_err(std::io::Error::other)
    })
}

/// The number of a client key: never that of a session, which counts from 1.
fn named_client(key: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hasher::write(&mut hasher, key);
    std::hash::Hasher::finish(&hasher) | 1 << 63
}
