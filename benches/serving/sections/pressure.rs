//! Streams that would need four times the cells that there are: none fails, and together they lose little.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::conversations;
use crate::error::Result;
use crate::memory::Memory;
use crate::ours::{self, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;
use crate::shape::Crowd;

pub const NAME: &str = "pressure";

/// Which part of the cells that are needed there is.
const PART: u32 = 4;
/// What the library takes at least.
const LEAST_CELLS: u32 = 256;
/// How much of the speed must be left.
const LEFT: f64 = 0.8;
/// Tokens of a conversation beyond prompt and answer.
const ROOM: u32 = 64;

/// What one pool gave over the rounds.
#[derive(Default)]
struct Seen {
    /// Generated tokens per second, the prompts' time included.
    speeds: Samples,
    failures: Vec<String>,
    last: Memory,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let (streams, size) = (bench.shape.squeezed_streams, bench.shape.squeezed);
    let prompts = bench.prompts(size.prompt, streams)?;
    let demand = streams as u32 * (size.prompt + size.tokens);
    let cells = (demand / PART).max(LEAST_CELLS);
    let (mut free, mut squeezed) = (Seen::default(), Seen::default());
    for _ in 0..bench.options.rounds {
        free.observe(bench, &prompts, &json!({}))?;
        let few = json!({"performance": {"kv_pool_tokens": cells}});
        squeezed.observe(bench, &prompts, &few)?;
    }
    let failed = |place: &str, seen: &Seen| {
        let what = format!("{place}: failed turns");
        let details = json!({"streams": streams, "memory": seen.last.to_json()});
        conversations::failed(NAME, what, &seen.failures, details)
    };
    report.row(failed("all cells", &free));
    report.row(failed("a quarter of the cells", &squeezed));
    let number = |pointer: &str| squeezed.last.number(pointer);
    let details = json!({
        "demand": demand,
        "cells": cells,
        "displaced": number("/displaced")?,
        "spills": number("/spills")?,
        "restores": number("/restores")?,
    });
    report.row(
        Row::new(
            NAME,
            format!("{streams} streams, a quarter of the cells"),
            "tok/s",
        )
        .ours(squeezed.speeds)
        .against("all cells", free.speeds)
        .target(Target::Ratio(Bound::AtLeast(LEFT)))
        .details(details),
    );
    Ok(())
}

impl Seen {
    /// All streams once, on an engine of their own.
    fn observe(&mut self, bench: &Bench, prompts: &[String], more: &Value) -> Result<()> {
        let (streams, size) = (bench.shape.squeezed_streams, bench.shape.squeezed);
        let settings = Settings {
            parallel: streams,
            context: size.prompt + size.tokens + ROOM,
            contexts: streams,
            queue: streams.max(50),
        };
        let engine = bench.ours_with(&settings, more)?;
        let crowd = Crowd {
            sessions: streams,
            turns: 1,
            threads: streams,
        };
        let tokens = AtomicU64::new(0);
        let held = conversations::hold(&engine, crowd, &|context, at| {
            context.run(&prompts[at.session], &ours::limit(size.tokens))?;
            let said = context.metadata()?["completion_tokens"].as_u64();
            tokens.fetch_add(said.unwrap_or(0), Ordering::Relaxed);
            Ok(())
        })?;
        let speed = tokens.into_inner() as f64 / held.wall.as_secs_f64();
        self.speeds.push(speed);
        self.failures.extend(held.failures);
        self.last = Memory::now(&engine)?;
        Ok(())
    }
}
