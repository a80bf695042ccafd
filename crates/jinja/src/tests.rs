//! Templates and what they render to.

mod field;
