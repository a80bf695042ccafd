//! The status documents and the figures for Prometheus: snapshots of what the owners of each number publish.
//!
//! Nothing here waits for an engine thread, reads a configuration or starts a thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Backend;
use super::contexts;
use super::serving::{Memory, Serving, limits};
use super::settings::Shown;
use super::turn;
use super::version::{Sleeper, known};
use crate::chat::Session;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::models::{Found, Listed, Name};
use crate::scheduler::{Class, Health, Stats};
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

/// What is read at one moment.
struct Reading<'a> {
    backend: &'a Backend,
    config: Arc<Config>,
    shown: Shown,
    /// Every model.
    listed: Vec<Listed<Serving, Sleeper>>,
    /// Versions that were replaced and still have turns.
    draining: Vec<(Name, Arc<Serving>)>,
    /// The current model's version, if it serves.
    current: Option<Arc<Serving>>,
}

impl Backend {
    /// A status document as JSON, by the schema of its kind. Never waits for the engine thread; without a model its
    /// numbers are 0.
    pub fn status(&self, kind: StatusKind) -> Result<String> {
        let _call = self.enter()?;
        let reading = self.reading();
        match kind {
            StatusKind::Queue => json(&reading.queue()),
            StatusKind::Memory => json(&reading.memory()),
            StatusKind::Sessions => json(&reading.sessions(true)),
            StatusKind::Performance => json(&reading.performance()),
            StatusKind::Model => json(&reading.model()?),
        }
    }

    /// The same figures in Prometheus' text format (0.0.4). Never waits for the engine thread.
    pub fn metrics(&self) -> Result<String> {
        let _call = self.enter()?;
        let reading = self.reading();
        Ok(status::metrics(&status::Figures {
            totals: &self.totals,
            queue: reading.queue(),
            memory: reading.memory(),
            sessions: reading.sessions(false),
            performance: reading.performance(),
            model: reading.model()?,
        }))
    }

    fn reading(&self) -> Reading<'_> {
        let settings = self.settings();
        let (config, shown) = (settings.config.clone(), settings.shown().clone());
        drop(settings);
        let (listed, draining) = self.fleet.registry.snapshot();
        let name = self.fleet.current();
        let current = listed.iter().find(|l| Some(&l.name) == name.as_ref());
        Reading {
            backend: self,
            config,
            shown,
            current: current.and_then(|l| l.found.clone().serving()),
            draining,
            listed,
        }
    }
}

impl Reading<'_> {
    /// Every version that is alive.
    fn versions(&self) -> impl Iterator<Item = &Arc<Serving>> {
        let serving = self.listed.iter().filter_map(|l| match &l.found {
            Found::Serving(serving) => Some(serving),
            _ => None,
        });
        serving.chain(self.draining.iter().map(|(_, old)| old))
    }

    /// What the engine threads publish.
    fn now(&self) -> Vec<&Stats> {
        self.versions().map(|v| v.engine.stats()).collect()
    }

    fn queue(&self) -> status::Queue {
        let backend = &self.config.backend;
        let bounds = limits(backend);
        status::Queue::read(
            &self.backend.totals,
            &self.now(),
            self.listed.iter().map(|l| l.waiting as u64).sum(),
            backend.queue_size,
            &bounds,
        )
    }

    fn memory(&self) -> status::Memory {
        let sum = |part: fn(&Memory) -> u64| self.versions().map(|v| part(&v.memory())).sum();
        // Versions of one file share its weights.
        let weights: BTreeMap<u64, u64> = self
            .versions()
            .map(|v| (v.shelf, v.memory().weights))
            .collect();
        let config = &self.config.memory;
        let held = status::Held {
            weights_bytes: weights.values().sum(),
            cache_bytes: sum(|m| m.cache),
            compute_bytes: sum(|m| m.compute),
            history_bytes: self.backend.monitor.history_bytes(),
            cells: sum(|m| m.cells.into()),
            sequences: sum(|m| m.sequences.into()),
            idle_cache_tokens_limit: config.max_cache_tokens.into(),
            cache_strategy: config.cache_strategy.name(),
            pressure: self.backend.monitor.report(),
        };
        let saved = self.backend.store.counts();
        status::Memory::read(&self.backend.totals, &self.now(), &saved, held)
    }

    /// `in_full`: with every conversation, and not the counts alone.
    fn sessions(&self, in_full: bool) -> status::Sessions {
        let contexts = &self.backend.contexts;
        let config = &self.config.backend;
        let mut listed = contexts.list();
        listed.sort_by_key(|l| l.session.id);
        let count =
            |test: fn(&contexts::Listed) -> bool| listed.iter().filter(|l| test(l)).count() as u64;
        let evicted = contexts.evictions();
        let shown = if in_full { &listed[..] } else { &[] };
        status::Sessions {
            max_concurrent: config.max_concurrent,
            max_sessions: config.max_sessions,
            idle_timeout_ms: status::millis(config.idle_timeout),
            auto_cleanup: config.auto_cleanup,
            open_anonymous: count(|l| l.session.name.is_none()),
            open_named: count(|l| l.session.name.is_some() && l.context.is_some()),
            detached_named: count(|l| l.context.is_none()),
            evictions: status::Evictions {
                idle: evicted.idle.load(Ordering::Relaxed),
                limit: evicted.limit.load(Ordering::Relaxed),
                reclaimed: evicted.reclaimed.load(Ordering::Relaxed),
            },
            sessions: shown.iter().map(|l| self.session(l)).collect(),
        }
    }

    fn session(&self, listed: &contexts::Listed) -> status::Session {
        let session = &listed.session;
        let activity = session.activity();
        let name = session.name.as_deref();
        let own = Class::from_number(session.priority.load(Ordering::Relaxed));
        status::Session {
            id: session.id,
            context: listed.context.map(|id| id.0),
            name: name.map(|name| match self.config.backend.session_names_in_status {
                true => String::from_utf8_lossy(name).into_owned(),
                false => self.backend.aliases.of(name),
            }),
            turns: activity.turns as u64,
            tokens: activity.used_tokens as u64,
            idle_ms: status::millis(activity.idle),
            busy: activity.busy,
            priority: own.unwrap_or_else(|| self.class_of(session)) as u32,
        }
    }

    /// The class that a session's model gives its turns.
    fn class_of(&self, session: &Session) -> Class {
        let model = session.model();
        let own = self.versions().find(|v| v.version.model == model);
        let config = own.map_or(&self.config, |v| &v.config);
        turn::class(config.priority)
    }

    fn performance(&self) -> status::Performance {
        let uptime_ms = status::millis(self.backend.opened.elapsed());
        status::Performance::read(&self.backend.totals, &self.now(), uptime_ms)
    }

    fn model(&self) -> Result<status::Model<'_>> {
        let serving = self.current.as_deref();
        let described = serving.map(|serving| status::Described::deserialize(serving.report()));
        Ok(status::Model {
            loaded: serving.is_some(),
            file: serving.map(Serving::file),
            graph: serving.map(|serving| serving.graph.0),
            described: described.transpose().map_err(unwritten)?,
            models: self.models(),
            changes: self.backend.fleet.changes.list(),
            changes_total: self.backend.fleet.changes.counts(),
            loads: self.backend.fleet.loads.list(),
            llama_cpp: llama::runtime::version(),
            config_effective: &self.shown.config,
            config_notes: &self.shown.notes,
        })
    }

    /// Every model, by name.
    fn models(&self) -> Vec<status::Served> {
        let sessions = self.backend.contexts.list();
        let model = |l: &Listed<Serving, Sleeper>| {
            let own = sessions.iter().filter(|s| s.session.model() == l.name);
            let olds = self.draining.iter().filter(|(name, _)| *name == l.name);
            let mut model = status::Served {
                name: l.name.to_string(),
                state: match l.found {
                    Found::Serving(_) => status::State::Serving,
                    Found::Asleep(_) => status::State::Asleep,
                    Found::Away(_) | Found::Absent => status::State::Swapping,
                },
                idle_ms: status::millis(l.used.elapsed()),
                sessions: own.count() as u64,
                waiting: l.waiting as u64,
                draining: olds.map(|(_, old)| draining_version(old)).collect(),
                ..status::Served::default()
            };
            if let Some(known) = known(&l.found) {
                model.version = Some(known.number);
                model.label = Some(known.label.to_string());
                model.graph = Some(known.graph.0);
                model.file = Some(known.file);
            }
            if let Found::Serving(serving) = &l.found {
                let (memory, stats) = (serving.memory(), serving.engine.stats());
                model.leases = serving.users.load(Ordering::Relaxed) as u64;
                model.weights_bytes = memory.weights;
                model.buffer_bytes = memory.cache + memory.compute + stats.spare_bytes.get();
                model.load_time_ms = serving.report()["load_time_ms"].as_u64();
                model.waiting += stats.waiting_total();
                model.running = stats.running.get();
                model.restarts = stats.restarts.get();
                model.state = match stats.health(Instant::now()) {
                    Health::Well => status::State::Serving,
                    Health::Stuck => status::State::Stuck,
                    Health::Failed => status::State::Failed,
                };
            }
            model
        };
        let is_listed = |name: &Name| self.listed.iter().any(|l| l.name == *name);
        let gone = self.draining.iter().filter(|(name, _)| !is_listed(name));
        let gone = gone.map(|(name, old)| status::Served {
            name: name.to_string(),
            state: status::State::Unloaded,
            draining: vec![draining_version(old)],
            ..status::Served::default()
        });
        self.listed.iter().map(model).chain(gone).collect()
    }
}

fn draining_version(old: &Serving) -> status::Draining {
    status::Draining {
        graph: old.graph.0,
        version: old.version.number,
        label: old.label.to_string(),
        leases: old.users.load(Ordering::Relaxed) as u64,
        running: old.engine.stats().running.get(),
    }
}

fn json(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document).map_err(unwritten)
}

fn unwritten(error: serde_json::Error) -> Error {
    Error::Internal(format!(
        "a status document is not as its schema says: {error}"
    ))
}
