//! Operators between two values.

use std::cmp::Ordering;

use crate::ast::{Comparison, Operator};
use crate::error::{Error, Result, failed};
use crate::evaluate::Vm;
use crate::number::{self, Number};
use crate::text::Writer;
use crate::value::{Items, Shape, Value};

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::FloorDivide => "//",
            Operator::Remainder => "%",
            Operator::Power => "** or pow()",
        }
    }
}

impl Vm<'_> {
    /// `left operator right`. Errors: `Failed` for values that it is not for; `Limit`.
    pub fn operate(&self, operator: Operator, left: &Value, right: &Value) -> Result<Value> {
        if let (Operator::Remainder, Value::Text(text)) = (operator, left) {
            return self.percent(text.as_str(), right);
        }
        for side in [left, right] {
            if let Value::Undefined(missing) = side {
                return Err(self.undefined(missing));
            }
        }
        if let (Some(a), Some(b)) = (left.as_number(), right.as_number()) {
            return reckon(operator, a, b);
        }
        match (operator, left, right) {
            (Operator::Add, Value::Text(a), Value::Text(b)) => {
                let is_markup = a.is_markup || b.is_markup;
                let mut out = Writer::new(&self.budget)?;
                for text in [a, b] {
                    match is_markup && !text.is_markup {
                        true => escape(text.as_str(), &mut out)?,
                        false => out.push(text.as_str())?,
                    }
                }
                Ok(if is_markup { out.markup() } else { out.value() })
            }
            (Operator::Add, Value::List(a), Value::List(b))
                if a.shape == b.shape && matches!(a.shape, Shape::List | Shape::Tuple) =>
            {
                let mut items = Items::new(&self.budget)?;
                for item in a.items.iter().chain(&b.items) {
                    items.push(item.clone())?;
                }
                Ok(items.value(a.shape))
            }
            (Operator::Multiply, value, count) | (Operator::Multiply, count, value)
                if count.as_int().is_some() && value.as_int().is_none() =>
            {
                self.multiply(value, count.as_int().unwrap_or(0))
            }
            _ => Err(unsupported(operator.sign(), left, right)),
        }
    }

    fn multiply(&self, value: &Value, count: i128) -> Result<Value> {
        let times = crate::arguments::size(count);
        match value {
            Value::Text(text) => {
                let mut out = Writer::new(&self.budget)?;
                out.repeat(text.as_str(), times)?;
                Ok(out.value())
            }
            Value::List(list) if matches!(list.shape, Shape::List | Shape::Tuple) => {
                let mut items = Items::new(&self.budget)?;
                let times = if list.items.is_empty() { 0 } else { times };
                for _ in 0..times {
                    for item in &list.items {
                        items.push(item.clone())?;
                    }
                }
                Ok(items.value(list.shape))
            }
            other => Err(unsupported("*", other, &Value::Int(count))),
        }
    }

    /// Whether the comparison holds. Errors: `Failed` for values without an order; `Limit`.
    pub fn compare(&self, comparison: Comparison, left: &Value, right: &Value) -> Result<bool> {
        match comparison {
            Comparison::Equal => return left.equals(right, &self.budget),
            Comparison::NotEqual => return Ok(!left.equals(right, &self.budget)?),
            Comparison::In => return self.contains(right, left),
            Comparison::NotIn => return Ok(!self.contains(right, left)?),
            _ => {}
        }
        for side in [left, right] {
            if let Value::Undefined(missing) = side {
                return Err(self.undefined(missing));
            }
        }
        if let (Some(a), Some(b)) = (left.as_number(), right.as_number())
            && (a.float().is_nan() || b.float().is_nan())
        {
            return Ok(false);
        }
        let order = left.order(right, &self.budget)?;
        Ok(match comparison {
            Comparison::Less => order == Ordering::Less,
            Comparison::LessOrEqual => order != Ordering::Greater,
            Comparison::Greater => order == Ordering::Greater,
            _ => order != Ordering::Less,
        })
    }

    /// Whether `item` is in `value`. Errors: `Failed` for what has nothing in it; `Limit`.
    pub fn contains(&self, value: &Value, item: &Value) -> Result<bool> {
        match value {
            Value::Text(text) => {
                let Value::Text(part) = item else {
                    if let Value::Undefined(missing) = item {
                        return Err(self.undefined(missing));
                    }
                    return Err(failed(format!(
                        "'in <string>' requires string as left operand, not {}",
                        item.type_name()
                    )));
                };
                self.budget
                    .look(text.as_str().len() + part.as_str().len())?;
                Ok(text.as_str().contains(part.as_str()))
            }
            Value::Dict(dict) => Ok(dict.find(item)?.is_some()),
            Value::List(_) | Value::Once(_) | Value::Undefined(_) | Value::Loop(_) => {
                for own in &self.walked(value)?.items {
                    if own.equals(item, &self.budget)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            other => Err(failed(format!(
                "argument of type '{}' is not iterable",
                other.type_name()
            ))),
        }
    }
}

fn unsupported(sign: &str, left: &Value, right: &Value) -> Error {
    if sign == "+"
        && let (Value::Text(_), other) = (left, right)
    {
        return failed(format!(
            "can only concatenate str (not \"{}\") to str",
            other.type_name()
        ));
    }
    failed(format!(
        "unsupported operand type(s) for {sign}: '{}' and '{}'",
        left.type_name(),
        right.type_name()
    ))
}

fn reckon(operator: Operator, a: Number, b: Number) -> Result<Value> {
    let number = match (operator, a, b) {
        (Operator::Divide, a, b) => {
            if b.float() == 0.0 {
                return Err(failed("division by zero"));
            }
            Number::Float(a.float() / b.float())
        }
        (operator, Number::Int(a), Number::Int(b)) => {
            let whole = match operator {
                Operator::Add => a.checked_add(b),
                Operator::Subtract => a.checked_sub(b),
                Operator::Multiply => a.checked_mul(b),
                Operator::FloorDivide => Some(number::floor_divide(a, b)?),
                Operator::Remainder => Some(number::remainder(a, b)?),
                Operator::Power | Operator::Divide => return number::power(a, b).map(value),
            };
            Number::Int(whole.ok_or_else(number::too_large)?)
        }
        (operator, a, b) => {
            let (a, b) = (a.float(), b.float());
            if b == 0.0 && matches!(operator, Operator::FloorDivide | Operator::Remainder) {
                return Err(failed("float floor division by zero"));
            }
            Number::Float(match operator {
                Operator::Add => a + b,
                Operator::Subtract => a - b,
                Operator::Multiply => a * b,
                Operator::FloorDivide => ((a - number::float_remainder(a, b)) / b).round(),
                Operator::Remainder => number::float_remainder(a, b),
                Operator::Power | Operator::Divide => a.powf(b),
            })
        }
    };
    Ok(value(number))
}

fn value(number: Number) -> Value {
    match number {
        Number::Int(value) => Value::Int(value),
        Number::Float(value) => Value::Float(value),
    }
}

/// Writes `text` with the signs of HTML replaced. Errors: `Limit`.
pub fn escape(text: &str, out: &mut Writer) -> Result<()> {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '\'', '"']) {
        out.push(&rest[..at])?;
        out.push(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'\'' => "&#39;",
            _ => "&#34;",
        })?;
        rest = &rest[at + 1..];
    }
    out.push(rest)
}
