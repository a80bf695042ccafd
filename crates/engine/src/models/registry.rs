//! Which models there are, and which version of each serves.
//!
//! A lease is a share of the version that serves: whoever holds one keeps that version alive, and a replaced version ends
//! with its last lease. One change at a time; nobody holds a lock while loading. Generic over the version and over what
//! brings one back that was put to sleep.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};

/// A model's name: what a host calls it, whichever version serves.
pub type Name = std::sync::Arc<str>;

/// How long who waits for a version goes without looking whether it is still to wait.
const LOOK: Duration = Duration::from_millis(20);

/// What a name stands for.
#[derive(Debug)]
pub enum Found<T, S> {
    /// This version serves.
    Serving(Arc<T>),
    /// The next version is on its way, and none serves until then; this brings back the one before.
    Away(Arc<S>),
    /// Its memory was needed for others; this brings it back.
    Asleep(Arc<S>),
    /// There is no such model.
    Absent,
}

/// Why a wait for a version ended without one.
#[derive(Debug, PartialEq, Eq)]
pub enum Unserved {
    /// So many wait already.
    Full(usize),
    /// The deadline passed.
    Late,
    /// Whoever waits was told to give up.
    GivenUp,
}

/// Replaced versions that still have leases, with their models' names.
pub type Draining<T> = Vec<(Name, Arc<T>)>;

/// A model as a list shows it.
#[derive(Debug)]
pub struct Listed<T, S> {
    /// Its name.
    pub name: Name,
    /// What serves it.
    pub found: Found<T, S>,
    /// When a version of it was asked for last.
    pub used: Instant,
    /// How many wait for its next version.
    pub waiting: usize,
}

/// The models of one backend. Any thread.
#[derive(Debug)]
pub struct Registry<T, S> {
    state: Mutex<State<T, S>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T, S> {
    models: BTreeMap<Name, Entry<T, S>>,
    /// Replaced versions that still have leases.
    draining: Vec<(Name, Weak<T>)>,
    /// Somebody has the right to change things.
    claimed: bool,
    /// Versions that were ever meant to be current.
    puts: u64,
}

#[derive(Debug)]
struct Entry<T, S> {
    found: Found<T, S>,
    used: Instant,
    /// Rises with each version that was meant to be current.
    put: u64,
    /// How many wait for its next version.
    waiting: usize,
}

/// The right to change what serves; dropping it lets the next one in.
#[derive(Debug)]
pub struct Claim<'a, T, S> {
    registry: &'a Registry<T, S>,
}

impl<T, S> State<T, S> {
    fn list(&self) -> Vec<Listed<T, S>> {
        let listed = self.models.iter().map(|(name, entry)| Listed {
            name: name.clone(),
            found: entry.found.clone(),
            used: entry.used,
            // Once a version serves, they are on their way to it, although they may not have woken yet.
            waiting: match entry.found {
                Found::Away(_) => entry.waiting,
                _ => 0,
            },
        });
        listed.collect()
    }

    fn draining(&mut self) -> Draining<T> {
        self.draining.retain(|(_, weak)| weak.strong_count() > 0);
        let versions = self.draining.iter();
        versions
            .filter_map(|(name, weak)| Some((name.clone(), weak.upgrade()?)))
            .collect()
    }
}

impl<T, S> Registry<T, S> {
    /// Without a model.
    pub fn new() -> Registry<T, S> {
        Registry {
            state: Mutex::new(State {
                models: BTreeMap::new(),
                draining: Vec::new(),
                claimed: false,
                puts: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// What `name` stands for now. To ask is to use it.
    pub fn find(&self, name: &str) -> Found<T, S> {
        match self.lock().models.get_mut(name) {
            None => Found::Absent,
            Some(entry) => {
                entry.used = Instant::now();
                entry.found.clone()
            }
        }
    }

    /// As `find`, but waits while the next version is on its way: until `deadline`, and if `joins` lets it, which is asked
    /// under the lock and otherwise says how many wait. `gives_up` is asked from time to time.
    pub fn wait(
        &self,
        name: &str,
        joins: &dyn Fn(&S) -> Result<(), usize>,
        deadline: Instant,
        gives_up: &dyn Fn() -> bool,
    ) -> Result<Found<T, S>, Unserved> {
        let mut state = self.lock();
        let mut is_counted = false;
        let result = loop {
            let Some(entry) = state.models.get_mut(name) else {
                return Ok(Found::Absent);
            };
            entry.used = Instant::now();
            let Found::Away(before) = &entry.found else {
                break Ok(entry.found.clone());
            };
            if !is_counted {
                joins(before).map_err(Unserved::Full)?;
                entry.waiting += 1;
                is_counted = true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if gives_up() {
                break Err(Unserved::GivenUp);
            } else if left.is_zero() {
                break Err(Unserved::Late);
            }
            state = self.pause(state, left.min(LOOK));
        };
        if is_counted && let Some(entry) = state.models.get_mut(name) {
            // A model that was removed and came again meanwhile counts anew.
            entry.waiting = entry.waiting.saturating_sub(1);
        }
        result
    }

    /// The model that is meant where none is named: `preferred` if there is one, else the one that came last.
    pub fn current(&self, preferred: &str) -> Option<Name> {
        let state = self.lock();
        let named = state.models.get_key_value(preferred);
        let latest = || state.models.iter().max_by_key(|(_, entry)| entry.put);
        named.or_else(latest).map(|(name, _)| name.clone())
    }

    /// All models, by name.
    pub fn list(&self) -> Vec<Listed<T, S>> {
        self.lock().list()
    }

    /// All models, and the replaced versions that still have leases, at one moment.
    pub fn snapshot(&self) -> (Vec<Listed<T, S>>, Draining<T>) {
        let mut state = self.lock();
        (state.list(), state.draining())
    }

    /// Every version that is alive: those that serve, then those that drain.
    pub fn versions(&self) -> Vec<Arc<T>> {
        let (listed, draining) = self.snapshot();
        let serving = listed.into_iter().filter_map(|l| l.found.serving());
        let draining = draining.into_iter().map(|(_, version)| version);
        serving.chain(draining).collect()
    }

    /// Waits until nobody else changes things, and keeps others out until the claim is dropped. `None`: it was to give
    /// up first.
    pub fn claim(&self, gives_up: &dyn Fn() -> bool) -> Option<Claim<'_, T, S>> {
        let mut state = self.lock();
        while state.claimed {
            if gives_up() {
                return None;
            }
            state = self.pause(state, LOOK);
        }
        state.claimed = true;
        Some(Claim { registry: self })
    }

    /// Lets those who wait look whether they are still to.
    pub fn wake(&self) {
        // Under the lock, so that nobody is between its look and its wait.
        let _state = self.lock();
        self.changed.notify_all();
    }

    fn pause<'a>(
        &self,
        state: MutexGuard<'a, State<T, S>>,
        time: Duration,
    ) -> MutexGuard<'a, State<T, S>> {
        match self.changed.wait_timeout(state, time) {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }

    /// Every critical section leaves the state valid wherever it may unwind.
    fn lock(&self) -> MutexGuard<'_, State<T, S>> {
        match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

impl<T, S> Claim<'_, T, S> {
    /// What `name` stands for, without using it.
    pub fn find(&self, name: &str) -> Found<T, S> {
        let state = self.registry.lock();
        let entry = state.models.get(name);
        entry.map_or(Found::Absent, |entry| entry.found.clone())
    }

    /// Puts `next` in the place of `name`; `Absent` removes it. Gives the version that served, which drains.
    pub fn put(&self, name: &Name, next: Found<T, S>) -> Option<Arc<T>> {
        let mut state = self.registry.lock();
        let put = state.puts + 1;
        let old = match next {
            Found::Absent => state.models.remove(name).map(|entry| entry.found),
            next => match state.models.get_mut(name) {
                Some(entry) => Some(std::mem::replace(&mut entry.found, next)),
                None => {
                    let entry = Entry {
                        found: next,
                        used: Instant::now(),
                        put,
                        waiting: 0,
                    };
                    state.models.insert(name.clone(), entry);
                    state.puts = put;
                    None
                }
            },
        };
        let old = old.and_then(Found::serving);
        if let Some(old) = &old {
            state.draining.retain(|(_, weak)| weak.strong_count() > 0);
            state.draining.push((name.clone(), Arc::downgrade(old)));
        }
        drop(state);
        self.registry.changed.notify_all();
        old
    }

    /// The model was loaded, and not only brought back: it is the last one.
    pub fn put_last(&self, name: &str) {
        let mut state = self.registry.lock();
        let put = state.puts + 1;
        if let Some(entry) = state.models.get_mut(name) {
            entry.put = put;
            state.puts = put;
        }
    }

    /// Puts `name` to sleep if `is_free` says so of its version, which it gives. Who has just found that version and does
    /// not use it yet finds that it takes nothing any more.
    pub fn put_to_sleep(
        &self,
        name: &Name,
        is_free: impl FnOnce(&T) -> bool,
        asleep: impl FnOnce(&T) -> S,
    ) -> Option<Arc<T>> {
        let mut state = self.registry.lock();
        let entry = state.models.get_mut(name)?;
        let Found::Serving(version) = &entry.found else {
            return None;
        };
        if !is_free(version) {
            return None;
        }
        let asleep = Found::Asleep(Arc::new(asleep(version)));
        let old = std::mem::replace(&mut entry.found, asleep).serving()?;
        state.draining.push((name.clone(), Arc::downgrade(&old)));
        Some(old)
    }
}

impl<T, S> Drop for Claim<'_, T, S> {
    /// What is still on its way when a change ends, however it ends, did not come: the next use brings the version before
    /// back.
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        for entry in state.models.values_mut() {
            if let Found::Away(before) = &entry.found {
                entry.found = Found::Asleep(before.clone());
            }
        }
        state.claimed = false;
        drop(state);
        self.registry.changed.notify_all();
    }
}

impl<T, S> Found<T, S> {
    /// The version, if one serves.
    pub fn serving(self) -> Option<Arc<T>> {
        match self {
            Found::Serving(version) => Some(version),
            _ => None,
        }
    }
}

impl<T, S> Clone for Found<T, S> {
    fn clone(&self) -> Self {
        match self {
            Found::Serving(version) => Found::Serving(version.clone()),
            Found::Away(before) => Found::Away(before.clone()),
            Found::Asleep(asleep) => Found::Asleep(asleep.clone()),
            Found::Absent => Found::Absent,
        }
    }
}
