//! How much a PNG unpacks to. Its decoder unpacks whatever the stream holds before it looks how many pixels that are, and
//! a stream may hold a thousand times its own length.
//!
//! | Part | Layout, big-endian |
//! |---|---|
//! | start | 8 bytes |
//! | chunk | length u32, name of 4 bytes, content, checksum u32 |
//! | `IHDR` | width u32, height u32, bits per value, kind of colour, three methods |
//! | `IDAT` | a part of the stream; all of them make it up |

use std::ffi::c_char;

use super::ffi::{self, Fault};
use super::image::refused;
use crate::error::Result;

const START: usize = 8;

/// Errors: `InvalidArgument` where the stream of a PNG of these sides holds more than its pixels, or the file is none.
pub(super) fn check(bytes: &[u8], width: u64, height: u64) -> Result<()> {
    let mut stream = Vec::new();
    let mut bits = None;
    let mut rest = &bytes[START..];
    while let Some((name, content, behind)) = chunk(rest) {
        match (name, content) {
            (b"IHDR", [_, _, _, _, _, _, _, _, depth, colour, ..]) => {
                bits = Some(u64::from(*depth) * values(*colour));
            }
            (b"IDAT", _) => stream.extend_from_slice(content),
            (b"IEND", _) => break,
            // The decoder reads the stream of such files otherwise.
            (b"CgBI", _) => return Err(refused("it is a PNG of a private kind")),
            _ => {}
        }
        rest = behind;
    }
    let Some(bits) = bits.filter(|bits| (1..=64).contains(bits)) else {
        return Err(refused("its header is damaged"));
    };
    // Interlaced, it has at most twice as many lines, each of which begins with a byte and ends on one.
    let most = (width * bits).div_ceil(8) * height + 4 * height + 64;
    let most = usize::try_from(most).map_err(|_| refused("it is too large"))?;
    let mut room = vec![0_u8; most];
    ffi::guarded(|err, cap| {
        // SAFETY: the stream outlives the call, and `room` has as many bytes as the decoder is told.
        unsafe {
            engine_image_unpack(
                stream.as_ptr(),
                stream.len(),
                room.as_mut_ptr(),
                room.len(),
                err,
                cap,
            )
        }
    })
    .map_err(|fault| match fault {
        Fault::Failed(text) => refused(&text),
        other => other.during("image"),
    })
}

/// The first chunk and what follows it.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (name, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (content, rest) = rest.split_at_checked(length)?;
    Some((name, content, rest.get(4..)?))
}

/// Values of a pixel; 0 for a kind of colour that there is not.
fn values(colour: u8) -> u64 {
    match colour {
        // Shades of grey, and indices into a palette.
        0 | 3 => 1,
        // Grey with transparency.
        4 => 2,
        2 => 3,
        6 => 4,
        _ => 0,
    }
}

unsafe extern "C" {
    fn engine_image_unpack(
        stream: *const u8,
        size: usize,
        room: *mut u8,
        most: usize,
        err: *mut c_char,
        cap: usize,
    ) -> i32;
}
