//! What a backend reports of itself: five documents with a schema each, and the same figures as text for Prometheus.
//! Reads counters, never waits and never writes.
//!
//! Totals count since the backend was opened; the rest is of the engine threads that live, and 0 without one. Knows
//! neither conversations nor settings: who has them fills them in.

mod class;
mod memory;
mod model;
mod models;
mod performance;
mod queue;
mod sessions;
mod spread;

mod exposition;
mod metrics;

mod reference;
mod schema;

use std::time::Duration;

pub use memory::{Held, LimitUse, Memory, Pressure};
pub use metrics::{Figures, text as metrics};
pub use model::{Described, Model};
pub use models::{Change, ChangeCounts, Draining, Load, Outcome, Phase, Served, State};
pub use performance::Performance;
pub use queue::Queue;
pub use reference::reference;
pub use schema::schemas;
pub use sessions::{Evictions, Session, Sessions};

use crate::scheduler::Stats;

/// Whole milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A gauge of all engine threads together.
fn sum(now: &[&Stats], gauge: impl Fn(&Stats) -> u64) -> u64 {
    now.iter().map(|stats| gauge(stats)).sum()
}
