//! Loading, replacing and unloading models: the verbs, and the threads that do it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::changes::change;
use super::jobs::{Job, LoadId};
use super::serving::{GraphId, Serving};
use super::version::{DEFAULT, Sleeper, known, model_name};
use super::workers::{STACK, panicked, spawn};
use super::{Backend, lines};
use crate::error::{Error, Result};
use crate::logging;
use crate::models::{Claim, Found, Name, Source};
use crate::status::{Change, Outcome};

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

/// How long a load goes on without a look whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// What is to become of a model.
#[derive(Clone)]
pub struct Request {
    /// Which.
    pub model: Name,
    /// The version that was meant, if one was: another one in its place is not.
    pub graph: Option<u32>,
    /// How its next version comes.
    pub how: How,
}

/// How the next version of a model comes.
#[derive(Clone)]
pub enum How {
    /// From a file or bytes, with a configuration or that of the load before.
    Load {
        /// Where it lies.
        source: Source,
        /// The load's configuration; `None` keeps that of the load before.
        config: Option<Vec<u8>>,
        /// The device that the host asks for.
        target: Option<Target>,
    },
    /// The version before the last one, once more.
    RollBack,
    /// The version that was unloaded to make room, unless an attempt has failed since then.
    Wake {
        /// When whoever wants it began to.
        since: Instant,
    },
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
        let _call = self.enter()?;
        self.load(
            file_request(DEFAULT.into(), path, config)?,
            progress,
            &|| false,
        )
    }

    /// Loads a model from bytes, which are copied. Errors: `InvalidEncoding` for bytes that are not GGUF; else as
    /// [`Backend::load_file`].
    pub fn load_bytes(
        &self,
        model: &[u8],
        config: Option<&[u8]>,
        target: Target,
    ) -> Result<GraphId> {
        let _call = self.enter()?;
        if !model.starts_with(MAGIC) {
            return Err(Error::InvalidEncoding(
                "the bytes do not begin with GGUF".into(),
            ));
        }
        let how = How::Load {
            source: Source::bytes(model)?,
            config: config.map(<[u8]>::to_vec),
            target: Some(target),
        };
        let request = Request {
            model: DEFAULT.into(),
            graph: None,
            how,
        };
        self.load(request, None, &|| false)
    }

    /// Loads the model in `path` under the name `model`, beside all models with other names. Where there is a model of that
    /// name already, the new one takes its place.
    ///
    /// What a configuration says of the whole backend is answered as a finding; the rest is as for [`Backend::load_file`].
    /// Errors: also `InvalidArgument` for a bad name.
    pub fn load_model(
        &self,
        model: &[u8],
        path: &Path,
        config: Option<&[u8]>,
        progress: Option<OnProgress<'_>>,
    ) -> Result<GraphId> {
        let _call = self.enter()?;
        self.load(
            file_request(model_name(model)?, path, config)?,
            progress,
            &|| false,
        )
    }

    /// Puts the model in `path` in the place of `graph`, 0 being the current one. Errors: `NoModel` where there is no such
    /// model; else as [`Backend::load_model`].
    pub fn swap(
        &self,
        graph: u32,
        path: &Path,
        config: Option<&[u8]>,
        progress: Option<OnProgress<'_>>,
    ) -> Result<GraphId> {
        let _call = self.enter()?;
        let request = Request {
            graph: (graph > 0).then_some(graph),
            ..file_request(self.meant(graph)?, path, config)?
        };
        self.load(request, progress, &|| false)
    }

    /// Puts the version before in the place of `graph`, 0 being the current model: its file with its configuration. Errors:
    /// `NoModel` where there is no such model; `InvalidArgument` where there is no version before, or its bytes were not
    /// kept; else as [`Backend::load_model`].
    pub fn roll_back(&self, graph: u32, progress: Option<OnProgress<'_>>) -> Result<GraphId> {
        let _call = self.enter()?;
        let request = Request {
            model: self.meant(graph)?,
            graph: (graph > 0).then_some(graph),
            how: How::RollBack,
        };
        self.load(request, progress, &|| false)
    }

    /// As [`Backend::load_model`], in the background; without a name as [`Backend::load_file`]. What is wrong with the
    /// arguments is answered at once, everything else by [`Backend::load_state`] and [`Backend::await_load`].
    pub fn begin_load(
        self: &Arc<Self>,
        model: Option<&[u8]>,
        path: &Path,
        config: Option<&[u8]>,
    ) -> Result<LoadId> {
        let _call = self.enter()?;
        let model = model.map_or(Ok(DEFAULT.into()), model_name)?;
        let request = file_request(model, path, config)?;
        let job = self
            .fleet
            .loads
            .begin(request.model.clone(), shown(&request), true)?;
        self.in_background(request, &job)?;
        Ok(job.id)
    }

    /// Brings a model back in the background, for all turns that want it: where that is under way, it is not begun again.
    pub(super) fn begin_wake(self: &Arc<Self>, request: Request) -> Result<Arc<Job>> {
        let mut wakes = self.fleet.wakes.lock();
        let under_way = wakes.get(&request.model);
        if let Some(job) = under_way.filter(|job| !job.is_over() && !job.is_cancelled()) {
            return Ok(job.clone());
        }
        let (model, file) = (request.model.clone(), shown(&request));
        let job = self.fleet.loads.begin(model.clone(), file, false)?;
        wakes.insert(model, job.clone());
        drop(wakes);
        self.in_background(request, &job)?;
        Ok(job)
    }

    /// Does a load on a thread that the backend keeps until its end.
    fn in_background(self: &Arc<Self>, request: Request, job: &Arc<Job>) -> Result<()> {
        let (backend, own) = (self.clone(), job.clone());
        let work = move || {
            let result = match backend.enter() {
                Ok(_call) => backend.guarded(&request, &own, &mut |_| ()),
                Err(error) => Err(error),
            };
            own.end(result);
        };
        let thread = spawn("wasi-nn-load", &self.journal, work).inspect_err(|error| {
            job.end(Err(error.clone()));
        })?;
        let mut background = self.background.lock();
        let over: Vec<_> = background
            .extract_if(.., |thread| thread.is_finished())
            .collect();
        background.push(thread);
        drop(background);
        for thread in over {
            // It has answered for itself.
            drop(thread.join());
        }
        Ok(())
    }

    /// What a load that began in the background is doing, as JSON. Errors: `InvalidArgument` for an unknown one.
    pub fn load_state(&self, load: u32) -> Result<String> {
        let _call = self.enter()?;
        let seen = self.fleet.loads.get(load)?.look();
        serde_json::to_string(&seen).map_err(|e| Error::Internal(e.to_string()))
    }

    /// Cancels a load. What it would have replaced serves on. Errors: `InvalidArgument` for an unknown one.
    pub fn cancel_load(&self, load: u32) -> Result<()> {
        let _call = self.enter()?;
        self.fleet.loads.get(load)?.cancel();
        self.fleet.registry.wake();
        Ok(())
    }

    /// Waits for the end of a load. Errors: `Timeout`; `InvalidArgument` for an unknown one; those of the load.
    pub fn await_load(&self, load: u32, timeout: Duration) -> Result<GraphId> {
        let _call = self.enter()?;
        let job = self.fleet.loads.get(load)?;
        // Cut to slices, so that a backend that is closed does not wait for its own callers.
        let deadline = Instant::now() + timeout;
        loop {
            let slice = Instant::now() + Duration::from_millis(50);
            match job.wait(slice.min(deadline)) {
                Err(Error::Timeout(_)) if self.closing.load(Ordering::Relaxed) => {
                    return Err(Error::Closing);
                }
                Err(Error::Timeout(_)) if Instant::now() < deadline => {}
                result => return result,
            }
        }
    }

    /// Frees the current model once its turns have ended. Contexts stay open; their turns answer `NoModel` until the next
    /// load. Errors: `NoModel`.
    pub fn unload(&self) -> Result<()> {
        let _call = self.enter()?;
        let model = self.fleet.current().ok_or(Error::NoModel)?;
        self.unload_model(&model, None)
    }

    /// Frees the model `graph`, 0 being the current one, as [`Backend::unload`] does. Errors: `NoModel`.
    pub fn unload_graph(&self, graph: u32) -> Result<()> {
        let _call = self.enter()?;
        let model = self.meant(graph)?;
        self.unload_model(&model, (graph > 0).then_some(graph))
    }

    /// As [`Backend::unload_graph`], unless somebody else loads or unloads just now: false, and nothing has changed. Never
    /// waits.
    pub fn unload_graph_now(&self, graph: u32) -> Result<bool> {
        let _call = self.enter()?;
        let model = self.meant(graph)?;
        match self.fleet.registry.claim(&|| true) {
            None => Ok(false),
            Some(claim) => {
                self.unload_claimed(claim, &model, (graph > 0).then_some(graph))?;
                Ok(true)
            }
        }
    }

    fn unload_model(&self, model: &Name, graph: Option<u32>) -> Result<()> {
        let stop = || self.closing.load(Ordering::Relaxed);
        let claim = self.fleet.registry.claim(&stop).ok_or(Error::Closing)?;
        self.unload_claimed(claim, model, graph)
    }

    fn unload_claimed(
        &self,
        claim: Claim<'_, Serving, Sleeper>,
        model: &Name,
        graph: Option<u32>,
    ) -> Result<()> {
        let found = claim.find(model);
        let known = known(&found).ok_or(Error::NoModel)?;
        if graph.is_some_and(|graph| graph != known.graph.0) {
            // Another call was faster.
            return Err(Error::NoModel);
        }
        let label = known.label;
        drop(found);
        let old = claim.put(model, Found::Absent);
        drop(claim);
        self.fleet.changes.add(Change {
            from: Some(label.to_string()),
            ..change(model, Outcome::Unloaded)
        });
        self.fleet.forget_model(model);
        if let Some(old) = old {
            lines::unloaded(&old);
            self.fleet.let_go(old);
        }
        Ok(())
    }

    /// The model that `graph` stands for, 0 being the current one. Errors: `NoModel`.
    pub(super) fn meant(&self, graph: u32) -> Result<Name> {
        let model = match graph {
            0 => self.fleet.current(),
            graph => self.fleet.name_of(graph),
        };
        model.ok_or(Error::NoModel)
    }

    /// Does a load on a thread with our stack, and hears of its progress on this one. It is cancelled once `is_over` says
    /// so, which is asked from time to time, whatever the load waits for.
    pub(super) fn load(
        &self,
        request: Request,
        mut progress: Option<OnProgress<'_>>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<GraphId> {
        let is_asked_for = !matches!(request.how, How::Wake { .. });
        let loads = &self.fleet.loads;
        let job = &loads.begin(request.model.clone(), shown(&request), is_asked_for)?;
        let (parts, inbox) = bounded(64);
        std::thread::scope(|scope| {
            let request = &request;
            let work = std::thread::Builder::new()
                .name("wasi-nn-load".into())
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    let _entered = logging::enter(&self.journal);
                    // A caller that is slow to look sees fewer steps.
                    let mut report = |part| {
                        let _ = parts.try_send(part);
                    };
                    let result = self.guarded(request, job, &mut report);
                    job.end(result.clone());
                    result
                })
                .map_err(|e| Error::Engine(format!("no thread for the load: {e}")))
                .inspect_err(|error| job.end(Err(error.clone())))?;
            loop {
                let part = match inbox.recv_timeout(LOOK) {
                    Ok(part) => Some(part),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                if let (Some(part), Some(report)) = (part, progress.as_mut())
                    && !report(part)
                {
                    job.cancel();
                    // Whoever has cancelled is not asked again.
                    progress = None;
                }
                if !job.is_cancelled() && is_over() {
                    job.cancel();
                    self.fleet.registry.wake();
                }
            }
            work.join().unwrap_or_else(|panic| Err(panicked(&*panic)))
        })
    }

    /// Does a load, and makes an error of a panic in it.
    fn guarded(
        &self,
        request: &Request,
        job: &Job,
        report: &mut dyn FnMut(f32),
    ) -> Result<GraphId> {
        let work = || self.change(request, job, report);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(panicked(&*panic)))
    }
}

fn file_request(model: Name, path: &Path, config: Option<&[u8]>) -> Result<Request> {
    let how = How::Load {
        source: Source::file(path)?,
        config: config.map(<[u8]>::to_vec),
        target: None,
    };
    Ok(Request {
        model,
        graph: None,
        how,
    })
}

/// The file of a request, for those who look at the load.
fn shown(request: &Request) -> Arc<str> {
    match &request.how {
        How::Load { source, .. } => source.shown().into(),
        How::RollBack => "the version before".into(),
        How::Wake { .. } => "the version that was unloaded".into(),
    }
}
