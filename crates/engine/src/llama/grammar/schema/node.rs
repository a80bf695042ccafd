//! What a schema says, without its syntax.

use serde_json::Value;

use super::Checked;
use super::pattern::Pattern;

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
        path: String,
        parts: Vec<Node>,
    },
    /// What exactly one of them admits. Gone after `merge`.
    One {
        path: String,
        parts: Vec<Node>,
    },
    Literals(Vec<Value>),
    Null,
    Boolean,
    Integer(Option<Range>),
    Number(Option<Range>),
    Text(Text),
    Array(Array),
    Object(Object),
}

/// Whole numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: i64,
    pub(super) most: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Text {
    Length {
        least: u64,
        most: Option<u64>,
    },
    /// The rule of this name.
    Format(&'static str),
    Pattern {
        text: String,
        pattern: Pattern,
    },
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
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Property {
    pub(super) name: String,
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
    pub(super) path: String,
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

    /// The nodes that a value is made of right here: alternatives, items and properties.
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Node::Union(parts) | Node::All { parts, .. } | Node::One { parts, .. } => {
                parts.iter().collect()
            }
            Node::Array(array) => array.prefix.iter().chain(array.rest.node()).collect(),
            Node::Object(object) => {
                let listed = object.properties.iter().map(|property| &property.node);
                listed.chain(object.rest.node()).collect()
            }
            _ => Vec::new(),
        }
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

impl Range {
    /// As many digits as a number without bounds may have.
    pub(super) const WIDEST: Range = Range {
        least: -9_999_999_999_999_999,
        most: 9_999_999_999_999_999,
    };

    /// What both admit.
    pub(super) fn and(a: Option<Range>, b: Option<Range>) -> Option<Range> {
        match (a, b) {
            (Some(a), Some(b)) => Some(Range {
                least: a.least.max(b.least),
                most: a.most.min(b.most),
            }),
            (one, other) => one.or(other),
        }
    }

    pub(super) fn is_empty(self) -> bool {
        self.least > self.most
    }
}

impl Text {
    pub(super) const ANY: Text = Text::Length {
        least: 0,
        most: None,
    };

    /// What both admit; `None` for nothing.
    pub(super) fn and(&self, other: &Text) -> Checked<Option<Text>> {
        if *other == Text::ANY || self == other {
            return Ok(Some(self.clone()));
        }
        if *self == Text::ANY {
            return Ok(Some(other.clone()));
        }
        let (Text::Length { least: a, most: b }, Text::Length { least: c, most: d }) =
            (self, other)
        else {
            return Err(
                "has no grammar for the lengths, patterns and formats of one string \
                        together"
                    .to_owned(),
            );
        };
        let least = *a.max(c);
        let most = b.iter().chain(d).min().copied();
        let is_empty = most.is_some_and(|most| most < least);
        Ok((!is_empty).then_some(Text::Length { least, most }))
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
    /// What may stand under other names; `None` for nothing.
    pub(super) fn tail(&self) -> Option<&Node> {
        match &self.rest {
            Rest::Open(node) => Some(node),
            Rest::Unsaid if !self.is_listed => Some(&Node::Any),
            Rest::Unsaid | Rest::Closed => None,
        }
    }
}
