//! The functions as a host declares them, the numbers of their outcomes, and the structs as bytes.
//!
//! Pointers are numbers here: hardly any of them points at anything.

/// The did-it of every function.
pub const SUCCESS: u32 = 0;
pub const INVALID_ARGUMENT: u32 = 1;
pub const INVALID_ENCODING: u32 = 2;
pub const BUSY: u32 = 4;
pub const RUNTIME_ERROR: u32 = 5;
pub const UNSUPPORTED: u32 = 6;
pub const TOO_LARGE: u32 = 7;
pub const NOT_FOUND: u32 = 8;
pub const END_OF_SEQUENCE: u32 = 100;
pub const CONTEXT_FULL: u32 = 101;
pub const PROMPT_TOO_LONG: u32 = 102;
pub const MODEL_NOT_FOUND: u32 = 103;

/// What loading answers, and settings that may load again.
pub const LOAD: &[u32] = &[
    SUCCESS,
    INVALID_ARGUMENT,
    INVALID_ENCODING,
    RUNTIME_ERROR,
    UNSUPPORTED,
    NOT_FOUND,
    MODEL_NOT_FOUND,
];

/// What computing answers, whole or by pieces.
pub const COMPUTE: &[u32] = &[
    SUCCESS,
    INVALID_ARGUMENT,
    BUSY,
    RUNTIME_ERROR,
    UNSUPPORTED,
    CONTEXT_FULL,
    PROMPT_TOO_LONG,
];

unsafe extern "C" {
    pub fn init_backend(ctx: usize) -> u32;
    pub fn deinit_backend(ctx: usize) -> u32;
    pub fn load(ctx: usize, builder: usize, encoding: u32, target: u32, g: usize) -> u32;
    pub fn load_by_name(ctx: usize, name: usize, len: u32, fourth: usize, fifth: usize) -> u32;
    pub fn load_by_name_with_config(
        ctx: usize,
        name: usize,
        len: u32,
        config: usize,
        config_len: u32,
        g: usize,
    ) -> u32;
    pub fn init_execution_context(ctx: usize, g: u32, context: usize) -> u32;
    pub fn set_input(ctx: usize, context: u32, index: u32, tensor: usize) -> u32;
    pub fn compute(ctx: usize, context: u32) -> u32;
    pub fn get_output(ctx: usize, context: u32, index: u32, out: usize, size: usize) -> u32;

    pub fn init_native_lib() -> i32;
    pub fn get_native_lib(module: usize, symbols: usize) -> u32;
    pub fn deinit_native_lib();
}

/// A native function of one handle.
pub type OfHandle = unsafe extern "C" fn(env: usize, handle: u32) -> u32;

/// The native function that copies a piece.
pub type OfPiece = unsafe extern "C" fn(
    env: usize,
    context: u32,
    index: u32,
    out: usize,
    capacity: u32,
    written: usize,
) -> u32;

/// The native functions.
pub struct Native {
    pub compute_single: OfHandle,
    pub get_output_single: OfPiece,
    pub fini_single: OfHandle,
    pub unload: OfHandle,
    pub finalize: OfHandle,
}

/// Which structs the host of this process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// Of A.
    A,
    /// Of B.
    B,
    /// Of B, and the library has not been told.
    OpenB,
}

/// The host of this process.
pub fn generation() -> Generation {
    match std::env::var("WASI_NN_LLAMACPP_ABI").as_deref() {
        Ok("2.2") => Generation::A,
        Ok("2.4") => Generation::B,
        Ok(other) => panic!("{other} is no generation: 2.2 or 2.4"),
        Err(_) => Generation::OpenB,
    }
}

/// An address and a size: builders, arrays of them, dimensions, an output of B. The last four bytes are padding.
pub fn span(start: usize, size: u32, padding: u32) -> Vec<u8> {
    let mut bytes = start.to_le_bytes().to_vec();
    bytes.extend(size.to_le_bytes());
    bytes.extend(padding.to_le_bytes());
    bytes
}

/// A tensor; what lies between its fields is noise.
pub fn tensor(dimensions: usize, kind: u32, data: usize, size: u32) -> Vec<u8> {
    let mut bytes = span(dimensions, kind, !kind);
    bytes.extend(span(data, size, kind));
    if generation() == Generation::A {
        bytes.truncate(24);
    }
    bytes
}
