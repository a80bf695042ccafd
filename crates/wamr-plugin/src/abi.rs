//! What differs between the two generations of hosts: structs by offset, and the numbers of errors.
//!
//! Layouts, 64-bit systems, offset: field.
//!
//! | Struct | A: WAMR 2.2.0 to 2.3.1 | B: WAMR 2.4.0 and later |
//! | --- | --- | --- |
//! | dimensions | 0 address of `u32`s, 8 `u32` count; 16 bytes | same |
//! | tensor | 0 address of dimensions, 8 `u32` type, 16 address of data; 24 bytes | as A, and 24 `u32` size; 32 bytes |
//! | output | the buffer itself | 0 address of the buffer, 8 `u32` capacity; 16 bytes |
//! | builder, builder array | 0 address, 8 `u32` size; 16 bytes | same |
//!
//! Nothing is read in place: the host's memory may be unaligned, change meanwhile or not exist. The type of a tensor is
//! never looked at, since guests number types by another list than their host; data is text. Does not know how a host
//! is recognised.

use boundary::Fault;

/// A generation of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abi {
    /// WAMR 2.2.0 to 2.3.1.
    A,
    /// WAMR 2.4.0 and later.
    B,
}

/// Which of the two modules a host offers to its guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// `wasi_ephemeral_nn`.
    Ephemeral,
    /// `wasi_nn`.
    Legacy,
}

/// An address and a count: a builder, an array of builders, dimensions, an output of B.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: *mut u8,
    pub(crate) size: u32,
}

/// Bytes of a [`Span`] in the host's memory.
pub(crate) const SPAN_BYTES: usize = 16;

impl Span {
    /// Copies one.
    pub(crate) fn read(at: *const u8, what: &'static str) -> Result<Span, Fault> {
        let bytes = boundary::array::<SPAN_BYTES>(at, what)?;
        Ok(Span {
            start: address(&bytes, 0),
            size: word(&bytes, 8),
        })
    }
}

/// A tensor, as far as anything depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tensor {
    /// Address of the dimensions.
    pub(crate) dimensions: *const u8,
    /// Address of the data.
    pub(crate) data: *const u8,
    /// What lies where B has the size of the data. On a host of A that is whatever was on its stack.
    pub(crate) size: Option<u32>,
}

const TENSOR_A_BYTES: usize = 24;
const TENSOR_B_BYTES: usize = 32;

impl Tensor {
    /// Copies one. An undecided host gets a size if the memory for it is there.
    pub(crate) fn read(at: *const u8, abi: Option<Abi>) -> Result<Tensor, Fault> {
        let large = match abi {
            Some(Abi::A) => None,
            Some(Abi::B) => Some(boundary::array::<TENSOR_B_BYTES>(at, "tensor")?),
            None => boundary::array::<TENSOR_B_BYTES>(at, "tensor").ok(),
        };
        if let Some(bytes) = large {
            let size = Some(word(&bytes, 24));
            return Ok(Tensor::take(&bytes, size));
        }
        let bytes = boundary::array::<TENSOR_A_BYTES>(at, "tensor")?;
        Ok(Tensor::take(&bytes, None))
    }

    fn take(bytes: &[u8], size: Option<u32>) -> Tensor {
        Tensor {
            dimensions: address(bytes, 0),
            data: address(bytes, 16),
            size,
        }
    }
}

/// An outcome by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Success,
    InvalidArgument,
    InvalidEncoding,
    Busy,
    RuntimeError,
    UnsupportedOperation,
    TooLarge,
    NotFound,
    Refused,
    EndOfSequence,
    ContextFull,
    PromptTooLong,
    ModelNotFound,
}

impl Code {
    /// The number for an outcome.
    ///
    /// Guests are compiled against the numbers of B whatever runs them, so those are the rule; A's are for embedders
    /// that look at their own host's. A refusal is 8 in both, "security" in A and "not found" in B: it must not tell
    /// whether there is something behind it. A has no "busy".
    pub(crate) fn number(self, numbers: Abi) -> u32 {
        let (a, b) = match self {
            Code::Success => (0, 0),
            Code::InvalidArgument => (1, 1),
            Code::InvalidEncoding => (2, 2),
            Code::Busy => (4, 4),
            Code::RuntimeError => (4, 5),
            Code::UnsupportedOperation => (5, 6),
            Code::TooLarge => (6, 7),
            Code::NotFound => (7, 8),
            Code::Refused => (8, 8),
            Code::EndOfSequence => (100, 100),
            Code::ContextFull => (101, 101),
            Code::PromptTooLong => (102, 102),
            Code::ModelNotFound => (103, 103),
        };
        match numbers {
            Abi::A => a,
            Abi::B => b,
        }
    }
}

/// The `u32` at an offset that lies inside `bytes`.
pub(crate) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4]
        .iter()
        .rev()
        .fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// The address at an offset that lies inside `bytes`.
pub(crate) fn address(bytes: &[u8], at: usize) -> *mut u8 {
    let bits = u64::from(word(bytes, at + 4)) << 32 | u64::from(word(bytes, at));
    std::ptr::with_exposed_provenance_mut(bits as usize)
}

#[cfg(not(target_endian = "little"))]
compile_error!("layouts are read byte by byte, lowest first, as all supported hosts write them");

#[cfg(test)]
mod tests {
    use super::*;

    /// 33 bytes, so that a struct may begin at an odd address.
    fn odd(bytes: &[u8]) -> ([u8; 33], usize) {
        let mut memory = [0xee; 33];
        let at = 1 - memory.as_ptr().addr() % 2;
        memory[at..at + bytes.len()].copy_from_slice(bytes);
        (memory, at)
    }

    fn tensor_bytes() -> [u8; 32] {
        std::array::from_fn(|at| at as u8)
    }

    #[test]
    fn tensors_are_taken_apart_by_offset_at_any_alignment() {
        let (memory, at) = odd(&tensor_bytes());
        let start = memory[at..].as_ptr();
        let check = |abi, size| {
            let tensor = Tensor::read(start, abi).unwrap();
            assert_eq!(tensor.dimensions.addr(), 0x0706_0504_0302_0100);
            assert_eq!(tensor.data.addr(), 0x1716_1514_1312_1110);
            assert_eq!(tensor.size, size);
        };
        check(Some(Abi::A), None);
        check(Some(Abi::B), Some(0x1b1a_1918));
        check(None, Some(0x1b1a_1918));
    }

    #[test]
    fn spans_have_their_size_behind_the_address() {
        let (memory, at) = odd(&tensor_bytes()[..16]);
        let span = Span::read(memory[at..].as_ptr(), "it").unwrap();
        assert_eq!(span.start.addr(), 0x0706_0504_0302_0100);
        assert_eq!(span.size, 0x0b0a_0908);
        let null = Span::read(std::ptr::null(), "it");
        assert_eq!(null, Err(Fault::Null { what: "it" }));
    }

    #[test]
    fn numbers_are_those_of_the_two_lists() {
        let check = |code: Code, a, b| {
            assert_eq!((code.number(Abi::A), code.number(Abi::B)), (a, b));
        };
        check(Code::Success, 0, 0);
        check(Code::InvalidArgument, 1, 1);
        check(Code::InvalidEncoding, 2, 2);
        check(Code::Busy, 4, 4);
        check(Code::RuntimeError, 4, 5);
        check(Code::UnsupportedOperation, 5, 6);
        check(Code::TooLarge, 6, 7);
        check(Code::NotFound, 7, 8);
        check(Code::Refused, 8, 8);
        check(Code::EndOfSequence, 100, 100);
        check(Code::ContextFull, 101, 101);
        check(Code::PromptTooLong, 102, 102);
        check(Code::ModelNotFound, 103, 103);
    }
}
