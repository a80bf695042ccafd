//! Many conversations, held by fewer host threads in turn, so that what is kept of one must outlast the others.
//!
//! Knows neither what is said nor what is measured.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::Result;
use crate::library::Context;
use crate::measure;
use crate::ours::Ours;
use crate::report::{Bound, Row, Target};
use crate::shape::Crowd;

/// Failures that are told; of more, only their number.
const TOLD: usize = 20;

/// Which turn of which conversation, from 0.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// The conversation.
    pub session: usize,
    /// The turn.
    pub turn: usize,
}

/// How the conversations went.
#[derive(Debug, Clone)]
pub struct Held {
    /// What failed of their turns.
    pub failures: Vec<String>,
    /// From the first turn's call to the last one's return.
    pub wall: Duration,
}

/// Opens a context for each conversation and runs their turns: the first turn of all of them, then the second, until
/// each has had all of its own. A turn that fails is counted, and its conversation goes on.
pub fn hold(
    engine: &Ours,
    crowd: Crowd,
    turn: &(dyn Fn(&Context<'_>, At) -> Result<()> + Sync),
) -> Result<Held> {
    let contexts: Vec<_> = (0..crowd.sessions).map(|_| engine.context()).collect();
    let contexts = contexts.as_slice();
    let begun = Instant::now();
    let failures = thread::scope(|scope| {
        let threads: Vec<_> = (0..crowd.threads)
            .map(|first| scope.spawn(move || Ok(part(contexts, first, crowd, turn))))
            .collect();
        let failures: Result<Vec<_>> = threads.into_iter().map(measure::join).collect();
        failures
    })?;
    Ok(Held {
        failures: failures.into_iter().flatten().collect(),
        wall: begun.elapsed(),
    })
}

/// What failed of one thread's turns.
fn part(
    contexts: &[Result<Context<'_>>],
    first: usize,
    crowd: Crowd,
    turn: &(dyn Fn(&Context<'_>, At) -> Result<()> + Sync),
) -> Vec<String> {
    let own = (first..crowd.sessions).step_by(crowd.threads);
    let turns =
        (0..crowd.turns).flat_map(|turn| own.clone().map(move |session| At { session, turn }));
    turns
        .filter_map(|at| {
            let context = contexts[at.session].as_ref().map_err(Clone::clone);
            let error = context.and_then(|context| turn(context, at)).err()?;
            Some(format!("session {}, turn {}: {error}", at.session, at.turn))
        })
        .collect()
}

/// The row that says that no turn failed. `details`: an object to which the failures are added.
pub fn failed(section: &'static str, what: String, failures: &[String], mut details: Value) -> Row {
    details["errors"] = json!(failures.iter().take(TOLD).collect::<Vec<_>>());
    Row::new(section, what, "turns")
        .ours(failures.len() as f64)
        .target(Target::Count(Bound::AtMost(0.0)))
        .details(details)
}
