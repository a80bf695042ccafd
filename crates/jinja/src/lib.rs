//! Jinja2 as chat templates use it, for templates that nobody has checked.
//!
//! A template comes with a model file or from a guest, so it is a program by a stranger. General Jinja engines count
//! steps at best: one operator on a long text is a step, and takes all memory or minutes. Here every byte that a
//! rendering holds, every step and every byte that it looks at is charged to one budget before it happens, whatever the
//! operator, filter, method, block or macro.
//!
//! The language is Jinja2 3.1 in its immutable sandbox with `trim_blocks` and `lstrip_blocks`, loop controls, the
//! `generation` tag, and the filters and functions that the `transformers` library adds: what authors of templates test
//! with. Values print as Python prints them. There are no other templates to include and no way to the outside.

#![forbid(unsafe_code)]

mod error;

mod budget;

mod ast;
mod token;

mod lexer;

mod expressions;
mod parser;

mod text;
mod value;

mod scope;

mod number;

mod print;

mod compare;

mod json;

mod percent;
mod spec;

mod format;

mod moment;

mod arguments;

mod attribute;
mod operators;
mod slice;

mod strings;
mod words;

mod call;
mod evaluate;
mod execute;
mod filters;
mod globals;
mod predicates;

mod template;

#[cfg(test)]
mod tests;

pub use budget::{Limits, Spent};
pub use error::{Error, Limit};
pub use moment::Moment;
pub use template::Template;
