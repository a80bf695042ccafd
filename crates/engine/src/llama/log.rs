//! Routes llama.cpp's log lines into the `log` facade, under the target `engine`.
//!
//! llama.cpp has one process-wide callback and hands it fragments: a line is collected per thread until its newline.
//! Nothing reaches stdout or stderr from here. A record that no backend wants is not even collected. Knows no sinks.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use llama_cpp_sys_2 as sys;

use super::opened;

/// A line longer than this is cut; nothing in llama.cpp comes near.
const LINE_LIMIT_BYTES: usize = 16 * 1024;
/// llama.cpp compares the whole pool with what the model was trained for; here one session is what counts.
const POOL_WARNING: &str = "possible training context overflow";

/// The most text that a capture keeps.
const CAPTURE_LIMIT_BYTES: usize = 4 * 1024;

#[derive(Default)]
struct Pending {
    line: String,
    level: Option<log::Level>,
    captured: Option<String>,
    /// Errors are the caller's to report.
    demote: bool,
}

thread_local! {
    static PENDING: RefCell<Pending> = RefCell::default();
}

/// Points the loggers of llama.cpp and libmtmd at this module. Called once, before any other call into them.
pub(super) fn install() {
    // SAFETY: `receive` has the callback's signature, needs no user data and lives as long as the process.
    unsafe { sys::llama_log_set(Some(receive), std::ptr::null_mut()) };
    // SAFETY: as above.
    unsafe { sys::mtmd_log_set(Some(receive), std::ptr::null_mut()) }
}

/// Runs `work` and returns with its result the error lines that llama.cpp logged on this thread meanwhile.
///
/// The C interface of llama.cpp answers many failures with a null pointer and tells the reason in the log only. The
/// lines go to the facade as well. Not meant to be nested: an inner capture takes the lines.
pub(super) fn capture<T>(work: impl FnOnce() -> T) -> (T, String) {
    with_pending(|pending| pending.captured = Some(String::new()));
    let result = work();
    let lines = with_pending(|pending| pending.captured.take()).flatten();
    (result, lines.unwrap_or_default())
}

/// As `capture`, and the lines go to the facade as details of whatever the caller reports: a decode that is told to stop
/// fails in three lines.
pub(super) fn capture_details<T>(work: impl FnOnce() -> T) -> (T, String) {
    with_pending(|pending| pending.demote = true);
    let captured = capture(work);
    with_pending(|pending| pending.demote = false);
    captured
}

/// The reason inside captured lines: the first error line without the name of the C++ function.
pub(super) fn reason(lines: &str) -> Option<String> {
    let line = lines.lines().find(|line| !line.trim().is_empty())?;
    let line = match line.split_once(": ") {
        Some((function, rest)) if !function.contains(' ') => rest,
        _ => line,
    };
    Some(opened::named(line.trim()).into_owned())
}

fn with_pending<T>(work: impl FnOnce(&mut Pending) -> T) -> Option<T> {
    // A thread that is being torn down has no buffer left, and a logger that logs would find it borrowed.
    PENDING
        .try_with(|pending| pending.try_borrow_mut().ok().map(|mut p| work(&mut p)))
        .ok()
        .flatten()
}

unsafe extern "C" fn receive(level: sys::ggml_log_level, text: *const c_char, _data: *mut c_void) {
    if text.is_null() {
        return;
    }
    // A panic of some logger must not unwind into C++.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: llama.cpp passes a NUL-terminated string that is valid during the call; null was ruled out.
        let text = unsafe { CStr::from_ptr(text) };
        fragment(level, &text.to_string_lossy());
    }));
}

/// Adds a fragment to the thread's line and hands every finished line to the facade.
fn fragment(level: sys::ggml_log_level, text: &str) {
    let finished = with_pending(|pending| {
        let mut finished = Vec::new();
        if let Some(level) = level_of(level) {
            // A new record begins: what has no newline yet was a line of its own.
            if !pending.line.is_empty() {
                finished.push(pending.finish());
            }
            pending.level = Some(level);
        }
        if !pending.is_wanted() {
            return finished;
        }
        for part in text.split_inclusive('\n') {
            let room = LINE_LIMIT_BYTES.saturating_sub(pending.line.len());
            let line = part.trim_end_matches(['\n', '\r']);
            let cut = (0..=room.min(line.len()))
                .rev()
                .find(|&at| line.is_char_boundary(at));
            pending.line.push_str(&line[..cut.unwrap_or(0)]);
            if part.ends_with('\n') {
                finished.push(pending.finish());
            }
        }
        finished
    });
    for (level, line) in finished.unwrap_or_default() {
        if !line.trim().is_empty() {
            log::log!(target: "engine", level, "{}", opened::named(&line));
        }
    }
}

impl Pending {
    /// Whether somebody reads the record that has begun: a backend's log, or who asked for errors.
    fn is_wanted(&self) -> bool {
        let level = self.level.unwrap_or(log::Level::Debug);
        let is_captured = level == log::Level::Error && self.captured.is_some();
        is_captured || level <= log::max_level()
    }

    fn finish(&mut self) -> (log::Level, String) {
        let mut level = self.level.unwrap_or(log::Level::Debug);
        let line = std::mem::take(&mut self.line);
        if line.ends_with(POOL_WARNING) {
            level = log::Level::Debug;
        }
        if level == log::Level::Error
            && let Some(captured) = &mut self.captured
            && captured.len() + line.len() < CAPTURE_LIMIT_BYTES
        {
            captured.push_str(&line);
            captured.push('\n');
        }
        if level == log::Level::Error && self.demote {
            level = log::Level::Debug;
        }
        (level, line)
    }
}

/// `None` for a continuation. llama.cpp's INFO describes each tensor and buffer: that is our DEBUG.
fn level_of(level: sys::ggml_log_level) -> Option<log::Level> {
    match level {
        sys::GGML_LOG_LEVEL_CONT => None,
        sys::GGML_LOG_LEVEL_ERROR => Some(log::Level::Error),
        sys::GGML_LOG_LEVEL_WARN => Some(log::Level::Warn),
        sys::GGML_LOG_LEVEL_INFO => Some(log::Level::Debug),
        _ => Some(log::Level::Trace),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn captured(fragments: &[(sys::ggml_log_level, &str)]) -> String {
        let ((), lines) = capture(|| {
            for (level, text) in fragments {
                fragment(*level, text);
            }
        });
        lines
    }

    #[test]
    fn continuations_join_into_one_line() {
        let lines = captured(&[
            (sys::GGML_LOG_LEVEL_ERROR, "load: bad "),
            (sys::GGML_LOG_LEVEL_CONT, "thing"),
            (sys::GGML_LOG_LEVEL_CONT, "\n"),
        ]);
        assert_eq!(lines, "load: bad thing\n");
    }

    #[test]
    fn a_record_without_newline_ends_where_the_next_begins() {
        let lines = captured(&[
            (sys::GGML_LOG_LEVEL_ERROR, "one"),
            (sys::GGML_LOG_LEVEL_ERROR, "two\n"),
        ]);
        assert_eq!(lines, "one\ntwo\n");
    }

    #[test]
    fn only_errors_are_captured_and_only_inside() {
        fragment(sys::GGML_LOG_LEVEL_ERROR, "before\n");
        let lines = captured(&[(sys::GGML_LOG_LEVEL_WARN, "warning\n")]);
        assert_eq!(lines, "");
    }

    #[test]
    fn the_reason_is_the_first_line_without_its_function() {
        let check = |lines: &str, expect: Option<&str>| {
            assert_eq!(reason(lines).as_deref(), expect);
        };
        check(
            "llama_load: no such thing\nlater: x\n",
            Some("no such thing"),
        );
        check("two words: stay\n", Some("two words: stay"));
        check("\n", None);
    }

    #[test]
    fn an_endless_line_is_cut_at_a_character_border() {
        let long = "\u{e9}".repeat(LINE_LIMIT_BYTES);
        let (kept, _) = capture(|| {
            fragment(sys::GGML_LOG_LEVEL_ERROR, &long);
            let kept = with_pending(|pending| pending.line.len());
            fragment(sys::GGML_LOG_LEVEL_CONT, "\n");
            kept
        });
        assert_eq!(kept, Some(LINE_LIMIT_BYTES));
    }

    #[test]
    fn a_record_that_nobody_reads_is_not_collected() {
        // No journal of these tests is as talkative as this.
        fragment(sys::GGML_LOG_LEVEL_DEBUG, "begun, ");
        fragment(sys::GGML_LOG_LEVEL_CONT, "gone on");
        assert_eq!(with_pending(|pending| pending.line.len()), Some(0));
    }
}
