//! What a host asks without a turn: reports, errors, conversations, counts; and what is logged of it all.

use std::ffi::CStr;
use std::ptr::null;

use crate::c::{self, INVALID_ARGUMENT, RUNTIME_ERROR, SUCCESS, TIMEOUT, TOO_LARGE};
use crate::call::{self, Output};
use crate::host::Host;
use crate::memory::{FILL, Fenced, place};
use crate::outcome::{
    check_bad, check_code, check_json, check_nul_alone, check_terminated, check_text,
    check_untouched, check_word, is_bad,
};

/// What a function may answer that writes a text whole or tells the size that it needs.
pub const SIZED: &[u32] = &[SUCCESS, INVALID_ARGUMENT, TOO_LARGE];

/// What a function may answer that needs the model itself, which may be on its way, or asleep and not come back.
const WAKES: &[u32] = &[SUCCESS, INVALID_ARGUMENT, TIMEOUT, RUNTIME_ERROR];

/// Bytes of a buffer for a report.
const SIZES: [usize; 6] = [0, 1, 16, 300, 8192, 1 << 16];

impl Host<'_> {
    pub fn status(&self, ctx: u8, kind: u8, size: u8, pick: u8) {
        const FUNCTION: &str = "get_backend_status";
        let (ctx, kind) = (self.world.backend(ctx), u32::from(kind % 7));
        let size = SIZES[usize::from(size) % SIZES.len()];
        let buffer = Fenced::new(size);
        let (at, is_right) = place(pick, buffer.at());
        // SAFETY: a buffer of that size, or an address that is no memory.
        let code = unsafe { c::get_backend_status(ctx.handle, kind, at, size as u32) };
        check_code(FUNCTION, code, &[SUCCESS, INVALID_ARGUMENT, TOO_LARGE]);
        check_bad(FUNCTION, code, [ctx.is_bad, kind > 4, !is_right, size == 0]);
        match code {
            SUCCESS => check_json(FUNCTION, &check_terminated(FUNCTION, &buffer.bytes())),
            TOO_LARGE => check_nul_alone(FUNCTION, &buffer.bytes()),
            _ => check_untouched(FUNCTION, &buffer.bytes()),
        }
    }

    pub fn last_error(&self, ctx: u8, size: u8, pick: u8) {
        const FUNCTION: &str = "wasi_nn_get_last_error";
        let ctx = self.world.backend(ctx);
        let size = SIZES[usize::from(size) % SIZES.len()];
        let buffer = Fenced::new(size);
        let (at, is_right) = place(pick, buffer.at());
        // SAFETY: a buffer of that size, or an address that is no memory.
        let code = unsafe { c::wasi_nn_get_last_error(ctx.handle, at, size as u32) };
        // This function sets no text, so only its code can be judged.
        assert!(
            matches!(code, SUCCESS | INVALID_ARGUMENT),
            "{FUNCTION} answered {code}"
        );
        check_bad(FUNCTION, code, [!is_right, size == 0]);
        match code {
            SUCCESS => drop(check_terminated(FUNCTION, &buffer.bytes())),
            _ => check_untouched(FUNCTION, &buffer.bytes()),
        }
    }

    pub fn usage(&self, ctx: u8, context: u8, used: u8, capacity: u8) {
        const FUNCTION: &str = "wasi_nn_get_context_usage";
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        let (used_word, capacity_word) = (Fenced::new(4), Fenced::new(4));
        let (used, is_used) = place(used, used_word.at());
        let (capacity, is_capacity) = place(capacity, capacity_word.at());
        let (ctx_handle, used, capacity) = (ctx.handle, used.cast(), capacity.cast());
        // SAFETY: places for numbers or none.
        let code =
            unsafe { c::wasi_nn_get_context_usage(ctx_handle, context.handle, used, capacity) };
        check_code(FUNCTION, code, WAKES);
        check_bad(
            FUNCTION,
            code,
            [is_bad(ctx, context), !is_used, !is_capacity],
        );
        check_word(FUNCTION, code, &used_word, is_used);
        check_word(FUNCTION, code, &capacity_word, is_capacity);
    }

    pub fn history(&self, ctx: u8, context: u8, output: Output) {
        const FUNCTION: &str = "wasi_nn_get_history";
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        let handle = (ctx.handle, context.handle);
        let sizes = output.claimed_and_backed();
        let is_bad = is_bad(ctx, context);
        let text = sized(FUNCTION, output, sizes, SIZED, is_bad, |at, size| {
            // SAFETY: a buffer and its size, or addresses that are no memory.
            unsafe { c::wasi_nn_get_history(handle.0, handle.1, at, size) }
        });
        if let Some(text) = text {
            check_json(FUNCTION, &text);
        }
    }

    pub fn metrics(&self, ctx: u8, output: Output) {
        const FUNCTION: &str = "wasi_nn_get_metrics";
        let ctx = self.world.backend(ctx);
        let sizes = long_text(output);
        let text = sized(FUNCTION, output, sizes, SIZED, ctx.is_bad, |at, size| {
            // SAFETY: a buffer and its size, or addresses that are no memory.
            unsafe { c::wasi_nn_get_metrics(ctx.handle, at, size) }
        });
        if let Some(text) = text {
            let is_line = |line: &str| line.starts_with("# ") || line.starts_with("wasi_nn_");
            assert!(text.ends_with('\n') && text.lines().all(is_line), "{text}");
        }
    }

    pub fn count(&self, ctx: u8, text: &[u8], beyond: u8, places: (u8, u8)) {
        const FUNCTION: &str = "wasi_nn_count_tokens";
        let ctx = self.world.backend(ctx);
        let memory = Fenced::holding(text);
        let count = Fenced::new(4);
        let (at, is_right) = place(places.0, count.at());
        let (text_at, is_text) = place(places.1, memory.at());
        let beyond = if beyond > 250 { u32::from(beyond) } else { 0 };
        let len = text.len() as u32 + beyond;
        let text_at = if len == 0 {
            null()
        } else {
            text_at.cast_const()
        };
        // SAFETY: a text of that length or one that ends before memory that cannot be read; a place or none.
        let code = unsafe { c::wasi_nn_count_tokens(ctx.handle, text_at, len, at.cast()) };
        check_code(FUNCTION, code, WAKES);
        let is_ended = beyond == 0 || text.contains(&0);
        check_bad(
            FUNCTION,
            code,
            [ctx.is_bad, !is_right, len > 0 && !is_text, !is_ended],
        );
        if let Some(tokens) = check_word(FUNCTION, code, &count, is_right) {
            assert!(
                tokens != u32::from_ne_bytes([FILL; 4]),
                "{FUNCTION} wrote no number"
            );
        }
    }

    pub fn logging(&self, ctx: u8, which: u8, pick: u8) {
        const FUNCTION: &str = "wasi_nn_set_logging";
        let ctx = self.world.backend(ctx);
        let (text, is_none) = call::logging(which);
        let memory = Fenced::holding(text.as_bytes());
        let (at, is_right) = place(pick, memory.at());
        // SAFETY: a text of that length, or an address that is no memory.
        let code = unsafe { c::wasi_nn_set_logging(ctx.handle, at, text.len() as u32) };
        check_code(FUNCTION, code, &[SUCCESS, INVALID_ARGUMENT]);
        check_bad(FUNCTION, code, [ctx.is_bad, !is_right, is_none]);
    }

    pub fn version(&self) {
        // SAFETY: no arguments.
        let text = unsafe { c::wasi_nn_version() };
        assert!(!text.is_null(), "a version is a text");
        // SAFETY: a static text that ends by a NUL, by the manual.
        let text = unsafe { CStr::from_ptr(text) };
        assert!(!text.is_empty(), "a version is a text");
    }
}

/// What the host claims and has for a text that has more bytes than a report.
pub fn long_text(output: Output) -> (u32, usize) {
    match output.claimed_and_backed() {
        (8192, 8192) => (1 << 16, 1 << 16),
        sizes => sizes,
    }
}

/// Calls a function that writes a text whole or tells the size that it needs: the text, where it did.
pub fn sized(
    function: &str,
    output: Output,
    (claimed, backed): (u32, usize),
    documented: &[u32],
    is_bad: bool,
    call: impl FnOnce(*mut u8, *mut u32) -> u32,
) -> Option<String> {
    let (buffer, size) = (Fenced::new(backed), Fenced::holding(&claimed.to_ne_bytes()));
    let (at, is_right) = place(output.place, buffer.at());
    let (size_at, is_size_right) = place(output.size_place, size.at());
    let code = call(at, size_at.cast());
    check_code(function, code, documented);
    let is_place = is_right && is_size_right && claimed > 0 && backed > 0;
    check_bad(function, code, [is_bad, !is_place]);
    let (bytes, said) = (buffer.bytes(), size.word());
    match code {
        SUCCESS => return Some(check_text(function, &bytes, said as usize)),
        TOO_LARGE => {
            check_nul_alone(function, &bytes);
            assert!(said > claimed, "{function} needs {said} of {claimed} bytes");
        }
        _ => {
            assert_eq!(said, claimed, "{function} failed and changed the size");
            if backed >= claimed as usize {
                check_untouched(function, &bytes);
            }
        }
    }
    None
}
