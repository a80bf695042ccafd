//! New conversations beside thousands whose cells are saved: to look for one that began alike costs next to nothing.

use std::time::Instant;

use serde_json::json;

use crate::bench::Bench;
use crate::error::Result;
use crate::ours::{self, Ours, Settings};
use crate::pocket;
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "saved";

const PARALLEL: usize = 4;
const CONTEXT: u32 = 1024;
/// Saved conversations of the engine that the other one is compared with.
const FEW: usize = 8;
/// New conversations that are timed.
const TIMED: usize = 40;
/// Milliseconds that all the others may add to a turn of one step.
const ADDED_MS: f64 = 1.0;

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let many = bench.shape.saved;
    let (few, held_few) = beside(bench, FEW)?;
    let (with_many, held_many) = beside(bench, many)?;
    let added = with_many.median() - few.median();
    let details = json!({"saved": held_many, "saved_beside_few": held_few});
    report.row(
        Row::new(
            NAME,
            format!("pocket: {many} saved sessions add to a turn"),
            "ms",
        )
        .ours(added)
        .target(Target::Value(Bound::AtMost(ADDED_MS)))
        .details(details),
    );
    report.row(
        Row::new(
            NAME,
            format!("pocket: a turn beside {many} saved sessions"),
            "ms",
        )
        .ours(with_many)
        .against(format!("beside {FEW}"), few),
    );
    Ok(())
}

/// Milliseconds of turns of new conversations beside so many that are saved, and how many of those were in memory then.
fn beside(bench: &Bench, saved: usize) -> Result<(Samples, u64)> {
    let settings = Settings {
        parallel: PARALLEL,
        context: CONTEXT,
        contexts: PARALLEL,
        queue: 50,
    };
    let more = json!({
        "backend": {"max_sessions": 10_000, "idle_timeout_ms": 86_400_000},
        "memory": {"max_memory_mb": 4096},
    });
    let engine = bench.pocket(&settings, &more)?;
    for session in 0..saved {
        turn(&engine, session)?;
    }
    let mut samples = Samples::new();
    for session in 0..TIMED {
        let begun = Instant::now();
        turn(&engine, saved + session)?;
        samples.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let held = engine.memory_status()?["ram"]["sessions"].as_u64();
    Ok((samples, held.unwrap_or(0)))
}

/// A turn of a conversation of its own, which begins as many do.
fn turn(engine: &Ours, session: usize) -> Result<()> {
    let context = engine.named_context(&format!("saved {session}"))?;
    let text = format!("{} I am number {session}.", pocket::introduction(session));
    context.run(&text, &ours::limit(1))
}
