//! The arguments that several exported functions share, read with care: prompts, configs, names, models.
//!
//! Holds the limits of the C interface. Does not know what the engine makes of the values.

use std::ffi::{OsString, c_char};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use boundary::Out;
use engine::{Error, Overflow, StatusKind, Target};

use crate::abi::{
    Failure, backend_status_type, execution_target, graph_builder, graph_builder_array,
    graph_encoding, tensor, tensor_dimensions,
};

const MIB: usize = 1 << 20;

/// The longest text for the model.
const TEXT_CAP: usize = 4 * MIB;

/// What is read of a config: one byte more than the longest that the engine takes, so that it sees what is too long.
const CONFIG_LOOK: usize = 16 * MIB + 1;

/// The longest runtime config.
const RUNTIME_CONFIG_CAP: usize = MIB;

/// The longest path of a model.
const PATH_CAP: usize = 4096;

/// The longest name of a session.
const SESSION_NAME_CAP: usize = 1024;
const MODEL_NAME_CAP: usize = 256;

/// The most tokens that a configuration may keep or discard.
const MOST_TOKENS: u32 = 1 << 20;

/// The first bytes of a model file.
const MODEL_MAGIC: &[u8] = b"GGUF";

const GGML: graph_encoding = 5;
const AUTODETECT: graph_encoding = 6;

/// A model in the caller's memory, with its config.
pub(crate) struct ModelParts {
    model: graph_builder,
    /// The config beside the model.
    pub(crate) config: Option<Vec<u8>>,
}

impl ModelParts {
    /// The model's bytes, lent by the caller.
    ///
    /// # Safety
    /// The caller keeps them unchanged for as long as the slice is used.
    pub(crate) unsafe fn model<'a>(&self) -> Result<&'a [u8], Failure> {
        let len = self.model.size as usize;
        // SAFETY: this function's own contract.
        Ok(unsafe { boundary::borrowed(self.model.buf, len, "model") }?)
    }
}

/// Reads the one or two parts of a model in memory.
pub(crate) fn model_parts(builder: *const graph_builder_array) -> Result<ModelParts, Failure> {
    // SAFETY: integers and raw pointers only.
    let array = unsafe { boundary::value(builder, "builder") }?;
    if !(1..=2).contains(&array.size) {
        let text = format!("builder has {} parts, must have 1 or 2", array.size);
        return Err(Error::InvalidArgument(text).into());
    }
    // SAFETY: integers and raw pointers only.
    let model = unsafe { boundary::value(array.buf, "builder") }?;
    if array.size == 1 {
        return Ok(ModelParts {
            model,
            config: None,
        });
    }
    // SAFETY: integers and raw pointers only.
    let part = unsafe { boundary::value(array.buf.wrapping_add(1), "builder") }?;
    let config = config(part.buf.cast(), part.size)?;
    Ok(ModelParts { model, config })
}

/// Refuses what is not a model in the engine's format.
pub(crate) fn check_encoding(encoding: graph_encoding, model: &[u8]) -> Result<(), Failure> {
    if !matches!(encoding, GGML | AUTODETECT) {
        let text = format!("encoding is {encoding}, must be 5 (ggml) or 6 (autodetect)");
        return Err(Error::InvalidEncoding(text).into());
    }
    if !model.starts_with(MODEL_MAGIC) {
        let text = "model does not begin with GGUF".to_owned();
        return Err(Error::InvalidEncoding(text).into());
    }
    Ok(())
}

/// The device that a number stands for.
pub(crate) fn target(number: execution_target) -> Result<Target, Failure> {
    match number {
        0 => Ok(Target::Cpu),
        1 => Ok(Target::Gpu),
        _ => {
            let text = format!("target is {number}, must be 0 (cpu) or 1 (gpu)");
            Err(Error::Unsupported(text).into())
        }
    }
}

/// The status report that a number stands for.
pub(crate) fn status_kind(number: backend_status_type) -> Result<StatusKind, Failure> {
    match number {
        0 => Ok(StatusKind::Queue),
        1 => Ok(StatusKind::Memory),
        2 => Ok(StatusKind::Sessions),
        3 => Ok(StatusKind::Performance),
        4 => Ok(StatusKind::Model),
        _ => {
            let text = format!("status type is {number}, must be between 0 and 4");
            Err(Error::InvalidArgument(text).into())
        }
    }
}

/// A copy of the text of a tensor. Its type is a hint that is not needed.
pub(crate) fn prompt(input: *const tensor) -> Result<String, Failure> {
    // SAFETY: integers and raw pointers only.
    let tensor = unsafe { boundary::value(input, "tensor") }?;
    let bound = declared_bytes(tensor.dimensions);
    let text = boundary::text(tensor.data, bound, TEXT_CAP, "prompt")?;
    Ok(boundary::repair(text))
}

/// A copy of a text of at most `len` bytes that is not a tensor.
pub(crate) fn plain_text(start: *const c_char, len: u32) -> Result<String, Failure> {
    let text = boundary::text(start.cast(), Some(len as usize), TEXT_CAP, "text")?;
    Ok(boundary::repair(text))
}

/// A copy of a name of at most `len` bytes, whatever they are.
pub(crate) fn name(start: *const c_char, len: u32) -> Result<Vec<u8>, Failure> {
    Ok(boundary::text(
        start.cast(),
        Some(len as usize),
        TEXT_CAP,
        "key",
    )?)
}

/// A copy of a config; none if there is no pointer or no length.
pub(crate) fn config(start: *const c_char, len: u32) -> Result<Option<Vec<u8>>, Failure> {
    if start.is_null() || len == 0 {
        return Ok(None);
    }
    let bound = (len as usize).min(CONFIG_LOOK);
    let text = boundary::text(start.cast(), Some(bound), CONFIG_LOOK, "config")?;
    Ok(Some(text))
}

/// A copy of what arguments 7 and 8 of `run_inference` point at, if they can be a config at all.
///
/// A caller of the older generation passes neither: then both are leftovers of its stack or of earlier calls.
pub(crate) fn runtime_config(start: *const c_char, len: u32) -> Option<Vec<u8>> {
    let len = len as usize;
    if !(1..=RUNTIME_CONFIG_CAP).contains(&len) {
        return None;
    }
    boundary::bytes(start.cast(), len, "runtime_config").ok()
}

/// A model's path. Length 0 means that a NUL ends it.
pub(crate) fn path(start: *const c_char, len: u32) -> Result<PathBuf, Failure> {
    let bound = Some(len as usize).filter(|&len| len > 0);
    let name = boundary::name(start.cast(), bound, PATH_CAP, "filename")?;
    Ok(OsString::from_vec(name).into())
}

/// A model's name.
pub(crate) fn model_name(start: *const c_char, len: u32) -> Result<Vec<u8>, Failure> {
    let bound = Some(len as usize);
    Ok(boundary::name(start.cast(), bound, MODEL_NAME_CAP, "name")?)
}

/// A session's name.
pub(crate) fn session_name(start: *const c_char) -> Result<Vec<u8>, Failure> {
    let name = boundary::name(start.cast(), None, SESSION_NAME_CAP, "session_id")?;
    Ok(name)
}

/// What happens to a full context; `None` is as configured.
pub(crate) fn overflow(overflow: u32) -> Result<Option<Overflow>, Failure> {
    match overflow {
        0 => Ok(None),
        1 => Ok(Some(Overflow::Shift)),
        2 => Ok(Some(Overflow::Error)),
        other => {
            let text =
                format!("overflow is {other}, must be 0 (as configured), 1 (shift) or 2 (error)");
            Err(Error::InvalidArgument(text).into())
        }
    }
}

/// A number of tokens; `None` is as configured.
pub(crate) fn token_count(tokens: u32, what: &str) -> Result<Option<u32>, Failure> {
    match tokens {
        u32::MAX => Ok(None),
        0..=MOST_TOKENS => Ok(Some(tokens)),
        _ => {
            let text = format!("{what} is {tokens}, must be at most {MOST_TOKENS} or UINT32_MAX");
            Err(Error::InvalidArgument(text).into())
        }
    }
}

/// The length that dimensions declare. What cannot be read declares nothing: hosts leave the pointer undefined.
fn declared_bytes(dimensions: *const tensor_dimensions) -> Option<usize> {
    // SAFETY: integers and raw pointers only.
    let shape = unsafe { boundary::value(dimensions, "dimensions") }.ok()?;
    let mut sizes = Vec::new();
    // One more than count: too many make the dimensions void, as none do.
    for index in 0..shape.size.min(17) {
        let at = shape.buf.wrapping_add(index as usize).cast_const();
        // SAFETY: an integer.
        sizes.push(unsafe { boundary::value(at, "dimensions") }.ok()?);
    }
    let count = boundary::element_count(&sizes)?;
    Some(usize::try_from(count).unwrap_or(usize::MAX))
}

/// An out-parameter that may be NULL.
///
/// # Safety
/// As [`boundary::out`].
pub(crate) unsafe fn optional_out(
    at: *mut u32,
    what: &'static str,
) -> Result<Option<Out<u32>>, Failure> {
    if at.is_null() {
        return Ok(None);
    }
    // SAFETY: this function's own contract.
    Ok(Some(unsafe { boundary::out(at, what) }?))
}
