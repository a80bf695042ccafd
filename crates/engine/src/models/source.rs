//! Where a model comes from, for the first load and for every later one of the same version.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::llama::{Model, OpenFile, opened};

/// A file, or bytes that were copied. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    shown: Arc<str>,
    /// Keeps copied bytes, to which the path leads.
    memory: Option<Arc<OpenFile>>,
}

impl Source {
    /// A file that is mapped. A relative path is one of the directory that is current now.
    ///
    /// Errors: `Load` where there is no current directory.
    pub fn file(path: &Path) -> Result<Source> {
        let shown = opened::shown(path);
        let absolute =
            std::path::absolute(path).map_err(|e| Error::Load(format!("{shown}: {e}")))?;
        Ok(Source {
            path: absolute,
            shown: shown.into(),
            memory: None,
        })
    }

    /// The bytes of a file, which are copied. Errors: `Load` where memory for them cannot be had.
    pub fn bytes(bytes: &[u8]) -> Result<Source> {
        let file = Model::open_bytes(bytes)?;
        let path = file.path().to_owned();
        Ok(Source {
            shown: opened::shown(&path).into(),
            path,
            memory: Some(Arc::new(file)),
        })
    }

    /// Where it can be read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its path as it was given, the name of a file that was open before, or where the bytes lie.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether it is a file, which can be told from others by its name.
    pub fn is_file(&self) -> bool {
        self.memory.is_none()
    }
}
