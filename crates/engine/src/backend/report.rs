//! The status documents: snapshots of what the owners of each number publish.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::contexts;
use super::serving::{Memory, Serving, limits};
use super::version::Sleeper;
use super::{Backend, turn, workers};
use crate::config::Config;
use crate::error::Result;
use crate::models::{Found, Listed};
use crate::scheduler::Class;
use crate::{llama, status};

/// Which status document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusKind {
    /// Turns that wait and run.
    Queue,
    /// Bytes and cells.
    Memory,
    /// Conversations.
    Sessions,
    /// Speeds and times.
    Performance,
    /// The model and the configuration in force.
    Model,
}

impl Backend {
    /// A status document as JSON. Never waits for the engine thread; without a model its numbers are 0.
    pub fn status(&self, kind: StatusKind) -> Result<String> {
        let _call = self.enter()?;
        let lease = self.current_version();
        let lease = lease.as_deref();
        let config = self.settings().config.clone();
        let document = match kind {
            StatusKind::Queue => self.queue(lease, &config),
            StatusKind::Memory => self.memory(lease, &config),
            StatusKind::Sessions => self.sessions(&config),
            StatusKind::Performance => self.performance(lease),
            // The settings in it may be nested as deep as a schema is.
            StatusKind::Model => {
                return workers::apart(|| Ok(self.model(lease, &config).to_string()));
            }
        };
        Ok(document.to_string())
    }

    /// The version of the current model, if it serves.
    fn current_version(&self) -> Option<Arc<Serving>> {
        let model = self.fleet.current()?;
        let listed = self.fleet.registry.list();
        let own = listed.into_iter().find(|l| l.name == model)?;
        own.found.serving()
    }

    fn queue(&self, lease: Option<&Serving>, config: &Config) -> Value {
        let bounds = limits(&config.backend);
        let now = lease.map(|serving| serving.engine.stats());
        status::queue(&self.totals, now, config.backend.queue_size, &bounds)
    }

    fn memory(&self, lease: Option<&Serving>, config: &Config) -> Value {
        let memory = lease.map_or_else(Memory::default, Serving::memory);
        let mut document = json!({
            "weights_bytes": memory.weights,
            "cache_bytes": memory.cache,
            "compute_bytes": memory.compute,
            "history_bytes": self.monitor.history_bytes(),
            "idle_cache_tokens_limit": config.memory.max_cache_tokens,
            "sequences": memory.sequences,
            "cache_strategy": config.memory.cache_strategy.name(),
            "pressure": self.monitor.report(),
        });
        let now = lease.map(|serving| serving.engine.stats());
        merge(
            &mut document,
            status::cache(&self.totals, now, memory.cells, &self.store.counts()),
        );
        document
    }

    fn sessions(&self, config: &Config) -> Value {
        let mut listed = self.contexts.list();
        listed.sort_by_key(|l| l.session.id);
        let count = |test: fn(&contexts::Listed) -> bool| listed.iter().filter(|l| test(l)).count();
        let evicted = self.contexts.evictions();
        json!({
            "max_concurrent": config.backend.max_concurrent,
            "max_sessions": config.backend.max_sessions,
            "idle_timeout_ms": status::millis(config.backend.idle_timeout),
            "auto_cleanup": config.backend.auto_cleanup,
            "open_anonymous": count(|l| l.session.name.is_none()),
            "open_named": count(|l| l.session.name.is_some() && l.context.is_some()),
            "detached_named": count(|l| l.context.is_none()),
            "evictions": {
                "idle": evicted.idle.load(Ordering::Relaxed),
                "limit": evicted.limit.load(Ordering::Relaxed),
                "reclaimed": evicted.reclaimed.load(Ordering::Relaxed),
            },
            "sessions": listed.iter().map(|l| session(l, config)).collect::<Vec<_>>(),
        })
    }

    fn performance(&self, lease: Option<&Serving>) -> Value {
        let mut document = json!({"uptime_ms": status::millis(self.opened.elapsed())});
        let now = lease.map(|serving| serving.engine.stats());
        merge(&mut document, status::performance(&self.totals, now));
        document
    }

    fn model(&self, lease: Option<&Serving>, config: &Arc<Config>) -> Value {
        let mut document = json!({"loaded": lease.is_some()});
        if let Some(serving) = lease {
            document["file"] = serving.file().into();
            document["graph"] = serving.graph.0.into();
            merge(&mut document, serving.report().clone());
        }
        document["models"] = json!(self.models());
        document["changes"] = json!(self.fleet.changes.list());
        document["loads"] = json!(self.fleet.loads.list());
        document["llama_cpp"] = llama::runtime::version().into();
        document["config_effective"] = config.to_json();
        document["config_notes"] = self.settings().notes();
        document
    }
}

impl Backend {
    /// Every model, by name.
    fn models(&self) -> Vec<status::Model> {
        let sessions = self.contexts.list();
        let draining = self.fleet.registry.draining();
        let listed = self.fleet.registry.list().into_iter();
        let model = |l: Listed<Serving, Sleeper>| {
            let own = sessions.iter().filter(|s| s.session.model() == l.name);
            let olds = draining.iter().filter(|(name, _)| *name == l.name);
            let mut model = status::Model {
                name: l.name.to_string(),
                state: status::State::Swapping,
                version: None,
                label: None,
                graph: None,
                file: None,
                leases: 0,
                weights_bytes: 0,
                buffer_bytes: 0,
                load_time_ms: None,
                idle_ms: status::millis(l.used.elapsed()),
                sessions: own.count(),
                waiting: l.waiting as u64,
                running: 0,
                draining: olds.map(|(_, old)| draining_version(old)).collect(),
            };
            let version = match &l.found {
                Found::Serving(serving) => {
                    let (memory, stats) = (serving.memory(), serving.engine.stats());
                    model.state = status::State::Serving;
                    // The registry's share and this one.
                    model.leases = Arc::strong_count(serving).saturating_sub(2);
                    model.weights_bytes = memory.weights;
                    model.buffer_bytes = memory.cache + memory.compute + stats.spare_bytes.get();
                    model.load_time_ms = serving.report()["load_time_ms"].as_u64();
                    model.waiting += stats.waiting_total();
                    model.running = stats.running.get();
                    Some((&serving.version, &serving.label))
                }
                Found::Asleep(sleeper) => {
                    model.state = status::State::Asleep;
                    Some((&sleeper.version, &sleeper.label))
                }
                Found::Away | Found::Absent => None,
            };
            if let Some((version, label)) = version {
                model.version = Some(version.number);
                model.label = Some(label.to_string());
                model.graph = Some(version.graph.0);
                model.file = Some(version.origin.source.shown().to_owned());
            }
            model
        };
        listed.map(model).collect()
    }
}

fn draining_version(old: &Arc<Serving>) -> status::Draining {
    status::Draining {
        graph: old.graph.0,
        version: old.version.number,
        label: old.label.to_string(),
        // Without this one.
        leases: Arc::strong_count(old).saturating_sub(1),
        running: old.engine.stats().running.get(),
    }
}

fn session(listed: &contexts::Listed, config: &Config) -> Value {
    let session = &listed.session;
    let activity = session.activity();
    let name = session.name.as_ref();
    let own = Class::from_number(session.priority.load(Ordering::Relaxed));
    json!({
        "id": session.id,
        "context": listed.context.map(|id| id.0),
        "name": name.map(|n| String::from_utf8_lossy(n).into_owned()),
        "turns": activity.turns,
        "tokens": activity.used_tokens,
        "idle_ms": status::millis(activity.idle),
        "busy": activity.busy,
        "priority": own.unwrap_or_else(|| turn::class(config.priority)) as u32,
    })
}

/// Adds the fields of one object to another.
fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}
