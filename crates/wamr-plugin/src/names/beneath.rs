//! Opening a file below a folder, such that no link and no race leads out of it.

use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

/// Why a path leads to no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It leads out of the folder, or through more links than any honest path.
    Outside,
    /// Below the folder there is no such file, or it cannot be read.
    Missing,
}

/// Links that one path may go through, as many as the kernel allows.
const MOST_LINKS: usize = 40;
/// Reading only, not inherited; and a pipe or a terminal below the folder neither blocks nor is taken over.
const FLAGS: i32 = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;

/// Opens the regular file at `path`, relative and without `..`, below `root`, absolute and without links.
///
/// Links are followed as long as they are relative and stay below. The kernel resolves the path where it can
/// (`openat2`, Linux 5.6), else [`walk`] does by the same rules.
pub(super) fn open(root: &Path, path: &Path) -> Result<File, Failure> {
    let opened = match open_by_kernel(root, path) {
        Err(error) if lacks_openat2(&error) => open_by_walk(root, path)?,
        Err(error) => return Err(judged(&error)),
        Ok(file) => file,
    };
    match opened.metadata() {
        Ok(data) if data.is_file() => Ok(opened),
        _ => Err(Failure::Missing),
    }
}

/// What the kernel's refusal means. A link that leads out is told before anything outside is looked at.
fn judged(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::EXDEV | libc::ELOOP) => Failure::Outside,
        _ => Failure::Missing,
    }
}

/// Older kernels do not know the call, sandboxes forbid it, and it gives up where files are moved meanwhile.
fn lacks_openat2(error: &io::Error) -> bool {
    let known = [
        libc::ENOSYS,
        libc::EPERM,
        libc::EINVAL,
        libc::E2BIG,
        libc::EOPNOTSUPP,
        libc::EAGAIN,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| known.contains(&code))
}

fn open_by_kernel(root: &Path, path: &Path) -> io::Result<File> {
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(root)?;
    let path = match path.as_os_str().is_empty() {
        true => CString::from(c"."),
        false => CString::new(path.as_os_str().as_bytes())?,
    };
    openat2(&folder, &path).map(File::from)
}

/// The kernel's `struct open_how`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

fn openat2(folder: &File, path: &CString) -> io::Result<OwnedFd> {
    let how = OpenHow {
        flags: FLAGS as u64,
        mode: 0,
        resolve: libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS,
    };
    let (path, how_bytes) = (path.as_ptr(), size_of_val(&how));
    // SAFETY: the folder is open, the path ends with NUL, `how` has that many bytes; all live over the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            folder.as_raw_fd(),
            path,
            &raw const how,
            how_bytes,
        )
    };
    match i32::try_from(result) {
        // SAFETY: the kernel has just made this descriptor, so nobody else has it.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn open_by_walk(root: &Path, path: &Path) -> Result<File, Failure> {
    open_resolved(root, &walk(root, path)?)
}

/// Opens `real`, which was found to lie below `root`; what came to be opened is compared once more, because links can
/// have changed since.
fn open_resolved(root: &Path, real: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(FLAGS | libc::O_NOFOLLOW)
        .open(real)
        .map_err(|_| Failure::Missing)?;
    let opened = fs::read_link(super::descriptor_path(&file)).map_err(|_| Failure::Missing)?;
    match opened.starts_with(root) {
        true => Ok(file),
        false => Err(Failure::Outside),
    }
}

/// `path` below `root` with all links resolved. Never looks at anything outside, so its answer tells nothing of it.
fn walk(root: &Path, path: &Path) -> Result<PathBuf, Failure> {
    let mut at = root.to_owned();
    let mut ahead = reversed(path);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            if at == root {
                return Err(Failure::Outside);
            }
            at.pop();
            continue;
        }
        let next = at.join(&part);
        match fs::read_link(&next) {
            Ok(link) if link.is_absolute() => return Err(Failure::Outside),
            Ok(link) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Failure::Outside);
                }
                ahead.extend(reversed(&link));
            }
            // No link, or nothing at all: that shows at the end.
            Err(_) => at = next,
        }
    }
    Ok(at)
}

/// The parts of a path, the last one first.
fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev();
    let named = parts.filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    named.map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Folder;
    use super::*;
    use std::io::Read;
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    /// Both ways of resolving, the kernel's where it has one, must give `expect`: the content, or why not.
    fn check(root: &Path, path: &str, expect: Result<&str, Failure>) {
        let ways = [
            ("open", open(root, Path::new(path))),
            ("walk", open_by_walk(root, Path::new(path))),
        ];
        for (way, opened) in ways {
            let read = opened.map(|mut file| {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                text
            });
            assert_eq!(
                read.as_deref(),
                expect.as_ref().map(|text| *text),
                "{path} by {way}"
            );
        }
    }

    #[test]
    fn links_are_followed_below_the_root_and_nowhere_else() {
        let folder = Folder::new("links");
        let root = folder.path("root");
        fs::create_dir_all(root.join("sub/deep")).unwrap();
        fs::write(root.join("a"), "in").unwrap();
        fs::write(root.join("sub/b"), "in").unwrap();
        fs::write(folder.path("secret"), "out").unwrap();
        let link = |to: &str, from: &str| std::os::unix::fs::symlink(to, root.join(from)).unwrap();
        link("a", "near");
        link("../a", "sub/up");
        link("../../a", "sub/deep/up");
        link("sub/up", "twice");
        link("sub", "folder");
        link("../secret", "out");
        link("../missing", "out-to-nothing");
        link("..", "parent");
        link("sub/../../secret", "winding");
        link(folder.path("secret").to_str().unwrap(), "absolute");
        link("/nowhere/at/all", "absolute-to-nothing");
        link(root.join("a").to_str().unwrap(), "absolute-below");
        link("round", "round");
        link("nothing", "dangling");
        for good in [
            "a",
            "./a",
            "near",
            "sub/b",
            "sub/up",
            "sub/deep/up",
            "twice",
            "folder/b",
            "folder/../a",
        ] {
            check(&root, good, Ok("in"));
        }
        for out in [
            "out",
            "out-to-nothing",
            "parent/secret",
            "parent/missing",
            "parent/root/a",
            "winding",
            "absolute",
            "absolute-to-nothing",
            "absolute-below",
            "../secret",
            "../missing",
            "..",
            "sub/../../secret",
            "round",
        ] {
            check(&root, out, Err(Failure::Outside));
        }
        for missing in ["x", "sub/x", "dangling", "a/b", "x/y/z"] {
            check(&root, missing, Err(Failure::Missing));
        }
    }

    #[test]
    fn only_a_regular_file_is_opened_and_a_pipe_does_not_block() {
        let folder = Folder::new("kinds");
        let root = folder.path("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        let status = std::process::Command::new("mkfifo")
            .arg(root.join("pipe"))
            .status()
            .unwrap();
        assert!(status.success());
        for path in ["", ".", "sub", "sub/", "pipe"] {
            assert_eq!(
                open(&root, Path::new(path)).unwrap_err(),
                Failure::Missing,
                "{path}"
            );
        }
    }

    #[test]
    fn a_folder_that_became_a_link_after_it_was_resolved_does_not_lead_out() {
        let folder = Folder::new("late");
        let root = folder.path("root");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(folder.path("out")).unwrap();
        fs::write(folder.path("out/file"), "out").unwrap();
        std::os::unix::fs::symlink("../out", root.join("was-a-folder")).unwrap();
        let opened = open_resolved(&root, &root.join("was-a-folder/file"));
        assert_eq!(opened.unwrap_err(), Failure::Outside);
    }

    /// Ends the other thread, also where the test fails.
    struct End<'a>(&'a AtomicBool);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }

    #[test]
    fn a_link_that_changes_all_the_time_never_leads_out() {
        let folder = Folder::new("race");
        let root = folder.path("root");
        fs::create_dir_all(root.join("in")).unwrap();
        fs::create_dir_all(folder.path("out")).unwrap();
        fs::write(root.join("in/file"), "in").unwrap();
        fs::write(folder.path("out/file"), "out").unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    for to in ["in", "../out"] {
                        let _ = fs::remove_file(root.join("new"));
                        std::os::unix::fs::symlink(to, root.join("new")).unwrap();
                        fs::rename(root.join("new"), root.join("link")).unwrap();
                    }
                }
            });
            let _end = End(&is_over);
            for _ in 0..2000 {
                for opened in [
                    open(&root, Path::new("link/file")),
                    open_by_walk(&root, Path::new("link/file")),
                ] {
                    let Ok(mut file) = opened else {
                        continue;
                    };
                    let mut text = String::new();
                    file.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "in");
                }
            }
        });
    }
}
