//! The bounds of numbers.

use serde_json::Value;

use super::super::Checked;
use super::super::node::Range;
use super::Schema;

/// Bounds of an integer: those between whole numbers are rounded inwards.
pub(super) fn whole(schema: &Schema, path: &str) -> Checked<Option<Range>> {
    let bound = |name: &str, round: fn(f64) -> f64| -> Checked<Option<i128>> {
        let rounded = |value: &Value| exact(value).or_else(|| Some(round(value.as_f64()?) as i128));
        match schema.get(name) {
            None => Ok(None),
            Some(value) => rounded(value)
                .map(Some)
                .ok_or_else(|| format!("{name} at {path} is {value}, must be a number")),
        }
    };
    let above = bound("exclusiveMinimum", f64::floor)?.map(|bound| bound + 1);
    let below = bound("exclusiveMaximum", f64::ceil)?.map(|bound| bound - 1);
    let least = bound("minimum", f64::ceil)?.max(above);
    let most = [bound("maximum", f64::floor)?, below];
    let most = most.into_iter().flatten().min();
    range(least, most, path)
}

/// Bounds of any number: whole ones that are included, as others would need arithmetic in the grammar.
pub(super) fn any(schema: &Schema, path: &str) -> Checked<Option<Range>> {
    for name in ["exclusiveMinimum", "exclusiveMaximum"] {
        if schema.contains_key(name) {
            return Err(format!("{name} at {path} has a grammar for integers only"));
        }
    }
    let bound = |name: &str| match schema.get(name) {
        None => Ok(None),
        Some(value) => exact(value).map(Some).ok_or_else(|| {
            format!("{name} at {path} is {value}, has a grammar for whole numbers only")
        }),
    };
    range(bound("minimum")?, bound("maximum")?, path)
}

/// A whole number, however it is written.
fn exact(value: &Value) -> Option<i128> {
    let integer = value.as_i64().map(i128::from);
    let integer = integer.or_else(|| value.as_u64().map(i128::from));
    integer.or_else(|| {
        let number = value.as_f64().filter(|number| number.fract() == 0.0)?;
        Some(number as i128)
    })
}

fn range(least: Option<i128>, most: Option<i128>, path: &str) -> Checked<Option<Range>> {
    if least.is_none() && most.is_none() {
        return Ok(None);
    }
    let widest = Range::WIDEST;
    let within = |bound: Option<i128>, otherwise: i64| match bound {
        None => otherwise,
        Some(bound) => bound.clamp(widest.least.into(), widest.most.into()) as i64,
    };
    let is_far = least.is_some_and(|least| least > widest.most.into())
        || most.is_some_and(|most| most < widest.least.into());
    let range = Range {
        least: within(least, widest.least),
        most: within(most, widest.most),
    };
    match range.is_empty() || is_far {
        true => Err(format!(
            "no number of 16 digits lies within the bounds at {path}"
        )),
        false => Ok(Some(range)),
    }
}
