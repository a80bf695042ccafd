//! Values as Python prints them: `str` and `repr`.

use std::rc::Rc;

use crate::budget::MAX_NESTING;
use crate::error::{Error, Limit, Result};
use crate::number::float_repr;
use crate::text::{Text, Writer};
use crate::value::{Shape, Value};
use crate::words::is_printable;

/// Writes `value` as `str` has it. Errors: `Limit`.
pub fn write(value: &Value, out: &mut Writer) -> Result<()> {
    match value {
        Value::Undefined(_) => Ok(()),
        Value::Text(text) => out.push(text.as_str()),
        other => write_repr(other, out, 0),
    }
}

/// The text of `value` as `str` has it; a text is not copied. Errors: `Limit`.
pub fn string(value: &Value, budget: &Rc<crate::budget::Budget>) -> Result<Rc<Text>> {
    if let Value::Text(text) = value {
        return Ok(text.clone());
    }
    let mut out = Writer::new(budget)?;
    write(value, &mut out)?;
    Ok(out.text())
}

/// Writes `value` as `repr` has it. Errors: `Limit`.
pub fn write_repr(value: &Value, out: &mut Writer, level: u32) -> Result<()> {
    if level > MAX_NESTING {
        return Err(Error::Limit(Limit::Depth));
    }
    out.budget().spend(1)?;
    match value {
        Value::Undefined(_) => out.push("Undefined"),
        Value::None => out.push("None"),
        Value::Bool(true) => out.push("True"),
        Value::Bool(false) => out.push("False"),
        Value::Int(value) => out.push(&value.to_string()),
        Value::Float(value) => out.push(&float_repr(*value)),
        Value::Text(text) => quote(text.as_str(), out),
        Value::List(list) => {
            let (open, close) = match list.shape {
                Shape::List => ("[", "]"),
                Shape::Tuple | Shape::Group => ("(", ")"),
                Shape::View(name) => {
                    out.push(name)?;
                    ("([", "])")
                }
                Shape::Range(start, stop, step) => {
                    let text = match step {
                        1 => format!("range({start}, {stop})"),
                        _ => format!("range({start}, {stop}, {step})"),
                    };
                    return out.push(&text);
                }
            };
            out.push(open)?;
            for (n, item) in list.items.iter().enumerate() {
                if n > 0 {
                    out.push(", ")?;
                }
                write_repr(item, out, level + 1)?;
            }
            if list.items.len() == 1 && open == "(" {
                out.push(",")?;
            }
            out.push(close)
        }
        Value::Dict(dict) => {
            out.push("{")?;
            for (n, (key, value)) in dict.entries.iter().enumerate() {
                if n > 0 {
                    out.push(", ")?;
                }
                write_repr(key, out, level + 1)?;
                out.push(": ")?;
                write_repr(value, out, level + 1)?;
            }
            out.push("}")
        }
        Value::Namespace(namespace) => {
            out.push("<Namespace {")?;
            for (n, (name, value)) in namespace.values.borrow().iter().enumerate() {
                if n > 0 {
                    out.push(", ")?;
                }
                quote(name.as_str(), out)?;
                out.push(": ")?;
                write_repr(value, out, level + 1)?;
            }
            out.push("}>")
        }
        Value::Loop(state) => {
            let text = format!(
                "<LoopContext {}/{}>",
                state.at.get() + 1,
                state.items.items.len()
            );
            out.push(&text)
        }
        other => {
            out.push("<")?;
            out.push(other.type_name())?;
            out.push(">")
        }
    }
}

/// A text in quotes, with escapes for what cannot be seen.
fn quote(text: &str, out: &mut Writer) -> Result<()> {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    out.push_char(quote)?;
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '\n' => "\\n".to_owned(),
            '\r' => "\\r".to_owned(),
            '\t' => "\\t".to_owned(),
            '\\' => "\\\\".to_owned(),
            c if c == quote => format!("\\{c}"),
            c if is_printable(c) => continue,
            c if (c as u32) < 0x100 => format!("\\x{:02x}", c as u32),
            c if (c as u32) < 0x10000 => format!("\\u{:04x}", c as u32),
            c => format!("\\U{:08x}", c as u32),
        };
        out.push(&text[plain..at])?;
        out.push(&escape)?;
        plain = at + c.len_utf8();
    }
    out.push(&text[plain..])?;
    out.push_char(quote)
}
