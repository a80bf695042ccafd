//! What one key is: names, type and range, which door may set it, and where its value lives. Rows of these are the
//! configuration's reference.
//!
//! Does not know where in a text a key may stand beyond its flags; `layers` looks the values up.

use serde_json::Value;

use super::reading::Reading;
use super::value::{self, TokenRef, Wrong};
use super::{Config, Door};
use crate::config::list;

/// A group of keys under one name.
pub(super) struct Section {
    /// Its main name; the root's is empty.
    pub(super) name: &'static str,
    /// Older names of the section; all of them are read before the main name, which therefore wins.
    pub(super) aliases: &'static [&'static str],
    /// What it is for, as the reference says it.
    pub(super) about: &'static str,
    /// Its keys in the order in which they take effect, in one or more lists.
    pub(super) lists: &'static [&'static [Key]],
}

impl Section {
    /// Its keys in the order in which they take effect.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.lists.iter().copied().flatten()
    }
}

/// One row of the reference.
pub(super) struct Key {
    /// The main name.
    pub(super) name: &'static str,
    /// Every spelling in the order in which they are read, the last one present wins; empty: the name alone.
    spellings: &'static [&'static str],
    /// The order for a call where it is another one.
    spellings_at_run: &'static [&'static str],
    /// Who may set it.
    pub(super) doors: Doors,
    /// Whether it is also read outside its section.
    pub(super) flat: Flat,
    /// Numbers that mean "as loaded" in a call.
    pub(super) as_loaded: AsLoaded,
    /// What of it this version does.
    pub(super) available: Available,
    /// What it is for, with units and what its default means; one or two sentences of the reference.
    pub(super) about: &'static str,
    /// Type, range and place.
    pub(super) kind: Kind,
}

/// The doors of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doors {
    /// The base configuration only.
    InitAndLoad,
    /// A load only.
    Load,
    /// A call too.
    All,
}

/// Where a key is read outside its section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flat {
    Never,
    Always,
    /// At the root of an init or load text; in a call the name belongs to another section.
    NotPerCall,
    /// In a call only; elsewhere the name belongs to another section.
    OnlyPerCall,
}

/// Numbers that mean "as loaded" in a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AsLoaded {
    Nothing,
    MinusOne,
    NotPositive,
}

/// What of a key this version does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Available {
    Whole,
    /// Its built-in value is all there is.
    BuiltInOnly,
    /// All but this value.
    Except(&'static str),
}

/// A key's type and range, with the way to its place in [`Config`].
pub(super) enum Kind {
    Bool {
        get: fn(&Config) -> bool,
        set: fn(&mut Config, bool),
    },
    Int {
        range: Ints,
        get: fn(&Config) -> i64,
        set: fn(&mut Config, i64),
    },
    Number {
        min: f64,
        max: f64,
        get: fn(&Config) -> f32,
        set: fn(&mut Config, f32),
    },
    /// One of a list of words, given as it stands in the list.
    Word {
        list: fn() -> Vec<&'static str>,
        get: fn(&Config) -> &'static str,
        set: fn(&mut Config, &str),
    },
    /// A text; the empty one is none.
    Text {
        max_bytes: usize,
        get: fn(&Config) -> Option<&str>,
        set: fn(&mut Config, Option<String>),
    },
    /// A list of texts, in which bad items are skipped.
    Strings {
        shape: list::Strings,
        get: fn(&Config) -> &[String],
        set: fn(&mut Config, Vec<String>),
    },
    /// A list of token ids and texts, in which bad items are skipped.
    Tokens {
        most: usize,
        get: fn(&Config) -> &[TokenRef],
        set: fn(&mut Config, Vec<TokenRef>),
    },
    /// A list of words; one bad word and the list is not taken.
    Words {
        list: fn() -> Vec<&'static str>,
        get: fn(&Config) -> Option<Vec<&'static str>>,
        set: fn(&mut Config, &[&'static str]),
    },
    /// A group of keys of its own; `implied` happens first when it is written without `enabled`.
    Object {
        keys: &'static [Key],
        implied: fn(&mut Config),
    },
    /// A form that no other kind covers.
    Special {
        expected: &'static str,
        /// The form as JSON Schema.
        schema: fn() -> Value,
        get: fn(&Config) -> Value,
        /// Takes the last good value, `expected` being the words for its form; returns whether there was one.
        read: fn(&mut Config, &mut Reading<'_>, &str) -> bool,
    },
    /// A known name without a function.
    NoEffect,
}

/// A range of integers, with one more value apart from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ints {
    pub(super) apart: Option<i64>,
    pub(super) min: i64,
    pub(super) max: i64,
}

impl Ints {
    pub(super) const fn new(min: i64, max: i64) -> Self {
        Ints {
            apart: None,
            min,
            max,
        }
    }

    /// 0, which switches the setting off, or `min..=max`.
    pub(super) const fn zero_or(min: i64, max: i64) -> Self {
        Ints {
            apart: Some(0),
            min,
            max,
        }
    }

    pub(super) fn contains(&self, value: i64) -> bool {
        self.apart == Some(value) || (self.min..=self.max).contains(&value)
    }

    fn words(&self) -> String {
        match self.apart {
            Some(apart) => format!("{apart}, {}..{}", self.min, self.max),
            None => format!("{}..{}", self.min, self.max),
        }
    }
}

impl Key {
    /// A key of init and load, read in its section and flat, wholly available.
    pub(super) const fn new(name: &'static str, kind: Kind) -> Key {
        Key {
            name,
            spellings: &[],
            spellings_at_run: &[],
            doors: Doors::InitAndLoad,
            flat: Flat::Always,
            as_loaded: AsLoaded::Nothing,
            available: Available::Whole,
            about: "",
            kind,
        }
    }

    pub(super) const fn bool(
        name: &'static str,
        get: fn(&Config) -> bool,
        set: fn(&mut Config, bool),
    ) -> Key {
        Key::new(name, Kind::Bool { get, set })
    }

    pub(super) const fn int(
        name: &'static str,
        range: Ints,
        get: fn(&Config) -> i64,
        set: fn(&mut Config, i64),
    ) -> Key {
        Key::new(name, Kind::Int { range, get, set })
    }

    pub(super) const fn number(
        name: &'static str,
        (min, max): (f64, f64),
        get: fn(&Config) -> f32,
        set: fn(&mut Config, f32),
    ) -> Key {
        Key::new(name, Kind::Number { min, max, get, set })
    }

    pub(super) const fn word(
        name: &'static str,
        list: fn() -> Vec<&'static str>,
        get: fn(&Config) -> &'static str,
        set: fn(&mut Config, &str),
    ) -> Key {
        Key::new(name, Kind::Word { list, get, set })
    }

    pub(super) const fn text(
        name: &'static str,
        max_bytes: usize,
        get: fn(&Config) -> Option<&str>,
        set: fn(&mut Config, Option<String>),
    ) -> Key {
        Key::new(
            name,
            Kind::Text {
                max_bytes,
                get,
                set,
            },
        )
    }

    /// Sets the order in which its spellings, the main name among them, are read.
    pub(super) const fn read_as(mut self, spellings: &'static [&'static str]) -> Key {
        self.spellings = spellings;
        self
    }

    /// Sets another order for calls.
    pub(super) const fn read_at_run_as(mut self, spellings: &'static [&'static str]) -> Key {
        self.spellings_at_run = spellings;
        self
    }

    pub(super) const fn per_call(mut self) -> Key {
        self.doors = Doors::All;
        self
    }

    pub(super) const fn at_load_only(mut self) -> Key {
        self.doors = Doors::Load;
        self
    }

    pub(super) const fn flat(mut self, flat: Flat) -> Key {
        self.flat = flat;
        self
    }

    /// -1 in a call is "as loaded".
    pub(super) const fn minus_one_as_loaded(mut self) -> Key {
        self.as_loaded = AsLoaded::MinusOne;
        self
    }

    /// 0 and below in a call is "as loaded".
    pub(super) const fn not_positive_as_loaded(mut self) -> Key {
        self.as_loaded = AsLoaded::NotPositive;
        self
    }

    pub(super) const fn available(mut self, available: Available) -> Key {
        self.available = available;
        self
    }

    pub(super) const fn about(mut self, about: &'static str) -> Key {
        self.about = about;
        self
    }

    /// Every spelling in the order of reading at `door`.
    pub(super) fn spellings(&self, door: Door) -> &[&'static str] {
        if door == Door::Run && !self.spellings_at_run.is_empty() {
            return self.spellings_at_run;
        }
        match self.spellings {
            [] => std::slice::from_ref(&self.name),
            spellings => spellings,
        }
    }

    /// Whether `value`, written in a call, stands for the loaded setting.
    pub(super) fn is_as_loaded(&self, value: &Value) -> bool {
        match (self.as_loaded, value.as_f64()) {
            (AsLoaded::MinusOne, Some(number)) => number == -1.0,
            (AsLoaded::NotPositive, Some(number)) => number <= 0.0 && number.fract() == 0.0,
            _ => false,
        }
    }
}

impl Kind {
    /// The value in effect, as it would be written.
    pub(super) fn show(&self, config: &Config) -> Value {
        match self {
            Kind::Bool { get, .. } => get(config).into(),
            Kind::Int { get, .. } => get(config).into(),
            Kind::Number { get, .. } => value::json_number(get(config)),
            Kind::Word { get, .. } => get(config).into(),
            Kind::Text { get, .. } => get(config).into(),
            Kind::Strings { get, .. } => get(config).into(),
            Kind::Tokens { get, .. } => get(config).iter().map(value::json_token).collect(),
            Kind::Words { get, .. } => get(config).into(),
            Kind::Object { keys, .. } => Value::Object(config.show(keys.iter())),
            Kind::Special { get, .. } => get(config),
            Kind::NoEffect => Value::Null,
        }
    }

    /// Takes the last good one of the written values into `config`; returns whether there was one.
    pub(super) fn read(&self, config: &mut Config, reading: &mut Reading<'_>) -> bool {
        match self {
            Kind::Bool { set, .. } => {
                let good = reading.last("boolean", String::new, value::boolean);
                good.map(|on| set(config, on)).is_some()
            }
            Kind::Int { range, set, .. } => {
                let good = reading.last(
                    "integer",
                    || range.words(),
                    |value| {
                        let number = value::integer(value)?;
                        range.contains(number).then_some(number).ok_or(Wrong::Range)
                    },
                );
                good.map(|number| set(config, number)).is_some()
            }
            Kind::Number { min, max, set, .. } => {
                let good = reading.last(
                    "number",
                    || format!("{min}..{max}"),
                    |value| {
                        let number = value::number(value)?;
                        let inside = (*min..=*max).contains(&number);
                        inside.then_some(number as f32).ok_or(Wrong::Range)
                    },
                );
                good.map(|number| set(config, number)).is_some()
            }
            Kind::Word { list, set, .. } => {
                let words = list();
                let good = reading.last(
                    "string",
                    || words.join(", "),
                    |value| list::word_of(&words, value::text(value)?).ok_or(Wrong::Range),
                );
                good.map(|word| set(config, word)).is_some()
            }
            Kind::Text { max_bytes, set, .. } => {
                let good = reading.last(
                    "string",
                    || format!("0..{max_bytes}"),
                    |value| match value::text(value)? {
                        "" => Ok(None),
                        text if text.len() > *max_bytes => Err(Wrong::Length(text.len())),
                        text => Ok(Some(text.to_owned())),
                    },
                );
                good.map(|text| set(config, text)).is_some()
            }
            Kind::Strings { shape, set, .. } => {
                let good = list::strings(shape, reading);
                good.map(|strings| set(config, strings)).is_some()
            }
            Kind::Tokens { most, set, .. } => {
                let good = list::tokens(*most, reading);
                good.map(|tokens| set(config, tokens)).is_some()
            }
            Kind::Words { list, set, .. } => {
                let good = list::words(&list(), reading);
                good.map(|words| set(config, &words)).is_some()
            }
            Kind::Special { expected, read, .. } => read(config, reading, expected),
            // `layers` reads these: a group has keys of its own, the other has nothing to read.
            Kind::Object { .. } | Kind::NoEffect => false,
        }
    }
}
