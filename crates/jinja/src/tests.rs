//! Templates and what they render to.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use crate::Moment;

mod field;
mod hostile;
mod language;
mod random;

/// The moment at which the expected texts were rendered.
const MOMENT: Moment = Moment {
    year: 2026,
    month: 8,
    day: 5,
    hour: 14,
    minute: 7,
    second: 0,
};
