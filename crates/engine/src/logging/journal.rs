//! One backend's log: its level, its categories and its sink.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use log::{Level, LevelFilter, Metadata, Record};
use parking_lot::{Mutex, RwLock};

use super::line::{self, Shape};
use crate::config;

/// A backend's log. Any thread; each line is one write, so lines of several threads do not mix.
pub struct Journal {
    rules: RwLock<Rules>,
    sink: Mutex<Sink>,
}

struct Rules {
    level: LevelFilter,
    categories: Option<Vec<&'static str>>,
    shape: Shape,
    path: Option<PathBuf>,
}

enum Sink {
    Stderr,
    File(File),
}

impl Journal {
    /// Opens the log that `settings` describe. The second value: why `file` could not be opened; stderr is used then.
    pub fn open(settings: &config::Logging) -> (Journal, Option<String>) {
        let (sink, problem) = Sink::open(settings.file.as_deref());
        let journal = Journal {
            rules: RwLock::new(rules(settings, &sink)),
            sink: Mutex::new(sink),
        };
        (journal, problem)
    }

    /// Applies other settings to the lines that follow; the file is opened anew only when its name changes.
    pub fn reopen(&self, settings: &config::Logging) -> Option<String> {
        let is_same = self.rules.read().path == settings.file;
        let mut problem = None;
        let mut sink = self.sink.lock();
        if !is_same {
            (*sink, problem) = Sink::open(settings.file.as_deref());
        }
        *self.rules.write() = rules(settings, &sink);
        problem
    }

    /// The most talkative level that is written.
    pub fn level(&self) -> LevelFilter {
        self.rules.read().level
    }

    /// Whether a line of this level and category is written.
    pub fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let rules = self.rules.read();
        metadata.level() <= rules.level
            && rules
                .categories
                .as_ref()
                .is_none_or(|list| list.contains(&line::category(metadata.target())))
    }

    /// Writes one line, at once.
    pub fn write(&self, record: &Record<'_>) {
        let text = line::format(record, &self.rules.read().shape);
        let mut sink = self.sink.lock();
        // A log that cannot be written must not fail the work that it tells of.
        drop(match &mut *sink {
            Sink::Stderr => std::io::stderr().write_all(text.as_bytes()),
            Sink::File(file) => file.write_all(text.as_bytes()),
        });
    }
}

impl Sink {
    fn open(path: Option<&Path>) -> (Sink, Option<String>) {
        let Some(path) = path else {
            return (Sink::Stderr, None);
        };
        match OpenOptions::new().create(true).append(true).open(path) {
            Ok(file) => (Sink::File(file), None),
            Err(error) => (
                Sink::Stderr,
                Some(format!(
                    "logging.file: {} cannot be opened ({error}), using stderr",
                    path.display()
                )),
            ),
        }
    }
}

fn rules(settings: &config::Logging, sink: &Sink) -> Rules {
    Rules {
        level: level(settings),
        categories: settings
            .categories
            .as_ref()
            .map(|list| list.iter().map(|c| c.as_str()).collect()),
        shape: Shape {
            timestamps: settings.timestamps,
            structured: settings.structured,
            colors: settings.colors
                && matches!(sink, Sink::Stderr)
                && std::io::stderr().is_terminal(),
        },
        path: settings.file.clone(),
    }
}

fn level(settings: &config::Logging) -> LevelFilter {
    use config::Level as Wanted;
    if settings.enable_debug {
        return Level::Debug.to_level_filter();
    }
    match settings.level {
        Wanted::Debug => LevelFilter::Debug,
        Wanted::Info => LevelFilter::Info,
        Wanted::Warn => LevelFilter::Warn,
        Wanted::Error => LevelFilter::Error,
        // The library ends no process, so it writes no line of this level.
        Wanted::Fatal | Wanted::None => LevelFilter::Off,
    }
}
