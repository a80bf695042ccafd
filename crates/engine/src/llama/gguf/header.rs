//! What the walk keeps of a GGUF header: scalars, short arrays, the vocabulary's shape, tensors.
//!
//! Knows no file and no rule.

use std::collections::HashMap;

/// A metadata value, as far as the rules look at it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    /// A 32 bit float.
    Float(f64),
    /// A 64 bit one.
    Double(f64),
    Bool(bool),
    Text(String),
    /// An array: its element type, its length, and its numbers where it is short and numeric.
    Array {
        element: u32,
        count: u64,
        numbers: Vec<f64>,
    },
}

/// A tensor's line in the header.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// Elements per dimension, 1 to 4 dimensions, each at least 1.
    pub(super) shape: Vec<u64>,
    /// A ggml type below `GGML_TYPE_COUNT` with a block size above 0.
    pub(super) kind: u32,
}

/// What the tokens of the vocabulary look like.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    pub(super) count: u64,
    /// The first token text that occurs twice, as llama.cpp compares them.
    pub(super) repeated: Option<String>,
    /// Whether some token is marked as a raw byte.
    pub(super) has_byte: bool,
    /// Bytes of the longest text.
    pub(super) longest: usize,
    /// Whether some text is a line feed, written out or escaped.
    pub(super) has_line_feed: bool,
}

/// A walked header. Every string, array and tensor that it names lies inside the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Header {
    pub(super) values: HashMap<String, Value>,
    /// The type of each value, as the file numbers them.
    pub(super) kinds: HashMap<String, u32>,
    pub(super) tensors: Vec<Tensor>,
    pub(super) tokens: Option<Tokens>,
}

impl Header {
    /// `general.architecture`.
    pub(super) fn architecture(&self) -> Option<&str> {
        match self.values.get("general.architecture") {
            Some(Value::Text(name)) if !name.is_empty() => Some(name),
            _ => None,
        }
    }

    /// The value of `architecture.key`.
    pub(super) fn of_architecture(&self, key: &str) -> Option<&Value> {
        let architecture = self.architecture()?;
        self.values.get(&format!("{architecture}.{key}"))
    }

    /// Which of how many files of a model it is, from 0; the first of one for a whole model.
    pub(super) fn part(&self) -> Result<(u16, u16), String> {
        let number = |key: &str| match self.values.get(key) {
            None => Ok(0),
            Some(Value::Unsigned(n)) => {
                u16::try_from(*n).map_err(|_| format!("has {key} {n}, must be below 65536"))
            }
            Some(_) => Err(format!("has a {key} that is not a number")),
        };
        match (number("split.no")?, number("split.count")?) {
            (_, 0 | 1) => Ok((0, 1)),
            part => Ok(part),
        }
    }
}

impl Value {
    /// The value as a whole number, if it is one that is not negative.
    pub(super) fn whole(&self) -> Option<u64> {
        match self {
            Value::Unsigned(n) => Some(*n),
            Value::Signed(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The numbers in it: one for a scalar, all for a short numeric array.
    pub(super) fn numbers(&self) -> Vec<f64> {
        match self {
            Value::Unsigned(n) => vec![*n as f64],
            Value::Signed(n) => vec![*n as f64],
            Value::Float(n) | Value::Double(n) => vec![*n],
            Value::Array { numbers, .. } => numbers.clone(),
            Value::Bool(_) | Value::Text(_) => Vec::new(),
        }
    }
}
