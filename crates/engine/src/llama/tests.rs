//! The room against real files: the committed pocket model, and small ones made by hand.
//!
//! What a file can do to the process is tried in a child process, so that an abort is a failed test and not the end of
//! all of them. No test asserts a time.

pub(crate) mod forge;
mod support;

mod adapters;
mod context;
mod differential;
mod embedding;
mod files;
mod grammar;
mod headers;
mod hostile;
mod media;
mod parts;
mod pixels;
mod placement;
mod recipes;
mod sampling;
mod shift;
mod tokens;
mod vocab;
