//! Where a guest's model comes from: a file that its name leads to, or its bytes.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use super::account::{Account, Share};
use super::open::{Identity, Open};
use super::process;
use crate::failure::Failure;
use crate::names::{Found, Names, Refusal, Target};

/// Bytes that begin every GGUF file.
const MAGIC: &[u8] = b"GGUF";

/// Bytes of models that guests brought along. All together they take no more than models may: they cannot be evicted.
static BYTES: LazyLock<Arc<Account>> = LazyLock::new(|| {
    let most = process::budget().map_or(u64::MAX, |mib| mib << 20);
    Arc::new(Account::new(most))
});

/// A file that can be read as often as a model needs it: the model itself, an adapter or a projector.
#[derive(Debug, Clone)]
pub struct Source {
    /// Equal for the same content, as far as it can be told without reading it.
    pub identity: Identity,
    /// Where the engine reads it.
    pub path: PathBuf,
    /// The device that its registration names.
    pub target: Target,
    /// Keeps what the path leads to, where it leads through a descriptor.
    _open: Option<Arc<Open>>,
}

impl Source {
    /// The model of that name. Errors: `ModelNotFound`, `NotFound`, `Refused`; `InvalidEncoding` for a file that is not
    /// GGUF.
    pub fn named(names: &Names, name: &str) -> Result<Source, Failure> {
        let found = names.resolve(name)?;
        let shown = found.path.clone();
        let source = Source::found(found)?;
        check_magic(&source.path).map_err(|e| missing(&shown, &e))??;
        Ok(source)
    }

    /// The adapter or projector at that path. Errors: as [`Source::named`]; what it is, the engine sees.
    pub fn beside(names: &Names, path: &str) -> Result<Source, Failure> {
        Source::found(names.resolve_path(path)?)
    }

    fn found(found: Found) -> Result<Source, Failure> {
        let Found {
            path,
            file,
            parts,
            target,
        } = found;
        let seen = |path: &Path, file: Option<&File>| {
            let seen = file.map_or_else(|| std::fs::metadata(path), File::metadata);
            seen.map_err(|e| missing(path, &e))
        };
        let behind: Result<Vec<_>, Failure> = parts
            .iter()
            .map(|(path, file)| seen(path, Some(file)))
            .collect();
        let identity = Identity::of(&seen(&path, file.as_ref())?, &behind?);
        let open = match file {
            Some(file) => Some(Open::get(identity, || Ok(Open::file(file, &path, parts)))?),
            None => None,
        };
        let path = open.as_ref().map_or(path, |open| open.path());
        Ok(Source {
            identity,
            path,
            target,
            _open: open,
        })
    }

    /// The model whose bytes these are, on the account of `room`. Errors: `InvalidEncoding` for bytes that are not GGUF.
    pub fn bytes(bytes: Vec<u8>, room: Share) -> Result<Source, Failure> {
        judge_magic(&bytes)?;
        let identity = Identity::Bytes(*blake3::hash(&bytes).as_bytes());
        let open = Open::get(identity, || {
            Ok(Open::memory(engine::memory_file(&bytes)?, room))
        })?;
        Ok(Source {
            identity,
            path: open.path(),
            target: Target::Auto,
            _open: Some(open),
        })
    }
}

/// Room for a model of so many bytes. Errors: `Busy` where such models take all that models may.
pub fn room(bytes: u64) -> Result<Share, Failure> {
    let mut room = BYTES.share();
    match room.try_set(bytes) {
        true => Ok(room),
        false => Err(Failure::Busy(format!(
            "{bytes} bytes of a model have no room beside those that guests brought before"
        ))),
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        match refusal {
            Refusal::NotFound(text) => Failure::ModelNotFound(text),
            Refusal::Refused(text) => Failure::Refused(text),
            Refusal::Unknown(text) => Failure::NotFound(text),
        }
    }
}

/// Looks at the first bytes of a file: a host may try several backends in turn, and should soon hear from the wrong ones.
fn check_magic(path: &Path) -> std::io::Result<Result<(), Failure>> {
    let mut magic = Vec::with_capacity(MAGIC.len());
    File::open(path)?
        .take(MAGIC.len() as u64)
        .read_to_end(&mut magic)?;
    Ok(judge_magic(&magic))
}

fn judge_magic(bytes: &[u8]) -> Result<(), Failure> {
    match bytes.starts_with(MAGIC) {
        true => Ok(()),
        false => Err(Failure::InvalidEncoding(
            "the model does not begin with GGUF".into(),
        )),
    }
}

fn missing(path: &Path, error: &std::io::Error) -> Failure {
    Failure::ModelNotFound(format!("{}: {error}", path.display()))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A folder with a file `m` that begins as a model, removed with it.
    pub struct Root(PathBuf);

    impl Root {
        pub fn new(name: &str) -> Root {
            let path =
                std::env::temp_dir().join(format!("wasi-nn-source-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("m"), b"GGUF and more").unwrap();
            Root(path)
        }

        pub fn names(&self) -> Names {
            Names::read(None, self.0.to_str(), None).0
        }

        /// Puts another file in the place of `m`.
        pub fn exchange(&self) {
            std::fs::write(self.0.join("new"), b"GGUF!").unwrap();
            std::fs::rename(self.0.join("new"), self.0.join("m")).unwrap();
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn content(source: &Source) -> String {
        std::fs::read_to_string(&source.path).unwrap()
    }

    #[test]
    fn a_file_below_the_root_is_open_once_as_long_as_somebody_holds_it() {
        let root = Root::new("once");
        let names = root.names();
        let first = Source::named(&names, "m").unwrap();
        let second = Source::named(&names, "./m").unwrap();
        let adapter = Source::beside(&names, "m").unwrap();
        assert!(first.path.starts_with("/proc/self/fd"), "{first:?}");
        for other in [&second, &adapter] {
            assert_eq!((&other.path, other.identity), (&first.path, first.identity));
        }
        drop(first);
        assert_eq!(content(&second), "GGUF and more");
        // Another file of that name is another model, and the one that was judged stays what it is.
        root.exchange();
        let third = Source::named(&names, "m").unwrap();
        assert_ne!(third.identity, second.identity);
        assert_eq!(
            [content(&second), content(&third)],
            ["GGUF and more", "GGUF!"]
        );
    }

    #[test]
    fn the_parts_of_a_split_model_are_open_with_the_first_and_part_of_what_it_is() {
        let root = Root::new("parts");
        let name = |no: u32| format!("m-{no:05}-of-00003.gguf");
        for no in 1..=3 {
            std::fs::write(root.0.join(name(no)), format!("GGUF {no}")).unwrap();
        }
        let names = root.names();
        let first = Source::named(&names, &name(1)).unwrap();
        let again = Source::named(&names, &name(1)).unwrap();
        assert_eq!((&again.path, again.identity), (&first.path, first.identity));
        // Another second part is another model, and what was judged stays open.
        std::fs::write(root.0.join("new"), "GGUF!").unwrap();
        std::fs::rename(root.0.join("new"), root.0.join(name(2))).unwrap();
        let other = Source::named(&names, &name(1)).unwrap();
        assert_ne!(other.identity, first.identity);
        assert_ne!(other.path, first.path);
        // A link out of the root is no part of anything below it.
        std::fs::remove_file(root.0.join(name(2))).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.0.join(name(2))).unwrap();
        let found = names.resolve(&name(1)).unwrap();
        assert!(found.parts.is_empty(), "{found:?}");
    }

    #[test]
    fn bytes_have_room_as_long_as_a_source_holds_them() {
        let account = Arc::new(Account::new(10));
        let model = |bytes: &[u8]| {
            let mut room = account.share();
            room.try_set(bytes.len() as u64)
                .then(|| Source::bytes(bytes.to_vec(), room).unwrap())
        };
        let first = model(b"GGUF 1").unwrap();
        assert!(model(b"GGUF 2").is_none(), "12 bytes");
        drop(first);
        let second = model(b"GGUF 2").unwrap();
        assert_eq!(content(&second), "GGUF 2");
        let mut room = account.share();
        assert!(room.try_set(4) && !room.try_set(5));
        assert!(Source::bytes(b"GGUF 2".to_vec(), room).unwrap().path == second.path);
        let mut room = account.share();
        assert!(room.try_set(4), "what is held already is counted once");
    }
}
