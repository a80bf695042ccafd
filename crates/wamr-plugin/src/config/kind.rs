//! What may be written for a key: types, ranges, and what of it is handed on.

use serde_json::Value;

use super::Fault;
use super::special::Special;
use crate::plain::plain;

/// What may be written for a key.
#[derive(Debug)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A JSON integer.
    Whole {
        min: i64,
        max: i64,
        /// More than `max` means no more than it does, so it is lowered with a warning.
        is_lowered: bool,
        /// What is handed on; `None`: nothing is said.
        means: fn(i64) -> Option<i64>,
    },
    /// A JSON number.
    Real {
        min: f64,
        max: f64,
        /// Less than `min` is raised to it with a warning, as the other plugin does.
        is_raised: bool,
    },
    /// A word, or the number that C has for it.
    Word(&'static [Choice]),
    /// A form of its own.
    Special(&'static Special),
}

/// A word that may be written.
#[derive(Debug)]
pub(super) struct Choice {
    /// Its spellings.
    pub(super) names: &'static [&'static str],
    /// The number that may be written for it.
    pub(super) number: Option<i64>,
    /// The boolean that may be written for it.
    pub(super) flag: Option<bool>,
    /// The engine's word; `None`: nothing is said.
    pub(super) means: Option<&'static str>,
}

impl Kind {
    /// An integer that is handed on as it is.
    pub(super) const fn whole(min: i64, max: i64) -> Kind {
        Kind::Whole {
            min,
            max,
            is_lowered: false,
            means: Some,
        }
    }

    /// An integer that `means` translates.
    pub(super) const fn whole_as(min: i64, max: i64, means: fn(i64) -> Option<i64>) -> Kind {
        Kind::Whole {
            min,
            max,
            is_lowered: false,
            means,
        }
    }

    /// The same, where a number above the range means no more than the largest in it.
    pub(super) const fn lowered(self) -> Kind {
        match self {
            Kind::Whole {
                min, max, means, ..
            } => Kind::Whole {
                min,
                max,
                is_lowered: true,
                means,
            },
            other => other,
        }
    }

    /// A number.
    pub(super) const fn real(min: f64, max: f64) -> Kind {
        let is_raised = false;
        Kind::Real {
            min,
            max,
            is_raised,
        }
    }

    /// The same, where a number below the range means no less than the smallest in it.
    pub(super) const fn raised(self) -> Kind {
        match self {
            Kind::Real { min, max, .. } => Kind::Real {
                min,
                max,
                is_raised: true,
            },
            other => other,
        }
    }

    /// The value of `key` as it is handed on; null says nothing. Adds to `changed` what was lowered or raised.
    pub(super) fn read(
        &self,
        key: &str,
        value: &Value,
        changed: &mut Vec<String>,
    ) -> Result<Value, Fault> {
        let wrong = || self.wrong(key, value);
        match self {
            Kind::Flag => value.as_bool().map(Value::Bool).ok_or_else(wrong),
            Kind::Whole {
                min,
                max,
                is_lowered,
                means,
            } => {
                let given = match value.as_i64() {
                    Some(number) => number,
                    // An integer still, beyond what any range holds.
                    None if value.is_u64() => i64::MAX,
                    None => return Err(wrong()),
                };
                let taken = if *is_lowered && given > *max {
                    changed.push(format!("{key} is {}, taken as {max}", shown(value)));
                    *max
                } else {
                    given
                };
                if !(*min..=*max).contains(&taken) {
                    return Err(wrong());
                }
                Ok(means(taken).map_or(Value::Null, Value::from))
            }
            Kind::Real {
                min,
                max,
                is_raised,
            } => {
                let given = value.as_f64().ok_or_else(wrong)?;
                let taken = if *is_raised && given < *min {
                    changed.push(format!("{key} is {}, taken as {min}", shown(value)));
                    *min
                } else {
                    given
                };
                if !(*min..=*max).contains(&taken) {
                    return Err(wrong());
                }
                // Adding 0 makes one zero of both, since the bytes are compared.
                Ok(Value::from(taken + 0.0))
            }
            Kind::Word(choices) => {
                let choice = choices.iter().find(|choice| choice.is(value));
                let means = choice.ok_or_else(wrong)?.means;
                Ok(means.map_or(Value::Null, Value::from))
            }
            Kind::Special(special) => (special.read)(value).ok_or_else(wrong),
        }
    }

    /// The refusal of `value` for `key`.
    pub(super) fn wrong(&self, key: &str, value: &Value) -> Fault {
        Fault::Wrong(format!(
            "{key} is {}, must be {}",
            shown(value),
            self.expected()
        ))
    }

    /// What may be written, in words.
    fn expected(&self) -> String {
        match self {
            Kind::Flag => "true or false".to_owned(),
            Kind::Whole { min, max, .. } => format!("an integer from {min} to {max}"),
            Kind::Real { min, max, .. } => format!("a number from {min} to {max}"),
            Kind::Word(choices) => {
                let names = choices.iter().filter_map(|choice| choice.names.first());
                let names: Vec<&str> = names.copied().collect();
                let numbers = choices.iter().filter_map(|choice| choice.number);
                match (numbers.clone().min(), numbers.max()) {
                    (Some(least), Some(most)) => {
                        format!(
                            "one of {}, or its number, {least} to {most}",
                            names.join(", ")
                        )
                    }
                    _ => format!("one of {}", names.join(", ")),
                }
            }
            Kind::Special(special) => special.expected.to_owned(),
        }
    }
}

impl Choice {
    /// A word with a number.
    pub(super) const fn numbered(
        names: &'static [&'static str],
        number: i64,
        means: Option<&'static str>,
    ) -> Choice {
        Choice {
            names,
            number: Some(number),
            flag: None,
            means,
        }
    }

    /// A word that only its name stands for.
    pub(super) const fn named(
        names: &'static [&'static str],
        means: Option<&'static str>,
    ) -> Choice {
        Choice {
            names,
            number: None,
            flag: None,
            means,
        }
    }

    /// The same, with a boolean that stands for it.
    pub(super) const fn flag(mut self, on: bool) -> Choice {
        self.flag = Some(on);
        self
    }

    fn is(&self, value: &Value) -> bool {
        match value {
            Value::String(word) => self
                .names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(word)),
            Value::Number(number) => self.number.is_some() && number.as_i64() == self.number,
            Value::Bool(on) => self.flag == Some(*on),
            _ => false,
        }
    }
}

/// A value for a message: JSON on one line, in ASCII, cut where it is long. Guests write what they like into a log.
pub(super) fn shown(value: &Value) -> String {
    plain(&value.to_string())
}
