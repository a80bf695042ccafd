//! The one vocabulary in which the C doors speak of foreign memory: panics become codes, pointers become checked values.
//!
//! A pointer from a host is never trusted: the kernel copies from and to it, so a bad address is a failed system call
//! and an error code, never a fault. Generic over a door's codes and errors; knows no engine, no struct of any door and
//! no policy.

#[cfg(not(panic = "unwind"))]
compile_error!(
    "a panic must unwind to the door, where it becomes a code: build with panic = \"unwind\""
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!("handles and layouts are those of 64-bit systems");

mod answer;
mod fault;
mod input;
mod memory;
mod output;
mod repair;
mod token;

#[cfg(test)]
mod probe;

pub use answer::{Failure, answer, report_panics};
pub use fault::Fault;
pub use input::{array, borrowed, bytes, element_count, name, text, value};
pub use output::{Buffer, Out, OutputSize, Word, Written, buffer, capacity, out, put};
pub use repair::{cut, repair};
pub use token::{Token, TokenSource};
