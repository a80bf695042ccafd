//! `'%s' % x`: the older way of putting values into a text.

use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::number::{Number, parse_float, parse_int};
use crate::print;
use crate::spec::{Spec, take_number};
use crate::text::Writer;
use crate::value::{Shape, Value};

/// Values that are used up from left to right.
struct Given<'a> {
    values: &'a [Value],
    used: usize,
}

impl<'a> Given<'a> {
    fn next(&mut self) -> Result<&'a Value> {
        let value = self.values.get(self.used);
        self.used += 1;
        value.ok_or_else(|| failed("not enough arguments for format string"))
    }

    fn next_size(&mut self) -> Result<i128> {
        let value = self.next()?;
        value.as_int().ok_or_else(|| failed("* wants int"))
    }
}

impl Vm<'_> {
    /// `text % value`. Errors: `Failed` for values that do not fit; `Limit`.
    pub fn percent(&self, text: &str, value: &Value) -> Result<Value> {
        let single = [value.clone()];
        let values = match value {
            Value::List(list) if matches!(list.shape, Shape::Tuple | Shape::Group) => &list.items,
            _ => single.as_slice(),
        };
        let mut given = Given { values, used: 0 };
        let mut out = Writer::new(&self.budget)?;
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            out.push(&rest[..at])?;
            rest = &rest[at + 1..];
            let mut named = None;
            if let Some(behind) = rest.strip_prefix('(') {
                let end = behind
                    .find(')')
                    .ok_or_else(|| failed("incomplete format key"))?;
                let Value::Dict(dict) = value else {
                    return Err(failed("format requires a mapping"));
                };
                let key = &behind[..end];
                let found = dict.get(key)?;
                named = Some(found.ok_or_else(|| failed(format!("KeyError: '{key}'")))?);
                rest = &behind[end + 1..];
            }
            let mut spec = Spec::default();
            let mut is_left = false;
            while let Some(flag) = rest
                .chars()
                .next()
                .filter(|c| matches!(c, '-' | '+' | ' ' | '#' | '0'))
            {
                match flag {
                    '-' => is_left = true,
                    '+' => spec.sign = '+',
                    ' ' if spec.sign != '+' => spec.sign = ' ',
                    '#' => spec.alternate = true,
                    '0' => spec.fill = '0',
                    _ => {}
                }
                rest = &rest[1..];
            }
            if let Some(behind) = rest.strip_prefix('*') {
                let width = given.next_size()?;
                is_left |= width < 0;
                spec.width = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
                rest = behind;
            } else {
                spec.width = take_number(&mut rest).unwrap_or(0);
            }
            if let Some(behind) = rest.strip_prefix('.') {
                rest = behind;
                spec.precision = Some(match rest.strip_prefix('*') {
                    Some(behind) => {
                        rest = behind;
                        usize::try_from(given.next_size()?).unwrap_or(0)
                    }
                    None => take_number(&mut rest).unwrap_or(0),
                });
            }
            rest = rest.trim_start_matches(['h', 'l', 'L']);
            let mut chars = rest.chars();
            let kind = chars.next().ok_or_else(|| failed("incomplete format"))?;
            rest = chars.as_str();
            if kind == '%' {
                out.push("%")?;
                continue;
            }
            let item = match named {
                Some(item) => item,
                None => given.next()?,
            };
            self.percent_item(item, kind, spec, is_left, &mut out)?;
        }
        out.push(rest)?;
        let is_mapping = match value {
            Value::Dict(_) => true,
            Value::List(list) => list.shape == Shape::List,
            _ => false,
        };
        if given.used < values.len() && !is_mapping {
            return Err(failed(
                "not all arguments converted during string formatting",
            ));
        }
        Ok(out.value())
    }

    fn percent_item(
        &self,
        item: &Value,
        kind: char,
        mut spec: Spec,
        is_left: bool,
        out: &mut Writer,
    ) -> Result<()> {
        let zeros = std::mem::replace(&mut spec.fill, ' ') == '0';
        spec.align = Some(if is_left { '<' } else { '>' });
        if matches!(kind, 's' | 'r' | 'a') || (kind == 'c' && item.as_str().is_some()) {
            let mut text = Writer::new(&self.budget)?;
            match kind {
                's' | 'c' => print::write(item, &mut text)?,
                _ => print::write_repr(item, &mut text, 0)?,
            }
            return spec.write_text(text.as_str(), out);
        }
        if zeros && !is_left {
            spec.fill = '0';
            spec.align = Some('=');
        }
        if let Value::Undefined(missing) = item {
            return Err(self.undefined(missing));
        }
        let number = item.as_number().ok_or_else(|| {
            let wanted = if kind == 'd' {
                "a real number is required"
            } else {
                "must be real number"
            };
            failed(format!(
                "%{kind} format: {wanted}, not {}",
                item.type_name()
            ))
        })?;
        spec.kind = Some(kind);
        if matches!(kind, 'd' | 'i' | 'u' | 'x' | 'X' | 'o' | 'c') {
            let whole = match number {
                Number::Int(value) => value,
                Number::Float(value) if matches!(kind, 'd' | 'i' | 'u') => value as i128,
                Number::Float(_) => {
                    return Err(failed(format!(
                        "%{kind} format: an integer is required, not float"
                    )));
                }
            };
            if let Some(digits) = spec.precision.take() {
                let plain = Spec {
                    fill: '0',
                    align: Some('='),
                    width: digits.saturating_add(usize::from(whole < 0)),
                    kind: spec.kind,
                    ..Spec::default()
                };
                let mut text = Writer::new(&self.budget)?;
                plain.write_number(Number::Int(whole), &mut text)?;
                spec.kind = None;
                spec.align = Some(if is_left { '<' } else { '>' });
                spec.fill = ' ';
                return spec.write_text(text.as_str(), out);
            }
            return spec.write_number(Number::Int(whole), out);
        }
        spec.write_number(Number::Float(number.float()), out)
    }

    /// `int(value, base)`, where that is possible.
    pub fn to_int(&self, value: &Value, base: u32) -> Result<Option<i128>> {
        Ok(match value {
            Value::Text(text) => {
                self.budget.look(text.as_str().len())?;
                let whole = parse_int(text.as_str(), base);
                whole.or_else(|| parse_float(text.as_str()).and_then(whole_part))
            }
            Value::Float(value) => whole_part(*value),
            other => other.as_int(),
        })
    }
}

fn whole_part(value: f64) -> Option<i128> {
    let fits = value.is_finite() && value.abs() < 1e38;
    fits.then_some(value as i128)
}
