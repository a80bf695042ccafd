//! Filters that apply a filter or a test to each item.

use crate::arguments::Arguments;
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::value::{Items, Value};

/// Copies of arguments, for each item.
fn again(args: &Arguments) -> Arguments {
    Arguments {
        positional: args.positional.clone(),
        named: args.named.clone(),
        held: Vec::new(),
    }
}

impl Vm<'_> {
    /// `map`, `select` and their kin. Errors: those of the filter or test.
    pub fn choose(&mut self, name: &str, value: Value, mut args: Arguments) -> Result<Value> {
        let list = self.walked(&value)?;
        let mut items = Items::new(&self.budget)?;
        let copied = 1 + args.positional.len() + args.named.len();
        if name == "map" {
            if args.positional.is_empty() {
                let mut default = None;
                let mut path = None;
                for (name, value) in args.named.drain(..) {
                    match name.as_str() {
                        "attribute" => path = Some(value),
                        "default" => default = Some(value),
                        other => {
                            return Err(failed(format!("Unexpected keyword argument '{other}'")));
                        }
                    }
                }
                let path = path.ok_or_else(|| failed("map requires a filter argument"))?;
                for item in &list.items {
                    let found = self.path(item, &path)?;
                    items.push(match (found, &default) {
                        (Value::Undefined(_), Some(default)) => default.clone(),
                        (found, _) => found,
                    })?;
                }
                return Ok(items.once());
            }
            let filter = args.take_first(name)?;
            let Value::Text(filter) = filter else {
                return Err(failed("map requires the name of a filter"));
            };
            for item in &list.items {
                self.budget.spend(copied as u64)?;
                let filtered =
                    self.inside(|vm| vm.filter(filter.as_str(), item.clone(), again(&args)))?;
                items.push(filtered)?;
            }
            return Ok(items.once());
        }
        let path = match name {
            "selectattr" | "rejectattr" => Some(args.take_first(name)?),
            _ => None,
        };
        let test = match args.positional.is_empty() {
            true => None,
            false => match args.take_first(name)? {
                Value::Text(test) => Some(test),
                _ => return Err(failed(format!("{name} requires the name of a test"))),
            },
        };
        let keeps = matches!(name, "select" | "selectattr");
        for item in &list.items {
            self.budget.spend(copied as u64)?;
            let judged = match &path {
                Some(path) => self.path(item, path)?,
                None => item.clone(),
            };
            let passes = match &test {
                Some(test) => self.test(test.as_str(), &judged, again(&args))?,
                None => judged.is_true(),
            };
            if passes == keeps {
                items.push(item.clone())?;
            }
        }
        Ok(items.once())
    }
}
