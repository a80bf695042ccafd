//! `allOf` and `oneOf` resolved: what several nodes admit together is one node without them.
//!
//! Definitions are combined pair by pair, each pair once, so that recursive ones end. Knows no other keywords.

mod admits;
mod both;

use std::collections::HashMap;
use std::rc::Rc;

use super::node::{Array, Definition, Document, Node, Object, Rest, Type};
use super::path::Path;
use super::{Checked, DEFINITIONS_LIMIT, RESOLVE_DEPTH_LIMIT, STEPS_LIMIT};

/// The document without `All` and `One`.
pub(super) fn resolve(document: Document) -> Checked<Document> {
    let mut merge = Merge {
        states: Vec::new(),
        paths: Vec::new(),
        pairs: HashMap::new(),
        place: Path::ROOT,
        steps: 0,
        depth: 0,
    };
    for definition in document.definitions {
        merge.paths.push(definition.path);
        merge.states.push(State::Read(definition.node));
    }
    // More are made on the way, and those are done when they are made.
    for id in 0..merge.states.len() {
        merge.definition(id)?;
    }
    let mut definitions = Vec::new();
    for (path, state) in merge.paths.into_iter().zip(merge.states) {
        let State::Done(node) = state else {
            return Err(format!("what stands at {path} combines with itself"));
        };
        let node = narrow(Rc::unwrap_or_clone(node));
        definitions.push(Definition { path, node });
    }
    Ok(Document { definitions })
}

enum State {
    Read(Node),
    /// Being resolved.
    Open,
    Done(Rc<Node>),
}

struct Merge {
    states: Vec<State>,
    paths: Vec<Path>,
    /// What two definitions admit together.
    pairs: HashMap<(usize, usize), usize>,
    /// The schema whose `allOf` or `oneOf` is being resolved.
    place: Path,
    steps: usize,
    depth: usize,
}

impl Merge {
    fn spend(&mut self, steps: usize) -> Checked<()> {
        self.steps = self.steps.saturating_add(steps);
        match self.steps > STEPS_LIMIT {
            true => Err(format!(
                "what stands at {} combines in too many ways",
                self.place
            )),
            false => Ok(()),
        }
    }

    /// A step down, bounded in depth and number.
    fn step<T>(&mut self, work: impl FnOnce(&mut Merge) -> Checked<T>) -> Checked<T> {
        self.spend(1)?;
        if self.depth > RESOLVE_DEPTH_LIMIT {
            return Err(format!(
                "what stands at {} combines too deeply, or with itself",
                self.place
            ));
        }
        self.depth += 1;
        let done = work(self);
        self.depth -= 1;
        done
    }

    fn copy(&mut self, node: &Node) -> Checked<Node> {
        self.spend(weight(node))?;
        Ok(node.clone())
    }

    /// The resolved node of a definition.
    fn definition(&mut self, id: usize) -> Checked<Rc<Node>> {
        let done = match std::mem::replace(&mut self.states[id], State::Open) {
            State::Done(node) => node,
            State::Open => {
                return Err(format!(
                    "what stands at {} combines with itself",
                    self.paths[id]
                ));
            }
            State::Read(node) => {
                let node = self.node(node)?;
                self.check_depth(&node)?;
                Rc::new(node)
            }
        };
        self.states[id] = State::Done(Rc::clone(&done));
        Ok(done)
    }

    /// What definitions `a` and `b` admit together.
    fn pair(&mut self, a: usize, b: usize) -> Checked<Node> {
        let key = (a.min(b), a.max(b));
        if let Some(&id) = self.pairs.get(&key) {
            return Ok(match &self.states[id] {
                State::Done(node) if node.is_never() => Node::NEVER,
                _ => Node::Definition(id),
            });
        }
        let id = self.states.len();
        if id >= DEFINITIONS_LIMIT {
            return Err(format!("refers to more than {DEFINITIONS_LIMIT} places"));
        }
        self.states.push(State::Open);
        self.paths.push(self.place.clone());
        self.pairs.insert(key, id);
        let (a, b) = (self.definition(a)?, self.definition(b)?);
        let (a, b) = (self.copy(&a)?, self.copy(&b)?);
        let both = self.both(a, b)?;
        self.check_depth(&both)?;
        let node = if both.is_never() {
            Node::NEVER
        } else {
            Node::Definition(id)
        };
        self.states[id] = State::Done(Rc::new(both));
        Ok(node)
    }

    /// That what is copied into other definitions does not grow deeper with each.
    fn check_depth(&self, node: &Node) -> Checked<()> {
        match depth(node) > RESOLVE_DEPTH_LIMIT {
            true => Err(format!(
                "what stands at {} combines too deeply, or with itself",
                self.place
            )),
            false => Ok(()),
        }
    }

    fn node(&mut self, node: Node) -> Checked<Node> {
        self.step(|merge| match node {
            Node::All { path, parts } => {
                let parts = merge.nodes(parts)?;
                merge.at(path, |merge| {
                    parts
                        .into_iter()
                        .try_fold(Node::Any, |all, part| merge.both(all, part))
                })
            }
            Node::One { path, parts } => {
                let parts = merge.nodes(parts)?;
                merge.at(path, |merge| merge.check_apart(&parts))?;
                Ok(union(parts))
            }
            Node::Union(parts) => Ok(union(merge.nodes(parts)?)),
            Node::Untyped(mut said) => {
                for (_, node) in &mut said {
                    *node = merge.node(std::mem::replace(node, Node::Any))?;
                }
                Ok(Node::Untyped(said))
            }
            Node::Array(mut array) => {
                array.prefix = merge.nodes(array.prefix)?;
                array.rest = merge.rest(array.rest)?;
                Ok(self::array(array))
            }
            Node::Object(mut object) => {
                for property in &mut object.properties {
                    let node = std::mem::replace(&mut property.node, Node::Any);
                    property.node = merge.node(node)?;
                }
                object.rest = merge.rest(object.rest)?;
                Ok(self::object(object))
            }
            other => Ok(other),
        })
    }

    fn at<T>(&mut self, path: Path, work: impl FnOnce(&mut Merge) -> Checked<T>) -> Checked<T> {
        let before = std::mem::replace(&mut self.place, path);
        let done = work(self)?;
        self.place = before;
        Ok(done)
    }

    fn nodes(&mut self, nodes: Vec<Node>) -> Checked<Vec<Node>> {
        nodes.into_iter().map(|node| self.node(node)).collect()
    }

    fn rest(&mut self, rest: Rest) -> Checked<Rest> {
        match rest {
            Rest::Open(node) => Ok(open(self.node(*node)?)),
            other => Ok(other),
        }
    }

    /// That what is written for one of `parts` satisfies no other, as far as that can be seen.
    fn check_apart(&mut self, parts: &[Node]) -> Checked<()> {
        for (i, a) in parts.iter().enumerate() {
            for (j, b) in parts.iter().enumerate().filter(|(j, _)| *j != i) {
                let (a, b) = (self.copy(a)?, self.copy(b)?);
                let a = self.as_written(a)?;
                let shared = self.both(a, b);
                self.spend(0)?;
                if !shared.is_ok_and(|shared| shared.is_never()) {
                    let place = &self.place;
                    let is_untyped = |part: &Node| matches!(part, Node::Untyped(_));
                    let hint = match is_untyped(&parts[i]) || is_untyped(&parts[j]) {
                        true => ", or give each its type",
                        false => "",
                    };
                    return Err(format!(
                        "{place} has branches {i} and {j} that may both hold, use anyOf{hint}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// `node` without what it admits and no grammar of it writes: names and items beyond the listed ones.
    fn as_written(&mut self, node: Node) -> Checked<Node> {
        self.step(|merge| match node {
            Node::Definition(id) => {
                let node = merge.definition(id)?;
                let node = merge.copy(&node)?;
                merge.as_written(node)
            }
            Node::Union(parts) => {
                let parts = parts.into_iter().map(|part| merge.as_written(part));
                Ok(union(parts.collect::<Checked<Vec<Node>>>()?))
            }
            Node::Untyped(said) => merge.as_written(union(nodes(said))),
            Node::Object(object) if object.tail().is_none() => {
                let rest = Rest::Closed;
                Ok(self::object(Object { rest, ..object }))
            }
            Node::Array(array) if array.tail().is_none() => {
                let rest = Rest::Closed;
                Ok(self::array(Array { rest, ..array }))
            }
            other => Ok(other),
        })
    }
}

/// How much there is to copy.
fn weight(node: &Node) -> usize {
    let own = match node {
        Node::Literals(values) => values.len(),
        _ => 1,
    };
    node.children().into_iter().map(weight).sum::<usize>() + own
}

/// What is written of `node`: of schemas without `type`, values of the types that they are about.
fn narrow(node: Node) -> Node {
    match node {
        Node::Untyped(said) => narrow(union(nodes(said))),
        Node::Union(parts) => union(parts.into_iter().map(narrow).collect()),
        Node::Array(mut one) => {
            one.prefix = one.prefix.into_iter().map(narrow).collect();
            one.rest = narrow_rest(one.rest);
            array(one)
        }
        Node::Object(mut one) => {
            for property in &mut one.properties {
                property.node = narrow(std::mem::replace(&mut property.node, Node::Any));
            }
            one.rest = narrow_rest(one.rest);
            object(one)
        }
        other => other,
    }
}

fn narrow_rest(rest: Rest) -> Rest {
    match rest {
        Rest::Open(node) => open(narrow(*node)),
        other => other,
    }
}

fn nodes(said: Vec<(Type, Node)>) -> Vec<Node> {
    said.into_iter().map(|(_, node)| node).collect()
}

fn depth(node: &Node) -> usize {
    let below = node.children().into_iter().map(depth).max();
    1 + below.unwrap_or(0)
}

fn union(parts: Vec<Node>) -> Node {
    let mut parts: Vec<Node> = parts.into_iter().filter(|part| !part.is_never()).collect();
    match parts.len() {
        1 => parts.remove(0),
        _ => Node::Union(parts),
    }
}

fn open(node: Node) -> Rest {
    match node.is_never() {
        true => Rest::Closed,
        false => Rest::Open(Box::new(node)),
    }
}

/// An array whose bounds say what its items do.
fn array(mut array: Array) -> Node {
    let possible = array.prefix.iter().position(Node::is_never);
    let possible = match array.rest {
        Rest::Closed => Some(possible.unwrap_or(array.prefix.len())),
        Rest::Unsaid | Rest::Open(_) => possible,
    };
    let possible = possible.map(|count| count as u64);
    array.most = array.most.into_iter().chain(possible).min();
    if let Some(most) = array.most {
        if most < array.least {
            return Node::NEVER;
        }
        array
            .prefix
            .truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    Node::Array(array)
}

fn object(object: Object) -> Node {
    let mut required = object.properties.iter().filter(|p| p.is_required);
    let mut possible = object.properties.iter().filter(|p| !p.node.is_never());
    let is_empty = possible.next().is_none() && object.rest == Rest::Closed;
    match required.any(|property| property.node.is_never()) || object.is_filled && is_empty {
        true => Node::NEVER,
        false => Node::Object(object),
    }
}
