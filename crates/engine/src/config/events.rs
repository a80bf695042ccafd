//! Section `events`: the durable event log, which this version does not have.

use std::path::PathBuf;

use super::key::{Available, Flat, Ints, Key, Kind, Section};
use super::memory::{MAX_PATH, path_text};

/// The durable event log.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    /// Keep it.
    pub enabled: bool,
    /// Where; `None`: lines in the ordinary log.
    pub path: Option<PathBuf>,
    /// Kinds that are kept; `None`: all.
    pub types: Option<Vec<&'static str>>,
    /// Records that may wait for the writer.
    pub buffer: u32,
}

impl Default for Events {
    fn default() -> Self {
        Events {
            enabled: false,
            path: None,
            types: None,
            buffer: 1024,
        }
    }
}

fn types() -> Vec<&'static str> {
    vec![
        "load", "unload", "swap", "open", "close", "evict", "turn", "queue", "memory", "config",
    ]
}

pub(super) static SECTION: Section = Section {
    name: "events",
    aliases: &[],
    about: "The durable event log.",
    lists: &[KEYS],
};

static KEYS: &[Key] = &[
    Key::bool(
        "enabled",
        |config| config.events.enabled,
        |config, on| config.events.enabled = on,
    )
    .flat(Flat::Never)
    .available(Available::BuiltInOnly)
    .about("Keep the durable event log."),
    Key::text(
        "path",
        MAX_PATH,
        |config| path_text(&config.events.path),
        |config, path| config.events.path = path.map(PathBuf::from),
    )
    .flat(Flat::Never)
    .available(Available::BuiltInOnly)
    .about(
        "Where it is stored. Unless written: lines in the ordinary log, category \
         events.",
    ),
    Key::new(
        "types",
        Kind::Words {
            list: types,
            get: |config| config.events.types.clone(),
            set: |config, types| config.events.types = Some(types.to_vec()),
        },
    )
    .flat(Flat::Never)
    .available(Available::BuiltInOnly)
    .about("Kinds of events that are kept. Unless written: all."),
    Key::int(
        "buffer",
        Ints::new(16, 65_536),
        |config| config.events.buffer.into(),
        |config, count| config.events.buffer = count as u32,
    )
    .flat(Flat::Never)
    .available(Available::BuiltInOnly)
    .about("Records that may wait for the writer."),
];
