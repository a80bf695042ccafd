//! Open execution contexts and kept sessions, with their limits and their clean-up.
//!
//! Anonymous contexts are bounded by `max_concurrent`, named sessions by `max_sessions`. Clean-up happens only when a
//! context is opened, never by a timer, and never takes a session with a turn on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::chat::{History, Session};
use crate::config::BackendLimits;
use crate::error::{Error, Result};
use crate::handles::{Handle, Handles, Numbers};
use crate::models::Name;

/// An execution context as a host holds it: non-zero, unique in the process, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(pub u32);

impl Handle for ContextId {
    fn from_number(number: u32) -> ContextId {
        ContextId(number)
    }
}

static NUMBERS: Numbers = Numbers::new();
static SESSIONS: AtomicU64 = AtomicU64::new(1);

/// The contexts of one backend. Any thread.
pub struct Contexts {
    open: Handles<ContextId, Session>,
    named: Mutex<HashMap<Box<[u8]>, Named>>,
    evicted: Evictions,
}

struct Named {
    session: Arc<Session>,
    open: Option<ContextId>,
}

/// How many sessions clean-up took, by reason.
#[derive(Debug, Default)]
pub struct Evictions {
    /// Named and idle for too long.
    pub idle: AtomicU64,
    /// Named and least recently used when `max_sessions` was reached.
    pub limit: AtomicU64,
    /// Anonymous, idle for too long, when `max_concurrent` was reached.
    pub reclaimed: AtomicU64,
}

/// A context that was opened, and the sessions that gave way to it.
pub struct Opened {
    /// The context's number.
    pub id: ContextId,
    /// Its session.
    pub session: Arc<Session>,
    /// Sessions that clean-up ended.
    pub evicted: Vec<Arc<Session>>,
}

/// One line of the sessions' status.
pub struct Listed {
    /// The open context, if there is one.
    pub context: Option<ContextId>,
    /// The session.
    pub session: Arc<Session>,
}

impl Contexts {
    /// None open.
    pub fn new() -> Contexts {
        Contexts {
            open: Handles::new(&NUMBERS),
            named: Mutex::new(HashMap::new()),
            evicted: Evictions::default(),
        }
    }

    /// The session of an open context.
    pub fn get(&self, id: u32) -> Result<Arc<Session>> {
        self.open
            .get(ContextId(id))
            .ok_or(Error::UnknownContext(id))
    }

    /// Opens an anonymous context over `history` with `model`. Errors: `TooManyContexts` at `max_concurrent`.
    pub fn open_anonymous(
        &self,
        limits: &BackendLimits,
        history: History,
        model: Name,
    ) -> Result<Opened> {
        // The lock makes counting and opening one step.
        let _named = self.named.lock();
        let mut evicted = Vec::new();
        let anonymous = self.anonymous();
        let limit = limits.max_concurrent as usize;
        if anonymous.len() >= limit {
            let Some((id, session)) = reclaimable(&anonymous, limits) else {
                return Err(Error::TooManyContexts {
                    what: "max_concurrent",
                    limit,
                });
            };
            self.open.remove(id);
            session.close();
            self.evicted.reclaimed.fetch_add(1, Ordering::Relaxed);
            evicted.push(session);
        }
        let session = new_session(None, history, model);
        let id = self.open.insert(session.clone())?;
        Ok(Opened {
            id,
            session,
            evicted,
        })
    }

    /// Opens the named session, or attaches to it; `history` and `model` begin a new one. Errors: `TooManyContexts` at
    /// `max_sessions`.
    pub fn open_named(
        &self,
        limits: &BackendLimits,
        name: &[u8],
        history: History,
        model: Name,
    ) -> Result<Opened> {
        let mut named = self.named.lock();
        let mut evicted = Vec::new();
        if let Some(entry) = named.get_mut(name) {
            entry.session.touch();
            entry.session.presence.open();
            let id = match entry.open {
                Some(id) => id,
                None => self.open.insert(entry.session.clone())?,
            };
            entry.open = Some(id);
            return Ok(Opened {
                id,
                session: entry.session.clone(),
                evicted,
            });
        }
        let limit = limits.max_sessions as usize;
        while named.len() >= limit {
            let victim = match limits.auto_cleanup {
                true => least_recently_used(&named),
                false => None,
            };
            let Some(victim) = victim else {
                return Err(Error::TooManyContexts {
                    what: "max_sessions",
                    limit,
                });
            };
            self.evicted.limit.fetch_add(1, Ordering::Relaxed);
            evicted.extend(self.take_named(&mut named, &victim));
        }
        let session = new_session(Some(name.into()), history, model);
        let id = self.open.insert(session.clone())?;
        let entry = Named {
            session: session.clone(),
            open: Some(id),
        };
        named.insert(name.into(), entry);
        Ok(Opened {
            id,
            session,
            evicted,
        })
    }

    /// Whether there is a session called `name`.
    pub fn has_named(&self, name: &[u8]) -> bool {
        self.named.lock().contains_key(name)
    }

    /// Closes a context and cancels its turns. Gives the session if it ends with it, which a named one does not.
    pub fn close(&self, id: u32) -> Result<Option<Arc<Session>>> {
        let mut named = self.named.lock();
        let session = self
            .open
            .remove(ContextId(id))
            .ok_or(Error::UnknownContext(id))?;
        let entry = session.name.as_ref().and_then(|name| named.get_mut(name));
        match entry {
            Some(entry) => {
                entry.open = None;
                session.presence.detach();
                session.cancel();
                Ok(None)
            }
            None => {
                session.close();
                Ok(Some(session))
            }
        }
    }

    /// Ends every session, for a backend that is being closed.
    pub fn close_all(&self) {
        for listed in self.list() {
            listed.session.close();
        }
    }

    /// Every session, open or kept.
    pub fn list(&self) -> Vec<Listed> {
        let named = self.named.lock();
        let detached = named
            .values()
            .filter(|entry| entry.open.is_none())
            .map(|entry| Listed {
                context: None,
                session: entry.session.clone(),
            });
        let open = self.open.snapshot();
        let open = open.into_iter().map(|(id, session)| Listed {
            context: Some(id),
            session,
        });
        detached.chain(open).collect()
    }

    /// Counts of clean-up.
    pub fn evictions(&self) -> &Evictions {
        &self.evicted
    }

    /// Ends named sessions that have been idle for too long, and gives them.
    pub fn clean_up(&self, limits: &BackendLimits) -> Vec<Arc<Session>> {
        if !limits.auto_cleanup {
            return Vec::new();
        }
        let mut named = self.named.lock();
        let expired: Vec<Box<[u8]>> = named
            .iter()
            .filter(|(_, entry)| is_idle(&entry.session, limits.idle_timeout))
            .map(|(name, _)| name.clone())
            .collect();
        self.evicted
            .idle
            .fetch_add(expired.len() as u64, Ordering::Relaxed);
        expired
            .iter()
            .filter_map(|name| self.take_named(&mut named, name))
            .collect()
    }

    fn take_named(
        &self,
        named: &mut HashMap<Box<[u8]>, Named>,
        name: &[u8],
    ) -> Option<Arc<Session>> {
        let entry = named.remove(name)?;
        if let Some(id) = entry.open {
            self.open.remove(id);
        }
        entry.session.close();
        Some(entry.session)
    }

    fn anonymous(&self) -> Vec<(ContextId, Arc<Session>)> {
        let mut open = self.open.snapshot();
        open.retain(|(_, session)| session.name.is_none());
        open
    }
}

fn new_session(name: Option<Box<[u8]>>, history: History, model: Name) -> Arc<Session> {
    let id = SESSIONS.fetch_add(1, Ordering::Relaxed);
    Arc::new(Session::new(id, name, history, model))
}

fn is_idle(session: &Session, longer_than: Duration) -> bool {
    let activity = session.activity();
    !activity.busy && activity.idle > longer_than
}

/// The anonymous context that has been idle longest, if that is too long.
fn reclaimable(
    anonymous: &[(ContextId, Arc<Session>)],
    limits: &BackendLimits,
) -> Option<(ContextId, Arc<Session>)> {
    anonymous
        .iter()
        .filter(|(_, s)| limits.auto_cleanup && is_idle(s, limits.idle_timeout))
        .max_by_key(|(_, s)| s.activity().idle)
        .cloned()
}

/// The least recently used session without a turn, detached ones before open ones.
fn least_recently_used(named: &HashMap<Box<[u8]>, Named>) -> Option<Box<[u8]>> {
    named
        .iter()
        .filter(|(_, entry)| !entry.session.activity().busy)
        .max_by_key(|(_, entry)| (entry.open.is_none(), entry.session.activity().idle))
        .map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn limits(change: impl FnOnce(&mut BackendLimits)) -> BackendLimits {
        let (config, _) = Config::from_layers(&[]);
        let mut limits = config.backend;
        limits.max_concurrent = 2;
        limits.max_sessions = 3;
        change(&mut limits);
        limits
    }

    fn named(contexts: &Contexts, limits: &BackendLimits, name: &str) -> Result<u32> {
        contexts.clean_up(limits);
        let opened =
            contexts.open_named(limits, name.as_bytes(), History::new(None), "m".into())?;
        Ok(opened.id.0)
    }

    fn anonymous(contexts: &Contexts, limits: &BackendLimits) -> Result<u32> {
        Ok(contexts
            .open_anonymous(limits, History::new(None), "m".into())?
            .id
            .0)
    }

    #[test]
    fn the_context_past_the_limit_is_refused_until_one_is_closed() {
        let (contexts, limits) = (Contexts::new(), limits(|_| ()));
        let first = anonymous(&contexts, &limits).unwrap();
        anonymous(&contexts, &limits).unwrap();
        assert!(matches!(
            anonymous(&contexts, &limits),
            Err(Error::TooManyContexts { limit: 2, .. })
        ));
        contexts.close(first).unwrap();
        assert!(anonymous(&contexts, &limits).is_ok());
        assert_eq!(
            contexts.close(first).unwrap_err(),
            Error::UnknownContext(first)
        );
    }

    #[test]
    fn named_sessions_do_not_count_as_anonymous_and_keep_their_history() {
        let (contexts, limits) = (Contexts::new(), limits(|_| ()));
        let first = named(&contexts, &limits, "a").unwrap();
        assert_eq!(named(&contexts, &limits, "a"), Ok(first));
        let session = contexts.get(first).unwrap();
        assert!(contexts.close(first).unwrap().is_none());
        let again = named(&contexts, &limits, "a").unwrap();
        assert!(again > first);
        assert_eq!(contexts.get(again).unwrap().id, session.id);
        anonymous(&contexts, &limits).unwrap();
        anonymous(&contexts, &limits).unwrap();
    }

    #[test]
    fn the_least_recently_used_named_session_gives_way_detached_ones_first() {
        let (contexts, limits) = (Contexts::new(), limits(|_| ()));
        let open = named(&contexts, &limits, "open").unwrap();
        let detached = named(&contexts, &limits, "detached").unwrap();
        named(&contexts, &limits, "later").unwrap();
        contexts.close(detached).unwrap();
        let opened = contexts
            .open_named(&limits, b"new", History::new(None), "m".into())
            .unwrap();
        assert_eq!(opened.evicted[0].name.as_deref(), Some(&b"detached"[..]));
        assert!(contexts.get(open).is_ok());
        let opened = contexts
            .open_named(&limits, b"newer", History::new(None), "m".into())
            .unwrap();
        assert_eq!(opened.evicted[0].name.as_deref(), Some(&b"open"[..]));
        assert!(contexts.get(open).is_err());
    }

    #[test]
    fn without_clean_up_the_limit_refuses() {
        let (contexts, limits) = (Contexts::new(), limits(|l| l.auto_cleanup = false));
        for name in ["a", "b", "c"] {
            named(&contexts, &limits, name).unwrap();
        }
        assert!(matches!(
            named(&contexts, &limits, "d"),
            Err(Error::TooManyContexts { limit: 3, .. })
        ));
    }

    #[test]
    fn idle_sessions_go_when_another_is_opened_unless_a_turn_is_on_them() {
        let (contexts, limits) = (
            Contexts::new(),
            limits(|l| l.idle_timeout = Duration::from_millis(10)),
        );
        let idle = named(&contexts, &limits, "idle").unwrap();
        let busy = named(&contexts, &limits, "busy").unwrap();
        let session = contexts.get(busy).unwrap();
        let flag = Arc::default();
        let _turn = session.begin(&flag).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(contexts.get(idle).is_ok(), "never by a timer");
        named(&contexts, &limits, "new").unwrap();
        assert!(contexts.get(idle).is_err());
        assert!(contexts.get(busy).is_ok());
    }

    #[test]
    fn an_idle_anonymous_context_goes_only_when_the_limit_would_refuse() {
        let (contexts, limits) = (
            Contexts::new(),
            limits(|l| l.idle_timeout = Duration::from_millis(10)),
        );
        let first = anonymous(&contexts, &limits).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        anonymous(&contexts, &limits).unwrap();
        assert!(contexts.get(first).is_ok());
        anonymous(&contexts, &limits).unwrap();
        assert!(contexts.get(first).is_err());
    }
}
