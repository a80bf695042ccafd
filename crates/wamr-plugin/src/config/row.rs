//! A row of the table of keys: one setting of a guest, whatever it is called and wherever it stands.

use serde_json::Value;

use super::kind::Kind;
use super::place::Place;

/// One setting of a guest.
#[derive(Debug)]
pub(super) struct Row {
    /// Its flat key, with hyphens.
    pub(super) key: &'static str,
    /// Other flat keys, with hyphens, and dotted paths of the nested form, with underscores.
    pub(super) also: &'static [&'static str],
    /// What may be written.
    pub(super) kind: Kind,
    /// Where it goes.
    pub(super) place: Place,
    /// What holds unless it is written.
    pub(super) default: Plain,
    /// What the engine does unless told otherwise, so that this need not be told.
    pub(super) engine: Plain,
}

/// A value that a constant can hold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain {
    /// Nothing is said.
    Nothing,
    Flag(bool),
    Whole(i64),
    Real(f64),
}

impl Plain {
    /// As JSON; nothing is null.
    pub(super) fn value(self) -> Value {
        match self {
            Plain::Nothing => Value::Null,
            Plain::Flag(on) => on.into(),
            Plain::Whole(number) => number.into(),
            Plain::Real(number) => number.into(),
        }
    }
}

impl Row {
    /// A row with nothing unless written, which says nothing to the engine.
    pub(super) const fn new(key: &'static str, kind: Kind, place: Place) -> Row {
        Row {
            key,
            also: &[],
            kind,
            place,
            default: Plain::Nothing,
            engine: Plain::Nothing,
        }
    }

    /// Sets where else it may be written.
    pub(super) const fn also(mut self, names: &'static [&'static str]) -> Row {
        self.also = names;
        self
    }

    /// Sets the default of both, guest and engine.
    pub(super) const fn default(mut self, value: Plain) -> Row {
        self.default = value;
        self.engine = value;
        self
    }

    /// Sets the engine's default where it is another one.
    pub(super) const fn but_engine(mut self, value: Plain) -> Row {
        self.engine = value;
        self
    }

    /// Whether `name`, flat with hyphens or dotted with underscores, is this setting.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.key == name || self.also.contains(&name)
    }
}
