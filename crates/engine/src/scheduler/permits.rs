//! How many turns of a model are accepted and not answered yet, whichever of its versions they are with.
//!
//! A version that is replaced hands turns back, and they begin again on the next one. They keep their permits on the way, so
//! that nobody else takes the places that are theirs, and what moves is counted once. Knows no job, no queue and no version.

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard};

/// The permits of one model's turns. Any thread.
#[derive(Debug)]
pub struct Permits(AtomicUsize);

/// One turn's permit; dropping it gives it back.
#[derive(Debug)]
struct Permit(Arc<Permits>);

/// What a turn has of a permit while it goes from version to version. Clones are the same one. Any thread.
#[derive(Debug, Clone)]
pub struct Pass(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    permit: Option<Permit>,
    has_run: bool,
    /// It was accepted, and no version has it.
    is_returned: bool,
    /// Somebody hands it in again as soon as it is handed back.
    is_attended: bool,
}

impl Permits {
    /// All of them free.
    pub fn new() -> Permits {
        Permits(AtomicUsize::new(0))
    }

    /// How many are held.
    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Adds one while fewer than `limit` are held. Errors: how many are.
    fn add(&self, limit: usize) -> Result<(), usize> {
        let one_more = |held: usize| (held < limit).then_some(held + 1);
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more)
            .map(|_| ())
    }
}

impl Pass {
    /// Without a permit.
    pub fn new() -> Pass {
        Pass(Arc::new(Mutex::new(State {
            permit: None,
            has_run: false,
            is_returned: false,
            is_attended: true,
        })))
    }

    /// Sees to it that the turn has one of `permits`, if it has one already or fewer than `limit` are held. Errors: how many
    /// are.
    pub fn obtain(&self, permits: &Arc<Permits>, limit: usize) -> Result<(), usize> {
        let mut state = self.lock();
        // A turn that was accepted stays so, with another model too.
        let is_accepted = state.is_returned || state.permit.is_some();
        let is_held = |permit: &Permit| Arc::ptr_eq(&permit.0, permits);
        if !state.permit.as_ref().is_some_and(is_held) {
            permits.add(if is_accepted { usize::MAX } else { limit })?;
            state.permit = Some(Permit(permits.clone()));
        }
        state.is_returned = false;
        Ok(())
    }

    /// Gives the permit back, if there is one.
    pub fn release(&self) {
        let permit = self.lock().permit.take();
        drop(permit);
    }

    /// The turn is handed back: it has a permit, however many are held, unless nobody attends to it. `has_run`: a step has
    /// worked for it.
    pub fn hand_back(&self, permits: &Arc<Permits>, has_run: bool) {
        // Without a limit none is refused.
        let _ = self.obtain(permits, usize::MAX);
        let mut state = self.lock();
        state.has_run |= has_run;
        state.is_returned = true;
        state.give_up_unattended();
    }

    /// Whether somebody hands the turn in again as soon as it is handed back. One that nobody attends to keeps no permit
    /// from others meanwhile; it is let in beyond the limit when its reader comes.
    pub fn attend(&self, is_attended: bool) {
        let mut state = self.lock();
        state.is_attended = is_attended;
        state.give_up_unattended();
    }

    /// Whether a step had worked for the turn when it was handed back last. True once for each time.
    pub fn take_run(&self) -> bool {
        std::mem::take(&mut self.lock().has_run)
    }

    /// Every critical section leaves the state valid wherever it may unwind.
    fn lock(&self) -> MutexGuard<'_, State> {
        match self.0.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

impl State {
    fn give_up_unattended(&mut self) {
        if self.is_returned && !self.is_attended {
            self.permit = None;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
