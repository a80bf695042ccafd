//! A host asks for the status again and again while a long prompt is evaluated: how long each call takes.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::Bench;
use crate::engine::{Engine, Request};
use crate::error::Result;
use crate::library::Asked;
use crate::measure;
use crate::ours::{Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "status";

/// Between two looks at everything.
const PERIOD: Duration = Duration::from_millis(2);
const ANSWER: u32 = 8;
/// What a call may take, in milliseconds.
const LIMIT: f64 = 1.0;
/// Room for what is asked for.
const ROOM: usize = 1 << 20;

/// What is asked for, by name.
const ALL: [(&str, Asked); 6] = [
    ("QUEUE", Asked::Status(0)),
    ("MEMORY", Asked::Status(1)),
    ("SESSIONS", Asked::Status(2)),
    ("PERFORMANCE", Asked::Status(3)),
    ("MODEL", Asked::Status(4)),
    ("metrics", Asked::Metrics),
];

/// Figures of one kind of call, one for each round, in milliseconds.
#[derive(Default, Clone)]
struct Seen {
    median: Samples,
    p99: Samples,
    longest: Samples,
    calls: usize,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let shape = &bench.shape;
    let prompt = bench.prompt(shape.long_prompt)?;
    let mut seen = vec![Seen::default(); ALL.len()];
    let mut worst = Samples::new();
    for _ in 0..bench.options.rounds {
        let engine = bench.ours(&Settings {
            parallel: 4,
            context: shape.long_context,
            contexts: 8,
            queue: 50,
        })?;
        let times = observe(&engine, &prompt)?;
        for (seen, times) in seen.iter_mut().zip(&times) {
            seen.median.push(times.median());
            seen.p99.push(times.percentile(0.99));
            seen.longest.push(times.max());
            seen.calls += times.len();
        }
        let p99 = times.iter().map(|times| times.percentile(0.99));
        worst.push(p99.fold(0.0, f64::max));
    }
    for ((name, _), seen) in ALL.iter().zip(seen) {
        let details = json!({"calls": seen.calls, "prompt_tokens": shape.long_prompt});
        let row = |what: &str| Row::new(NAME, format!("{name}, {what}"), "ms");
        report.row(row("p50").ours(seen.median).details(details));
        report.row(row("p99").ours(seen.p99));
        report.row(row("longest").ours(seen.longest));
    }
    report.row(
        Row::new(NAME, "p99 of a status call, slowest kind", "ms")
            .ours(worst)
            .target(Target::Value(Bound::AtMost(LIMIT))),
    );
    Ok(())
}

/// The times of each kind of call while a long prompt is evaluated, in milliseconds.
fn observe(engine: &Ours, prompt: &str) -> Result<Vec<Samples>> {
    let mut times = vec![Samples::new(); ALL.len()];
    let mut room = vec![0; ROOM];
    thread::scope(|scope| {
        let turn = scope.spawn(|| {
            engine.run(Request {
                prompt,
                tokens: ANSWER,
            })
        });
        let asked = loop {
            let looked = look(engine, &mut room, &mut times);
            if looked.is_err() || turn.is_finished() {
                break looked;
            }
            thread::sleep(PERIOD);
        };
        measure::join(turn)?;
        asked
    })?;
    Ok(times)
}

/// Asks for everything once.
fn look(engine: &Ours, room: &mut [u8], times: &mut [Samples]) -> Result<()> {
    for ((_, asked), times) in ALL.iter().zip(times) {
        let begun = Instant::now();
        engine.ask(*asked, room)?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(())
}
