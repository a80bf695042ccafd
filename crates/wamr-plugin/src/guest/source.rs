//! Where a guest's model comes from: a file that its name leads to, or its bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex;

use crate::failure::Failure;
use crate::names::{Names, Refusal, Target};

/// Bytes that begin every GGUF file.
const MAGIC: &[u8] = b"GGUF";

/// A model that can be loaded as often as its graph needs it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Equal for the same content, as far as it can be told without reading it.
    pub identity: Identity,
    /// Where the engine reads it.
    pub path: PathBuf,
    /// The device that its registration names.
    pub target: Target,
    /// Keeps the file to which the path leads.
    _held: Held,
}

#[derive(Debug, Clone)]
enum Held {
    Nothing,
    File { _open: Arc<File> },
    Bytes { _open: Arc<Bytes> },
}

/// What tells one model from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// A file: device, inode, bytes, time of its last change in seconds and nanoseconds.
    File(u64, u64, u64, i64, i64),
    /// The hash of its bytes.
    Bytes([u8; 32]),
}

/// Bytes in memory, with a path to them that is valid as long as they are.
#[derive(Debug)]
pub struct Bytes {
    _file: OwnedFd,
    path: PathBuf,
}

/// Those that somebody holds: guests of the old legacy hosts all bring the same bytes.
static BYTES: LazyLock<Mutex<HashMap<[u8; 32], Weak<Bytes>>>> = LazyLock::new(Mutex::default);

impl Source {
    /// The model of that name. Errors: `ModelNotFound`, `NotFound`, `Refused`.
    pub fn named(names: &Names, name: &str) -> Result<Source, Failure> {
        let found = names.resolve(name).map_err(Failure::from)?;
        let path = found.readable();
        let seen = std::fs::metadata(&path).map_err(|e| missing(&found.path, &e))?;
        check_magic(&path).map_err(|e| missing(&found.path, &e))??;
        Ok(Source {
            identity: Identity::File(
                seen.dev(),
                seen.ino(),
                seen.len(),
                seen.mtime(),
                seen.mtime_nsec(),
            ),
            path,
            target: found.target,
            _held: found.file.map_or(Held::Nothing, |file| Held::File {
                _open: Arc::new(file),
            }),
        })
    }

    /// The model whose bytes these are. Errors: `InvalidEncoding` for bytes that are not GGUF.
    pub fn bytes(bytes: Vec<u8>) -> Result<Source, Failure> {
        judge_magic(&bytes)?;
        let hash = *blake3::hash(&bytes).as_bytes();
        let known = BYTES.lock().get(&hash).and_then(Weak::upgrade);
        let open = match known {
            Some(open) => open,
            None => {
                let (file, path) = engine::memory_file(&bytes).map_err(Failure::from)?;
                let open = Arc::new(Bytes { _file: file, path });
                let mut all = BYTES.lock();
                all.retain(|_, bytes| bytes.strong_count() > 0);
                // Whoever came between has its own copy, and the next one takes this.
                all.insert(hash, Arc::downgrade(&open));
                open
            }
        };
        Ok(Source {
            identity: Identity::Bytes(hash),
            path: open.path.clone(),
            target: Target::Auto,
            _held: Held::Bytes { _open: open },
        })
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::NotFound(text) => Failure::ModelNotFound(text),
            Refusal::Refused(text) => Failure::Refused(text),
            Refusal::Unknown(text) => Failure::NotFound(text),
        }
    }
}

/// Looks at the first bytes of a file: a host may try several backends in turn, and should soon hear from the wrong ones.
fn check_magic(path: &Path) -> std::io::Result<Result<(), Failure>> {
    let mut magic = Vec::with_capacity(MAGIC.len());
    File::open(path)?
        .take(MAGIC.len() as u64)
        .read_to_end(&mut magic)?;
    Ok(judge_magic(&magic))
}

fn judge_magic(bytes: &[u8]) -> Result<(), Failure> {
    match bytes.starts_with(MAGIC) {
        true => Ok(()),
        false => Err(Failure::InvalidEncoding(
            "the model does not begin with GGUF".into(),
        )),
    }
}

fn missing(path: &Path, error: &std::io::Error) -> Failure {
    Failure::ModelNotFound(format!("{}: {error}", path.display()))
}
