//! Turns jobs into tokens: one engine thread per model, a queue in front of it, slots inside.
//!
//! The one place where policy meets llama.cpp. Does not know conversations, handles or doors: a job is tokens, a
//! sampler, stop rules and a channel for the answer.

mod answer;
mod balance;
mod batch;
mod class;
mod cores;
mod desk;
mod embedder;
mod engine;
mod failpoint;
mod fixed;
mod governor;
mod hold;
mod intake;
mod job;
mod lane;
mod lanes;
mod life;
mod maker;
mod media;
mod pace;
mod patience;
mod permits;
mod placement;
mod pool;
mod pulse;
mod queue;
mod reuse;
mod rows;
mod run;
mod share;
mod shield;
mod slot;
mod slow;
mod speech;
mod stats;
mod watch;
mod work;

// Declared here, because `tests/interleavings.rs` takes `intake.rs` in, where threads and clocks are not real.
#[cfg(test)]
#[path = "scheduler/intake/tests.rs"]
mod intake_tests;

pub use class::Class;
pub use cores::Cores;
pub use engine::{Engine, Spawn, Start};
pub use fixed::{Known, chunk};
pub use job::{
    Deadlines, Droppable, HardLimit, Kept, Outcome, Past, Piece, SessionKey, Ticket, Timings, Turn,
};
pub use lane::Keeping;
pub use media::Media;
pub use permits::{Pass, Permits};
pub use placement::Placement;
pub use queue::{Client, Limits};
pub use reuse::{Hit, Miss};
pub use slow::{Cause, Counts};
pub use speech::Speech;
pub use stats::{Health, Stats, Totals};
