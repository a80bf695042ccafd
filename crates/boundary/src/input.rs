//! Checked reading of arguments: bytes, texts, names and structs become private copies.
//!
//! Does not know what a text means, nor the limits: they come in as arguments.

use std::mem::MaybeUninit;
use std::slice;

use crate::fault::Fault;
use crate::memory::{self, PAGE};

/// Bytes that are fetched at once while the end of a text is not known.
const STRIDE: usize = 16 * PAGE;

/// The most factors that dimensions may have and still count.
const MOST_DIMENSIONS: usize = 16;

/// Copies exactly `len` bytes. Zero bytes are an empty copy, whatever the pointer is.
///
/// `len` bytes are allocated before the first is read: the caller bounds it.
pub fn bytes(start: *const u8, len: usize, what: &'static str) -> Result<Vec<u8>, Fault> {
    if len == 0 {
        return Ok(Vec::new());
    }
    let address = non_null(start, what)?;
    let mut copy = vec![0; len];
    match memory::read(address, &mut copy) == len {
        true => Ok(copy),
        false => Err(Fault::Unreadable { what }),
    }
}

/// Copies `N` bytes: a struct that is then taken apart by its offsets, whatever its alignment.
pub fn array<const N: usize>(start: *const u8, what: &'static str) -> Result<[u8; N], Fault> {
    let address = non_null(start, what)?;
    let mut copy = [0; N];
    match memory::read(address, &mut copy) == N {
        true => Ok(copy),
        false => Err(Fault::Unreadable { what }),
    }
}

/// Copies a text up to its first NUL or its bound, whichever comes first.
///
/// `bound`: its length where the caller gave one; else only a NUL ends it. `cap`: the most bytes that it may have.
/// What is allocated grows with what can be read, so that a lying length costs nothing.
///
/// Errors: `Null`; `Unreadable` when a byte before the end cannot be read; `TooLarge` when no end lies within the cap.
pub fn text(
    start: *const u8,
    bound: Option<usize>,
    cap: usize,
    what: &'static str,
) -> Result<Vec<u8>, Fault> {
    if bound == Some(0) {
        return Ok(Vec::new());
    }
    let address = non_null(start, what)?;
    let bound_ends_it = bound.is_some_and(|bound| bound <= cap);
    // One byte behind the cap decides whether the text ends there.
    let most = bound.unwrap_or(usize::MAX).min(cap.saturating_add(1));
    let mut text = Vec::new();
    while text.len() < most {
        let have = text.len();
        let from = address
            .checked_add(have)
            .ok_or(Fault::Unreadable { what })?;
        let stride = if have == 0 { PAGE } else { STRIDE };
        let len = (stride - from % stride).min(most - have);
        text.resize(have + len, 0);
        let got = memory::read(from, &mut text[have..]);
        if let Some(nul) = text[have..have + got].iter().position(|&byte| byte == 0) {
            text.truncate(have + nul);
            return Ok(text);
        }
        if got < len && have + got < cap {
            return Err(Fault::Unreadable { what });
        }
        if got < len {
            break;
        }
    }
    match bound_ends_it {
        true => Ok(text),
        false => Err(Fault::TooLarge { what, limit: cap }),
    }
}

/// Copies a name of 1 to `limit` bytes, as [`text`].
pub fn name(
    start: *const u8,
    bound: Option<usize>,
    limit: usize,
    what: &'static str,
) -> Result<Vec<u8>, Fault> {
    match text(start, bound, limit, what) {
        Ok(name) if name.is_empty() => Err(Fault::NameLength { what, limit }),
        Err(Fault::TooLarge { .. }) => Err(Fault::NameLength { what, limit }),
        outcome => outcome,
    }
}

/// Copies a struct.
///
/// # Safety
/// Every bit pattern must be a valid `T`: integers and raw pointers only.
pub unsafe fn value<T: Copy>(at: *const T, what: &'static str) -> Result<T, Fault> {
    let address = non_null(at.cast(), what)?;
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: the bytes of `copy`, all of them initialised, not used otherwise while the slice lives.
    let into = unsafe { slice::from_raw_parts_mut(copy.as_mut_ptr().cast(), size_of::<T>()) };
    match memory::read(address, into) == size_of::<T>() {
        // SAFETY: every byte was written, and every bit pattern is a `T`.
        true => Ok(unsafe { copy.assume_init() }),
        false => Err(Fault::Unreadable { what }),
    }
}

/// Lends the caller's bytes after a look at each of their pages; for what is too large to copy.
///
/// # Safety
/// Nobody may change or unmap the bytes for as long as the slice is used.
pub unsafe fn borrowed<'a>(
    start: *const u8,
    len: usize,
    what: &'static str,
) -> Result<&'a [u8], Fault> {
    let address = non_null(start, what)?;
    if len == 0 {
        return Err(Fault::Null { what });
    }
    match isize::try_from(len).is_ok() && memory::readable(address, len) {
        // SAFETY: every page was readable a moment ago and stays as it is, by this function's contract.
        true => Ok(unsafe { slice::from_raw_parts(start, len) }),
        false => Err(Fault::Unreadable { what }),
    }
}

/// The number of elements that dimensions declare, where they say something about a length.
///
/// None without dimensions, with more than 16, and with a product of 0 or 1. The product saturates.
pub fn element_count(dimensions: &[u32]) -> Option<u64> {
    if dimensions.is_empty() || dimensions.len() > MOST_DIMENSIONS {
        return None;
    }
    if dimensions.contains(&0) {
        return None;
    }
    let product = dimensions
        .iter()
        .fold(1u64, |product, &size| product.saturating_mul(size.into()));
    Some(product).filter(|&product| product > 1)
}

fn non_null(start: *const u8, what: &'static str) -> Result<usize, Fault> {
    match start.is_null() {
        true => Err(Fault::Null { what }),
        false => Ok(start as usize),
    }
}

#[cfg(test)]
mod tests {
    use std::ptr::null;

    use super::*;
    use crate::probe::{Fenced, bad_addresses, without_process_vm};

    const UNREADABLE: Fault = Fault::Unreadable { what: "it" };
    const NULL: Fault = Fault::Null { what: "it" };

    fn too_large(limit: usize) -> Fault {
        Fault::TooLarge { what: "it", limit }
    }

    fn check_text(bytes: &[u8], bound: Option<usize>, cap: usize, expected: Result<&[u8], Fault>) {
        let (_memory, start) = Fenced::ending_with(bytes);
        let copy = text(start, bound, cap, "it");
        assert_eq!(copy.as_deref(), expected.as_ref().map(|text| *text));
    }

    #[test]
    fn text_ends_at_its_nul_or_its_bound() {
        check_text(b"hello\0rest", None, 100, Ok(b"hello"));
        check_text(b"hello\0rest", Some(3), 100, Ok(b"hel"));
        check_text(b"hello\0rest", Some(10), 100, Ok(b"hello"));
        check_text(b"hello", Some(5), 100, Ok(b"hello"));
        check_text(b"hello", Some(0), 100, Ok(b""));
        check_text(b"\0", None, 100, Ok(b""));
        check_text(b"hello\0", Some(usize::MAX), 100, Ok(b"hello"));
    }

    #[test]
    fn text_without_an_end_before_the_fence_is_unreadable() {
        check_text(b"hello", None, 100, Err(UNREADABLE));
        check_text(b"hello", Some(6), 100, Err(UNREADABLE));
        check_text(b"", None, 100, Err(UNREADABLE));
    }

    #[test]
    fn text_of_exactly_the_cap_is_taken_and_one_byte_more_is_too_large() {
        check_text(b"12345\0", None, 5, Ok(b"12345"));
        check_text(b"12345\0", Some(6), 5, Ok(b"12345"));
        check_text(b"12345", Some(5), 5, Ok(b"12345"));
        check_text(b"123456\0", None, 5, Err(too_large(5)));
        check_text(b"123456", Some(6), 5, Err(too_large(5)));
        check_text(b"12345", None, 5, Err(too_large(5)));
        check_text(b"12345", Some(9), 5, Err(too_large(5)));
    }

    #[test]
    fn long_text_is_read_across_pages_and_strides() {
        let mut long: Vec<u8> = (0..5 * STRIDE + 77)
            .map(|at| (at % 255) as u8 + 1)
            .collect();
        check_text(&long, Some(long.len()), 1 << 20, Ok(&long));
        check_text(
            &long,
            Some(long.len() - 1),
            1 << 20,
            Ok(&long[1..]).map(|_| &long[..long.len() - 1]),
        );
        check_text(&long, Some(long.len() + 1), 1 << 20, Err(UNREADABLE));
        check_text(&long, None, 1000, Err(too_large(1000)));
        long.push(0);
        check_text(&long, None, 1 << 20, Ok(&long[..long.len() - 1]));
        without_process_vm(libc::EPERM, || {
            check_text(&long, None, 1 << 20, Ok(&long[..long.len() - 1]));
        });
    }

    #[test]
    fn hostile_pointers_are_faults_for_every_reader() {
        let fenced = Fenced::new(PAGE);
        for address in bad_addresses(&fenced) {
            let at = std::ptr::without_provenance::<u8>(address);
            let fault = if address == 0 { NULL } else { UNREADABLE };
            assert_eq!(text(at, None, 99, "it"), Err(fault));
            assert_eq!(text(at, Some(7), 99, "it"), Err(fault));
            assert_eq!(bytes(at, 7, "it"), Err(fault));
            assert_eq!(array::<7>(at, "it"), Err(fault));
            // SAFETY: integers only.
            assert_eq!(unsafe { value(at.cast::<[u64; 3]>(), "it") }, Err(fault));
            // SAFETY: nothing is lent.
            assert_eq!(unsafe { borrowed(at, 7, "it") }, Err(fault));
        }
    }

    #[test]
    fn zero_bytes_need_no_pointer() {
        assert_eq!(bytes(null(), 0, "it"), Ok(Vec::new()));
        assert_eq!(text(null(), Some(0), 9, "it"), Ok(Vec::new()));
        assert_eq!(text(null(), None, 9, "it"), Err(NULL));
    }

    #[test]
    fn bytes_with_a_length_into_the_fence_are_refused() {
        let (_memory, start) = Fenced::ending_with(b"{\"a\":1}");
        assert_eq!(bytes(start, 7, "it").as_deref(), Ok(&b"{\"a\":1}"[..]));
        assert_eq!(array(start, "it"), Ok(*b"{\"a\":1}"));
        assert_eq!(array::<8>(start, "it"), Err(UNREADABLE));
        assert_eq!(bytes(start, 8, "it"), Err(UNREADABLE));
        assert_eq!(bytes(start, 1 << 20, "it"), Err(UNREADABLE));
    }

    #[test]
    fn names_have_at_least_one_byte_and_at_most_the_limit() {
        let check = |content: &[u8], bound, expected: Result<&[u8], Fault>| {
            let (_memory, start) = Fenced::ending_with(content);
            let name = name(start, bound, 4, "it");
            assert_eq!(name.as_deref(), expected.as_ref().map(|name| *name));
        };
        let wrong = Fault::NameLength {
            what: "it",
            limit: 4,
        };
        check(b"abcd\0", None, Ok(b"abcd"));
        check(b"abcdef", Some(4), Ok(b"abcd"));
        check(b"ab\0def", Some(6), Ok(b"ab"));
        check(b"abcde\0", None, Err(wrong));
        check(b"abcde", Some(5), Err(wrong));
        check(b"\0abc", None, Err(wrong));
        check(b"\0abc", Some(3), Err(wrong));
        check(b"abc", None, Err(UNREADABLE));
    }

    #[test]
    fn structs_and_loans_show_the_bytes_of_the_caller() {
        let (_memory, start) = Fenced::ending_with(&[1, 0, 0, 0, 2, 0, 0, 0]);
        // SAFETY: integers only.
        let pair = unsafe { value(start.cast::<[u32; 2]>(), "it") };
        assert_eq!(pair, Ok([1, 2]));
        // SAFETY: integers only.
        let triple = unsafe { value(start.cast::<[u32; 3]>(), "it") };
        assert_eq!(triple, Err(UNREADABLE));
        // SAFETY: nobody else knows this memory.
        let loan = unsafe { borrowed(start, 8, "it") };
        assert_eq!(loan, Ok(&[1, 0, 0, 0, 2, 0, 0, 0][..]));
        // SAFETY: nothing is lent.
        assert_eq!(unsafe { borrowed(start, 9, "it") }, Err(UNREADABLE));
        // SAFETY: nothing is lent.
        assert_eq!(unsafe { borrowed(start, 0, "it") }, Err(NULL));
        // SAFETY: nothing is lent.
        let endless = unsafe { borrowed(start, usize::MAX, "it") };
        assert_eq!(endless, Err(UNREADABLE));
    }

    #[test]
    fn dimensions_count_only_when_their_product_says_something() {
        let check = |dimensions: &[u32], expected| {
            assert_eq!(element_count(dimensions), expected, "{dimensions:?}");
        };
        check(&[], None);
        check(&[1], None);
        check(&[1, 1, 1], None);
        check(&[5, 0], None);
        check(&[0], None);
        check(&[7], Some(7));
        check(&[2, 3, 4], Some(24));
        check(&[u32::MAX; 16], Some(u64::MAX));
        check(&[2; 17], None);
    }
}
