//! Calls: of functions, macros, loops and methods.

use std::cell::Cell;
use std::rc::Rc;

use crate::arguments::{Arguments, required, whole};
use crate::budget::Budget;
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::text::Writer;
use crate::value::{Dict, Items, List, LoopState, Shape, Value};

impl Vm<'_> {
    /// Calls a value. Errors: `Failed` for what cannot be called; those of the call.
    pub fn call(&mut self, callee: &Value, args: Arguments) -> Result<Value> {
        self.inside(|vm| match callee {
            Value::Function(name) => vm.call_function(name, args),
            Value::Macro(closure) => {
                let closure = closure.clone();
                vm.call_macro(&closure, args)
            }
            Value::Method(method) => vm.call_method(&method.0, method.1, args),
            Value::Loop(state) => vm.call_loop(state, args),
            Value::Joiner(joiner) => {
                let [] = args.bind("joiner", [])?;
                match joiner.1.replace(true) {
                    true => Ok(joiner.0.clone()),
                    false => Value::text("", &vm.budget),
                }
            }
            Value::Undefined(missing) => Err(vm.undefined(missing)),
            other => Err(failed(format!(
                "'{}' object is not callable",
                other.type_name()
            ))),
        })
    }

    fn call_loop(&mut self, state: &Rc<LoopState>, args: Arguments) -> Result<Value> {
        let Some((cycle, scope)) = state.again.clone() else {
            return Err(failed(
                "the loop must have the 'recursive' marker to be called",
            ));
        };
        let [over] = args.bind("loop", ["iterable"])?;
        let over = required(over, "loop", "iterable")?;
        let mut out = Writer::new(&self.budget)?;
        self.cycle(&cycle, &over, state.level + 1, &scope, &mut out)?;
        Ok(out.value())
    }

    /// Calls a method that `Value::method` knows. Errors: those of the method.
    pub fn call_method(
        &mut self,
        value: &Value,
        method: &'static str,
        args: Arguments,
    ) -> Result<Value> {
        match value {
            Value::Text(text) => {
                let text = text.clone();
                self.text_method(&text, method, args)
            }
            Value::Dict(dict) => self.dict_method(dict, method, args),
            Value::List(list) => self.list_method(list, method, args),
            Value::Loop(state) => self.loop_method(state, method, args),
            Value::Cycler(cycler) => cycler_method(&cycler.0, &cycler.1, method),
            _ => Err(failed(format!("there is no method '{method}'"))),
        }
    }

    fn dict_method(&self, dict: &Rc<Dict>, method: &str, args: Arguments) -> Result<Value> {
        if method == "get" {
            let [key, default] = args.bind("get", ["key", "default"])?;
            let key = required(key, "get", "key")?;
            let found = dict.find(&key)?.cloned();
            return Ok(found.or(default).unwrap_or(Value::None));
        }
        let [] = args.bind(method, [])?;
        if method == "copy" {
            return Ok(Value::Dict(dict.clone()));
        }
        let mut items = Items::new(&self.budget)?;
        for (key, value) in &dict.entries {
            items.push(match method {
                "keys" => key.clone(),
                "values" => value.clone(),
                _ => self.pair(key, value)?,
            })?;
        }
        Ok(items.value(Shape::View(match method {
            "keys" => "dict_keys",
            "values" => "dict_values",
            _ => "dict_items",
        })))
    }

    /// A tuple of two. Errors: `Limit`.
    pub fn pair(&self, first: &Value, second: &Value) -> Result<Value> {
        let mut pair = Items::new(&self.budget)?;
        pair.push(first.clone())?;
        pair.push(second.clone())?;
        Ok(pair.value(Shape::Tuple))
    }

    fn list_method(&self, list: &Rc<List>, method: &str, args: Arguments) -> Result<Value> {
        if method == "copy" {
            return Ok(Value::List(list.clone()));
        }
        let [item, start, stop] = args.bind(method, ["value", "start", "stop"])?;
        let item = required(item, method, "value")?;
        let len = list.items.len() as i128;
        let bound = |at: i128| if at < 0 { (at + len).max(0) } else { at.min(len) } as usize;
        let (from, to) = (bound(whole(&start, 0)?), bound(whole(&stop, len)?));
        let mut count = 0;
        for at in from..to {
            if list.items[at].equals(&item, &self.budget)? {
                if method == "index" {
                    return Ok(Value::Int(at as i128));
                }
                count += 1;
            }
        }
        match method {
            "index" => Err(failed("the value is not in the list")),
            _ => Ok(Value::Int(count)),
        }
    }

    fn loop_method(&self, state: &Rc<LoopState>, method: &str, args: Arguments) -> Result<Value> {
        if method == "cycle" {
            return match args.positional.len() {
                0 => Err(failed("no items for cycling given")),
                len => Ok(args.positional[state.at.get() % len].clone()),
            };
        }
        let values = args.positional;
        let mut last = state.last.borrow_mut();
        let mut is_same = last.as_ref().is_some_and(|last| last.len() == values.len());
        if let Some(last) = last.as_ref().filter(|_| is_same) {
            for (a, b) in last.iter().zip(&values) {
                is_same &= a.equals(b, &self.budget)?;
            }
        }
        if !is_same && state.runs.get() {
            // A loop that remembered itself would never be freed.
            for value in &values {
                if holds_a_loop(value, &self.budget)? {
                    return Err(failed("'changed' does not compare loops"));
                }
            }
            self.budget.look(values.len() * 32)?;
            *last = Some(values);
        }
        Ok(Value::Bool(!is_same))
    }
}

/// Whether a loop's state is in the value, at any depth. Errors: `Limit`.
fn holds_a_loop(value: &Value, budget: &Budget) -> Result<bool> {
    budget.spend(1)?;
    let any = |values: &mut dyn Iterator<Item = &Value>| {
        for value in values {
            if holds_a_loop(value, budget)? {
                return Ok(true);
            }
        }
        Ok(false)
    };
    match value {
        Value::Loop(_) | Value::Method(_) | Value::Cycler(_) | Value::Joiner(_) => Ok(true),
        Value::List(list) => any(&mut list.items.iter()),
        Value::Dict(dict) => any(&mut dict.entries.iter().map(|(_, value)| value)),
        Value::Once(once) => any(&mut once.items.borrow().iter()),
        _ => Ok(false),
    }
}

fn cycler_method(list: &List, at: &Cell<usize>, method: &str) -> Result<Value> {
    if method == "reset" {
        at.set(0);
        return Ok(Value::None);
    }
    let value = list.items[at.get()].clone();
    at.set((at.get() + 1) % list.items.len());
    Ok(value)
}
