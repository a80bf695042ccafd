//! Section `logging`: what is logged, where and how.

use std::path::PathBuf;

use super::key::{Flat, Key, Kind, Section};
use super::memory::{MAX_PATH, path_text};
use super::value::{Word, put, words};

/// What is logged, where and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Logging {
    /// Lowest level written.
    pub level: Level,
    /// Written as `true`; `level` is debug then.
    pub enable_debug: bool,
    /// File to append to; `None`: stderr.
    pub file: Option<PathBuf>,
    /// Each line starts with the time.
    pub timestamps: bool,
    /// Colours on a terminal.
    pub colors: bool,
    /// One JSON object per line.
    pub structured: bool,
    /// What is written of; `None`: everything.
    pub categories: Option<Vec<Category>>,
}

impl Default for Logging {
    fn default() -> Self {
        Logging {
            level: Level::Info,
            enable_debug: false,
            file: None,
            timestamps: true,
            colors: false,
            structured: false,
            categories: None,
        }
    }
}

/// How much is logged, most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything. No line of any level shows prompts, answers or names of sessions.
    Debug,
    /// What happens.
    Info,
    /// What is not as it should be.
    Warn,
    /// What fails.
    Error,
    /// What ends the backend.
    Fatal,
    /// Nothing.
    None,
}

impl Word for Level {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("debug", Level::Debug),
        ("info", Level::Info),
        ("warn", Level::Warn),
        ("warning", Level::Warn),
        ("error", Level::Error),
        ("fatal", Level::Fatal),
        ("none", Level::None),
        ("off", Level::None),
    ];
}

/// What a log line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Category {
    /// Opening and closing.
    Backend,
    /// Findings.
    Config,
    /// Loads and swaps.
    Model,
    /// Contexts and their histories.
    Session,
    /// Waiting turns.
    Queue,
    /// Running turns.
    Inference,
    /// Chains and seeds.
    Sampling,
    /// Caches and shifts.
    Memory,
    /// llama.cpp's own lines.
    Engine,
    /// Records of the event log.
    Events,
}

impl Category {
    /// The name in log lines and in the configuration.
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl Word for Category {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("backend", Category::Backend),
        ("config", Category::Config),
        ("model", Category::Model),
        ("session", Category::Session),
        ("queue", Category::Queue),
        ("inference", Category::Inference),
        ("sampling", Category::Sampling),
        ("memory", Category::Memory),
        ("engine", Category::Engine),
        ("events", Category::Events),
    ];
}

pub(super) static SECTION: Section = Section {
    name: "logging",
    aliases: &[],
    about: "What is logged, where and how. Settings are per backend.",
    lists: &[KEYS],
};

static KEYS: &[Key] = &[
    Key::word(
        "level",
        words::<Level>,
        |config| config.logging.level.word(),
        |config, word| put(&mut config.logging.level, word),
    )
    .flat(Flat::Never)
    .about(
        "Lowest level that is written, in any letter case. Prompts and answers are \
         shown at debug only.",
    ),
    Key::bool(
        "enable_debug",
        |config| config.logging.enable_debug,
        |config, on| config.logging.enable_debug = on,
    )
    .read_as(&["enable_debug_log", "enable_debug"])
    .about("true is level debug."),
    Key::text(
        "file",
        MAX_PATH,
        |config| path_text(&config.logging.file),
        |config, path| config.logging.file = path.map(PathBuf::from),
    )
    .flat(Flat::Never)
    .about("File to append to, line by line. Unless written: stderr."),
    Key::bool(
        "timestamps",
        |config| config.logging.timestamps,
        |config, on| config.logging.timestamps = on,
    )
    .flat(Flat::Never)
    .about("Each line starts with the time."),
    Key::bool(
        "colors",
        |config| config.logging.colors,
        |config, on| config.logging.colors = on,
    )
    .flat(Flat::Never)
    .about("ANSI colours, on a terminal only."),
    Key::bool(
        "structured",
        |config| config.logging.structured,
        |config, on| config.logging.structured = on,
    )
    .flat(Flat::Never)
    .about("One JSON object per line."),
    Key::new(
        "categories",
        Kind::Words {
            list: words::<Category>,
            get: |config| {
                let categories = config.logging.categories.as_ref()?;
                Some(categories.iter().map(|category| category.word()).collect())
            },
            set: |config, words| {
                let categories = words.iter().filter_map(|word| Category::of(word));
                config.logging.categories = Some(categories.collect());
            },
        },
    )
    .flat(Flat::Never)
    .about("What is written of. Unless written: everything."),
    Key::new("enable_log", Kind::NoEffect).about("stdout is never written."),
];
