//! The files that models are read from through a descriptor: each open once, as long as somebody holds it. All parts of a
//! split model are one.
//!
//! The engine reads by path, and again when a model that has slept wakes up. A path through a descriptor leads to
//! whatever has its number by then, so whoever uses the path holds the descriptor.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

use engine::OpenFile;
use parking_lot::Mutex;

use super::account::Share;
use crate::failure::Failure;

/// What tells one model from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A file.
    File {
        /// Its device.
        device: u64,
        /// Its inode there.
        inode: u64,
        /// Its length.
        bytes: u64,
        /// When its content changed last, in seconds.
        changed_s: i64,
        /// Nanoseconds beyond them.
        changed_ns: i64,
        /// A hash of the same of the files behind it, where it is the first part of a split model; else 0.
        parts: u64,
    },
    /// The hash of its bytes.
    Bytes([u8; 32]),
}

impl Identity {
    /// That of a file, with the parts of a split model behind it.
    pub fn of(file: &Metadata, parts: &[Metadata]) -> Identity {
        let mut hasher = DefaultHasher::new();
        for part in parts {
            Identity::of(part, &[]).hash(&mut hasher);
        }
        Identity::File {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            changed_s: file.mtime(),
            changed_ns: file.mtime_nsec(),
            parts: if parts.is_empty() { 0 } else { hasher.finish() },
        }
    }
}

/// An open file.
#[derive(Debug)]
pub struct Open {
    file: OpenFile,
    /// What it takes of the memory, where it has no other place.
    _room: Option<Share>,
}

static OPEN: LazyLock<Mutex<HashMap<Identity, Weak<Open>>>> = LazyLock::new(Mutex::default);

impl Open {
    /// The file of that identity, which `make` opens if nobody holds it.
    pub fn get(
        identity: Identity,
        make: impl FnOnce() -> Result<Open, Failure>,
    ) -> Result<Arc<Open>, Failure> {
        let held = OPEN.lock().get(&identity).and_then(Weak::upgrade);
        if let Some(open) = held {
            return Ok(open);
        }
        // Without the lock: a model that comes as bytes is copied here. Of two that do so, one copy stays.
        let made = Arc::new(make()?);
        let mut all = OPEN.lock();
        if let Some(open) = all.get(&identity).and_then(Weak::upgrade) {
            return Ok(open);
        }
        all.retain(|_, open| open.strong_count() > 0);
        all.insert(identity, Arc::downgrade(&made));
        Ok(made)
    }

    /// The file that lies at `path` on a disk, and the parts of a split model behind it, in order.
    pub fn file(file: File, path: &Path, parts: Vec<(PathBuf, File)>) -> Open {
        let parts = parts.into_iter().map(|(path, file)| {
            let shown = path.display().to_string();
            Arc::new(OpenFile::new(file.into(), &shown, Vec::new()))
        });
        let (shown, parts) = (path.display().to_string(), parts.collect());
        Open {
            file: OpenFile::new(file.into(), &shown, parts),
            _room: None,
        }
    }

    /// A file in memory, on the account of `room`.
    pub fn memory(file: OpenFile, room: Share) -> Open {
        Open {
            file,
            _room: Some(room),
        }
    }

    /// A path to it that is valid as long as this is.
    pub fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }
}
