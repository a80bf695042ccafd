//! The status documents and the figures for Prometheus: snapshots of what the owners of each number publish.
//!
//! Nothing here waits for an engine thread, reads a configuration or starts a thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::Backend;
use super::contexts::Listed;
use super::serving::{Memory, Serving, limits};
use super::settings::Shown;
use super::turn;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::scheduler::{Class, Stats};
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
    serving: Option<Arc<Serving>>,
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
        Reading {
            backend: self,
            config,
            shown,
            serving: self.registry.lease(),
        }
    }
}

impl Reading<'_> {
    /// What the engine threads publish.
    fn now(&self) -> Vec<&Stats> {
        let serving = self.serving.iter();
        serving.map(|serving| serving.engine.stats()).collect()
    }

    fn queue(&self) -> status::Queue {
        let backend = &self.config.backend;
        let bounds = limits(backend);
        status::Queue::read(
            &self.backend.totals,
            &self.now(),
            backend.queue_size,
            &bounds,
        )
    }

    fn memory(&self) -> status::Memory {
        let of_model = |serving: &Arc<Serving>| serving.memory();
        let memory = self.serving.as_ref().map_or_else(Memory::default, of_model);
        let config = &self.config.memory;
        let held = status::Held {
            weights_bytes: memory.weights,
            cache_bytes: memory.cache,
            compute_bytes: memory.compute,
            history_bytes: self.backend.monitor.history_bytes(),
            cells: memory.cells.into(),
            sequences: memory.sequences.into(),
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
        let count = |test: fn(&Listed) -> bool| listed.iter().filter(|l| test(l)).count() as u64;
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

    fn session(&self, listed: &Listed) -> status::Session {
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
            priority: own.unwrap_or_else(|| turn::class(self.config.priority)) as u32,
        }
    }

    fn performance(&self) -> status::Performance {
        let uptime_ms = status::millis(self.backend.opened.elapsed());
        status::Performance::read(&self.backend.totals, &self.now(), uptime_ms)
    }

    fn model(&self) -> Result<status::Model<'_>> {
        let serving = self.serving.as_deref();
        let described = serving.map(|serving| status::Described::deserialize(serving.report()));
        Ok(status::Model {
            loaded: serving.is_some(),
            file: serving.map(Serving::file),
            graph: serving.map(|serving| serving.graph.0),
            described: described.transpose().map_err(unwritten)?,
            llama_cpp: llama::runtime::version(),
            config_effective: &self.shown.config,
            config_notes: &self.shown.notes,
        })
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
