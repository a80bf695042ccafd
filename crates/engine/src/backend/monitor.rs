//! Watches what memory is left, and lets caches shrink before it is gone.
//!
//! One thread per backend, from its first load to its end. Once a second it compares what the backend, its control group
//! and its process use with their limits; `memory::pressure` says how hard caches must shrink. The room that saved cells
//! have in memory is what the configured budget leaves beside everything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::contexts::Contexts;
use super::fleet::Fleet;
use super::workers::spawn;
use crate::config;
use crate::error::{Error, Result};
use crate::logging::{self, Journal};
use crate::machine;
use crate::memory::Level;
use crate::memory::pressure::{Pressure, Share};
use crate::metrics::{Counter, Gauge};
use crate::spill::{Limits, Store};
use crate::status::{self, LimitUse};

/// The name of the budget that was asked for.
const OWN: &str = "max_memory_mb";

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Between two looks whether the log's reader reads again.
const CATCH_UP: Duration = Duration::from_millis(20);

const MEBIBYTE: u64 = 1 << 20;

/// The watch over one backend's memory. Any thread.
pub struct Monitor {
    watch: Arc<Watch>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What is watched, and what came of it.
struct Watch {
    fleet: Arc<Fleet>,
    contexts: Arc<Contexts>,
    store: Arc<Store>,
    config: Mutex<config::Memory>,
    /// Bytes that were free when the limits were set.
    available: Gauge,
    pressure: Mutex<Pressure>,
    refuses: AtomicBool,
    relief: Relief,
    over: Mutex<bool>,
    wake: Condvar,
}

/// What was done about pressure.
#[derive(Default)]
struct Relief {
    changes: Counter,
    spilled: Counter,
    trims: Counter,
    drops: Counter,
    refusals: Counter,
}

impl Monitor {
    /// Nothing is watched yet.
    pub fn new(fleet: Arc<Fleet>, contexts: Arc<Contexts>, store: Arc<Store>) -> Monitor {
        let config = config::Memory::default();
        Monitor {
            watch: Arc::new(Watch {
                pressure: Mutex::new(Pressure::new(config.memory_pressure_threshold)),
                config: Mutex::new(config),
                fleet,
                contexts,
                store,
                available: Gauge::default(),
                refuses: AtomicBool::new(false),
                relief: Relief::default(),
                over: Mutex::new(false),
                wake: Condvar::new(),
            }),
            thread: Mutex::new(None),
        }
    }

    /// Puts memory settings in force, and portions the budget out.
    pub fn configure(&self, config: &config::Memory) {
        let mut config = config.clone();
        // The host may change its working directory later.
        config.spill_dir = config
            .spill_dir
            .map(|dir| std::path::absolute(&dir).unwrap_or(dir));
        *self.watch.config.lock() = config.clone();
        self.watch
            .pressure
            .lock()
            .set_threshold(config.memory_pressure_threshold);
        // Saved cells have taken some of it already.
        let held = self.watch.store.counts().ram.bytes;
        let available = machine::available().unwrap_or(4 << 30);
        self.watch.available.set(available.saturating_add(held));
        self.watch.portion();
    }

    /// A model has come: what it takes of the budget is taken at once. Starts the watch, if it does not run; without a
    /// thread nothing is watched.
    pub fn begin(&self, journal: &Arc<Journal>) {
        self.watch.portion();
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let watch = self.watch.clone();
            match spawn("wasi-nn-memory", journal, move || watch.run()) {
                Ok(started) => *thread = Some(started),
                Err(error) => log::warn!(target: "memory", "memory is not watched: {error}"),
            }
        }
    }

    /// Ends the watch.
    pub fn close(&self) {
        *self.watch.over.lock() = true;
        self.watch.wake.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // Its looks cannot fail.
            drop(thread.join());
        }
    }

    /// Errors: `MemoryPressure` while no new session may begin.
    pub fn admit(&self) -> Result<()> {
        if !self.watch.refuses.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.watch.relief.refusals.count();
        let shares = self.watch.shares();
        let fullest = shares
            .iter()
            .filter(|s| s.limit > 0)
            .max_by_key(|s| (u128::from(s.used) << 32) / u128::from(s.limit));
        let (what, used, limit) = fullest.map_or(("memory", 0, 0), |share| {
            (share.name, share.used, share.limit)
        });
        Err(Error::MemoryPressure { what, used, limit })
    }

    /// Bytes of conversations' texts.
    pub fn history_bytes(&self) -> u64 {
        self.watch.history_bytes()
    }

    /// What the status says of it.
    pub fn report(&self) -> status::Pressure {
        let watch = &self.watch;
        let relief = &watch.relief;
        let level = watch.pressure.lock().level();
        let threshold = watch.config.lock().memory_pressure_threshold;
        let limits = watch.shares().into_iter().map(|share| LimitUse {
            name: share.name,
            used: share.used,
            limit: share.limit,
        });
        status::Pressure {
            level: level.name(),
            rank: level as u64,
            threshold,
            limits: limits.collect(),
            resident_bytes: machine::resident(),
            stall_percent: machine::stall(),
            refuses_sessions: watch.refuses.load(Ordering::Relaxed),
            changes: relief.changes.get(),
            spilled: relief.spilled.get(),
            trims: relief.trims.get(),
            drops: relief.drops.get(),
            refused_sessions: relief.refusals.get(),
        }
    }

    /// Looks once, as the thread does each second.
    #[cfg(test)]
    pub fn look(&self) {
        self.watch.look();
    }
}

impl Watch {
    fn run(&self) {
        let mut due = Instant::now() + PERIOD;
        let mut over = self.over.lock();
        while !*over {
            // Lines of the log that wait for their reader follow soon after it reads.
            let time = match logging::is_behind() {
                true => due.min(Instant::now() + CATCH_UP),
                false => due,
            };
            self.wake.wait_until(&mut over, time);
            if !*over {
                parking_lot::MutexGuard::unlocked(&mut over, || {
                    logging::drain();
                    if Instant::now() >= due {
                        self.look();
                        due = Instant::now() + PERIOD;
                    }
                });
            }
        }
    }

    fn look(&self) {
        // Versions that drained since the last change of a model.
        self.fleet.join(|_| false);
        self.fleet.give_back();
        self.portion();
        let shares = self.shares();
        let mut pressure = self.pressure.lock();
        let change = pressure.observe(&shares);
        let level = pressure.level();
        let excess = |share: &Share| share.used.saturating_sub(pressure.goal(share));
        // A container that its host keeps full is no reason to refuse: only the budget that was asked for is.
        let is_own = shares.iter().any(|s| s.name == OWN && excess(s) > 0);
        let excess = shares.iter().map(excess).max().unwrap_or(0);
        drop(pressure);
        self.refuses
            .store(level == Level::Refuse && is_own, Ordering::Relaxed);
        let is_new = change.is_some();
        if let Some(change) = change {
            self.relief.changes.count();
            let cause = change.cause.as_ref();
            log::warn!(
                target: "memory", tag = "MEM",
                cause = cause.map(|share| share.name),
                used_mib = cause.map(|share| share.used / MEBIBYTE),
                limit_mib = cause.map(|share| share.limit / MEBIBYTE);
                "pressure {} -> {}", change.from.name(), change.to.name()
            );
        }
        if level > Level::None && excess > 0 {
            self.relieve(level, excess, is_new);
        }
    }

    /// Lets saved cells go as long as there are too many, and idle ones once for each level.
    fn relieve(&self, level: Level, excess: u64, is_new: bool) {
        let held = self.store.counts().ram.bytes;
        let left = self.store.shrink(held.saturating_sub(excess));
        if left > 0 {
            self.relief.spilled.add(left as u64);
            log::info!(target: "memory", tag = "MEM", conversations = left; "saved conversations leave memory");
        }
        if level < Level::Trim || !is_new {
            return;
        }
        let versions = self.fleet.registry.versions();
        for version in &versions {
            version.engine.relieve(level);
        }
        if !versions.is_empty() {
            match level {
                Level::Trim => self.relief.trims.count(),
                _ => self.relief.drops.count(),
            }
            log::info!(target: "memory", tag = "MEM"; "idle cells give way: {}", level.name());
        }
    }

    /// Gives saved cells what is left of the budget below the share at which pressure ends; without one, a quarter of what
    /// the machine had free.
    fn portion(&self) {
        let config = self.config.lock().clone();
        let own = self.own_share();
        let ram_bytes = match config.max_memory_mb {
            0 => self.available.get() / 4,
            _ => {
                let goal = self.pressure.lock().goal(&own);
                let goal = if own.limit == 0 { 0 } else { goal };
                goal.saturating_sub(self.history_bytes())
            }
        };
        self.store.set_limits(Limits {
            ram_bytes,
            dir: config.spill_dir,
            disk_bytes: u64::from(config.spill_max_mb) * MEBIBYTE,
            strategy: config.cache_strategy,
        });
    }

    /// What may give way, of what the configured budget leaves for it beside cells and compute buffers: these stay as they
    /// are as long as the model does.
    fn own_share(&self) -> Share {
        let counts = self.store.counts();
        let budget = u64::from(self.config.lock().max_memory_mb) * MEBIBYTE;
        Share {
            name: OWN,
            used: self.history_bytes() + counts.ram.bytes + counts.leaving.bytes,
            limit: budget.saturating_sub(self.fixed_bytes()),
        }
    }

    fn shares(&self) -> Vec<Share> {
        let own = self.own_share();
        let outside = [
            ("control group", machine::group()),
            ("process limit", machine::process()),
        ];
        let outside = outside.into_iter().filter_map(|(name, found)| {
            let found = found?;
            Some(Share {
                name,
                used: found.used,
                limit: found.limit,
            })
        });
        std::iter::once(own).chain(outside).collect()
    }

    /// Bytes of cells and compute buffers of all models.
    fn fixed_bytes(&self) -> u64 {
        self.fleet.buffer_bytes(None)
    }

    fn history_bytes(&self) -> u64 {
        let listed = self.contexts.list();
        let bytes = |l: &super::contexts::Listed| l.session.activity().history_bytes as u64;
        listed.iter().map(bytes).sum()
    }
}
