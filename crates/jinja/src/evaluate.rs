//! Expressions to values.

use std::rc::Rc;

use crate::arguments::{ARGUMENT_BYTES, Arguments};
use crate::ast::{Args, Expr, Literal, Symbol};
use crate::budget::{Budget, Hold, MAX_LEVELS};
use crate::error::{Error, Limit, Result, failed};
use crate::moment::Moment;
use crate::number;
use crate::parser::Parsed;
use crate::print;
use crate::scope::Scope;
use crate::text::{Text, Writer};
use crate::value::{Entries, Items, Missing, Namespace, Shape, Value};

/// Bytes of a scope or namespace that is kept until the rendering ends.
const KEPT_BYTES: usize = 128;

/// One rendering.
pub struct Vm<'t> {
    /// The template.
    pub template: &'t Parsed,
    /// What it may use.
    pub budget: Rc<Budget>,
    /// What time it is.
    pub moment: Moment,
    /// Names of the template's top.
    pub top: Rc<Scope>,
    literals: Vec<Rc<Text>>,
    level: u32,
    /// What values may know in circles. It ends with the rendering.
    scopes: Vec<Rc<Scope>>,
    namespaces: Vec<Rc<Namespace>>,
}

impl Drop for Vm<'_> {
    fn drop(&mut self) {
        for scope in &self.scopes {
            scope.clear();
        }
        for namespace in &self.namespaces {
            drop(namespace.values.take());
        }
    }
}

impl<'t> Vm<'t> {
    /// A rendering of `template`. Errors: `Limit`.
    pub fn new(template: &'t Parsed, budget: Rc<Budget>, moment: Moment) -> Result<Vm<'t>> {
        let mut literals = Vec::with_capacity(template.literals.len());
        for literal in &template.literals {
            let mut text = Writer::new(&budget)?;
            text.push(literal)?;
            literals.push(text.text());
        }
        Ok(Vm {
            top: Scope::new(None, &budget)?,
            template,
            budget,
            moment,
            literals,
            level: 0,
            scopes: Vec::new(),
            namespaces: Vec::new(),
        })
    }

    /// The name of a symbol.
    pub fn name(&self, symbol: Symbol) -> &'t str {
        &self.template.names[symbol.0 as usize]
    }

    /// A literal text.
    pub fn literal(&self, literal: Literal) -> &Rc<Text> {
        &self.literals[literal.0 as usize]
    }

    /// A text of its own. Errors: `Limit`.
    pub fn small_text(&self, text: &str) -> Result<Rc<Text>> {
        let mut out = Writer::new(&self.budget)?;
        out.push(text)?;
        Ok(out.text())
    }

    /// Why an undefined value cannot be used.
    pub fn undefined(&self, missing: &Missing) -> Error {
        /// Characters of a key that a message shows.
        const SHOWN: usize = 60;
        failed(match missing {
            Missing::Nothing => "an undefined value is used".to_owned(),
            Missing::Variable(symbol) => format!("'{}' is undefined", self.name(*symbol)),
            Missing::Key(kind, key) => {
                let key: String = key.as_str().chars().take(SHOWN).collect();
                format!("'{kind} object' has no attribute '{key}'")
            }
            Missing::Place(kind) => format!("'{kind} object' has no such element"),
            Missing::Unsafe(name) => {
                format!("'{name}' would change a value, which templates may not do")
            }
        })
    }

    /// Keeps a scope until the rendering ends, because a value knows it. Errors: `Limit`.
    pub fn keep_scope(&mut self, scope: &Rc<Scope>) -> Result<()> {
        if self
            .scopes
            .last()
            .is_some_and(|last| Rc::ptr_eq(last, scope))
        {
            return Ok(());
        }
        self.budget.hold(KEPT_BYTES)?;
        self.scopes.push(scope.clone());
        Ok(())
    }

    /// Keeps a namespace until the rendering ends. Errors: `Limit`.
    pub fn keep_namespace(&mut self, namespace: &Rc<Namespace>) -> Result<()> {
        self.budget.hold(KEPT_BYTES)?;
        self.namespaces.push(namespace.clone());
        Ok(())
    }

    /// One level further in. Errors: `Limit` where that is too deep.
    pub fn inside<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.level >= MAX_LEVELS {
            return Err(Error::Limit(Limit::Depth));
        }
        self.level += 1;
        let result = run(self);
        self.level -= 1;
        result
    }

    /// The value of an expression. Errors: those of its operations.
    pub fn evaluate(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Result<Value> {
        self.budget.spend(1)?;
        match expr {
            Expr::None => Ok(Value::None),
            Expr::Bool(value) => Ok(Value::Bool(*value)),
            Expr::Int(value) => Ok(Value::Int(*value)),
            Expr::Float(value) => Ok(Value::Float(*value)),
            Expr::Text(literal) => Ok(Value::Text(self.literal(*literal).clone())),
            Expr::Name(symbol) => self.variable(*symbol, scope),
            composite => self.inside(|vm| vm.composite(composite, scope)),
        }
    }

    fn variable(&self, symbol: Symbol, scope: &Rc<Scope>) -> Result<Value> {
        if let Some(value) = scope.get(symbol)? {
            return Ok(value);
        }
        Ok(match crate::globals::function(self.name(symbol)) {
            Some(function) => Value::Function(function),
            None => Value::Undefined(Missing::Variable(symbol)),
        })
    }

    fn composite(&mut self, expr: &Expr, scope: &Rc<Scope>) -> Result<Value> {
        match expr {
            Expr::List(parts) => self.several(parts, Shape::List, scope),
            Expr::Tuple(parts) => self.several(parts, Shape::Tuple, scope),
            Expr::Dict(parts) => {
                let mut entries = Entries::new(&self.budget)?;
                for (key, value) in parts {
                    let key = self.evaluate(key, scope)?;
                    entries.set(key, self.evaluate(value, scope)?)?;
                }
                Ok(entries.value())
            }
            Expr::Attribute(value, name) => {
                let value = self.evaluate(value, scope)?;
                let name = self.literal(*name).clone();
                self.attribute(&value, &name)
            }
            Expr::Item(value, key) => {
                let value = self.evaluate(value, scope)?;
                let key = self.evaluate(key, scope)?;
                self.item(&value, &key)
            }
            Expr::Slice(value, bounds) => {
                let value = self.evaluate(value, scope)?;
                let mut found = [Value::None, Value::None, Value::None];
                for (place, bound) in found.iter_mut().zip(bounds.iter()) {
                    if let Some(bound) = bound {
                        *place = self.evaluate(bound, scope)?;
                    }
                }
                self.slice(&value, found)
            }
            Expr::Call(callee, args) => {
                if let Expr::Attribute(value, name) = &**callee {
                    let value = self.evaluate(value, scope)?;
                    let name = self.literal(*name).clone();
                    if let Some(method) = value.method(name.as_str()) {
                        let args = self.arguments(args, scope)?;
                        return self.call_method(&value, method, args);
                    }
                    let callee = self.attribute(&value, &name)?;
                    let args = self.arguments(args, scope)?;
                    return self.call(&callee, args);
                }
                let callee = self.evaluate(callee, scope)?;
                let args = self.arguments(args, scope)?;
                self.call(&callee, args)
            }
            Expr::Filter(value, filter) => {
                let value = self.evaluate(value, scope)?;
                let args = self.arguments(&filter.args, scope)?;
                self.filter(&filter.name, value, args)
            }
            Expr::Test(value, test) => {
                let value = self.evaluate(value, scope)?;
                let args = self.arguments(&test.args, scope)?;
                self.test(&test.name, &value, args).map(Value::Bool)
            }
            Expr::Not(value) => Ok(Value::Bool(!self.holds(value, scope)?)),
            Expr::Negative(value) => match self.evaluate(value, scope)? {
                Value::Float(value) => Ok(Value::Float(-value)),
                Value::Undefined(missing) => Err(self.undefined(&missing)),
                other => match other.as_int() {
                    Some(value) => Ok(Value::Int(
                        value.checked_neg().ok_or_else(number::too_large)?,
                    )),
                    None => Err(bad_sign("-", &other)),
                },
            },
            Expr::Positive(value) => match self.evaluate(value, scope)? {
                Value::Float(value) => Ok(Value::Float(value)),
                Value::Undefined(missing) => Err(self.undefined(&missing)),
                other => match other.as_int() {
                    Some(value) => Ok(Value::Int(value)),
                    None => Err(bad_sign("+", &other)),
                },
            },
            Expr::Chain(first, rest) => {
                let mut value = self.evaluate(first, scope)?;
                for (operator, right) in rest {
                    let right = self.evaluate(right, scope)?;
                    value = self.operate(*operator, &value, &right)?;
                }
                Ok(value)
            }
            Expr::Concat(parts) => {
                let mut out = Writer::new(&self.budget)?;
                for part in parts {
                    let value = self.evaluate(part, scope)?;
                    print::write(&value, &mut out)?;
                }
                Ok(out.value())
            }
            Expr::Compare(first, rest) => {
                let mut left = self.evaluate(first, scope)?;
                for (comparison, right) in rest {
                    let right = self.evaluate(right, scope)?;
                    if !self.compare(*comparison, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Ok(Value::Bool(true))
            }
            Expr::And(parts) => self.decide(parts, false, scope),
            Expr::Or(parts) => self.decide(parts, true, scope),
            Expr::If(parts) => {
                let (condition, then, otherwise) = &**parts;
                if self.holds(condition, scope)? {
                    return self.evaluate(then, scope);
                }
                match otherwise {
                    Some(otherwise) => self.evaluate(otherwise, scope),
                    None => Ok(Value::Undefined(Missing::Nothing)),
                }
            }
            simple => self.evaluate(simple, scope),
        }
    }

    fn several(&mut self, parts: &[Expr], shape: Shape, scope: &Rc<Scope>) -> Result<Value> {
        let mut items = Items::new(&self.budget)?;
        for part in parts {
            items.push(self.evaluate(part, scope)?)?;
        }
        Ok(items.value(shape))
    }

    /// The first part that decides, or the last.
    fn decide(&mut self, parts: &[Expr], by: bool, scope: &Rc<Scope>) -> Result<Value> {
        let mut value = Value::None;
        for part in parts {
            value = self.evaluate(part, scope)?;
            if value.is_true() == by {
                break;
            }
        }
        Ok(value)
    }

    /// Whether a condition holds. Errors: those of its operations.
    pub fn holds(&mut self, condition: &Expr, scope: &Rc<Scope>) -> Result<bool> {
        Ok(self.evaluate(condition, scope)?.is_true())
    }

    /// Arguments with their values. Errors: those of their operations.
    pub fn arguments(&mut self, args: &Args, scope: &Rc<Scope>) -> Result<Arguments> {
        let mut found = Arguments::default();
        for (part, is_spread) in &args.positional {
            let value = self.evaluate(part, scope)?;
            match is_spread {
                false => found.positional.push(value),
                true => {
                    let list = self.walked(&value)?;
                    let bytes = list.items.len() * ARGUMENT_BYTES;
                    found.held.push(Hold::new(bytes, &self.budget)?);
                    found.positional.extend(list.items.iter().cloned());
                }
            }
        }
        for (name, part) in &args.named {
            let value = self.evaluate(part, scope)?;
            found.named.push((self.literal(*name).clone(), value));
        }
        if let Some(spread) = &args.spread {
            let Value::Dict(dict) = self.evaluate(spread, scope)? else {
                return Err(failed("argument after ** must be a mapping"));
            };
            let bytes = dict.entries.len() * ARGUMENT_BYTES;
            found.held.push(Hold::new(bytes, &self.budget)?);
            for (key, value) in &dict.entries {
                let Value::Text(key) = key else {
                    return Err(failed("keywords must be strings"));
                };
                found.named.push((key.clone(), value.clone()));
            }
        }
        Ok(found)
    }
}

fn bad_sign(sign: &str, value: &Value) -> Error {
    failed(format!(
        "bad operand type for unary {sign}: '{}'",
        value.type_name()
    ))
}
