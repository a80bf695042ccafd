//! ggml's own threadpool: how many threads compute, and how they wait.
//!
//! One pool serves decoding and prefill. Its workers wait on a condition after a short poll, so that a busy machine
//! slows down in proportion instead of collapsing. Knows no context.

use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};

/// `GGML_MAX_N_THREADS`: the size of the arrays in a threadpool.
const THREADS_LIMIT: u32 = 512;
/// One unit is 131,072 rounds of spinning; beyond 100 ggml does not look.
const POLL_LIMIT: u32 = 100;

/// How many threads compute, the calling one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadCounts {
    /// For a step of one token.
    pub(crate) decode: u32,
    /// For a step of several tokens.
    pub(crate) batch: u32,
}

impl ThreadCounts {
    pub(super) fn check(self) -> Result<()> {
        for (name, count) in [("threads", self.decode), ("threads_batch", self.batch)] {
            if !(1..=THREADS_LIMIT).contains(&count) {
                return Err(Error::InvalidArgument(format!(
                    "{name} is {count}, must be between 1 and {THREADS_LIMIT}"
                )));
            }
        }
        Ok(())
    }
}

/// A pool of compute threads; its owner frees the context that uses it first.
#[derive(Debug)]
pub(super) struct Pool {
    raw: NonNull<sys::ggml_threadpool>,
    size: u32,
}

// SAFETY: the pool's functions lock inside; no thread-local state belongs to it.
unsafe impl Send for Pool {}

impl Pool {
    /// Starts `counts`' larger number of threads, less the calling one. `poll` is 0 to 100.
    ///
    /// Errors: `InvalidArgument` for numbers out of range; `Load` where the system gives no more threads.
    pub(super) fn new(counts: ThreadCounts, poll: u32) -> Result<Pool> {
        counts.check()?;
        if poll > POLL_LIMIT {
            return Err(Error::InvalidArgument(format!(
                "poll is {poll}, must be at most {POLL_LIMIT}"
            )));
        }
        let size = counts.decode.max(counts.batch);
        rehearse(size - 1)?;
        let count = i32::try_from(size).unwrap_or(1);
        // SAFETY: returns a struct by value.
        let mut params = unsafe { sys::ggml_threadpool_params_default(count) };
        params.poll = poll;
        // SAFETY: the parameters live through the call, which copies them.
        let raw = unsafe { sys::ggml_threadpool_new(&mut params) };
        let raw = NonNull::new(raw)
            .ok_or_else(|| Error::Load(format!("no threadpool of {size} threads")))?;
        Ok(Pool { raw, size })
    }

    /// The threads in the pool, the calling one included.
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    pub(super) fn as_ptr(&self) -> *mut sys::ggml_threadpool {
        self.raw.as_ptr()
    }

    /// Puts the workers to sleep until `resume`, or until the next step, which wakes them by itself.
    pub(super) fn pause(&self) {
        // SAFETY: the pool is valid; no step runs, because the context's methods need `&mut`.
        unsafe { sys::ggml_threadpool_pause(self.as_ptr()) }
    }

    pub(super) fn resume(&self) {
        // SAFETY: as above.
        unsafe { sys::ggml_threadpool_resume(self.as_ptr()) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: `self` owns the pool and its context is gone; joins the workers.
        unsafe { sys::ggml_threadpool_free(self.as_ptr()) }
    }
}

/// Starts and ends `count` threads at once: ggml asserts that each of its own can be started.
fn rehearse(count: u32) -> Result<()> {
    let barrier = std::sync::Mutex::new(());
    let held = barrier.lock();
    std::thread::scope(|scope| {
        let started = (0..count).try_for_each(|_| {
            std::thread::Builder::new()
                .spawn_scoped(scope, || drop(barrier.lock()))
                .map(drop)
        });
        drop(held);
        started
    })
    .map_err(|e| Error::Load(format!("{count} compute threads cannot be started: {e}")))
}
