//! The functions that WAMR has itself, answered from the guest's own records: those that both modules share, and those
//! of which each has its own form.
//!
//! Every address was made by the host of an offset of the guest, and one byte was checked there. What lies behind it is
//! checked here.

use std::ffi::c_void;

use super::call::Call;
use super::record;
use crate::abi::{Abi, Span};
use crate::answer::answer;
use crate::failure::Failure;
use crate::output::Output;
use crate::{argument, guest};

/// Loads a model in the guest's memory: `count` builders from `builder` on.
pub(super) unsafe extern "C" fn load(
    env: *mut c_void,
    builder: *mut u8,
    count: u32,
    encoding: u32,
    _target: u32,
    g: *mut u32,
) -> u32 {
    answer("load", move || {
        let call = Call::of(env)?;
        argument::check_encoding(encoding)?;
        let parts = record::parts(&call.memory(builder, "builder")?, builder, count)?;
        call.room_for(g, "g")?;
        // SAFETY: g is the guest's place for a number.
        let place = unsafe { boundary::out(g, "g") }?;
        Ok(place.set(call.load(&parts)?)?)
    })
}

/// Loads a model in the guest's memory, as guests of `wasi_nn` write it.
pub(super) unsafe extern "C" fn legacy_load(
    env: *mut c_void,
    builders: *mut u8,
    encoding: u32,
    _target: u32,
    g: *mut u32,
) -> u32 {
    answer("load", move || {
        let call = Call::of(env)?;
        argument::check_encoding(encoding)?;
        let parts = record::legacy_parts(&call.memory(builders, "builder")?, builders)?;
        call.room_for(g, "g")?;
        // SAFETY: g is the guest's place for a number.
        let place = unsafe { boundary::out(g, "g") }?;
        Ok(place.set(call.load(&parts)?)?)
    })
}

/// Loads a model by its name or path.
pub(super) unsafe extern "C" fn load_by_name(
    env: *mut c_void,
    name: *mut u8,
    name_len: u32,
    g: *mut u32,
) -> u32 {
    answer("load_by_name", move || {
        let call = Call::of(env)?;
        // SAFETY: g is the guest's place for a number.
        unsafe { load_named(&call, (name, name_len), None, g) }
    })
}

/// Loads a model by its name or path, with settings.
pub(super) unsafe extern "C" fn load_by_name_with_config(
    env: *mut c_void,
    name: *mut u8,
    name_len: u32,
    config: *mut u8,
    config_len: u32,
    g: *mut u32,
) -> u32 {
    answer("load_by_name_with_config", move || {
        let call = Call::of(env)?;
        // SAFETY: g is the guest's place for a number.
        unsafe { load_named(&call, (name, name_len), Some((config, config_len)), g) }
    })
}

/// # Safety
/// `g` is the guest's place for a number.
unsafe fn load_named(
    call: &Call,
    name: (*mut u8, u32),
    config: Option<(*mut u8, u32)>,
    g: *mut u32,
) -> Result<(), Failure> {
    let memory = call.memory(g.cast(), "g")?;
    call.room_for(g, "g")?;
    // SAFETY: this function's own contract.
    let place = unsafe { boundary::out(g, "g") }?;
    let span = |(start, size)| Span { start, size };
    let graph = call.load_by_name(&memory, span(name), config.map(span))?;
    Ok(place.set(graph)?)
}

/// Opens an execution context on a graph.
pub(super) unsafe extern "C" fn init_execution_context(
    env: *mut c_void,
    g: u32,
    exec_ctx: *mut u32,
) -> u32 {
    answer("init_execution_context", move || {
        let call = Call::of(env)?;
        call.room_for(exec_ctx, "exec_ctx")?;
        // SAFETY: exec_ctx is the guest's place for a number.
        let place = unsafe { boundary::out(exec_ctx, "exec_ctx") }?;
        let context = call.made(guest::open_context(call.caller, g)?)?;
        Ok(place.set(context)?)
    })
}

/// Gives a context settings (index 1) or its prompt, as long as its tensor says.
pub(super) extern "C" fn set_input(
    env: *mut c_void,
    exec_ctx: u32,
    index: u32,
    tensor: *mut u8,
) -> u32 {
    answer("set_input", move || {
        let call = Call::of(env)?;
        let bytes = record::tensor(&call.memory(tensor, "tensor")?, tensor)?;
        call.set_input(exec_ctx, index, bytes)
    })
}

/// As `set_input`, of a tensor of `wasi_nn`.
pub(super) extern "C" fn legacy_set_input(
    env: *mut c_void,
    exec_ctx: u32,
    index: u32,
    tensor: *mut u8,
) -> u32 {
    answer("set_input", move || {
        let call = Call::of(env)?;
        let bytes = record::legacy_tensor(&call.memory(tensor, "tensor")?, tensor)?;
        call.set_input(exec_ctx, index, bytes)
    })
}

/// Runs a turn on the prompt.
pub(super) extern "C" fn compute(env: *mut c_void, exec_ctx: u32) -> u32 {
    answer("compute", move || {
        guest::compute(Call::of(env)?.caller, exec_ctx)
    })
}

/// Copies the text (index 0) or the metadata (index 1) into `capacity` bytes.
pub(super) unsafe extern "C" fn get_output(
    env: *mut c_void,
    exec_ctx: u32,
    index: u32,
    out: *mut u8,
    capacity: u32,
    size: *mut u32,
) -> u32 {
    answer("get_output", move || {
        let call = Call::of(env)?;
        let memory = call.room_for(size, "size")?;
        let buffer = Span {
            start: out,
            size: capacity,
        };
        // SAFETY: the buffer and the place for its size are the guest's.
        let output = unsafe { Output::of_guest(buffer, size) }?;
        let text = guest::output(call.caller, exec_ctx, index)?;
        Call::bounded(output, memory).put(&text)
    })
}

/// As `get_output`, with the capacity in the place of the size.
pub(super) unsafe extern "C" fn legacy_get_output(
    env: *mut c_void,
    exec_ctx: u32,
    index: u32,
    out: *mut u8,
    size: *mut u32,
) -> u32 {
    answer("get_output", move || {
        let call = Call::of(env)?;
        let memory = call.room_for(size, "size")?;
        // SAFETY: the buffer and the place for its size are the guest's; A has the same form.
        let output = unsafe { Output::of_host(Abi::A, out, size) }?;
        let text = guest::output(call.caller, exec_ctx, index)?;
        Call::bounded(output, memory).put(&text)
    })
}
