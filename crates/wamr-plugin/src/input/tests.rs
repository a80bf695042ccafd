//! Where prompts end, with memory that ends right behind them.

use std::ptr::null_mut;

use proptest::prelude::*;

use super::*;
use crate::evidence::Verdict;

const PAGE: usize = 4096;

/// Readable memory that ends at a page that is not.
struct Fenced {
    start: *mut u8,
    len: usize,
}

impl Fenced {
    /// Memory whose last bytes are `bytes`, and the address of their first.
    fn ending_with(bytes: &[u8]) -> (Fenced, *const u8) {
        let len = bytes.len().next_multiple_of(PAGE).max(PAGE);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(null_mut(), len + PAGE, access, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: the last page of the mapping just made.
        let fenced = unsafe { libc::mprotect(start.byte_add(len), PAGE, libc::PROT_NONE) };
        assert_eq!(fenced, 0);
        let start: *mut u8 = start.cast();
        let at = start.wrapping_add(len - bytes.len());
        // SAFETY: inside the mapping, which nobody else knows.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
        (Fenced { start, len }, at)
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: the mapping made above, not used after this.
        let unmapped = unsafe { libc::munmap(self.start.cast(), self.len + PAGE) };
        assert_eq!(unmapped, 0);
    }
}

/// A host with this much of it known.
fn host(abi: Option<Abi>, flavour: Flavour) -> Verdict {
    Verdict {
        abi,
        output: Some(abi.unwrap_or(Abi::B)),
        flavour,
        is_contradicted: false,
    }
}

const A: Option<Abi> = Some(Abi::A);
const B: Option<Abi> = Some(Abi::B);

fn span(start: *const u8, size: u32) -> Vec<u8> {
    let mut bytes = (start.expose_provenance() as u64).to_le_bytes().to_vec();
    bytes.extend(u64::from(size).to_le_bytes());
    bytes
}

/// Copies the tensor of a host; dimensions and tensor lie at odd addresses and end before a fence, on A after 24 bytes.
fn take(host: Verdict, data: *const u8, sizes: &[u32], size: u32) -> Result<Vec<u8>, Failure> {
    let words: Vec<u8> = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
    let (_words, words) = Fenced::ending_with(&[&words[..], b"?"].concat());
    let (_shape, shape) = Fenced::ending_with(&span(words, sizes.len() as u32));
    let mut tensor = span(shape, 0x5a5a_5a03);
    tensor.extend(span(data, size));
    if host.abi == A {
        tensor.truncate(24);
    }
    let (_tensor, tensor) = Fenced::ending_with(&tensor);
    copy(tensor, host)
}

fn check(host: Verdict, data: &[u8], sizes: &[u32], size: u32, expected: Option<&[u8]>) {
    let (_memory, start) = Fenced::ending_with(data);
    let copy = take(host, start, sizes, size);
    let text = format!("{host:?} {sizes:?} {size}: {copy:?}");
    assert_eq!(copy.ok().as_deref(), expected, "{text}");
}

#[test]
fn ephemeral_host_of_b_gives_the_length() {
    let host = host(B, Flavour::Ephemeral);
    check(host, b"hello", &[1], 5, Some(b"hello"));
    check(host, b"hello", &[99], 3, Some(b"hel"));
    check(host, b"hello", &[], 0, Some(b""));
    check(host, b"he\0lo", &[5], 5, Some(b"he\0lo"));
    check(host, b"hello\0", &[1], 6, Some(b"hello"));
    check(host, b"hello", &[5], 6, None);
    check(host, b"hello", &[5], SIZE_CAP as u32 + 1, None);
    check(host, b"hello", &[5], u32::MAX, None);
}

#[test]
fn legacy_host_of_b_counts_elements_and_a_nul_ends_the_prompt_before() {
    let host = host(B, Flavour::Legacy);
    check(host, b"hello", &[5], 5, Some(b"hello"));
    check(host, b"hello\0rest", &[1], 10, Some(b"hello"));
    check(host, b"hello\0", &[1], 1 << 20, Some(b"hello"));
    check(host, b"hello", &[5], 6, None);
    check(host, b"hello", &[5], 3, Some(b"hel"));
}

#[test]
fn host_of_a_gives_dimensions_or_a_nul_and_garbage_behind_the_tensor() {
    for flavour in [Flavour::Ephemeral, Flavour::Legacy] {
        let host = host(A, flavour);
        check(host, b"hello", &[5], 0, Some(b"hello"));
        check(host, b"hello!", &[1, 2, 3], 1, Some(b"hello!"));
        check(host, b"hello\0", &[6], 0, Some(b"hello"));
        check(host, b"hello\0rest", &[1], 0, Some(b"hello"));
        check(host, b"hello\0rest", &[0], 0, Some(b"hello"));
        check(host, b"hello\0rest", &[], 0, Some(b"hello"));
        check(host, b"hello", &[1], 0, None);
        check(host, b"hello", &[6], 0, None);
        // Products that cannot be meant.
        check(host, b"hello\0", &[1 << 16, 1 << 16], 0, Some(b"hello"));
        check(host, b"hello\0", &[u32::MAX; 8], 0, Some(b"hello"));
        check(host, b"hello\0", &[SIZE_CAP as u32 + 1], 0, Some(b"hello"));
        check(
            host,
            b"hello\0....",
            &[1, 1, 1, 1, 1, 1, 1, 1, 9],
            0,
            Some(b"hello"),
        );
    }
}

#[test]
fn open_host_is_believed_when_size_and_dimensions_agree() {
    let host = host(None, Flavour::Ephemeral);
    check(host, b"hello", &[5], 5, Some(b"hello"));
    check(host, b"h", &[1], 1, Some(b"h"));
    check(host, b"hello\0rest", &[1], 8, Some(b"hello"));
    check(host, b"hello", &[5], 0xdead, Some(b"hello"));
    check(host, b"hello", &[1], 5, None);
}

#[test]
fn dimensions_that_cannot_be_read_declare_nothing() {
    let (_data, data) = Fenced::ending_with(b"hello\0");
    let check = |shape: *const u8| {
        let mut tensor = span(shape, 3);
        tensor.extend((data.expose_provenance() as u64).to_le_bytes());
        let (_tensor, tensor) = Fenced::ending_with(&tensor);
        let copied = copy(tensor, host(A, Flavour::Ephemeral));
        assert_eq!(copied.as_deref(), Ok(&b"hello"[..]));
    };
    check(std::ptr::null());
    check(std::ptr::without_provenance(1));
    let (_short, short) = Fenced::ending_with(&[1; 15]);
    check(short);
    let (_words, words) = Fenced::ending_with(&[5, 0, 0, 0]);
    let (_lying, lying) = Fenced::ending_with(&span(words, 2));
    check(lying);
}

#[test]
fn prompt_without_a_nul_is_looked_through_up_to_the_cap() {
    let host = host(A, Flavour::Ephemeral);
    let mut long = vec![b'x'; SCAN_CAP];
    long.push(0);
    check(host, &long, &[1], 0, Some(&long[..SCAN_CAP]));
    long[SCAN_CAP] = b'x';
    long.push(0);
    check(host, &long, &[1], 0, None);
    let len = long.len() as u32;
    check(host, &long, &[len], 0, Some(&long[..SCAN_CAP + 1]));
}

#[test]
fn tensors_and_data_that_are_none_are_invalid_arguments() {
    for abi in [A, B, None] {
        let host = host(abi, Flavour::Ephemeral);
        for at in [0usize, 1, 8, usize::MAX - 7, 0xdead_beef_dead_beef] {
            let at = std::ptr::without_provenance(at);
            assert!(matches!(copy(at, host), Err(Failure::InvalidArgument(_))));
            let data = take(host, at, &[7], 7);
            assert!(matches!(data, Err(Failure::InvalidArgument(_))));
        }
    }
    let empty = take(host(B, Flavour::Ephemeral), std::ptr::null(), &[1], 0);
    assert_eq!(empty, Ok(Vec::new()));
}

#[test]
fn prompts_are_utf8() {
    assert_eq!(text(b"gr\xc3\xbcn".to_vec()).as_deref(), Ok("gr\u{fc}n"));
    let failure = text(b"gr\xfcn".to_vec()).unwrap_err().to_string();
    assert_eq!(failure, "prompt is not UTF-8 from byte 2 on");
}

proptest! {
    #[test]
    fn any_tensor_over_any_memory_is_a_copy_or_an_error(
        data in prop::collection::vec(0u8..4, 0..40),
        sizes in prop::collection::vec(0u32..9, 0..10),
        size in 0u32..60,
        abi in prop::sample::select(vec![None, A, B]),
        is_legacy: bool,
    ) {
        let flavour = if is_legacy { Flavour::Legacy } else { Flavour::Ephemeral };
        let (_memory, start) = Fenced::ending_with(&data);
        if let Ok(copy) = take(host(abi, flavour), start, &sizes, size) {
            prop_assert!(data.starts_with(&copy));
        }
    }
}
