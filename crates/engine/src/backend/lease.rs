//! The right to use a model for one turn, with the wait for one that is on its way and the way back of one that sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Backend;
use super::load::{How, Request};
use super::serving::{GraphId, Serving};
use super::version::Sleeper;
use crate::chat::Session;
use crate::error::{Error, Result};
use crate::models::{Found, Name, Unserved};
use crate::scheduler::Pass;

/// How often a wait for a load checks its deadline and its cancellation.
const LOOK: Duration = Duration::from_millis(20);

/// The right to use a version for one turn. While somebody has it, the version is not put to sleep.
pub struct Lease(Arc<Serving>);

/// How a wait for a version is bounded.
pub struct Patience<'a> {
    /// When it ends.
    pub deadline: Instant,
    /// Ends it when set.
    pub cancelled: &'a AtomicBool,
    /// The turn's permit, without which it does not wait for a version; `None` where what waits is no turn.
    pub pass: Option<&'a Pass>,
}

impl Patience<'_> {
    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }
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
            Err(Error::Timeout(_)) => totals.came_late(),
            Err(Error::Cancelled) => totals.given_up(),
            _ => {}
        }
        found
    }

    /// A lease on `model` for a call that is no turn. Errors: as for `lease`.
    pub(super) fn short_lease(&self, model: &Name) -> Result<Lease> {
        let patience = Patience {
            deadline: Instant::now() + self.settings().config.backend.default_task_timeout,
            cancelled: &AtomicBool::new(false),
            pass: None,
        };
        match self.lease_of(model, &patience) {
            // Nobody else cancels it.
            Err(Error::Cancelled) => Err(Error::Closing),
            found => found,
        }
    }

    fn lease_of(&self, model: &Name, patience: &Patience<'_>) -> Result<Lease> {
        let begun = Instant::now();
        let most = self.settings().config.backend.queue_reject_threshold as usize;
        let joins = |sleeper: &Sleeper| match patience.pass {
            Some(pass) => pass.obtain(&sleeper.version.permits, most),
            None => Ok(()),
        };
        // Some of those that hold permits may run to their end on the version before, and do not wait.
        let full = |held: usize| Error::QueueFull {
            waiting: held.min(most),
            limit: most,
        };
        let late = || {
            Error::Timeout(format!(
                "waited for the next version of the model for {} ms",
                begun.elapsed().as_millis()
            ))
        };
        let gives_up = || patience.is_cancelled() || self.closing.load(Ordering::Relaxed);
        loop {
            if gives_up() {
                return Err(Error::Cancelled);
            }
            if patience.is_late() {
                return Err(late());
            }
            let registry = &self.fleet.registry;
            match registry.wait(model, &joins, patience.deadline, &gives_up) {
                Ok(Found::Serving(serving)) => return Ok(Lease::new(serving)),
                Ok(Found::Asleep(sleeper)) => {
                    sleeper.check(begun)?;
                    joins(&sleeper).map_err(full)?;
                    self.wake(model, begun, patience)?;
                }
                Ok(Found::Absent | Found::Away(_)) => return Err(Error::NoModel),
                Err(Unserved::GivenUp) => return Err(Error::Cancelled),
                Err(Unserved::Full(waiting)) => return Err(full(waiting)),
                Err(Unserved::Late) => return Err(late()),
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

    /// Lets a model come back that was unloaded to make room, and waits for that as long as `patience` lets. Ok: look
    /// again. Errors: those of the load, also of another attempt that ended after `since`.
    fn wake(&self, model: &Name, since: Instant, patience: &Patience<'_>) -> Result<()> {
        let request = Request {
            model: model.clone(),
            graph: None,
            how: How::Wake { since },
        };
        let Some(backend) = self.shared() else {
            // Nobody could keep the backend for a load that goes on without this turn.
            let is_over = || patience.is_cancelled() || patience.is_late();
            return settled(self.load(request, None, &is_over), is_over());
        };
        let job = backend.begin_wake(request)?;
        let waiter = job.join();
        loop {
            if let Some(result) = job.ended_by(patience.deadline.min(Instant::now() + LOOK)) {
                return settled(result, job.is_cancelled());
            }
            if patience.is_late() {
                // It goes on: the next turn has it.
                return Ok(());
            }
            if patience.is_cancelled() || self.closing.load(Ordering::Relaxed) {
                if waiter.leave() == 0 {
                    job.cancel();
                    self.fleet.registry.wake();
                }
                return Ok(());
            }
        }
    }
}

/// What the end of a wake means to who waited for it. `is_over`: nobody wanted it any more.
fn settled(result: Result<GraphId>, is_over: bool) -> Result<()> {
    match result {
        // Somebody unloaded it meanwhile: the next look says so.
        Ok(_) | Err(Error::NoModel) => Ok(()),
        Err(_) if is_over => Ok(()),
        Err(error) => Err(error),
    }
}
