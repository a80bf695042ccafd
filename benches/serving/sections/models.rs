//! Two models at once: how they share the cores, by what each could do alone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::error::{Error, Result};
use crate::library::Context;
use crate::measure;
use crate::ours::{Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;
use crate::scratch::Scratch;

pub const NAME: &str = "models";

/// Streams of the model with many, and of the one with few.
const MANY: usize = 4;
const FEW: usize = 1;
const TOKENS: u32 = 32;
/// Equal weights: neither has less than this of what the other one has.
const EVEN: f64 = 0.8;
/// Twice the weight.
const TWICE: [f64; 2] = [1.6, 2.5];

/// A model with streams on it.
struct Side {
    graph: u32,
    streams: usize,
    priority: &'static str,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let scratch = Scratch::new(bench.logs.folder(), "models")?;
    let copy = scratch.path().join("copy.gguf");
    std::fs::copy(&bench.options.model, &copy)
        .map_err(|error| Error::Setup(format!("{}: {error}", copy.display())))?;
    let window = bench.shape.window / 4;
    let (mut even, mut twice, mut total) = (Samples::new(), Samples::new(), Samples::new());
    for _ in 0..bench.options.rounds {
        let engine = bench.ours(&Settings {
            parallel: MANY,
            context: 1024,
            contexts: 64,
            queue: 200,
        })?;
        let other = engine.load_beside("other", &copy)?;
        let side = |graph, streams, priority| Side {
            graph,
            streams,
            priority,
        };
        let many = side(u32::MAX, MANY, "normal");
        let few = side(other, FEW, "normal");
        let alone = [&many, &few].map(|side| speeds(&engine, &[side], window));
        let [many_alone, few_alone] = alone;
        let (many_alone, few_alone) = (many_alone?[0], few_alone?[0]);
        let both = speeds(&engine, &[&many, &few], window)?;
        let shares = [both[0] / many_alone, both[1] / few_alone];
        even.push(shares[1] / shares[0]);
        total.push(shares[0] + shares[1]);
        let urgent = side(other, FEW, "high");
        let both = speeds(&engine, &[&many, &urgent], window)?;
        twice.push((both[1] / few_alone) / (both[0] / many_alone));
    }
    report.row(
        Row::new(NAME, "equal weights: share of 1 stream over that of 4", "x")
            .ours(even)
            .target(Target::Value(Bound::AtLeast(EVEN)))
            .details(json!({"streams": [MANY, FEW]})),
    );
    report.row(
        Row::new(NAME, "twice the weight: share over the other one's", "x")
            .ours(twice)
            .details(json!({"expected": TWICE})),
    );
    report.row(Row::new(NAME, "both together, of what each does alone", "x").ours(total));
    Ok(())
}

/// Tokens per second of each side while all are busy.
fn speeds(engine: &Ours, sides: &[&Side], window: Duration) -> Result<Vec<f64>> {
    let over = AtomicBool::new(false);
    let counts: Vec<AtomicU64> = sides.iter().map(|_| AtomicU64::new(0)).collect();
    let begun = Instant::now();
    thread::scope(|scope| {
        let mut streams = Vec::new();
        for (side, count) in sides.iter().zip(&counts) {
            for _ in 0..side.streams {
                let over = &over;
                streams.push(scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let context = engine.context_on(side.graph)?;
                        count.fetch_add(turn(&context, side.priority)?, Ordering::Relaxed);
                    }
                    Ok(())
                }));
            }
        }
        thread::sleep(window);
        over.store(true, Ordering::Relaxed);
        streams.into_iter().try_for_each(measure::join)
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let speed = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64 / seconds;
    Ok(counts.iter().map(speed).collect())
}

fn turn(context: &Context<'_>, priority: &str) -> Result<u64> {
    let config: Value = json!({"priority": priority, "stopping": {"max_tokens": TOKENS}});
    context.run("Tell me something.", &config)?;
    let metadata = context.metadata()?;
    Ok(metadata["completion_tokens"].as_u64().unwrap_or(0))
}
