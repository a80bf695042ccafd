//! What tells a model's file from all others, so that cells of one never serve another.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::profile::short;
use crate::error::{Error, Result};
use crate::llama::opened;

/// Samples of a file's content. They tell files apart whose times were set back by hand.
const SAMPLES: u64 = 256;
const SAMPLE_BYTES: usize = 4096;

/// A number for a model in `files`: place, size, times and samples of each.
///
/// Errors: `Load` for a file that is missing or cannot be read.
pub fn of(files: &[PathBuf]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        part_of(file, &mut hasher).map_err(|e| failed(file, &e))?;
    }
    Ok(hasher.finish())
}

/// A hash of the sizes and samples of `files`: a copy has the same. Errors: as for [`of`].
pub fn content(files: &[PathBuf]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for path in files {
        let mut read = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            hasher.update(&length.to_le_bytes());
            samples(&file, length, |sample| {
                hasher.update(sample);
            })
        };
        read().map_err(|e| failed(path, &e))?;
    }
    Ok(short(&hasher.finalize()))
}

/// The bytes of all `files`. Errors: as for [`of`].
pub fn bytes(files: &[PathBuf]) -> Result<u64> {
    let length = |path: &PathBuf| {
        let facts = std::fs::metadata(path).map_err(|e| failed(path, &e))?;
        Ok(facts.len())
    };
    files.iter().map(length).sum()
}

/// A number that no file has, with all but certainty, and that is given once.
pub fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = DefaultHasher::new();
    ("unique", NEXT.fetch_add(1, Ordering::Relaxed)).hash(&mut hasher);
    hasher.finish()
}

fn part_of(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    let file = File::open(path)?;
    let facts: Metadata = file.metadata()?;
    (facts.dev(), facts.ino(), facts.len()).hash(hasher);
    (
        facts.mtime(),
        facts.mtime_nsec(),
        facts.ctime(),
        facts.ctime_nsec(),
    )
        .hash(hasher);
    samples(&file, facts.len(), |sample| sample.hash(hasher))
}

fn samples(file: &File, length: u64, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut sample = vec![0; SAMPLE_BYTES];
    for n in 0..SAMPLES {
        let count = file.read_at(&mut sample, length / SAMPLES * n)?;
        take(&sample[..count]);
    }
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Load(format!("{}: {error}", opened::shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_again_is_another_one() {
        let path = std::env::temp_dir().join(format!("identity-{}", std::process::id()));
        let of = |path: &PathBuf| of(std::slice::from_ref(path));
        std::fs::write(&path, vec![1; 100_000]).expect("a temporary file");
        let first = of(&path).expect("it is there");
        assert_eq!(of(&path), Ok(first));
        let mut changed = vec![1; 100_000];
        changed[77_777] = 2;
        std::fs::write(&path, changed).expect("a temporary file");
        assert_ne!(of(&path), Ok(first));
        std::fs::remove_file(&path).expect("it is there");
        assert!(of(&path).is_err());
        assert_ne!(unique(), unique());
    }
}
