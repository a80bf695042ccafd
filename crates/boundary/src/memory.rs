//! Copies between our memory and addresses that may not exist.
//!
//! The kernel does the copying on our own process id and answers a bad address with an error. Where it refuses the call
//! (an old kernel, a seccomp filter), a private pipe does the same in pieces. Does not know what the bytes mean.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;

use libc::{c_void, iovec};

/// No page is smaller and every page size is a multiple, so a range that crosses no multiple of this is readable as a
/// whole or not at all. A pipe takes as much without blocking.
pub(crate) const PAGE: usize = 4096;

/// Addresses that one system call may name (`UIO_MAXIOV` of Linux).
const MOST_PIECES: usize = 1024;

/// Copies from `address` until `into` is full or a byte cannot be read; returns the number of bytes copied.
pub(crate) fn read(address: usize, into: &mut [u8]) -> usize {
    let mut done = 0;
    while done < into.len() {
        let Some(from) = address.checked_add(done) else {
            break;
        };
        match read_some(from, &mut into[done..]) {
            Ok(count) if count > 0 => done += count,
            _ => break,
        }
    }
    done
}

/// True when every page that `[address, address + len)` touches can be read now.
pub(crate) fn readable(address: usize, len: usize) -> bool {
    let Some(last) = len.checked_sub(1) else {
        return true;
    };
    let Some(last) = address.checked_add(last) else {
        return false;
    };
    let first_page = address / PAGE;
    let mut pages = first_page..=last / PAGE;
    let mut batch = Vec::with_capacity(MOST_PIECES);
    loop {
        let addresses = pages.by_ref().map(|page| address.max(page * PAGE));
        batch.extend(addresses.take(MOST_PIECES));
        if batch.is_empty() {
            return true;
        }
        if !each_readable(&batch) {
            return false;
        }
        batch.clear();
    }
}

/// Writes all of `bytes` to `address`, or returns false; then a first part may have been written.
///
/// # Safety
/// The range must be memory that the host lets us write, or no writable memory at all.
pub(crate) unsafe fn write(address: usize, bytes: &[u8]) -> bool {
    let mut done = 0;
    while done < bytes.len() {
        let Some(to) = address.checked_add(done) else {
            return false;
        };
        // SAFETY: part of the range that this function's caller vouches for.
        match unsafe { write_some(to, &bytes[done..]) } {
            Ok(count) if count > 0 => done += count,
            _ => return false,
        }
    }
    // The same bytes once more as an ordinary store, where a memory checker watches: it does not see what the kernel wrote
    // through a system call that could as well have been for another process, and would call the host's buffer
    // uninitialised. Nowhere else: another thread may unmap the range between the two, and an ordinary store faults then.
    #[cfg(feature = "memory-checkers")]
    // SAFETY: the kernel has just written this whole range, and programs under a checker keep it; `bytes` is our own copy.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len());
    }
    true
}

fn read_some(address: usize, into: &mut [u8]) -> io::Result<usize> {
    match read_by_process(&[piece(address, into.len())], into) {
        Err(refused) if is_refusal(&refused) => read_by_pipe(address, into),
        outcome => outcome,
    }
}

fn each_readable(addresses: &[usize]) -> bool {
    let pieces: Vec<iovec> = addresses.iter().map(|&at| piece(at, 1)).collect();
    match read_by_process(&pieces, &mut vec![0; pieces.len()]) {
        Ok(count) => count == pieces.len(),
        Err(refused) if is_refusal(&refused) => addresses
            .iter()
            .all(|&at| matches!(read_by_pipe(at, &mut [0]), Ok(1))),
        Err(_) => false,
    }
}

/// # Safety
/// As [`write`].
unsafe fn write_some(address: usize, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the range is the one that this function's caller vouches for.
    match unsafe { write_by_process(address, bytes) } {
        Err(refused) if is_refusal(&refused) => {
            // SAFETY: as above.
            unsafe { write_by_pipe(address, bytes) }
        }
        outcome => outcome,
    }
}

fn piece(address: usize, len: usize) -> iovec {
    iovec {
        iov_base: address as *mut c_void,
        iov_len: len,
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
}

fn counted(count: isize) -> io::Result<usize> {
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

fn read_by_process(pieces: &[iovec], into: &mut [u8]) -> io::Result<usize> {
    let local = piece(into.as_mut_ptr() as usize, into.len());
    // SAFETY: the kernel writes to `into` only, at most its length, and checks the addresses of `pieces` itself.
    let count = unsafe {
        libc::process_vm_readv(
            libc::getpid(),
            &raw const local,
            1,
            pieces.as_ptr(),
            pieces.len() as libc::c_ulong,
            0,
        )
    };
    counted(count)
}

/// # Safety
/// As [`write`].
unsafe fn write_by_process(address: usize, bytes: &[u8]) -> io::Result<usize> {
    let (local, remote) = (
        piece(bytes.as_ptr() as usize, bytes.len()),
        piece(address, bytes.len()),
    );
    // SAFETY: the kernel reads `bytes` only; what it writes is the range that this function's caller vouches for.
    let count = unsafe {
        libc::process_vm_writev(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0)
    };
    counted(count)
}

/// Copies what lies before the next page border, at most `into`: the kernel reads the foreign side when it fills the pipe.
fn read_by_pipe(address: usize, into: &mut [u8]) -> io::Result<usize> {
    let (mut reader, writer) = io::pipe()?;
    let len = into.len().min(PAGE - address % PAGE);
    // SAFETY: the kernel checks the address that it reads, and `len` bytes fit into the empty pipe.
    let sent = unsafe { libc::write(writer.as_raw_fd(), address as *const c_void, len) };
    let sent = counted(sent)?;
    reader.read_exact(&mut into[..sent])?;
    Ok(sent)
}

/// Copies up to the next page border: the kernel writes the foreign side when it empties the pipe.
///
/// # Safety
/// As [`write`].
unsafe fn write_by_pipe(address: usize, bytes: &[u8]) -> io::Result<usize> {
    let (reader, mut writer) = io::pipe()?;
    let len = bytes.len().min(PAGE - address % PAGE);
    writer.write_all(&bytes[..len])?;
    // SAFETY: the kernel checks the address; the range is the one that this function's caller vouches for.
    let received = unsafe { libc::read(reader.as_raw_fd(), address as *mut c_void, len) };
    counted(received)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Fenced, bad_addresses, without_process_vm};

    fn check_reads() {
        let fenced = Fenced::new(2 * PAGE);
        let start = fenced.address();
        fenced.fill(|at| (at % 251) as u8);
        for (offset, len) in [(0, 2 * PAGE), (PAGE - 1, 2), (7, 0), (2 * PAGE - 1, 1)] {
            let mut copy = vec![0; len];
            assert_eq!(read(start + offset, &mut copy), len);
            let expected: Vec<u8> = (offset..offset + len).map(|at| (at % 251) as u8).collect();
            assert_eq!(copy, expected);
            assert!(readable(start + offset, len));
        }
        let mut copy = vec![0; 3 * PAGE];
        assert_eq!(read(start, &mut copy), 2 * PAGE);
        assert_eq!(read(start + 2 * PAGE - 3, &mut copy), 3);
        assert!(!readable(start, 2 * PAGE + 1));
        for address in bad_addresses(&fenced) {
            assert_eq!(read(address, &mut copy), 0, "read {address:#x}");
            assert!(!readable(address, 16), "readable {address:#x}");
        }
    }

    fn check_writes() {
        let fenced = Fenced::new(2 * PAGE);
        let start = fenced.address();
        let bytes: Vec<u8> = (0..PAGE + 9).map(|at| (at % 250) as u8).collect();
        // SAFETY: the range lies inside the fenced memory of this test.
        assert!(unsafe { write(start + 5, &bytes) });
        let mut copy = vec![0; bytes.len()];
        assert_eq!(read(start + 5, &mut copy), bytes.len());
        assert_eq!(copy, bytes);
        // SAFETY: memory of this test, then a page that cannot be written.
        assert!(!unsafe { write(start + 2 * PAGE - 4, &[1; 8]) });
        for address in bad_addresses(&fenced) {
            // SAFETY: no memory at all.
            assert!(!unsafe { write(address, &[1; 8]) }, "write {address:#x}");
        }
        let text: &'static str = "read-only";
        // SAFETY: a constant lies in memory that cannot be written.
        assert!(!unsafe { write(text.as_ptr() as usize, b"x") });
    }

    #[test]
    fn guarded_reads_stop_at_the_first_bad_byte() {
        check_reads();
    }

    #[test]
    fn guarded_writes_refuse_bad_addresses() {
        check_writes();
    }

    #[test]
    fn a_filter_that_refuses_the_system_calls_changes_nothing() {
        without_process_vm(libc::EPERM, || {
            check_reads();
            check_writes();
        });
        without_process_vm(libc::ENOSYS, || {
            check_reads();
            check_writes();
        });
    }

    #[cfg(not(feature = "memory-checkers"))]
    #[test]
    fn a_page_that_another_thread_takes_away_during_a_write_is_a_refusal_and_no_fault() {
        use std::sync::atomic::{AtomicBool, Ordering};

        const EACH: usize = 500;
        // So many that a store of our own would take as long as the memory stays.
        const LENGTH: usize = 64 * PAGE;
        let fenced = Fenced::new(LENGTH);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    fenced.protect(libc::PROT_NONE);
                    fenced.protect(libc::PROT_READ | libc::PROT_WRITE);
                    for _ in 0..20_000 {
                        std::hint::spin_loop();
                    }
                }
            });
            let bytes = vec![7; LENGTH];
            let mut outcomes = [0; 2];
            while outcomes.iter().any(|&count| count < EACH) {
                // SAFETY: memory of this test, or none that can be written.
                let is_written = unsafe { write(fenced.address(), &bytes) };
                outcomes[usize::from(is_written)] += 1;
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let mut copy = vec![0; LENGTH];
        assert_eq!(read(fenced.address(), &mut copy), LENGTH);
        assert!(copy.iter().all(|&byte| byte == 7));
    }

    #[test]
    fn many_pages_are_checked_in_batches() {
        let pages = 3 * MOST_PIECES + 1;
        let fenced = Fenced::new(pages * PAGE);
        assert!(readable(fenced.address(), pages * PAGE));
        assert!(readable(fenced.address() + 1, pages * PAGE - 1));
        assert!(!readable(fenced.address() + 1, pages * PAGE));
    }
}
