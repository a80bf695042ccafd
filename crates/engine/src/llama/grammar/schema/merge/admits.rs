//! Whether a given value satisfies a resolved node: for `enum` and `const` beside other keywords.

use std::collections::HashMap;

use serde_json::{Number, Value};

use super::super::Checked;
use super::super::node::{Node, Rest, Type};
use super::super::range::Range;
use super::super::text::{Length, Text};
use super::Merge;

impl Merge {
    pub(super) fn admits(&mut self, node: &Node, value: &Value) -> Checked<bool> {
        self.step(|merge| match (node, value) {
            (Node::Any, _) => Ok(true),
            (Node::Definition(id), _) => {
                let node = merge.definition(*id)?;
                merge.admits(&node, value)
            }
            (Node::Union(parts), _) => {
                for part in parts {
                    if merge.admits(part, value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            (Node::Literals(values), _) => {
                let weights = values.iter().map(|other| other.weight());
                merge.spend(weights.sum())?;
                Ok(values.iter().any(|other| equal(&other.value, value)))
            }
            (Node::Untyped(said), _) => {
                let kind = kind(value);
                match said.iter().find(|(said, _)| *said == kind) {
                    Some((_, node)) => merge.admits(node, value),
                    None => Ok(true),
                }
            }
            (Node::Null, Value::Null) | (Node::Boolean, Value::Bool(_)) => Ok(true),
            (Node::Number(range), Value::Number(number)) => merge.within(*range, number),
            (Node::Integer(range), Value::Number(number)) => {
                let is_whole = number.as_f64().is_some_and(|number| number.fract() == 0.0);
                Ok(is_whole && merge.within(*range, number)?)
            }
            (Node::Text(Text::Length(Length { least, most })), Value::String(text)) => {
                let length = text.chars().count() as u64;
                Ok(*least <= length && most.is_none_or(|most| length <= most))
            }
            (Node::Text(_), Value::String(_)) => Err(format!(
                "{} has no grammar for const or enum together with a pattern or format",
                merge.place
            )),
            (Node::Array(array), Value::Array(items)) => {
                let length = items.len() as u64;
                if length < array.least || array.most.is_some_and(|most| length > most) {
                    return Ok(false);
                }
                for (index, item) in items.iter().enumerate() {
                    if !merge.fits(array.prefix.get(index), &array.rest, item)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Node::Object(object), Value::Object(members)) => {
                let mut required = object.properties.iter().filter(|p| p.is_required);
                let has_required = required.all(|property| members.contains_key(&*property.name));
                if !has_required || object.is_filled && members.is_empty() {
                    return Ok(false);
                }
                merge.spend(object.properties.len())?;
                let listed = object.properties.iter().map(|one| (&*one.name, &one.node));
                let listed: HashMap<&str, &Node> = listed.collect();
                for (name, member) in members {
                    let listed = listed.get(name.as_str()).copied();
                    if !merge.fits(listed, &object.rest, member)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(false),
        })
    }

    fn within(&self, range: Range, number: &Number) -> Checked<bool> {
        range.has(number).ok_or_else(|| {
            let place = &self.place;
            format!("{place} has no grammar for {number} together with a bound as far away")
        })
    }

    fn fits(&mut self, listed: Option<&Node>, rest: &Rest, value: &Value) -> Checked<bool> {
        match (listed, rest) {
            (Some(node), _) => self.admits(node, value),
            (None, Rest::Open(node)) => self.admits(node, value),
            (None, rest) => Ok(*rest == Rest::Unsaid),
        }
    }
}

/// Equality by value: 1 is 1.0.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| equal(x, y))
        }
        (Value::Object(x), Value::Object(y)) => {
            let in_y = |(name, x)| y.get(name).is_some_and(|y| equal(x, y));
            x.len() == y.len() && x.iter().all(in_y)
        }
        _ => a == b,
    }
}

fn kind(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Boolean,
        Value::Number(_) => Type::Number,
        Value::String(_) => Type::String,
        Value::Array(_) => Type::Array,
        Value::Object(_) => Type::Object,
    }
}
