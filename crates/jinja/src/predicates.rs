//! What stands behind `is`.

use crate::arguments::{Arguments, required};
use crate::ast::Comparison;
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::number;
use crate::value::{Missing, Shape, Value};

impl Vm<'_> {
    /// Whether the value passes the test. Errors: `Failed` where there is no such test, or not for such values.
    pub fn test(&mut self, name: &str, value: &Value, args: Arguments) -> Result<bool> {
        let comparison = match name {
            "eq" | "equalto" | "==" => Some(Comparison::Equal),
            "ne" | "!=" => Some(Comparison::NotEqual),
            "lt" | "lessthan" | "<" => Some(Comparison::Less),
            "le" | "<=" => Some(Comparison::LessOrEqual),
            "gt" | "greaterthan" | ">" => Some(Comparison::Greater),
            "ge" | ">=" => Some(Comparison::GreaterOrEqual),
            "in" => Some(Comparison::In),
            _ => None,
        };
        if let Some(comparison) = comparison {
            let [other] = args.bind(name, ["other"])?;
            return self.compare(comparison, value, &required(other, name, "other")?);
        }
        if matches!(name, "divisibleby" | "sameas") {
            let [other] = args.bind(name, ["other"])?;
            let other = required(other, name, "other")?;
            return match name {
                "sameas" => self.same(value, &other),
                _ => match (self.whole(value)?, self.whole(&other)?) {
                    (Some(a), Some(b)) => Ok(number::remainder(a, b)? == 0),
                    _ => Err(failed("divisibleby is for whole numbers")),
                },
            };
        }
        let [] = args.bind(name, [])?;
        Ok(match name {
            "defined" => !matches!(value, Value::Undefined(_)),
            "undefined" => matches!(value, Value::Undefined(_)),
            "none" => matches!(value, Value::None),
            "boolean" => matches!(value, Value::Bool(_)),
            "true" => matches!(value, Value::Bool(true)),
            "false" => matches!(value, Value::Bool(false)),
            "integer" => matches!(value, Value::Int(_)),
            "float" => matches!(value, Value::Float(_)),
            "number" => value.as_number().is_some(),
            "string" => matches!(value, Value::Text(_)),
            "mapping" => matches!(value, Value::Dict(_)),
            "callable" => value.is_callable(),
            "escaped" => matches!(value, Value::Text(text) if text.is_markup),
            // What is undefined has a length, and can be walked.
            "sequence" => match value {
                Value::List(list) => !matches!(list.shape, Shape::View(_)),
                Value::Undefined(Missing::Unsafe(_)) => false,
                Value::Text(_) | Value::Dict(_) | Value::Undefined(_) => true,
                _ => false,
            },
            "iterable" => matches!(
                value,
                Value::List(_)
                    | Value::Text(_)
                    | Value::Dict(_)
                    | Value::Undefined(_)
                    | Value::Once(_)
                    | Value::Loop(_)
            ),
            "odd" | "even" => match self.whole(value)? {
                Some(value) => (value.rem_euclid(2) == 1) == (name == "odd"),
                None => {
                    return Err(failed(format!(
                        "'{}' is neither odd nor even",
                        value.type_name()
                    )));
                }
            },
            "lower" | "upper" => {
                let text = crate::print::string(value, &self.budget)?;
                self.budget.look(text.as_str().len())?;
                is_case(text.as_str(), name == "upper")
            }
            "filter" => {
                matches!(value, Value::Text(text) if crate::filters::is_known(text.as_str()))
            }
            "test" => matches!(value, Value::Text(text) if is_known(text.as_str())),
            _ => return Err(failed(format!("No test named '{name}'."))),
        })
    }

    fn whole(&self, value: &Value) -> Result<Option<i128>> {
        match value {
            Value::Undefined(missing) => Err(self.undefined(missing)),
            other => Ok(other.as_int()),
        }
    }

    fn same(&self, value: &Value, other: &Value) -> Result<bool> {
        Ok(match (value, other) {
            (Value::None, Value::None) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Text(_), Value::Text(_)) => value.equals(other, &self.budget)?,
            (Value::List(a), Value::List(b)) => std::rc::Rc::ptr_eq(a, b),
            (Value::Dict(a), Value::Dict(b)) => std::rc::Rc::ptr_eq(a, b),
            (Value::Namespace(a), Value::Namespace(b)) => std::rc::Rc::ptr_eq(a, b),
            _ => false,
        })
    }
}

/// Whether all letters are of the case, and there is one.
pub fn is_case(text: &str, upper: bool) -> bool {
    let mut letters = text
        .chars()
        .filter(|c| c.is_lowercase() || c.is_uppercase());
    let mut has_one = false;
    letters.all(|c| {
        has_one = true;
        c.is_uppercase() == upper
    }) && has_one
}

fn is_known(name: &str) -> bool {
    const TESTS: [&str; 36] = [
        "odd",
        "even",
        "divisibleby",
        "defined",
        "undefined",
        "filter",
        "test",
        "none",
        "boolean",
        "false",
        "true",
        "integer",
        "float",
        "lower",
        "upper",
        "string",
        "mapping",
        "number",
        "sequence",
        "iterable",
        "callable",
        "sameas",
        "escaped",
        "in",
        "==",
        "eq",
        "equalto",
        "!=",
        "ne",
        ">",
        "gt",
        "greaterthan",
        "ge",
        "lt",
        "lessthan",
        "le",
    ];
    TESTS.contains(&name) || matches!(name, ">=" | "<" | "<=")
}
