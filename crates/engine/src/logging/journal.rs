//! One backend's log: its level, its categories and its sink.

use std::fs::{File, OpenOptions};
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Metadata, Record};
use parking_lot::{Mutex, RwLock};

use super::category;
use super::directives::Directives;
use super::line::{self, Shape};
use super::outlet::Outlet;
use super::unblocked;
use crate::config;

/// What waits for the process's stderr, which all journals without a file have in common.
static STDERR: Mutex<Outlet> = Mutex::new(Outlet::new());

/// For how long an end waits for a reader that reads nothing.
const PATIENCE: Duration = Duration::from_millis(200);

/// For how long an end waits for a reader that reads.
const LONGEST: Duration = Duration::from_secs(2);

/// A backend's log. Any thread; no line waits for its reader. Each line is one write where the sink takes it at once,
/// so lines of several threads do not mix and a line is in the file when the call that wrote it returns; what a pipe or a
/// terminal does not take waits in an outlet.
pub struct Journal {
    /// The most talkative level of each category. Outside the lock, because every line that some backend wants asks.
    thresholds: [AtomicUsize; category::NAMES.len()],
    rules: RwLock<Rules>,
    sink: Mutex<Sink>,
}

struct Rules {
    /// In force instead of the configured levels and categories.
    directives: Option<Directives>,
    shape: Shape,
    path: Option<PathBuf>,
}

enum Sink {
    Stderr,
    File(File, Outlet),
}

impl Journal {
    /// Opens the log that `settings` describe; `directives` say what is written in place of their level and categories.
    /// The second value: why `file` could not be opened; stderr is used then.
    pub fn open(
        settings: &config::Logging,
        directives: Option<&Directives>,
    ) -> (Journal, Option<String>) {
        let (sink, problem) = Sink::open(settings.file.as_deref());
        let journal = Journal {
            thresholds: [const { AtomicUsize::new(0) }; category::NAMES.len()],
            rules: RwLock::new(rules(settings, directives, &sink)),
            sink: Mutex::new(sink),
        };
        journal.set_thresholds(settings, directives);
        (journal, problem)
    }

    /// Applies other settings to the lines that follow; the file is opened anew only when its name changes.
    pub fn reopen(
        &self,
        settings: &config::Logging,
        directives: Option<&Directives>,
    ) -> Option<String> {
        let is_same = self.rules.read().path == settings.file;
        let mut problem = None;
        let mut sink = self.sink.lock();
        if !is_same {
            let (mut next, found) = Sink::open(settings.file.as_deref());
            problem = found;
            if let (Sink::File(_, before), Sink::File(_, outlet)) = (&*sink, &mut next) {
                outlet.add_lost(before.lost());
            }
            *sink = next;
        }
        *self.rules.write() = rules(settings, directives, &sink);
        self.set_thresholds(settings, directives);
        problem
    }

    /// The most talkative level that is written.
    pub fn level(&self) -> LevelFilter {
        let levels = self.thresholds.iter().map(|t| t.load(Ordering::Relaxed));
        let most = levels.max().unwrap_or(0);
        LevelFilter::iter()
            .find(|level| *level as usize == most)
            .unwrap_or(LevelFilter::Off)
    }

    /// Whether a line of this level and category is written.
    pub fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let threshold = &self.thresholds[category::index(metadata.target())];
        metadata.level() as usize <= threshold.load(Ordering::Relaxed)
    }

    /// Writes one line, at once or when its sink takes it.
    pub fn write(&self, record: &Record<'_>) {
        let shape = {
            let rules = self.rules.read();
            if rules
                .directives
                .as_ref()
                .is_some_and(|d| !d.matches(record))
            {
                return;
            }
            rules.shape
        };
        let text = line::format(record, &shape);
        let notice = |dropped| gap(dropped, &shape);
        match &mut *self.sink.lock() {
            Sink::Stderr => STDERR.lock().send(text, &notice, &mut unblocked::to_stderr),
            Sink::File(file, outlet) => {
                outlet.send(text, &notice, &mut |bytes| unblocked::to_own(file, bytes));
            }
        }
    }

    /// Whether lines wait for their reader.
    pub fn is_behind(&self) -> bool {
        match &*self.sink.lock() {
            Sink::Stderr => STDERR.lock().is_behind(),
            Sink::File(_, outlet) => outlet.is_behind(),
        }
    }

    /// Writes what waits, as far as its sink takes it now. How much is left.
    pub fn drain(&self) -> usize {
        let shape = self.rules.read().shape;
        let notice = |dropped| gap(dropped, &shape);
        match &mut *self.sink.lock() {
            Sink::Stderr => {
                let mut outlet = STDERR.lock();
                outlet.drain(&notice, &mut unblocked::to_stderr);
                outlet.bytes()
            }
            Sink::File(file, outlet) => {
                outlet.drain(&notice, &mut |bytes| unblocked::to_own(file, bytes));
                outlet.bytes()
            }
        }
    }

    /// As `drain`, and waits for a reader, but not for long: the end of a backend is not in its hands.
    pub fn finish(&self) {
        let begun = Instant::now();
        let (mut left, mut read) = (self.drain(), begun);
        while left > 0 && read.elapsed() < PATIENCE && begun.elapsed() < LONGEST {
            unblocked::await_stderr(Duration::from_millis(10));
            let now = self.drain();
            if now < left {
                read = Instant::now();
            }
            left = now;
        }
    }

    fn set_thresholds(&self, settings: &config::Logging, directives: Option<&Directives>) {
        let levels = directives.map_or_else(|| configured(settings), Directives::thresholds);
        for (threshold, level) in self.thresholds.iter().zip(levels) {
            threshold.store(level as usize, Ordering::Relaxed);
        }
    }
}

impl Sink {
    fn open(path: Option<&Path>) -> (Sink, Option<String>) {
        let Some(path) = path else {
            return (Sink::Stderr, None);
        };
        // A pipe that nobody reads is never waited for.
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        match options.custom_flags(libc::O_NONBLOCK).open(path) {
            Ok(file) => (Sink::File(file, Outlet::new()), None),
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

fn rules(settings: &config::Logging, directives: Option<&Directives>, sink: &Sink) -> Rules {
    Rules {
        directives: directives.cloned(),
        shape: Shape {
            timestamps: settings.timestamps,
            structured: settings.structured,
            colors: settings.colors
                && matches!(sink, Sink::Stderr)
                && std::io::stderr().is_terminal(),
        },
        // One that could not be opened is tried again when it is asked for again.
        path: settings
            .file
            .clone()
            .filter(|_| matches!(sink, Sink::File(..))),
    }
}

/// The line in the place of those that were dropped. It is in the log whatever its levels are: without it the log would
/// seem whole.
fn gap(dropped: u64, shape: &Shape) -> String {
    line::format(
        &Record::builder()
            .level(Level::Warn)
            .target("backend")
            .args(format_args!(
                "{dropped} lines of the log were dropped: nobody read it"
            ))
            .build(),
        shape,
    )
}

/// The level of each category.
fn configured(settings: &config::Logging) -> [LevelFilter; category::NAMES.len()] {
    use config::Level as Wanted;
    let level = match settings.level {
        _ if settings.enable_debug => LevelFilter::Debug,
        Wanted::Debug => LevelFilter::Debug,
        Wanted::Info => LevelFilter::Info,
        Wanted::Warn => LevelFilter::Warn,
        Wanted::Error => LevelFilter::Error,
        // The library ends no process, so it writes no line of this level.
        Wanted::Fatal | Wanted::None => LevelFilter::Off,
    };
    let is_wanted = |name: &str| {
        let listed = settings.categories.as_ref();
        listed.is_none_or(|list| list.iter().any(|c| c.as_str() == name))
    };
    category::NAMES.map(|name| match is_wanted(name) {
        true => level,
        false => LevelFilter::Off,
    })
}
