//! Turns of a host: prompts of all shapes, answers into buffers and through callbacks, calls from inside a callback.

use std::ffi::c_void;
use std::ptr::null;

use crate::c::{self, INVALID_ARGUMENT, RUNTIME_ERROR, SUCCESS, TOO_LARGE, TURN};
use crate::call::{NO_CONFIG, Output, Prompt, Settings, Watch};
use crate::host::Host;
use crate::memory::{Fenced, place};
use crate::outcome::{check_bad, check_code, check_json, check_text, check_untouched, is_bad};

/// A tensor with everything that it points at.
struct Input {
    /// Whether a turn may take it.
    is_usable: bool,
    tensor: c::Tensor,
    place: u8,
    _text: Fenced,
    _shape: Fenced,
    _sizes: Fenced,
}

/// Arguments 7 and 8 with what they point at.
struct Extra {
    at: *const u8,
    len: u32,
    _text: Fenced,
}

/// What a callback may do inside, with a few that do nothing.
const ACTS: u8 = 16;

/// A callback's own data: what it does and when it ends the answer.
struct Inside<'a> {
    host: &'a Host<'a>,
    /// The pick that gave the backend.
    pick: u8,
    ctx: usize,
    context: u32,
    act: u8,
    pieces_left: u8,
}

/// An output buffer with the size beside it.
struct Buffer {
    backed: usize,
    capacity: usize,
    memory: Fenced,
    size: Fenced,
    at: *mut u8,
    size_at: *mut u8,
    is_right: bool,
    is_size_right: bool,
}

impl Host<'_> {
    pub fn set_input(&self, ctx: u8, context: u8, index: u32, prompt: &Prompt) {
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        let input = Input::new(prompt);
        // SAFETY: a tensor, or an address that is no memory.
        let code = unsafe { c::set_input(ctx.handle, context.handle, index, input.at()) };
        check_code("set_input", code, &[SUCCESS, INVALID_ARGUMENT, TOO_LARGE]);
        check_bad("set_input", code, [is_bad(ctx, context), !input.is_usable]);
    }

    pub fn compute(&self, ctx: u8, context: u8) {
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        // SAFETY: numbers.
        let code = unsafe { c::compute(ctx.handle, context.handle) };
        check_code("compute", code, TURN);
        check_bad("compute", code, [is_bad(ctx, context)]);
    }

    pub fn run(&self, ctx: u8, context: u8, prompt: &Prompt, output: Output, settings: &Settings) {
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        let (input, extra) = (Input::new(prompt), Extra::new(settings));
        let buffer = Buffer::new(output, 1 << 30);
        // SAFETY: memory as the arguments say, or addresses that are no memory.
        let code = unsafe {
            c::run_inference(
                ctx.handle,
                context.handle,
                0,
                input.at(),
                buffer.at,
                buffer.size_at.cast(),
                extra.at,
                extra.len,
            )
        };
        check_code("run_inference", code, TURN);
        let is_bad_call = is_bad(ctx, context) || !input.is_usable;
        check_bad("run_inference", code, [is_bad_call, buffer.is_bad()]);
        buffer.check("run_inference", code);
    }

    pub fn get_output(&self, ctx: u8, context: u8, index: u8, output: Output) {
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        let buffer = Buffer::new(output, 1 << 26);
        let index = u32::from(index % 3);
        let size_at = buffer.size_at.cast();
        // SAFETY: a buffer and a size, or addresses that are no memory.
        let code = unsafe { c::get_output(ctx.handle, context.handle, index, buffer.at, size_at) };
        check_code(
            "get_output",
            code,
            &[SUCCESS, INVALID_ARGUMENT, RUNTIME_ERROR],
        );
        check_bad(
            "get_output",
            code,
            [is_bad(ctx, context), index > 1, buffer.is_bad()],
        );
        let text = buffer.check("get_output", code);
        if let Some(metadata) =
            text.filter(|t| index == 1 && t.len() + 1 < buffer.capacity.min(256))
        {
            check_json("get_output", &metadata);
        }
    }

    pub fn stream(
        &self,
        ctx: u8,
        context: u8,
        prompt: &Prompt,
        settings: &Settings,
        manner: (u8, u8),
    ) {
        const FUNCTION: &str = "wasi_nn_run_inference_stream";
        let pick = ctx;
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        let (input, extra) = (Input::new(prompt), Extra::new(settings));
        let (pieces, act) = manner;
        let mut inside = Inside {
            host: self,
            pick,
            ctx: ctx.handle,
            context: context.handle,
            act,
            pieces_left: pieces % 8,
        };
        let callback = (act != 255).then_some(on_piece as c::OnPiece);
        // SAFETY: memory as the arguments say, or addresses that are no memory; a callback with its own data.
        let code = unsafe {
            c::wasi_nn_run_inference_stream(
                ctx.handle,
                context.handle,
                input.at(),
                extra.at,
                extra.len,
                callback,
                (&raw mut inside).cast(),
            )
        };
        check_code(FUNCTION, code, TURN);
        check_bad(
            FUNCTION,
            code,
            [is_bad(ctx, context), !input.is_usable, callback.is_none()],
        );
    }
}

impl Input {
    fn new(prompt: &Prompt) -> Input {
        let mut text = prompt.text();
        let len = text.len() as u32;
        let beyond = len.saturating_add(100);
        let is_open = prompt.shape % 10 == 9;
        let sizes: &[u32] = match prompt.shape % 10 {
            3 => &[1],
            4 | 9 => &[len],
            5 => &[1, len, 1],
            6 => &[beyond],
            7 => &[u32::MAX; 3],
            _ => &[],
        };
        if !is_open {
            text.push(0);
        }
        let is_ended = text.contains(&0) || len > 1;
        let sizes_bytes: Vec<u8> = sizes.iter().flat_map(|n| n.to_ne_bytes()).collect();
        let (text, sizes_at) = (Fenced::holding(&text), Fenced::holding(&sizes_bytes));
        let shape = Fenced::new(size_of::<c::Dimensions>());
        let dimensions = c::Dimensions {
            buf: match prompt.shape % 10 {
                2 => std::ptr::without_provenance(1),
                _ => sizes_at.at().cast(),
            },
            size: if prompt.shape % 10 == 2 {
                4
            } else {
                sizes.len() as u32
            },
        };
        // SAFETY: as many bytes as were asked for, at any alignment.
        unsafe {
            shape
                .at()
                .cast::<c::Dimensions>()
                .write_unaligned(dimensions)
        };
        let (data, is_data) = place(prompt.place, text.at());
        let (_, is_tensor) = place(prompt.tensor_place, data);
        Input {
            is_usable: is_data && is_tensor && is_ended,
            tensor: c::Tensor {
                dimensions: match prompt.shape % 10 {
                    0 => null(),
                    1 => std::ptr::without_provenance(8),
                    _ => shape.at().cast(),
                },
                kind: u32::from(prompt.shape) << 20,
                data,
            },
            place: prompt.tensor_place,
            _text: text,
            _shape: shape,
            _sizes: sizes_at,
        }
    }

    fn at(&self) -> *const c::Tensor {
        place(self.place, (&raw const self.tensor).cast_mut().cast())
            .0
            .cast()
    }
}

impl Extra {
    fn new(settings: &Settings) -> Extra {
        let text = Fenced::holding(settings.text().unwrap_or_default());
        let (at, len) = match settings {
            Settings::None => (null(), 0),
            Settings::Leftovers { place: pick, len } => {
                (place(*pick, text.at()).0.cast_const(), *len)
            }
            _ => (text.at().cast_const(), text.bytes().len() as u32),
        };
        Extra {
            at,
            len,
            _text: text,
        }
    }
}

impl Buffer {
    /// `believed_up_to`: the largest size that the function takes for meant.
    fn new(output: Output, believed_up_to: u32) -> Buffer {
        let (claimed, backed) = output.claimed_and_backed();
        let memory = Fenced::new(backed);
        let size = Fenced::holding(&claimed.to_ne_bytes());
        let (at, is_right) = place(output.place, memory.at());
        let (size_at, is_size_right) = place(output.size_place, size.at());
        let is_meant = (1..=believed_up_to).contains(&claimed);
        Buffer {
            backed,
            capacity: if is_meant { claimed as usize } else { 8192 },
            memory,
            size,
            at,
            size_at,
            is_right,
            is_size_right,
        }
    }

    fn is_bad(&self) -> bool {
        !self.is_right || !self.is_size_right || self.backed == 0
    }

    /// The text of a success.
    fn check(&self, function: &str, code: u32) -> Option<String> {
        let (bytes, size) = (self.memory.bytes(), self.size.word() as usize);
        if code == SUCCESS {
            assert!(
                size <= self.capacity,
                "{function} wrote {size} of {}",
                self.capacity
            );
            return Some(check_text(function, &bytes, size));
        }
        assert!(
            !self.is_size_right || size == 0,
            "{function} answered {code} and a size of {size}"
        );
        // Where the host lies about its memory, a first part of a text is there before the lie shows.
        if self.backed >= self.capacity {
            check_untouched(function, &bytes);
        }
        None
    }
}

/// Calls back into the library and counts its pieces down.
unsafe extern "C" fn on_piece(user_data: *mut c_void, piece: *const u8, len: u32) -> i32 {
    assert!(!piece.is_null() && len > 0, "a piece without text");
    // SAFETY: the library lends as many bytes for the time of this call.
    let piece = unsafe { std::slice::from_raw_parts(piece, len as usize) };
    assert!(
        std::str::from_utf8(piece).is_ok(),
        "a piece ends inside a character"
    );
    // SAFETY: the data that the caller of the stream passed with this function.
    let inside = unsafe { &mut *user_data.cast::<Inside<'_>>() };
    let (ctx, context) = (inside.ctx, inside.context);
    let (mut number, mut text) = (0, [0; 64]);
    // SAFETY: numbers, and memory of this function.
    let refused = unsafe {
        match inside.act % ACTS {
            0 => c::deinit_backend(ctx),
            1 => c::compute(ctx, context),
            2 => c::wasi_nn_clear_context(ctx, context),
            3 => c::close_execution_context(ctx, context),
            4 => c::wasi_nn_cancel(ctx, context),
            5 => c::wasi_nn_get_history(ctx, context, text.as_mut_ptr(), &raw mut number),
            6 => c::get_output(ctx, context, 0, text.as_mut_ptr(), &raw mut number),
            8 => c::wasi_nn_use_graph(ctx, context, 0),
            _ => INVALID_ARGUMENT,
        }
    };
    assert_eq!(
        refused,
        INVALID_ARGUMENT,
        "act {} inside a callback",
        inside.act % ACTS
    );
    let (host, pick) = (inside.host, inside.pick);
    match inside.act % ACTS {
        7 => {
            // SAFETY: a buffer of that size.
            let code = unsafe { c::get_backend_status(ctx, 0, text.as_mut_ptr(), 64) };
            assert!(
                matches!(code, SUCCESS | INVALID_ARGUMENT | TOO_LARGE),
                "a status inside a callback: {code}"
            );
        }
        // The model that answers this very turn is replaced, brought back, unloaded.
        9 => host.swap(pick, 0, inside.pieces_left, NO_CONFIG, Watch::NONE, 0),
        10 => host.roll_back(pick, 0, 0),
        11 => host.unload_graph(pick, 0),
        12 => host.count(pick, b"text", 0, (0, 0)),
        _ => {}
    }
    inside.pieces_left = inside.pieces_left.wrapping_sub(1);
    i32::from(inside.pieces_left == 0)
}
