//! The pixels of an image that a stranger sent: one of three formats, and of a size that memory is there for.
//!
//! The decoders are the `image` crate's, in safe code; nothing of libmtmd sees the bytes of a file. The header is read
//! first, since it says how much memory the pixels take. libmtmd's resampling asserts that no side becomes 0, hence the
//! bound on the sides' ratio.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::{bmp::BmpDecoder, jpeg::JpegDecoder, png::PngDecoder};
use image::{ImageDecoder, ImageResult, Limits};

use crate::error::{Error, Result};

/// Most bytes of an encoded image.
pub(super) const MOST_BYTES: usize = 64 << 20;
/// Most pixels. They take 3 bytes each, several times over while an image is cut.
const MOST_PIXELS: u64 = 64 << 20;
/// How much longer one side may be than the other.
const MOST_RATIO: u64 = 32;
/// Most bytes that a decoder may hold at a time: pixels of the widest kind, 8 bytes each.
const MOST_HELD_BYTES: u64 = 8 * MOST_PIXELS;

/// Most passes over the pixels of a JPEG; the usual ones have one, or some ten. Each marks its beginning.
const MOST_PASSES: usize = 100;
const PASS: [u8; 2] = [0xff, 0xda];

/// How files of the formats begin.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";
const BMP: &[u8] = b"BM";

/// An image, row by row from the top, each pixel as red, green and blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Pixels {
    pub(in super::super) width: u32,
    pub(in super::super) height: u32,
    pub(in super::super) bytes: Vec<u8>,
}

/// Decodes `bytes`. What is transparent is shown as if it were not; a profile of colours is not applied.
///
/// Errors: `InvalidArgument` for bytes that are no acceptable image; `TooLarge`; `Engine` where memory runs out.
pub(in super::super) fn decode(bytes: &[u8]) -> Result<Pixels> {
    if bytes.len() > MOST_BYTES {
        return Err(Error::TooLarge {
            what: "image",
            limit: MOST_BYTES,
        });
    }
    // A decoder that panics has no state of ours, and the image is broken anyway.
    let decoded = catch_unwind(AssertUnwindSafe(|| by_format(bytes)));
    decoded.unwrap_or_else(|_| Err(refused("its decoder failed")))
}

fn by_format(bytes: &[u8]) -> Result<Pixels> {
    let file = Cursor::new(bytes);
    if bytes.starts_with(PNG) {
        read(PngDecoder::with_limits(file, limits()))
    } else if bytes.starts_with(JPEG) {
        let passes = bytes.windows(PASS.len()).filter(|two| *two == PASS);
        if passes.count() > MOST_PASSES {
            return Err(refused(&format!("it has more than {MOST_PASSES} passes")));
        }
        read(JpegDecoder::new(file))
    } else if bytes.starts_with(BMP) {
        // What is missing of a BMP could be read as black, in silence.
        if let Some(length) = bytes.get(2..6).and_then(|field| field.try_into().ok())
            && u64::from(u32::from_le_bytes(length)) > bytes.len() as u64
        {
            return Err(refused("it is cut off"));
        }
        read(BmpDecoder::new(file))
    } else {
        Err(refused("it is no PNG, JPEG or BMP"))
    }
}

/// What the decoders are held to beside our own look at the header.
fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_HELD_BYTES);
    limits
}

fn read(decoder: ImageResult<impl ImageDecoder>) -> Result<Pixels> {
    let broken = |error: image::ImageError| refused(&error.to_string());
    let mut decoder = decoder.map_err(broken)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into())?;
    decoder.set_limits(limits()).map_err(broken)?;
    let colour = decoder.color_type();
    let mut bytes = room(decoder.total_bytes())?;
    decoder.read_image(&mut bytes).map_err(broken)?;
    let channels = usize::from(colour.channel_count());
    let bytes = match colour.bytes_per_pixel() / colour.channel_count() {
        1 => rgb(bytes, channels, |[value]| value)?,
        // The decoders write values of 16 bits in the machine's order; their upper half is what is shown.
        2 => rgb(bytes, channels, |value| {
            (u16::from_ne_bytes(value) >> 8) as u8
        })?,
        _ => return Err(refused("its values have more than 16 bits")),
    };
    Ok(Pixels {
        width,
        height,
        bytes,
    })
}

/// Errors: `InvalidArgument` for sides that are too long, or too unlike.
fn check_size(width: u64, height: u64) -> Result<()> {
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
    Ok(())
}

/// Pixels of `channels` values of `SIZE` bytes as three bytes each: grey is equal parts of all, what says how
/// transparent they are is left out.
fn rgb<const SIZE: usize>(
    bytes: Vec<u8>,
    channels: usize,
    value: impl Fn([u8; SIZE]) -> u8,
) -> Result<Vec<u8>> {
    if SIZE == 1 && channels == 3 {
        return Ok(bytes);
    }
    let (values, _) = bytes.as_chunks::<SIZE>();
    let count = values.len() / channels;
    let mut all = room(3 * count as u64)?;
    for (to, from) in all.chunks_exact_mut(3).zip(values.chunks_exact(channels)) {
        let [green, blue] = match channels {
            1 | 2 => [0, 0],
            _ => [1, 2],
        };
        to.copy_from_slice(&[0, green, blue].map(|at| value(from[at])));
    }
    Ok(all)
}

fn room(bytes: u64) -> Result<Vec<u8>> {
    let missing = || Error::Engine("image: out of memory".to_owned());
    let bytes = usize::try_from(bytes).map_err(|_| missing())?;
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| missing())?;
    room.resize(bytes, 0);
    Ok(room)
}

/// An image is refused for this reason.
pub(super) fn refused(reason: &str) -> Error {
    Error::InvalidArgument(format!("the image cannot be read: {reason}"))
}
