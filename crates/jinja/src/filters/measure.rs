//! Filters that give a number or one of the items.

use std::cmp::Ordering;

use crate::arguments::{Arguments, text, truth, whole};
use crate::ast::Operator;
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::number::{Number, parse_float};
use crate::value::{Missing, Shape, Value};

impl Vm<'_> {
    /// `length`, `sum` and their kin. Errors: `Failed` for values that they are not for; `Limit`.
    pub fn measure(&mut self, name: &str, value: Value, args: Arguments) -> Result<Value> {
        match name {
            "length" | "count" => {
                let [] = args.bind(name, [])?;
                self.length(&value)
            }
            "first" | "last" => {
                let [] = args.bind(name, [])?;
                let found = match &value {
                    Value::Text(text) => {
                        self.budget.spend(1)?;
                        let c = match name {
                            "first" => text.as_str().chars().next(),
                            _ => text.as_str().chars().next_back(),
                        };
                        match c {
                            Some(c) => Some(Value::text(c.encode_utf8(&mut [0; 4]), &self.budget)?),
                            None => None,
                        }
                    }
                    Value::Once(once) if name == "first" => once.items.borrow_mut().pop_front(),
                    other => {
                        let list = self.walked(other)?;
                        let found = match name {
                            "first" => list.items.first(),
                            _ => list.items.last(),
                        };
                        found.cloned()
                    }
                };
                Ok(found.unwrap_or(Value::Undefined(Missing::Nothing)))
            }
            "min" | "max" => {
                let [cased, attribute] = args.bind(name, ["case_sensitive", "attribute"])?;
                let cased = truth(&cased, false);
                let wanted = match name {
                    "min" => Ordering::Less,
                    _ => Ordering::Greater,
                };
                let list = self.walked(&value)?;
                let mut best: Option<(Value, Value)> = None;
                for item in &list.items {
                    let key = match &attribute {
                        None | Some(Value::None) => item.clone(),
                        Some(path) => self.path(item, path)?,
                    };
                    let key = match &key {
                        Value::Text(text) if !cased => {
                            let text = text.clone();
                            self.text_method(&text, "lower", Arguments::default())?
                        }
                        _ => key,
                    };
                    let is_better = match &best {
                        None => true,
                        Some((own, _)) => key.order(own, &self.budget)? == wanted,
                    };
                    if is_better {
                        best = Some((key, item.clone()));
                    }
                }
                let found = best.map(|(_, item)| item);
                Ok(found.unwrap_or(Value::Undefined(Missing::Nothing)))
            }
            "sum" => {
                let [attribute, start] = args.bind(name, ["attribute", "start"])?;
                let list = self.walked(&value)?;
                let mut sum = start.unwrap_or(Value::Int(0));
                for item in &list.items {
                    let item = match &attribute {
                        None | Some(Value::None) => item.clone(),
                        Some(path) => self.path(item, path)?,
                    };
                    sum = self.operate(Operator::Add, &sum, &item)?;
                }
                Ok(sum)
            }
            "abs" => {
                let [] = args.bind(name, [])?;
                match value.as_number() {
                    Some(Number::Int(value)) => Ok(Value::Int(value.saturating_abs())),
                    Some(Number::Float(value)) => Ok(Value::Float(value.abs())),
                    None => Err(failed(format!(
                        "bad operand type for abs(): '{}'",
                        value.type_name()
                    ))),
                }
            }
            "int" => {
                let [unless, base] = args.bind(name, ["default", "base"])?;
                let base = u32::try_from(whole(&base, 10)?).unwrap_or(0);
                match self.to_int(&value, base)? {
                    Some(value) => Ok(Value::Int(value)),
                    None => Ok(unless.unwrap_or(Value::Int(0))),
                }
            }
            "float" => {
                let [unless] = args.bind(name, ["default"])?;
                let found = match &value {
                    Value::Text(text) => {
                        self.budget.look(text.as_str().len())?;
                        parse_float(text.as_str())
                    }
                    other => other.as_number().map(Number::float),
                };
                match found {
                    Some(value) => Ok(Value::Float(value)),
                    None => Ok(unless.unwrap_or(Value::Float(0.0))),
                }
            }
            "round" => {
                let [precision, method] = args.bind(name, ["precision", "method"])?;
                let precision = whole(&precision, 0)?;
                let method = text(&method)?.unwrap_or("common");
                round(&value, precision, method)
            }
            _ => {
                let [binary] = args.bind(name, ["binary"])?;
                let bytes = match value {
                    Value::Text(text) => parse_float(text.as_str()),
                    other => other.as_number().map(Number::float),
                };
                let bytes = bytes.ok_or_else(|| failed("filesizeformat is for numbers"))?;
                Value::text(&file_size(bytes, truth(&binary, false)), &self.budget)
            }
        }
    }

    fn length(&self, value: &Value) -> Result<Value> {
        let len = match value {
            Value::Text(text) => {
                self.budget.look(text.as_str().len())?;
                text.as_str().chars().count()
            }
            Value::List(list) => match list.shape {
                Shape::Group => 2,
                _ => list.items.len(),
            },
            Value::Dict(dict) => dict.entries.len(),
            Value::Loop(state) => state.items.items.len(),
            Value::Undefined(Missing::Unsafe(_)) => {
                return Err(self.undefined(&Missing::Nothing));
            }
            Value::Undefined(_) => 0,
            other => {
                return Err(failed(format!(
                    "object of type '{}' has no len()",
                    other.type_name()
                )));
            }
        };
        Ok(Value::Int(len as i128))
    }
}

fn round(value: &Value, precision: i128, method: &str) -> Result<Value> {
    /// Digits behind the point that a float can have at all.
    const MOST: i128 = 400;
    let number = value.as_number().ok_or_else(|| {
        failed(format!(
            "type {} doesn't define __round__ method",
            value.type_name()
        ))
    })?;
    let precision = precision.clamp(-MOST, MOST);
    let scale = 10_f64.powi(precision as i32);
    match (method, number) {
        ("common", Number::Int(value)) if precision >= 0 => Ok(Value::Int(value)),
        ("common", number) if precision >= 0 => {
            let digits = precision as usize;
            let text = format!("{:.digits$}", number.float());
            Ok(Value::Float(text.parse().unwrap_or(f64::NAN)))
        }
        ("common", number) => {
            let rounded = (number.float() * scale).round_ties_even() / scale;
            Ok(match number {
                Number::Int(_) => Value::Int(rounded as i128),
                Number::Float(_) => Value::Float(rounded),
            })
        }
        ("ceil", number) => Ok(Value::Float((number.float() * scale).ceil() / scale)),
        ("floor", number) => Ok(Value::Float((number.float() * scale).floor() / scale)),
        _ => Err(failed("method must be common, ceil or floor")),
    }
}

fn file_size(bytes: f64, binary: bool) -> String {
    let base = if binary { 1024.0 } else { 1000.0 };
    let prefixes = match binary {
        true => ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"],
        false => ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"],
    };
    if bytes == 1.0 {
        return "1 Byte".into();
    }
    if bytes < base {
        return format!("{} Bytes", bytes as i64);
    }
    let mut unit = base;
    for (n, prefix) in prefixes.iter().enumerate() {
        unit *= base;
        if bytes < unit || n + 1 == prefixes.len() {
            return format!("{:.1} {prefix}", base * bytes / unit);
        }
    }
    String::new()
}
