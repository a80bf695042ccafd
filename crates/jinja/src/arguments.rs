//! Arguments of a call, and how functions take them.

use std::rc::Rc;

use crate::budget::Hold;
use crate::error::{Result, failed};
use crate::text::Text;
use crate::value::Value;

/// Arguments of a call.
#[derive(Default)]
pub struct Arguments {
    /// By position.
    pub positional: Vec<Value>,
    /// By name.
    pub named: Vec<(Rc<Text>, Value)>,
    /// What `*` and `**` put there, which is as long as a value may be.
    pub held: Vec<Hold>,
}

/// Bytes of one argument of `*` or `**`.
pub const ARGUMENT_BYTES: usize = 64;

impl Arguments {
    /// One by name.
    pub fn named(&self, name: &str) -> Option<&Value> {
        let found = self.named.iter().find(|(own, _)| own.as_str() == name);
        found.map(|(_, value)| value)
    }

    /// The arguments of a function that takes these names, in this order.
    ///
    /// Errors: `Failed` for more arguments, for other names, and for the same argument twice.
    pub fn bind<const N: usize>(
        self,
        function: &str,
        names: [&str; N],
    ) -> Result<[Option<Value>; N]> {
        let mut bound = [const { None }; N];
        if self.positional.len() > N {
            return Err(failed(format!(
                "{function}() takes at most {N} arguments ({} given)",
                self.positional.len()
            )));
        }
        for (place, value) in bound.iter_mut().zip(self.positional) {
            *place = Some(value);
        }
        for (name, value) in self.named {
            let Some(at) = names.iter().position(|own| *own == name.as_str()) else {
                return Err(failed(format!(
                    "{function}() got an unexpected keyword argument '{}'",
                    name.as_str()
                )));
            };
            if bound[at].is_some() {
                return Err(failed(format!(
                    "{function}() got multiple values for argument '{}'",
                    name.as_str()
                )));
            }
            bound[at] = Some(value);
        }
        Ok(bound)
    }

    /// The first argument, taken out. Errors: `Failed` where there is none.
    pub fn take_first(&mut self, function: &str) -> Result<Value> {
        match self.positional.is_empty() {
            true => Err(failed(format!("{function}() lacks an argument"))),
            false => Ok(self.positional.remove(0)),
        }
    }
}

/// An argument that must be there. Errors: `Failed`.
pub fn required(value: Option<Value>, function: &str, name: &str) -> Result<Value> {
    value.ok_or_else(|| {
        failed(format!(
            "{function}() missing 1 required argument: '{name}'"
        ))
    })
}

/// A whole number, or what it is unless given. Errors: `Failed` for another type.
pub fn whole(value: &Option<Value>, unless: i128) -> Result<i128> {
    match value {
        None => Ok(unless),
        Some(value) => value.as_int().ok_or_else(|| {
            failed(format!(
                "'{}' object cannot be interpreted as an integer",
                value.type_name()
            ))
        }),
    }
}

/// A text, or nothing where it is not given or `none`. Errors: `Failed` for another type.
pub fn text(value: &Option<Value>) -> Result<Option<&str>> {
    match value {
        None | Some(Value::None) => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(failed(format!("must be str, not {}", other.type_name()))),
    }
}

/// A condition, or what it is unless given.
pub fn truth(value: &Option<Value>, unless: bool) -> bool {
    value.as_ref().map_or(unless, Value::is_true)
}

/// A whole number as a size: what is negative is 0.
pub fn size(number: i128) -> usize {
    usize::try_from(number.max(0)).unwrap_or(usize::MAX)
}
