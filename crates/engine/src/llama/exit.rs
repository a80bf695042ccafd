//! The end of the process while models compute.
//!
//! ggml and llama.cpp keep static data that C++ destroys at exit, under the feet of whoever computes. A host may end with turns
//! running, so computation is stopped before: our exit handler is registered after those statics exist and therefore
//! runs before they go. A thread that was computing then stays where it is; the process ends around it. Knows nothing
//! of jobs.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};
use std::time::{Duration, Instant};

static UNDER_WAY: AtomicBool = AtomicBool::new(false);
static COMPUTING: AtomicUsize = AtomicUsize::new(0);
static LAST: OnceLock<fn()> = OnceLock::new();

/// Longest wait for a graph that does not look at its abort callback, such as one on a device.
const PATIENCE: Duration = Duration::from_secs(5);

/// A decode call under way.
pub(super) struct Computing;

impl Computing {
    /// Does not return once the process is ending. Either the handler sees this call, or the call sees the handler;
    /// hence the sequentially consistent order of both.
    pub(super) fn begin() -> Computing {
        COMPUTING.fetch_add(1, Ordering::SeqCst);
        if UNDER_WAY.load(Ordering::SeqCst) {
            drop(Computing);
        }
        Computing
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        COMPUTING.fetch_sub(1, Ordering::SeqCst);
        while UNDER_WAY.load(Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

/// A short call that reads static data of llama.cpp, such as a tokenizer's tables.
pub(super) struct Reading;

impl Reading {
    /// `None` once the process is ending: the data may be gone.
    pub(super) fn begin() -> Option<Reading> {
        COMPUTING.fetch_add(1, Ordering::SeqCst);
        let reading = Reading;
        (!UNDER_WAY.load(Ordering::SeqCst)).then_some(reading)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        COMPUTING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether the process is ending.
pub(crate) fn is_under_way() -> bool {
    UNDER_WAY.load(Ordering::Relaxed)
}

/// What the handler does last, once computation has stopped; the first one that is given stays.
pub(crate) fn at_end(last: fn()) {
    LAST.get_or_init(|| last);
}

/// Registers the handler, once. To be called after a model has computed, when all of ggml's statics exist.
pub(crate) fn guard() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler is a plain function of this library, which stays mapped until the process ends.
        if unsafe { libc::atexit(stop) } != 0 {
            ::log::warn!(target: "engine", "no exit handler: end all turns before the process ends");
        }
    });
}

extern "C" fn stop() {
    UNDER_WAY.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + PATIENCE;
    while COMPUTING.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(200));
    }
    if let Some(last) = LAST.get() {
        // No panic crosses the border to C, and there is nobody to tell of one.
        drop(std::panic::catch_unwind(last));
    }
}
