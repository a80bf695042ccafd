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

use super::opened;
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
    let parts = match header.part() {
        Ok((0, count)) => count,
        // First of all: a part has neither an architecture nor a tokenizer, and would be blamed for that.
        Ok((no, count)) => return Err(refused(path, &not_first(path, no, count))),
        Err(reason) => return Err(refused(path, &reason)),
    };
    rules::check(&header).map_err(|reason| refused(path, &reason))?;
    let open = opened::parts(path);
    let mut files = vec![path.to_owned()];
    let mut headers = vec![header];
    for number in 1..parts {
        let part = match &open {
            Some(open) => open
                .get(usize::from(number) - 1)
                .cloned()
                .ok_or_else(|| missing(path, number, parts))?,
            None => part_path(path, number, parts).ok_or_else(|| unnamed(path, parts))?,
        };
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
    let shown = opened::shown(path);
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
    Error::Load(format!("{} {reason}", opened::shown(path)))
}

/// Why part `no` (from 0) of `count` is no model, and which file is.
fn not_first(path: &Path, no: u16, count: u16) -> String {
    let shown = PathBuf::from(opened::shown(path));
    let first = part_of(&shown, no, 0, count).map(|first| format!(": {}", first.display()));
    let first = first.unwrap_or_default();
    format!(
        "is part {} of {count}, load part 1{first}",
        u32::from(no) + 1
    )
}

/// A part that was not there when the first one was opened.
fn missing(first: &Path, number: u16, parts: u16) -> Error {
    let shown = PathBuf::from(opened::shown(first));
    match part_path(&shown, number, parts) {
        Some(part) => Error::Load(format!("file not found: {}", part.display())),
        None => unnamed(first, parts),
    }
}

fn unnamed(first: &Path, parts: u16) -> Error {
    refused(first, &format!("is not named as part 1 of {parts}"))
}

/// The path of part `number` (from 0) of `parts`, from the path of part 0, as llama.cpp derives it.
fn part_path(first: &Path, number: u16, parts: u16) -> Option<PathBuf> {
    part_of(first, 0, number, parts)
}

/// The path of part `number` of `parts`, from that of part `known`; both from 0.
fn part_of(path: &Path, known: u16, number: u16, parts: u16) -> Option<PathBuf> {
    let ending = |no: u16| format!("-{:05}-of-{parts:05}.gguf", u32::from(no) + 1);
    let stem = path.to_str()?.strip_suffix(&ending(known))?;
    Some(PathBuf::from(format!("{stem}{}", ending(number))))
}
