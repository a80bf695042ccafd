//! The functions of `include/wasi_nn_llama_ext.h`, in the header's order.
//!
//! This header grows by addition only. The doc comment of a function is its manual page.

#![expect(
    non_camel_case_types,
    reason = "the names are those of the C interface"
)]

/// cbindgen:ignore
mod models;

use std::ffi::{CStr, c_char, c_void};
use std::panic::catch_unwind;

use boundary::Fault;
use engine::Error;

use crate::abi::{Failure, graph, graph_execution_context, tensor, wasi_nn_error};
use crate::last_error::{self, answer};
use crate::{argument, registry, text_buffer};

/// Takes a piece of an answer as it appears. Returns 0 to go on, anything else to end the answer here.
///
/// The piece consists of whole UTF-8 characters, is not ended by a NUL and is gone after the call. The function runs on
/// the thread that called the library. It must return normally (no exception, no longjmp), must not use the context it
/// is called for (such calls answer invalid_argument) and cannot destroy its backend.
pub type wasi_nn_piece_callback = Option<
    unsafe extern "C" fn(user_data: *mut c_void, piece: *const c_char, piece_len: u32) -> i32,
>;

/// Hears how far a load has come, from 0 to 1. Returns 0 to go on, anything else to cancel the load.
///
/// The function runs on the thread that called the library. It must return normally and cannot destroy its backend.
pub type wasi_nn_progress_callback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, progress: f32) -> i32>;

/// The versions of this interface, the library and its engine, and the devices it was built for. A static text; never
/// free it.
#[unsafe(no_mangle)]
pub extern "C" fn wasi_nn_version() -> *const c_char {
    catch_unwind(engine::version).map_or(c"".as_ptr(), CStr::as_ptr)
}

/// Writes the text of the last failure, with a NUL: function, cause, value or path. A text that does not fit is cut after
/// a whole character.
///
/// ctx: the failure of the calling thread, if it came from this backend, else the backend's latest, else an empty text.
/// NULL: the failure of the calling thread, wherever it came from; the only way to learn why an init failed. Success does
/// not clear the text, and this function never sets it.
///
/// Answers: invalid_argument for a buffer that is NULL or has no bytes, or for a ctx that is no backend and whose failure
/// was not the calling thread's last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_get_last_error(
    ctx: *mut c_void,
    buffer: *mut c_char,
    buffer_size: u32,
) -> wasi_nn_error {
    let body = move || {
        // SAFETY: buffer is the caller's.
        let buffer = unsafe { text_buffer(buffer, buffer_size) }?;
        buffer.put_cut(&last_error::text(ctx)?)?;
        Ok(())
    };
    boundary::answer(body, |_: &Failure| ())
}

/// Stops the turn of a context that runs or waits. Its call answers runtime_error.
///
/// Answers: success also if there is none; invalid_argument for a bad ctx or context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_cancel(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
) -> wasi_nn_error {
    answer("wasi_nn_cancel", ctx, move || {
        Ok(registry::backend(ctx)?.cancel(exec_ctx)?)
    })
}

/// Runs a turn as run_inference and hands its text out in pieces as they appear. Returns when the turn has ended.
///
/// Text that may still turn out to be the start of a stop string is held back. When callback ends the answer, the turn
/// counts with what was said so far, and its finish_reason is "callback". get_output has the whole text afterwards.
///
/// input, runtime_config, config_len: as for run_inference. user_data: passed to callback as it is.
///
/// Answers: as run_inference; invalid_argument also for a callback that is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_run_inference_stream(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    input: *mut tensor,
    runtime_config: *const c_char,
    config_len: u32,
    callback: wasi_nn_piece_callback,
    user_data: *mut c_void,
) -> wasi_nn_error {
    answer("wasi_nn_run_inference_stream", ctx, move || {
        let backend = registry::backend(ctx)?;
        backend.check_context(exec_ctx)?;
        let callback = callback.ok_or_else(null_callback)?;
        let text = argument::prompt(input)?;
        let mut call = || argument::runtime_config(runtime_config, config_len);
        let mut on_piece = |piece: &str| {
            let (start, len) = (piece.as_ptr().cast(), piece.len() as u32);
            // SAFETY: the caller's function, with arguments as its type says.
            registry::call_back(ctx, || unsafe { callback(user_data, start, len) }) == 0
        };
        backend.run(exec_ctx, text, &mut call, Some(&mut on_piece))?;
        Ok(())
    })
}

/// Sets how urgent the turns of a context are from now on: 0 low, 1 normal, 2 high, 3 urgent. A new context is normal.
///
/// Answers: invalid_argument for a bad ctx or context, or another priority.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_set_session_priority(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    priority: u32,
) -> wasi_nn_error {
    answer("wasi_nn_set_session_priority", ctx, move || {
        Ok(registry::backend(ctx)?.set_priority(exec_ctx, priority)?)
    })
}

/// Forgets the conversation of a context and what the model has cached of it. The context stays open. Waits for the
/// turns that run or wait on it.
///
/// Answers: invalid_argument for a bad ctx or context; timeout if those turns do not end in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_clear_context(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
) -> wasi_nn_error {
    answer("wasi_nn_clear_context", ctx, move || {
        Ok(registry::backend(ctx)?.clear(exec_ctx)?)
    })
}

/// Tells how many tokens the conversation of a context uses and how many there is room for.
///
/// used, capacity: written on success only.
///
/// Answers: invalid_argument for a bad ctx, context, used or capacity, or no model; timeout and runtime_error if the model
/// is being replaced or was unloaded to make room, and does not come.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_get_context_usage(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    used: *mut u32,
    capacity: *mut u32,
) -> wasi_nn_error {
    answer("wasi_nn_get_context_usage", ctx, move || {
        let backend = registry::backend(ctx)?;
        // SAFETY: used is the caller's place for a number.
        let used = unsafe { boundary::out(used, "used") }?;
        // SAFETY: capacity is the caller's place for a number.
        let capacity = unsafe { boundary::out(capacity, "capacity") }?;
        let usage = backend.usage(exec_ctx)?;
        used.set(usage.used)?;
        Ok(capacity.set(usage.capacity)?)
    })
}

/// Writes the conversation of a context with a NUL, as a JSON array of objects with role and content.
///
/// size: on entry the bytes of buffer, on success the bytes written. If the text does not fit, the answer is too_large,
/// only a NUL is written and size receives the bytes needed; after any other error it keeps its value.
///
/// Answers: invalid_argument for a bad ctx or context, a buffer or size that is NULL, or a size of 0; too_large.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_get_history(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    buffer: *mut c_char,
    size: *mut u32,
) -> wasi_nn_error {
    answer("wasi_nn_get_history", ctx, move || {
        let backend = registry::backend(ctx)?;
        // SAFETY: buffer and size are the caller's.
        unsafe { put_sized(buffer, size, || backend.history(exec_ctx)) }
    })
}

/// Writes a text whole, or tells the size that it needs.
///
/// # Safety
/// As far as they are writable memory, `buffer` and `size` are the caller's places for a text and for its size.
unsafe fn put_sized(
    buffer: *mut c_char,
    size: *mut u32,
    text: impl FnOnce() -> engine::Result<String>,
) -> Result<(), Failure> {
    // SAFETY: this function's own contract.
    let size = unsafe { boundary::out(size, "size") }?;
    // SAFETY: this function's own contract.
    let buffer = unsafe { text_buffer(buffer, size.present) }?;
    match buffer.put_whole(&text()?) {
        Ok(written) => Ok(size.set(written as u32)?),
        Err(fault) => {
            if let Fault::BufferTooSmall { needed, .. } = fault {
                size.set(needed as u32)?;
            }
            Err(fault.into())
        }
    }
}

/// Frees the model. Contexts stay open; their turns answer invalid_argument until a model is loaded again.
///
/// Answers: invalid_argument for a bad ctx or no model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_unload_model(ctx: *mut c_void) -> wasi_nn_error {
    answer("wasi_nn_unload_model", ctx, move || {
        Ok(registry::backend(ctx)?.unload()?)
    })
}

/// Counts the tokens that the model makes of a text, without template and without a beginning-of-text token.
///
/// text, len: up to its first NUL or len bytes; with len 0 it is empty and may be NULL. count: written on success only.
///
/// Answers: invalid_argument for a bad ctx, text or count, or no model; too_large for a text above 4 MiB; timeout and
/// runtime_error as wasi_nn_get_context_usage.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_count_tokens(
    ctx: *mut c_void,
    text: *const c_char,
    len: u32,
    count: *mut u32,
) -> wasi_nn_error {
    answer("wasi_nn_count_tokens", ctx, move || {
        let backend = registry::backend(ctx)?;
        // SAFETY: count is the caller's place for a number.
        let count = unsafe { boundary::out(count, "count") }?;
        let text = argument::plain_text(text, len)?;
        Ok(count.set(backend.count_tokens(&text)?)?)
    })
}

/// Loads a model as load_by_name_with_config and tells callback how far it has come.
///
/// callback: may be NULL. When it cancels, the answer is runtime_error with the last error "load cancelled", and a model
/// that was loaded before goes on serving. user_data: passed to callback as it is.
///
/// Answers: as load_by_name_with_config.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_load_by_name_with_progress(
    ctx: *mut c_void,
    filename: *const c_char,
    filename_len: u32,
    config: *const c_char,
    config_len: u32,
    callback: wasi_nn_progress_callback,
    user_data: *mut c_void,
    g: *mut graph,
) -> wasi_nn_error {
    answer("wasi_nn_load_by_name_with_progress", ctx, move || {
        let backend = registry::backend(ctx)?;
        let path = argument::path(filename, filename_len)?;
        let config = argument::config(config, config_len)?;
        // SAFETY: g is the caller's place for a number.
        let graph = unsafe { argument::optional_out(g, "g") }?;
        let mut on_progress = |progress: f32| {
            callback.is_none_or(|callback| {
                // SAFETY: the caller's function, with arguments as its type says.
                registry::call_back(ctx, || unsafe { callback(user_data, progress) }) == 0
            })
        };
        let loaded = backend.load_file(&path, config.as_deref(), Some(&mut on_progress))?;
        graph.map_or(Ok(()), |graph| Ok(graph.set(loaded.0)?))
    })
}

fn null_callback() -> Failure {
    Error::InvalidArgument("callback is NULL".to_owned()).into()
}

/// Says on whose account the turns of a context run from now on. Contexts with the same key are one client: while
/// several clients of one priority have work, each gets an equal share of the engine, however many contexts it has.
/// Without a key every conversation is its own client.
///
/// key, len: up to its first NUL or len bytes, at most 1024; with len 0 the context is its own client again, and
/// key may be NULL.
///
/// Answers: invalid_argument for a bad ctx, context or key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_set_client_key(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    key: *const c_char,
    len: u32,
) -> wasi_nn_error {
    answer("wasi_nn_set_client_key", ctx, move || {
        let backend = registry::backend(ctx)?;
        let key = argument::name(key, len)?;
        Ok(backend.set_client(exec_ctx, &key)?)
    })
}

/// Forgets turns of a conversation: a user's message and its answer are one turn, and the oldest is number 0. What they
/// said has no effect on later answers. Waits for the turns that run or wait on the context.
///
/// Answers: invalid_argument for a bad ctx or context, or turns that the conversation does not have; timeout if those turns
/// do not end in time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_remove_turns(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    first: u32,
    count: u32,
) -> wasi_nn_error {
    answer("wasi_nn_remove_turns", ctx, move || {
        Ok(registry::backend(ctx)?.remove_turns(exec_ctx, first, count)?)
    })
}

/// Sets what happens when the conversation of a context outgrows the room that it has, from its next turn on.
///
/// overflow: 0 as configured; 1 (shift) the oldest turns are dropped; 2 (error) the turn answers context_full. keep_tokens:
/// tokens at the start that are never dropped, discard_tokens: tokens that go at once at least, 0 for half of what may be
/// dropped; UINT32_MAX is as configured.
///
/// Answers: invalid_argument for a bad ctx or context, another overflow, or more than 1048576 tokens.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_set_overflow(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    overflow: u32,
    keep_tokens: u32,
    discard_tokens: u32,
) -> wasi_nn_error {
    answer("wasi_nn_set_overflow", ctx, move || {
        let backend = registry::backend(ctx)?;
        let overflow = argument::overflow(overflow)?;
        let keep = argument::token_count(keep_tokens, "keep_tokens")?;
        let discard = argument::token_count(discard_tokens, "discard_tokens")?;
        let change = |memory: &mut engine::SessionMemory| {
            memory.overflow = overflow;
            memory.keep = keep;
            memory.discard = discard;
        };
        Ok(backend.set_memory(exec_ctx, change)?)
    })
}

/// Holds the conversation of a context to a sliding window, from its next turn on: history and new message together have
/// at most so many tokens, and as many of the oldest turns go as that takes, those that are kept excepted. A message that
/// is longer than the window runs without the others.
///
/// tokens: 0 ends the window.
///
/// Answers: invalid_argument for a bad ctx or context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_set_window(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    tokens: u32,
) -> wasi_nn_error {
    answer("wasi_nn_set_window", ctx, move || {
        let backend = registry::backend(ctx)?;
        let change = |memory: &mut engine::SessionMemory| {
            memory.window = (tokens > 0).then_some(tokens);
        };
        Ok(backend.set_memory(exec_ctx, change)?)
    })
}

/// Changes what this backend logs, where and how, from now on.
///
/// config: the keys of the section "logging" as a JSON object of len bytes, such as {"level": "debug"}, perhaps inside
/// {"logging": ...}. A key that is left out stays as it is. A later load with a "logging" section of its own replaces
/// the change.
///
/// Answers: invalid_argument for a bad ctx, a config that is NULL, empty, unreadable or no JSON object, and, if the
/// backend is strict, for an unknown key or a value out of range; then nothing changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_set_logging(
    ctx: *mut c_void,
    config: *const c_char,
    len: u32,
) -> wasi_nn_error {
    answer("wasi_nn_set_logging", ctx, move || {
        let backend = registry::backend(ctx)?;
        let config = argument::config(config, len)?;
        Ok(backend.set_logging(&config.unwrap_or_default())?)
    })
}

/// Writes the figures of get_backend_status with a NUL, as text for Prometheus (exposition format 0.0.4), about 20 KiB.
/// Never waits for a turn.
///
/// size: on entry the bytes of buffer, on success the bytes written. If the text does not fit, the answer is too_large,
/// only a NUL is written and size receives the bytes needed; after any other error it keeps its value. Figures move
/// between two calls, so leave some room beyond what was needed.
///
/// Answers: invalid_argument for a bad ctx, a buffer or size that is NULL, or a size of 0; too_large.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_get_metrics(
    ctx: *mut c_void,
    buffer: *mut c_char,
    size: *mut u32,
) -> wasi_nn_error {
    answer("wasi_nn_get_metrics", ctx, move || {
        let backend = registry::backend(ctx)?;
        // SAFETY: buffer and size are the caller's.
        unsafe { put_sized(buffer, size, || backend.metrics()) }
    })
}
