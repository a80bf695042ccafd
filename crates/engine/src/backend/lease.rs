//! The right to use a model for one turn, with the wait for one that is on its way and the way back of one that sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::Backend;
use super::load::{How, Request};
use super::serving::Serving;
use crate::chat::Session;
use crate::error::{Error, Result};
use crate::models::{Found, Name, Unserved};

/// The right to use a version for one turn. While somebody has it, the version is not put to sleep.
pub struct Lease(Arc<Serving>);

/// How a wait for a version is bounded.
pub struct Patience<'a> {
    /// When it ends.
    pub deadline: Instant,
    /// Ends it when set.
    pub cancelled: &'a AtomicBool,
    /// The turn was accepted before: it is not refused for want of a place to wait.
    pub is_accepted: bool,
}

impl Lease {
    fn new(serving: Arc<Serving>) -> Lease {
        serving.users.fetch_add(1, Ordering::Relaxed);
        Lease(serving)
    }

    /// The version.
    pub fn serving(&self) -> &Arc<Serving> {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Backend {
    /// A lease on the model of a session, for a turn.
    ///
    /// Errors: `NoModel`; `Timeout`, `Cancelled` and `QueueFull` from the wait for a version that is on its way; `Load`
    /// from the way back of one that slept.
    pub(super) fn lease(&self, session: &Session, patience: &Patience<'_>) -> Result<Lease> {
        let found = self.lease_of(&session.model(), patience);
        // It ends before an engine thread could count it.
        let totals = &self.totals;
        match &found {
            Err(Error::QueueFull { .. }) => totals.rejected.count(),
            Err(Error::Timeout(_)) => {
                totals.queued.count();
                totals.expired.count();
            }
            Err(Error::Cancelled) => {
                totals.queued.count();
                totals.cancelled.count();
            }
            _ => {}
        }
        found
    }

    /// A lease on `model` for a call that is no turn. Errors: as for `lease`.
    pub(super) fn short_lease(&self, model: &Name) -> Result<Lease> {
        let patience = Patience {
            deadline: Instant::now() + self.settings().config.backend.default_task_timeout,
            cancelled: &AtomicBool::new(false),
            is_accepted: true,
        };
        match self.lease_of(model, &patience) {
            // Nobody else cancels it.
            Err(Error::Cancelled) => Err(Error::Closing),
            found => found,
        }
    }

    fn lease_of(&self, model: &Name, patience: &Patience<'_>) -> Result<Lease> {
        let begun = Instant::now();
        let most = match patience.is_accepted {
            true => usize::MAX,
            false => self.settings().config.backend.queue_reject_threshold as usize,
        };
        let gives_up =
            || patience.cancelled.load(Ordering::Relaxed) || self.closing.load(Ordering::Relaxed);
        loop {
            if gives_up() {
                return Err(Error::Cancelled);
            }
            let registry = &self.fleet.registry;
            match registry.wait(model, most, patience.deadline, &gives_up) {
                Ok(Found::Serving(serving)) => return Ok(Lease::new(serving)),
                Ok(Found::Asleep(sleeper)) => {
                    sleeper.check(begun)?;
                    self.wake(model, begun, patience.cancelled)?;
                }
                Ok(Found::Absent | Found::Away(_)) => return Err(Error::NoModel),
                Err(Unserved::GivenUp) => return Err(Error::Cancelled),
                Err(Unserved::Full(waiting)) => {
                    return Err(Error::QueueFull {
                        waiting,
                        limit: most,
                    });
                }
                Err(Unserved::Late) => {
                    return Err(Error::Timeout(format!(
                        "waited for the next version of the model for {} ms",
                        begun.elapsed().as_millis()
                    )));
                }
            }
        }
    }

    /// Errors: `NoModel` where a turn of the session would find none.
    pub(super) fn check_model(&self, session: &Session) -> Result<()> {
        match self.fleet.registry.find(&session.model()) {
            Found::Absent => Err(Error::NoModel),
            _ => Ok(()),
        }
    }

    /// Brings back a model that was unloaded to make room, unless somebody else does. Errors: `Load`, also that of another
    /// attempt that ended after `since`.
    fn wake(&self, model: &Name, since: Instant, cancelled: &AtomicBool) -> Result<()> {
        let request = Request {
            model: model.clone(),
            graph: None,
            how: How::Wake { since },
        };
        let mut go_on = |_: f32| !cancelled.load(Ordering::Relaxed);
        match self.load(request, Some(&mut go_on)) {
            Ok(_) => Ok(()),
            // Somebody unloaded it meanwhile, or this turn is over: the next look says so.
            Err(Error::NoModel) => Ok(()),
            Err(_) if cancelled.load(Ordering::Relaxed) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
