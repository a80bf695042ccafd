//! The plugin's lines in the engine's log, and those that come before there is one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use engine::Backend;
use log::Level;
use parking_lot::Mutex;

use super::process;

/// Lines that wait for a log.
static EARLY: Mutex<VecDeque<(Level, String)>> = Mutex::new(VecDeque::new());

/// More than these would be a guest that fills our memory.
const MOST_EARLY: usize = 32;

/// The most verbose level that a guest asked for: 0 none, 1 info, 2 debug.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// Writes a line to the log, or keeps it for the log of the next load.
pub fn note(level: Level, text: &str) {
    match process::current() {
        Some(backend) => backend.note(level, text),
        None => keep(level, text),
    }
}

fn keep(level: Level, text: &str) {
    if level > Level::Warn {
        return;
    }
    let mut early = EARLY.lock();
    if early.len() < MOST_EARLY {
        early.push_back((level, text.to_owned()));
    }
}

/// Writes what has waited, and opens the log as far as guests asked for it before.
pub fn attach(backend: &Arc<Backend>) {
    let early = std::mem::take(&mut *EARLY.lock());
    for (level, text) in early {
        backend.note(level, &text);
    }
    ASKED.store(0, Ordering::Relaxed);
}

/// Lets more lines through, where a guest asks for it and the operator has said nothing of the log: `enable-log` and
/// `enable-debug-log`.
pub fn ask(backend: &Backend, is_info: bool, is_debug: bool) {
    let (rank, level) = match (is_info, is_debug) {
        (_, true) => (2, "debug"),
        (true, false) => (1, "info"),
        (false, false) => return,
    };
    if ASKED.fetch_max(rank, Ordering::Relaxed) < rank && !process::is_log_the_operators() {
        let config = format!("{{\"level\": \"{level}\"}}");
        // It is a valid level, and a log that is being closed needs none.
        drop(backend.set_logging(config.as_bytes()));
    }
}
