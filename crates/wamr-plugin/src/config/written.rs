//! What a guest has written: one or more texts with all spellings of a setting made one, not yet judged.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

use super::kind::Kind;
use super::settle::settle;
use super::{Fault, Wanted, depth, rows};

/// Longest text in bytes: twice what a call may have, since escapes make a grammar longer.
const LONGEST_TEXT: usize = 2 << 20;
/// Longest key in bytes that can be anything but unknown.
const LONGEST_KEY: usize = 64;
/// Entries beside the table of keys that are kept of all texts together, so that a guest cannot pile them up.
const MOST_ENTRIES: usize = 256;

/// Sections of the nested form that a guest may write in, in the order in which they are laid over each other.
const SECTIONS: &[&str] = &[
    "performance",
    "memory_policy",
    "memory",
    "model",
    "sampling",
    "stopping",
    "runtime",
];
/// The one setting whose nested form says the opposite of its key.
const OPPOSITE: (&str, &str) = ("model.kv_offload", "no-kv-offload");

/// What a guest wrote so far: layers merged, key spelling made one.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// Settings of the table by their key. Null: taken back.
    pub(super) settings: BTreeMap<&'static str, Value>,
    /// What stands in sections and is not in the table: section, key. Null: taken back.
    pub(super) nested: BTreeMap<(String, String), Value>,
    /// Flat keys that are not in the table, spelt with hyphens.
    pub(super) others: BTreeMap<String, Said>,
}

/// What was written for a key of no setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Null: taken back.
    Nothing,
    /// `false` or an empty text.
    Off,
    /// Anything else.
    Something,
}

impl Written {
    /// Reads one text. Nothing, and nothing but blanks, is an empty object; one NUL at the end is ignored.
    ///
    /// Errors: `Broken` where it is not a JSON object or nested too deep, `Wrong` where a number is beyond what JSON
    /// readers hold, a section is not an object, or the text is too long.
    pub fn parse(text: &[u8]) -> Result<Written, Fault> {
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        if text.len() > LONGEST_TEXT {
            let length = text.len();
            let said =
                format!("the configuration has {length} bytes, must have at most {LONGEST_TEXT}");
            return Err(Fault::Wrong(said));
        }
        let mut written = Written::default();
        if text.trim_ascii().is_empty() {
            return Ok(written);
        }
        if depth::is_too_deep(text) {
            let said = format!("the configuration is nested deeper than {}", depth::DEEPEST);
            return Err(Fault::Broken(said));
        }
        let root: Value = serde_json::from_slice(text).map_err(unreadable)?;
        let Value::Object(root) = root else {
            return Err(Fault::Broken(
                "the configuration is not a JSON object".to_owned(),
            ));
        };
        written.take(root)?;
        written.bound();
        Ok(written)
    }

    /// This laid over `base`, setting by setting; a null takes back what `base` says.
    pub fn over(&self, base: &Written) -> Written {
        let mut both = base.clone();
        let Written {
            settings,
            nested,
            others,
        } = self.clone();
        both.settings.extend(settings);
        both.nested.extend(nested);
        both.others.extend(others);
        both.bound();
        both
    }

    /// Checks every value and splits the result by who does it.
    ///
    /// `known`: whether the engine has the key at this dotted path, such as `sampling.samplers`; asked for keys of the
    /// nested form that are not in the table. Errors: `Wrong` and `Unsupported`.
    pub fn settle(&self, known: &dyn Fn(&str) -> bool) -> Result<Wanted, Fault> {
        settle(self, known)
    }

    /// Takes a root object: flat keys first, sections over them.
    fn take(&mut self, root: Map<String, Value>) -> Result<(), Fault> {
        let mut sections = BTreeMap::new();
        for (key, value) in root {
            let section = key.replace('-', "_");
            match SECTIONS.iter().find(|name| **name == section) {
                Some(name) => sections.insert(*name, value),
                None => {
                    self.flat(&key, value);
                    None
                }
            };
        }
        self.sections(sections)
    }

    fn sections(&mut self, mut written: BTreeMap<&'static str, Value>) -> Result<(), Fault> {
        for name in SECTIONS {
            match written.remove(name) {
                None => {}
                Some(Value::Object(keys)) if *name == "runtime" => self.runtime(keys)?,
                Some(Value::Object(keys)) => self.section(name, keys)?,
                Some(other) => return Err(not_an_object(name, &other)),
            }
        }
        Ok(())
    }

    fn flat(&mut self, key: &str, value: Value) {
        let name = key.replace('_', "-");
        // Under this key the other plugin has the priority of CPU threads, a number.
        let is_of_threads = name == "priority" && value.is_number();
        // A dot would make it the path of a nested key.
        match rows::find(&name).filter(|_| !name.contains('.') && !is_of_threads) {
            // The right spelling wins over the one that guests of the other plugin must use.
            Some(row) if name == "dry-multipier" && self.settings.contains_key(row.key) => {}
            Some(row) => {
                self.settings.insert(row.key, value);
            }
            None => self.other(&name, &value),
        }
    }

    fn section(&mut self, section: &str, keys: Map<String, Value>) -> Result<(), Fault> {
        let section = if section == "memory_policy" {
            "memory"
        } else {
            section
        };
        for (key, value) in keys {
            let key = key.replace('-', "_");
            let path = format!("{section}.{key}");
            let is_key = key.len() <= LONGEST_KEY && !key.contains('.');
            if path == OPPOSITE.0 {
                let opposite = match value {
                    Value::Null => Value::Null,
                    Value::Bool(on) => (!on).into(),
                    other => return Err(Kind::Flag.wrong(OPPOSITE.0, &other)),
                };
                self.settings.insert(OPPOSITE.1, opposite);
            } else if let Some(row) = rows::find(&path) {
                self.settings.insert(row.key, value);
            } else if is_key {
                self.nested.insert((section.to_owned(), key), value);
            } else {
                self.other(&path, &value);
            }
        }
        Ok(())
    }

    /// The settings of every call, whose keys stand flat or in the sections of a call; the latter are stronger.
    fn runtime(&mut self, keys: Map<String, Value>) -> Result<(), Fault> {
        let mut sections = BTreeMap::new();
        let (mut sampling, mut stopping, mut rest) = (Map::new(), Map::new(), Map::new());
        for (key, value) in keys {
            let spelt = key.replace('-', "_");
            if let Some(name) = ["sampling", "stopping"]
                .into_iter()
                .find(|name| *name == spelt)
            {
                sections.insert(name, value);
            } else if rows::find(&format!("stopping.{spelt}")).is_some() {
                stopping.insert(key, value);
            } else if rows::find(&format!("sampling.{spelt}")).is_some() {
                sampling.insert(key, value);
            } else {
                rest.insert(key, value);
            }
        }
        self.section("sampling", sampling)?;
        self.section("stopping", stopping)?;
        self.section("runtime", rest)?;
        self.sections(sections)
    }

    fn other(&mut self, name: &str, value: &Value) {
        let said = match value {
            Value::Null => Said::Nothing,
            Value::Bool(false) => Said::Off,
            Value::String(text) if text.is_empty() => Said::Off,
            _ => Said::Something,
        };
        let name = match name.len() {
            0..=LONGEST_KEY => name.to_owned(),
            _ => name.chars().take(LONGEST_KEY).collect(),
        };
        self.others.insert(name, said);
    }

    fn bound(&mut self) {
        while self.nested.len() > MOST_ENTRIES {
            self.nested.pop_last();
        }
        while self.others.len() > MOST_ENTRIES {
            self.others.pop_last();
        }
    }
}

fn not_an_object(section: &str, value: &Value) -> Fault {
    let given = super::kind::shown(value);
    Fault::Wrong(format!("{section} is {given}, must be an object"))
}

/// A number that is too large is JSON all the same, so it is a matter of range.
fn unreadable(error: serde_json::Error) -> Fault {
    let said = error.to_string();
    if said.starts_with("number out of range") {
        Fault::Wrong(format!("the configuration has a {said}"))
    } else {
        Fault::Broken(format!("the configuration is not JSON: {said}"))
    }
}
