//! The store's own folder below `spill_dir`: made, locked for as long as the store lives, removed.
//!
//! A process that is killed leaves its folder behind; whoever comes next removes it. The lock inside tells the dead
//! from the living: it is the first file to come and the last to go, and the system lets go of it when its holder ends.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::file;

const PREFIX: &str = "wasi-nn-kv-";
const LOCK: &str = "lock";

/// A folder of this store. Dropping it removes it with everything inside.
pub struct Folder {
    path: PathBuf,
    /// Held, never read.
    _lock: File,
}

impl Folder {
    /// Removes what killed processes left in `dir`, which is created if it is missing, and makes a new folder there.
    pub fn create(dir: &Path) -> io::Result<Folder> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        sweep(dir);
        // Another store's sweep may come between the folder and its lock, and then takes both.
        const ATTEMPTS: usize = 4;
        for _ in 1..ATTEMPTS {
            if let Ok(folder) = attempt(dir) {
                return Ok(folder);
            }
        }
        attempt(dir)
    }

    /// Where the file of a generation stands.
    pub fn file(&self, generation: u64) -> PathBuf {
        self.path.join(format!("{generation:016x}.kv"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        clear(&self.path);
    }
}

fn attempt(dir: &Path) -> io::Result<Folder> {
    let number = file::random()[..8]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let path = dir.join(format!("{PREFIX}{}-{number:016x}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&path)?;
    lock(&path)
        .inspect_err(|_| clear(&path))
        .map(|lock| Folder { path, _lock: lock })
}

/// Creates the lock and takes it.
fn lock(folder: &Path) -> io::Result<File> {
    let path = folder.join(LOCK);
    let lock = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    lock.try_lock()?;
    // Held, but is it still the one in the folder?
    fs::symlink_metadata(&path)?;
    Ok(lock)
}

/// Removes the folders in `dir` whose process is gone.
fn sweep(dir: &Path) {
    // In a folder that everybody may write to, another user's could turn into a link while it is looked at.
    let Ok(own) = fs::metadata("/proc/self").map(|process| process.uid()) else {
        return;
    };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_ours = |found: fs::Metadata| found.is_dir() && found.uid() == own;
        if is_name(&entry.file_name()) && entry.metadata().is_ok_and(is_ours) {
            remove_if_abandoned(&entry.path());
        }
    }
}

/// Whether a store could have given this name.
fn is_name(name: &OsStr) -> bool {
    let is_number = |text: &str, radix| !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
    name.to_str()
        .and_then(|name| name.strip_prefix(PREFIX)?.split_once('-'))
        .is_some_and(|(process, random)| is_number(process, 10) && is_number(random, 16))
}

fn remove_if_abandoned(path: &Path) {
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path.join(LOCK));
    match lock {
        Ok(lock) if lock.try_lock().is_ok() => clear(path),
        // Killed before it had a lock: then the folder is empty, and only such a one goes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => drop(fs::remove_dir(path)),
        _ => (),
    }
}

/// Removes a folder as far as that is possible. The lock goes last, so that what is left is found by the next sweep.
fn clear(path: &Path) {
    let mut is_empty = true;
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_name() == LOCK {
            continue;
        }
        let removed = match entry.file_type() {
            // Never made by us; does not follow links.
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
        // Whoever takes cells removes their file at the same time.
        is_empty &= removed.map_or_else(|e| e.kind() == io::ErrorKind::NotFound, |()| true);
    }
    if is_empty {
        drop(fs::remove_file(path.join(LOCK)));
        drop(fs::remove_dir(path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::tests::Scratch;

    fn left_behind(scratch: &Scratch, name: &str) -> PathBuf {
        let path = scratch.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join(LOCK), "").unwrap();
        fs::write(path.join("0000000000000001.kv"), "old").unwrap();
        path
    }

    #[test]
    fn a_killed_process_leaves_a_folder_that_the_next_store_removes() {
        let scratch = Scratch::new();
        let dead = left_behind(&scratch, "wasi-nn-kv-1-dead");
        fs::create_dir(dead.join("folder")).unwrap();
        let empty = scratch.path().join("wasi-nn-kv-2-dead");
        fs::create_dir(&empty).unwrap();
        let _folder = Folder::create(scratch.path()).unwrap();
        assert!(!dead.exists() && !empty.exists());
    }

    #[test]
    fn a_living_store_keeps_its_folder() {
        let scratch = Scratch::new();
        let first = Folder::create(scratch.path()).unwrap();
        let second = Folder::create(scratch.path()).unwrap();
        assert!(first.path.join(LOCK).exists() && second.path.join(LOCK).exists());
        drop((first, second));
        assert_eq!(scratch.names(), Vec::<String>::new());
    }

    #[test]
    fn nothing_of_another_name_or_kind_is_removed() {
        let scratch = Scratch::new();
        let elsewhere = Scratch::new();
        let target = left_behind(&elsewhere, "wasi-nn-kv-3-dead");
        for name in [
            "wasi-nn-kv-mine-1",
            "wasi-nn-kv-1",
            "wasi-nn-kv-1-",
            "other",
        ] {
            left_behind(&scratch, name);
        }
        fs::write(scratch.path().join("wasi-nn-kv-4-dead"), "a file").unwrap();
        std::os::unix::fs::symlink(&target, scratch.path().join("wasi-nn-kv-5-dead")).unwrap();
        // No lock, and not empty: no store leaves such a folder.
        let unknown = left_behind(&scratch, "wasi-nn-kv-6-dead");
        fs::remove_file(unknown.join(LOCK)).unwrap();
        let before = scratch.names();
        drop(Folder::create(scratch.path()).unwrap());
        assert_eq!(scratch.names(), before);
        assert!(target.join("0000000000000001.kv").exists());
    }

    #[test]
    fn links_inside_a_dead_folder_are_removed_and_not_followed() {
        let scratch = Scratch::new();
        let elsewhere = Scratch::new();
        let mine = elsewhere.path().join("mine");
        fs::write(&mine, "mine").unwrap();
        let dead = left_behind(&scratch, "wasi-nn-kv-1-dead");
        std::os::unix::fs::symlink(elsewhere.path(), dead.join("link")).unwrap();
        drop(Folder::create(scratch.path()).unwrap());
        assert!(!dead.exists() && mine.exists());
    }

    #[test]
    fn the_folder_is_private() {
        let scratch = Scratch::new();
        let folder = Folder::create(scratch.path()).unwrap();
        assert_eq!(fs::metadata(&folder.path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(
            fs::metadata(folder.path.join(LOCK)).unwrap().mode() & 0o777,
            0o600
        );
    }
}
