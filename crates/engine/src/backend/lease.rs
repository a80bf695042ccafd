//! The right to use a model for one turn, with the wait for one that is on its way and the way back of one that sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::Backend;
use super::load::{How, Request};
use super::serving::Serving;
use super::version::Sleeper;
use crate::chat::Session;
use crate::error::{Error, Result};
use crate::models::{Found, Name, Unserved};

impl Backend {
    /// A lease on the model of a session, for a turn that gives up at `deadline` or when `cancelled` is set.
    ///
    /// Errors: `NoModel`; `Timeout`, `Cancelled` and `QueueFull` from the wait for a version that is on its way; `Load`
    /// from the way back of one that slept.
    pub(super) fn lease(
        &self,
        session: &Session,
        deadline: Instant,
        cancelled: &AtomicBool,
    ) -> Result<Arc<Serving>> {
        self.lease_of(&session.model(), deadline, cancelled)
    }

    fn lease_of(
        &self,
        model: &Name,
        deadline: Instant,
        cancelled: &AtomicBool,
    ) -> Result<Arc<Serving>> {
        let begun = Instant::now();
        let most = self.settings().config.backend.queue_reject_threshold as usize;
        let gives_up = || cancelled.load(Ordering::Relaxed) || self.closing.load(Ordering::Relaxed);
        loop {
            let found = self.fleet.registry.wait(model, most, deadline, &gives_up);
            match found {
                Ok(Found::Serving(serving)) => return Ok(serving),
                Ok(Found::Asleep(sleeper)) => self.wake(model, &sleeper, begun)?,
                Ok(Found::Absent | Found::Away) => return Err(Error::NoModel),
                Err(Unserved::GivenUp) => return Err(Error::Cancelled),
                Err(Unserved::Full(waiting)) => {
                    self.totals.rejected.count();
                    return Err(Error::QueueFull {
                        waiting,
                        limit: most,
                    });
                }
                Err(Unserved::Late) => {
                    self.totals.expired.count();
                    return Err(Error::Timeout(format!(
                        "waited for the next version of the model for {} ms",
                        begun.elapsed().as_millis()
                    )));
                }
            }
        }
    }

    /// A lease on the model of a session for a short call that is no turn. Errors: as for `lease`.
    pub(super) fn short_lease(&self, session: &Session) -> Result<Arc<Serving>> {
        self.short_lease_of(&session.model())
    }

    /// A lease on `model` for a short call that is no turn. Errors: as for `lease`.
    pub(super) fn short_lease_of(&self, model: &Name) -> Result<Arc<Serving>> {
        let deadline = Instant::now() + self.settings().config.backend.default_task_timeout;
        self.lease_of(model, deadline, &AtomicBool::new(false))
    }

    /// Errors: `NoModel` where a turn of the session would find none.
    pub(super) fn check_model(&self, session: &Session) -> Result<()> {
        match self.fleet.registry.find(&session.model()) {
            Found::Absent => Err(Error::NoModel),
            _ => Ok(()),
        }
    }

    /// Brings back a model that was unloaded to make room. Errors: `Load`, also where an attempt that began after `since`
    /// failed.
    fn wake(&self, model: &Name, sleeper: &Sleeper, since: Instant) -> Result<()> {
        sleeper.check(since)?;
        let request = Request {
            model: model.clone(),
            how: How::Wake,
        };
        match self.load(request, None) {
            Ok(_) => Ok(()),
            // Somebody unloaded it meanwhile; the registry says so.
            Err(Error::NoModel) => Ok(()),
            Err(error) => {
                let mut failed = sleeper.failed.lock();
                // Who waited for the same attempt finds the first one's failure.
                if failed.as_ref().is_none_or(|(at, _)| *at < since) {
                    *failed = Some((Instant::now(), error.clone()));
                }
                Err(error)
            }
        }
    }
}
