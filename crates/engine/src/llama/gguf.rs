//! Walks a GGUF file before llama.cpp sees it, and refuses what would make it abort or allocate absurdly.
//!
//! llama.cpp answers most broken files with an error and some with an assertion, which would end the host's process.
//! The walk reads the header only and keeps what the rules need; it is bounded by the file's own length. It does not
//! judge whether a model is good, nor whether this llama.cpp knows its architecture: the load says that.

mod adapter;
mod header;
mod rules;
mod walk;

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use header::Header;

/// A model's files, all of them checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The first one is the one that was named.
    pub(crate) files: Vec<PathBuf>,
    /// It has a head that gives texts a score.
    pub(crate) ranks: bool,
    /// It looks positions up in a table, which has as many as it was trained for.
    pub(crate) tabulates: bool,
    /// It rotates the positions of contexts beyond its original one in another way.
    pub(crate) has_long_factors: bool,
    /// Bytes of what its adapters add.
    pub(crate) adapter_bytes: u64,
}

/// Checks the file at `path`, and its further parts if it is the first part of a split model. Returns all of them.
///
/// Checks the files of its LoRA adapters, too.
///
/// Errors: `Load`, with the path and the reason. The file may still change afterwards; a model file that is written
/// while it is loaded is the caller's mistake.
pub(crate) fn check(path: &Path, adapters: &[PathBuf]) -> Result<Checked> {
    let (files, headers) = walk_all(path)?;
    let mut load = adapter::Load::default();
    for adapter in adapters {
        load = adapter::check(&read(adapter)?, &headers, load)
            .map_err(|reason| refused(adapter, &reason))?;
    }
    let has = |name: &str| {
        let mut tensors = headers.iter().flat_map(|header| &header.tensors);
        tensors.any(|tensor| tensor.name == name)
    };
    Ok(Checked {
        files,
        ranks: has("cls.weight") || has("cls.output.weight"),
        tabulates: has("position_embd.weight"),
        has_long_factors: has("rope_factors_long.weight"),
        adapter_bytes: load.bytes,
    })
}

/// The files of a model with their headers, all of them checked.
fn walk_all(path: &Path) -> Result<(Vec<PathBuf>, Vec<Header>)> {
    let header = read(path)?;
    rules::check(&header).map_err(|reason| refused(path, &reason))?;
    let parts = header.parts().map_err(|reason| refused(path, &reason))?;
    let mut files = vec![path.to_owned()];
    let mut headers = vec![header];
    for number in 1..parts {
        let part = part_path(path, number, parts)
            .ok_or_else(|| refused(path, &format!("is not named as part 1 of {parts}")))?;
        let header = read(&part)?;
        rules::check_part(&header, number).map_err(|reason| refused(&part, &reason))?;
        files.push(part);
        headers.push(header);
    }
    Ok((files, headers))
}

/// Checks the file of a projector, which turns images into embeddings of a model. Errors: as for `check`.
pub(crate) fn check_projector(path: &Path) -> Result<()> {
    let header = read(path)?;
    rules::check_projector(&header).map_err(|reason| refused(path, &reason))
}

fn read(path: &Path) -> Result<Header> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Error::Load(format!("file not found: {shown}")),
        _ => Error::Load(format!("{shown} cannot be opened: {e}")),
    })?;
    if metadata.is_dir() {
        return Err(Error::Load(format!("{shown} is a directory")));
    }
    // Opening a pipe would block, and a device has no length.
    if !metadata.is_file() {
        return Err(Error::Load(format!("{shown} is not a regular file")));
    }
    let file =
        File::open(path).map_err(|e| Error::Load(format!("{shown} cannot be opened: {e}")))?;
    let length = metadata.len();
    walk::header(file, length).map_err(|reason| refused(path, &reason))
}

fn refused(path: &Path, reason: &str) -> Error {
    Error::Load(format!("{} {reason}", path.display()))
}

/// The path of part `number` (from 0) of `parts`, from the path of part 0, as llama.cpp derives it.
fn part_path(first: &Path, number: u16, parts: u16) -> Option<PathBuf> {
    let first = first.to_str()?;
    let stem = first.strip_suffix(&format!("-{:05}-of-{parts:05}.gguf", 1))?;
    let name = format!("{stem}-{:05}-of-{parts:05}.gguf", number + 1);
    Some(PathBuf::from(name))
}
