//! The native-lib door: the functions that stock WAMR lacks, offered under the module of its own.
//!
//! A host that is started with this file as a native library asks for the table once and keeps it: it lies in writable
//! memory, because the host sorts it in place. The functions carry no ctx, so a handle is all that a guest needs here.

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

use crate::abi::Span;
use crate::answer::answer;
use crate::guest;
use crate::handles::Caller;
use crate::output::Output;

/// The calls of this door belong to no instance that we know.
const ANYBODY: Caller = Caller {
    maker: 0,
    is_bound: false,
};

/// A function as hosts register it. Signatures: `i` a number, `*~` a buffer and its length, `*` an address, then the
/// result.
#[repr(C)]
struct NativeSymbol {
    symbol: *const c_char,
    function: *mut c_void,
    signature: *const c_char,
    attachment: *mut c_void,
}

const _: () = assert!(size_of::<NativeSymbol>() == 32);

const COUNT: usize = 5;

/// The functions' table. We never look at it again: what the host makes of it is the host's.
struct Table(UnsafeCell<[NativeSymbol; COUNT]>);

// SAFETY: nothing of ours reads or writes it after the start; the host guards its own use.
unsafe impl Sync for Table {}

static TABLE: Table = Table(UnsafeCell::new([
    entry(c"compute_single", compute_single as *const (), c"(i)i"),
    entry(
        c"get_output_single",
        get_output_single as *const (),
        c"(ii*~*)i",
    ),
    entry(c"fini_single", fini_single as *const (), c"(i)i"),
    entry(c"unload", unload as *const (), c"(i)i"),
    entry(
        c"finalize_execution_context",
        finalize_execution_context as *const (),
        c"(i)i",
    ),
]));

const fn entry(name: &'static CStr, function: *const (), signature: &'static CStr) -> NativeSymbol {
    NativeSymbol {
        symbol: name.as_ptr(),
        function: function.cast_mut().cast(),
        signature: signature.as_ptr(),
        attachment: null_mut(),
    }
}

/// Begins the use as a native library. There is nothing to begin.
#[unsafe(no_mangle)]
pub extern "C" fn init_native_lib() -> i32 {
    0
}

/// Names the module and the functions of this door. Both stay valid, and the table writable, for the life of the
/// process.
///
/// module, symbols: receive the addresses.
///
/// Answers: the number of functions, or 0 if a place cannot be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_native_lib(
    module: *mut *mut c_char,
    symbols: *mut *mut c_void,
) -> u32 {
    let outcome = answer("get_native_lib", move || {
        // SAFETY: module is the host's place for an address.
        let module = unsafe { boundary::out(module.cast::<*mut c_void>(), "module") }?;
        // SAFETY: symbols is the host's place for an address.
        let symbols = unsafe { boundary::out(symbols, "symbols") }?;
        module.set(c"wasi_ephemeral_nn".as_ptr().cast_mut().cast())?;
        Ok(symbols.set(TABLE.0.get().cast())?)
    });
    if outcome == 0 { COUNT as u32 } else { 0 }
}

/// Ends the use as a native library. What guests made belongs to their instances.
#[unsafe(no_mangle)]
pub extern "C" fn deinit_native_lib() {}

/// Makes the next piece of a streamed answer.
extern "C" fn compute_single(_env: *mut c_void, exec_ctx: u32) -> u32 {
    answer("compute_single", move || {
        guest::compute_single(ANYBODY, exec_ctx)
    })
}

/// Copies the last piece (index 0) or the metadata (index 1).
unsafe extern "C" fn get_output_single(
    _env: *mut c_void,
    exec_ctx: u32,
    index: u32,
    out: *mut u8,
    capacity: u32,
    written: *mut u32,
) -> u32 {
    answer("get_output_single", move || {
        let buffer = Span {
            start: out,
            size: capacity,
        };
        // SAFETY: the buffer and the place for its size are the guest's.
        let output = unsafe { Output::of_guest(buffer, written) }?;
        output.put(&guest::output_single(ANYBODY, exec_ctx, index)?)
    })
}

/// Ends a streamed answer.
extern "C" fn fini_single(_env: *mut c_void, exec_ctx: u32) -> u32 {
    answer("fini_single", move || {
        guest::finish_single(ANYBODY, exec_ctx)
    })
}

/// Gives a graph back.
extern "C" fn unload(_env: *mut c_void, g: u32) -> u32 {
    answer("unload", move || guest::unload(ANYBODY, g))
}

/// Closes an execution context.
extern "C" fn finalize_execution_context(_env: *mut c_void, exec_ctx: u32) -> u32 {
    answer("finalize_execution_context", move || {
        guest::close_context(ANYBODY, exec_ctx)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_can_sort_the_table_that_it_is_given() {
        let (mut module, mut symbols) = (null_mut(), null_mut());
        // SAFETY: two places of this test.
        let count = unsafe { get_native_lib(&raw mut module, &raw mut symbols) };
        assert_eq!(count, 5);
        // SAFETY: a constant with its NUL.
        let module = unsafe { CStr::from_ptr(module) };
        assert_eq!(module, c"wasi_ephemeral_nn");
        // SAFETY: the table, which nobody else uses in this process.
        let table = unsafe { std::slice::from_raw_parts_mut(symbols.cast::<NativeSymbol>(), 5) };
        // SAFETY: constants with their NUL.
        let name = |entry: &NativeSymbol| unsafe { CStr::from_ptr(entry.symbol) };
        table.sort_by(|one, other| name(one).cmp(name(other)));
        let seen: Vec<_> = table
            .iter()
            // SAFETY: constants with their NUL.
            .map(|entry| (name(entry), unsafe { CStr::from_ptr(entry.signature) }))
            .collect();
        assert_eq!(
            seen,
            [
                (c"compute_single", c"(i)i"),
                (c"finalize_execution_context", c"(i)i"),
                (c"fini_single", c"(i)i"),
                (c"get_output_single", c"(ii*~*)i"),
                (c"unload", c"(i)i"),
            ]
        );
        assert!(table.iter().all(|entry| !entry.function.is_null()));
    }

    #[test]
    fn host_without_places_gets_no_table() {
        // SAFETY: no memory at all.
        assert_eq!(unsafe { get_native_lib(null_mut(), null_mut()) }, 0);
        assert_eq!(init_native_lib(), 0);
        deinit_native_lib();
    }
}
