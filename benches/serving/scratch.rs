//! A folder for one measurement. Knows not what is put there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A folder; dropping it removes it with what is in it.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes `name` in `parent`.
    pub fn new(parent: &Path, name: &str) -> Result<Scratch> {
        let folder = parent.join(name);
        fs::create_dir_all(&folder)
            .map_err(|error| Error::Setup(format!("{}: {error}", folder.display())))?;
        Ok(Scratch(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind among the temporary files, it does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}
