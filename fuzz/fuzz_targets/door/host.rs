//! A host: makes each call with memory of its own and judges the answer.
//!
//! Turns are in `turn`, reports and texts in `report`, what is about several models in `models`.

use std::ffi::c_void;
use std::ptr::null_mut;

use crate::argument::File;
use crate::c::{
    self, INVALID_ARGUMENT, INVALID_ENCODING, RUNTIME_ERROR, SUCCESS, TIMEOUT, UNSUPPORTED,
};
use crate::call::{self, Bytes, Call, NO_CONFIG, Watch};
use crate::memory::{Fenced, place};
use crate::outcome::{check_bad, check_code, check_word};
use crate::world::{MODEL, World};

/// One thread of a host.
pub struct Host<'a> {
    pub world: &'a World,
}

impl Host<'_> {
    /// Makes one call.
    pub fn call(&self, call: &Call) {
        match call {
            Call::Init { config, place } => self.init(*config, *place),
            Call::Deinit { ctx, will } if will % 4 == 0 => self.deinit(*ctx),
            Call::LoadFile {
                ctx,
                file,
                config,
                place,
            } => self.load_file(*ctx, *file, *config, None, *place),
            Call::LoadAndWatch {
                ctx,
                file,
                config,
                steps,
                place,
            } => {
                self.load_file(*ctx, *file, *config, Some(*steps), *place);
            }
            Call::LoadBytes {
                ctx,
                bytes,
                encoding,
                target,
                config,
                place,
            } => {
                self.load_bytes(*ctx, bytes, (*encoding, *target), *config, *place);
            }
            Call::Unload { ctx, will } if will % 4 == 0 => self.unload(*ctx),
            Call::Deinit { .. } | Call::Unload { .. } => {}
            Call::Open { ctx, graph, place } => self.open(*ctx, *graph, *place),
            Call::OpenNamed { ctx, name, place } => self.open_named(*ctx, *name, *place),
            Call::Close { ctx, context } => self.close(*ctx, *context),
            Call::SetInput {
                ctx,
                context,
                index,
                prompt,
            } => self.set_input(*ctx, *context, *index, prompt),
            Call::Compute { ctx, context } => self.compute(*ctx, *context),
            Call::GetOutput {
                ctx,
                context,
                index,
                output,
            } => self.get_output(*ctx, *context, *index, *output),
            Call::Run {
                ctx,
                context,
                prompt,
                output,
                settings,
            } => {
                self.run(*ctx, *context, prompt, *output, settings);
            }
            Call::Stream {
                ctx,
                context,
                prompt,
                settings,
                pieces,
                inside,
            } => {
                self.stream(*ctx, *context, prompt, settings, (*pieces, *inside));
            }
            Call::Status {
                ctx,
                kind,
                size,
                place,
            } => self.status(*ctx, *kind, *size, *place),
            Call::LastError { ctx, size, place } => self.last_error(*ctx, *size, *place),
            Call::Cancel { ctx, context } => self.cancel(*ctx, *context),
            Call::Client {
                ctx,
                context,
                key,
                length,
            } => self.client(*ctx, *context, key, *length),
            Call::RemoveTurns {
                ctx,
                context,
                first,
                count,
            } => self.remove_turns(*ctx, *context, (*first).into(), *count),
            Call::Overflow {
                ctx,
                context,
                overflow,
                keep,
                discard,
            } => self.overflow(*ctx, *context, u32::from(*overflow % 4), [*keep, *discard]),
            Call::Window {
                ctx,
                context,
                tokens,
            } => self.window(*ctx, *context, (*tokens).into()),
            Call::Priority {
                ctx,
                context,
                priority,
            } => self.priority(*ctx, *context, *priority),
            Call::Clear { ctx, context } => self.clear(*ctx, *context),
            Call::Usage {
                ctx,
                context,
                used,
                capacity,
            } => self.usage(*ctx, *context, *used, *capacity),
            Call::History {
                ctx,
                context,
                output,
            } => self.history(*ctx, *context, *output),
            Call::Count {
                ctx,
                text,
                beyond,
                place,
                text_place,
            } => {
                self.count(*ctx, &text.0, *beyond, (*place, *text_place));
            }
            Call::Logging { ctx, which, place } => self.logging(*ctx, *which, *place),
            Call::Version => self.version(),
            Call::Metrics { ctx, output } => self.metrics(*ctx, *output),
        }
    }

    /// A backend with a model or two and as many contexts, or what came of trying.
    pub fn make_ready(&self, config: u8) {
        self.init(config, 0);
        self.load_file(0, 0, NO_CONFIG, None, 0);
        self.open(0, 0, 0);
        if config > 0 {
            // One beside it, which one of the two may have to sleep for.
            self.load_named(0, 0, (0, NO_CONFIG), Watch::NONE, 0);
            self.open(0, 1, 0);
        }
    }

    /// Destroys what is left; all of it is alive, since nobody else calls any more.
    pub fn leave(&self) {
        for handle in self.world.backends() {
            // SAFETY: numbers only.
            let codes = unsafe { (c::deinit_backend(handle), c::deinit_backend(handle)) };
            assert_eq!(
                codes,
                (SUCCESS, INVALID_ARGUMENT),
                "the last deinit_backend, and one more"
            );
            self.world.closed_backend(handle);
        }
    }

    fn init(&self, config: u8, pick: u8) {
        let (name, code);
        let handle = Fenced::new(size_of::<usize>());
        let (at, is_right) = place(pick, handle.at());
        match call::config(config).map(|text| Fenced::holding(text.as_bytes())) {
            Some(text) => {
                name = "init_backend_with_config";
                let len = call::config(config).map_or(0, str::len) as u32;
                // SAFETY: a place for a handle or none, a text of that length.
                code = unsafe { c::init_backend_with_config(at.cast(), text.at(), len) };
            }
            None => {
                name = "init_backend";
                // SAFETY: a place for a handle or none.
                code = unsafe { c::init_backend(at.cast()) };
            }
        }
        check_code(name, code, &[SUCCESS, INVALID_ARGUMENT]);
        check_bad(name, code, [!is_right]);
        let bytes = handle.bytes().try_into().expect("the bytes of a handle");
        match usize::from_ne_bytes(bytes) {
            given if code == SUCCESS => self.world.opened_backend(given),
            given => assert!(!is_right || given == 0, "{name} failed and gave {given:#x}"),
        }
    }

    fn deinit(&self, ctx: u8) {
        let ctx = self.world.backend(ctx);
        // SAFETY: a number.
        let code = unsafe { c::deinit_backend(ctx.handle) };
        check_code("deinit_backend", code, &[SUCCESS, INVALID_ARGUMENT]);
        check_bad("deinit_backend", code, [ctx.is_bad]);
        if code == SUCCESS {
            self.world.closed_backend(ctx.handle);
        }
        assert!(
            ctx.is_bad || !self.world.is_alone || code == SUCCESS,
            "a live backend was not destroyed"
        );
    }

    fn load_file(&self, ctx: u8, file: u8, config: u8, steps: Option<u8>, pick: u8) {
        let ctx = self.world.backend(ctx);
        let file = File::new(file);
        if file.is_model && !self.world.may_load() {
            return;
        }
        self.world.tried();
        let (path, len) = (&file.path, file.len);
        let text = call::config(config);
        let (text_at, text_len) = call::lent(text);
        let number = Fenced::new(4);
        let (at, is_right) = place(pick, number.at());
        // NULL is a way to say that the number is not wanted.
        let is_taken = is_right || at.is_null();
        let at = at.cast();
        let (name, code) = match (steps, text) {
            (Some(mut steps), _) => ("wasi_nn_load_by_name_with_progress", {
                let user_data = (&raw mut steps).cast();
                let (ctx, path) = (ctx.handle, path.at());
                // SAFETY: a path and a text of these lengths, a place or none, a callback with its own data.
                unsafe {
                    c::wasi_nn_load_by_name_with_progress(
                        ctx,
                        path,
                        len,
                        text_at,
                        text_len,
                        Some(on_progress),
                        user_data,
                        at,
                    )
                }
            }),
            (None, Some(_)) => ("load_by_name_with_config", {
                // SAFETY: a path and a text of these lengths, a place or none.
                unsafe {
                    c::load_by_name_with_config(ctx.handle, path.at(), len, text_at, text_len, at)
                }
            }),
            (None, None) => ("load_by_name", {
                // SAFETY: a path of that length or, with length 0, an address that is no memory; a place or none.
                unsafe { c::load_by_name(ctx.handle, path.at(), len, at) }
            }),
        };
        check_code(name, code, c::LOAD);
        check_bad(name, code, [ctx.is_bad, !is_taken, file.is_bad]);
        file.check(name, code);
        if let Some(graph) = check_word(name, code, &number, is_right) {
            self.world.loaded(graph, ctx.handle);
        }
    }

    fn load_bytes(&self, ctx: u8, bytes: &Bytes, hints: (u8, u8), config: u8, pick: u8) {
        if !self.world.may_load() {
            return;
        }
        self.world.tried();
        let ctx = self.world.backend(ctx);
        let model = Fenced::holding(&bytes.of(&MODEL.1));
        let text = call::config(config).unwrap_or("");
        let (model_at, is_model) = place(bytes.place, model.at());
        let size = model.bytes().len() as u32;
        let parts = [
            c::Part {
                buf: model_at,
                size,
            },
            c::Part {
                buf: text.as_ptr(),
                size: text.len() as u32,
            },
        ];
        let count = u32::from(bytes.count % 4);
        let builder = c::Parts {
            buf: parts.as_ptr(),
            size: count,
        };
        let number = Fenced::new(4);
        let (at, is_right) = place(pick, number.at());
        let (encoding, target) = (u32::from(hints.0 % 16).min(8), u32::from(hints.1 % 4));
        // Half of the numbers mean the one that works.
        let encoding = if encoding == 8 { 5 } else { encoding };
        // SAFETY: parts of these sizes, or addresses that are no memory.
        let code = unsafe { c::load(ctx.handle, &raw const builder, encoding, target, at.cast()) };
        let documented = [
            SUCCESS,
            INVALID_ARGUMENT,
            INVALID_ENCODING,
            RUNTIME_ERROR,
            UNSUPPORTED,
        ];
        check_code("load", code, &documented);
        let is_count = (1..=2).contains(&count);
        check_bad(
            "load",
            code,
            [ctx.is_bad, !is_count, !is_model, !is_right && !at.is_null()],
        );
        let is_taken = matches!(encoding, 5 | 6) && target <= 1;
        assert!(
            is_taken || code != SUCCESS,
            "load took encoding {encoding}, target {target}"
        );
        if let Some(graph) = check_word("load", code, &number, is_right) {
            self.world.loaded(graph, ctx.handle);
        }
    }

    fn unload(&self, ctx: u8) {
        let ctx = self.world.backend(ctx);
        // SAFETY: a number.
        let code = unsafe { c::wasi_nn_unload_model(ctx.handle) };
        check_code("wasi_nn_unload_model", code, &[SUCCESS, INVALID_ARGUMENT]);
        check_bad("wasi_nn_unload_model", code, [ctx.is_bad]);
    }

    fn open(&self, ctx: u8, graph: u8, pick: u8) {
        let (ctx, graph) = (self.world.backend(ctx), self.world.graph(graph));
        let number = Fenced::new(4);
        let (at, is_right) = place(pick, number.at());
        // SAFETY: a place or none.
        let code = unsafe { c::init_execution_context(ctx.handle, graph, at.cast()) };
        check_code(
            "init_execution_context",
            code,
            &[SUCCESS, INVALID_ARGUMENT, RUNTIME_ERROR],
        );
        check_bad("init_execution_context", code, [ctx.is_bad, !is_right]);
        if let Some(id) = check_word("init_execution_context", code, &number, is_right) {
            self.world.opened_context(id, false);
        }
    }

    fn open_named(&self, ctx: u8, name: u8, pick: u8) {
        const FUNCTION: &str = "init_execution_context_with_session_id";
        let ctx = self.world.backend(ctx);
        let text = match name % 8 {
            0 => b"\0".to_vec(),
            1 => [vec![b'n'; 1025], vec![0]].concat(),
            2 => b"no end".to_vec(),
            3 => vec![0xFF, 0xFE, 0],
            other => vec![b'a' + other, 0],
        };
        let text = Fenced::holding(&text);
        let number = Fenced::new(4);
        let (at, is_right) = place(pick, number.at());
        // SAFETY: a text that ends by a NUL or before memory that cannot be read; a place or none.
        let code =
            unsafe { c::init_execution_context_with_session_id(ctx.handle, text.at(), at.cast()) };
        check_code(FUNCTION, code, &[SUCCESS, INVALID_ARGUMENT, RUNTIME_ERROR]);
        check_bad(FUNCTION, code, [ctx.is_bad, !is_right, name % 8 < 3]);
        if let Some(id) = check_word(FUNCTION, code, &number, is_right) {
            self.world.opened_context(id, true);
        }
    }

    fn close(&self, ctx: u8, context: u8) {
        let code = self.on_context("close_execution_context", ctx, context, |ctx, context| {
            // SAFETY: numbers.
            unsafe { c::close_execution_context(ctx, context) }
        });
        if let Some(context) = code {
            self.world.closed_context(context);
        }
    }

    fn cancel(&self, ctx: u8, context: u8) {
        self.on_context("wasi_nn_cancel", ctx, context, |ctx, context| {
            // SAFETY: numbers.
            unsafe { c::wasi_nn_cancel(ctx, context) }
        });
    }

    fn priority(&self, ctx: u8, context: u8, priority: u8) {
        let priority = u32::from(priority % 8);
        let done = self.on_context(
            "wasi_nn_set_session_priority",
            ctx,
            context,
            |ctx, context| {
                // SAFETY: numbers.
                unsafe { c::wasi_nn_set_session_priority(ctx, context, priority) }
            },
        );
        assert!(
            done.is_none() || priority <= 3,
            "the priority {priority} was taken"
        );
    }

    /// Up to the fourth byte there are bytes.
    fn client(&self, ctx: u8, context: u8, key: &[u8; 4], length: u8) {
        let length = u32::from(length % 5);
        self.on_context("wasi_nn_set_client_key", ctx, context, |ctx, context| {
            // SAFETY: numbers and a key of at least that length.
            unsafe { c::wasi_nn_set_client_key(ctx, context, key.as_ptr() as usize, length) }
        });
    }

    fn remove_turns(&self, ctx: u8, context: u8, first: u32, count: u32) {
        let done = self.on_context("wasi_nn_remove_turns", ctx, context, |ctx, context| {
            // SAFETY: numbers.
            unsafe { c::wasi_nn_remove_turns(ctx, context, first, count) }
        });
        assert!(
            done.is_none() || count <= 10_000,
            "{count} turns from the {first} on were removed"
        );
    }

    fn overflow(&self, ctx: u8, context: u8, overflow: u32, [keep, discard]: [u32; 2]) {
        let done = self.on_context("wasi_nn_set_overflow", ctx, context, |ctx, context| {
            // SAFETY: numbers.
            unsafe { c::wasi_nn_set_overflow(ctx, context, overflow, keep, discard) }
        });
        assert!(
            done.is_none() || overflow <= 2,
            "the overflow {overflow} was taken"
        );
    }

    fn window(&self, ctx: u8, context: u8, tokens: u32) {
        self.on_context("wasi_nn_set_window", ctx, context, |ctx, context| {
            // SAFETY: numbers.
            unsafe { c::wasi_nn_set_window(ctx, context, tokens) }
        });
    }

    fn clear(&self, ctx: u8, context: u8) {
        self.on_context("wasi_nn_clear_context", ctx, context, |ctx, context| {
            // SAFETY: numbers.
            unsafe { c::wasi_nn_clear_context(ctx, context) }
        });
    }

    /// A function of a context and no memory; the context, if it succeeded.
    fn on_context(
        &self,
        function: &str,
        ctx: u8,
        context: u8,
        call: impl FnOnce(usize, u32) -> u32,
    ) -> Option<u32> {
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        let code = call(ctx.handle, context.handle);
        // Only these wait, for as long as turns of another thread run.
        let waits = matches!(function, "wasi_nn_clear_context" | "wasi_nn_remove_turns");
        let documented = [SUCCESS, INVALID_ARGUMENT, TIMEOUT];
        let count = if waits { 3 } else { 2 };
        check_code(function, code, &documented[..count]);
        check_bad(function, code, [ctx.is_bad, context.is_bad]);
        (code == SUCCESS).then_some(context.handle)
    }
}

/// Counts its `u8` down and cancels when it is used up.
unsafe extern "C" fn on_progress(user_data: *mut c_void, part: f32) -> i32 {
    assert!((0.0..=1.0).contains(&part), "progress of {part}");
    assert_ne!(user_data, null_mut());
    // SAFETY: the number that the caller of the load passed with this function.
    let left = unsafe { &mut *user_data.cast::<u8>() };
    *left = left.saturating_sub(1);
    i32::from(*left == 0)
}
