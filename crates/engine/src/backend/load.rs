//! Loading, replacing and unloading the model.
//!
//! The new model is brought up beside the old one, which serves until the switch and ends with its last turn. A load
//! that fails leaves everything as it was.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::naming::Known;
use super::prepare::recipe;
use super::serving::{GraphId, Serving};
use super::settings::Pending;
use super::workers::{STACK, panicked, spawn};
use super::{Backend, Call, lines};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::logging;
use crate::models::{self, Source};

/// Receives the part of the weights that is read, 0 to 1, on the calling thread; false cancels the load.
pub type OnProgress<'a> = &'a mut dyn FnMut(f32) -> bool;

/// The device that a host asks for. A hint: `model.n_gpu_layers` wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// No layers on a device by default.
    Cpu,
    /// All layers on a device by default, where there is one.
    Gpu,
}

/// Bytes that begin every GGUF file.
const MAGIC: &[u8] = b"GGUF";

enum Event {
    Progress(f32),
    Ended(Result<GraphId>),
}

impl Backend {
    /// Loads the model in `path` and makes it current. Sessions move to it at their next turn.
    ///
    /// `config`: the load's configuration; `None` keeps that of the load before. Errors: `Load` with the reason;
    /// `InvalidArgument` for a finding under `strict`, a grammar, a schema or a stop pattern that does not compile.
    pub fn load_file(
        &self,
        path: &Path,
        config: Option<&[u8]>,
        progress: Option<OnProgress<'_>>,
    ) -> Result<GraphId> {
        let call = self.enter()?;
        self.load(&call, &Source::File(path), config, None, progress)
    }

    /// Loads a model from bytes, which are copied. Errors: `InvalidEncoding` for bytes that are not GGUF; else as
    /// [`Backend::load_file`].
    pub fn load_bytes(
        &self,
        model: &[u8],
        config: Option<&[u8]>,
        target: Target,
    ) -> Result<GraphId> {
        let call = self.enter()?;
        if !model.starts_with(MAGIC) {
            return Err(Error::InvalidEncoding(
                "the bytes do not begin with GGUF".into(),
            ));
        }
        self.load(&call, &Source::Bytes(model), config, Some(target), None)
    }

    /// Frees the model once its turns have ended. Contexts stay open; their turns answer `NoModel` until the next load.
    /// Errors: `NoModel`.
    pub fn unload(&self) -> Result<()> {
        let _call = self.enter()?;
        let old = self.registry.claim().replace(None).ok_or(Error::NoModel)?;
        lines::unloaded(&old);
        self.retire(old);
        Ok(())
    }

    fn load(
        &self,
        _call: &Call<'_>,
        source: &Source<'_>,
        config: Option<&[u8]>,
        target: Option<Target>,
        mut progress: Option<OnProgress<'_>>,
    ) -> Result<GraphId> {
        let cancelled = AtomicBool::new(false);
        let (events, inbox) = bounded(64);
        std::thread::scope(|scope| {
            let (cancelled, events) = (&cancelled, events);
            std::thread::Builder::new()
                .name("wasi-nn-load".into())
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    let _entered = logging::enter(&self.journal);
                    let load = || self.bring_up(source, config, target, &events, cancelled);
                    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(load))
                        .unwrap_or_else(|panic| Err(panicked(&*panic)));
                    // The caller waits for exactly this.
                    drop(events.send(Event::Ended(ended)));
                })
                .map_err(|e| Error::Engine(format!("no thread for the load: {e}")))?;
            for event in inbox {
                match event {
                    Event::Ended(result) => return result,
                    Event::Progress(part) => {
                        if let Some(report) = progress.as_mut()
                            && !report(part)
                        {
                            cancelled.store(true, Ordering::Relaxed);
                            // Whoever has cancelled is not asked again.
                            progress = None;
                        }
                    }
                }
            }
            Err(Error::Internal("the load ended without a result".into()))
        })
    }

    fn bring_up(
        &self,
        source: &Source<'_>,
        text: Option<&[u8]>,
        target: Option<Target>,
        events: &Sender<Event>,
        cancelled: &AtomicBool,
    ) -> Result<GraphId> {
        let claim = self.registry.claim();
        let (mut pending, ignored) = self.settings().pend(text)?;
        if let Some(ignored) = ignored {
            log::warn!(target: "config", "{ignored}");
        }
        pending.note(self)?;
        let model = &mut Arc::make_mut(&mut pending.config).model;
        if target == Some(Target::Cpu) {
            model.n_gpu_layers.get_or_insert(0);
        }
        let config = pending.config.clone();
        let stop = || cancelled.load(Ordering::Relaxed) || self.closing.load(Ordering::Relaxed);
        let mut report = |part: f32| {
            // A caller that is slow to look sees fewer steps.
            drop(events.try_send(Event::Progress(part)));
            !stop()
        };
        let brought = models::bring_up(source, &config, &mut report)?;
        if stop() {
            return Err(Error::Load("load cancelled".into()));
        }
        check_rules(&config, &brought)?;
        let spawn_engine = |work| spawn("wasi-nn-engine", &self.journal, work);
        let (serving, thread) = Serving::start(
            brought,
            config,
            self.totals.clone(),
            self.cores.clone(),
            self.store.clone(),
            &spawn_engine,
        )?;
        let graph = serving.graph;
        self.threads.lock().extend(thread.map(|t| (graph, t)));
        self.apply(pending);
        let serving = Arc::new(serving);
        let old = claim.replace(Some(serving.clone()));
        lines::loaded(&serving, old.as_ref().map(|old| old.graph));
        drop(serving);
        if let Some(old) = old {
            self.retire(old);
        }
        self.monitor.begin(&self.journal);
        Ok(graph)
    }

    fn apply(&self, pending: Pending) {
        self.settings_mut().apply(pending);
        self.reopen_log();
        let memory = self.settings().config.memory.clone();
        self.monitor.configure(&memory);
    }

    /// Lets go of a version that is not current any more. Without turns on it its memory is free on return; otherwise
    /// its thread ends with the last of them and is joined at the next occasion.
    fn retire(&self, old: Arc<Serving>) {
        let graph = old.graph;
        let is_idle = Arc::into_inner(old).is_some();
        let mut threads = self.threads.lock();
        let is_over =
            |(g, t): &mut (GraphId, JoinHandle<()>)| (is_idle && *g == graph) || t.is_finished();
        let over: Vec<_> = threads.extract_if(.., is_over).collect();
        drop(threads);
        for (_, thread) in over {
            // An engine thread catches the panics of its steps.
            drop(thread.join());
        }
    }
}

/// A grammar, schema or stop pattern of the configuration that does not compile fails the load and not every turn, and
/// so does, under `strict`, a token that the model lacks.
fn check_rules(config: &Config, brought: &models::Brought) -> Result<()> {
    let (settings, _) = config.for_call(None);
    let vocab = brought.weights.vocab();
    let terms = Known::default().terms(&settings, &vocab)?;
    let context = brought.plan.session_tokens as usize;
    recipe(&settings, &terms, &vocab, context).map(|_| ())
}
