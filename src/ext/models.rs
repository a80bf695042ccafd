//! The functions of `include/wasi_nn_llama_ext.h` about several models, in the header's order.

use std::ffi::{c_char, c_void};
use std::time::Duration;

use engine::GraphId;

use super::{put_sized, wasi_nn_progress_callback};
use crate::abi::{Failure, graph, graph_execution_context, wasi_nn_error};
use crate::last_error::answer;
use crate::{argument, registry};

/// Loads a model under a name, beside the models with other names. load_by_name and the like are about the model called
/// "default". Where there is a model of that name, the new one takes its place as load does it.
///
/// name, name_len: UTF-8 up to its first NUL or name_len bytes, 1 to 256 of them. filename, filename_len, config, config_len:
/// as for load_by_name_with_config; without a config the settings of that model's load before are kept. What a config says
/// of the whole backend (the sections backend, logging and events, and the budgets of memory) is not taken. callback, user_data: as for
/// wasi_nn_load_by_name_with_progress.
///
/// g: receives the number of the model, if not NULL. Pass it to init_execution_context or wasi_nn_use_graph.
///
/// Answers: as load_by_name_with_config; invalid_argument also for a bad name; runtime_error also if the model does not fit
/// into backend.max_model_memory_mb. Models that no turn uses are unloaded to make room and come back when they are used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_load_model(
    ctx: *mut c_void,
    name: *const c_char,
    name_len: u32,
    filename: *const c_char,
    filename_len: u32,
    config: *const c_char,
    config_len: u32,
    callback: wasi_nn_progress_callback,
    user_data: *mut c_void,
    g: *mut graph,
) -> wasi_nn_error {
    answer("wasi_nn_load_model", ctx, move || {
        let backend = registry::backend(ctx)?;
        let name = argument::model_name(name, name_len)?;
        let path = argument::path(filename, filename_len)?;
        let config = argument::config(config, config_len)?;
        let mut on_progress = progress(ctx, callback, user_data);
        let config = config.as_deref();
        // SAFETY: g is the caller's place for a number.
        unsafe {
            give_graph(g, || {
                backend.load_model(&name, &path, config, Some(&mut on_progress))
            })
        }
    })
}

/// Puts the model of a file in the place of another one. Open contexts keep their conversations and go on with the new
/// model from their next turn on; running turns end on the old one.
///
/// g: the model to replace, 0 for the current one. filename, filename_len, config, config_len, callback, user_data: as for
/// wasi_nn_load_model. new_g: receives the number of the new model, if not NULL; g is dead then.
///
/// The backend's configuration says what happens on the way: swap_mode whether both are in memory at once, swap_turns and
/// swap_drain_ms what becomes of running turns, swap_compatibility whether a model that has less to offer is refused.
/// However the call ends, a model serves afterwards and no conversation has lost anything.
///
/// Answers: as wasi_nn_load_model; invalid_argument also for a g that is not loaded here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_swap_model(
    ctx: *mut c_void,
    g: graph,
    filename: *const c_char,
    filename_len: u32,
    config: *const c_char,
    config_len: u32,
    callback: wasi_nn_progress_callback,
    user_data: *mut c_void,
    new_g: *mut graph,
) -> wasi_nn_error {
    answer("wasi_nn_swap_model", ctx, move || {
        let backend = registry::backend(ctx)?;
        let path = argument::path(filename, filename_len)?;
        let config = argument::config(config, config_len)?;
        let mut on_progress = progress(ctx, callback, user_data);
        let config = config.as_deref();
        // SAFETY: new_g is the caller's place for a number.
        unsafe {
            give_graph(new_g, || {
                backend.swap(g, &path, config, Some(&mut on_progress))
            })
        }
    })
}

/// Puts the version before in the place of a model: the file that it was loaded from, with the configuration that it had.
/// Twice, it undoes itself.
///
/// g: the model, 0 for the current one. new_g: receives the number of the model that is back, if not NULL.
///
/// Answers: as wasi_nn_swap_model; invalid_argument also where there is no version before, or it was loaded from memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_roll_back_model(
    ctx: *mut c_void,
    g: graph,
    new_g: *mut graph,
) -> wasi_nn_error {
    answer("wasi_nn_roll_back_model", ctx, move || {
        let backend = registry::backend(ctx)?;
        // SAFETY: new_g is the caller's place for a number.
        unsafe { give_graph(new_g, || backend.roll_back(g, None)) }
    })
}

/// Tells what would change if the model of a file took another one's place, without loading it: a JSON object with what
/// it is, the bytes that it needs, and property by property how it compares.
///
/// g, filename, filename_len, config, config_len: as for wasi_nn_swap_model. buffer, size: as for wasi_nn_get_history.
///
/// Answers: as wasi_nn_swap_model; too_large.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_compare_model(
    ctx: *mut c_void,
    g: graph,
    filename: *const c_char,
    filename_len: u32,
    config: *const c_char,
    config_len: u32,
    buffer: *mut c_char,
    size: *mut u32,
) -> wasi_nn_error {
    answer("wasi_nn_compare_model", ctx, move || {
        let backend = registry::backend(ctx)?;
        let path = argument::path(filename, filename_len)?;
        let config = argument::config(config, config_len)?;
        let text = || backend.compare_file(g, &path, config.as_deref());
        // SAFETY: buffer and size are the caller's.
        unsafe { put_sized(buffer, size, text) }
    })
}

/// Frees one model once its turns have ended, as wasi_nn_unload_model does with the current one.
///
/// g: the model, 0 for the current one.
///
/// Answers: invalid_argument for a bad ctx or a g that is not loaded here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_unload_graph(ctx: *mut c_void, g: graph) -> wasi_nn_error {
    answer("wasi_nn_unload_graph", ctx, move || {
        Ok(registry::backend(ctx)?.unload_graph(g)?)
    })
}

/// Lets another model answer a context from its next turn on, with the conversation as it is.
///
/// g: the model, 0 for the current one.
///
/// Answers: invalid_argument for a bad ctx or context or a g that is not loaded here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_use_graph(
    ctx: *mut c_void,
    exec_ctx: graph_execution_context,
    g: graph,
) -> wasi_nn_error {
    answer("wasi_nn_use_graph", ctx, move || {
        Ok(registry::backend(ctx)?.use_graph(exec_ctx, g)?)
    })
}

/// Begins to load a model and returns at once.
///
/// name, name_len, filename, filename_len, config, config_len: as for wasi_nn_load_model; with a name that is NULL the model
/// is the one that load_by_name loads. load: receives the number of the load, for the functions below.
///
/// Answers: invalid_argument for bad arguments. What is wrong with the file is told by wasi_nn_await_load.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_begin_load(
    ctx: *mut c_void,
    name: *const c_char,
    name_len: u32,
    filename: *const c_char,
    filename_len: u32,
    config: *const c_char,
    config_len: u32,
    load: *mut u32,
) -> wasi_nn_error {
    answer("wasi_nn_begin_load", ctx, move || {
        let backend = registry::backend(ctx)?;
        // SAFETY: load is the caller's place for a number.
        let load = unsafe { boundary::out(load, "load") }?;
        let name = match name.is_null() {
            true => None,
            false => Some(argument::model_name(name, name_len)?),
        };
        let path = argument::path(filename, filename_len)?;
        let config = argument::config(config, config_len)?;
        let begun = backend.begin_load(name.as_deref(), &path, config.as_deref())?;
        Ok(load.set(begun.0)?)
    })
}

/// Writes what a load is doing, as a JSON object with phase, progress from 0 to 1, and in the end graph or error.
///
/// buffer, size: as for wasi_nn_get_history.
///
/// Answers: invalid_argument for a bad ctx, buffer or size, or a load that is unknown or ended long ago; too_large.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_get_load(
    ctx: *mut c_void,
    load: u32,
    buffer: *mut c_char,
    size: *mut u32,
) -> wasi_nn_error {
    answer("wasi_nn_get_load", ctx, move || {
        let backend = registry::backend(ctx)?;
        // SAFETY: buffer and size are the caller's.
        unsafe { put_sized(buffer, size, || backend.load_state(load)) }
    })
}

/// Waits for the end of a load.
///
/// timeout_ms: for how long at most; 0 looks once. g: receives the number of the model, if not NULL.
///
/// Answers: what the load came to, as wasi_nn_load_model; timeout if it has not ended; invalid_argument also for a load that
/// is unknown or ended long ago.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_await_load(
    ctx: *mut c_void,
    load: u32,
    timeout_ms: u32,
    g: *mut graph,
) -> wasi_nn_error {
    answer("wasi_nn_await_load", ctx, move || {
        let backend = registry::backend(ctx)?;
        let timeout = Duration::from_millis(timeout_ms.into());
        // SAFETY: g is the caller's place for a number.
        unsafe { give_graph(g, || backend.await_load(load, timeout)) }
    })
}

/// Cancels a load. What it would have replaced goes on serving. After its end it has no effect.
///
/// Answers: invalid_argument for a bad ctx, or a load that is unknown or ended long ago.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_cancel_load(ctx: *mut c_void, load: u32) -> wasi_nn_error {
    answer("wasi_nn_cancel_load", ctx, move || {
        Ok(registry::backend(ctx)?.cancel_load(load)?)
    })
}

/// Writes the prompt that a model's chat template makes of a conversation, with a NUL. Nothing is computed and no context
/// is touched; the text can be counted, or sent as a prompt of one's own.
///
/// g: the number of a model, 0 for the current one.
///
/// messages, messages_len: a JSON array of objects with role and content; content is a text, a list of parts, or null, and
/// whatever else the template reads (tool_calls, name, reasoning_content) may stand beside it. tools, tools_len: a JSON
/// array of tools; with length 0 there are none, and tools may be NULL. options, options_len: a JSON object with
/// add_generation_prompt (true unless given), enable_thinking, tool_choice, or any other variable of the template, also
/// inside chat_template_kwargs; with length 0 there are none, and options may be NULL. Keys keep their order.
///
/// buffer, size: as for wasi_nn_get_history.
///
/// Answers: invalid_argument for a bad ctx or g, or a text that is not such JSON; runtime_error, with the template's own
/// reason as the last error, for a conversation that the template refuses; too_large; timeout and runtime_error as
/// wasi_nn_get_context_usage.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasi_nn_apply_template(
    ctx: *mut c_void,
    g: graph,
    messages: *const c_char,
    messages_len: u32,
    tools: *const c_char,
    tools_len: u32,
    options: *const c_char,
    options_len: u32,
    buffer: *mut c_char,
    size: *mut u32,
) -> wasi_nn_error {
    answer("wasi_nn_apply_template", ctx, move || {
        let backend = registry::backend(ctx)?;
        let messages = argument::plain_text(messages, messages_len)?;
        let tools = argument::plain_text(tools, tools_len)?;
        let options = argument::plain_text(options, options_len)?;
        let prompt = || backend.apply_template(g, &messages, &tools, &options);
        // SAFETY: buffer and size are the caller's.
        unsafe { put_sized(buffer, size, prompt) }
    })
}

/// Calls a host's function with the progress of a load; a host without one never cancels.
fn progress(
    ctx: *mut c_void,
    callback: wasi_nn_progress_callback,
    user_data: *mut c_void,
) -> impl FnMut(f32) -> bool {
    move |part| {
        callback.is_none_or(|callback| {
            // SAFETY: the caller's function, with arguments as its type says.
            registry::call_back(ctx, || unsafe { callback(user_data, part) }) == 0
        })
    }
}

/// Writes the number of the model that `load` gives, where the caller has a place for it.
///
/// # Safety
/// `place` is the caller's.
unsafe fn give_graph(
    place: *mut graph,
    load: impl FnOnce() -> engine::Result<GraphId>,
) -> Result<(), Failure> {
    // SAFETY: as the caller says. Before the load, which must not be done for nothing.
    let place = unsafe { argument::optional_out(place, "g") }?;
    let loaded = load()?;
    place.map_or(Ok(()), |place| Ok(place.set(loaded.0)?))
}
