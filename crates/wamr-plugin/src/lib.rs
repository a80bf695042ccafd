//! The WAMR door: the nine functions of a wasi-nn backend as hosts look them up, for guests in WebAssembly.
//!
//! Each converts its arguments, calls `guest` once and converts back. Nothing is decided here. Hosts of two generations
//! use the same names with different structs (`abi`); which one this process is, `host` finds out. Everything that a
//! guest can reach may be unaligned, wrong or change during the call: it is copied through the kernel, once, and the
//! copy is judged.
//!
//! All functions return a number of `abi`, may be called from any thread at any time, on stacks of 128 KiB, and write to
//! stdout only what a guest streams there (`stream-stdout`).

#![expect(
    clippy::missing_safety_doc,
    reason = "the callers are hosts in C, which know these functions by name; no pointer is trusted"
)]

mod native;

mod abi;
mod answer;
mod argument;
mod config;
mod evidence;
mod failure;
mod guest;
mod handles;
mod host;
mod input;
mod instances;
mod misses;
mod names;
mod output;
mod plain;

use std::ffi::{c_char, c_void};

use answer::answer;
use output::Output;

/// The tensor that carries settings instead of a prompt.
const METADATA: u32 = 1;

/// Below this a pointer is none: no page is mapped there.
const LEAST_ADDRESS: usize = 4096;

/// Begins an instance of a module.
///
/// ctx: receives what stands for it, a number and not an address.
///
/// Starts no thread, loads nothing, and opens no log. What is made through the ctx goes with `deinit_backend`.
///
/// Answers: invalid_argument if ctx cannot be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_backend(ctx: *mut *mut c_void) -> u32 {
    answer("init_backend", move || {
        // SAFETY: ctx is the host's place for a handle.
        let place = unsafe { boundary::out(ctx, "ctx") }?;
        Ok(place.set(instances::open()?)?)
    })
}

/// Ends an instance: running turns are cancelled, its contexts and graphs freed.
///
/// Answers: invalid_argument if ctx is NULL, unknown or has ended already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deinit_backend(ctx: *mut c_void) -> u32 {
    answer("deinit_backend", move || {
        guest::end_instance(instances::close(ctx)?);
        Ok(())
    })
}

/// Loads a model that the guest has in its memory.
///
/// builder: the bytes of a GGUF file, and perhaps a config as JSON behind it. encoding: 5 or 6. target: any.
///
/// g: receives the graph, on success only.
///
/// Answers: invalid_encoding for another encoding and for bytes that do not begin with GGUF, before anything else is
/// read; too_large above the limit for such models; otherwise as `load_by_name_with_config`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn load(
    ctx: *mut c_void,
    builder: *const c_void,
    encoding: u32,
    _target: u32,
    g: *mut u32,
) -> u32 {
    answer("load", move || {
        let caller = instances::caller(ctx, host::verdict().abi)?;
        argument::check_encoding(encoding)?;
        let parts = argument::ModelParts::read(builder.cast())?;
        // SAFETY: g is the host's place for a number.
        let place = unsafe { boundary::out(g, "g") }?;
        let config = parts.config()?;
        let bytes = parts.model_bytes(host::max_model_bytes())?;
        let room = guest::may_load_bytes(caller.maker, bytes)?;
        let graph = guest::load_bytes(caller.maker, parts.model()?, room, config)?;
        instances::check_open(ctx, caller)?;
        Ok(place.set(graph)?)
    })
}

/// Loads a model by its name or path, with default settings.
///
/// fourth: the place for the graph, or, in hosts with a change that is pending, the target; then fifth is the place.
/// Other hosts pass four arguments, and the fifth is whatever the register held.
///
/// Answers: as `load_by_name_with_config`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn load_by_name(
    ctx: *mut c_void,
    name: *const c_char,
    name_len: u32,
    fourth: *mut u32,
    fifth: *mut u32,
) -> u32 {
    answer("load_by_name", move || {
        let is_target = fourth.addr() < LEAST_ADDRESS;
        let g = if is_target { fifth } else { fourth };
        let caller = instances::caller(ctx, host::verdict().abi)?;
        let name = argument::name(name, name_len)?;
        // SAFETY: g is the host's place for a number.
        let place = unsafe { boundary::out(g, "g") }?;
        let graph = guest::load_by_name(caller.maker, &name, None)?;
        instances::check_open(ctx, caller)?;
        Ok(place.set(graph)?)
    })
}

/// Loads a model by its name or path.
///
/// config, config_len: settings as a JSON object; length 0 means none.
///
/// g: receives the graph, on success only.
///
/// Answers: invalid_argument for a bad ctx, name, config or place, and for a setting of the wrong type or range;
/// invalid_encoding for a config that is no JSON; not_found for a name or path that guests may not use; model_not_found
/// for a missing file; unsupported_operation and runtime_error as the engine says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn load_by_name_with_config(
    ctx: *mut c_void,
    name: *const c_char,
    name_len: u32,
    config: *const c_char,
    config_len: u32,
    g: *mut u32,
) -> u32 {
    answer("load_by_name_with_config", move || {
        let caller = instances::caller(ctx, host::verdict().abi)?;
        let name = argument::name(name, name_len)?;
        let config = argument::config(config, config_len)?;
        // SAFETY: g is the host's place for a number.
        let place = unsafe { boundary::out(g, "g") }?;
        let graph = guest::load_by_name(caller.maker, &name, config)?;
        instances::check_open(ctx, caller)?;
        Ok(place.set(graph)?)
    })
}

/// Opens an execution context on a graph.
///
/// exec_ctx: receives the context, on success only.
///
/// Answers: not_found for a graph that is unknown or unloaded; invalid_argument for a bad ctx or place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn init_execution_context(
    ctx: *mut c_void,
    g: u32,
    exec_ctx: *mut u32,
) -> u32 {
    answer("init_execution_context", move || {
        let caller = instances::caller(ctx, host::verdict().abi)?;
        // SAFETY: exec_ctx is the host's place for a number.
        let place = unsafe { boundary::out(exec_ctx, "exec_ctx") }?;
        let context = guest::open_context(caller, g)?;
        instances::check_open(ctx, caller)?;
        Ok(place.set(context)?)
    })
}

/// Gives a context settings (index 1) or its prompt (any other index), and runs nothing.
///
/// t: a tensor of any type; its length is found as `input` says.
///
/// Answers: invalid_argument for a bad ctx, context or tensor, and for a prompt that is not UTF-8; for settings as
/// `load_by_name_with_config`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn set_input(
    ctx: *mut c_void,
    exec_ctx: u32,
    index: u32,
    t: *const c_void,
) -> u32 {
    answer("set_input", move || {
        let host = host::verdict();
        let caller = instances::caller(ctx, host.abi)?;
        let bytes = input::copy(t.cast(), host)?;
        match index {
            METADATA => guest::set_metadata(caller, exec_ctx, bytes),
            _ => guest::set_prompt(caller, exec_ctx, input::text(bytes)?),
        }
    })
}

/// Runs a turn on the prompt, until it ends.
///
/// Answers: invalid_argument for a bad ctx or context, or without a prompt; context_full and prompt_tool_long where the
/// context has no more room; runtime_error if the engine failed or the turn was cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn compute(ctx: *mut c_void, exec_ctx: u32) -> u32 {
    answer("compute", move || {
        let caller = instances::caller(ctx, host::verdict().abi)?;
        guest::compute(caller, exec_ctx)
    })
}

/// Copies the text of the turn (index 0) or its metadata as JSON (index 1), any number of times.
///
/// out, out_size: as `output` says.
///
/// Answers: too_large if the buffer is smaller: then the size needed is in out_size and the buffer as it was;
/// invalid_argument for a bad ctx, context, index or place; unsupported_operation where nothing shows which host this is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_output(
    ctx: *mut c_void,
    exec_ctx: u32,
    index: u32,
    out: *mut c_void,
    out_size: *mut u32,
) -> u32 {
    answer("get_output", move || {
        let host = host::verdict_on_output(out.cast());
        let caller = instances::caller(ctx, host.abi)?;
        let form = host::output_form(host)?;
        // SAFETY: buffer and size are the host's, in the form of its generation.
        let output = unsafe { Output::of_host(form, out.cast(), out_size) }?;
        output.put(&guest::output(caller, exec_ctx, index)?)
    })
}
