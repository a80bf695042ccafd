//! The plugin's lines in the engine's log, and those that wait for one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use engine::Backend;
use log::Level;
use parking_lot::Mutex;

use super::process;
use super::rate::Rate;

/// Lines that wait for a log.
static EARLY: Mutex<VecDeque<(Level, String)>> = Mutex::new(VecDeque::new());

/// More than these would be a guest that fills our memory.
const MOST_EARLY: usize = 32;

/// A load was tried: from then on a log may be opened for a line.
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

/// One for warnings and errors, one for all else: what a guest does all the time hides no refusal.
static RATES: [Mutex<Rate>; 2] = [Mutex::new(Rate::new()), Mutex::new(Rate::new())];

/// A load is tried. Before, no log is opened: a host opens and closes the plugin to see whether it is there.
pub fn begin() {
    HAS_BEGUN.store(true, Ordering::Relaxed);
}

/// Writes a line to the log. Without an engine warnings and errors open one for themselves, or wait for the first load;
/// other lines are lost.
pub fn note(level: Level, text: &str) {
    let is_grave = level <= Level::Warn;
    let passed = RATES[usize::from(!is_grave)].lock().pass(Instant::now());
    let Some(withheld) = passed else { return };
    let log = process::current().or_else(|| match is_grave && HAS_BEGUN.load(Ordering::Relaxed) {
        true => process::open_for_log(),
        false => None,
    });
    if let Some(log) = &log {
        flush(log);
    }
    let more = (withheld > 0).then(|| format!("and {withheld} more"));
    for text in more.as_deref().into_iter().chain([text]) {
        match &log {
            Some(log) => log.note(level, text),
            None => keep(level, text),
        }
    }
}

/// Keeps the text of a panic for the log of the next line: whoever panics may hold whatever a log needs.
pub fn keep_panic(text: &str) {
    keep(Level::Error, text);
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

/// Writes what has waited.
pub fn flush(backend: &Arc<Backend>) {
    let early = std::mem::take(&mut *EARLY.lock());
    for (level, text) in early {
        backend.note(level, &text);
    }
}
