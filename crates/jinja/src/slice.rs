//! `value[start:stop:step]`.

use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::text::Writer;
use crate::value::{Items, Missing, Shape, Value};

/// The places that a slice takes of `len`, first to last.
fn places(bounds: &[Option<i128>; 3], len: usize) -> Result<(i128, i128, i128)> {
    let step = bounds[2].unwrap_or(1);
    if step == 0 {
        return Err(failed("slice step cannot be zero"));
    }
    let len = len as i128;
    let (lowest, highest) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let clamped = |bound: Option<i128>, unless: i128| match bound {
        None => unless,
        Some(at) if at < 0 => at.saturating_add(len).max(lowest),
        Some(at) => at.min(highest),
    };
    let (first, last) = if step > 0 {
        (lowest, highest)
    } else {
        (highest, lowest)
    };
    Ok((clamped(bounds[0], first), clamped(bounds[1], last), step))
}

impl Vm<'_> {
    /// `value[start:stop:step]`. Errors: `Failed` for other bounds than whole numbers; `Limit`.
    pub fn slice(&self, value: &Value, bounds: [Value; 3]) -> Result<Value> {
        let mut whole = [None; 3];
        for (place, bound) in whole.iter_mut().zip(&bounds) {
            *place = match bound {
                Value::None => None,
                other => Some(other.as_int().ok_or_else(|| {
                    failed("slice indices must be integers or None or have an __index__ method")
                })?),
            };
        }
        match value {
            Value::Undefined(missing) => Err(self.undefined(missing)),
            Value::Text(text) => self.slice_text(text.as_str(), &whole),
            Value::List(list) if !matches!(list.shape, Shape::View(_)) => {
                let (start, stop, step) = places(&whole, list.items.len())?;
                let mut items = Items::new(&self.budget)?;
                let mut at = start;
                while (step > 0 && at < stop) || (step < 0 && at > stop) {
                    items.push(list.items[at as usize].clone())?;
                    at = at.saturating_add(step);
                }
                let shape = match list.shape {
                    Shape::Group => Shape::Tuple,
                    shape => shape,
                };
                Ok(items.value(shape))
            }
            other => Ok(Value::Undefined(Missing::Place(other.type_name()))),
        }
    }

    fn slice_text(&self, text: &str, bounds: &[Option<i128>; 3]) -> Result<Value> {
        self.budget.look(text.len())?;
        let mut out = Writer::new(&self.budget)?;
        let len = text.chars().count();
        let (start, stop, step) = places(bounds, len)?;
        if step == 1 {
            out.push(characters(text, start as usize, stop.max(start) as usize))?;
        } else if step > 0 {
            let taken = text.chars().take(stop as usize).skip(start as usize);
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            for c in taken.step_by(step) {
                out.push_char(c)?;
            }
        } else {
            let from_end = (len as i128 - 1 - start) as usize;
            let count = (start - stop).max(0) as usize;
            let taken = text.chars().rev().skip(from_end).take(count);
            let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
            for c in taken.step_by(step) {
                out.push_char(c)?;
            }
        }
        Ok(out.value())
    }
}

/// The characters from `start` to before `stop`.
pub fn characters(text: &str, start: usize, stop: usize) -> &str {
    if text.is_ascii() {
        let stop = stop.min(text.len());
        return &text[start.min(stop)..stop];
    }
    let at = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    let (from, to) = (at(start), at(stop));
    &text[from.min(to)..to]
}
