//! One JSON value becomes one typed value, or the reason why not.
//!
//! Knows neither keys nor layers.

use serde_json::{Number, Value, json};

/// A token as it is written: by id or by text. Whether the vocabulary has it is checked against a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TokenRef {
    /// A token id; any integer.
    Id(i64),
    /// A text that must be exactly one token.
    Text(String),
}

/// How many new tokens a turn may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLimit {
    /// Until an end token or the end of the context; written -1.
    UntilFull,
    /// At most so many; 0 is an empty answer.
    AtMost(u32),
}

impl TokenLimit {
    pub(super) fn from_int(limit: i64) -> Self {
        u32::try_from(limit).map_or(TokenLimit::UntilFull, TokenLimit::AtMost)
    }

    pub(super) fn to_int(self) -> i64 {
        match self {
            TokenLimit::UntilFull => -1,
            TokenLimit::AtMost(limit) => limit.into(),
        }
    }
}

/// Why a value is not taken.
#[derive(Debug)]
pub(super) enum Wrong {
    /// Another JSON type; what was found.
    Type(&'static str),
    /// Outside the range.
    Range,
    /// A text of so many bytes.
    Length(usize),
    /// A text that does not parse, with the parser's reason.
    Parse(String),
}

/// A setting whose values are words.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Every accepted word; the first of a value is its name. Compared without regard to ASCII case.
    const WORDS: &'static [(&'static str, Self)];

    /// The name of the value.
    fn word(self) -> &'static str {
        let named = Self::WORDS.iter().find(|(_, value)| *value == self);
        named.map_or("", |(word, _)| word)
    }

    /// The value of a word.
    fn of(text: &str) -> Option<Self> {
        let named = Self::WORDS
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text));
        named.map(|(_, value)| *value)
    }
}

/// The accepted words of `T`, in the order of the reference.
pub(super) fn words<T: Word>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}

/// Sets `place` to the value of `word`, which is one of its words.
pub(super) fn put<T: Word>(place: &mut T, word: &str) {
    if let Some(value) = T::of(word) {
        *place = value;
    }
}

/// The name of a value's JSON type.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

pub(super) fn boolean(value: &Value) -> Result<bool, Wrong> {
    value.as_bool().ok_or(Wrong::Type(type_of(value)))
}

pub(super) fn text(value: &Value) -> Result<&str, Wrong> {
    value.as_str().ok_or(Wrong::Type(type_of(value)))
}

/// An integer, also one written as `4.0`; beyond 64 bits it saturates, which every range excludes.
pub(super) fn integer(value: &Value) -> Result<i64, Wrong> {
    let Value::Number(number) = value else {
        return Err(Wrong::Type(type_of(value)));
    };
    if let Some(integer) = number.as_i64() {
        return Ok(integer);
    }
    if number.is_u64() {
        return Ok(i64::MAX);
    }
    match number.as_f64() {
        Some(float) if float.fract() == 0.0 => Ok(float as i64),
        _ => Err(Wrong::Type("number with a fraction")),
    }
}

pub(super) fn number(value: &Value) -> Result<f64, Wrong> {
    value.as_f64().ok_or(Wrong::Type(type_of(value)))
}

/// A token by id or text; an empty text is no token.
pub(super) fn token(value: &Value) -> Result<TokenRef, Wrong> {
    match value {
        Value::String(text) if text.is_empty() => Err(Wrong::Type("empty string")),
        Value::String(text) => Ok(TokenRef::Text(text.clone())),
        _ => integer(value).map(TokenRef::Id),
    }
}

/// The form that [`token`] takes, as JSON Schema.
pub(super) fn token_schema() -> Value {
    json!({"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]})
}

/// A float as JSON with the digits that it was written with: 0.7, not 0.699999988.
pub(super) fn json_number(value: f32) -> Value {
    let shortest: Option<f64> = value.to_string().parse().ok();
    shortest
        .and_then(Number::from_f64)
        .map_or(Value::Null, Value::Number)
}

pub(super) fn json_token(token: &TokenRef) -> Value {
    match token {
        TokenRef::Id(id) => (*id).into(),
        TokenRef::Text(text) => text.as_str().into(),
    }
}
