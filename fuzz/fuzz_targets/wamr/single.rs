//! The native functions: streamed answers, giving back, and the table in which a host finds them.

use std::ffi::{CStr, c_char};

use crate::abi::{
    self, END_OF_SEQUENCE, INVALID_ARGUMENT, NOT_FOUND, Native, OfHandle, OfPiece, RUNTIME_ERROR,
    SUCCESS,
};
use crate::call::Output;
use crate::host::{Case, Host};

/// Functions in the table.
const COUNT: usize = 5;

/// One of them.
#[repr(C)]
struct Symbol {
    name: *const c_char,
    function: usize,
    signature: *const c_char,
    attachment: usize,
}

/// The native functions, found by name as a host does it.
pub fn table() -> Native {
    let (mut module, mut symbols) = (0usize, 0usize);
    let (module_at, symbols_at) = ((&raw mut module), (&raw mut symbols));
    // SAFETY: two places for addresses.
    let count = unsafe {
        assert_eq!(abi::init_native_lib(), 0);
        abi::get_native_lib(
            module_at.expose_provenance(),
            symbols_at.expose_provenance(),
        )
    };
    assert_eq!(count as usize, COUNT);
    // SAFETY: the library wrote the address; it is read as a host reads it.
    let symbols = unsafe { symbols_at.read_volatile() };
    let first = std::ptr::with_exposed_provenance::<Symbol>(symbols);
    // SAFETY: a table of that many entries that lives as long as the process.
    let symbols = unsafe { std::slice::from_raw_parts(first, COUNT) };
    let find = |wanted: &CStr| {
        // SAFETY: texts with a NUL that live as long as the process.
        let found = symbols
            .iter()
            .find(|s| unsafe { CStr::from_ptr(s.name) } == wanted);
        found.expect("a function of the manual").function
    };
    // SAFETY: functions of one handle.
    let of_handle = |name| unsafe { std::mem::transmute::<usize, OfHandle>(find(name)) };
    Native {
        compute_single: of_handle(c"compute_single"),
        // SAFETY: the function of this type.
        get_output_single: unsafe {
            std::mem::transmute::<usize, OfPiece>(find(c"get_output_single"))
        },
        fini_single: of_handle(c"fini_single"),
        unload: of_handle(c"unload"),
        finalize: of_handle(c"finalize_execution_context"),
    }
}

impl Host<'_> {
    /// Some pieces of an answer. Every success is a piece, and the end is one for good.
    pub fn compute_single(&self, context: u8, times: u8) {
        let context = self.world.context(context, None);
        let documented = [abi::COMPUTE, &[END_OF_SEQUENCE]].concat();
        let mut has_ended = false;
        for _ in 0..=times % 4 {
            // SAFETY: a number.
            let code = unsafe { (self.native.compute_single)(0, context.handle) };
            self.check_of_context("compute_single", code, &documented, context, false);
            if !self.world.is_alone {
                continue;
            }
            assert!(
                !has_ended || code == END_OF_SEQUENCE,
                "{code} after the end"
            );
            has_ended = code == END_OF_SEQUENCE;
            if code == SUCCESS {
                self.memory.clear();
                let piece = self.read_piece(context.handle);
                assert!(
                    piece.is_none_or(|piece| !piece.is_empty()),
                    "an empty piece"
                );
            }
        }
    }

    /// The piece that was just made, if there is room for it.
    fn read_piece(&self, context: u32) -> Option<String> {
        let output = Output {
            capacity: 2,
            noise: 0,
            places: [0; 3],
        };
        let mut target = self.target(&output);
        target.before = self.memory.snapshot();
        let (buffer, size) = (target.buffer.at, target.size.at);
        // SAFETY: a buffer of that capacity and a size.
        let code = unsafe {
            (self.native.get_output_single)(0, context, 0, buffer, target.capacity, size)
        };
        self.check_output("get_output_single", code, 0, &target)
    }

    pub fn get_single(&self, context: u8, index: u8, output: &Output) {
        let context = self.world.context(context, None);
        let index = u32::from(index % 8)
            .saturating_sub(5)
            .max(u32::from(index % 2));
        let mut target = self.target(output);
        target.is_bad |= context.is_bad || index > 1;
        target.before = self.memory.snapshot();
        let (buffer, size) = (target.buffer.at, target.size.at);
        // SAFETY: a buffer of that capacity and a size, or addresses that are no memory.
        let code = unsafe {
            (self.native.get_output_single)(
                usize::MAX,
                context.handle,
                index,
                buffer,
                target.capacity,
                size,
            )
        };
        self.check_output("get_output_single", code, index, &target);
    }

    pub fn finish_single(&self, context: u8) {
        let context = self.world.context(context, None);
        // SAFETY: a number.
        let code = unsafe { (self.native.fini_single)(0, context.handle) };
        let documented = [INVALID_ARGUMENT, RUNTIME_ERROR];
        self.check_of_context("fini_single", code, &documented, context, false);
    }

    pub fn unload(&self, graph: u8) {
        let graph = self.world.graph(graph, None);
        // SAFETY: a number.
        let code = unsafe { (self.native.unload)(0, graph.handle) };
        self.check(
            &Case {
                function: "unload",
                documented: &[NOT_FOUND],
                is_bad: graph.is_bad,
            },
            code,
        );
        let is_known = !graph.is_bad && self.world.is_alone;
        assert!(!is_known || code == SUCCESS, "unload answered {code}");
        if code == SUCCESS {
            self.world.unloaded(graph.handle);
        }
    }

    pub fn finalize(&self, context: u8) {
        let context = self.world.context(context, None);
        // SAFETY: a number.
        let code = unsafe { (self.native.finalize)(0, context.handle) };
        let documented = [INVALID_ARGUMENT];
        let name = "finalize_execution_context";
        self.check_of_context(name, code, &documented, context, false);
        let is_known = !context.is_bad && self.world.is_alone;
        assert!(!is_known || code == SUCCESS, "{name} answered {code}");
        if code == SUCCESS {
            self.world.closed(context.handle);
        }
    }

    /// Asks for the table with places that may be none.
    pub fn ask_for_table(&self, module: u8, symbols: u8) {
        let (module, symbols) = (self.memory.room(module, 8), self.memory.room(symbols, 8));
        let before = self.memory.snapshot();
        // SAFETY: places for addresses, or none.
        let count = unsafe { abi::get_native_lib(module.at, symbols.at) };
        let is_right = module.is_right && symbols.is_right;
        let expected = if is_right { COUNT as u32 } else { 0 };
        assert_eq!(count, expected, "the table of native functions");
        let place = |at: usize| at..at.saturating_add(8);
        self.check_changes(
            "get_native_lib",
            &before,
            &[place(module.at), place(symbols.at)],
        );
        // SAFETY: it has no arguments and ends nothing that guests have.
        unsafe { abi::deinit_native_lib() };
    }
}
