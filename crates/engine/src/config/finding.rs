//! Findings: what was written and cannot be honoured, with the words for it.
//!
//! Does not know which finding refuses a call; [`Code::is_refused_under_strict`] is the only hint.

use serde_json::{Value, json};

use super::Door;

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// No key has this name.
    UnknownKey,
    /// The JSON type differs from the key's.
    WrongType,
    /// The value is outside the accepted range.
    OutOfRange,
    /// A known key that this door may not set.
    WrongDoor,
    /// Values contradict each other.
    BadCombination,
    /// A grammar, JSON schema or regular expression does not compile.
    NoCompile,
    /// A known key without a function here.
    NoEffect,
    /// A known key or value whose function this version does not have.
    NotAvailable,
}

impl Code {
    /// The name in status answers, such as `unknown_key`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::UnknownKey => "unknown_key",
            Code::WrongType => "wrong_type",
            Code::OutOfRange => "out_of_range",
            Code::WrongDoor => "wrong_door",
            Code::BadCombination => "bad_combination",
            Code::NoCompile => "no_compile",
            Code::NoEffect => "no_effect",
            Code::NotAvailable => "not_available",
        }
    }

    /// Whether `strict` turns such a finding into a refusal: all but [`Code::NoEffect`].
    pub fn is_refused_under_strict(self) -> bool {
        self != Code::NoEffect
    }
}

/// One thing that was written and is not, or not wholly, honoured.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// The door that brought it.
    pub door: Door,
    /// JSON path as written, such as `sampling.top_kk`; `$` is the whole text.
    pub path: String,
    /// The value as written, shortened when long.
    pub given: Value,
    /// The value in effect instead; null where there is none.
    pub used: Value,
    /// One sentence that starts with the path.
    pub message: String,
}

impl Finding {
    /// The object of `config_notes`: `door`, `path`, `code`, `given`, `used`, `message`.
    pub fn to_json(&self) -> Value {
        json!({
            "door": self.door.as_str(),
            "path": self.path,
            "code": self.code.as_str(),
            "given": self.given,
            "used": self.used,
            "message": self.message,
        })
    }
}

/// Findings of one text, capped: a hostile text of a million bad keys must not become a million sentences.
#[derive(Debug)]
pub(super) struct Findings {
    door: Door,
    list: Vec<Finding>,
    /// Code of those beyond the cap.
    beyond: Option<Code>,
}

/// Findings that one text may bring before the rest is only mentioned.
const MOST_PER_TEXT: usize = 200;

impl Findings {
    pub(super) fn new(door: Door) -> Self {
        Findings {
            door,
            list: Vec::new(),
            beyond: None,
        }
    }

    /// True when further findings are only mentioned, so that nobody spends time on their words.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= MOST_PER_TEXT
    }

    /// Adds a finding; `said` is its message without the path.
    pub(super) fn add(&mut self, code: Code, path: &str, given: Value, used: Value, said: &str) {
        if self.is_full() {
            self.add_beyond(code);
            return;
        }
        self.list.push(Finding {
            code,
            door: self.door,
            path: path.to_owned(),
            given,
            used,
            message: format!("{path}: {said}"),
        });
    }

    /// Notes that there is one more; one that `strict` refuses stays visible behind any number of harmless ones.
    pub(super) fn add_beyond(&mut self, code: Code) {
        if self.beyond.is_none() || code.is_refused_under_strict() {
            self.beyond = Some(code);
        }
    }

    /// The findings, with a last one that stands for those beyond the cap.
    pub(super) fn into_vec(mut self) -> Vec<Finding> {
        if let Some(code) = self.beyond {
            self.list.push(Finding {
                code,
                door: self.door,
                path: "$".into(),
                given: Value::Null,
                used: Value::Null,
                message: "$: more findings, not listed".into(),
            });
        }
        self.list
    }
}

/// A key as it is shown in a path: at most 64 characters, control characters escaped.
pub(super) fn shown_key(key: &str) -> String {
    let mut shown = String::new();
    for (at, character) in key.chars().enumerate() {
        if at == 64 {
            shown.push_str("...");
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A value as it is kept in a finding: itself, or the start of its JSON text when that is long.
pub(super) fn shortened(value: &Value) -> Value {
    let longest = 256;
    let text = match value {
        Value::String(text) if text.len() > longest => text.clone(),
        Value::Array(_) | Value::Object(_) => value.to_string(),
        _ => return value.clone(),
    };
    if text.len() <= longest {
        return value.clone();
    }
    let end = (0..=longest)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    Value::String(format!("{}...", &text[..end]))
}

/// What is said of a key or value that this version does not have.
pub(super) const NOT_AVAILABLE: &str = "not available in this version, ignored";
