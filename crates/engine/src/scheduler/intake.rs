//! The way into an engine thread: what callers tell it, and which jobs are unanswered.
//!
//! One lock covers both and the end of the thread, so that every job that was let in is either taken by the thread or
//! handed to whoever closes. Generic over the command; knows no queue and no channel for answers.

use std::time::{Duration, Instant};

use super::permits::{Pass, Permits};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};

/// The shared side. Any thread submits; one thread takes.
pub struct Intake<C> {
    state: Mutex<State<C>>,
    arrived: Condvar,
    /// Places given and not returned. Rises under the lock only.
    unanswered: Arc<AtomicUsize>,
    /// Those of the model, which the thread is one version of.
    permits: Arc<Permits>,
}

struct State<C> {
    commands: Vec<C>,
    phase: Phase,
}

/// How far the thread's life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Jobs come in.
    Open,
    /// No caller is left: what was let in is still done.
    Left,
    /// Told to stop: what was let in is answered at once.
    Stopping,
    /// The thread has ended.
    Closed,
}

/// How long to wait for a command.
#[derive(Debug, Clone, Copy)]
pub enum Wait {
    /// Not at all.
    No,
    /// Until this moment at most.
    Until(Instant),
    /// Until there is one, or the phase changes.
    Forever,
}

/// Why nothing was let in.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// So many turns of the model are unanswered.
    Full(usize),
    /// The thread is ending or has ended.
    Closed,
}

/// A place among the unanswered jobs. Dropping it gives it back, and the turn's permit with it.
pub struct Place {
    unanswered: Arc<AtomicUsize>,
    permits: Arc<Permits>,
    pass: Pass,
    keeps_permit: bool,
}

impl<C> Intake<C> {
    /// Open and empty. `permits` are those of the model's turns.
    pub fn new(permits: Arc<Permits>) -> Intake<C> {
        Intake {
            state: Mutex::new(State {
                commands: Vec::new(),
                phase: Phase::Open,
            }),
            arrived: Condvar::new(),
            unanswered: Arc::new(AtomicUsize::new(0)),
            permits,
        }
    }

    /// Lets a job in whose turn has a permit, or gets one because fewer than `limit` are held. `command` runs under the
    /// lock. A refusal leaves the turn's permit as it was.
    pub fn submit(
        &self,
        limit: usize,
        pass: &Pass,
        command: impl FnOnce(Place) -> C,
    ) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return Err(Refusal::Closed);
        }
        pass.obtain(&self.permits, limit).map_err(Refusal::Full)?;
        self.unanswered.fetch_add(1, Ordering::SeqCst);
        state.commands.push(command(Place {
            unanswered: self.unanswered.clone(),
            permits: self.permits.clone(),
            pass: pass.clone(),
            keeps_permit: false,
        }));
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// Jobs that were let in and are not answered.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }

    /// Passes on a command that is no job. Lost when the thread has ended.
    pub fn tell(&self, command: C) {
        let mut state = self.lock();
        if state.phase != Phase::Closed {
            state.commands.push(command);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// The last caller leaves.
    pub fn leave(&self) {
        self.advance(Phase::Left);
    }

    /// As `leave`, after one more command: nothing is let in behind it.
    pub fn leave_with(&self, command: C) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Left;
        }
        if state.phase != Phase::Closed {
            state.commands.push(command);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Tells the thread to answer everything and end.
    pub fn stop(&self) {
        self.advance(Phase::Stopping);
    }

    /// Takes what has come in, after waiting for it, and says how far the thread's life is.
    pub fn take(&self, wait: Wait) -> (Vec<C>, Phase) {
        let mut state = self.lock();
        loop {
            let is_due = !state.commands.is_empty() || state.phase != Phase::Open;
            let left = match wait {
                Wait::No => Some(Duration::ZERO),
                Wait::Until(end) => Some(end.saturating_duration_since(Instant::now())),
                Wait::Forever => None,
            };
            state = match left {
                _ if is_due => break,
                Some(Duration::ZERO) => break,
                Some(left) => match self.arrived.wait_timeout(state, left) {
                    Ok((state, _)) => state,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => match self.arrived.wait(state) {
                    Ok(state) => state,
                    Err(poisoned) => poisoned.into_inner(),
                },
            };
        }
        (std::mem::take(&mut state.commands), state.phase)
    }

    /// Lets nothing in any more and returns what was not taken.
    pub fn close(&self) -> Vec<C> {
        let mut state = self.lock();
        state.phase = Phase::Closed;
        std::mem::take(&mut state.commands)
    }

    /// Every critical section leaves the state valid wherever it may unwind.
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    fn advance(&self, to: Phase) {
        let mut state = self.lock();
        if state.phase == Phase::Open || to == Phase::Stopping && state.phase == Phase::Left {
            state.phase = to;
        }
        drop(state);
        self.arrived.notify_one();
    }
}

impl Place {
    /// Gives the place back and leaves the permit with the turn, which begins again on another version. `has_run`: a step
    /// has worked for it.
    pub fn hand_back(mut self, has_run: bool) {
        self.pass.hand_back(&self.permits, has_run);
        self.keeps_permit = true;
    }

    /// Gives the permit back before the answer: the turn stays with a version that takes no others, and nobody waits behind
    /// it.
    pub fn step_aside(&self) {
        self.pass.release();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.keeps_permit {
            self.pass.release();
        }
        self.unanswered.fetch_sub(1, Ordering::SeqCst);
    }
}
