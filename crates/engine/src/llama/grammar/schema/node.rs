//! What a schema says, without its syntax.

use std::rc::Rc;

use serde_json::Value;

use super::path::Path;
use super::range::Range;
use super::text::Text;

/// The types of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// A set of JSON values.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Any,
    /// What the definition with this number says.
    Definition(usize),
    /// What one of them admits; nothing where there is none.
    Union(Vec<Node>),
    /// What all of them admit. Gone after `merge`.
    All {
        path: Path,
        parts: Vec<Node>,
    },
    /// What exactly one of them admits. Gone after `merge`.
    One {
        path: Path,
        parts: Vec<Node>,
    },
    /// Of values of these types what the nodes admit, and all values of other types: a schema without `type`. What
    /// is written are values of these types. Gone after `merge`.
    Untyped(Vec<(Type, Node)>),
    Literals(Vec<Rc<Literal>>),
    Null,
    Boolean,
    Integer(Range),
    Number(Range),
    Text(Text),
    Array(Array),
    Object(Object),
}

/// A value and its JSON text.
#[derive(Debug, PartialEq)]
pub(super) struct Literal {
    pub(super) value: Value,
    pub(super) text: String,
}

/// What may follow the listed items or properties.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rest {
    /// Nothing was said: anything by the standard, and nothing is written, as a list stands for all of it. Without a
    /// list, anything is.
    Unsaid,
    Closed,
    Open(Box<Node>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub(super) prefix: Vec<Node>,
    pub(super) rest: Rest,
    pub(super) least: u64,
    pub(super) most: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    /// A name with an impossible value is one that `rest` may not give.
    pub(super) properties: Vec<Property>,
    pub(super) rest: Rest,
    /// Whether a list of properties was there, even an empty one.
    pub(super) is_listed: bool,
    /// Whether there is one member at least.
    pub(super) is_filled: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub(super) name: Rc<str>,
    pub(super) node: Node,
    pub(super) is_required: bool,
}

/// A whole schema; the root is definition 0.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) definitions: Vec<Definition>,
}

#[derive(Debug)]
pub(super) struct Definition {
    pub(super) path: Path,
    pub(super) node: Node,
}

impl Node {
    pub(super) const NEVER: Node = Node::Union(Vec::new());

    pub(super) fn is_never(&self) -> bool {
        match self {
            Node::Union(parts) => parts.is_empty(),
            Node::Literals(values) => values.is_empty(),
            _ => false,
        }
    }

    /// The type of all its values, where that shows; integers are numbers.
    pub(super) fn kind(&self) -> Option<Type> {
        Some(match self {
            Node::Null => Type::Null,
            Node::Boolean => Type::Boolean,
            Node::Integer(_) | Node::Number(_) => Type::Number,
            Node::Text(_) => Type::String,
            Node::Array(_) => Type::Array,
            Node::Object(_) => Type::Object,
            _ => return None,
        })
    }

    /// The nodes that a value is made of right here: alternatives, items and properties.
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Node::Union(parts) | Node::All { parts, .. } | Node::One { parts, .. } => {
                parts.iter().collect()
            }
            Node::Untyped(said) => said.iter().map(|(_, node)| node).collect(),
            Node::Array(array) => array.prefix.iter().chain(array.rest.node()).collect(),
            Node::Object(object) => {
                let listed = object.properties.iter().map(|property| &property.node);
                listed.chain(object.rest.node()).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Literal {
    pub(super) fn new(value: &Value) -> Rc<Literal> {
        Rc::new(Literal {
            text: value.to_string(),
            value: value.clone(),
        })
    }

    /// Steps of comparing it.
    pub(super) fn weight(&self) -> usize {
        1 + self.text.len() / 32
    }
}

impl Rest {
    /// What was said of the rest.
    fn node(&self) -> Option<&Node> {
        match self {
            Rest::Open(node) => Some(node),
            Rest::Unsaid | Rest::Closed => None,
        }
    }
}

impl Array {
    /// How many items are written at least: what is listed is there to be written.
    pub(super) fn least_written(&self) -> u64 {
        let listed = self.prefix.len() as u64;
        self.least.max(listed.min(self.most.unwrap_or(listed)))
    }

    /// What may stand behind the prefix; `None` for nothing.
    pub(super) fn tail(&self) -> Option<&Node> {
        match &self.rest {
            Rest::Open(node) => Some(node),
            Rest::Unsaid if self.prefix.is_empty() => Some(&Node::Any),
            Rest::Unsaid if self.least > self.prefix.len() as u64 => Some(&Node::Any),
            Rest::Unsaid | Rest::Closed => None,
        }
    }
}

impl Object {
    /// What stands under the names that are always there.
    pub(super) fn required(&self) -> impl Iterator<Item = &Node> {
        let required = self.properties.iter().filter(|one| one.is_required);
        required.map(|property| &property.node)
    }

    /// What may stand under any name that is written.
    pub(super) fn members(&self) -> impl Iterator<Item = &Node> {
        let possible = self.properties.iter().filter(|one| !one.node.is_never());
        possible.map(|property| &property.node).chain(self.tail())
    }

    /// What may stand under other names; `None` for nothing.
    pub(super) fn tail(&self) -> Option<&Node> {
        match &self.rest {
            Rest::Open(node) => Some(node),
            Rest::Unsaid if !self.is_listed => Some(&Node::Any),
            Rest::Unsaid | Rest::Closed => None,
        }
    }
}
