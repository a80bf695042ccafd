//! The C interface as a host without our headers declares it: layouts, codes, functions.
//!
//! Numbers in and numbers out, so that nothing that the library answers is undefined here.

use std::ffi::c_void;

pub const SUCCESS: u32 = 0;
pub const INVALID_ARGUMENT: u32 = 1;
pub const INVALID_ENCODING: u32 = 2;
pub const TIMEOUT: u32 = 3;
pub const RUNTIME_ERROR: u32 = 4;
pub const UNSUPPORTED: u32 = 5;
pub const TOO_LARGE: u32 = 6;
pub const CONTEXT_FULL: u32 = 101;
pub const PROMPT_TOO_LONG: u32 = 102;

/// What a turn may answer.
pub const TURN: &[u32] = &[
    SUCCESS,
    INVALID_ARGUMENT,
    TIMEOUT,
    RUNTIME_ERROR,
    TOO_LARGE,
    CONTEXT_FULL,
    PROMPT_TOO_LONG,
];

/// What a load may answer.
pub const LOAD: &[u32] = &[SUCCESS, INVALID_ARGUMENT, RUNTIME_ERROR];

#[repr(C)]
pub struct Dimensions {
    pub buf: *const u32,
    pub size: u32,
}

#[repr(C)]
pub struct Tensor {
    pub dimensions: *const Dimensions,
    pub kind: u32,
    pub data: *const u8,
}

#[repr(C)]
pub struct Part {
    pub buf: *const u8,
    pub size: u32,
}

#[repr(C)]
pub struct Parts {
    pub buf: *const Part,
    pub size: u32,
}

pub type OnPiece = unsafe extern "C" fn(*mut c_void, *const u8, u32) -> i32;
pub type OnProgress = unsafe extern "C" fn(*mut c_void, f32) -> i32;

unsafe extern "C" {
    pub fn init_backend(ctx: *mut usize) -> u32;
    pub fn init_backend_with_config(ctx: *mut usize, config: *const u8, len: u32) -> u32;
    pub fn deinit_backend(ctx: usize) -> u32;
    pub fn load(ctx: usize, builder: *const Parts, encoding: u32, target: u32, g: *mut u32) -> u32;
    pub fn load_by_name(ctx: usize, name: *const u8, len: u32, g: *mut u32) -> u32;
    pub fn load_by_name_with_config(
        ctx: usize,
        name: *const u8,
        len: u32,
        config: *const u8,
        config_len: u32,
        g: *mut u32,
    ) -> u32;
    pub fn init_execution_context(ctx: usize, g: u32, context: *mut u32) -> u32;
    pub fn init_execution_context_with_session_id(
        ctx: usize,
        name: *const u8,
        context: *mut u32,
    ) -> u32;
    pub fn close_execution_context(ctx: usize, context: u32) -> u32;
    pub fn set_input(ctx: usize, context: u32, index: u32, input: *const Tensor) -> u32;
    pub fn compute(ctx: usize, context: u32) -> u32;
    pub fn get_output(ctx: usize, context: u32, index: u32, output: *mut u8, size: *mut u32)
    -> u32;
    pub fn run_inference(
        ctx: usize,
        context: u32,
        index: u32,
        input: *const Tensor,
        output: *mut u8,
        size: *mut u32,
        config: *const u8,
        config_len: u32,
    ) -> u32;
    pub fn get_backend_status(ctx: usize, kind: u32, buffer: *mut u8, size: u32) -> u32;

    pub fn wasi_nn_version() -> *const std::ffi::c_char;
    pub fn wasi_nn_get_last_error(ctx: usize, buffer: *mut u8, size: u32) -> u32;
    pub fn wasi_nn_cancel(ctx: usize, context: u32) -> u32;
    pub fn wasi_nn_run_inference_stream(
        ctx: usize,
        context: u32,
        input: *const Tensor,
        config: *const u8,
        config_len: u32,
        callback: Option<OnPiece>,
        user_data: *mut c_void,
    ) -> u32;
    pub fn wasi_nn_set_session_priority(ctx: usize, context: u32, priority: u32) -> u32;
    pub fn wasi_nn_set_client_key(ctx: usize, context: u32, key: usize, len: u32) -> u32;
    pub fn wasi_nn_remove_turns(ctx: usize, context: u32, first: u32, count: u32) -> u32;
    pub fn wasi_nn_set_overflow(
        ctx: usize,
        context: u32,
        overflow: u32,
        keep: u32,
        discard: u32,
    ) -> u32;
    pub fn wasi_nn_set_window(ctx: usize, context: u32, tokens: u32) -> u32;
    pub fn wasi_nn_clear_context(ctx: usize, context: u32) -> u32;
    pub fn wasi_nn_get_context_usage(
        ctx: usize,
        context: u32,
        used: *mut u32,
        capacity: *mut u32,
    ) -> u32;
    pub fn wasi_nn_get_history(ctx: usize, context: u32, buffer: *mut u8, size: *mut u32) -> u32;
    pub fn wasi_nn_get_metrics(ctx: usize, buffer: *mut u8, size: *mut u32) -> u32;
    pub fn wasi_nn_set_logging(ctx: usize, config: *const u8, len: u32) -> u32;
    pub fn wasi_nn_unload_model(ctx: usize) -> u32;
    pub fn wasi_nn_count_tokens(ctx: usize, text: *const u8, len: u32, count: *mut u32) -> u32;
    pub fn wasi_nn_load_by_name_with_progress(
        ctx: usize,
        name: *const u8,
        len: u32,
        config: *const u8,
        config_len: u32,
        callback: Option<OnProgress>,
        user_data: *mut c_void,
        g: *mut u32,
    ) -> u32;

    pub fn wasi_nn_load_model(
        ctx: usize,
        name: *const u8,
        name_len: u32,
        filename: *const u8,
        filename_len: u32,
        config: *const u8,
        config_len: u32,
        callback: Option<OnProgress>,
        user_data: *mut c_void,
        g: *mut u32,
    ) -> u32;
    pub fn wasi_nn_swap_model(
        ctx: usize,
        g: u32,
        filename: *const u8,
        filename_len: u32,
        config: *const u8,
        config_len: u32,
        callback: Option<OnProgress>,
        user_data: *mut c_void,
        new_g: *mut u32,
    ) -> u32;
    pub fn wasi_nn_roll_back_model(ctx: usize, g: u32, new_g: *mut u32) -> u32;
    pub fn wasi_nn_compare_model(
        ctx: usize,
        g: u32,
        filename: *const u8,
        filename_len: u32,
        config: *const u8,
        config_len: u32,
        buffer: *mut u8,
        size: *mut u32,
    ) -> u32;
    pub fn wasi_nn_unload_graph(ctx: usize, g: u32) -> u32;
    pub fn wasi_nn_use_graph(ctx: usize, context: u32, g: u32) -> u32;
    pub fn wasi_nn_begin_load(
        ctx: usize,
        name: *const u8,
        name_len: u32,
        filename: *const u8,
        filename_len: u32,
        config: *const u8,
        config_len: u32,
        load: *mut u32,
    ) -> u32;
    pub fn wasi_nn_get_load(ctx: usize, load: u32, buffer: *mut u8, size: *mut u32) -> u32;
    pub fn wasi_nn_await_load(ctx: usize, load: u32, timeout_ms: u32, g: *mut u32) -> u32;
    pub fn wasi_nn_cancel_load(ctx: usize, load: u32) -> u32;
}
