//! Statements to text.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use crate::arguments::Arguments;
use crate::ast::{Block, Expr, Filter, For, LOOP, MacroDef, Node, Statement, Target};
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::print;
use crate::scope::Scope;
use crate::text::Writer;
use crate::value::{Closure, Items, List, LoopState, Shape, Value};

/// Bytes of one value of a namespace.
const NAMESPACE_BYTES: usize = 64;

/// Where a block leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// To what follows.
    On,
    /// Out of the loop.
    Break,
    /// To the next item of the loop.
    Continue,
}

impl Vm<'_> {
    /// Renders a block. Errors: those of its statements.
    pub fn block(&mut self, block: &Block, scope: &Rc<Scope>, out: &mut Writer) -> Result<Flow> {
        self.inside(|vm| {
            for statement in block {
                vm.budget.spend(1)?;
                let flow = vm.statement(statement, scope, out);
                let flow = flow.map_err(|error| error.at(statement.line))?;
                if flow != Flow::On {
                    return Ok(flow);
                }
            }
            Ok(Flow::On)
        })
    }

    fn statement(
        &mut self,
        statement: &Statement,
        scope: &Rc<Scope>,
        out: &mut Writer,
    ) -> Result<Flow> {
        match &statement.node {
            Node::Text(text) => out.push(text)?,
            Node::Print(value) => {
                let value = self.evaluate(value, scope)?;
                print::write(&value, out)?;
            }
            Node::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if self.holds(condition, scope)? {
                        return self.block(body, scope, out);
                    }
                }
                return self.block(otherwise, scope, out);
            }
            Node::For(cycle) => {
                let over = self.evaluate(&cycle.over, scope)?;
                self.cycle(cycle, &over, 0, scope, out)?;
            }
            Node::Set(target, value) => {
                let value = self.evaluate(value, scope)?;
                self.assign(target, value, scope)?;
            }
            Node::SetBlock(target, filters, body) => {
                let value = self.captured(filters, body, scope)?;
                self.assign(target, value, scope)?;
            }
            Node::With(bindings, body) => {
                let inner = Scope::new(Some(scope), &self.budget)?;
                let mut values = Vec::new();
                for (_, value) in bindings {
                    values.push(self.evaluate(value, scope)?);
                }
                for ((target, _), value) in bindings.iter().zip(values) {
                    self.assign(target, value, &inner)?;
                }
                return self.block(body, &inner, out);
            }
            Node::Macro(def) => {
                let closure = self.closure(def, scope)?;
                if let Some(name) = def.name {
                    scope.set(name, closure)?;
                }
            }
            Node::Call(def, call) => {
                let Expr::Call(callee, args) = call else {
                    return Err(failed("'call' needs a call"));
                };
                let callee = self.evaluate(callee, scope)?;
                let mut args = self.arguments(args, scope)?;
                let caller = self.closure(def, scope)?;
                args.named.push((self.small_text("caller")?, caller));
                let value = self.call(&callee, args)?;
                print::write(&value, out)?;
            }
            Node::Filter(filters, body) => {
                let value = self.captured(filters, body, scope)?;
                print::write(&value, out)?;
            }
            Node::Scoped(body) => {
                let inner = Scope::new(Some(scope), &self.budget)?;
                return self.block(body, &inner, out);
            }
            Node::Named(body) => {
                let inner = Scope::new(Some(&self.top), &self.budget)?;
                self.block(body, &inner, out)?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn closure(&mut self, def: &Arc<MacroDef>, scope: &Rc<Scope>) -> Result<Value> {
        self.keep_scope(scope)?;
        Ok(Value::Macro(Rc::new(Closure {
            def: def.clone(),
            scope: scope.clone(),
        })))
    }

    /// What a block renders, behind its filters.
    fn captured(&mut self, filters: &[Filter], body: &Block, scope: &Rc<Scope>) -> Result<Value> {
        let inner = Scope::new(Some(scope), &self.budget)?;
        let mut text = Writer::new(&self.budget)?;
        self.block(body, &inner, &mut text)?;
        let mut value = text.value();
        for filter in filters {
            let args = self.arguments(&filter.args, &inner)?;
            value = self.filter(&filter.name, value, args)?;
        }
        Ok(value)
    }

    /// Sets what `target` names. Errors: `Failed` for a value that does not fit; `Limit`.
    pub fn assign(&mut self, target: &Target, value: Value, scope: &Rc<Scope>) -> Result<()> {
        match target {
            Target::Name(symbol) => scope.set(*symbol, value),
            Target::Attribute(symbol, name) => {
                let Some(Value::Namespace(namespace)) = scope.get(*symbol)? else {
                    return Err(failed("cannot assign attribute on non-namespace object"));
                };
                let name = self.literal(*name).clone();
                self.set_in(&namespace.values, name, value)
            }
            Target::Several(targets) => {
                let list = self.walked(&value)?;
                if list.items.len() != targets.len() {
                    return Err(failed(format!(
                        "{} values do not go into {} variables",
                        list.items.len(),
                        targets.len()
                    )));
                }
                for (target, value) in targets.iter().zip(&list.items) {
                    self.assign(target, value.clone(), scope)?;
                }
                Ok(())
            }
        }
    }

    /// Sets a value of a namespace. Errors: `Limit`.
    pub fn set_in(
        &self,
        values: &RefCell<Vec<(Rc<crate::text::Text>, Value)>>,
        name: Rc<crate::text::Text>,
        value: Value,
    ) -> Result<()> {
        let mut values = values.borrow_mut();
        self.budget.spend(1 + values.len() as u64 / 4)?;
        let found = values
            .iter_mut()
            .find(|(own, _)| own.as_str() == name.as_str());
        let before = match found {
            Some(own) => Some(std::mem::replace(&mut own.1, value)),
            None => {
                self.budget.hold(NAMESPACE_BYTES)?;
                values.push((name, value));
                None
            }
        };
        drop(values);
        drop(before);
        Ok(())
    }

    /// Runs a loop over a value. Errors: those of its statements.
    pub fn cycle(
        &mut self,
        cycle: &Arc<For>,
        over: &Value,
        level: u32,
        scope: &Rc<Scope>,
        out: &mut Writer,
    ) -> Result<()> {
        let mut items = self.walked(over)?;
        if let Some(only) = &cycle.only {
            let mut kept = Items::new(&self.budget)?;
            for item in &items.items {
                let inner = Scope::new(Some(scope), &self.budget)?;
                self.assign(&cycle.target, item.clone(), &inner)?;
                if self.holds(only, &inner)? {
                    kept.push(item.clone())?;
                }
            }
            items = Rc::new(kept.list(Shape::List));
        }
        if items.items.is_empty() {
            let inner = Scope::new(Some(scope), &self.budget)?;
            self.block(&cycle.otherwise, &inner, out)?;
            return Ok(());
        }
        if cycle.recursive {
            self.keep_scope(scope)?;
        }
        let state = Rc::new(LoopState {
            items: items.clone(),
            at: Cell::new(0),
            level,
            last: RefCell::new(None),
            runs: Cell::new(true),
            again: cycle.recursive.then(|| (cycle.clone(), scope.clone())),
        });
        let result = self.walk(cycle, &items, &state, scope, out);
        state.runs.set(false);
        drop(state.last.take());
        result
    }

    fn walk(
        &mut self,
        cycle: &For,
        items: &List,
        state: &Rc<LoopState>,
        scope: &Rc<Scope>,
        out: &mut Writer,
    ) -> Result<()> {
        for (at, item) in items.items.iter().enumerate() {
            state.at.set(at);
            let inner = Scope::new(Some(scope), &self.budget)?;
            inner.set(LOOP, Value::Loop(state.clone()))?;
            self.assign(&cycle.target, item.clone(), &inner)?;
            if self.block(&cycle.body, &inner, out)? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    /// Calls a macro. Errors: `Failed` for arguments that it does not take; those of its statements.
    pub fn call_macro(&mut self, closure: &Closure, args: Arguments) -> Result<Value> {
        use crate::ast::{CALLER, KWARGS, VARARGS};
        let def = &closure.def;
        let name = def.name.map_or("caller", |symbol| self.name(symbol));
        let scope = Scope::new(Some(&closure.scope), &self.budget)?;
        let mut named = args.named;
        let mut take = |name: &str| {
            let at = named.iter().position(|(own, _)| own.as_str() == name)?;
            Some(named.remove(at).1)
        };
        let required = def.params.len() - def.defaults.len();
        let mut positional = args.positional.into_iter();
        let mut missing = Vec::new();
        for (at, (symbol, literal)) in def.params.iter().enumerate() {
            let given = positional.next();
            let by_name = take(self.literal(*literal).as_str());
            if given.is_some() && by_name.is_some() {
                return Err(failed(format!("'{name}' is given an argument twice")));
            }
            match given.or(by_name) {
                Some(value) => scope.set(*symbol, value)?,
                None if at >= required => missing.push((*symbol, at - required)),
                None => {
                    let undefined = crate::value::Missing::Variable(*symbol);
                    scope.set(*symbol, Value::Undefined(undefined))?;
                }
            }
        }
        if def.takes_caller {
            let undefined = Value::Undefined(crate::value::Missing::Variable(CALLER));
            scope.set(CALLER, take("caller").unwrap_or(undefined))?;
        }
        for (symbol, default) in missing {
            let value = self.evaluate(&def.defaults[default], &scope)?;
            scope.set(symbol, value)?;
        }
        if def.takes_named {
            let mut entries = crate::value::Entries::new(&self.budget)?;
            for (name, value) in named.drain(..) {
                entries.set(Value::Text(name), value)?;
            }
            scope.set(KWARGS, entries.value())?;
        }
        if let Some((other, _)) = named.first() {
            return Err(failed(format!(
                "macro '{name}' takes no keyword argument '{}'",
                other.as_str()
            )));
        }
        if def.takes_more {
            let mut items = Items::new(&self.budget)?;
            for value in positional.by_ref() {
                items.push(value)?;
            }
            scope.set(VARARGS, items.value(Shape::Tuple))?;
        }
        if positional.next().is_some() {
            return Err(failed(format!(
                "macro '{name}' takes not more than {} argument(s)",
                def.params.len()
            )));
        }
        let mut out = Writer::new(&self.budget)?;
        self.block(&def.body, &scope, &mut out)?;
        Ok(out.value())
    }
}
