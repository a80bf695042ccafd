//! The types that cross the C border, and the code of every failure.
//!
//! Layouts and numbers are frozen. An enum that C fills is a `u32` here, since C may put any number into it; its
//! enumerators stand in `cbindgen.toml`. Knows nothing of pointers or of what the functions do.

#![expect(
    non_camel_case_types,
    reason = "the names are those of the C interface"
)]

use std::fmt;
use std::mem::offset_of;

use boundary::Fault;
use engine::Error;

/// What a function answers. Numbers are frozen.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum wasi_nn_error {
    /// The call did what its name says.
    Success = 0,
    /// A pointer, handle, number or length cannot be used.
    InvalidArgument = 1,
    /// Not a model in a format that the engine reads.
    InvalidEncoding = 2,
    /// A time limit passed.
    Timeout = 3,
    /// The call was understood and failed; the reason is in the last error.
    RuntimeError = 4,
    /// The engine has no such function.
    UnsupportedOperation = 5,
    /// A text is over its limit, or a buffer is too small.
    TooLarge = 6,
    /// Not used.
    NotFound = 7,
    /// Not used.
    Security = 8,
    /// Not used.
    Unknown = 9,
    /// Not used: the end of an answer is no error.
    EndOfSequence = 100,
    /// Conversation and prompt do not fit, and dropping old turns is off.
    ContextFull = 101,
    /// The prompt does not fit, whatever is dropped.
    PromptToolLong = 102,
    /// Not used: a missing model file is runtime_error.
    ModelNotFound = 103,
}

/// Type of a tensor's elements. A hint only: data is always text.
///
/// cbindgen:ignore
pub type tensor_type = u32;

/// Format of a model.
///
/// cbindgen:ignore
pub type graph_encoding = u32;

/// Device for a model.
///
/// cbindgen:ignore
pub type execution_target = u32;

/// Subject of a status report.
///
/// cbindgen:ignore
pub type backend_status_type = u32;

/// Bytes of a tensor or of an output buffer.
pub type tensor_data = *mut u8;

/// Shape of a tensor.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tensor_dimensions {
    /// One number for each dimension; may be NULL.
    pub buf: *mut u32,
    /// Count of numbers.
    pub size: u32,
}

/// Text for the model.
///
/// If the product of the dimensions is above 1 it is the length of the text in bytes, otherwise (also with dimensions
/// NULL, without any, or [1]) the text ends at its NUL. A NUL always ends it. At most 4 MiB. UTF-8; bytes that are not
/// UTF-8 are read as Latin-1.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct tensor {
    /// Shape; may be NULL.
    pub dimensions: *mut tensor_dimensions,
    /// Only a hint; every number is accepted.
    pub r#type: tensor_type,
    /// The text.
    pub data: tensor_data,
}

/// Part of a model in memory.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct graph_builder {
    /// The bytes.
    pub buf: *mut u8,
    /// Count of bytes.
    pub size: u32,
}

/// A model in memory: the first part is the GGUF file, the second, if there is one, its configuration as JSON.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct graph_builder_array {
    /// The parts.
    pub buf: *mut graph_builder,
    /// Count of parts, 1 or 2.
    pub size: u32,
}

/// A loaded model: a number that is never 0 and never used again.
pub type graph = u32;

/// A conversation with a model: a number that is never 0 and never used again.
pub type graph_execution_context = u32;

const _: () = {
    assert!(size_of::<wasi_nn_error>() == 4);
    assert!(size_of::<tensor_dimensions>() == 16 && align_of::<tensor_dimensions>() == 8);
    assert!(offset_of!(tensor_dimensions, buf) == 0 && offset_of!(tensor_dimensions, size) == 8);
    assert!(size_of::<tensor>() == 24 && align_of::<tensor>() == 8);
    assert!(offset_of!(tensor, dimensions) == 0 && offset_of!(tensor, r#type) == 8);
    assert!(offset_of!(tensor, data) == 16);
    assert!(size_of::<graph_builder>() == 16 && align_of::<graph_builder>() == 8);
    assert!(offset_of!(graph_builder, buf) == 0 && offset_of!(graph_builder, size) == 8);
    assert!(size_of::<graph_builder_array>() == 16 && align_of::<graph_builder_array>() == 8);
    assert!(offset_of!(graph_builder_array, buf) == 0);
    assert!(offset_of!(graph_builder_array, size) == 8);
};

/// Why an exported function did not do its work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A pointer or a length of the host cannot be used.
    Pointer(Fault),
    /// The engine refused or failed.
    Engine(Error),
    /// The backend handle is NULL, stale or was never given out.
    UnknownBackend,
    /// The backend handle was given out before this process was forked.
    OtherProcess,
    /// The backend cannot be destroyed by a callback that runs inside one of its functions.
    InsideCallback,
    /// No handle is left.
    HandlesUsedUp,
}

impl boundary::Failure for Failure {
    type Code = wasi_nn_error;

    const SUCCESS: wasi_nn_error = wasi_nn_error::Success;

    fn code(&self) -> wasi_nn_error {
        match self {
            Failure::Pointer(fault) => code_of_fault(fault),
            Failure::Engine(error) => code_of_error(error),
            Failure::UnknownBackend | Failure::InsideCallback => wasi_nn_error::InvalidArgument,
            Failure::OtherProcess | Failure::HandlesUsedUp => wasi_nn_error::RuntimeError,
        }
    }

    fn from_panic(message: String) -> Self {
        Failure::Engine(Error::Internal(message))
    }
}

fn code_of_fault(fault: &Fault) -> wasi_nn_error {
    match fault {
        Fault::Null { .. }
        | Fault::Unreadable { .. }
        | Fault::Unwritable { .. }
        | Fault::NameLength { .. } => wasi_nn_error::InvalidArgument,
        Fault::TooLarge { .. } | Fault::BufferTooSmall { .. } => wasi_nn_error::TooLarge,
    }
}

fn code_of_error(error: &Error) -> wasi_nn_error {
    match error {
        Error::InvalidArgument(_)
        | Error::UnknownContext(_)
        | Error::NoModel
        | Error::Reentrant(_)
        | Error::Closing => wasi_nn_error::InvalidArgument,
        Error::InvalidEncoding(_) => wasi_nn_error::InvalidEncoding,
        Error::Timeout(_) => wasi_nn_error::Timeout,
        Error::Load(_)
        | Error::TooManyContexts { .. }
        | Error::MemoryPressure { .. }
        | Error::QueueFull { .. }
        | Error::Cancelled
        | Error::Replaced
        | Error::NoInput
        | Error::NoResult
        | Error::Engine(_)
        | Error::Internal(_) => wasi_nn_error::RuntimeError,
        Error::Unsupported(_) => wasi_nn_error::UnsupportedOperation,
        Error::TooLarge { .. } => wasi_nn_error::TooLarge,
        Error::PromptTooLong(_) => wasi_nn_error::PromptToolLong,
        Error::ContextFull(_) => wasi_nn_error::ContextFull,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Pointer(fault) => fault.fmt(f),
            Failure::Engine(error) => error.fmt(f),
            Failure::UnknownBackend => f.write_str("ctx is NULL, destroyed or no backend handle"),
            Failure::OtherProcess => f.write_str(
                "ctx belongs to another process: a forked child needs a backend of its own",
            ),
            Failure::InsideCallback => {
                f.write_str("ctx cannot be destroyed from a callback of one of its own functions")
            }
            Failure::HandlesUsedUp => f.write_str("this process has used up its backend handles"),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Pointer(fault)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Engine(error)
    }
}
