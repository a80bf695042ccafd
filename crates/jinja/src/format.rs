//! `'{}'.format(x)`.

use crate::arguments::Arguments;
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::print;
use crate::spec::Spec;
use crate::text::Writer;
use crate::value::Value;

/// Levels of fields inside the layout of a field, as in Python.
const MAX_LEVELS: u32 = 2;

impl Vm<'_> {
    /// `text.format(...)`. Errors: `Failed` for fields that are not given; `Limit`.
    pub fn format(&mut self, text: &str, args: &Arguments) -> Result<Value> {
        let mut out = Writer::new(&self.budget)?;
        self.write_fields(text, args, &mut 0, 0, &mut out)?;
        Ok(out.value())
    }

    fn write_fields(
        &mut self,
        text: &str,
        args: &Arguments,
        next: &mut usize,
        level: u32,
        out: &mut Writer,
    ) -> Result<()> {
        if level >= MAX_LEVELS {
            return Err(failed("Max string recursion exceeded"));
        }
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push(&rest[..at])?;
            let sign = &rest[at..at + 1];
            rest = &rest[at + 1..];
            if let Some(behind) = rest.strip_prefix(sign) {
                out.push(sign)?;
                rest = behind;
                continue;
            }
            if sign == "}" {
                return Err(failed("Single '}' encountered in format string"));
            }
            let end = field_end(rest).ok_or_else(|| failed("expected '}' before end of string"))?;
            let field = &rest[..end];
            rest = &rest[end + 1..];
            self.write_field(field, args, next, level, out)?;
        }
        out.push(rest)
    }

    fn write_field(
        &mut self,
        field: &str,
        args: &Arguments,
        next: &mut usize,
        level: u32,
        out: &mut Writer,
    ) -> Result<()> {
        let (head, layout) = match split_layout(field) {
            Some(at) => (&field[..at], &field[at + 1..]),
            None => (field, ""),
        };
        let (path, conversion) = match head.rsplit_once('!') {
            Some((path, conversion)) if !conversion.contains(']') => (path, Some(conversion)),
            _ => (head, None),
        };
        let mut value = self.field_value(path, args, next)?;
        let mut spec = Writer::new(&self.budget)?;
        match layout.contains(['{', '}']) {
            true => self.write_fields(layout, args, next, level + 1, &mut spec)?,
            false => spec.push(layout)?,
        }
        match conversion {
            None => {}
            Some("s") => value = Value::Text(print::string(&value, &self.budget)?),
            Some("r" | "a") => {
                let mut text = Writer::new(&self.budget)?;
                print::write_repr(&value, &mut text, 0)?;
                value = text.value();
            }
            Some(other) => return Err(failed(format!("Unknown conversion specifier '{other}'"))),
        }
        if spec.as_str().is_empty() {
            return print::write(&value, out);
        }
        self.write_spec(&value, spec.as_str(), out)
    }

    /// `format(value, layout)`. Errors: `Failed` for a layout that such values do not have; `Limit`.
    fn write_spec(&self, value: &Value, layout: &str, out: &mut Writer) -> Result<()> {
        let spec = Spec::parse(layout)?;
        if let Value::Text(text) = value {
            return spec.write_text(text.as_str(), out);
        }
        match value.as_number() {
            Some(number) => spec.write_number(number, out),
            None => Err(failed(format!(
                "unsupported format string passed to {}.__format__",
                value.type_name()
            ))),
        }
    }

    fn field_value(&mut self, path: &str, args: &Arguments, next: &mut usize) -> Result<Value> {
        let end = path.find(['.', '[']).unwrap_or(path.len());
        let (name, mut rest) = path.split_at(end);
        let mut value = if name.is_empty() {
            *next += 1;
            args.positional.get(*next - 1).cloned()
        } else if name.bytes().all(|b| b.is_ascii_digit()) {
            let at: usize = name.parse().unwrap_or(usize::MAX);
            args.positional.get(at).cloned()
        } else {
            args.named(name).cloned()
        }
        .ok_or_else(|| failed(format!("format: there is no argument for '{{{name}}}'")))?;
        while !rest.is_empty() {
            self.budget.spend(1)?;
            if let Some(behind) = rest.strip_prefix('.') {
                let end = behind.find(['.', '[']).unwrap_or(behind.len());
                let name = self.small_text(&behind[..end])?;
                value = self.attribute(&value, &name)?;
                rest = &behind[end..];
            } else if !rest.starts_with('[') {
                return Err(failed(
                    "Only '.' or '[' may follow ']' in format field specifier",
                ));
            } else {
                let end = rest.find(']');
                let end = end.ok_or_else(|| failed("Missing ']' in format string"))?;
                let key = &rest[1..end];
                let key = match key.parse::<i128>() {
                    Ok(index) => Value::Int(index),
                    Err(_) => Value::text(key, &self.budget)?,
                };
                value = self.item(&value, &key)?;
                rest = &rest[end + 1..];
            }
            if let Value::Undefined(missing) = &value {
                return Err(self.undefined(missing));
            }
        }
        Ok(value)
    }
}

/// Where a field ends that begins at the start of `text`.
fn field_end(text: &str) -> Option<usize> {
    let mut open = 0_u32;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// Where the layout of a field begins: at the first colon outside of square brackets.
fn split_layout(field: &str) -> Option<usize> {
    let mut in_brackets = false;
    for (at, c) in field.char_indices() {
        match c {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            ':' if !in_brackets => return Some(at),
            _ => {}
        }
    }
    None
}
