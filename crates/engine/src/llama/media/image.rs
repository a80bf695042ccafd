//! What an image may be before its decoder sees it: one of three formats, and of a size that memory is there for.
//!
//! Decoders of images read what strangers send. The header is read first; libmtmd's resampling asserts that no side
//! becomes 0, hence the bound on the sides' ratio.

use std::ffi::c_char;

use super::ffi::{self, Fault};
use super::png;
use crate::error::{Error, Result};

/// Most bytes of an encoded image.
pub(super) const MOST_BYTES: usize = 64 << 20;
/// Most pixels. They take 3 bytes each, several times over while an image is cut.
const MOST_PIXELS: u64 = 64 << 20;
/// How much longer one side may be than the other.
const MOST_RATIO: u64 = 32;

/// Most passes over the pixels of a JPEG; the usual ones have one, or some ten. Each marks its beginning.
const MOST_PASSES: usize = 100;
const PASS: [u8; 2] = [0xff, 0xda];

/// How files of the formats begin: PNG, JPEG, BMP.
const MAGICS: [&[u8]; 3] = [PNG, JPEG, BMP];
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";
const BMP: &[u8] = b"BM";

/// Errors: `InvalidArgument` for bytes that are not the beginning of an acceptable image; `TooLarge`.
pub(super) fn check(bytes: &[u8]) -> Result<()> {
    if bytes.len() > MOST_BYTES {
        return Err(Error::TooLarge {
            what: "image",
            limit: MOST_BYTES,
        });
    }
    if !MAGICS.iter().any(|magic| bytes.starts_with(magic)) {
        return Err(refused("it is no PNG, JPEG or BMP"));
    }
    // What is missing of a BMP would be read as black, in silence.
    if bytes.starts_with(BMP)
        && let Some(length) = bytes.get(2..6).and_then(|field| field.try_into().ok())
        && u64::from(u32::from_le_bytes(length)) > bytes.len() as u64
    {
        return Err(refused("it is cut off"));
    }
    let mut size = [0; 2];
    ffi::guarded(|err, cap| {
        // SAFETY: the bytes outlive the call, and `size` has room for two numbers.
        unsafe { engine_image_size(bytes.as_ptr(), bytes.len(), &mut size, err, cap) }
    })
    .map_err(|fault| match fault {
        Fault::Failed(text) => refused(&text),
        other => other.during("image"),
    })?;
    let [width, height] = size.map(|side| u64::try_from(side).unwrap_or(0));
    let (short, long) = (width.min(height), width.max(height));
    if short == 0 {
        return Err(refused("it has no pixels"));
    }
    if width * height > MOST_PIXELS {
        let text = format!("it has {width} x {height} pixels, must have at most {MOST_PIXELS}");
        return Err(refused(&text));
    }
    if long > short * MOST_RATIO {
        let text = format!(
            "it has {width} x {height} pixels, a side may be {MOST_RATIO} times as long as the other at most"
        );
        return Err(refused(&text));
    }
    if bytes.starts_with(JPEG) {
        let passes = bytes.windows(PASS.len()).filter(|two| *two == PASS);
        if passes.count() > MOST_PASSES {
            return Err(refused(&format!("it has more than {MOST_PASSES} passes")));
        }
    }
    match bytes.starts_with(PNG) {
        true => png::check(bytes, width, height),
        false => Ok(()),
    }
}

/// An image is refused for this reason.
pub(super) fn refused(reason: &str) -> Error {
    Error::InvalidArgument(format!("the image cannot be read: {reason}"))
}

unsafe extern "C" {
    fn engine_image_size(
        bytes: *const u8,
        size: usize,
        out: *mut [i32; 2],
        err: *mut c_char,
        cap: usize,
    ) -> i32;
}
