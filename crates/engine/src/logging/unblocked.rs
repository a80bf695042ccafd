//! Writing without waiting for the reader.
//!
//! A host's stderr is the host's: it may be another one at any moment, others write to it, and a flag set on it would be
//! theirs, too. So it is looked at for each line, and each kind of file is written in the way that never waits there.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, IoSlice, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::net::SendFlags;

/// Bytes that a pipe takes without waiting where it takes any: `PIPE_BUF` of Linux.
const PIECE: usize = 4096;

/// "Where the file stands", for a call that takes a position.
const HERE: u64 = u64::MAX;

/// Writes the beginning of `bytes` to the process's stderr. Errors: `WouldBlock` while it takes nothing.
pub fn to_stderr(bytes: &[u8]) -> io::Result<usize> {
    let stderr = io::stderr();
    let fd = stderr.as_fd();
    match kind(fd)? {
        FileType::Fifo => {
            ready(fd)?;
            to_pipe(fd, bytes)
        }
        FileType::Socket => Ok(rustix::net::send(
            fd,
            bytes,
            SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
        )?),
        FileType::CharacterDevice if stderr.is_terminal() => {
            ready(fd)?;
            reopened(bytes)
        }
        // A disk is waited for, as everywhere.
        _ => Ok(rustix::io::write(fd, bytes)?),
    }
}

/// Writes the beginning of `bytes` to a file that was opened not to wait. Errors: `WouldBlock` while it takes nothing.
pub fn to_own(mut file: &std::fs::File, bytes: &[u8]) -> io::Result<usize> {
    if kind(file.as_fd())? == FileType::Fifo {
        ready(file.as_fd())?;
    }
    file.write(bytes)
}

/// Waits until stderr may take something, for so long at most.
pub fn await_stderr(time: Duration) {
    let time = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(time.subsec_nanos()),
    };
    let stderr = io::stderr();
    // A failure is a look that came too early.
    let _ = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&time));
}

fn kind(fd: BorrowedFd<'_>) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

/// Errors: `WouldBlock` where a write would wait; `BrokenPipe` where nobody reads, before a write would raise a signal.
fn ready(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    )?;
    let found = fds[0].revents();
    if found.contains(PollFlags::ERR) {
        Err(ErrorKind::BrokenPipe.into())
    } else if found.contains(PollFlags::OUT) {
        Ok(())
    } else {
        Err(ErrorKind::WouldBlock.into())
    }
}

fn to_pipe(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    match rustix::io::pwritev2(fd, &[IoSlice::new(bytes)], HERE, ReadWriteFlags::NOWAIT) {
        // Kernels before 6.4 do not know this of pipes, and sandboxes may know neither.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::SPIPE) => {
            reopened(bytes)
        }
        other => Ok(other?),
    }
}

/// Writes through a description of our own, which does not wait. It is closed at once: kept, it would keep the host's pipe
/// open.
fn reopened(bytes: &[u8]) -> io::Result<usize> {
    let mut options = OpenOptions::new();
    options
        .append(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.open("/proc/self/fd/2") {
        Ok(mut file) => file.write(bytes),
        // Without that, a piece that fits as long as no other writer is faster.
        Err(_) => Ok(rustix::io::write(
            io::stderr().as_fd(),
            &bytes[..bytes.len().min(PIECE)],
        )?),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Fills a pipe, then reads it; what was taken is what comes out.
    fn check(put: &dyn Fn(BorrowedFd<'_>, &[u8]) -> io::Result<usize>) {
        let (mut reader, writer) = io::pipe().unwrap();
        let line = "a line\n".repeat(100);
        let mut taken = 0;
        let full = loop {
            match ready(writer.as_fd()).and_then(|()| put(writer.as_fd(), line.as_bytes())) {
                Ok(count) => taken += count,
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(full, ErrorKind::WouldBlock);
        assert!(taken > PIECE);
        drop(writer);
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        assert_eq!(text.len(), taken);
    }

    #[test]
    fn a_full_pipe_takes_nothing_and_keeps_nobody() {
        check(&to_pipe);
        check(&|fd, bytes| Ok(rustix::io::write(fd, &bytes[..bytes.len().min(PIECE)])?));
    }

    #[test]
    fn a_pipe_without_a_reader_is_an_error_and_no_signal() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let found = ready(writer.as_fd()).unwrap_err();
        assert_eq!(found.kind(), ErrorKind::BrokenPipe);
    }
}
