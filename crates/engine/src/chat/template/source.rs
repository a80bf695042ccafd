//! What `model.chat_template` means: the name of a format, a path to a file, or the text of a template.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::program::{CHATML, Program, RAW};
use crate::error::{Error, Result};
use crate::llama::format::{Format, names};

/// Bytes of a template's file, at most.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A template before it is tried.
pub struct Source {
    /// What renders.
    pub program: Program,
    /// The text or name that tells it from others.
    pub text: String,
    /// It is a format by name, whose texts the model need not know.
    pub is_named: bool,
}

/// Whether a setting or a model's metadata say nothing.
pub fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The template that a setting means. Errors: `Engine` for a name that there is not, a file that cannot be read, and a
/// text that is no template.
pub fn configured(setting: &str) -> Result<Source> {
    let name = setting.trim();
    let named = |program, name: &str| Source {
        program,
        text: name.to_owned(),
        is_named: true,
    };
    if name.eq_ignore_ascii_case("chatml") {
        return Ok(named(Program::jinja(CHATML)?, "chatml"));
    }
    if name.eq_ignore_ascii_case("raw") {
        return Ok(named(Program::jinja(RAW)?, "raw"));
    }
    if let Some(format) = Format::named(name) {
        let name = format.name().to_owned();
        return Ok(named(Program::Format(format), &name));
    }
    if is_program(setting) {
        return own(setting);
    }
    let looks_like_a_path =
        name.contains('/') || name.ends_with(".jinja") || name.ends_with(".txt");
    if looks_like_a_path && !name.contains('\n') {
        return own(&read(Path::new(name))?);
    }
    let shown: String = name.chars().take(60).collect();
    Err(Error::Engine(format!(
        "chat template: '{shown}' is no template, no path, and none of the known names (raw, {})",
        names().join(", ")
    )))
}

/// The template of a text, as models bring it. Errors: `Engine` with the line.
pub fn own(text: &str) -> Result<Source> {
    Ok(Source {
        program: Program::jinja(text)?,
        text: text.to_owned(),
        is_named: false,
    })
}

/// Whether a text has a tag: without one it says the same whatever the conversation is.
fn is_program(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn read(path: &Path) -> Result<String> {
    let failed =
        |reason: String| Error::Engine(format!("chat template: {}: {reason}", path.display()));
    let file = File::open(path).map_err(|e| failed(e.to_string()))?;
    let about = file.metadata().map_err(|e| failed(e.to_string()))?;
    // A pipe would hold the load.
    if !about.is_file() || about.len() > MAX_FILE_BYTES {
        return Err(failed("it is no file of at most 1 MiB".into()));
    }
    let mut text = String::new();
    let read = file.take(MAX_FILE_BYTES).read_to_string(&mut text);
    read.map_err(|e| failed(e.to_string()))?;
    Ok(text)
}
