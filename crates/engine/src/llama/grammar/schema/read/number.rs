//! The bounds of numbers.

use serde_json::Value;

use super::super::Checked;
use super::super::node::Node;
use super::super::path::Path;
use super::super::range::{self, Bound, PLACES, Range};
use super::Schema;

/// Bounds of an integer: those between whole numbers are rounded inwards.
pub(super) fn whole(schema: &Schema, path: &Path) -> Checked<Range> {
    writable(bounds(schema, path)?.whole(), path)
}

/// Any number within its bounds, with as many digits behind the point as `multipleOf` leaves it.
pub(super) fn any(schema: &Schema, path: &Path) -> Checked<Node> {
    let Some(Value::Number(step)) = schema.get("multipleOf") else {
        return Ok(Node::Number(writable(bounds(schema, path)?, path)?));
    };
    match range::places(step) {
        None => Err(format!("multipleOf at {path} has no grammar")),
        Some(0) => Ok(Node::Integer(whole(schema, path)?)),
        places => {
            let bounds = bounds(schema, path)?;
            Ok(Node::Number(writable(Range { places, ..bounds }, path)?))
        }
    }
}

fn bounds(schema: &Schema, path: &Path) -> Checked<Range> {
    let bound = |name: &str, is_excluded: bool| match schema.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) => {
            let bound = Bound::new(number, is_excluded).ok_or_else(|| {
                format!("{name} at {path} is {number}, must have at most {PLACES} digits behind the point")
            });
            bound.map(Some)
        }
        Some(value) => Err(format!("{name} at {path} is {value}, must be a number")),
    };
    let included = Range {
        least: bound("minimum", false)?,
        most: bound("maximum", false)?,
        places: None,
    };
    let excluded = Range {
        least: bound("exclusiveMinimum", true)?,
        most: bound("exclusiveMaximum", true)?,
        places: None,
    };
    Ok(included.and(excluded))
}

fn writable(range: Range, path: &Path) -> Checked<Range> {
    match range.is_empty() || range.written().is_none() {
        true => Err(format!(
            "no number of 16 digits lies within the bounds at {path}"
        )),
        false => Ok(range),
    }
}
