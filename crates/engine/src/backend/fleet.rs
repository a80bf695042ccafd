//! The models of a backend, with everything that belongs to them: versions, threads, loads, what became of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::changes::Changes;
use super::jobs::{Job, Loads};
use super::serving::{GraphId, Serving};
use super::version::{DEFAULT, Origin, Sleeper};
use crate::config::{Config, RawConfig};
use crate::llama;
use crate::models::{self, Beside, Bytes, Found, Name, Tenant};

/// Names of models that are gone, and whose past is remembered.
const MOST_LINEAGES: usize = 1024;

/// How long a version without turns may be held by those who only look.
const LOOK: Duration = Duration::from_millis(10);

/// Which models there are.
pub type Registry = models::Registry<Serving, Sleeper>;

/// See the file's head. Any thread.
pub struct Fleet {
    /// Which version serves which model.
    pub registry: Registry,
    /// Loads under way.
    pub loads: Loads,
    /// Those that bring back a model for the turns that want it, by model; also the last that ended.
    pub wakes: Mutex<HashMap<Name, Arc<Job>>>,
    /// What became of the models.
    pub changes: Changes,
    /// Engine threads, of versions that serve and of those that drain.
    threads: Mutex<Vec<(GraphId, JoinHandle<()>)>>,
    lineages: Mutex<HashMap<Name, Lineage>>,
    /// Versions have ended since memory was given back.
    has_litter: AtomicBool,
    opened: Instant,
}

/// The past of one model.
#[derive(Clone, Default)]
pub struct Lineage {
    /// Versions that it had.
    pub versions: u64,
    /// The last one.
    pub last: Option<Arc<Origin>>,
    /// The one before.
    pub before: Option<Arc<Origin>>,
    /// The settings of the last one.
    pub config: Option<Arc<Config>>,
    /// The text of its load.
    pub load: Option<Arc<RawConfig>>,
}

impl Fleet {
    /// Without models.
    pub fn new() -> Fleet {
        Fleet {
            registry: Registry::new(),
            loads: Loads::default(),
            wakes: Mutex::default(),
            changes: Changes::default(),
            threads: Mutex::default(),
            lineages: Mutex::default(),
            has_litter: AtomicBool::new(false),
            opened: Instant::now(),
        }
    }

    /// The model that is meant where none is named.
    pub fn current(&self) -> Option<Name> {
        self.registry.current(DEFAULT)
    }

    /// The model of a version that serves, or that sleeps.
    pub fn name_of(&self, graph: u32) -> Option<Name> {
        let listed = self.registry.list();
        let is_it = |found: &Found<Serving, Sleeper>| match found {
            Found::Serving(serving) => serving.graph.0 == graph,
            Found::Asleep(sleeper) | Found::Away(sleeper) => sleeper.version.graph.0 == graph,
            Found::Absent => false,
        };
        listed.into_iter().find(|l| is_it(&l.found)).map(|l| l.name)
    }

    /// The past of a model.
    pub fn lineage(&self, model: &str) -> Lineage {
        let lineages = self.lineages.lock();
        lineages.get(model).cloned().unwrap_or_default()
    }

    /// A version came: the next number is the one after its own.
    pub fn note(&self, serving: &Serving) {
        let version = &serving.version;
        let mut lineages = self.lineages.lock();
        let lineage = lineages.entry(version.model.clone()).or_default();
        lineage.versions = lineage.versions.max(version.number);
        lineage.config = Some(version.config.clone());
        lineage.load.clone_from(&version.origin.load);
        let is_last = |last: &Arc<Origin>| Arc::ptr_eq(last, &version.origin);
        if !lineage.last.as_ref().is_some_and(is_last) {
            let before = lineage.last.replace(version.origin.clone());
            // Copied bytes would take as much memory as the model did.
            lineage.before = before.filter(|origin| origin.source.is_file());
        }
    }

    /// A model is gone. Its past is remembered as long as there is room, and that of plain loads always; but not bytes
    /// that were copied.
    pub fn forget_model(&self, model: &str) {
        let mut wakes = self.wakes.lock();
        wakes.retain(|name, job| &**name != model || !job.is_over());
        drop(wakes);
        let mut lineages = self.lineages.lock();
        if let Some(lineage) = lineages.get_mut(model) {
            lineage.last.take_if(|last| !last.source.is_file());
        }
        if lineages.len() > MOST_LINEAGES && model != DEFAULT {
            lineages.remove(model);
        }
    }

    /// What is in memory, for the policy that makes room.
    pub fn tenants(&self) -> Vec<Tenant> {
        let tenant = |serving: &Serving, used: Option<Instant>| {
            let memory = serving.memory();
            // Copied bytes stay in memory whether they are used or not.
            let is_file = serving.version.origin.source.is_file();
            Tenant {
                name: serving.version.model.clone(),
                file: serving.shelf,
                bytes: Bytes {
                    weights: memory.weights,
                    own: memory.cache + memory.compute + serving.engine.stats().spare_bytes.get(),
                },
                leased: !is_file || serving.is_used(),
                drains: used.is_none(),
                used: used.map_or(0, |used| {
                    used.saturating_duration_since(self.opened).as_nanos() as u64
                }),
            }
        };
        let (listed, draining) = self.registry.snapshot();
        let serving = listed.iter().filter_map(|l| match &l.found {
            Found::Serving(serving) => Some(tenant(serving, Some(l.used))),
            _ => None,
        });
        let draining = draining.iter().map(|(_, old)| tenant(old, None));
        serving.chain(draining).collect()
    }

    /// What else is loaded beside `model`.
    pub fn beside(&self, model: &str) -> Beside {
        let versions = self.registry.versions();
        Beside {
            taken: self.buffer_bytes(Some(model)),
            is_busy: versions.iter().any(|v| v.engine.stats().running.get() > 0),
        }
    }

    /// Bytes of cells and compute buffers, of all models but `except`.
    pub fn buffer_bytes(&self, except: Option<&str>) -> u64 {
        let tenants = self.tenants().into_iter();
        let others = tenants.filter(|t| Some(&*t.name) != except);
        others.map(|t| t.bytes.own).sum()
    }

    /// Keeps the threads of a version until they are over.
    pub fn keep_threads(&self, graph: GraphId, threads: Vec<JoinHandle<()>>) {
        let threads = threads.into_iter().map(|thread| (graph, thread));
        self.threads.lock().extend(threads);
    }

    /// Lets go of a version that serves no more. Without turns on it its memory is free on return; otherwise its thread
    /// ends with the last of them and is joined at the next occasion.
    pub fn let_go(&self, old: Arc<Serving>) {
        let graph = old.graph;
        let left = Arc::downgrade(&old);
        drop(old);
        // A look at the status holds a version for a moment.
        let until = Instant::now() + LOOK;
        while left.strong_count() > 0 && Instant::now() < until {
            std::thread::sleep(LOOK / 50);
        }
        let is_idle = left.strong_count() == 0;
        self.join(|g| is_idle && g == graph);
    }

    /// Waits for the threads of the versions `which`, and for those that have ended.
    pub fn join(&self, which: impl Fn(GraphId) -> bool) {
        let mut threads = self.threads.lock();
        let over: Vec<_> = threads
            .extract_if(.., |(graph, thread)| which(*graph) || thread.is_finished())
            .collect();
        drop(threads);
        if over.is_empty() {
            return;
        }
        for (_, thread) in over {
            // An engine thread catches the panics of its steps.
            drop(thread.join());
        }
        self.has_litter.store(true, Ordering::Relaxed);
    }

    /// Gives the memory of versions that have ended back to the system. Who allocates meanwhile may wait for some
    /// milliseconds.
    pub fn give_back(&self) {
        if self.has_litter.swap(false, Ordering::Relaxed) {
            llama::runtime::give_back_memory();
        }
    }
}
