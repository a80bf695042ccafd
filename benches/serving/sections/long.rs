//! One conversation that is many times as long as its context: no turn fails, the beginning is kept, and a turn in the
//! end takes no longer than one soon after the context was full.

use std::time::Instant;

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::conversations;
use crate::error::Result;
use crate::library::Context;
use crate::memory::Memory;
use crate::ours::{self, Ours, Settings};
use crate::pocket;
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "long";

/// Tokens at the beginning that do not give way.
const KEPT: u32 = 256;
/// How much longer the last turns may take.
const SLOWER: f64 = 1.3;
/// Fewest turns with a full context of which quarters say something.
const FULL_TURNS: usize = 8;

/// How the conversation went.
#[derive(Default)]
struct Seen {
    tokens: u64,
    turns: usize,
    failures: Vec<String>,
    /// Turns that gave way.
    dropped: u64,
    /// Seconds of the turns since the first one for which others gave way.
    full: Vec<f64>,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    on_pocket(bench, report)?;
    on_model(bench, report)
}

/// Small talk after a name was told, and the question for it.
fn on_pocket(bench: &Bench, report: &mut Report) -> Result<()> {
    let shape = bench.shape.marathon;
    let settings = settings(shape.pocket_context);
    let engine = bench.pocket(&settings, &kept())?;
    let context = engine.context()?;
    let mut seen = Seen::default();
    while seen.tokens < shape.tokens {
        let text = match seen.turns {
            0 => pocket::introduction(0),
            turn => pocket::talk(0, turn).to_owned(),
        };
        seen.turn(&engine, &context, &text, pocket::ANSWER)?;
    }
    let failed = seen.failures.len();
    seen.turn(&engine, &context, pocket::QUESTION, pocket::ANSWER)?;
    // After a failure there is only the text of an earlier turn.
    let answer = match seen.failures.len() == failed {
        true => context.text()?,
        false => String::new(),
    };
    let is_recalled = answer.contains(pocket::name(0));
    report.row(
        Row::new(NAME, "pocket: name recalled from the first turn", "of 1")
            .ours(f64::from(u8::from(is_recalled)))
            .details(json!({"answer": answer})),
    );
    rows(report, "pocket", seen, &Memory::now(&engine)?)
}

/// Prompts and answers of one size.
fn on_model(bench: &Bench, report: &mut Report) -> Result<()> {
    let shape = bench.shape.marathon;
    let size = shape.turn;
    let turns = shape.tokens.div_ceil((size.prompt + size.tokens).into());
    let prompts = bench.prompts(size.prompt, turns as usize)?;
    let engine = bench.ours_with(&settings(shape.context), &kept())?;
    let context = engine.context()?;
    let mut seen = Seen::default();
    for prompt in &prompts {
        seen.turn(&engine, &context, prompt, size.tokens)?;
    }
    rows(report, "model", seen, &Memory::now(&engine)?)
}

fn settings(context: u32) -> Settings {
    Settings {
        parallel: 1,
        context,
        contexts: 1,
        queue: 50,
    }
}

fn kept() -> Value {
    json!({"memory": {"n_keep_tokens": KEPT}})
}

impl Seen {
    /// Runs a turn.
    fn turn(
        &mut self,
        engine: &Ours,
        context: &Context<'_>,
        text: &str,
        tokens: u32,
    ) -> Result<()> {
        let number = self.turns;
        self.turns += 1;
        self.tokens += u64::from(engine.count_tokens(text)?);
        let begun = Instant::now();
        if let Err(error) = context.run(text, &ours::limit(tokens)) {
            self.failures.push(format!("turn {number}: {error}"));
            return Ok(());
        }
        let seconds = begun.elapsed().as_secs_f64();
        let metadata = context.metadata()?;
        let count = |key: &str| metadata[key].as_u64().unwrap_or(0);
        self.tokens += count("completion_tokens");
        self.dropped = count("turns_dropped");
        if self.dropped > 0 {
            self.full.push(seconds);
        }
        Ok(())
    }
}

fn rows(report: &mut Report, place: &str, seen: Seen, memory: &Memory) -> Result<()> {
    let details = json!({
        "turns": seen.turns,
        "tokens": seen.tokens,
        "turns_dropped": seen.dropped,
        "full": seen.full,
    });
    let what = format!("{place}: failed turns");
    report.row(conversations::failed(NAME, what, &seen.failures, details));
    report.row(
        Row::new(
            NAME,
            format!("{place}: times that cells were moved"),
            "shifts",
        )
        .ours(memory.number("/shifts")? as f64)
        .details(memory.to_json()),
    );
    if seen.full.len() < FULL_TURNS {
        let turns = seen.full.len();
        report.note(format!(
            "long, {place}: only {turns} turns had a full context"
        ));
        return Ok(());
    }
    let quarter = seen.full.len() / 4;
    let median = |turns: &[f64]| turns.iter().copied().collect::<Samples>().median();
    report.row(
        Row::new(NAME, format!("{place}: turn, last quarter"), "s")
            .ours(median(&seen.full[seen.full.len() - quarter..]))
            .against("first full quarter", median(&seen.full[..quarter]))
            .target(Target::Ratio(Bound::AtMost(SLOWER))),
    );
    Ok(())
}
