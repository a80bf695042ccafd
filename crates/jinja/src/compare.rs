//! Which values are equal, and which come first.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::budget::Budget;
use crate::error::{Result, failed};
use crate::number::Number;
use crate::value::{Shape, Value};

impl Value {
    /// The number, where it is one or a truth value.
    pub fn as_number(&self) -> Option<Number> {
        match self {
            Value::Float(value) => Some(Number::Float(*value)),
            other => other.as_int().map(Number::Int),
        }
    }

    /// Whether both are equal. Errors: `Limit`.
    pub fn equals(&self, other: &Value, budget: &Budget) -> Result<bool> {
        budget.spend(1)?;
        if let (Some(a), Some(b)) = (self.as_number(), other.as_number()) {
            return Ok(match (a, b) {
                (Number::Int(a), Number::Int(b)) => a == b,
                (a, b) => a.float() == b.float(),
            });
        }
        Ok(match (self, other) {
            (Value::Undefined(_), Value::Undefined(_)) | (Value::None, Value::None) => true,
            (Value::Text(a), Value::Text(b)) => {
                let (a, b) = (a.as_str(), b.as_str());
                if a.len() != b.len() {
                    return Ok(false);
                }
                budget.look(a.len())?;
                a == b
            }
            (Value::List(a), Value::List(b)) => {
                if Rc::ptr_eq(a, b) {
                    return Ok(true);
                }
                let is_tuple = |shape| matches!(shape, Shape::Tuple | Shape::Group);
                let is_same = a.shape == b.shape
                    || (is_tuple(a.shape) && is_tuple(b.shape))
                    || matches!((a.shape, b.shape), (Shape::Range(..), Shape::Range(..)));
                if !is_same || a.items.len() != b.items.len() {
                    return Ok(false);
                }
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(b, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Dict(a), Value::Dict(b)) => {
                if a.entries.len() != b.entries.len() {
                    return Ok(false);
                }
                for (key, value) in &a.entries {
                    let Some(other) = b.find(key)? else {
                        return Ok(false);
                    };
                    if !value.equals(other, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Namespace(a), Value::Namespace(b)) => Rc::ptr_eq(a, b),
            (Value::Loop(a), Value::Loop(b)) => Rc::ptr_eq(a, b),
            (Value::Macro(a), Value::Macro(b)) => Rc::ptr_eq(a, b),
            (Value::Once(a), Value::Once(b)) => Rc::ptr_eq(a, b),
            (Value::Cycler(a), Value::Cycler(b)) => Rc::ptr_eq(a, b),
            (Value::Joiner(a), Value::Joiner(b)) => Rc::ptr_eq(a, b),
            (Value::Function(a), Value::Function(b)) => a == b,
            _ => false,
        })
    }

    /// Whether both are the same key of a mapping. Errors: `Limit`.
    pub fn same_key(&self, other: &Value, budget: &Budget) -> Result<bool> {
        self.equals(other, budget)
    }

    /// Whether it can be a key. Errors: `Limit`.
    pub fn is_key(&self, budget: &Budget) -> Result<bool> {
        budget.spend(1)?;
        Ok(match self {
            Value::List(list) if matches!(list.shape, Shape::Tuple | Shape::Group) => {
                for item in &list.items {
                    if !item.is_key(budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            Value::List(_) | Value::Dict(_) => false,
            _ => true,
        })
    }

    /// Refuses what cannot be a key. Errors: `Failed`; `Limit`.
    pub fn check_key(&self, budget: &Budget) -> Result<()> {
        match self.is_key(budget)? {
            true => Ok(()),
            false => Err(failed(format!("unhashable type: '{}'", self.type_name()))),
        }
    }

    /// Which comes first. Errors: `Failed` for values that have no order; `Limit`.
    pub fn order(&self, other: &Value, budget: &Budget) -> Result<Ordering> {
        budget.spend(1)?;
        if let (Some(a), Some(b)) = (self.as_number(), other.as_number()) {
            return Ok(match (a, b) {
                (Number::Int(a), Number::Int(b)) => a.cmp(&b),
                (a, b) => a.float().total_cmp(&b.float()),
            });
        }
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => {
                budget.look(a.as_str().len().min(b.as_str().len()))?;
                Ok(a.as_str().cmp(b.as_str()))
            }
            (Value::List(a), Value::List(b))
                if a.shape == b.shape && !matches!(a.shape, Shape::View(_) | Shape::Range(..)) =>
            {
                for (a, b) in a.items.iter().zip(&b.items) {
                    if !a.equals(b, budget)? {
                        return a.order(b, budget);
                    }
                }
                Ok(a.items.len().cmp(&b.items.len()))
            }
            _ => Err(failed(format!(
                "'<' not supported between instances of '{}' and '{}'",
                self.type_name(),
                other.type_name()
            ))),
        }
    }
}

/// Sorts by keys, equal ones in their order; with a comparison that may fail, which the standard library's sorts do not
/// allow. Errors: those of `order`.
pub fn sort<T>(
    items: Vec<T>,
    reverse: bool,
    order: &mut impl FnMut(&T, &T) -> Result<Ordering>,
) -> Result<Vec<T>> {
    if items.len() < 2 {
        return Ok(items);
    }
    let mut left = items;
    let right = left.split_off(left.len() / 2);
    let left = sort(left, reverse, order)?;
    let right = sort(right, reverse, order)?;
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let order = match reverse {
            true => order(b, a)?,
            false => order(a, b)?,
        };
        merged.extend(match order {
            Ordering::Greater => right.next(),
            _ => left.next(),
        });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}
