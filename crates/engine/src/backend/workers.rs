//! Threads with a stack of our own size, for work that a host's thread may be too small for.
//!
//! Templates, tokenisation and grammars run here; waiting for the engine does not, so a few threads serve any number
//! of callers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::logging::{self, Journal};

/// Bytes of stack per thread.
pub const STACK: usize = 8 << 20;

/// Most threads; the work is short.
const MOST: usize = 4;

type Task = Box<dyn FnOnce() + Send>;

/// A few threads that are started by the first task.
pub struct Workers {
    journal: Arc<Journal>,
    state: Mutex<Option<Running>>,
}

struct Running {
    tasks: Sender<Task>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// No threads yet. Their log lines go to `journal`.
    pub fn new(journal: Arc<Journal>) -> Workers {
        Workers {
            journal,
            state: Mutex::new(None),
        }
    }

    /// Runs `work` on a worker and waits for its result. Errors: `Internal` when it panicked, `Engine` when the system
    /// has no thread for us.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, result) = bounded(1);
        let task: Task = Box::new(move || {
            let outcome =
                catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)));
            // The caller waits for exactly this.
            drop(reply.send(outcome));
        });
        let ended = || Error::Closing;
        self.tasks()?.send(task).map_err(|_| ended())?;
        result.recv().map_err(|_| ended())?
    }

    /// Ends the threads; nobody may be waiting for a result.
    pub fn close(&self) {
        let Some(running) = self.state.lock().take() else {
            return;
        };
        drop(running.tasks);
        for thread in running.threads {
            // A worker catches the panics of its tasks.
            drop(thread.join());
        }
    }

    fn tasks(&self) -> Result<Sender<Task>> {
        let mut state = self.state.lock();
        if state.is_none() {
            *state = Some(self.start()?);
        }
        let running = state.as_ref().expect("just started");
        Ok(running.tasks.clone())
    }

    fn start(&self) -> Result<Running> {
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let (tasks, inbox) = bounded::<Task>(MOST);
        let threads = (0..cores.min(MOST))
            .map(|_| spawn("wasi-nn-worker", &self.journal, worker(inbox.clone())))
            .collect::<Result<_>>()?;
        Ok(Running { tasks, threads })
    }
}

fn worker(inbox: Receiver<Task>) -> impl FnOnce() + Send {
    move || {
        for task in inbox {
            task();
        }
    }
}

/// Runs `work` on a thread of its own with our stack and waits for it: for the few calls that may come before the first
/// load, when no worker may exist. Errors: `Internal` when it panicked, `Engine` when the system has no thread for us.
pub fn apart<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("wasi-nn-apart".into())
            .stack_size(STACK)
            .spawn_scoped(scope, work)
            .map_err(|e| Error::Engine(format!("no thread to read a configuration: {e}")))?
            .join()
            .unwrap_or_else(|panic| Err(panicked(&*panic)))
    })
}

/// Starts a thread with our stack whose log lines go to `journal`.
pub fn spawn(
    name: &str,
    journal: &Arc<Journal>,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>> {
    let journal = journal.clone();
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(STACK)
        .spawn(move || {
            let _entered = logging::enter(&journal);
            work();
        })
        .map_err(|e| Error::Engine(format!("no thread for {name}: {e}")))
}

/// A caught panic as an error.
pub fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    Error::Internal(text.unwrap_or_else(|| "panic".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn workers() -> Workers {
        let (config, _) = Config::from_layers(&[]);
        Workers::new(Arc::new(Journal::open(&config.logging, None).0))
    }

    #[test]
    fn a_task_that_panics_is_an_error_and_the_next_one_runs() {
        let workers = workers();
        let failed = workers.run::<()>(|| panic!("lost {}", 7));
        assert_eq!(failed, Err(Error::Internal("lost 7".into())));
        assert_eq!(workers.run(|| Ok(1)), Ok(1));
        workers.close();
    }

    #[test]
    fn many_callers_are_all_answered() {
        let workers = workers();
        std::thread::scope(|scope| {
            for n in 0..64 {
                let workers = &workers;
                scope.spawn(move || assert_eq!(workers.run(move || Ok(n)), Ok(n)));
            }
        });
        workers.close();
    }
}
