//! A conversation is taken up again: from the cells that it left, from memory, from the disk, and what that costs
//! compared with evaluating it anew.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::error::{Error, Result};
use crate::library::Context;
use crate::memory::Memory;
use crate::ours::{self, Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;
use crate::scratch::Scratch;

pub const NAME: &str = "resume";

/// Slots, and the others that take them all.
const PARALLEL: usize = 2;
/// Tokens of what is said to a conversation that is taken up again, and to the others.
const SHORT: u32 = 16;
const OTHER: u32 = 32;
/// How long a file may take to be written.
const PATIENCE: Duration = Duration::from_secs(30);
const MEBIBYTE: u64 = 1 << 20;

/// Where a conversation's cells are when it is taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Ram,
    Disk,
}

impl Tier {
    fn name(self) -> &'static str {
        match self {
            Tier::Ram => "memory",
            Tier::Disk => "disk",
        }
    }

    fn place(self) -> &'static str {
        match self {
            Tier::Ram => "in memory",
            Tier::Disk => "on disk",
        }
    }

    /// What the library counts when it finds cells there.
    fn hits(self) -> &'static str {
        match self {
            Tier::Ram => "/hits/ram",
            Tier::Disk => "/hits/disk",
        }
    }

    /// Milliseconds that it may take to bring them back.
    fn cost(self) -> f64 {
        match self {
            Tier::Ram => 100.0,
            Tier::Disk => 300.0,
        }
    }
}

/// What is said.
struct Texts {
    /// Tokens of the long ones.
    prompt_tokens: u32,
    /// One for each round, so that nothing evaluated before can be used again.
    long: Vec<String>,
    short: Vec<String>,
    others: Vec<String>,
}

/// Milliseconds of turns with one token of answer, and how often cells were found where they were to be.
#[derive(Default)]
struct Seen {
    prefill: Samples,
    pool: Samples,
    back: Samples,
    pool_hits: u64,
    back_hits: u64,
    last: Memory,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let prompt_tokens = bench.shape.resumed_prompt;
    let texts = Texts {
        prompt_tokens,
        long: bench.prompts(prompt_tokens, bench.options.rounds)?,
        short: bench.prompts(SHORT, 2)?,
        others: bench.prompts(OTHER, PARALLEL)?,
    };
    let engine = start(bench, json!({}))?;
    let fixed = Memory::now(&engine)?.fixed()?;
    rows(report, Tier::Ram, series(&engine, &texts, Tier::Ram)?);
    drop(engine);
    let Some(budget) = no_room(fixed) else {
        report.note(
            "resume: from disk skipped, the model takes less than the smallest memory budget",
        );
        return Ok(());
    };
    let folder = Scratch::new(bench.logs.folder(), "spill")?;
    let memory = json!({
        "max_memory_mb": budget,
        "spill_dir": folder.path().to_string_lossy(),
    });
    let engine = start(bench, memory)?;
    rows(report, Tier::Disk, series(&engine, &texts, Tier::Disk)?);
    Ok(())
}

/// One conversation and the others fit into the cells, so that only the slots are too few.
fn start(bench: &Bench, mut memory: Value) -> Result<Ours> {
    let context = bench.shape.resumed_context;
    memory["max_cache_tokens"] = 0.into();
    let settings = Settings {
        parallel: PARALLEL,
        context,
        contexts: 2 * PARALLEL,
        queue: 50,
    };
    let more = json!({"memory": memory, "performance": {"kv_pool_tokens": context}});
    bench.ours_with(&settings, &more)
}

/// A budget in MiB that cells and compute buffers, of `fixed` bytes, take up, so that nothing is left for saved cells.
fn no_room(fixed: u64) -> Option<u64> {
    const LEAST: u64 = 64;
    Some(fixed / MEBIBYTE).filter(|&budget| budget >= LEAST)
}

fn series(engine: &Ours, texts: &Texts, tier: Tier) -> Result<Seen> {
    let mut seen = Seen::default();
    for long in &texts.long {
        let context = engine.context()?;
        seen.prefill.push(timed(&context, long)?);
        let before = Memory::now(engine)?;
        seen.pool.push(timed(&context, &texts.short[0])?);
        let kept = Memory::now(engine)?;
        let _others = crowd_out(engine, &texts.others)?;
        if tier == Tier::Disk {
            let bytes = kept.number("/cache_bytes")? / kept.number("/cache_tokens_limit")?.max(1);
            // Half, so that the others' few tokens do not pass for it and its size need not be known.
            let size = bytes * u64::from(texts.prompt_tokens) / 2;
            wait_for_file(engine, kept.number("/disk/bytes")? + size)?;
        }
        seen.back.push(timed(&context, &texts.short[1])?);
        let after = Memory::now(engine)?;
        seen.pool_hits += kept.number("/hits/pool")? - before.number("/hits/pool")?;
        seen.back_hits += after.number(tier.hits())? - kept.number(tier.hits())?;
        seen.last = after;
    }
    Ok(seen)
}

/// Milliseconds of a turn with one token of answer.
fn timed(context: &Context<'_>, text: &str) -> Result<f64> {
    let begun = Instant::now();
    context.run(text, &ours::limit(1))?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

/// Other conversations, still open, that have taken all slots.
fn crowd_out<'a>(engine: &'a Ours, texts: &[String]) -> Result<Vec<Context<'a>>> {
    let others = texts.iter().map(|text| {
        let context = engine.context()?;
        context.run(text, &ours::limit(1))?;
        Ok(context)
    });
    others.collect()
}

/// Waits until files have so many bytes: until then the cells are still in memory.
fn wait_for_file(engine: &Ours, bytes: u64) -> Result<()> {
    let begun = Instant::now();
    while Memory::now(engine)?.number("/disk/bytes")? < bytes {
        if begun.elapsed() > PATIENCE {
            let room = Memory::now(engine)?.number("/ram/limit_bytes")?;
            return Err(Error::Setup(format!(
                "the disk did not come to {bytes} bytes, with room for {room} in memory"
            )));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn rows(report: &mut Report, tier: Tier, seen: Seen) {
    let rounds = seen.back.len();
    let name = tier.name();
    let hits = |what: String, hits: u64| {
        Row::new(NAME, what, "turns")
            .ours(hits as f64)
            .target(Target::Count(Bound::AtLeast(rounds as f64)))
    };
    if tier == Tier::Ram {
        report.row(hits("found in the pool".to_owned(), seen.pool_hits));
        report.row(
            Row::new(NAME, "from the pool: turn", "ms")
                .ours(seen.pool.clone())
                .against("evaluated anew", seen.prefill.clone()),
        );
    }
    report
        .row(hits(format!("found {}", tier.place()), seen.back_hits).details(seen.last.to_json()));
    report.row(
        Row::new(NAME, format!("from {name}: turn"), "ms")
            .ours(seen.back.clone())
            .against("evaluated anew", seen.prefill),
    );
    report.row(
        Row::new(NAME, format!("from {name}: beyond one from the pool"), "ms")
            .ours(seen.back.median() - seen.pool.median())
            .target(Target::Value(Bound::AtMost(tier.cost())))
            .details(json!({"pool": seen.pool.to_json()})),
    );
}
