//! Where a result goes: the capacity of the guest's buffer, the bytes, and the number of them.
//!
//! | Host | Buffer | Capacity | Size on entry |
//! | --- | --- | --- | --- |
//! | A | the argument itself | the size | capacity |
//! | B | in a struct of the host | in that struct | not defined |
//!
//! On success the size is what was written; what does not fit is not begun, and then the size is what it needs. After
//! any other failure the size is untouched. No NUL is added. Does not know what is written.

use boundary::Out;

use crate::abi::{Abi, Span};
use crate::failure::Failure;

/// A buffer and a size that could be written when the call began.
#[derive(Debug)]
pub(crate) struct Output {
    buffer: Span,
    /// Bytes of the buffer that are the guest's, where that is known.
    room: Option<usize>,
    size: Out<u32>,
}

impl Output {
    /// Finds buffer and capacity in the last two arguments of `get_output`.
    ///
    /// # Safety
    /// `size` is the caller's place for a number; `out` is its buffer or, on B, a struct that names it.
    pub(crate) unsafe fn of_host(
        abi: Abi,
        out: *mut u8,
        size: *mut u32,
    ) -> Result<Output, Failure> {
        // SAFETY: this function's own contract.
        let size = unsafe { boundary::out(size, "out_size") }?;
        let buffer = match abi {
            Abi::A => Span {
                start: out,
                size: size.present,
            },
            Abi::B => Span::read(out, "out")?,
        };
        Ok(Output {
            buffer,
            room: None,
            size,
        })
    }

    /// A buffer with its capacity beside it.
    ///
    /// # Safety
    /// `size` is the caller's place for a number, and `buffer` its memory for output.
    pub(crate) unsafe fn of_guest(buffer: Span, size: *mut u32) -> Result<Output, Failure> {
        // SAFETY: this function's own contract.
        let size = unsafe { boundary::out(size, "written") }?;
        Ok(Output {
            buffer,
            room: None,
            size,
        })
    }

    /// Where its buffer begins.
    pub(crate) fn start(&self) -> *const u8 {
        self.buffer.start
    }

    /// This, whose first `room` bytes are the guest's, whatever capacity it claims.
    pub(crate) fn within(self, room: usize) -> Output {
        Output {
            room: Some(room),
            ..self
        }
    }

    /// Writes a text and its length.
    ///
    /// Errors: `TooLarge` if the buffer is smaller, with the size needed in the place of the length.
    pub(crate) fn put(&self, text: &str) -> Result<(), Failure> {
        let too_long = |_| Failure::Runtime("result has more than 4 GiB".to_owned());
        let needed = u32::try_from(text.len()).map_err(too_long)?;
        if needed > self.buffer.size {
            self.size.set(needed)?;
            return Err(Failure::TooLarge { needed });
        }
        if self.room.is_some_and(|room| text.len() > room) {
            let text = format!("{needed} bytes of out are not all in the guest's memory");
            return Err(Failure::InvalidArgument(text));
        }
        // SAFETY: inside the caller's buffer, by the contract of the constructors.
        unsafe { boundary::put(self.buffer.start, text.as_bytes(), "out") }?;
        Ok(self.size.set(needed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILL: u8 = b'.';

    /// What lies in a buffer of eight bytes and in the size afterwards.
    fn put(abi: Abi, capacity: u32, size: u32, text: &str) -> (Result<(), Failure>, [u8; 8], u32) {
        let mut buffer = [FILL; 8];
        let mut size = size;
        let mut span = [0u8; 16];
        let start = (&raw mut buffer).expose_provenance();
        span[..8].copy_from_slice(&start.to_le_bytes());
        span[8..12].copy_from_slice(&capacity.to_le_bytes());
        let out = match abi {
            Abi::A => (&raw mut buffer).cast(),
            Abi::B => (&raw mut span).cast(),
        };
        // SAFETY: memory of this test.
        let output = unsafe { Output::of_host(abi, out, &raw mut size) };
        let outcome = output.and_then(|output| output.put(text));
        // SAFETY: the buffer was written through an address.
        let seen = unsafe { (&raw const buffer).read_volatile() };
        // SAFETY: as the buffer.
        (outcome, seen, unsafe { (&raw const size).read_volatile() })
    }

    fn check(capacity: u32, text: &str, fits: bool, expected: &[u8; 8]) {
        let needed = text.len() as u32;
        let outcome = match fits {
            true => Ok(()),
            false => Err(Failure::TooLarge { needed }),
        };
        // On A the size is the capacity; on B it is whatever it is.
        let on_a = put(Abi::A, 0, capacity, text);
        assert_eq!(on_a, (outcome.clone(), *expected, needed));
        for noise in [0, 1, u32::MAX] {
            let on_b = put(Abi::B, capacity, noise, text);
            assert_eq!(on_b, (outcome.clone(), *expected, needed));
        }
    }

    #[test]
    fn capacity_is_what_each_generation_says_and_nothing_is_begun_that_does_not_fit() {
        check(8, "hello", true, b"hello...");
        check(5, "hello", true, b"hello...");
        check(4, "hello", false, b"........");
        check(1, "hello", false, b"........");
        check(0, "hello", false, b"........");
        check(8, "12345678", true, b"12345678");
        check(7, "12345678", false, b"........");
        check(8, "", true, b"........");
        check(0, "", true, b"........");
    }

    #[test]
    fn what_leaves_the_memory_is_not_begun_whatever_the_capacity() {
        let (mut buffer, mut size) = ([FILL; 8], 8u32);
        let span = Span {
            start: (&raw mut buffer).cast(),
            size: 8,
        };
        // SAFETY: memory of this test.
        let output = unsafe { Output::of_guest(span, &raw mut size) }.unwrap();
        let output = output.within(4);
        assert!(matches!(
            output.put("12345"),
            Err(Failure::InvalidArgument(_))
        ));
        assert_eq!(
            output.put("123456789"),
            Err(Failure::TooLarge { needed: 9 })
        );
        assert_eq!(output.put("1234"), Ok(()));
        // SAFETY: the buffer was written through an address.
        assert_eq!(unsafe { (&raw const buffer).read_volatile() }, *b"1234....");
    }

    #[test]
    fn places_that_are_none_are_invalid_arguments() {
        let mut size = 4u32;
        let null = std::ptr::null_mut();
        // SAFETY: memory of this test, or none.
        let of_host = |abi, out, size| unsafe { Output::of_host(abi, out, size) };
        assert!(of_host(Abi::A, null, std::ptr::null_mut()).is_err());
        assert!(of_host(Abi::B, null, &raw mut size).is_err());
        let output = of_host(Abi::A, null, &raw mut size).unwrap();
        assert!(matches!(output.put("x"), Err(Failure::InvalidArgument(_))));
        assert_eq!(output.put(""), Ok(()));
        assert_eq!(output.put("12345"), Err(Failure::TooLarge { needed: 5 }));
    }
}
