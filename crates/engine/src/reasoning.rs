//! Where a model's thought ends and its answer begins.
//!
//! Many models think in their output before they answer. Which marks they write is seen in their template and their
//! vocabulary; the splitter then sorts the output token by token. Pure: tokens are numbers, their text comes in as an
//! argument, and what the thought is for is not known here.

mod format;
mod splitter;

#[cfg(test)]
pub use format::Mark;
pub use format::{Format, detect};
pub use splitter::{Part, Splitter};
