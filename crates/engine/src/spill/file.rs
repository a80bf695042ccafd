//! One spilled conversation as a file: written once, believed only as a whole.
//!
//! | Bytes | What |
//! | --- | --- |
//! | 8 | magic, `wasinnkv` |
//! | 4 | version of this format |
//! | 4 | flags: 1 exact, 2 moved |
//! | 16 | nonce of the store that wrote it |
//! | 8, 8, 8 | shape, session, generation |
//! | 8 | number of tokens |
//! | 4 each | tokens |
//! | 8 | bytes of state |
//! | any | state |
//! | 32 | BLAKE3 over everything before, keyed |
//!
//! Numbers are little-endian. The key never leaves memory, so a file that verifies was written by this very store; its
//! generation says that it is not an older one. Files do not outlive the store, so there is no second version to read.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Key, Loss};
use crate::llama::Token;

const MAGIC: &[u8; 8] = b"wasinnkv";
const VERSION: u32 = 1;
const EXACT: u32 = 1;
const MOVED: u32 = 2;

/// Small enough that what was read or written is hashed out of the processor's cache.
const CHUNK: usize = 256 << 10;

/// What a store signs its files with.
pub struct Seal {
    key: [u8; 32],
    nonce: [u8; 16],
}

/// What must stand in a file before its state, known without reading it.
pub struct Label<'a> {
    /// Whose cells.
    pub key: Key,
    /// Which writing of them.
    pub generation: u64,
    /// Positions were shifted.
    pub moved: bool,
    /// What the cells hold.
    pub tokens: &'a [Token],
    /// Length of the state in bytes.
    pub state_bytes: usize,
}

/// Why a file gave nothing.
#[derive(Debug)]
pub enum Fault {
    /// It is missing or cannot be read.
    Unreadable(io::Error),
    /// It is not what was written; what differs.
    Damaged(&'static str),
}

impl Fault {
    /// What the caller is told.
    pub fn loss(&self) -> Loss {
        match self {
            Fault::Unreadable(_) => Loss::Unreadable,
            Fault::Damaged(_) => Loss::Damaged,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Unreadable(error) => write!(f, "its file cannot be read: {error}"),
            Fault::Damaged(what) => write!(f, "its file is damaged: {what}"),
        }
    }
}

impl Seal {
    /// A new one, unlike every other.
    pub fn new() -> Seal {
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&random()[..16]);
        Seal {
            key: random(),
            nonce,
        }
    }

    /// Writes a file that must not exist yet, readable by the owner only. Nothing stays behind an error.
    pub fn write(&self, path: &Path, label: &Label<'_>, state: &[u8]) -> io::Result<()> {
        create(path, |file| {
            let mut hasher = blake3::Hasher::new_keyed(&self.key);
            let head = self.head(label);
            for chunk in head.chunks(CHUNK).chain(state.chunks(CHUNK)) {
                hasher.update(chunk);
                file.write_all(chunk)?;
            }
            file.write_all(hasher.finalize().as_bytes())
        })
    }

    /// Reads a file's state, if every byte of it is what `label` and the seal say.
    pub fn read(&self, path: &Path, label: &Label<'_>) -> Result<Vec<u8>, Fault> {
        // What stands there may be anything by now: a link is not followed, a pipe is not waited for.
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(Fault::Unreadable)?;
        let found = file.metadata().map_err(Fault::Unreadable)?;
        if !found.is_file() {
            return Err(Fault::Unreadable(io::Error::other("not a regular file")));
        }
        let expected = self.head(label);
        let length = expected.len() + label.state_bytes + blake3::OUT_LEN;
        if found.len() != length as u64 {
            return Err(Fault::Damaged("its length"));
        }
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        if fill(&mut file, expected.len(), &mut hasher)? != expected {
            return Err(Fault::Damaged("its head"));
        }
        let state = fill(&mut file, label.state_bytes, &mut hasher)?;
        let mut mac = [0; blake3::OUT_LEN];
        file.read_exact(&mut mac).map_err(fault)?;
        // `blake3::Hash` compares in constant time.
        if hasher.finalize() != mac {
            return Err(Fault::Damaged("its seal"));
        }
        Ok(state)
    }

    fn head(&self, label: &Label<'_>) -> Vec<u8> {
        let flags = if label.key.exact { EXACT } else { 0 } | if label.moved { MOVED } else { 0 };
        let mut head = Vec::with_capacity(72 + 4 * label.tokens.len());
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&flags.to_le_bytes());
        head.extend_from_slice(&self.nonce);
        for number in [label.key.shape, label.key.session, label.generation] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        head.extend_from_slice(&(label.tokens.len() as u64).to_le_bytes());
        for token in label.tokens {
            head.extend_from_slice(&token.0.to_le_bytes());
        }
        head.extend_from_slice(&(label.state_bytes as u64).to_le_bytes());
        head
    }
}

/// 32 bytes that nobody can guess: the standard library's hashers are keyed by the system's random numbers.
pub fn random() -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for _ in 0..8 {
        let number = RandomState::new().build_hasher().finish();
        hasher.update(&number.to_le_bytes());
    }
    hasher.finalize().into()
}

/// Creates a file and fills it; removes it again where that fails.
fn create(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let result = fill(&mut file);
    if result.is_err() {
        // The first error is the one to tell.
        drop(fs::remove_file(path));
    }
    result
}

/// The next `length` bytes, hashed piece by piece while they are at hand.
fn fill(file: &mut File, length: usize, hasher: &mut blake3::Hasher) -> Result<Vec<u8>, Fault> {
    // The system hands out zeroed pages, so this writes nothing.
    let mut bytes = vec![0; length];
    for chunk in bytes.chunks_mut(CHUNK) {
        file.read_exact(chunk).map_err(fault)?;
        hasher.update(chunk);
    }
    Ok(bytes)
}

fn fault(error: io::Error) -> Fault {
    match error.kind() {
        // Cut after its length was looked at.
        io::ErrorKind::UnexpectedEof => Fault::Damaged("its length"),
        _ => Fault::Unreadable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spill::tests::Scratch;

    #[test]
    fn a_file_that_cannot_be_finished_is_removed() {
        let scratch = Scratch::new();
        let path = scratch.path().join("file");
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let result = create(&path, |file| {
            file.write_all(b"half")?;
            Err(full())
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(!path.exists());
    }

    #[test]
    fn an_existing_file_is_never_written_over() {
        let scratch = Scratch::new();
        let path = scratch.path().join("file");
        fs::write(&path, "mine").unwrap();
        assert!(create(&path, |file| file.write_all(b"yours")).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn seals_differ() {
        let (a, b) = (Seal::new(), Seal::new());
        assert!(a.key != b.key && a.nonce != b.nonce && a.key[..16] != a.nonce);
    }
}
