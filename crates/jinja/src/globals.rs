//! Functions of the language.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::arguments::{Arguments, required, text, whole};
use crate::error::{Error, Result, failed};
use crate::evaluate::Vm;
use crate::print;
use crate::text::Writer;
use crate::value::{Entries, Items, Namespace, Shape, Value};

/// Numbers that one range may have, as in Jinja2's sandbox.
const MAX_RANGE: i128 = 100_000;

/// Characters of a template's own reason that are passed on.
const MAX_REASON: usize = 2000;

const FUNCTIONS: [&str; 7] = [
    "range",
    "dict",
    "namespace",
    "cycler",
    "joiner",
    "raise_exception",
    "strftime_now",
];

/// The function of this name.
pub fn function(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|own| **own == name).copied()
}

impl Vm<'_> {
    /// Calls a function of the language. Errors: those of the function.
    pub fn call_function(&mut self, name: &str, args: Arguments) -> Result<Value> {
        match name {
            "range" => self.range(args),
            "dict" => self.mapping(args),
            "namespace" => {
                let Value::Dict(dict) = self.mapping(args)? else {
                    return Err(failed("namespace takes a mapping"));
                };
                let namespace = Rc::new(Namespace {
                    values: RefCell::new(Vec::new()),
                });
                self.keep_namespace(&namespace)?;
                for (key, value) in &dict.entries {
                    if let Value::Text(key) = key {
                        self.set_in(&namespace.values, key.clone(), value.clone())?;
                    }
                }
                Ok(Value::Namespace(namespace))
            }
            "cycler" => {
                let mut items = Items::new(&self.budget)?;
                for item in args.positional {
                    items.push(item)?;
                }
                if items.len() == 0 {
                    return Err(failed("no items for cycling given"));
                }
                Ok(Value::Cycler(Rc::new((
                    items.list(Shape::Tuple),
                    Cell::new(0),
                ))))
            }
            "joiner" => {
                let [separator] = args.bind("joiner", ["sep"])?;
                let separator = match separator {
                    Some(separator) => separator,
                    None => Value::text(", ", &self.budget)?,
                };
                self.budget.spend(2)?;
                Ok(Value::Joiner(Rc::new((separator, Cell::new(false)))))
            }
            "raise_exception" => {
                let [message] = args.bind("raise_exception", ["message"])?;
                let message = required(message, "raise_exception", "message")?;
                let message = print::string(&message, &self.budget)?;
                let reason = message.as_str().chars().take(MAX_REASON).collect();
                Err(Error::Raised(reason))
            }
            _ => {
                let [format] = args.bind("strftime_now", ["format"])?;
                let mut out = Writer::new(&self.budget)?;
                let format = required(format, "strftime_now", "format").map(Some)?;
                self.moment
                    .write(text(&format)?.unwrap_or_default(), &mut out)?;
                Ok(out.value())
            }
        }
    }

    fn range(&self, args: Arguments) -> Result<Value> {
        let [first, second, step] = args.bind("range", ["start", "stop", "step"])?;
        let first = required(first, "range", "stop").map(Some)?;
        let (start, stop) = match second {
            None => (0, whole(&first, 0)?),
            second => (whole(&first, 0)?, whole(&second, 0)?),
        };
        let step = whole(&step, 1)?;
        if step == 0 {
            return Err(failed("range() arg 3 must not be zero"));
        }
        let distance = match step > 0 {
            true => stop.saturating_sub(start),
            false => start.saturating_sub(stop),
        };
        let size = step.unsigned_abs().min(i128::MAX as u128) as i128;
        let count = distance.max(0).saturating_add(size - 1) / size;
        if count > MAX_RANGE {
            return Err(failed(format!(
                "Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MAX_RANGE})."
            )));
        }
        let mut items = Items::new(&self.budget)?;
        for n in 0..count {
            items.push(Value::Int(start + n * step))?;
        }
        Ok(items.value(Shape::Range(start, stop, step)))
    }

    fn mapping(&self, args: Arguments) -> Result<Value> {
        let mut entries = Entries::new(&self.budget)?;
        for value in &args.positional {
            match value {
                Value::Dict(dict) => {
                    for (key, value) in &dict.entries {
                        entries.set(key.clone(), value.clone())?;
                    }
                }
                other => {
                    for pair in &self.walked(other)?.items {
                        let pair = self.walked(pair)?;
                        let [key, value] = pair.items.as_slice() else {
                            return Err(failed("a mapping is made of pairs"));
                        };
                        entries.set(key.clone(), value.clone())?;
                    }
                }
            }
        }
        for (name, value) in args.named {
            entries.set(Value::Text(name), value)?;
        }
        Ok(entries.value())
    }
}
