//! The cores that the models of a backend share: a step computes with a permit for as many as it has threads.
//!
//! Without it, two models with a thread for each core wait in each other's barriers. `turns` (pure) says who is next;
//! here are the lock, the waiting and the clock. Locks come from `crate::sync`, so that the interleavings are tested.

mod turns;

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use self::turns::{Id, Start, Turns};
use super::failpoint::{self, Point};
use super::shield::attempt;
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};

pub use self::turns::Ask;

/// How often one who waits looks whether anybody still wants its step.
const LOOK: Duration = Duration::from_millis(20);

/// Time since an arbitrary moment.
pub type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// The cores of a backend. Any thread.
pub struct Cores {
    turns: Mutex<Turns>,
    /// Told after whatever may let one who waits begin.
    changed: Condvar,
    /// Readable without the lock.
    rounds: AtomicU32,
    /// How many there are.
    all: u32,
    /// Those that work beside steps takes.
    guests: AtomicU32,
    clock: Clock,
}

/// A core for work beside the steps, such as a load; given back when it is dropped.
///
/// A thread that computes beside as many as there are cores takes one of them away from a step whose other threads then
/// spin in their barriers: steps have a thread less instead.
#[must_use]
pub struct Guest(Arc<Cores>);

/// A model's part in them, held by its engine thread; gone when it is dropped.
pub struct Member {
    cores: Arc<Cores>,
    id: Id,
    /// A permit of it could not be given back as it should.
    is_broken: AtomicBool,
}

/// Cores for one step, given back when it is dropped, whatever ends the step.
#[must_use]
pub struct Permit<'a> {
    member: &'a Member,
    /// How long it was waited for.
    pub waited: Duration,
}

impl Cores {
    /// So many cores, timed by the machine's clock.
    pub fn new(cores: u32) -> Arc<Cores> {
        let origin = Instant::now();
        Cores::with_clock(cores, Box::new(move || origin.elapsed()))
    }

    /// So many cores, timed by `clock`.
    pub fn with_clock(cores: u32, clock: Clock) -> Arc<Cores> {
        Arc::new(Cores {
            turns: Mutex::new(Turns::new(cores)),
            changed: Condvar::new(),
            rounds: AtomicU32::new(1),
            all: cores.max(1),
            guests: AtomicU32::new(0),
            clock,
        })
    }

    /// A core for work beside the steps, from their next ones on. Does not wait.
    pub fn guest(self: &Arc<Self>) -> Guest {
        self.guests.fetch_add(1, Ordering::Relaxed);
        Guest(self.clone())
    }

    /// Cores that steps may compute on: at least one.
    fn left(&self) -> u32 {
        let guests = self.guests.load(Ordering::Relaxed);
        self.all.saturating_sub(guests).max(1)
    }

    /// Cores that no step computes on.
    #[cfg(test)]
    pub fn free(&self) -> u32 {
        self.lock().free()
    }

    /// Core-seconds of each model, in the order in which they joined.
    #[cfg(test)]
    pub fn spent(&self) -> Vec<f64> {
        self.lock().spent()
    }

    /// A panic leaves the turns valid: each of their changes is one assignment.
    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.guests.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Member {
    /// Threads that a step should have at most; `None` where nothing but steps needs cores. Does not wait.
    pub fn most(&self) -> Option<u32> {
        let left = self.cores.left();
        (left < self.cores.all).then_some(left)
    }

    /// One model more that shares `cores`.
    pub fn join(cores: &Arc<Cores>) -> Member {
        Member {
            id: cores.lock().join(),
            cores: cores.clone(),
            is_broken: AtomicBool::new(false),
        }
    }

    /// Waits for cores. `None`: nobody wants the step any more, `stop` says.
    pub fn take(&self, ask: Ask, stop: &dyn Fn() -> bool) -> Option<Permit<'_>> {
        let asked = (self.cores.clock)();
        let mut turns = self.cores.lock();
        turns.ask(self.id, ask, asked);
        // Others may have waited for this model to come back.
        self.tell(&turns);
        let mut now = asked;
        loop {
            let until = match turns.start(self.id, now) {
                Start::Now => {
                    // The next one may fit beside it.
                    self.tell(&turns);
                    return Some(Permit {
                        member: self,
                        waited: now.saturating_sub(asked),
                    });
                }
                Start::Later(until) => until,
            };
            if stop() {
                turns.withdraw(self.id, now);
                self.tell(&turns);
                return None;
            }
            let left = until.map_or(LOOK, |until| until.saturating_sub(now).min(LOOK));
            turns = match self.cores.changed.wait_timeout(turns, left) {
                Ok((turns, _)) => turns,
                Err(poisoned) => poisoned.into_inner().0,
            };
            now = (self.cores.clock)();
        }
    }

    /// Whether what it has of the cores is unknown: it must leave and join again.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    /// The model has no turns: nobody waits for it, and it gets no credit for its silence.
    pub fn rest(&self) {
        let mut turns = self.cores.lock();
        turns.rest(self.id);
        self.tell(&turns);
    }

    /// Whether another model has turns.
    pub fn has_others(&self) -> bool {
        self.cores.lock().has_others(self.id)
    }

    /// How many steps, one after the other, every active model needs for one of its own. Does not wait.
    pub fn rounds(&self) -> u32 {
        self.cores.rounds.load(Ordering::Relaxed)
    }

    fn tell(&self, turns: &Turns) {
        self.cores.rounds.store(turns.rounds(), Ordering::Relaxed);
        if turns.others_wait(self.id) {
            self.cores.changed.notify_all();
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let is_back = attempt("giving cores back", || {
            failpoint::hit(Point::GiveBack);
            let now = (self.member.cores.clock)();
            let mut turns = self.member.cores.lock();
            turns.end(self.member.id, now);
            self.member.tell(&turns);
        });
        if !is_back {
            self.member.is_broken.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        attempt("leaving the cores", || {
            let mut turns = self.cores.lock();
            turns.leave(self.id);
            self.tell(&turns);
            // Who waited for its next step need not any more.
            self.cores.changed.notify_all();
        });
    }
}
