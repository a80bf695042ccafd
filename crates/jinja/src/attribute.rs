//! What stands behind a dot or in square brackets.

use std::rc::Rc;

use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::text::Text;
use crate::value::{LoopState, Missing, Shape, Value};

const TEXT_METHODS: [&str; 41] = [
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
];
const MORE_TEXT_METHODS: [&str; 3] = ["title", "upper", "zfill"];
const DICT_METHODS: [&str; 5] = ["copy", "get", "items", "keys", "values"];
const LIST_METHODS: [&str; 3] = ["copy", "count", "index"];
const LOOP_METHODS: [&str; 2] = ["changed", "cycle"];
/// Methods that would change a list or mapping: the sandbox has none of them.
const DICT_CHANGES: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];
const LIST_CHANGES: [&str; 8] = [
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
];

fn listed(names: &[&'static str], name: &str) -> Option<&'static str> {
    names.iter().find(|own| **own == name).copied()
}

impl Value {
    /// The method of this name.
    pub fn method(&self, name: &str) -> Option<&'static str> {
        match self {
            Value::Text(_) => {
                listed(&TEXT_METHODS, name).or_else(|| listed(&MORE_TEXT_METHODS, name))
            }
            Value::Dict(_) => listed(&DICT_METHODS, name),
            Value::List(list) => match list.shape {
                Shape::List => listed(&LIST_METHODS, name),
                Shape::View(_) => None,
                _ => listed(&LIST_METHODS[1..], name),
            },
            Value::Loop(_) => listed(&LOOP_METHODS, name),
            Value::Cycler(_) => listed(&["next", "reset"], name),
            _ => None,
        }
    }

    fn change(&self, name: &str) -> Option<&'static str> {
        match self {
            Value::Dict(_) => listed(&DICT_CHANGES, name),
            Value::List(list) if list.shape == Shape::List => listed(&LIST_CHANGES, name),
            _ => None,
        }
    }
}

impl Vm<'_> {
    /// `value.name`: an attribute, else an entry. Errors: `Failed` for a value that is undefined; `Limit`.
    pub fn attribute(&self, value: &Value, name: &Rc<Text>) -> Result<Value> {
        self.budget.spend(1)?;
        if let Some(found) = self.own_attribute(value, name)? {
            return Ok(found);
        }
        if let Value::Dict(dict) = value
            && let Some(found) = dict.get(name.as_str())?
        {
            return Ok(found.clone());
        }
        Ok(Value::Undefined(Missing::Key(
            value.type_name(),
            name.clone(),
        )))
    }

    /// `value[key]`: an entry or a place, else an attribute. Errors: as `attribute`.
    pub fn item(&self, value: &Value, key: &Value) -> Result<Value> {
        self.budget.spend(1)?;
        let found = match (value, key) {
            (Value::Undefined(missing), _) => return Err(self.undefined(missing)),
            (Value::Dict(dict), key) if key.is_key(&self.budget)? => dict.find(key)?.cloned(),
            (Value::List(list), key) if !matches!(list.shape, Shape::View(_)) => key
                .as_int()
                .and_then(|index| place(index, list.items.len()))
                .map(|at| list.items[at].clone()),
            (Value::Text(text), key) => match key.as_int() {
                Some(index) => self.character(text.as_str(), index)?,
                None => None,
            },
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        let Value::Text(name) = key else {
            return Ok(Value::Undefined(Missing::Place(value.type_name())));
        };
        let found = self.own_attribute(value, name)?;
        Ok(
            found
                .unwrap_or_else(|| Value::Undefined(Missing::Key(value.type_name(), name.clone()))),
        )
    }

    fn own_attribute(&self, value: &Value, name: &Rc<Text>) -> Result<Option<Value>> {
        let text = name.as_str();
        if let Value::Undefined(missing) = value {
            return Err(self.undefined(missing));
        }
        if let Some(method) = value.method(text) {
            self.budget.spend(2)?;
            return Ok(Some(Value::Method(Rc::new((value.clone(), method)))));
        }
        if let Some(change) = value.change(text) {
            return Ok(Some(Value::Undefined(Missing::Unsafe(change))));
        }
        Ok(match value {
            Value::Namespace(namespace) => namespace.get(text, &self.budget)?,
            Value::Loop(state) => self.loop_attribute(state, text)?,
            Value::List(list) if list.shape == Shape::Group => match text {
                "grouper" => list.items.first().cloned(),
                "list" => list.items.get(1).cloned(),
                _ => None,
            },
            Value::Macro(closure) => match text {
                "name" => match closure.def.name {
                    Some(symbol) => Some(Value::text(self.name(symbol), &self.budget)?),
                    None => Some(Value::None),
                },
                "caller" => Some(Value::Bool(closure.def.takes_caller)),
                "catch_varargs" => Some(Value::Bool(closure.def.takes_more)),
                "catch_kwargs" => Some(Value::Bool(closure.def.takes_named)),
                _ => None,
            },
            Value::Cycler(cycler) if text == "current" => {
                cycler.0.items.get(cycler.1.get()).cloned()
            }
            _ => None,
        })
    }

    fn loop_attribute(&self, state: &Rc<LoopState>, name: &str) -> Result<Option<Value>> {
        let at = state.at.get();
        let items = &state.items.items;
        let int = |value: usize| Some(Value::Int(value as i128));
        let beside = |at: Option<usize>| {
            let found = at.and_then(|at| items.get(at)).cloned();
            Some(found.unwrap_or(Value::Undefined(Missing::Nothing)))
        };
        Ok(match name {
            "index" => int(at + 1),
            "index0" => int(at),
            "revindex" => int(items.len() - at),
            "revindex0" => int(items.len() - at - 1),
            "first" => Some(Value::Bool(at == 0)),
            "last" => Some(Value::Bool(at + 1 == items.len())),
            "length" => int(items.len()),
            "depth" => int(state.level as usize + 1),
            "depth0" => int(state.level as usize),
            "previtem" => beside(at.checked_sub(1)),
            "nextitem" => beside(Some(at + 1)),
            _ => None,
        })
    }

    /// The character at a place. Errors: `Limit`.
    fn character(&self, text: &str, index: i128) -> Result<Option<Value>> {
        self.budget.look(text.len())?;
        let c = match index < 0 {
            false => text
                .chars()
                .nth(usize::try_from(index).unwrap_or(usize::MAX)),
            true => {
                let back = usize::try_from(-1 - index).unwrap_or(usize::MAX);
                text.chars().rev().nth(back)
            }
        };
        match c {
            Some(c) => Value::text(c.encode_utf8(&mut [0; 4]), &self.budget).map(Some),
            None => Ok(None),
        }
    }

    /// A value by a path with dots, as filters name attributes; whole numbers are places. Errors: as `attribute`.
    pub fn path(&self, value: &Value, path: &Value) -> Result<Value> {
        let Value::Text(path) = path else {
            return self.item(value, path);
        };
        let mut value = value.clone();
        for part in path.as_str().split('.') {
            let key = match part.parse::<i128>() {
                Ok(index) if part.bytes().all(|b| b.is_ascii_digit()) => Value::Int(index),
                _ => Value::text(part, &self.budget)?,
            };
            value = self.item(&value, &key)?;
        }
        Ok(value)
    }

    /// What is walked by a loop or a filter. What can be walked once is used up.
    ///
    /// Errors: `Failed` for what cannot be walked; `Limit`.
    pub fn walked(&self, value: &Value) -> Result<Rc<crate::value::List>> {
        let mut items = crate::value::Items::new(&self.budget)?;
        match value {
            Value::List(list) => return Ok(list.clone()),
            Value::Undefined(Missing::Unsafe(_)) => return Err(self.undefined(&Missing::Nothing)),
            Value::Undefined(_) => {}
            Value::Text(text) => {
                for c in text.as_str().chars() {
                    items.push(Value::text(c.encode_utf8(&mut [0; 4]), &self.budget)?)?;
                }
            }
            Value::Dict(dict) => {
                for (key, _) in &dict.entries {
                    items.push(key.clone())?;
                }
            }
            Value::Once(once) => {
                let left = std::mem::take(&mut *once.items.borrow_mut());
                for item in left {
                    items.push(item)?;
                }
            }
            Value::Loop(state) => {
                let rest = state.items.items.iter().skip(state.at.get() + 1);
                for item in rest {
                    items.push(item.clone())?;
                }
            }
            other => {
                return Err(failed(format!(
                    "'{}' object is not iterable",
                    other.type_name()
                )));
            }
        }
        Ok(Rc::new(items.list(Shape::List)))
    }
}

/// The place that an index means, from the end where it is negative.
pub fn place(index: i128, len: usize) -> Option<usize> {
    let at = if index < 0 {
        index + len as i128
    } else {
        index
    };
    usize::try_from(at).ok().filter(|&at| at < len)
}
