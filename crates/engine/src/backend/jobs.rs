//! Loads under way, and those that ended last: what a host asks about a load that runs in the background.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::serving::GraphId;
use crate::error::{Error, Result};
use crate::handles::{Handle, Numbers};
use crate::models::Name;
use crate::status::{Load, Phase};

/// Loads that ended and are still told about.
const MOST_ENDED: usize = 32;

/// A load as a host knows it: non-zero, unique in the process, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoadId(pub u32);

impl Handle for LoadId {
    fn from_number(number: u32) -> LoadId {
        LoadId(number)
    }
}

static NUMBERS: Numbers = Numbers::new();

/// One load. Any thread.
pub struct Job {
    /// Its number.
    pub id: LoadId,
    /// The model that it is for.
    pub model: Name,
    /// Its file as it was given.
    pub file: Arc<str>,
    /// Of the weights, in thousandths.
    progress: AtomicU32,
    cancelled: AtomicBool,
    /// Turns that wait for it.
    waiters: AtomicUsize,
    state: Mutex<State>,
    ended: Condvar,
}

/// A turn that waits for a load; dropping it leaves.
pub struct Waiter<'a>(&'a Job);

struct State {
    phase: Phase,
    result: Option<Result<GraphId>>,
}

impl Job {
    /// Says what it does now.
    pub fn enter(&self, phase: Phase) {
        self.state.lock().phase = phase;
    }

    /// Says how much of the weights is read, 0 to 1.
    pub fn advance(&self, part: f32) {
        let thousandths = (part.clamp(0.0, 1.0) * 1000.0) as u32;
        self.progress.store(thousandths, Ordering::Relaxed);
    }

    /// Lets it end without effect, as soon as it looks.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether it is to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.state.lock().result.is_some()
    }

    /// It is over.
    pub fn end(&self, result: Result<GraphId>) {
        *self.state.lock() = State {
            phase: Phase::Ended,
            result: Some(result),
        };
        self.ended.notify_all();
    }

    /// Waits for its end until `deadline`. Errors: those of the load; `Timeout`.
    pub fn wait(&self, deadline: Instant) -> Result<GraphId> {
        self.ended_by(deadline).unwrap_or_else(|| {
            let load = self.id.0;
            Err(Error::Timeout(format!("load {load} has not ended yet")))
        })
    }

    /// Its result, if it ends until `deadline`.
    pub fn ended_by(&self, deadline: Instant) -> Option<Result<GraphId>> {
        let mut state = self.state.lock();
        while state.result.is_none() {
            if self.ended.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.result.clone()
    }

    /// A turn waits for it.
    pub fn join(&self) -> Waiter<'_> {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        Waiter(self)
    }

    /// What it is doing.
    pub fn look(&self) -> Load {
        let state = self.state.lock();
        let (phase, result) = (state.phase, state.result.clone());
        drop(state);
        Load {
            load: self.id.0,
            model: self.model.to_string(),
            file: self.file.to_string(),
            phase,
            progress: f64::from(self.progress.load(Ordering::Relaxed)) / 1000.0,
            graph: match &result {
                Some(Ok(graph)) => Some(graph.0),
                _ => None,
            },
            error: match result {
                Some(Err(error)) => Some(error.to_string()),
                _ => None,
            },
        }
    }
}

impl Waiter<'_> {
    /// How many others wait, once this one has left.
    pub fn leave(self) -> usize {
        let job = self.0;
        drop(self);
        job.waiters.load(Ordering::SeqCst)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.waiters.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The loads of one backend. Any thread.
#[derive(Default)]
pub struct Loads(Mutex<BTreeMap<LoadId, Arc<Job>>>);

impl Loads {
    /// A load that begins; nobody is told of it where `is_shown` is false.
    pub fn begin(&self, model: Name, file: Arc<str>, is_shown: bool) -> Result<Arc<Job>> {
        let id = LoadId(NUMBERS.next()?);
        let job = Arc::new(Job {
            id,
            model,
            file,
            progress: AtomicU32::new(0),
            cancelled: AtomicBool::new(false),
            waiters: AtomicUsize::new(0),
            state: Mutex::new(State {
                phase: Phase::Waiting,
                result: None,
            }),
            ended: Condvar::new(),
        });
        if !is_shown {
            return Ok(job);
        }
        let mut loads = self.0.lock();
        let ended = |job: &Arc<Job>| job.state.lock().result.is_some();
        let over: Vec<LoadId> = loads.values().filter(|j| ended(j)).map(|j| j.id).collect();
        for id in over
            .iter()
            .take((over.len() + 1).saturating_sub(MOST_ENDED))
        {
            loads.remove(id);
        }
        loads.insert(id, job.clone());
        Ok(job)
    }

    /// The load `id`. Errors: `InvalidArgument` where it is unknown, or ended long ago.
    pub fn get(&self, id: u32) -> Result<Arc<Job>> {
        let job = self.0.lock().get(&LoadId(id)).cloned();
        job.ok_or_else(|| Error::InvalidArgument(format!("load {id} is unknown")))
    }

    /// All of them, oldest first.
    pub fn list(&self) -> Vec<Load> {
        let jobs: Vec<Arc<Job>> = self.0.lock().values().cloned().collect();
        jobs.iter().map(|job| job.look()).collect()
    }
}
