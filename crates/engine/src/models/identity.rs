//! What tells a model's file from all others, so that cells of one never serve another.

use std::fs::{File, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Samples of a file's content. They tell files apart whose times were set back by hand.
const SAMPLES: u64 = 256;
const SAMPLE_BYTES: usize = 4096;

/// A number for a model in `files`: place, size, times and samples of each.
///
/// Errors: `Load` for a file that is missing or cannot be read.
pub fn of(files: &[PathBuf]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in files {
        part_of(file, &mut hasher).map_err(|e| Error::Load(format!("{}: {e}", file.display())))?;
    }
    Ok(hasher.finish())
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
    let mut sample = vec![0; SAMPLE_BYTES];
    for n in 0..SAMPLES {
        let count = file.read_at(&mut sample, facts.len() / SAMPLES * n)?;
        sample[..count].hash(hasher);
    }
    Ok(())
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
