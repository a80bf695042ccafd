//! The linear memory of the guest that calls: which addresses are its own.
//!
//! Found for each call, since memory grows. Another thread of the guest may move it meanwhile, so that everything is
//! copied through the kernel all the same. Does not know what lies in it.

use crate::abi::{Span, word};
use crate::failure::Failure;

/// Bytes of a guest's record of an offset and a size.
pub(super) const RECORD_BYTES: usize = 8;

/// A guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    start: *mut u8,
    bytes: usize,
}

impl Memory {
    /// The memory between two addresses.
    pub(super) fn new(start: *mut u8, end: *mut u8) -> Memory {
        Memory {
            start,
            bytes: end.addr().saturating_sub(start.addr()),
        }
    }

    /// The address of `len` bytes at a guest's `offset`.
    ///
    /// Errors: `InvalidArgument` where they are not all in the memory.
    pub(super) fn at(
        &self,
        offset: u32,
        len: usize,
        what: &'static str,
    ) -> Result<*mut u8, Failure> {
        let end = (offset as usize).checked_add(len);
        match end.is_some_and(|end| end <= self.bytes) {
            true => Ok(self.start.wrapping_add(offset as usize)),
            false => Err(outside(what)),
        }
    }

    /// Bytes of the memory from an address on; none where it lies elsewhere.
    pub(super) fn left(&self, at: *const u8) -> usize {
        let offset = at.addr().checked_sub(self.start.addr());
        offset.map_or(0, |offset| self.bytes.saturating_sub(offset))
    }

    /// Fails as `at` does, for an address that the host has made of an offset.
    pub(super) fn check(
        &self,
        at: *const u8,
        len: usize,
        what: &'static str,
    ) -> Result<(), Failure> {
        match len == 0 || self.left(at) >= len {
            true => Ok(()),
            false => Err(outside(what)),
        }
    }

    /// A copy of `N` bytes at an address.
    pub(super) fn array<const N: usize>(
        &self,
        at: *const u8,
        what: &'static str,
    ) -> Result<[u8; N], Failure> {
        self.check(at, N, what)?;
        Ok(boundary::array(at, what)?)
    }

    /// What a record at an address leads to: `unit` bytes for each that it counts.
    pub(super) fn span(
        &self,
        at: *const u8,
        unit: usize,
        what: &'static str,
    ) -> Result<Span, Failure> {
        let record = self.array::<RECORD_BYTES>(at, what)?;
        self.span_of(&record, unit, what)
    }

    /// What a record leads to that was copied already.
    pub(super) fn span_of(
        &self,
        record: &[u8],
        unit: usize,
        what: &'static str,
    ) -> Result<Span, Failure> {
        let (offset, size) = (word(record, 0), word(record, 4));
        let start = self.at(offset, (size as usize).saturating_mul(unit), what)?;
        Ok(Span { start, size })
    }
}

fn outside(what: &'static str) -> Failure {
    Failure::InvalidArgument(format!("{what} is not all in the guest's memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_with_the_memory_is_in_it_and_a_byte_more_is_not() {
        let mut bytes = *b"0123456789abcdef";
        let start = (&raw mut bytes).cast::<u8>();
        let memory = Memory::new(start, start.wrapping_add(16));
        assert_eq!(memory.at(4, 12, "it"), Ok(start.wrapping_add(4)));
        assert_eq!(memory.at(16, 0, "it"), Ok(start.wrapping_add(16)));
        for (offset, len) in [(4, 13), (17, 0), (u32::MAX, 1), (0, usize::MAX)] {
            assert!(memory.at(offset, len, "it").is_err(), "{offset} {len}");
        }
        assert_eq!(memory.array::<2>(start.wrapping_add(14), "it"), Ok(*b"ef"));
        assert!(memory.array::<3>(start.wrapping_add(14), "it").is_err());
        assert!(memory.array::<1>(start.wrapping_sub(1), "it").is_err());
        assert_eq!(memory.left(start.wrapping_add(20)), 0);
        assert_eq!(memory.check(std::ptr::null(), 0, "it"), Ok(()));
    }

    #[test]
    fn a_record_leads_to_bytes_or_to_numbers() {
        let mut bytes = [0u8; 32];
        bytes[..8].copy_from_slice(&[8, 0, 0, 0, 6, 0, 0, 0]);
        let start = (&raw mut bytes).cast::<u8>();
        let memory = Memory::new(start, start.wrapping_add(32));
        let span = Span {
            start: start.wrapping_add(8),
            size: 6,
        };
        assert_eq!(memory.span(start, 1, "it"), Ok(span));
        assert_eq!(memory.span(start, 4, "it"), Ok(span));
        assert!(memory.span(start, 5, "it").is_err());
    }
}
