//! The folder for the logs of both sides. Knows not what is written there.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use crate::error::{Error, Result};

/// A folder of this process; dropping it removes it with what is in it, unless it is to be kept.
pub struct Logs {
    folder: PathBuf,
    is_kept: bool,
}

impl Logs {
    /// Makes the folder.
    pub fn new(is_kept: bool) -> Result<Logs> {
        let folder = env::temp_dir().join(format!("serving-{}", process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| Error::Setup(format!("{}: {error}", folder.display())))?;
        Ok(Logs { folder, is_kept })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder, if it outlives the process.
    pub fn kept(&self) -> Option<&Path> {
        self.is_kept.then_some(&self.folder)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if !self.is_kept {
            // Left behind among the temporary files, they do no harm.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
