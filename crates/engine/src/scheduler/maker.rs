//! The context of deterministic turns, made on a thread of its own when the first of them comes.
//!
//! It takes as long as its memory takes to be had and cleared, and the steps of running turns do not wait for that.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::engine::Spawn;
use super::shield::{attempt, shielded};
use crate::error::{Error, Result};
use crate::llama::Context;

/// Makes another context of the model for one sequence at a time. Any thread.
pub type Spare = Arc<dyn Fn() -> Result<Context> + Send + Sync>;

/// Makes contexts.
pub(super) struct Maker {
    spare: Spare,
    spawn: Spawn,
    /// Called once there is something to be had.
    wake: Arc<dyn Fn() + Send + Sync>,
    making: Option<Making>,
}

/// One that is being made.
struct Making {
    made: Receiver<Result<Context>>,
    thread: JoinHandle<()>,
}

impl Maker {
    /// Makes none yet.
    pub(super) fn new(spare: Spare, spawn: Spawn, wake: Arc<dyn Fn() + Send + Sync>) -> Maker {
        Maker {
            spare,
            spawn,
            wake,
            making: None,
        }
    }

    /// Whether one is being made.
    pub(super) fn is_busy(&self) -> bool {
        self.making.is_some()
    }

    /// The context, once it is made; asking begins that. Does not wait. Errors: what came of it; asking again begins
    /// another one.
    pub(super) fn ask(&mut self) -> Result<Option<Context>> {
        let Some(making) = &self.making else {
            self.making = Some(self.begin()?);
            return Ok(None);
        };
        let made = match making.made.try_recv() {
            Err(TryRecvError::Empty) => return Ok(None),
            Ok(made) => made,
            Err(TryRecvError::Disconnected) => {
                Err(Error::Internal("the thread of a context ended".into()))
            }
        };
        self.end();
        made.map(Some)
    }

    fn begin(&self) -> Result<Making> {
        let (sender, made) = bounded(1);
        let (spare, wake) = (self.spare.clone(), self.wake.clone());
        let thread = (self.spawn)(Box::new(move || {
            let made = shielded(&*spare).unwrap_or_else(|panic| Err(Error::Internal(panic)));
            // Who does not wait any more does not want it.
            drop(sender.send(made));
            wake();
        }))?;
        Ok(Making { made, thread })
    }

    /// Waits for the thread, which has nothing more to do or is about to.
    fn end(&mut self) {
        if let Some(making) = self.making.take() {
            // Its panics were caught.
            drop(making.thread.join());
        }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        attempt("the end of a context's thread", || self.end());
    }
}
