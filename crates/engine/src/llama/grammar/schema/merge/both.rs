//! What two resolved nodes admit together.

use std::collections::HashMap;
use std::rc::Rc;

use super::super::node::{Array, Node, Object, Property, Rest, Type};
use super::super::range::Range;
use super::super::{Checked, PROPERTIES_LIMIT};
use super::{Merge, array, object, open, union};

impl Merge {
    pub(super) fn both(&mut self, a: Node, b: Node) -> Checked<Node> {
        self.step(|merge| match (a, b) {
            (Node::Any, other) | (other, Node::Any) => Ok(other),
            (Node::Definition(a), Node::Definition(b)) if a == b => Ok(Node::Definition(a)),
            (Node::Definition(a), Node::Definition(b)) => merge.pair(a, b),
            (Node::Union(parts), other) => {
                let with = |part| {
                    let other = merge.copy(&other)?;
                    merge.both(part, other)
                };
                let parts = parts.into_iter().map(with);
                Ok(union(parts.collect::<Checked<Vec<Node>>>()?))
            }
            (other, Node::Union(parts)) => {
                let with = |part| {
                    let other = merge.copy(&other)?;
                    merge.both(other, part)
                };
                let parts = parts.into_iter().map(with);
                Ok(union(parts.collect::<Checked<Vec<Node>>>()?))
            }
            (Node::Definition(id), other) => {
                let node = merge.definition(id)?;
                let node = merge.copy(&node)?;
                merge.both(node, other)
            }
            (other, Node::Definition(id)) => {
                let node = merge.definition(id)?;
                let node = merge.copy(&node)?;
                merge.both(other, node)
            }
            (Node::Literals(values), other) | (other, Node::Literals(values)) => {
                let mut admitted = Vec::new();
                for value in values {
                    merge.spend(value.weight())?;
                    if merge.admits(&other, &value.value)? {
                        admitted.push(value);
                    }
                }
                Ok(Node::Literals(admitted))
            }
            (Node::Null, Node::Null) => Ok(Node::Null),
            (Node::Boolean, Node::Boolean) => Ok(Node::Boolean),
            (Node::Untyped(a), Node::Untyped(b)) => merge.untyped(a, b),
            (Node::Untyped(said), other) => match about(said, &other) {
                Some(node) => merge.both(node, other),
                None => Ok(other),
            },
            (other, Node::Untyped(said)) => match about(said, &other) {
                Some(node) => merge.both(other, node),
                None => Ok(other),
            },
            (Node::Number(a), Node::Number(b)) => merge.ranged(a.and(b), Node::Number),
            (Node::Integer(a), Node::Integer(b) | Node::Number(b))
            | (Node::Number(a), Node::Integer(b)) => merge.ranged(a.and(b).whole(), Node::Integer),
            (Node::Text(a), Node::Text(b)) => {
                let both = a.and(&b);
                let both = both.map_err(|reason| format!("{} {reason}", merge.place))?;
                Ok(both.map_or(Node::NEVER, Node::Text))
            }
            (Node::Array(a), Node::Array(b)) => merge.arrays(a, b),
            (Node::Object(a), Node::Object(b)) => merge.objects(a, b),
            _ => Ok(Node::NEVER),
        })
    }

    fn untyped(&mut self, a: Vec<(Type, Node)>, mut b: Vec<(Type, Node)>) -> Checked<Node> {
        let mut said = Vec::new();
        for (kind, one) in a {
            let node = match b.iter().position(|(other, _)| *other == kind) {
                Some(at) => self.both(one, b.remove(at).1)?,
                None => one,
            };
            said.push((kind, node));
        }
        said.extend(b);
        Ok(Node::Untyped(said))
    }

    fn ranged(&mut self, range: Range, node: fn(Range) -> Node) -> Checked<Node> {
        match range.written() {
            _ if range.is_empty() => Ok(Node::NEVER),
            Some(_) => Ok(node(range)),
            None => Err(format!(
                "{} leaves no number of 16 digits between bounds",
                self.place
            )),
        }
    }

    fn arrays(&mut self, a: Array, b: Array) -> Checked<Node> {
        let mut prefix = Vec::new();
        for index in 0..a.prefix.len().max(b.prefix.len()) {
            let a = self.listed_or(a.prefix.get(index), &a.rest)?;
            let b = self.listed_or(b.prefix.get(index), &b.rest)?;
            prefix.push(self.both(a, b)?);
        }
        Ok(array(Array {
            prefix,
            rest: self.rests(a.rest, b.rest)?,
            least: a.least.max(b.least),
            most: a.most.into_iter().chain(b.most).min(),
        }))
    }

    fn objects(&mut self, a: Object, b: Object) -> Checked<Node> {
        let mut properties = Vec::new();
        let in_b = places(&b);
        for one in &a.properties {
            let other = in_b.get(&one.name).map(|at| &b.properties[*at]);
            let a = self.copy(&one.node)?;
            let b = self.listed_or(other.map(|other| &other.node), &b.rest)?;
            properties.push(Property {
                name: Rc::clone(&one.name),
                node: self.both(a, b)?,
                is_required: one.is_required || other.is_some_and(|other| other.is_required),
            });
        }
        let in_a = places(&a);
        for other in b
            .properties
            .iter()
            .filter(|other| !in_a.contains_key(&other.name))
        {
            let a = self.listed_or(None, &a.rest)?;
            let b = self.copy(&other.node)?;
            properties.push(Property {
                name: Rc::clone(&other.name),
                node: self.both(a, b)?,
                is_required: other.is_required,
            });
        }
        if properties.len() > PROPERTIES_LIMIT {
            return Err(format!(
                "{} has {} properties together, must have at most {PROPERTIES_LIMIT}",
                self.place,
                properties.len()
            ));
        }
        Ok(object(Object {
            properties,
            rest: self.rests(a.rest, b.rest)?,
            is_listed: a.is_listed || b.is_listed,
            is_filled: a.is_filled || b.is_filled,
        }))
    }

    /// What a place is that `listed` is about, or else `rest`.
    fn listed_or(&mut self, listed: Option<&Node>, rest: &Rest) -> Checked<Node> {
        match (listed, rest) {
            (Some(node), _) => self.copy(node),
            (None, Rest::Open(node)) => self.copy(node),
            (None, Rest::Unsaid) => Ok(Node::Any),
            (None, Rest::Closed) => Ok(Node::NEVER),
        }
    }

    fn rests(&mut self, a: Rest, b: Rest) -> Checked<Rest> {
        Ok(match (a, b) {
            (Rest::Closed, _) | (_, Rest::Closed) => Rest::Closed,
            (Rest::Unsaid, other) | (other, Rest::Unsaid) => other,
            (Rest::Open(a), Rest::Open(b)) => open(self.both(*a, *b)?),
        })
    }
}

/// What is said about the type of `node`.
fn about(said: Vec<(Type, Node)>, node: &Node) -> Option<Node> {
    let mut said = said.into_iter();
    let about = said.find(|(kind, _)| Some(*kind) == node.kind());
    about.map(|(_, said)| said)
}

fn places(object: &Object) -> HashMap<Rc<str>, usize> {
    let names = object
        .properties
        .iter()
        .map(|property| Rc::clone(&property.name));
    names.zip(0..).collect()
}
