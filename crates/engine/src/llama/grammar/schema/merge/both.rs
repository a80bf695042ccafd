//! What two resolved nodes admit together.

use super::super::node::{Array, Node, Object, Property, Range, Rest};
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
                    if merge.admits(&other, &value)? {
                        admitted.push(value);
                    }
                }
                Ok(Node::Literals(admitted))
            }
            (Node::Null, Node::Null) => Ok(Node::Null),
            (Node::Boolean, Node::Boolean) => Ok(Node::Boolean),
            (Node::Number(a), Node::Number(b)) => Ok(ranged(a, b, Node::Number)),
            (Node::Integer(a), Node::Integer(b) | Node::Number(b))
            | (Node::Number(a), Node::Integer(b)) => Ok(ranged(a, b, Node::Integer)),
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
        let find = |object: &Object, name: &str| {
            let mut properties = object.properties.iter();
            properties.position(|property| property.name == name)
        };
        let mut properties = Vec::new();
        for one in &a.properties {
            let other = find(&b, &one.name).map(|at| &b.properties[at]);
            let a = self.copy(&one.node)?;
            let b = self.listed_or(other.map(|other| &other.node), &b.rest)?;
            properties.push(Property {
                name: one.name.clone(),
                node: self.both(a, b)?,
                is_required: one.is_required || other.is_some_and(|other| other.is_required),
            });
        }
        for other in &b.properties {
            if find(&a, &other.name).is_none() {
                let a = self.listed_or(None, &a.rest)?;
                let b = self.copy(&other.node)?;
                properties.push(Property {
                    name: other.name.clone(),
                    node: self.both(a, b)?,
                    is_required: other.is_required,
                });
            }
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

fn ranged(a: Option<Range>, b: Option<Range>, node: fn(Option<Range>) -> Node) -> Node {
    match Range::and(a, b) {
        Some(range) if range.is_empty() => Node::NEVER,
        range => node(range),
    }
}
