//! Checked writing of results: out-parameters, sizes and text buffers of the host.
//!
//! Every place is tried before the work is done, so that a bad pointer is an error before an answer would be lost, and
//! keeps its value until the result stands. Does not know what is written.

use std::ffi::c_void;
use std::slice;

use crate::fault::Fault;
use crate::{input, memory, repair};

/// The capacity assumed where a host gives none or an implausible one: that of the only hosts known to do so.
const ASSUMED_CAPACITY: u32 = 8192;

/// What an out-parameter may hold.
///
/// # Safety
/// Only for types without padding for which every bit pattern is valid.
pub unsafe trait Word: Copy {}

// SAFETY: an integer.
unsafe impl Word for u32 {}
// SAFETY: a raw pointer.
unsafe impl Word for *mut c_void {}

/// An out-parameter that could be written when the call began.
#[derive(Debug)]
pub struct Out<T> {
    /// The value that the caller left there.
    pub present: T,
    at: *mut T,
    what: &'static str,
}

/// Checks an out-parameter by writing back the value that it has.
///
/// # Safety
/// If `at` is writable memory, it must be the caller's for a `T`, for as long as the result lives.
pub unsafe fn out<T: Word>(at: *mut T, what: &'static str) -> Result<Out<T>, Fault> {
    // SAFETY: every bit pattern of a `Word` is valid.
    let present = unsafe { input::value(at.cast_const(), what) }.map_err(for_writing)?;
    let out = Out { present, at, what };
    out.set(present)?;
    Ok(out)
}

impl<T: Word> Out<T> {
    /// Writes the result.
    pub fn set(&self, value: T) -> Result<(), Fault> {
        // SAFETY: the bytes of a local value without padding.
        let bytes = unsafe { slice::from_raw_parts((&raw const value).cast(), size_of::<T>()) };
        let at = self.at as usize;
        // SAFETY: the place is the caller's, by the contract of `out`.
        match unsafe { memory::write(at, bytes) } {
            true => Ok(()),
            false => Err(Fault::Unwritable { what: self.what }),
        }
    }
}

/// The size beside an output buffer: capacity on entry, bytes written on success, 0 after any error.
#[derive(Debug)]
pub struct OutputSize {
    /// The value that the caller left there.
    pub claimed: u32,
    out: Out<u32>,
}

impl OutputSize {
    /// Takes the caller's value and puts 0 in its place.
    ///
    /// # Safety
    /// As [`out`].
    pub unsafe fn take(at: *mut u32, what: &'static str) -> Result<OutputSize, Fault> {
        // SAFETY: this function's own contract.
        let out = unsafe { out(at, what) }?;
        out.set(0)?;
        Ok(OutputSize {
            claimed: out.present,
            out,
        })
    }

    /// Writes the number of bytes written.
    pub fn set(&self, bytes: usize) -> Result<(), Fault> {
        self.out.set(u32::try_from(bytes).unwrap_or(u32::MAX))
    }
}

/// The capacity of an output buffer whose host claims `claimed` bytes.
///
/// 0 means unknown, and above `believed_up_to` a claim is taken for leftover memory: both mean the 8192 bytes of the
/// hosts that do so.
pub fn capacity(claimed: u32, believed_up_to: u32) -> usize {
    let plausible = (1..=believed_up_to).contains(&claimed);
    (if plausible { claimed } else { ASSUMED_CAPACITY }) as usize
}

/// A text buffer whose first byte could be written when the call began.
#[derive(Debug)]
pub struct Buffer {
    start: *mut u8,
    capacity: usize,
    what: &'static str,
}

/// What [`Buffer::put_cut`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes in the buffer, the NUL included.
    pub bytes: usize,
    /// False when the text was cut.
    pub whole: bool,
}

/// Checks a text buffer of `capacity` bytes by writing back its first byte.
///
/// # Safety
/// As far as `start` and the `capacity` bytes from there are writable memory, they must be the caller's for output, for
/// as long as the result lives.
pub unsafe fn buffer(start: *mut u8, capacity: usize, what: &'static str) -> Result<Buffer, Fault> {
    if capacity == 0 {
        return Err(Fault::Null { what });
    }
    let buffer = Buffer {
        start,
        capacity,
        what,
    };
    let first = input::bytes(start, 1, what).map_err(for_writing)?;
    buffer.put(&first)?;
    Ok(buffer)
}

/// Writes exactly `bytes`, without a NUL. Zero bytes need no memory, whatever the pointer is.
///
/// Errors: `Null`; `Unwritable`, and then a first part may have been written.
///
/// # Safety
/// As far as the bytes from `start` on are writable memory, they must be the caller's for output.
pub unsafe fn put(start: *mut u8, bytes: &[u8], what: &'static str) -> Result<(), Fault> {
    if bytes.is_empty() {
        return Ok(());
    }
    if start.is_null() {
        return Err(Fault::Null { what });
    }
    // SAFETY: this function's own contract.
    match unsafe { memory::write(start as usize, bytes) } {
        true => Ok(()),
        false => Err(Fault::Unwritable { what }),
    }
}

fn for_writing(fault: Fault) -> Fault {
    match fault {
        Fault::Unreadable { what } => Fault::Unwritable { what },
        other => other,
    }
}

impl Buffer {
    /// Writes as much of the text as fits, whole characters only, and a NUL.
    pub fn put_cut(&self, text: &str) -> Result<Written, Fault> {
        let start = repair::cut(text, self.capacity - 1);
        self.put_terminated(start)?;
        Ok(Written {
            bytes: start.len() + 1,
            whole: start.len() == text.len(),
        })
    }

    /// Writes the whole text and a NUL, and returns the number of bytes; or a NUL alone, and the size needed as error.
    pub fn put_whole(&self, text: &str) -> Result<usize, Fault> {
        let needed = text.len() + 1;
        if needed > self.capacity {
            self.put_terminated("")?;
            return Err(Fault::BufferTooSmall {
                needed,
                capacity: self.capacity,
            });
        }
        self.put_terminated(text)?;
        Ok(needed)
    }

    fn put_terminated(&self, text: &str) -> Result<(), Fault> {
        let mut bytes = Vec::with_capacity(text.len() + 1);
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
        self.put(&bytes)
    }

    /// `bytes` are at most `capacity`.
    fn put(&self, bytes: &[u8]) -> Result<(), Fault> {
        let at = self.start as usize;
        // SAFETY: a start of the buffer, which is the caller's for output by the contract of `buffer`.
        match unsafe { memory::write(at, bytes) } {
            true => Ok(()),
            false => Err(Fault::Unwritable { what: self.what }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ptr::{null_mut, without_provenance_mut};

    use super::*;
    use crate::memory::PAGE;
    use crate::probe::{Fenced, bad_addresses, without_process_vm};

    const UNWRITABLE: Fault = Fault::Unwritable { what: "it" };
    const NULL: Fault = Fault::Null { what: "it" };

    fn text_buffer(start: *mut u8, capacity: usize) -> Result<Buffer, Fault> {
        // SAFETY: memory of the test, or none.
        unsafe { buffer(start, capacity, "it") }
    }

    fn word(at: *mut u32) -> Result<Out<u32>, Fault> {
        // SAFETY: memory of the test, or none.
        unsafe { out(at, "it") }
    }

    fn content(start: *const u8, len: usize) -> Vec<u8> {
        input::bytes(start, len, "it").unwrap()
    }

    #[test]
    fn out_parameter_keeps_its_value_until_it_is_set() {
        let (_memory, start) = Fenced::ending_with(&[1, 2, 3, 4, 5]);
        // Not aligned: C compilers would not do it, a packed struct of a host does.
        let place = word(start.wrapping_add(1).cast()).unwrap();
        assert_eq!(place.present, u32::from_ne_bytes([2, 3, 4, 5]));
        assert_eq!(content(start, 5), [1, 2, 3, 4, 5]);
        place.set(u32::from_ne_bytes([9, 8, 7, 6])).unwrap();
        assert_eq!(content(start, 5), [1, 9, 8, 7, 6]);
    }

    #[test]
    fn places_that_cannot_be_written_are_faults() {
        let fenced = Fenced::new(PAGE);
        for address in bad_addresses(&fenced) {
            let fault = if address == 0 { NULL } else { UNWRITABLE };
            let at = without_provenance_mut::<u8>(address);
            assert_eq!(word(at.cast()).unwrap_err(), fault);
            assert_eq!(text_buffer(at, 10).unwrap_err(), fault);
            // SAFETY: no memory.
            let size = unsafe { OutputSize::take(at.cast(), "it") };
            assert_eq!(size.unwrap_err(), fault);
        }
        let constant = "read-only".as_ptr().cast_mut();
        assert_eq!(word(constant.cast()).unwrap_err(), UNWRITABLE);
        assert_eq!(text_buffer(constant, 5).unwrap_err(), UNWRITABLE);
        let straddling = fenced.fence().wrapping_sub(3).cast();
        assert_eq!(word(straddling).unwrap_err(), UNWRITABLE);
    }

    #[test]
    fn taken_size_is_zero_until_it_is_set() {
        let mut value = 77;
        // SAFETY: a local of this test.
        let size = unsafe { OutputSize::take(&raw mut value, "it") }.unwrap();
        assert_eq!(size.claimed, 77);
        assert_eq!(content((&raw const value).cast(), 4), [0; 4]);
        size.set(12).unwrap();
        assert_eq!(content((&raw const value).cast(), 4), 12u32.to_ne_bytes());
    }

    #[test]
    fn implausible_sizes_mean_8192() {
        const MIB: u32 = 1 << 20;
        let check = |claimed, believed, expected| {
            assert_eq!(capacity(claimed, believed), expected);
        };
        check(0, 64 * MIB, 8192);
        check(1, 64 * MIB, 1);
        check(64 * MIB, 64 * MIB, 64 << 20);
        check(64 * MIB + 1, 64 * MIB, 8192);
        check(64 * MIB + 1, 1024 * MIB, (64 << 20) + 1);
        check(u32::MAX, 1024 * MIB, 8192);
    }

    #[test]
    fn cut_text_fills_the_buffer_up_to_a_whole_character_and_a_nul() {
        let check = |text: &str, capacity: usize, expected: &[u8], whole| {
            let (_memory, start) = Fenced::ending_with(&[b'.'; 8]);
            let buffer = text_buffer(start, capacity).unwrap();
            assert_eq!(content(start, 8), b"........");
            let written = buffer.put_cut(text).unwrap();
            let bytes = expected.iter().position(|&byte| byte == 0).unwrap() + 1;
            assert_eq!(written, Written { bytes, whole });
            assert_eq!(content(start, 8), expected);
        };
        check("hello", 8, b"hello\0..", true);
        check("hello", 6, b"hello\0..", true);
        check("hello", 5, b"hell\0...", false);
        check("hello", 1, b"\0.......", false);
        check("", 1, b"\0.......", true);
        check("a\u{20ac}b", 4, b"a\0......", false);
        without_process_vm(libc::ENOSYS, || check("hello", 5, b"hell\0...", false));
    }

    #[test]
    fn whole_text_or_a_nul_alone() {
        let (_memory, start) = Fenced::ending_with(&[b'.'; 8]);
        let small = text_buffer(start, 5).unwrap();
        assert_eq!(
            small.put_whole("hello"),
            Err(Fault::BufferTooSmall {
                needed: 6,
                capacity: 5
            })
        );
        assert_eq!(content(start, 8), b"\0.......");
        assert_eq!(text_buffer(start, 6).unwrap().put_whole("hello"), Ok(6));
        assert_eq!(content(start, 8), b"hello\0..");
    }

    #[test]
    fn lying_capacity_harms_only_a_text_that_needs_it() {
        let (_memory, start) = Fenced::ending_with(&[b'.'; 8]);
        let lying = text_buffer(start, 4096).unwrap();
        assert_eq!(lying.put_whole("1234567"), Ok(8));
        assert_eq!(lying.put_whole("12345678"), Err(UNWRITABLE));
    }

    #[test]
    fn bytes_are_put_exactly_and_only_where_memory_is() {
        // SAFETY: memory of the test, or none.
        let put = |start, bytes: &[u8]| unsafe { put(start, bytes, "it") };
        let (memory, start) = Fenced::ending_with(&[b'.'; 8]);
        assert_eq!(put(start, b"hello"), Ok(()));
        assert_eq!(content(start, 8), b"hello...");
        assert_eq!(put(start, b"12345678"), Ok(()));
        assert_eq!(content(start, 8), b"12345678");
        assert_eq!(put(start, b"123456789"), Err(UNWRITABLE));
        assert_eq!(put(null_mut(), b""), Ok(()));
        assert_eq!(put(null_mut(), b"x"), Err(NULL));
        for address in bad_addresses(&memory) {
            assert!(put(without_provenance_mut(address), b"x").is_err());
        }
    }

    #[test]
    fn buffers_need_a_pointer_and_a_byte() {
        assert_eq!(text_buffer(null_mut(), 9).unwrap_err(), NULL);
        let mut byte = 0;
        assert_eq!(text_buffer(&raw mut byte, 0).unwrap_err(), NULL);
    }
}
