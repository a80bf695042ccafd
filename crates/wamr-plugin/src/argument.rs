//! The arguments of the loading functions, read with care: names, configs, models in memory.
//!
//! Holds the limits of texts from guests. Does not know what a name or a config means.

use std::ffi::c_char;

use crate::abi::{SPAN_BYTES, Span};
use crate::failure::Failure;

const MIB: usize = 1 << 20;

/// The longest name.
const NAME_CAP: usize = 4096;

/// The longest config.
const CONFIG_CAP: usize = 16 * MIB;

/// The first bytes of a model file.
const MODEL_MAGIC: [u8; 4] = *b"GGUF";

/// How much of a model is fetched at once: what a second cache level holds.
const CHUNK: usize = MIB;

/// WAMR's ggml, which is "autodetect" to guests of WasmEdge, and the two swapped.
const ENCODINGS: std::ops::RangeInclusive<u32> = 5..=6;

/// The name of a model, or its path.
///
/// Hosts may or may not have counted its NUL.
pub(crate) fn name(start: *const c_char, len: u32) -> Result<String, Failure> {
    let bytes = text(start, len, NAME_CAP, "name")?;
    if bytes.is_empty() {
        return Err(Failure::InvalidArgument("name is empty".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| Failure::InvalidArgument("name is not UTF-8".to_owned()))
}

/// A config; none if it is empty.
pub(crate) fn config(start: *const c_char, len: u32) -> Result<Option<Vec<u8>>, Failure> {
    let bytes = text(start, len, CONFIG_CAP, "config")?;
    Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
}

/// Refuses what is not called a model in the engine's format.
pub(crate) fn check_encoding(encoding: u32) -> Result<(), Failure> {
    match ENCODINGS.contains(&encoding) {
        true => Ok(()),
        false => {
            let text = format!("encoding is {encoding}, must be 5 or 6 (ggml, autodetect)");
            Err(Failure::InvalidEncoding(text))
        }
    }
}

/// A model in the caller's memory, with its config.
#[derive(Debug)]
pub(crate) struct ModelParts {
    model: Span,
    config: Option<Span>,
}

impl ModelParts {
    /// Reads the one or two parts of a builder array. What does not begin as a model is refused before anything else is
    /// read: hosts try one backend after the other.
    pub(crate) fn read(builder: *const u8) -> Result<ModelParts, Failure> {
        let array = Span::read(builder, "builder")?;
        let part = |index| Span::read(array.start.wrapping_add(SPAN_BYTES * index), "builder");
        ModelParts::new(array.size, |index| Ok(part(index)?))
    }

    /// As [`ModelParts::read`], of `count` parts that `part` finds.
    pub(crate) fn new(
        count: u32,
        part: impl Fn(usize) -> Result<Span, Failure>,
    ) -> Result<ModelParts, Failure> {
        if !(1..=2).contains(&count) {
            let text = format!("builder has {count} parts, must have 1 or 2");
            return Err(Failure::InvalidArgument(text));
        }
        let model = part(0)?;
        if (model.size as usize) < MODEL_MAGIC.len() {
            return Err(no_model());
        }
        check_magic(&boundary::array::<4>(model.start, "model")?)?;
        let config = match count {
            1 => None,
            _ => Some(part(1)?),
        };
        Ok(ModelParts { model, config })
    }

    /// A copy of the config, if there is one.
    pub(crate) fn config(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.config.map_or(Ok(None), |part| {
            config(part.start.cast_const().cast(), part.size)
        })
    }

    /// Bytes of the model. Errors: `TooLarge` above `cap`.
    pub(crate) fn model_bytes(&self, cap: u64) -> Result<u64, Failure> {
        match u64::from(self.model.size) {
            bytes if bytes <= cap => Ok(bytes),
            _ => Err(Failure::TooLarge {
                needed: self.model.size,
            }),
        }
    }

    /// A copy of the model. Errors: `Runtime` if there is no memory for it.
    pub(crate) fn model(&self) -> Result<Vec<u8>, Failure> {
        let len = self.model.size as usize;
        let mut copy = Vec::new();
        copy.try_reserve_exact(len)
            .map_err(|_| Failure::Runtime(format!("no memory for a model of {len} bytes")))?;
        while copy.len() < len {
            let from = self.model.start.wrapping_add(copy.len());
            let chunk = boundary::bytes(from, CHUNK.min(len - copy.len()), "model")?;
            copy.extend_from_slice(&chunk);
        }
        // The caller's memory may have changed since the first look.
        check_magic(&copy)?;
        Ok(copy)
    }
}

fn check_magic(model: &[u8]) -> Result<(), Failure> {
    match model.starts_with(&MODEL_MAGIC) {
        true => Ok(()),
        false => Err(no_model()),
    }
}

fn no_model() -> Failure {
    Failure::InvalidEncoding("model does not begin with GGUF".to_owned())
}

/// Exactly `len` bytes, one NUL at the end of them left out. No other NUL is allowed.
fn text(
    start: *const c_char,
    len: u32,
    cap: usize,
    what: &'static str,
) -> Result<Vec<u8>, Failure> {
    let len = len as usize;
    // One more for the NUL.
    if len > cap + 1 {
        let text = format!("{what} has {len} bytes, must have at most {cap}");
        return Err(Failure::InvalidArgument(text));
    }
    let mut bytes = boundary::bytes(start.cast(), len, what)?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    match bytes.iter().position(|&byte| byte == 0) {
        None if bytes.len() <= cap => Ok(bytes),
        None => {
            let text = format!("{what} has more than {cap} bytes");
            Err(Failure::InvalidArgument(text))
        }
        Some(at) => {
            let text = format!("{what} has a NUL at byte {at}");
            Err(Failure::InvalidArgument(text))
        }
    }
}

#[cfg(test)]
mod tests {
    use boundary::Failure as _;

    use super::*;
    use crate::abi::Code;

    #[test]
    fn names_are_their_length_without_a_last_nul() {
        let check = |bytes: &[u8], expected: Option<&str>| {
            let name = name(bytes.as_ptr().cast(), bytes.len() as u32);
            assert_eq!(name.ok().as_deref(), expected, "{bytes:?}");
        };
        check(b"model", Some("model"));
        check(b"model\0", Some("model"));
        check(b"mo\0del", None);
        check(b"model\0\0", None);
        check(b"", None);
        check(b"\0", None);
        check(b"m\xff", None);
        check(&[b'n'; NAME_CAP], Some(&"n".repeat(NAME_CAP)));
        check(&[b'n'; NAME_CAP + 1], None);
        check(&[b'n'; NAME_CAP + 2], None);
    }

    #[test]
    fn configs_may_be_empty_and_need_memory_otherwise() {
        let null = std::ptr::null();
        assert_eq!(config(null, 0), Ok(None));
        assert_eq!(config(c"".as_ptr(), 1), Ok(None));
        assert_eq!(config(c"{}".as_ptr(), 2), Ok(Some(b"{}".to_vec())));
        assert_eq!(config(c"{}".as_ptr(), 3), Ok(Some(b"{}".to_vec())));
        assert!(config(null, 1).is_err());
        assert!(config(c"{}".as_ptr(), u32::MAX).is_err());
    }

    fn span(start: *const u8, size: u32) -> [u8; SPAN_BYTES] {
        let mut bytes = [0; SPAN_BYTES];
        bytes[..8].copy_from_slice(&start.expose_provenance().to_le_bytes());
        bytes[8..12].copy_from_slice(&size.to_le_bytes());
        bytes
    }

    fn read(parts: &[[u8; SPAN_BYTES]], count: u32) -> Result<ModelParts, Failure> {
        let array = span(parts.as_ptr().cast(), count);
        ModelParts::read(array.as_ptr())
    }

    #[test]
    fn model_and_config_are_copied() {
        let model = [b"GGUF".as_slice(), &[7; 3 * CHUNK]].concat();
        let config = br#"{"ctx-size": 64}"#;
        let parts = [
            span(model.as_ptr(), model.len() as u32),
            span(config.as_ptr(), config.len() as u32),
        ];
        let both = read(&parts, 2).unwrap();
        assert_eq!(both.model().unwrap(), model);
        assert_eq!(both.config(), Ok(Some(config.to_vec())));
        let alone = read(&parts, 1).unwrap();
        assert_eq!(alone.config(), Ok(None));
        let needed = model.len() as u32;
        assert_eq!(alone.model_bytes(needed.into()), Ok(needed.into()));
        assert_eq!(
            alone.model_bytes(u64::from(needed) - 1),
            Err(Failure::TooLarge { needed })
        );
    }

    #[test]
    fn what_is_no_model_is_told_apart_from_a_bad_builder() {
        let check = |part, count, expected| {
            let failure = read(&[part, part], count).unwrap_err();
            assert_eq!(failure.code(), expected, "{failure}");
        };
        let onnx = b"\x08\x07\x12\x07pytorch";
        let gguf = b"GGUF....";
        check(span(onnx.as_ptr(), 10), 1, Code::InvalidEncoding);
        check(span(onnx.as_ptr(), 10), 2, Code::InvalidEncoding);
        check(span(gguf.as_ptr(), 3), 1, Code::InvalidEncoding);
        check(span(gguf.as_ptr(), 0), 1, Code::InvalidEncoding);
        check(span(gguf.as_ptr(), 8), 0, Code::InvalidArgument);
        check(span(gguf.as_ptr(), 8), 3, Code::InvalidArgument);
        check(span(std::ptr::null(), 8), 1, Code::InvalidArgument);
        let missing = ModelParts::read(std::ptr::null()).unwrap_err();
        assert_eq!(missing.code(), Code::InvalidArgument);
    }

    #[test]
    fn only_the_two_numbers_of_ggml_are_encodings() {
        for encoding in [0, 1, 2, 3, 4, 7, u32::MAX] {
            let code = check_encoding(encoding).unwrap_err().code();
            assert_eq!(code, Code::InvalidEncoding);
        }
        assert_eq!(check_encoding(5), Ok(()));
        assert_eq!(check_encoding(6), Ok(()));
    }
}
