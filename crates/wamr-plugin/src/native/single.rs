//! The functions that stock WAMR lacks, the same in both modules: answers piece by piece, and giving things back.

use std::ffi::c_void;

use super::call::Call;
use crate::abi::Span;
use crate::answer::answer;
use crate::guest;
use crate::output::Output;

/// Makes the next piece of a streamed answer.
pub(super) extern "C" fn compute_single(env: *mut c_void, exec_ctx: u32) -> u32 {
    answer("compute_single", move || {
        guest::compute_single(Call::of(env)?.caller, exec_ctx)
    })
}

/// Copies the last piece (index 0) or the metadata (index 1).
pub(super) unsafe extern "C" fn get_output_single(
    env: *mut c_void,
    exec_ctx: u32,
    index: u32,
    out: *mut u8,
    capacity: u32,
    written: *mut u32,
) -> u32 {
    answer("get_output_single", move || {
        let call = Call::of(env)?;
        let memory = call.room_for(written, "written")?;
        let buffer = Span {
            start: out,
            size: capacity,
        };
        // SAFETY: the buffer and the place for its size are the guest's.
        let output = unsafe { Output::of_guest(buffer, written) }?;
        let text = guest::output_single(call.caller, exec_ctx, index)?;
        Call::bounded(output, memory).put(&text)
    })
}

/// Ends a streamed answer.
pub(super) extern "C" fn fini_single(env: *mut c_void, exec_ctx: u32) -> u32 {
    answer("fini_single", move || {
        guest::finish_single(Call::of(env)?.caller, exec_ctx)
    })
}

/// Gives a graph back.
pub(super) extern "C" fn unload(env: *mut c_void, g: u32) -> u32 {
    answer("unload", move || guest::unload(Call::of(env)?.caller, g))
}

/// Closes an execution context.
pub(super) extern "C" fn finalize_execution_context(env: *mut c_void, exec_ctx: u32) -> u32 {
    answer("finalize_execution_context", move || {
        guest::close_context(Call::of(env)?.caller, exec_ctx)
    })
}
