//! Turns jobs into tokens: one engine thread per model, a queue in front of it, slots inside.
//!
//! The one place where policy meets llama.cpp. Does not know conversations, handles or doors: a job is tokens, a
//! sampler, stop rules and a channel for the answer.

mod batch;
mod engine;
mod job;
mod pool;
mod queue;
mod run;
mod slot;
mod stats;

pub use engine::{Engine, Spawn, Start};
pub use job::{Class, Deadlines, Outcome, Piece, SessionKey, Ticket, Timings, Turn};
pub use queue::Limits;
pub use stats::{Stats, Totals};
