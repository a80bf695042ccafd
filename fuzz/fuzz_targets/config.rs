#![no_main]
//! Arbitrary bytes as the configuration of an init, of a load and of a call.
//!
//! Reports and settings must come out whole whatever went in: no panic, no hang, JSON that parses. Knows no key by name
//! but those that name a file: a text with one of them is skipped, because it would make the engine write there.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use engine::{Backend, Error, Options, Result, StatusKind};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde::de::{Deserialize, IgnoredAny};

/// Settings that bound what one call can cost, whatever the call says.
const BOUNDED: &[u8] =
    br#"{"model": {"ctx_size": 128, "n_predict": 0, "threads": 1, "threads_batch": 1},
    "memory": {"context_shifting": false}, "performance": {"n_parallel": 1}}"#;

/// Parts of the names of settings that hold a path.
const PATH_WORDS: [&str; 3] = ["file", "path", "spill"];

const REPORTS: [StatusKind; 5] = [
    StatusKind::Queue,
    StatusKind::Memory,
    StatusKind::Sessions,
    StatusKind::Performance,
    StatusKind::Model,
];

/// Pieces of an answer that are heard before the call is ended.
const HEARD_PIECES: usize = 3;

/// A backend that serves every input, with one conversation.
static SERVING: LazyLock<(Backend, u32)> = LazyLock::new(|| {
    let backend = open(None).expect("the default configuration opens");
    let loaded = backend.load_file(&model(), Some(BOUNDED), None);
    loaded.expect("the model of the repository loads");
    let context = backend.open_context(0).expect("a model is loaded");
    (backend, context.0)
});

fuzz_target!(init: prepare(), |text: &[u8]| -> Corpus {
    if names_a_path(text) {
        return Corpus::Reject;
    }
    at_init(text);
    at_load(text, Path::new("no-such-model.gguf"));
    // A real load is slow: only texts that ask for it by their last byte, which no reader of JSON minds.
    if text.ends_with(b"\n") {
        at_load(text, &model());
    }
    at_run(text);
    as_logging(text);
    Corpus::Keep
});

fn prepare() {
    // The program has a logger of its own, so the engine's lines come here: they are made and thrown away.
    log::set_logger(&Formatting).expect("nobody has set a logger before");
    log::set_max_level(log::LevelFilter::Trace);
    LazyLock::force(&SERVING);
}

fn at_init(text: &[u8]) {
    match open(Some(text)) {
        Ok(backend) => {
            check_reports(&backend);
            backend.close().expect("closed once");
        }
        Err(error) => check_error(&error, |e| matches!(e, Error::InvalidArgument(_))),
    }
}

fn at_load(text: &[u8], path: &Path) {
    let backend = open(None).expect("the default configuration opens");
    let loaded = backend.load_file(path, Some(text), None);
    if let Err(error) = loaded {
        check_error(&error, |e| {
            matches!(e, Error::InvalidArgument(_) | Error::Load(_))
        });
    }
    check_reports(&backend);
    backend.close().expect("closed once");
}

fn at_run(text: &[u8]) {
    let (backend, context) = &*SERVING;
    backend
        .clear(*context)
        .expect("nobody else uses the context");
    let mut pieces = 0;
    let mut on_piece = |piece: &str| {
        assert!(!piece.is_empty(), "a piece without text");
        pieces += 1;
        pieces < HEARD_PIECES
    };
    let mut call = || Some(text.to_vec());
    let answer = backend.run(*context, "Hello".into(), &mut call, Some(&mut on_piece));
    if let Err(error) = answer {
        check_error(&error, |e| {
            matches!(
                e,
                Error::InvalidArgument(_)
                    | Error::Timeout(_)
                    | Error::PromptTooLong(_)
                    | Error::ContextFull(_)
            )
        });
        return;
    }
    let metadata = backend.output(*context, 1).expect("a turn has ended");
    check_json(&metadata);
}

fn as_logging(text: &[u8]) {
    // Directives in the same bytes: the environment is foreign text too.
    let filter = String::from_utf8_lossy(text);
    let backend = Backend::open(Options {
        config: None,
        run_inference_args: None,
        log_filter: Some(&filter),
    });
    let backend = backend.expect("no directives keep a backend from opening");
    if let Err(error) = backend.set_logging(text) {
        check_error(&error, |e| matches!(e, Error::InvalidArgument(_)));
    }
    check_reports(&backend);
    backend.close().expect("closed once");
}

fn open(config: Option<&[u8]>) -> Result<Backend> {
    Backend::open(Options {
        config,
        run_inference_args: None,
        log_filter: None,
    })
}

fn check_reports(backend: &Backend) {
    for kind in REPORTS {
        check_json(&backend.status(kind).expect("the backend is open"));
    }
    let figures = backend.metrics().expect("the backend is open");
    let is_line = |line: &str| line.starts_with("# ") || line.starts_with("wasi_nn_");
    assert!(figures.lines().all(is_line), "{figures}");
}

/// A given value that a report repeats may be nested as deep as a configuration may.
fn check_json(text: &str) {
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let read = IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end());
    assert!(read.is_ok(), "not JSON ({read:?}): {text}");
}

fn check_error(error: &Error, is_expected: impl Fn(&Error) -> bool) {
    assert!(is_expected(error), "unexpected: {error:?}");
    assert!(!error.to_string().is_empty(), "no text: {error:?}");
}

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/pocket-a.gguf")
}

/// Whether a key of the text may be one that holds a path, in any spelling.
fn names_a_path(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let text = without_escapes(&text).to_ascii_lowercase();
    PATH_WORDS.iter().any(|word| text.contains(word))
}

/// The text with `\u00XX` as the characters they stand for: a letter has no other escape.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\\u00");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
        {
            Some(byte) => {
                plain.push(char::from(byte));
                plain.push_str(&part[2..]);
            }
            None => plain.push_str(part),
        }
    }
    plain
}

/// Makes every line and keeps none.
struct Formatting;

impl log::Log for Formatting {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        std::hint::black_box((record.args().to_string(), format!("{record:?}")));
    }

    fn flush(&self) {}
}
