//! What guests write in their own memory: builders and tensors, as the two modules have them.
//!
//! Offset: field, all of four bytes.
//!
//! | Record | `wasi_ephemeral_nn` | `wasi_nn` |
//! | --- | --- | --- |
//! | builder | 0 offset of the bytes, 4 size | same |
//! | builders | the address of the first and their count are arguments | 0 offset of the first, 4 count |
//! | tensor | 0 record of the dimensions, 8 type, 12 record of the data | 0 offset of the former, 4 type, 8 offset of the data |
//!
//! A record of dimensions or of data is an offset and a count, as a builder is.
//!
//! A prompt of the first module is as long as its tensor says, whatever the dimensions are. The second has no size: the
//! dimensions say it if their product is above 1, and the text ends at its first NUL.

use crate::argument::ModelParts;
use crate::failure::Failure;
use crate::input::{self, End};

use super::memory::{Memory, RECORD_BYTES};

const TENSOR_BYTES: usize = 20;
const LEGACY_TENSOR_BYTES: usize = 12;
/// Bytes of a dimension.
const DIMENSION: usize = 4;

/// The parts of a model in `count` builders from `first` on.
pub(super) fn parts(memory: &Memory, first: *const u8, count: u32) -> Result<ModelParts, Failure> {
    ModelParts::new(count, |index| {
        memory.span(first.wrapping_add(RECORD_BYTES * index), 1, "builder")
    })
}

/// The parts of a model whose array of builders lies at `array`.
pub(super) fn legacy_parts(memory: &Memory, array: *const u8) -> Result<ModelParts, Failure> {
    let builders = memory.span(array, 0, "builder")?;
    parts(memory, builders.start, builders.size)
}

/// A copy of the data of the tensor at `at`.
pub(super) fn tensor(memory: &Memory, at: *const u8) -> Result<Vec<u8>, Failure> {
    let record = memory.array::<TENSOR_BYTES>(at, "tensor")?;
    let data = memory.span_of(&record[12..], 1, "data")?;
    input::take(data.start, End::After(data.size.into()), 0)
}

/// A copy of the data of the tensor of the module `wasi_nn` at `at`.
pub(super) fn legacy_tensor(memory: &Memory, at: *const u8) -> Result<Vec<u8>, Failure> {
    let record = memory.array::<LEGACY_TENSOR_BYTES>(at, "tensor")?;
    let offset = |at| crate::abi::word(&record, at);
    let dimensions = memory
        .at(offset(0), RECORD_BYTES, "dimensions")
        .and_then(|at| memory.span(at, DIMENSION, "dimensions"));
    let data = memory.at(offset(8), 0, "data")?;
    let left = memory.left(data);
    let end = match input::end_by_product(dimensions.ok().and_then(input::product_of)) {
        End::After(len) if len > left as u64 => {
            let text = format!("data has {len} bytes by its dimensions, the guest's memory {left}");
            return Err(Failure::InvalidArgument(text));
        }
        End::After(len) => End::NulWithin(len),
        end => end,
    };
    input::take(data, end, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 256;

    /// A guest's memory, filled with letters where nothing is written.
    struct Guest([u8; SIZE]);

    impl Guest {
        fn new() -> Guest {
            Guest([b'x'; SIZE])
        }

        fn put(&mut self, at: usize, bytes: &[u8]) {
            self.0[at..at + bytes.len()].copy_from_slice(bytes);
        }

        fn words(&mut self, at: usize, words: &[u32]) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            self.put(at, &bytes);
        }

        fn memory(&mut self) -> (Memory, *mut u8) {
            let start = (&raw mut self.0).cast::<u8>();
            (Memory::new(start, start.wrapping_add(SIZE)), start)
        }
    }

    #[test]
    fn a_prompt_is_as_long_as_its_tensor_says_whatever_the_dimensions_are() {
        let check = |dimensions: &[u32], size: u32, expect: Option<&[u8]>| {
            let mut guest = Guest::new();
            guest.words(1, dimensions);
            guest.words(41, &[1, dimensions.len() as u32, 0xee_ee_ee_03, 101, size]);
            guest.put(101, b"a prompt");
            let (memory, start) = guest.memory();
            let found = tensor(&memory, start.wrapping_add(41));
            assert_eq!(found.ok().as_deref(), expect, "{dimensions:?} {size}");
        };
        for dimensions in [&[1][..], &[8], &[2, 4], &[1, 5000], &[0], &[u32::MAX, 9]] {
            check(dimensions, 8, Some(b"a prompt"));
        }
        check(&[1], 10, Some(b"a promptxx"));
        check(&[1], 0, Some(b""));
        check(
            &[1],
            155,
            Some(&[b"a prompt".as_slice(), &[b'x'; 147]].concat()),
        );
        check(&[1], 156, None);
        check(&[1], u32::MAX, None);
    }

    #[test]
    fn a_prompt_of_the_older_module_ends_by_its_dimensions_or_its_nul() {
        let check = |dimensions: &[u32], data: &[u8], expect: Option<&[u8]>| {
            let mut guest = Guest::new();
            guest.words(1, dimensions);
            guest.words(21, &[1, dimensions.len() as u32]);
            guest.words(41, &[21, 0xee_ee_ee_02, 200]);
            guest.put(200, data);
            let (memory, start) = guest.memory();
            let found = legacy_tensor(&memory, start.wrapping_add(41));
            assert_eq!(found.ok().as_deref(), expect, "{dimensions:?}");
        };
        check(&[8], b"a prompt", Some(b"a prompt"));
        check(&[1, 8], b"a prompt", Some(b"a prompt"));
        check(&[12], b"a prompt\0!!!", Some(b"a prompt"));
        check(&[1], b"a prompt\0", Some(b"a prompt"));
        check(&[], b"a prompt\0", Some(b"a prompt"));
        // No NUL before the memory ends, and dimensions that lead out of it.
        check(&[1], b"a prompt", None);
        check(&[57], b"a prompt", None);
        check(&[56], b"a prompt\0", Some(b"a prompt"));
    }

    #[test]
    fn builders_are_found_in_both_forms() {
        let mut guest = Guest::new();
        guest.put(100, b"GGUF and more");
        guest.put(150, br#"{"temp":0}"#);
        guest.words(3, &[100, 13, 150, 10]);
        guest.words(31, &[3, 2]);
        guest.words(51, &[3, 3]);
        guest.words(61, &[250, 1]);
        let (memory, start) = guest.memory();
        let both = [
            parts(&memory, start.wrapping_add(3), 2),
            legacy_parts(&memory, start.wrapping_add(31)),
        ];
        for found in both {
            let found = found.unwrap();
            assert_eq!(found.model().unwrap(), b"GGUF and more");
            assert_eq!(found.config(), Ok(Some(br#"{"temp":0}"#.to_vec())));
        }
        assert!(legacy_parts(&memory, start.wrapping_add(51)).is_err());
        assert!(legacy_parts(&memory, start.wrapping_add(61)).is_err());
        let outside = parts(&memory, start.wrapping_add(250), 1);
        assert!(matches!(outside, Err(Failure::InvalidArgument(_))));
    }
}
