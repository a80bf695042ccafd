//! The house rules that a compiler does not know: layers, file heads and sizes, where `unsafe` may stand, and that paths
//! named in documents exist. The layer table of `ARCHITECTURE.md` is held here as data.

#![expect(clippy::unwrap_used, reason = "an unreadable tree fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Engine modules from the lowest layer up: layer, module, what its files may import from the crate.
const LAYERS: &[(u8, &str, &[&str])] = &[
    (0, "error", &[]),
    (0, "metrics", &[]),
    (0, "presence", &[]),
    (0, "calendar", &[]),
    (0, "machine", &[]),
    (0, "sync", &[]),
    (1, "handles", &["error"]),
    (1, "config", &["error"]),
    (1, "llama", &["error", "machine"]),
    (2, "logging", &["calendar", "config", "error"]),
    (2, "stopping", &["config"]),
    (2, "reasoning", &[]),
    (2, "memory", &["config", "error"]),
    (2, "spill", &["config", "llama", "presence"]),
    (2, "sampling", &["config", "error", "llama"]),
    (
        2,
        "chat",
        &["calendar", "config", "error", "llama", "presence"],
    ),
    (
        2,
        "models",
        &[
            "config", "error", "llama", "machine", "memory", "metrics", "sync",
        ],
    ),
    (
        3,
        "scheduler",
        &[
            "config",
            "error",
            "llama",
            "machine",
            "memory",
            "metrics",
            "models",
            "presence",
            "reasoning",
            "sampling",
            "spill",
            "stopping",
            "sync",
        ],
    ),
    (4, "status", &["metrics", "models", "scheduler", "spill"]),
    (
        5,
        "backend",
        &[
            "chat",
            "config",
            "error",
            "handles",
            "llama",
            "logging",
            "machine",
            "memory",
            "metrics",
            "models",
            "reasoning",
            "sampling",
            "scheduler",
            "spill",
            "status",
            "stopping",
        ],
    ),
];

/// Modules inside `scheduler` that must stay free of everything but these, so that they are tested without a model.
const PURE: &[(&str, &[&str])] = &[
    ("crates/engine/src/scheduler/queue.rs", &[]),
    ("crates/engine/src/scheduler/pace.rs", &[]),
    ("crates/engine/src/scheduler/share.rs", &[]),
    ("crates/engine/src/scheduler/governor.rs", &[]),
    ("crates/engine/src/scheduler/fixed.rs", &[]),
    ("crates/engine/src/scheduler/placement.rs", &[]),
    ("crates/engine/src/scheduler/rows.rs", &[]),
    ("crates/engine/src/scheduler/cores/turns.rs", &[]),
    ("crates/engine/src/scheduler/slow.rs", &["metrics"]),
    ("crates/engine/src/memory.rs", &["config", "error"]),
    ("crates/engine/src/memory/align.rs", &[]),
    ("crates/engine/src/memory/pressure.rs", &[]),
    ("crates/engine/src/spill/order.rs", &["config"]),
    ("crates/engine/src/spill/prefixes.rs", &[]),
    ("crates/engine/src/stopping.rs", &["config"]),
];

const LINE_LIMIT: usize = 500;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of our own with one of the extensions, relative to the root.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_ours = !name.starts_with('.')
                && !["target", "build", "install", "corpus", "artifacts"].contains(&name.as_str());
            if path.is_dir() && is_ours {
                walk(&path, found);
            } else if path.is_file() {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    found.retain(|p| {
        p.extension()
            .is_some_and(|e| extensions.iter().any(|x| e == *x))
    });
    let relative = |p: PathBuf| p.strip_prefix(root()).unwrap().to_owned();
    let mut found: Vec<PathBuf> = found.into_iter().map(relative).collect();
    found.sort();
    assert!(!found.is_empty(), "the tree was not found");
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The text without its unit tests and without comments.
fn code(path: &Path) -> String {
    let text = read(path);
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    path.iter()
        .any(|part| part == "tests" || part == "tests.rs")
}

/// The engine module that a file belongs to.
fn module(path: &Path) -> Option<String> {
    let rest = path.strip_prefix("crates/engine/src").ok()?;
    let first = Path::new(rest.iter().next()?);
    Some(first.file_stem()?.to_string_lossy().into_owned())
}

/// Modules of the crate that `code` names.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name = name.trim();
            let end = name
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(name.len());
            found.push(name[..end].to_owned());
        }
    }
    found.retain(|n| !n.is_empty());
    found
}

#[test]
fn engine_modules_import_only_what_their_row_allows() {
    let mut wrong = Vec::new();
    for path in files(&["rs"]) {
        let Some(module) = module(&path) else {
            continue;
        };
        if module == "lib" || is_test(&path) {
            continue;
        }
        let Some((_, _, allowed)) = LAYERS.iter().find(|(_, name, _)| *name == module) else {
            wrong.push(format!("{}: module {module} has no row", path.display()));
            continue;
        };
        for import in imports(&code(&path)) {
            if import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn rows_import_only_from_rows_above_them() {
    for (at, (layer, name, allowed)) in LAYERS.iter().enumerate() {
        for import in *allowed {
            let below = LAYERS[..at].iter().find(|(_, n, _)| n == import);
            assert!(
                below.is_some_and(|(l, _, _)| l <= layer),
                "{name} imports {import}"
            );
        }
    }
}

#[test]
fn pure_policies_stay_free_of_llama_and_channels() {
    for (path, allowed) in PURE {
        let code = code(Path::new(path));
        let inner = imports(&code);
        assert!(
            inner.iter().all(|i| allowed.contains(&i.as_str())),
            "{path}: {inner:?}"
        );
        for word in ["llama", "crossbeam", "Instant::now", "SystemTime::now"] {
            assert!(!code.contains(word), "{path} names {word}");
        }
    }
}

#[test]
fn every_rust_file_has_a_head_one_noun_and_plain_characters() {
    let mut wrong = Vec::new();
    for path in files(&["rs"]) {
        let text = read(&path);
        if !text.starts_with("//! ") && !text.starts_with("#![no_main]") {
            wrong.push(format!("{}: does not open with //!", path.display()));
        }
        let lines = text.lines().count();
        if lines >= LINE_LIMIT {
            wrong.push(format!("{}: {lines} lines", path.display()));
        }
        if !text.is_ascii() {
            wrong.push(format!("{}: not ASCII", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn c_and_python_files_keep_the_line_limit() {
    for path in files(&["c", "cpp", "py"]) {
        let lines = read(&path).lines().count();
        assert!(lines < LINE_LIMIT, "{}: {lines} lines", path.display());
    }
}

#[test]
fn unsafe_stands_only_in_its_rooms() {
    let rooms = [
        "crates/engine/src/llama",
        "crates/boundary",
        "src/",
        "crates/wamr-plugin/src/lib.rs",
        "crates/wamr-plugin/src/native.rs",
        // Functions that hosts call by a table, and those of WAMR that are called.
        "crates/wamr-plugin/src/native/",
        "crates/wamr-plugin/src/output.rs",
        // Asks the host for its functions and the thread for its stack.
        "crates/wamr-plugin/src/host.rs",
        "crates/wamr-plugin/src/input/tests.rs",
        "fuzz/",
        "benches/serving/library.rs",
        "benches/serving/plugin.rs",
        "benches/serving/shared.rs",
        "crates/wamr-plugin/src/host.rs",
        "crates/wamr-plugin/src/input/tests.rs",
        "crates/wamr-plugin/src/lib.rs",
        "crates/wamr-plugin/src/names/beneath.rs",
        "crates/wamr-plugin/src/native.rs",
        "crates/wamr-plugin/src/output.rs",
        // A guest without a standard library calls its host's functions.
        "examples/wamr/guest-rust",
        "crates/engine/tests/golden.rs",
        // Asks the allocator what it has given out.
        "crates/engine/tests/soak.rs",
    ];
    for path in files(&["rs"]) {
        let shown = path.to_string_lossy().into_owned();
        if rooms.iter().any(|room| shown.starts_with(room)) || shown == "tests/tidy.rs" {
            continue;
        }
        let code = code(&path);
        let words = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        assert!(
            words.into_iter().all(|w| w != "unsafe"),
            "{shown} has unsafe code"
        );
    }
}

#[test]
fn libraries_write_nothing_to_stdout_and_stderr_by_themselves() {
    for path in files(&["rs"]) {
        let shown = path.to_string_lossy().into_owned();
        let is_library = shown.starts_with("crates/engine/src")
            || shown.starts_with("crates/boundary/src")
            // Its configuration may ask for the answer on the guest's standard output.
            || shown.starts_with("crates/wamr-plugin/src") && !shown.ends_with("guest/context.rs")
            || shown.starts_with("src/");
        if !is_library || is_test(&path) {
            continue;
        }
        for word in ["println!", "print!(", "eprint", "dbg!", "stdout()"] {
            assert!(!code(&path).contains(word), "{shown} has {word}");
        }
    }
}

#[test]
fn paths_named_in_documents_exist() {
    let mut missing = Vec::new();
    for path in files(&["md"]) {
        let text = read(&path);
        for word in text.split('`').skip(1).step_by(2) {
            let is_path = word.contains('/')
                && !word.contains(|c: char| c.is_whitespace() || "<>{}*$()=:\"|~\\".contains(c))
                && !word.starts_with(['/', '.', '-'])
                && word
                    .rsplit('/')
                    .next()
                    .is_some_and(|n| n.is_empty() || n.contains('.'));
            let made = ["build/", "install/", "target/"]
                .iter()
                .any(|f| word.starts_with(f));
            let beside = root().join(path.parent().unwrap()).join(word);
            if is_path && !made && !root().join(word).exists() && !beside.exists() {
                missing.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
