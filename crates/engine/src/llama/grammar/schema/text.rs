//! What a schema says about a string: lengths, a format or a pattern.
//!
//! Of a pattern and a format in one place the pattern is written: those who write both mean it as the format's spelling.

use std::rc::Rc;

use super::Checked;
use super::pattern::{self, Pattern};

/// A set of strings.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Text {
    Length(Length),
    Format(&'static Format),
    Pattern(Rc<Expression>),
}

/// In characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) least: u64,
    pub(super) most: Option<u64>,
}

/// A format that is written by the rule of this name.
#[derive(Debug, PartialEq)]
pub(super) struct Format {
    pub(super) name: &'static str,
    /// Of what the rule writes.
    length: Length,
}

/// A pattern that was understood.
#[derive(Debug)]
pub(super) struct Expression {
    text: String,
    pub(super) pattern: Pattern,
    length: Length,
}

const FORMATS: &[Format] = &[
    format("date", 10, Some(10)),
    format("time", 9, Some(21)),
    format("date-time", 20, Some(32)),
    format("duration", 3, Some(18)),
    format("uuid", 36, Some(36)),
    format("email", 6, Some(209)),
    format("hostname", 1, Some(251)),
    format("ipv4", 7, Some(15)),
    format("ipv6", 15, Some(39)),
    format("uri", 6, Some(1898)),
];

const fn format(name: &'static str, least: u64, most: Option<u64>) -> Format {
    let length = Length { least, most };
    Format { name, length }
}

impl Text {
    pub(super) const ANY: Text = Text::Length(Length {
        least: 0,
        most: None,
    });

    /// Strings of the format `name`; any where it is none that is known, as the standard has it: such a format is a
    /// note to the reader.
    pub(super) fn format(name: &str) -> Text {
        let known = FORMATS.iter().find(|format| format.name == name);
        known.map_or(Text::ANY, Text::Format)
    }

    pub(super) fn pattern(text: &str) -> Checked<Text> {
        let pattern = pattern::parse(text)?;
        Ok(Text::Pattern(Rc::new(Expression {
            text: text.to_owned(),
            length: pattern.length(),
            pattern,
        })))
    }

    /// What both admit; `None` for nothing. A pattern beside a format is one for its strings, and stands for both.
    pub(super) fn and(&self, other: &Text) -> Checked<Option<Text>> {
        let (length, rest) = match (self, other) {
            _ if self == other => return Ok(Some(self.clone())),
            (Text::Pattern(_), Text::Format(_)) => return Ok(Some(self.clone())),
            (Text::Format(_), Text::Pattern(_)) => return Ok(Some(other.clone())),
            (Text::Length(a), Text::Length(b)) => {
                let most = a.most.into_iter().chain(b.most).min();
                let least = a.least.max(b.least);
                let is_empty = most.is_some_and(|most| most < least);
                let both = Text::Length(Length { least, most });
                return Ok((!is_empty).then_some(both));
            }
            (Text::Length(length), rest) | (rest, Text::Length(length)) => (length, rest),
            _ => return Err(together()),
        };
        let written = match rest {
            Text::Length(length) => *length,
            Text::Format(format) => format.length,
            Text::Pattern(expression) => expression.length,
        };
        if length.has(written) {
            return Ok(Some(rest.clone()));
        }
        let Text::Pattern(expression) = rest else {
            return Err(together());
        };
        let narrowed = expression.pattern.within(*length).ok_or_else(together)?;
        let Length { least, most } = length;
        let most = most.map_or_else(String::new, |most| most.to_string());
        Ok(narrowed.map(|pattern| {
            Text::Pattern(Rc::new(Expression {
                // No pattern is written so: what two texts say of equal names is equal.
                text: format!("({least},{most}) {}", expression.text),
                length: pattern.length(),
                pattern,
            }))
        }))
    }
}

fn together() -> String {
    "has no grammar for the lengths, patterns and formats of one string together".to_owned()
}

impl Length {
    /// Whether these are all the lengths of `other` too.
    pub(super) fn has(self, other: Length) -> bool {
        let is_below = |most| other.most.is_some_and(|other| other <= most);
        self.least <= other.least && self.most.is_none_or(is_below)
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        std::ptr::eq(self, other) || self.text == other.text
    }
}
