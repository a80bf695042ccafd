//! The native-lib door: all functions of both modules of wasi-nn, answered by the plugin itself.
//!
//! A host that is started with this file as a native library asks for the table of one module once and keeps it; that
//! of the other module is offered to it through WAMR's own function. What is registered later is found first, so that
//! guests call these functions instead of the host's: in them it is known who calls (`runtime`), and a prompt is as
//! long as the guest's own record says (`record`). A host that exports nothing of WAMR gets the five functions that
//! stock WAMR lacks, and keeps its own.
//!
//! The tables lie in writable memory, because the host sorts them in place.

mod call;
mod memory;
mod record;
mod runtime;
mod single;
mod whole;

use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

use crate::answer::answer;
use crate::guest;

pub(crate) use runtime::found as runtime;

/// The standard's module, which the host is told to register.
const MODULE: &CStr = c"wasi_ephemeral_nn";
/// The older one of WAMR.
const LEGACY_MODULE: &CStr = c"wasi_nn";

/// A function as hosts register it. Signatures: `i` a number, `*~` a buffer and its length, `*` an address, then the
/// result.
#[repr(C)]
pub(crate) struct NativeSymbol {
    symbol: *const c_char,
    function: *mut c_void,
    signature: *const c_char,
    attachment: *mut c_void,
}

const _: () = assert!(size_of::<NativeSymbol>() == 32);

/// A module's table. We never look at it again: what the host makes of it is the host's.
struct Table<const COUNT: usize>(UnsafeCell<[NativeSymbol; COUNT]>);

// SAFETY: nothing of ours reads or writes it after the start; the host guards its own use.
unsafe impl<const COUNT: usize> Sync for Table<COUNT> {}

impl<const COUNT: usize> Table<COUNT> {
    fn start(&'static self) -> (*mut NativeSymbol, u32) {
        (self.0.get().cast(), COUNT as u32)
    }
}

const fn entry(name: &'static CStr, function: *const (), signature: &'static CStr) -> NativeSymbol {
    NativeSymbol {
        symbol: name.as_ptr(),
        function: function.cast_mut().cast(),
        signature: signature.as_ptr(),
        attachment: null_mut(),
    }
}

/// The functions that stock WAMR lacks, alone or with those of a module.
macro_rules! table {
    ($(($name:literal, $function:path, $signature:literal),)*) => {
        Table(UnsafeCell::new([
            $(entry($name, $function as *const (), $signature),)*
            entry(c"compute_single", single::compute_single as *const (), c"(i)i"),
            entry(c"get_output_single", single::get_output_single as *const (), c"(ii*~*)i"),
            entry(c"fini_single", single::fini_single as *const (), c"(i)i"),
            entry(c"unload", single::unload as *const (), c"(i)i"),
            entry(
                c"finalize_execution_context",
                single::finalize_execution_context as *const (),
                c"(i)i",
            ),
        ]))
    };
}

static SINGLE: Table<5> = table!();

static WHOLE: Table<12> = table!(
    (c"load", whole::load, c"(*iii*)i"),
    (c"load_by_name", whole::load_by_name, c"(*i*)i"),
    (
        c"load_by_name_with_config",
        whole::load_by_name_with_config,
        c"(*i*i*)i"
    ),
    (
        c"init_execution_context",
        whole::init_execution_context,
        c"(i*)i"
    ),
    (c"set_input", whole::set_input, c"(ii*)i"),
    (c"compute", whole::compute, c"(i)i"),
    (c"get_output", whole::get_output, c"(ii*i*)i"),
);

static LEGACY: Table<12> = table!(
    (c"load", whole::legacy_load, c"(*ii*)i"),
    (c"load_by_name", whole::load_by_name, c"(*i*)i"),
    (
        c"load_by_name_with_config",
        whole::load_by_name_with_config,
        c"(*i*i*)i"
    ),
    (
        c"init_execution_context",
        whole::init_execution_context,
        c"(i*)i"
    ),
    (c"set_input", whole::legacy_set_input, c"(ii*)i"),
    (c"compute", whole::compute, c"(i)i"),
    (c"get_output", whole::legacy_get_output, c"(ii**)i"),
);

/// Begins the use as a native library. There is nothing to begin.
#[unsafe(no_mangle)]
pub extern "C" fn init_native_lib() -> i32 {
    0
}

/// Names a module and its functions. Both stay valid, and the table writable, for the life of the process. Called while
/// the host has no module instances.
///
/// module, symbols: receive the addresses.
///
/// Answers: the number of functions, or 0 if a place cannot be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn get_native_lib(
    module: *mut *mut c_char,
    symbols: *mut *mut c_void,
) -> u32 {
    let mut count = 0;
    let outcome = answer("get_native_lib", || {
        // SAFETY: module is the host's place for an address.
        let module = unsafe { boundary::out(module.cast::<*mut c_void>(), "module") }?;
        // SAFETY: symbols is the host's place for an address.
        let symbols = unsafe { boundary::out(symbols, "symbols") }?;
        let (table, functions) = offered();
        module.set(MODULE.as_ptr().cast_mut().cast())?;
        symbols.set(table.cast())?;
        count = functions;
        Ok(())
    });
    if outcome == 0 { count } else { 0 }
}

/// The functions for the host to register; those of the other module go with them where that can be done.
fn offered() -> (*mut NativeSymbol, u32) {
    let Some(runtime) = runtime::look() else {
        let text = "native library: the host exports no functions of WAMR, so that handles are not bound to instances \
                    and lengths of prompts are the host's; link it with its symbols exported";
        guest::note(log::Level::Warn, text);
        return SINGLE.start();
    };
    let (legacy, count) = LEGACY.start();
    if !runtime.offer(LEGACY_MODULE, legacy, count) {
        let text = "native library: the host takes no functions for the module wasi_nn";
        guest::note(log::Level::Warn, text);
    }
    WHOLE.start()
}

/// Ends the use as a native library. What guests made belongs to their instances.
#[unsafe(no_mangle)]
pub extern "C" fn deinit_native_lib() {
    answer("deinit_native_lib", || {
        if let Some(runtime) = runtime::found() {
            runtime.withdraw(LEGACY_MODULE, LEGACY.start().0);
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and signatures of a table, in the order in which a host sorts them.
    fn sorted(table: (*mut NativeSymbol, u32)) -> Vec<(&'static CStr, &'static CStr)> {
        // SAFETY: a table of this module, which nobody else uses in this process.
        let table = unsafe { std::slice::from_raw_parts_mut(table.0, table.1 as usize) };
        // SAFETY: constants with their NUL.
        let name = |entry: &NativeSymbol| unsafe { CStr::from_ptr(entry.symbol) };
        table.sort_by(|one, other| name(one).cmp(name(other)));
        assert!(table.iter().all(|entry| !entry.function.is_null()));
        table
            .iter()
            // SAFETY: constants with their NUL.
            .map(|entry| (name(entry), unsafe { CStr::from_ptr(entry.signature) }))
            .collect()
    }

    #[test]
    fn a_host_that_shows_nothing_gets_what_it_lacks_and_can_sort_it() {
        let (mut module, mut symbols) = (null_mut(), null_mut());
        // SAFETY: two places of this test.
        let count = unsafe { get_native_lib(&raw mut module, &raw mut symbols) };
        // SAFETY: a constant with its NUL.
        assert_eq!(unsafe { CStr::from_ptr(module) }, MODULE);
        assert_eq!(
            sorted((symbols.cast(), count)),
            [
                (c"compute_single", c"(i)i"),
                (c"finalize_execution_context", c"(i)i"),
                (c"fini_single", c"(i)i"),
                (c"get_output_single", c"(ii*~*)i"),
                (c"unload", c"(i)i"),
            ]
        );
    }

    #[test]
    fn both_modules_have_all_functions_in_the_form_of_their_guests() {
        let (whole, legacy) = (sorted(WHOLE.start()), sorted(LEGACY.start()));
        let differs: Vec<_> = whole.iter().zip(&legacy).filter(|(a, b)| a != b).collect();
        assert_eq!(
            differs,
            [
                (&(c"get_output", c"(ii*i*)i"), &(c"get_output", c"(ii**)i")),
                (&(c"load", c"(*iii*)i"), &(c"load", c"(*ii*)i")),
            ]
        );
        let names: Vec<_> = whole.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                c"compute",
                c"compute_single",
                c"finalize_execution_context",
                c"fini_single",
                c"get_output",
                c"get_output_single",
                c"init_execution_context",
                c"load",
                c"load_by_name",
                c"load_by_name_with_config",
                c"set_input",
                c"unload",
            ]
        );
    }

    #[test]
    fn host_without_places_gets_no_table() {
        // SAFETY: no memory at all.
        assert_eq!(unsafe { get_native_lib(null_mut(), null_mut()) }, 0);
        assert_eq!(init_native_lib(), 0);
        deinit_native_lib();
    }
}
