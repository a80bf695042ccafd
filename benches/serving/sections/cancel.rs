//! A turn is cancelled while its long prompt is evaluated: how soon its call returns, and how soon the next one begins.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::Bench;
use crate::engine::{Engine, Request};
use crate::error::{Error, Result};
use crate::measure;
use crate::ours::{self, Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;
use crate::shape::Shape;

pub const NAME: &str = "cancel";

/// Streams beside the cancelled turn.
const NEIGHBOURS: usize = 3;
const SHORT_PROMPT: u32 = 32;
const ANSWER: u32 = 8;
/// The gap that the library aims at by default, and 50 ms for what is under way, in seconds.
const LATENCY: f64 = 0.250 + 0.050;

/// The texts of one series.
struct Texts {
    /// A different one for each time, so that nothing evaluated before can be used again.
    long: Vec<String>,
    short: Vec<String>,
}

/// What was seen, in seconds.
#[derive(Default)]
struct Seen {
    latency: Samples,
    next_first: Samples,
    /// Turns that ended before they were cancelled.
    too_fast: usize,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let shape = &bench.shape;
    let texts = Texts {
        long: bench.prompts(shape.cancelled_prompt, shape.cancellations)?,
        short: bench.prompts(SHORT_PROMPT, NEIGHBOURS + 1)?,
    };
    let engine = bench.ours(&Settings {
        parallel: NEIGHBOURS + 1,
        context: shape.long_context,
        contexts: 2 * (NEIGHBOURS + 1),
        queue: 50,
    })?;
    let alone = series(&engine, &texts, shape.delay)?;
    rows(report, "alone", alone);
    let beside = beside_streams(&engine, &texts, shape)?;
    rows(report, "beside 3 streams", beside);
    Ok(())
}

fn rows(report: &mut Report, place: &str, seen: Seen) {
    if seen.too_fast > 0 {
        let times = seen.too_fast;
        report.note(format!(
            "cancel, {place}: {times} turns ended before they could be cancelled"
        ));
    }
    if seen.latency.is_empty() {
        return;
    }
    let slowest = seen.latency.max();
    report.row(Row::new(NAME, format!("{place}: return of the call"), "s").ours(seen.latency));
    report.row(
        Row::new(NAME, format!("{place}: slowest return"), "s")
            .ours(slowest)
            .target(Target::Value(Bound::AtMost(LATENCY)))
            .details(json!({"too_fast": seen.too_fast})),
    );
    report.row(
        Row::new(NAME, format!("{place}: first token of the next"), "s").ours(seen.next_first),
    );
}

fn beside_streams(engine: &Ours, texts: &Texts, shape: &Shape) -> Result<Seen> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let streams: Vec<_> = texts.short[..NEIGHBOURS]
            .iter()
            .map(|prompt| {
                let request = Request {
                    prompt,
                    tokens: shape.long_context - SHORT_PROMPT - 1,
                };
                let ended = &ended;
                scope.spawn(move || neighbour(engine, request, ended))
            })
            .collect();
        let seen = series(engine, texts, shape.delay);
        ended.store(true, Ordering::Relaxed);
        for stream in streams {
            measure::join(stream)?;
        }
        seen
    })
}

/// Streams, one turn after the other, until `ended`.
fn neighbour(engine: &Ours, request: Request<'_>, ended: &AtomicBool) -> Result<()> {
    while !ended.load(Ordering::Relaxed) {
        engine.stream(request, &mut || match ended.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })?;
    }
    Ok(())
}

fn series(engine: &Ours, texts: &Texts, delay: Duration) -> Result<Seen> {
    let mut seen = Seen::default();
    for long in &texts.long {
        match cancelled(engine, long, delay)? {
            Some(latency) => seen.latency.push(latency.as_secs_f64()),
            None => seen.too_fast += 1,
        }
        let next = Request {
            prompt: &texts.short[NEIGHBOURS],
            tokens: ANSWER,
        };
        let first = measure::first_piece(engine, next)?;
        seen.next_first.push(first.as_secs_f64());
    }
    Ok(seen)
}

/// Cancels a turn `delay` after its call: how long the call took to return from then on, if it had not ended before.
fn cancelled(engine: &Ours, prompt: &str, delay: Duration) -> Result<Option<Duration>> {
    let context = engine.context()?;
    thread::scope(|scope| {
        let turn = scope.spawn(|| {
            let result = context.run(prompt, &ours::limit(ANSWER));
            Ok((result, Instant::now()))
        });
        thread::sleep(delay);
        let begun = Instant::now();
        let told = context.cancel();
        let (result, returned) = measure::join(turn)?;
        told?;
        match result {
            Ok(()) => Ok(None),
            Err(Error::Library { text, .. }) if text.contains("cancelled") => {
                Ok(Some(returned.saturating_duration_since(begun)))
            }
            Err(error) => Err(error),
        }
    })
}
