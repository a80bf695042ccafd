//! Values of a rendering, each with its bytes on the account.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::ast::{For, MacroDef, Symbol};
use crate::budget::{Budget, MAX_NESTING};
use crate::error::{Error, Limit, Result};
use crate::scope::Scope;
use crate::text::Text;

/// Bytes of one place in a list, with what the allocator adds.
const ITEM_BYTES: usize = 48;
/// Bytes of one entry of a mapping.
const ENTRY_BYTES: usize = 80;
/// Bytes of a list or mapping itself.
const CONTAINER_BYTES: usize = 96;

/// A value.
#[derive(Clone)]
pub enum Value {
    /// What was not there.
    Undefined(Missing),
    /// `none`.
    None,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// A text.
    Text(Rc<Text>),
    /// A list, and what behaves much like one.
    List(Rc<List>),
    /// A mapping.
    Dict(Rc<Dict>),
    /// What is walked once.
    Once(Rc<Once>),
    /// Values that can be set.
    Namespace(Rc<Namespace>),
    /// The state of a loop.
    Loop(Rc<LoopState>),
    /// A macro, or the block of a `call`.
    Macro(Rc<Closure>),
    /// A function of the language.
    Function(&'static str),
    /// A method that is not called yet.
    Method(Rc<(Value, &'static str)>),
    /// `cycler(...)`.
    Cycler(Rc<(List, Cell<usize>)>),
    /// `joiner(...)`.
    Joiner(Rc<(Value, Cell<bool>)>),
}

/// What was looked for and not found.
#[derive(Clone)]
pub enum Missing {
    /// Nothing in particular.
    Nothing,
    /// A variable.
    Variable(Symbol),
    /// A key or attribute of a value of this type.
    Key(&'static str, Rc<Text>),
    /// Another key, or a place, of a value of this type.
    Place(&'static str),
    /// A method that would change a value.
    Unsafe(&'static str),
}

/// What a list prints and compares as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `[...]`.
    List,
    /// `(...)`.
    Tuple,
    /// `dict_keys`, `dict_values`, `dict_items`.
    View(&'static str),
    /// `range(start, stop, step)`.
    Range(i128, i128, i128),
    /// A group of `groupby`: what is common, and who.
    Group,
}

/// Values in order.
pub struct List {
    /// The values.
    pub items: Vec<Value>,
    /// What it is.
    pub shape: Shape,
    depth: u32,
    budget: Rc<Budget>,
}

/// Values by key, in the order of their first setting.
pub struct Dict {
    /// The entries.
    pub entries: Vec<(Value, Value)>,
    depth: u32,
    budget: Rc<Budget>,
}

/// Values that are walked once.
pub struct Once {
    /// What is left.
    pub items: RefCell<VecDeque<Value>>,
    depth: u32,
    held: usize,
    budget: Rc<Budget>,
}

/// Values by name that can be set.
pub struct Namespace {
    /// The values.
    pub values: RefCell<Vec<(Rc<Text>, Value)>>,
}

/// A macro with what it sees.
pub struct Closure {
    /// The macro.
    pub def: Arc<MacroDef>,
    /// The scope that it was defined in.
    pub scope: Rc<Scope>,
}

/// Where a loop stands.
pub struct LoopState {
    /// What is walked.
    pub items: Rc<List>,
    /// The current place.
    pub at: Cell<usize>,
    /// Loops of the same kind around it.
    pub level: u32,
    /// What `changed` was last asked about.
    pub last: RefCell<Option<Vec<Value>>>,
    /// Whether it still runs: what has ended keeps nothing.
    pub runs: Cell<bool>,
    /// For `loop(...)`: the loop, and the scope around it.
    pub again: Option<(Arc<For>, Rc<Scope>)>,
}

impl Drop for List {
    fn drop(&mut self) {
        self.budget
            .release(CONTAINER_BYTES + self.items.len() * ITEM_BYTES);
    }
}

impl Drop for Dict {
    fn drop(&mut self) {
        self.budget
            .release(CONTAINER_BYTES + self.entries.len() * ENTRY_BYTES);
    }
}

impl Drop for Once {
    fn drop(&mut self) {
        self.budget.release(self.held);
    }
}

/// A list that is being made.
pub struct Items {
    items: Vec<Value>,
    depth: u32,
    is_finished: bool,
    budget: Rc<Budget>,
}

impl Drop for Items {
    fn drop(&mut self) {
        if !self.is_finished {
            self.budget
                .release(CONTAINER_BYTES + self.items.len() * ITEM_BYTES);
        }
    }
}

impl Items {
    /// An empty one. Errors: `Limit`.
    pub fn new(budget: &Rc<Budget>) -> Result<Items> {
        budget.hold(CONTAINER_BYTES)?;
        Ok(Items {
            items: Vec::new(),
            depth: 1,
            is_finished: false,
            budget: budget.clone(),
        })
    }

    /// Adds a value. Errors: `Limit`.
    pub fn push(&mut self, value: Value) -> Result<()> {
        self.budget.hold(ITEM_BYTES)?;
        self.depth = self.depth.max(1 + value.depth());
        if self.depth > MAX_NESTING {
            return Err(Error::Limit(Limit::Depth));
        }
        self.items.push(value);
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// The finished list.
    pub fn list(mut self, shape: Shape) -> List {
        self.is_finished = true;
        List {
            items: std::mem::take(&mut self.items),
            shape,
            depth: self.depth,
            budget: self.budget.clone(),
        }
    }

    /// The finished list as a value.
    pub fn value(self, shape: Shape) -> Value {
        Value::List(Rc::new(self.list(shape)))
    }

    /// The finished list as what is walked once.
    pub fn once(mut self) -> Value {
        self.is_finished = true;
        let items = std::mem::take(&mut self.items);
        Value::Once(Rc::new(Once {
            depth: self.depth,
            held: CONTAINER_BYTES + items.len() * ITEM_BYTES,
            budget: self.budget.clone(),
            items: RefCell::new(items.into()),
        }))
    }
}

/// A mapping that is being made.
pub struct Entries {
    entries: Vec<(Value, Value)>,
    depth: u32,
    budget: Rc<Budget>,
}

impl Entries {
    /// An empty one. Errors: `Limit`.
    pub fn new(budget: &Rc<Budget>) -> Result<Entries> {
        budget.hold(CONTAINER_BYTES)?;
        Ok(Entries {
            entries: Vec::new(),
            depth: 1,
            budget: budget.clone(),
        })
    }

    /// Sets a key that may be there. Errors: `Failed` for a key that cannot be one; `Limit`.
    pub fn set(&mut self, key: Value, value: Value) -> Result<()> {
        key.check_key(&self.budget)?;
        for at in 0..self.entries.len() {
            if self.entries[at].0.same_key(&key, &self.budget)? {
                self.depth = self.depth.max(1 + value.depth());
                self.entries[at].1 = value;
                return self.check();
            }
        }
        self.push(key, value)
    }

    /// Adds a key that is not there. Errors: `Limit`.
    pub fn push(&mut self, key: Value, value: Value) -> Result<()> {
        self.budget.hold(ENTRY_BYTES)?;
        self.depth = self.depth.max(1 + value.depth().max(key.depth()));
        self.entries.push((key, value));
        self.check()
    }

    fn check(&self) -> Result<()> {
        match self.depth > MAX_NESTING {
            true => Err(Error::Limit(Limit::Depth)),
            false => Ok(()),
        }
    }

    /// The finished mapping.
    pub fn value(self) -> Value {
        Value::Dict(Rc::new(Dict {
            entries: self.entries,
            depth: self.depth,
            budget: self.budget,
        }))
    }
}

impl Dict {
    /// The value of a key that is a text. Errors: `Limit`.
    pub fn get(&self, key: &str) -> Result<Option<&Value>> {
        self.budget.spend(1 + self.entries.len() as u64 / 8)?;
        for (own, value) in &self.entries {
            if let Value::Text(own) = own
                && own.as_str().len() == key.len()
            {
                self.budget.look(key.len())?;
                if own.as_str() == key {
                    return Ok(Some(value));
                }
            }
        }
        Ok(None)
    }

    /// The value of a key. Errors: `Failed` for a key that cannot be one; `Limit`.
    pub fn find(&self, key: &Value) -> Result<Option<&Value>> {
        if let Value::Text(key) = key {
            return self.get(key.as_str());
        }
        key.check_key(&self.budget)?;
        for (own, value) in &self.entries {
            if own.same_key(key, &self.budget)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

impl Namespace {
    /// A value by name. Errors: `Limit`.
    pub fn get(&self, name: &str, budget: &Budget) -> Result<Option<Value>> {
        let values = self.values.borrow();
        budget.spend(1 + values.len() as u64 / 4)?;
        let found = values.iter().find(|(own, _)| own.as_str() == name);
        Ok(found.map(|(_, value)| value.clone()))
    }
}

impl Value {
    /// Levels of values inside this one. What a value drops with itself is that deep.
    pub fn depth(&self) -> u32 {
        match self {
            Value::List(list) => list.depth,
            Value::Dict(dict) => dict.depth,
            Value::Once(once) => once.depth,
            Value::Loop(state) => 1 + state.items.depth,
            Value::Method(method) => 1 + method.0.depth(),
            Value::Cycler(cycler) => 1 + cycler.0.depth,
            Value::Joiner(joiner) => 1 + joiner.0.depth(),
            _ => 0,
        }
    }

    /// The type's name in Python.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Undefined(_) => "Undefined",
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::List(list) => match list.shape {
                Shape::List => "list",
                Shape::Tuple => "tuple",
                Shape::View(name) => name,
                Shape::Range(..) => "range",
                Shape::Group => "_GroupTuple",
            },
            Value::Dict(_) => "dict",
            Value::Once(_) => "generator",
            Value::Namespace(_) => "Namespace",
            Value::Loop(_) => "LoopContext",
            Value::Macro(_) => "Macro",
            Value::Function(_) => "function",
            Value::Method(_) => "builtin_function_or_method",
            Value::Cycler(_) => "Cycler",
            Value::Joiner(_) => "Joiner",
        }
    }

    /// Whether a condition holds for it.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Undefined(_) | Value::None => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.as_str().is_empty(),
            Value::List(list) => !list.items.is_empty(),
            Value::Dict(dict) => !dict.entries.is_empty(),
            Value::Loop(state) => !state.items.items.is_empty(),
            _ => true,
        }
    }

    /// Whether it can be called.
    pub fn is_callable(&self) -> bool {
        matches!(
            self,
            Value::Macro(_)
                | Value::Function(_)
                | Value::Method(_)
                | Value::Joiner(_)
                | Value::Loop(_)
        )
    }

    /// The text, where it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// The whole number, where it is one or a truth value.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Value::Int(value) => Some(*value),
            Value::Bool(value) => Some(i128::from(*value)),
            _ => None,
        }
    }
}
