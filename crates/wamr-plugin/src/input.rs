//! How long a prompt is, and a private copy of it.
//!
//! | Host | Length |
//! | --- | --- |
//! | B, ephemeral | the size in the tensor; dimensions say `[1]` for whole prompts |
//! | B, legacy | the size in the tensor counts elements: at most that many bytes, up to the first NUL |
//! | A | the product of the dimensions, if it is above 1 and at most 64 MiB; else up to the first NUL |
//! | open | the size, if it equals the product; else as A |
//! | native library | what the guest's own record says: `native::record` |
//!
//! One NUL at the very end of a length belongs to C, not to the prompt. Does not know what a prompt means.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::abi::{Abi, Flavour, Span, Tensor, word};
use crate::evidence::Verdict;
use crate::failure::Failure;
use crate::guest;

const MIB: usize = 1 << 20;

/// The longest prompt with a length.
const SIZE_CAP: usize = 64 * MIB;

/// How far the end of a prompt without a length is looked for.
const SCAN_CAP: usize = 4 * MIB;

/// The most dimensions that are believed.
const MOST_DIMENSIONS: u32 = 8;

/// Where a prompt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After this many bytes.
    After(u64),
    /// At the first NUL, and after this many bytes at the latest.
    NulWithin(u64),
    /// At the first NUL.
    Nul,
}

/// A copy of the bytes of a tensor.
///
/// Errors: `InvalidArgument` when a byte of the tensor or of its data cannot be read, when the data is longer than its
/// cap, and when no NUL ends it where only a NUL can.
pub(crate) fn copy(at: *const u8, host: Verdict) -> Result<Vec<u8>, Failure> {
    let tensor = Tensor::read(at, host.abi)?;
    let end = end(host.abi, host.flavour, tensor.size, || {
        product(tensor.dimensions)
    });
    if end == End::Nul {
        tell_of_nul(host.abi);
    }
    take(tensor.data, end, SCAN_CAP)
}

/// A copy of the bytes at `data` up to their end; `scan` of them are searched for a NUL where only a NUL ends them.
///
/// Errors: as for [`copy`].
pub(crate) fn take(data: *const u8, end: End, scan: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = match end {
        End::After(len) => {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if len > SIZE_CAP {
                let text = format!("data has {len} bytes, must have at most {SIZE_CAP}");
                return Err(Failure::InvalidArgument(text));
            }
            boundary::bytes(data, len, "data")?
        }
        End::NulWithin(len) => {
            let bound = usize::try_from(len).unwrap_or(usize::MAX);
            boundary::text(data, Some(bound), SIZE_CAP, "data")?
        }
        End::Nul => boundary::text(data, None, scan.min(SCAN_CAP), "data")?,
    };
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes)
}

/// Says once that nobody knows how long such a prompt is, and what helps: on an open host the setting does, too.
fn tell_of_nul(abi: Option<Abi>) {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    if !IS_TOLD.swap(true, Ordering::Relaxed) {
        let text = format!(
            "this host passes no length on: a prompt whose dimensions say 1 must end with a NUL, or what lies behind it \
             is read too; {}",
            match abi {
                Some(_) => "a host that opens the plugin as a native library passes lengths on",
                None => "if its WAMR is 2.4 or later, set WASI_NN_LLAMACPP_ABI to 2.4",
            }
        );
        guest::note(log::Level::Warn, &text);
    }
}

/// A prompt's bytes as text.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::InvalidArgument(format!("prompt is not UTF-8 from byte {at} on"))
    })
}

/// Where a prompt ends; `product` is asked only where it counts.
fn end(
    abi: Option<Abi>,
    flavour: Flavour,
    size: Option<u32>,
    product: impl FnOnce() -> Option<u64>,
) -> End {
    match (abi, flavour, size.map(u64::from)) {
        (Some(Abi::B), Flavour::Ephemeral, Some(size)) => End::After(size),
        (Some(Abi::B), Flavour::Legacy, Some(size)) => End::NulWithin(size),
        (None, _, Some(size)) => match product() {
            Some(product) if product == size => End::After(size),
            product => end_by_product(product),
        },
        (_, _, _) => end_by_product(product()),
    }
}

pub(crate) fn end_by_product(product: Option<u64>) -> End {
    match product {
        Some(len) if (2..=SIZE_CAP as u64).contains(&len) => End::After(len),
        _ => End::Nul,
    }
}

/// The product of the dimensions. None if they cannot be read, are too many or none, or if it is no 64-bit number.
fn product(dimensions: *const u8) -> Option<u64> {
    product_of(Span::read(dimensions, "dimensions").ok()?)
}

/// The product of `span.size` numbers. None as for [`product`].
pub(crate) fn product_of(span: Span) -> Option<u64> {
    if !(1..=MOST_DIMENSIONS).contains(&span.size) {
        return None;
    }
    let bytes = boundary::bytes(span.start, 4 * span.size as usize, "dimensions").ok()?;
    (0..span.size as usize).try_fold(1u64, |product, index| {
        product.checked_mul(word(&bytes, 4 * index).into())
    })
}

#[cfg(test)]
mod tests;
