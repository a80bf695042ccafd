//! Memory with a fence behind it and a watch before it, and addresses that are no memory at all.
//!
//! Knows nothing of the interface that is given these.

use std::ptr::null_mut;

const PAGE: usize = 4096;

/// What untouched memory holds.
pub const FILL: u8 = 0xA5;

/// Bytes that end right before a page that can be neither read nor written.
pub struct Fenced {
    start: *mut u8,
    /// Bytes up to the fence, a multiple of the page size.
    len: usize,
    /// Bytes of them that were asked for, the last ones.
    size: usize,
}

impl Fenced {
    /// `size` bytes, and all before them, hold [`FILL`].
    pub fn new(size: usize) -> Fenced {
        let len = (size + 1).next_multiple_of(PAGE);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(null_mut(), len + PAGE, access, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED, "no memory for a buffer");
        // SAFETY: the last page of the mapping just made.
        let fenced = unsafe { libc::mprotect(start.byte_add(len), PAGE, libc::PROT_NONE) };
        assert_eq!(fenced, 0, "no fence");
        let start = start.cast::<u8>();
        // SAFETY: the mapping without its fence.
        unsafe { start.write_bytes(FILL, len) };
        Fenced { start, len, size }
    }

    /// Exactly these bytes.
    pub fn holding(bytes: &[u8]) -> Fenced {
        let fenced = Fenced::new(bytes.len());
        // SAFETY: as many bytes as were asked for.
        unsafe {
            fenced
                .at()
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        };
        fenced
    }

    /// The first of the bytes.
    pub fn at(&self) -> *mut u8 {
        self.start.wrapping_add(self.len - self.size)
    }

    /// A copy of the bytes. Panics if one before them was written.
    pub fn bytes(&self) -> Vec<u8> {
        // SAFETY: the mapping without its fence, which no reference covers while the library runs.
        let all = unsafe { std::slice::from_raw_parts(self.start, self.len) };
        let (before, bytes) = all.split_at(self.len - self.size);
        assert!(
            before.iter().all(|&b| b == FILL),
            "written before the buffer"
        );
        bytes.to_vec()
    }

    /// The 32-bit number in the bytes.
    pub fn word(&self) -> u32 {
        let bytes = self.bytes();
        u32::from_ne_bytes(bytes.try_into().expect("a word has four bytes"))
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, not used after this.
        let unmapped = unsafe { libc::munmap(self.start.cast(), self.len + PAGE) };
        assert_eq!(unmapped, 0, "a buffer was unmapped");
    }
}

/// An address for a pointer argument: mostly the right one.
///
/// The second value is whether it is the right one.
pub fn place(pick: u8, right: *mut u8) -> (*mut u8, bool) {
    let address = match pick % 64 {
        58 => 0,
        59 => 1,
        60 => 0xffff_8000_0000_0000,
        61 => 0x7a5a_0000_0000_0001,
        62 => 0xdead_beef_dead_beef,
        63 => usize::MAX - 3,
        _ => return (right, true),
    };
    (std::ptr::without_provenance_mut(address), false)
}
