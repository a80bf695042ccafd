//! Names of models: which file a guest's name stands for, and which files a guest may name at all.
//!
//! The host's three settings come in as texts; who reads the environment is above. Names of the registry are the
//! host's own and lead anywhere. A path is a guest's word and is judged by the policy. Knows no model and loads none.

mod beneath;
mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Component, Path, PathBuf};

use crate::plain::quoted;

/// Where a model is to be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// On the processor, whatever else there is.
    Cpu,
    /// On a device.
    Gpu,
    /// Where the engine thinks best.
    Auto,
}

/// What a guest may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Any file that the process can read.
    Path,
    /// Files below the root.
    Root,
    /// Names of the registry only.
    Registry,
}

/// A file that a name stands for.
#[derive(Debug)]
pub struct Found {
    /// Where it is; for a file below the root with all links resolved, so that one file has one path.
    pub path: PathBuf,
    /// The file, where it was opened to be judged. Only this one was: at `path` there may be another by now. So it is read
    /// through [`descriptor_path`], since llama.cpp opens by path.
    pub file: Option<File>,
    /// The files behind it, open too, where its name is that of the first part of a split model: as many as there are, up
    /// to the number in the name. Whether it is split, its content says.
    pub parts: Vec<(PathBuf, File)>,
    /// Where the model is to be computed.
    pub target: Target,
}

/// Why a name leads to no file. Each text is safe for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such file, or it cannot be read.
    NotFound(String),
    /// A guest may not name it; the same whether there is such a file or not. A matter for the security log.
    Refused(String),
    /// The registry has no such name, and nothing else may be named; the text was no path.
    Unknown(String),
}

/// One name of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    target: Target,
    path: PathBuf,
}

/// The host's names of models, and what guests may name beside them.
#[derive(Debug)]
pub struct Names {
    registry: BTreeMap<String, Entry>,
    policy: Policy,
    root: Option<Root>,
}

/// The folder below which guests may name files.
#[derive(Debug)]
struct Root {
    /// As the host wrote it, made absolute.
    written: PathBuf,
    /// With all links resolved.
    real: PathBuf,
}

impl Names {
    /// Reads the host's settings: entries `name:GGML:TARGET:path` between semicolons, the root, the policy.
    ///
    /// Also returns what is wrong with them. A broken entry is skipped. A broken root or policy never widens what
    /// guests may name: without a usable root no path is allowed under `root`, and an unknown policy is `registry`.
    pub fn read(
        preload: Option<&str>,
        root: Option<&str>,
        policy: Option<&str>,
    ) -> (Names, Vec<String>) {
        let mut wrong = Vec::new();
        let registry = read_registry(preload.unwrap_or_default(), &mut wrong);
        let root = root.filter(|text| !text.is_empty());
        let policy = match (policy.unwrap_or_default(), root) {
            ("", None) => Policy::Path,
            ("", Some(_)) => Policy::Root,
            ("path", _) => Policy::Path,
            ("root", _) => Policy::Root,
            ("registry", _) => Policy::Registry,
            (other, _) => {
                let other = quoted(other);
                wrong.push(format!(
                    "WASI_NN_MODEL_POLICY is {other}, must be path, root or registry; registry holds"
                ));
                Policy::Registry
            }
        };
        let root = root.and_then(|text| read_root(text, &mut wrong));
        if policy == Policy::Root && root.is_none() {
            let said = "WASI_NN_MODEL_POLICY is root without a usable root: no path is allowed";
            wrong.push(said.to_owned());
        }
        let names = Names {
            registry,
            policy,
            root,
        };
        (names, wrong)
    }

    /// What guests may name beside the registry.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The file that a guest's `name` of a model stands for: the registry first, then a path under the policy.
    pub fn resolve(&self, name: &str) -> Result<Found, Refusal> {
        match self.registry.get(name) {
            Some(entry) => existing(&entry.path, entry.target, name),
            // A word may be misspelt; a path is a try.
            None if self.policy == Policy::Registry && name.contains('/') => Err(refused(name)),
            None if self.policy == Policy::Registry => {
                let name = quoted(name);
                Err(Refusal::Unknown(format!("no model is called {name}")))
            }
            None => self.resolve_path(name),
        }
    }

    /// The file at a guest's `path`, under the policy alone: for images, adapters and whatever else is no model.
    pub fn resolve_path(&self, path: &str) -> Result<Found, Refusal> {
        let refused = || refused(path);
        if path.contains('\0') {
            return Err(refused());
        }
        match (self.policy, &self.root) {
            (Policy::Path, _) => existing(Path::new(path), Target::Auto, path),
            (Policy::Root, Some(root)) => {
                let relative = root.relative(Path::new(path)).ok_or_else(refused)?;
                match beneath::open(&root.real, &relative) {
                    Ok(file) => Ok(Found {
                        path: root.place(&file, &relative),
                        file: Some(file),
                        parts: root.parts(&relative),
                        target: Target::Auto,
                    }),
                    Err(beneath::Failure::Outside) => Err(refused()),
                    Err(beneath::Failure::Missing) => Err(not_found(path)),
                }
            }
            (Policy::Root, None) | (Policy::Registry, _) => Err(refused()),
        }
    }
}

impl Root {
    /// The part of `path` below the root; `None` where it leaves it, judged by its text alone.
    fn relative(&self, path: &Path) -> Option<PathBuf> {
        let below = match path.is_absolute() {
            true => {
                let roots = [&self.written, &self.real].into_iter();
                roots
                    .filter_map(|root| path.strip_prefix(root).ok())
                    .next()?
            }
            false => path,
        };
        let goes_up = below.components().any(|part| part == Component::ParentDir);
        (!goes_up).then(|| below.to_owned())
    }

    /// Where a file that was opened by a path below the root really is.
    fn place(&self, file: &File, relative: &Path) -> PathBuf {
        fs::read_link(descriptor_path(file)).unwrap_or_else(|_| self.real.join(relative))
    }

    /// The parts behind the first one at `first`, if that is how it is called. They are judged as it was.
    fn parts(&self, first: &Path) -> Vec<(PathBuf, File)> {
        let names = split::names_behind(first).unwrap_or_default();
        let open = names.map_while(|name| {
            let file = beneath::open(&self.real, &name).ok()?;
            Some((self.place(&file, &name), file))
        });
        open.collect()
    }
}

/// The first entry of a name counts, as a host that extends a list at its end expects.
fn read_registry(preload: &str, wrong: &mut Vec<String>) -> BTreeMap<String, Entry> {
    let mut registry = BTreeMap::new();
    for (at, text) in preload.split(';').enumerate() {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let said = match read_entry(text) {
            Ok((name, _)) if registry.contains_key(name) => "its name was given before",
            Ok((name, entry)) => {
                registry.insert(name.to_owned(), entry);
                continue;
            }
            Err(said) => said,
        };
        wrong.push(format!(
            "WASI_NN_PRELOAD: entry {} is skipped, {said}",
            at + 1
        ));
    }
    registry
}

/// The path is the rest, whatever colons it has.
fn read_entry(text: &str) -> Result<(&str, Entry), &'static str> {
    let mut parts = text.splitn(4, ':');
    let mut part = || parts.next().ok_or("must be name:GGML:TARGET:path");
    let (name, encoding, target, path) = (part()?, part()?, part()?, part()?);
    if name.is_empty() || path.is_empty() || path.contains('\0') {
        return Err("its name or its path is empty");
    }
    if !encoding.eq_ignore_ascii_case("ggml") {
        return Err("its encoding must be GGML");
    }
    let target = match target.to_ascii_uppercase().as_str() {
        "CPU" => Target::Cpu,
        "GPU" => Target::Gpu,
        "AUTO" => Target::Auto,
        _ => return Err("its target must be CPU, GPU or AUTO"),
    };
    let path = PathBuf::from(path);
    Ok((name, Entry { target, path }))
}

fn read_root(text: &str, wrong: &mut Vec<String>) -> Option<Root> {
    let real = fs::canonicalize(text).and_then(|real| match real.is_dir() {
        true => Ok(real),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    });
    let written = std::path::absolute(text);
    match (written, real) {
        (Ok(written), Ok(real)) => Some(Root { written, real }),
        (Err(error), _) | (_, Err(error)) => {
            let shown = quoted(text);
            wrong.push(format!("WASI_NN_MODEL_ROOT {shown} is not usable: {error}"));
            None
        }
    }
}

/// A readable file at `path`. It is not kept open: nothing was judged by its place, so nothing can be exchanged.
fn existing(path: &Path, target: Target, name: &str) -> Result<Found, Refusal> {
    // Opening a pipe would wait for its other end.
    let is_file = fs::metadata(path).is_ok_and(|data| data.is_file());
    match is_file && File::open(path).is_ok() {
        true => Ok(Found {
            path: path.to_owned(),
            file: None,
            parts: Vec::new(),
            target,
        }),
        false => Err(not_found(name)),
    }
}

fn refused(path: &str) -> Refusal {
    let path = quoted(path);
    Refusal::Refused(format!("{path} is not a path that a guest may name"))
}

fn not_found(name: &str) -> Refusal {
    let name = quoted(name);
    Refusal::NotFound(format!("there is no readable file for {name}"))
}

/// Where the kernel shows what `file` is. Valid as long as the file is open.
pub fn descriptor_path(file: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
