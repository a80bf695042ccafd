//! JSON in as values, values out as `json.dumps` writes them.

use std::rc::Rc;

use crate::budget::{Budget, Limits, MAX_NESTING};
use crate::compare;
use crate::error::{Error, Limit, Result, failed};
use crate::number::float_repr;
use crate::text::Writer;
use crate::value::{Entries, Items, Shape, Value};

/// The value of a JSON text's value; the budget grows with it. Errors: `Limit`.
pub fn read(json: &serde_json::Value, limits: &Limits, budget: &Rc<Budget>) -> Result<Value> {
    budget.grow(limits, 32);
    Ok(match json {
        serde_json::Value::Null => Value::None,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => {
            let whole = number
                .as_i64()
                .map(i128::from)
                .or(number.as_u64().map(i128::from));
            match whole {
                Some(value) => Value::Int(value),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            }
        }
        serde_json::Value::String(text) => {
            budget.grow(limits, text.len());
            Value::text(text, budget)?
        }
        serde_json::Value::Array(array) => {
            let mut items = Items::new(budget)?;
            for item in array {
                items.push(read(item, limits, budget)?)?;
            }
            items.value(Shape::List)
        }
        serde_json::Value::Object(object) => {
            let mut entries = Entries::new(budget)?;
            for (key, value) in object {
                budget.grow(limits, key.len());
                let key = Value::text(key, budget)?;
                entries.push(key, read(value, limits, budget)?)?;
            }
            entries.value()
        }
    })
}

/// How values are written.
pub struct Style {
    /// Other characters than ASCII as escapes.
    pub ensure_ascii: bool,
    /// What each level is indented by; `None`: all on one line.
    pub indent: Option<String>,
    /// Between items.
    pub comma: String,
    /// Between key and value.
    pub colon: String,
    /// By key instead of in their order.
    pub sort_keys: bool,
}

/// Writes `value` as JSON. Errors: `Failed` for what JSON does not know; `Limit`.
pub fn write(value: &Value, style: &Style, out: &mut Writer, level: u32) -> Result<()> {
    if level > MAX_NESTING {
        return Err(Error::Limit(Limit::Depth));
    }
    out.budget().spend(1)?;
    match value {
        Value::None => out.push("null"),
        Value::Bool(true) => out.push("true"),
        Value::Bool(false) => out.push("false"),
        Value::Int(value) => out.push(&value.to_string()),
        Value::Float(value) => out.push(&number(*value)),
        Value::Text(text) => quote(text.as_str(), style.ensure_ascii, out),
        Value::List(list) if matches!(list.shape, Shape::List | Shape::Tuple | Shape::Group) => {
            if list.items.is_empty() {
                return out.push("[]");
            }
            out.push("[")?;
            for (n, item) in list.items.iter().enumerate() {
                separate(n, style, out, level + 1)?;
                write(item, style, out, level + 1)?;
            }
            close("]", style, out, level)
        }
        Value::Dict(dict) => {
            if dict.entries.is_empty() {
                return out.push("{}");
            }
            let mut entries: Vec<&(Value, Value)> = dict.entries.iter().collect();
            if style.sort_keys {
                let budget = out.budget().clone();
                entries = compare::sort(entries, false, &mut |a, b| a.0.order(&b.0, &budget))?;
            }
            out.push("{")?;
            for (n, (key, value)) in entries.into_iter().enumerate() {
                separate(n, style, out, level + 1)?;
                match key {
                    Value::Text(key) => quote(key.as_str(), style.ensure_ascii, out)?,
                    Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                        out.push("\"")?;
                        write(key, style, out, level + 1)?;
                        out.push("\"")?;
                    }
                    other => {
                        let kind = other.type_name();
                        return Err(failed(format!(
                            "keys must be str, int, float, bool or None, not {kind}"
                        )));
                    }
                }
                out.push(&style.colon)?;
                write(value, style, out, level + 1)?;
            }
            close("}", style, out, level)
        }
        other => Err(failed(format!(
            "Object of type {} is not JSON serializable",
            other.type_name()
        ))),
    }
}

fn separate(n: usize, style: &Style, out: &mut Writer, level: u32) -> Result<()> {
    if n > 0 {
        out.push(&style.comma)?;
    }
    line(style, out, level)
}

fn line(style: &Style, out: &mut Writer, level: u32) -> Result<()> {
    let Some(indent) = &style.indent else {
        return Ok(());
    };
    out.push("\n")?;
    out.repeat(indent, level as usize)
}

fn close(sign: &str, style: &Style, out: &mut Writer, level: u32) -> Result<()> {
    line(style, out, level)?;
    out.push(sign)
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.into()
    } else {
        float_repr(value)
    }
}

fn quote(text: &str, ensure_ascii: bool, out: &mut Writer) -> Result<()> {
    out.push("\"")?;
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\u{8}' => "\\b".to_owned(),
            '\u{c}' => "\\f".to_owned(),
            c if c < ' ' => format!("\\u{:04x}", c as u32),
            c if ensure_ascii && !(' '..='~').contains(&c) => {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
            }
            _ => continue,
        };
        out.push(&text[plain..at])?;
        out.push(&escape)?;
        plain = at + c.len_utf8();
    }
    out.push(&text[plain..])?;
    out.push("\"")
}
