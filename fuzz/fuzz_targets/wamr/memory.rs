//! The memory of a guest: a mapping between two fences in which things lie at odd addresses, or do not lie at all.
//!
//! Knows nothing of the interface that is given these.

use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

const PAGE: usize = 4096;

/// Bytes between the fences.
const LEN: usize = 10 * PAGE;

/// What untouched memory holds.
pub const FILL: u8 = 0xA5;

/// One guest's memory: what it lays down for a call in the first half, places for what it gets in the second. A call
/// begins anew.
pub struct Memory {
    start: usize,
    laid: AtomicUsize,
    given: AtomicUsize,
    /// Something lies right before the fence or across it already.
    is_fence_taken: AtomicBool,
}

/// Where a thing lies.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub at: usize,
    /// All of it lies in the memory.
    pub is_right: bool,
    /// The first half of it does.
    pub is_torn: bool,
}

impl Memory {
    pub fn new() -> Memory {
        let len = LEN + 2 * PAGE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let fenced = unsafe { libc::mmap(null_mut(), len, libc::PROT_NONE, kind, -1, 0) };
        assert_ne!(fenced, libc::MAP_FAILED, "no memory for a guest");
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the mapping just made, without its first and last page.
        let opened = unsafe { libc::mprotect(fenced.byte_add(PAGE), LEN, access) };
        assert_eq!(opened, 0, "no memory between the fences");
        Memory {
            start: fenced.expose_provenance() + PAGE,
            laid: AtomicUsize::new(0),
            given: AtomicUsize::new(LEN / 2),
            is_fence_taken: AtomicBool::new(false),
        }
    }

    /// Forgets what was laid: everything holds [`FILL`].
    pub fn clear(&self) {
        let fill = u64::from_ne_bytes([FILL; 8]);
        let words = self.words().iter();
        words.for_each(|word| word.store(fill, Ordering::Relaxed));
        self.laid.store(0, Ordering::Relaxed);
        self.given.store(LEN / 2, Ordering::Relaxed);
        self.is_fence_taken.store(false, Ordering::Relaxed);
    }

    /// Lays bytes down: mostly at an odd address, sometimes right before the fence, sometimes where they are not.
    pub fn lay(&self, pick: u8, bytes: &[u8]) -> Place {
        let place = self.place(pick, bytes.len(), &self.laid);
        // What lies across the fence begins before it.
        let from = place.at.wrapping_sub(self.start);
        let cells = self.bytes().get(from..).unwrap_or_default();
        for (cell, &byte) in cells.iter().zip(bytes) {
            cell.store(byte, Ordering::Relaxed);
        }
        place
    }

    /// Room for `len` bytes, which hold [`FILL`].
    pub fn room(&self, pick: u8, len: usize) -> Place {
        self.place(pick, len, &self.given)
    }

    fn place(&self, pick: u8, len: usize, used: &AtomicUsize) -> Place {
        let fence = self.start + LEN;
        let right = |at| Place {
            at,
            is_right: true,
            is_torn: false,
        };
        let wrong = |at| Place {
            at,
            is_right: false,
            is_torn: at == fence - len / 2,
        };
        let take_fence = || !self.is_fence_taken.swap(true, Ordering::Relaxed);
        match pick % 64 {
            50..=54 if take_fence() => right(fence - len),
            55 if len > 1 && take_fence() => wrong(fence - len / 2),
            56 => wrong(0),
            57 => wrong(1),
            58 => wrong(fence),
            59 => wrong(self.start - PAGE + 3),
            60 => wrong(0xffff_8000_0000_0000),
            61 => wrong(0x7a5a_0000_0000_0001),
            62 => wrong(0xdead_beef_dead_beef),
            63 => wrong(usize::MAX - 3),
            _ => {
                let from = used.load(Ordering::Relaxed);
                // Odd, and some bytes after what lies before.
                let at = (self.start + from + 3) | 1;
                let end = at - self.start + len;
                let half = LEN / 2 * (1 + from * 2 / LEN);
                assert!(end < half, "a call takes too much");
                used.store(end, Ordering::Relaxed);
                right(at)
            }
        }
    }

    /// What is in the memory now, in words: a look at each byte would take most of a call's time.
    pub fn snapshot(&self) -> Vec<u64> {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        self.words().iter().map(load).collect()
    }

    /// Bytes that lie in the memory.
    pub fn read(&self, at: usize, len: usize) -> Vec<u8> {
        let from = at - self.start;
        let load = |byte: &AtomicU8| byte.load(Ordering::Relaxed);
        self.bytes()[from..from + len].iter().map(load).collect()
    }

    /// The number that lies there.
    pub fn word(&self, at: usize) -> u32 {
        let bytes = self.read(at, 4).try_into();
        u32::from_le_bytes(bytes.expect("a word has four bytes"))
    }

    /// Only these ranges of addresses differ from what was there before.
    pub fn check_changes(&self, function: &str, before: &[u64], allowed: &[Range<usize>]) {
        let after = self.snapshot();
        let words = before.iter().zip(&after).enumerate();
        for (index, (before, after)) in words.filter(|(_, (before, after))| before != after) {
            let bytes = before.to_ne_bytes().into_iter().zip(after.to_ne_bytes());
            for (at, (before, after)) in (self.start + 8 * index..).zip(bytes) {
                let is_allowed = allowed.iter().any(|range| range.contains(&at));
                assert!(
                    before == after || is_allowed,
                    "{function} wrote where it may not"
                );
            }
        }
    }

    /// Changes some bytes of the first half, as a thread of the guest may at any time.
    pub fn rewrite(&self) {
        for (n, byte) in self.bytes().iter().enumerate().take(600).step_by(7) {
            byte.fetch_xor((n as u8) | 1, Ordering::Relaxed);
        }
        std::thread::yield_now();
    }

    fn words(&self) -> &[AtomicU64] {
        let start = std::ptr::with_exposed_provenance::<AtomicU64>(self.start);
        // SAFETY: the mapping between the fences, which begins with a page, as long as it lives.
        unsafe { std::slice::from_raw_parts(start, LEN / 8) }
    }

    fn bytes(&self) -> &[AtomicU8] {
        let start = std::ptr::with_exposed_provenance::<AtomicU8>(self.start);
        // SAFETY: the mapping between the fences, as long as it lives; every byte is one.
        unsafe { std::slice::from_raw_parts(start, LEN) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let fenced = std::ptr::with_exposed_provenance_mut(self.start - PAGE);
        // SAFETY: the mapping made in `new`, not used after this.
        let unmapped = unsafe { libc::munmap(fenced, LEN + 2 * PAGE) };
        assert_eq!(unmapped, 0, "a guest's memory was unmapped");
    }
}
