//! Files that are open already: what is loaded is what was judged, whatever lies at its path by then.
//!
//! llama.cpp reads by path, and the path of a descriptor tells nobody which file it is. A table keeps what each of them
//! is called, and which files follow the first part of a split model: their names cannot be derived from a number. An
//! entry is there as long as its [`OpenFile`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

/// Begins the path of every descriptor.
const DESCRIPTORS: &str = "/proc/self/fd/";

static OPEN: RwLock<BTreeMap<PathBuf, Entry>> = RwLock::new(BTreeMap::new());

/// What is known of a path.
#[derive(Debug)]
struct Entry {
    shown: Arc<str>,
    /// The files that follow, where they are open too.
    parts: Vec<PathBuf>,
}

/// An open file that the engine may read, by [`OpenFile::path`].
#[derive(Debug)]
pub struct OpenFile {
    path: PathBuf,
    /// The other parts of a split model.
    _parts: Vec<Arc<OpenFile>>,
    _descriptor: OwnedFd,
}

impl OpenFile {
    /// Takes a file that messages, labels and the log call `shown`, such as its own path.
    ///
    /// `parts`: of a split model whose first part this is, the parts behind it, in order. Empty for any other file.
    pub fn new(descriptor: OwnedFd, shown: &str, parts: Vec<Arc<OpenFile>>) -> OpenFile {
        let path = PathBuf::from(format!("{DESCRIPTORS}{}", descriptor.as_raw_fd()));
        let entry = Entry {
            shown: shown.into(),
            parts: parts.iter().map(|part| part.path.clone()).collect(),
        };
        OPEN.write().insert(path.clone(), entry);
        OpenFile {
            path,
            _parts: parts,
            _descriptor: descriptor,
        }
    }

    /// Where it can be read as long as this lives.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        // Before the descriptor goes, whose number somebody else may have next.
        OPEN.write().remove(&self.path);
    }
}

/// What the file at `path` is called.
pub(crate) fn shown(path: &Path) -> String {
    let entry = OPEN.read().get(path).map(|entry| entry.shown.to_string());
    entry.unwrap_or_else(|| path.display().to_string())
}

/// The files behind the first part at `first`, where that is an open file; else their names are to be derived.
pub(super) fn parts(first: &Path) -> Option<Vec<PathBuf>> {
    OPEN.read().get(first).map(|entry| entry.parts.clone())
}

/// A line of llama.cpp with the names of open files in the place of their paths.
pub(super) fn named(line: &str) -> Cow<'_, str> {
    if !line.contains(DESCRIPTORS) {
        return Cow::Borrowed(line);
    }
    let mut said = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(DESCRIPTORS) {
        let number = &rest[at + DESCRIPTORS.len()..];
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let end = at + DESCRIPTORS.len() + digits;
        said.push_str(&rest[..at]);
        said.push_str(&shown(Path::new(&rest[at..end])));
        rest = &rest[end..];
    }
    said.push_str(rest);
    Cow::Owned(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(shown: &str, parts: Vec<Arc<OpenFile>>) -> OpenFile {
        let file = std::fs::File::open("/dev/null").expect("the null device");
        OpenFile::new(file.into(), shown, parts)
    }

    #[test]
    fn a_line_names_the_files_that_are_open_and_leaves_other_paths() {
        let file = open("/models/a b.gguf", Vec::new());
        let path = file.path().to_path_buf();
        let shown_path = path.display().to_string();
        let line = format!("from {shown_path} (version), {shown_path}7 and {shown_path}");
        let expect = format!("from /models/a b.gguf (version), {shown_path}7 and /models/a b.gguf");
        assert_eq!(named(&line), expect);
        assert_eq!(named("no path"), "no path");
        assert_eq!(named("/proc/self/fd/"), "/proc/self/fd/");
        drop(file);
        assert_eq!(shown(&path), shown_path, "its number is anybody's now");
    }

    #[test]
    fn parts_are_known_as_long_as_the_first_is_open() {
        let second = Arc::new(open("m-00002-of-00002.gguf", Vec::new()));
        let first = open("m-00001-of-00002.gguf", vec![second.clone()]);
        let path = first.path().to_path_buf();
        assert_eq!(parts(&path), Some(vec![second.path().to_path_buf()]));
        assert_eq!(parts(second.path()), Some(Vec::new()));
        assert_eq!(parts(Path::new("/models/m.gguf")), None);
        drop(first);
        assert_eq!(parts(&path), None);
    }
}
