//! The C door: the functions of `include/wasi_nn_llama.h`, in the header's order.
//!
//! Each converts its arguments, calls the engine once and converts back. Nothing is decided here, and no pointer of the
//! host is trusted. The doc comment of a function is its manual page: cbindgen makes the header of it.

#![expect(
    clippy::missing_safety_doc,
    reason = "the doc comments are the C header; what a caller owes is said there in C terms"
)]

pub mod abi;
/// cbindgen:ignore
pub mod ext;

mod argument;
mod last_error;
mod registry;

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;
use std::sync::Arc;

use boundary::{Buffer, OutputSize};
use engine::{Backend, Options};

use abi::{
    Failure, backend_status_type, execution_target, graph, graph_builder_array, graph_encoding,
    graph_execution_context, tensor, tensor_data, wasi_nn_error,
};
use last_error::answer;

/// Number of this interface. It grows when a function is added to this header; none is ever changed or removed.
pub const WASI_NN_LLAMA_ABI: u32 = 1;

/// How arguments 7 and 8 of `run_inference` are taken, whatever the configuration says.
const RUN_INFERENCE_ARGS: &str = "WASI_NN_RUN_INFERENCE_ARGS";
/// What is logged as long as no configuration says anything of it.
const LOG_FILTER: &str = "RUST_LOG";

/// The largest capacity of an output buffer that a host is believed: `run_inference`, then `get_output`, whose hosts
/// leave the size undefined more often.
const RUN_BELIEVED: u32 = 1 << 30;
const GET_BELIEVED: u32 = 1 << 26;

/// Creates a backend with the default configuration.
///
/// ctx: receives the handle, or NULL on failure. It is a number, not an address: never look behind it.
///
/// Answers: invalid_argument if ctx is NULL or cannot be written.
///
/// Threads: every function of this library may be called from any thread at any time. No thread is started before the
/// first model is loaded. Destroy the backend with deinit_backend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_backend(ctx: *mut *mut c_void) -> wasi_nn_error {
    answer("init_backend", null_mut(), move || {
        // SAFETY: ctx is the caller's place for a handle.
        unsafe { open_backend(ctx, None) }
    })
}

/// Creates a backend.
///
/// ctx: receives the handle, or NULL on failure.
///
/// config, config_len: JSON text, with or without its NUL counted. NULL, length 0 and text that is not JSON mean the
/// default configuration. The text is copied.
///
/// Answers: invalid_argument if ctx is NULL or cannot be written, if config cannot be read, or if the configuration says
/// "strict": true and has an unknown key or a value out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_backend_with_config(
    ctx: *mut *mut c_void,
    config: *const c_char,
    config_len: u32,
) -> wasi_nn_error {
    answer("init_backend_with_config", null_mut(), move || {
        // SAFETY: ctx is the caller's place for a handle.
        unsafe { open_backend(ctx, Some((config, config_len))) }
    })
}

/// Destroys a backend with its models, contexts and sessions.
///
/// Running turns are cancelled and their calls answer runtime_error; this call returns when all of them have left. The
/// handle is dead from the start of the call on. A backend that is never destroyed does not disturb the end of the
/// process.
///
/// Answers: invalid_argument if ctx is NULL, unknown or destroyed already, or from a callback of this backend.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deinit_backend(ctx: *mut c_void) -> wasi_nn_error {
    answer("deinit_backend", ctx, move || {
        Ok(registry::remove(ctx)?.close()?)
    })
}

/// Loads a model from memory.
///
/// builder: one part with the bytes of a GGUF file, and perhaps a second one with a configuration as JSON. They may be
/// freed afterwards and must not change meanwhile.
///
/// encoding: ggml or autodetect. target: cpu or gpu, a hint for the default of n_gpu_layers.
///
/// g: receives the number of the model, if not NULL. Written on success only.
///
/// A model that is loaded already is replaced when the new one stands: running turns end on the old one, open contexts
/// keep their conversation and go on with the new one. If the load fails, the old one goes on serving.
///
/// Answers: invalid_argument for a bad ctx, builder or first part; invalid_encoding for another format;
/// unsupported_operation for another target; runtime_error if the engine cannot load the bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn load(
    ctx: *mut c_void,
    builder: *mut graph_builder_array,
    encoding: graph_encoding,
    target: execution_target,
    g: *mut graph,
) -> wasi_nn_error {
    answer("load", ctx, move || {
        let backend = registry::backend(ctx)?;
        let parts = argument::model_parts(builder)?;
        // SAFETY: the caller keeps the bytes unchanged during the call.
        let model = unsafe { parts.model() }?;
        // SAFETY: g is the caller's place for a number.
        let graph = unsafe { argument::optional_out(g, "g") }?;
        argument::check_encoding(encoding, model)?;
        let target = argument::target(target)?;
        let loaded = backend.load_bytes(model, parts.config.as_deref(), target)?;
        graph.map_or(Ok(()), |graph| Ok(graph.set(loaded.0)?))
    })
}

/// Loads a model from a file, with the settings of the load before or, at the first load, of the backend.
///
/// filename: path of a GGUF file, up to its first NUL or filename_len bytes; filename_len 0 means that a NUL ends it. A
/// relative path starts at the current directory.
///
/// g: receives the number of the model, if not NULL. Written on success only.
///
/// A model that is loaded already is replaced as load does it.
///
/// Answers: invalid_argument for a bad ctx, or a filename that is NULL, empty or longer than 4096 bytes; runtime_error if
/// the file is missing, unreadable or no model, or memory is short.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn load_by_name(
    ctx: *mut c_void,
    filename: *const c_char,
    filename_len: u32,
    g: *mut graph,
) -> wasi_nn_error {
    answer("load_by_name", ctx, move || {
        let backend = registry::backend(ctx)?;
        let path = argument::path(filename, filename_len)?;
        // SAFETY: g is the caller's place for a number.
        let graph = unsafe { argument::optional_out(g, "g") }?;
        let loaded = backend.load_file(&path, None, None)?;
        graph.map_or(Ok(()), |graph| Ok(graph.set(loaded.0)?))
    })
}

/// Loads a model from a file with a configuration, which replaces that of an earlier load as a whole.
///
/// config, config_len: JSON text as for init_backend_with_config. NULL or length 0 keep the settings as load_by_name
/// does.
///
/// Answers: as load_by_name; invalid_argument also for a config that cannot be read, for a grammar, schema or stop
/// pattern in it that does not compile, and, if the backend is strict, for an unknown key or a value out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn load_by_name_with_config(
    ctx: *mut c_void,
    filename: *const c_char,
    filename_len: u32,
    config: *const c_char,
    config_len: u32,
    g: *mut graph,
) -> wasi_nn_error {
    answer("load_by_name_with_config", ctx, move || {
        let backend = registry::backend(ctx)?;
        let path = argument::path(filename, filename_len)?;
        let config = argument::config(config, config_len)?;
        // SAFETY: g is the caller's place for a number.
        let graph = unsafe { argument::optional_out(g, "g") }?;
        let loaded = backend.load_file(&path, config.as_deref(), None)?;
        graph.map_or(Ok(()), |graph| Ok(graph.set(loaded.0)?))
    })
}

/// Opens a context with an empty conversation of its own.
///
/// g: a model of this backend; any other number means the model that is loaded now.
///
/// exec_ctx: receives the number of the context. Written on success only. The conversation ends with
/// close_execution_context.
///
/// Answers: invalid_argument for a bad ctx, exec_ctx NULL or no model; runtime_error if max_concurrent such contexts are
/// open and none may be reclaimed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_execution_context(
    ctx: *mut c_void,
    g: graph,
    exec_ctx: *mut graph_execution_context,
) -> wasi_nn_error {
    answer("init_execution_context", ctx, move || {
        let backend = registry::backend(ctx)?;
        // SAFETY: exec_ctx is the caller's place for a number.
        let context = unsafe { boundary::out(exec_ctx, "exec_ctx") }?;
        Ok(context.set(backend.open_context(g)?.0)?)
    })
}

/// Opens a context on the conversation with a name, which outlives the context.
///
/// session_id: the name, 1 to 1024 bytes, ended by a NUL. A name that is new begins a conversation; one that is known
/// goes on with it, and if a context is still open on it, that context is answered.
///
/// exec_ctx: receives the number of the context. Written on success only.
///
/// Answers: invalid_argument for a bad ctx, session_id or exec_ctx, or no model; runtime_error if max_sessions
/// conversations are kept and none may be dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_execution_context_with_session_id(
    ctx: *mut c_void,
    session_id: *const c_char,
    exec_ctx: *mut graph_execution_context,
) -> wasi_nn_error {
    answer("init_execution_context_with_session_id", ctx, move || {
        let backend = registry::backend(ctx)?;
        let name = argument::session_name(session_id)?;
        // SAFETY: exec_ctx is the caller's place for a number.
        let context = unsafe { boundary::out(exec_ctx, "exec_ctx") }?;
        Ok(context.set(backend.open_named_context(&name)?.0)?)
    })
}

/// Closes a context. The conversation of a named one is kept for the next context of that name, any other is dropped.
///
/// A turn that runs on it is cancelled and its call answers runtime_error.
///
/// Answers: invalid_argument for a bad ctx or a context that is unknown or closed already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close_execution_context(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
) -> wasi_nn_error {
    answer("close_execution_context", ctx, move || {
        Ok(registry::backend(ctx)?.close_context(exec_ctx)?)
    })
}

/// Gives a context the prompt for compute. The last one given counts.
///
/// index: not looked at. input: the prompt; it is copied.
///
/// Answers: invalid_argument for a bad ctx, context or tensor, or data that is NULL or cannot be read; too_large for a
/// text above 4 MiB.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn set_input(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    index: u32,
    input: *mut tensor,
) -> wasi_nn_error {
    let _ = index;
    answer("set_input", ctx, move || {
        let backend = registry::backend(ctx)?;
        // A prompt may wait for the model, so only the context must exist.
        backend.check_open(exec_ctx)?;
        Ok(backend.set_input(exec_ctx, argument::prompt(input)?)?)
    })
}

/// Runs a turn on the prompt of set_input and keeps its result for get_output. Returns when the turn has ended.
///
/// Answers: invalid_argument for a bad ctx or context, or no model; runtime_error without a prompt; otherwise as
/// run_inference.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn compute(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
) -> wasi_nn_error {
    answer("compute", ctx, move || {
        Ok(registry::backend(ctx)?.compute(exec_ctx)?)
    })
}

/// Copies the result of the last turn, whether compute or run_inference ran it, any number of times.
///
/// index: 0 for the text, 1 for its metadata as JSON (finish_reason, token counts, timings).
///
/// output, output_size: as for run_inference, except that a capacity above 64 MiB is taken for an undefined one.
///
/// Answers: invalid_argument for a bad ctx, context, index, output or output_size; runtime_error if no turn has ended
/// yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_output(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    index: u32,
    output: tensor_data,
    output_size: *mut u32,
) -> wasi_nn_error {
    answer("get_output", ctx, move || {
        // SAFETY: output_size is the caller's place for a number.
        let size = unsafe { OutputSize::take(output_size, "output_size") };
        let backend = registry::backend(ctx)?;
        let size = size?;
        let capacity = capacity(&backend, size.claimed, GET_BELIEVED);
        // SAFETY: output is the caller's buffer.
        let buffer = unsafe { boundary::buffer(output, capacity, "output") }?;
        let text = backend.output(exec_ctx, index)?;
        let written = buffer.put_cut(&text)?;
        if index == 0 && !written.whole {
            backend.mark_truncated(exec_ctx);
        }
        Ok(size.set(written.bytes)?)
    })
}

/// Runs a turn: adds the prompt to the conversation, generates the answer and copies it. Returns when the turn has ended.
///
/// index: not looked at. input: the prompt; it is copied.
///
/// output: receives the answer and a NUL. An answer that does not fit is cut after a whole character; get_output still
/// has all of it, and its metadata say "truncated": true.
///
/// output_size: on entry the capacity of output in bytes; 0 and values above 1 GiB are taken for undefined and mean 8192.
/// On success the bytes written, the NUL included, so at least 1. After an error 0, and output is untouched.
///
/// runtime_config, config_len: settings for this turn only, a JSON object of at most 1 MiB, or NULL and 0. Callers of the
/// first generation of this interface pass six arguments; whatever lies where these two would be is looked at with care
/// and counts only if it is a complete JSON object of exactly that length. The configuration key
/// backend.run_inference_args and the environment variable WASI_NN_RUN_INFERENCE_ARGS (auto, 6, 8) change that.
///
/// Answers: invalid_argument for a bad ctx, context, tensor, output or output_size, or no model; too_large for a prompt
/// above 4 MiB; prompt_tool_long or context_full if it does not fit into the context; timeout if a time limit passed;
/// runtime_error if the queue is full, the turn was cancelled or the engine failed. A failed turn leaves no trace in the
/// conversation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn run_inference(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    index: u32,
    input: *mut tensor,
    output: tensor_data,
    output_size: *mut u32,
    runtime_config: *const c_char,
    config_len: u32,
) -> wasi_nn_error {
    let _ = index;
    // The places of the last two arguments belong to the frame of a caller that passed six: nothing may write there.
    answer("run_inference", ctx, move || {
        // SAFETY: output_size is the caller's place for a number.
        let size = unsafe { OutputSize::take(output_size, "output_size") };
        let backend = registry::backend(ctx)?;
        backend.check_context(exec_ctx)?;
        let size = size?;
        let capacity = capacity(&backend, size.claimed, RUN_BELIEVED);
        // SAFETY: output is the caller's buffer.
        let buffer = unsafe { boundary::buffer(output, capacity, "output") }?;
        let text = argument::prompt(input)?;
        let mut call = || argument::runtime_config(runtime_config, config_len);
        let text = backend.run(exec_ctx, text, &mut call, None)?;
        let written = buffer.put_cut(&text)?;
        if !written.whole {
            backend.mark_truncated(exec_ctx);
        }
        Ok(size.set(written.bytes)?)
    })
}

/// Writes a report as JSON with a NUL.
///
/// type: BACKEND_STATUS_QUEUE, _MEMORY, _SESSIONS, _PERFORMANCE or _MODEL.
///
/// Answers: invalid_argument for a bad ctx or type, or a buffer that is NULL or has no bytes; too_large if the report does
/// not fit: then only a NUL is written, and the last error names the size needed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_backend_status(
    ctx: *mut c_void,
    r#type: backend_status_type,
    buffer: *mut c_char,
    buffer_size: u32,
) -> wasi_nn_error {
    answer("get_backend_status", ctx, move || {
        let backend = registry::backend(ctx)?;
        let kind = argument::status_kind(r#type)?;
        // SAFETY: buffer is the caller's.
        let buffer = unsafe { text_buffer(buffer, buffer_size) }?;
        buffer.put_whole(&backend.status(kind)?)?;
        Ok(())
    })
}

/// # Safety
/// As far as `ctx` is writable memory, it is the caller's place for a handle.
unsafe fn open_backend(
    ctx: *mut *mut c_void,
    config: Option<(*const c_char, u32)>,
) -> Result<(), Failure> {
    // SAFETY: this function's own contract.
    let handle = unsafe { boundary::out(ctx, "ctx") }?;
    handle.set(null_mut())?;
    let config = match config {
        Some((start, len)) => argument::config(start, len)?,
        None => None,
    };
    let variable = |name| std::env::var_os(name).map(|text| text.to_string_lossy().into_owned());
    let (args, filter) = (variable(RUN_INFERENCE_ARGS), variable(LOG_FILTER));
    let backend = Backend::open(Options {
        config: config.as_deref(),
        run_inference_args: args.as_deref(),
        log_filter: filter.as_deref(),
    })?;
    Ok(handle.set(registry::insert(backend)?)?)
}

/// The capacity of an output buffer, as far as its host is believed and the configuration allows.
fn capacity(backend: &Arc<Backend>, claimed: u32, believed_up_to: u32) -> usize {
    let capacity = boundary::capacity(claimed, believed_up_to);
    capacity.min(backend.max_output_bytes().unwrap_or(usize::MAX))
}

/// # Safety
/// As far as `start` is writable memory, its `size` bytes are the caller's buffer.
unsafe fn text_buffer(start: *mut c_char, size: u32) -> Result<Buffer, Failure> {
    // SAFETY: this function's own contract.
    Ok(unsafe { boundary::buffer(start.cast(), size as usize, "buffer") }?)
}
