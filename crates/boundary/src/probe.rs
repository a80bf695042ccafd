//! Memory with a fence behind it, hostile addresses, and a thread without the system calls that `memory` likes.
//!
//! For tests only; knows nothing of what is tested.

use std::ptr::null_mut;

use crate::memory::PAGE;

/// Writable memory that ends at a page that can be neither read nor written.
pub(crate) struct Fenced {
    start: *mut u8,
    len: usize,
}

impl Fenced {
    /// `len` bytes, a multiple of the page size.
    pub(crate) fn new(len: usize) -> Fenced {
        assert_eq!(len % PAGE, 0);
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let start = unsafe { libc::mmap(null_mut(), len + PAGE, access, kind, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: the last page of the mapping just made.
        let fenced = unsafe { libc::mprotect(start.byte_add(len), PAGE, libc::PROT_NONE) };
        assert_eq!(fenced, 0);
        Fenced {
            start: start.cast(),
            len,
        }
    }

    /// Memory that holds exactly `bytes`, the last of them right before the fence.
    pub(crate) fn ending_with(bytes: &[u8]) -> (Fenced, *mut u8) {
        let fenced = Fenced::new(bytes.len().next_multiple_of(PAGE).max(PAGE));
        let at = fenced.len - bytes.len();
        fenced.fill(|index| index.checked_sub(at).map_or(b'#', |index| bytes[index]));
        let start = fenced.start.wrapping_add(at);
        (fenced, start)
    }

    pub(crate) fn address(&self) -> usize {
        self.start as usize
    }

    /// The first byte behind the memory.
    pub(crate) fn fence(&self) -> *mut u8 {
        self.start.wrapping_add(self.len)
    }

    /// Other rights to all of the memory, while other threads use it.
    #[cfg(not(feature = "memory-checkers"))]
    pub(crate) fn protect(&self, access: i32) {
        // SAFETY: the mapping made in `new`; its users go through the kernel.
        let done = unsafe { libc::mprotect(self.start.cast(), self.len, access) };
        assert_eq!(done, 0);
    }

    pub(crate) fn fill(&self, byte: impl Fn(usize) -> u8) {
        for index in 0..self.len {
            // SAFETY: inside the mapping, which no reference covers.
            unsafe { self.start.add(index).write(byte(index)) };
        }
    }
}

// SAFETY: an address and a length; what lies there is touched by the kernel, or by the thread that owns the value.
#[cfg(not(feature = "memory-checkers"))]
unsafe impl Sync for Fenced {}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, not used after this.
        let unmapped = unsafe { libc::munmap(self.start.cast(), self.len + PAGE) };
        assert_eq!(unmapped, 0);
    }
}

/// Addresses that no process can read: the fence, the zero page, a kernel address, one that is not canonical, the end.
pub(crate) fn bad_addresses(fenced: &Fenced) -> [usize; 7] {
    [
        fenced.fence() as usize,
        0,
        1,
        0xffff_8000_0000_0000,
        0x7a5a_0000_0000_0001,
        0xdead_beef_dead_beef,
        usize::MAX - 3,
    ]
}

/// Runs `body` in a thread of its own in which the kernel answers the two system calls with `errno`.
pub(crate) fn without_process_vm(errno: i32, body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                refuse_process_vm(errno);
                body();
            })
            .join()
            .unwrap();
    });
}

fn refuse_process_vm(errno: i32) {
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        // The number of the system call is the first word of `seccomp_data`.
        statement(LOAD_NUMBER, 0, 0, 0),
        statement(JUMP_EQUAL, 2, 0, libc::SYS_process_vm_readv as u32),
        statement(JUMP_EQUAL, 1, 0, libc::SYS_process_vm_writev as u32),
        statement(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
        statement(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
    ];
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: changes this thread only.
    let locked = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(locked, 0);
    // SAFETY: the kernel copies the program; it changes this thread only.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter) };
    assert_eq!(set, 0, "the kernel takes no filter");
}
