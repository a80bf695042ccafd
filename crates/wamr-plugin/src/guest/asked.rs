//! How much of the log guests have asked for.

use std::sync::atomic::{AtomicU8, Ordering};

use engine::Backend;

use super::{NAMES, process};
use crate::names::Policy;

/// The most verbose level that a guest asked the open engine for: 0 none, 1 info, 2 debug.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// A new engine was asked for nothing yet.
pub fn reset() {
    ASKED.store(0, Ordering::Relaxed);
}

/// Lets more lines through for a guest's `enable-log` and `enable-debug-log`. Only where guests are the operator's own,
/// who has said nothing of the log: it tells of all guests.
pub fn ask(backend: &Backend, is_info: bool, is_debug: bool) {
    let (rank, level) = match (is_info, is_debug) {
        (_, true) => (2, "debug"),
        (true, false) => (1, "info"),
        (false, false) => return,
    };
    if NAMES.policy() != Policy::Path || process::is_log_the_operators() {
        return;
    }
    if ASKED.fetch_max(rank, Ordering::Relaxed) < rank {
        let config = format!("{{\"level\": \"{level}\"}}");
        // It is a valid level, and a log that is being closed needs none.
        drop(backend.set_logging(config.as_bytes()));
    }
}
