//! Who is inside a backend, so that closing it can wait until all have left.

use parking_lot::{Condvar, Mutex};

use crate::error::{Error, Result};

/// Counts calls; once closed, admits none. Any thread.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    closed: bool,
}

/// A call that is inside; dropping it leaves.
#[derive(Debug)]
pub struct Inside<'a>(&'a Gate);

impl Gate {
    /// Enters. Errors: `Closing` once the gate is closed.
    pub fn enter(&self) -> Result<Inside<'_>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::Closing);
        }
        state.inside += 1;
        Ok(Inside(self))
    }

    /// Lets nobody in from now on. False: it was closed already.
    pub fn close(&self) -> bool {
        !std::mem::replace(&mut self.state.lock().closed, true)
    }

    /// Waits until everybody has left.
    pub fn wait_empty(&self) {
        let mut state = self.state.lock();
        while state.inside > 0 {
            self.left.wait(&mut state);
        }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.inside -= 1;
        if state.inside == 0 {
            self.0.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_gate_waits_for_those_inside_and_admits_no_other() {
        let gate = Gate::default();
        let inside = gate.enter().unwrap();
        assert!(gate.close());
        assert!(!gate.close());
        assert_eq!(gate.enter().unwrap_err(), Error::Closing);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| gate.wait_empty());
            drop(inside);
            waiter.join().unwrap();
        });
    }
}
