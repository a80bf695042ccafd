//! What a version of a model is called, where nobody has said.

use std::path::{Path, PathBuf};

use super::identity;
use super::source::Source;
use crate::config::Config;
use crate::error::Result;
use crate::llama::Model;

/// `model.version` if it is set, else the model's own name and version, or its file's, with eight digits of a hash of its
/// content: a copy of a file has the same label.
pub fn label(config: &Config, model: &Model, source: &Source, files: &[PathBuf]) -> Result<String> {
    if let Some(given) = &config.model.version {
        return Ok(given.clone());
    }
    let said = |key: &str| model.meta(key).filter(|text| !text.is_empty());
    let file = || {
        let stem = Path::new(source.shown())
            .file_stem()
            .filter(|_| source.is_file());
        stem.map_or("model".into(), |stem| Path::new(stem).display().to_string())
    };
    let name = said("general.name").unwrap_or_else(file);
    let version = said("general.version").map(|v| format!(" {v}"));
    let hash = identity::content(files)?;
    Ok(format!(
        "{name}{}@{}",
        version.unwrap_or_default(),
        &hash[..8]
    ))
}
