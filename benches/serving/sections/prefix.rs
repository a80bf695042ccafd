//! Many sessions whose prompts begin alike: only the first one pays for the beginning.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::bench::Bench;
use crate::error::{Error, Result};
use crate::library::Context;
use crate::measure;
use crate::ours::{self, Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "prefix";

const PARALLEL: usize = 8;
/// Tokens of a prompt after the common beginning.
const OWN: u32 = 16;
/// Tokens of a conversation beyond its prompt.
const ROOM: u32 = 64;
/// How long the others may wait for their first token, of what the first one waits.
const SHARE: f64 = 0.15;

/// A turn with one token of answer.
#[derive(Debug, Clone, Copy)]
struct Visit {
    seconds: f64,
    prompt_tokens: f64,
    evaluated_tokens: f64,
}

/// What was seen over the rounds, one value for each.
#[derive(Default)]
struct Seen {
    first: Samples,
    /// The median of all but the first.
    others: Samples,
    slowest: Samples,
    prompt_tokens: Samples,
    evaluated_tokens: Samples,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let begins = bench.prompt(bench.shape.prefix)?;
    let own = bench.prompts(OWN, bench.shape.prefixed)?;
    let prompts: Vec<String> = own.iter().map(|own| format!("{begins} {own}")).collect();
    let (mut in_turn, mut together) = (Seen::default(), Seen::default());
    for _ in 0..bench.options.rounds {
        in_turn.add(&one_after_the_other(&start(bench)?, &prompts)?);
        together.add(&all_at_once(&start(bench)?, &prompts)?);
    }
    let sessions = prompts.len();
    report.row(
        Row::new(NAME, format!("sessions 2 to {sessions}: first token"), "s")
            .ours(in_turn.others)
            .against("first session", in_turn.first)
            .target(Target::Ratio(Bound::AtMost(SHARE))),
    );
    report.row(
        Row::new(NAME, "prompt tokens evaluated", "tokens")
            .ours(in_turn.evaluated_tokens)
            .against("all prompts", in_turn.prompt_tokens),
    );
    report.row(
        Row::new(NAME, format!("{sessions} together: first token"), "s")
            .ours(together.others)
            .against("the last of them", together.slowest),
    );
    report.row(
        Row::new(
            NAME,
            format!("{sessions} together: prompt tokens evaluated"),
            "tokens",
        )
        .ours(together.evaluated_tokens)
        .against("all prompts", together.prompt_tokens),
    );
    Ok(())
}

fn start(bench: &Bench) -> Result<Ours> {
    let sessions = bench.shape.prefixed;
    bench.ours(&Settings {
        parallel: PARALLEL,
        context: bench.shape.prefix + OWN + ROOM,
        contexts: sessions,
        queue: sessions.max(50),
    })
}

impl Seen {
    fn add(&mut self, visits: &[Visit]) {
        let sum = |of: fn(&Visit) -> f64| visits.iter().map(of).sum();
        let seconds = visits.iter().map(|visit| visit.seconds);
        self.first.push(seconds.clone().next().unwrap_or(0.0));
        let others: Samples = seconds.clone().skip(1).collect();
        self.others.push(others.median());
        self.slowest.push(seconds.fold(0.0, f64::max));
        self.prompt_tokens.push(sum(|visit| visit.prompt_tokens));
        self.evaluated_tokens
            .push(sum(|visit| visit.evaluated_tokens));
    }
}

/// Every session stays open when the next one comes.
fn one_after_the_other(engine: &Ours, prompts: &[String]) -> Result<Vec<Visit>> {
    let contexts: Result<Vec<_>> = prompts.iter().map(|_| engine.context()).collect();
    let contexts = contexts?;
    let both = contexts.iter().zip(prompts);
    both.map(|(context, prompt)| visit(context, prompt))
        .collect()
}

fn all_at_once(engine: &Ours, prompts: &[String]) -> Result<Vec<Visit>> {
    let contexts: Result<Vec<_>> = prompts.iter().map(|_| engine.context()).collect();
    let contexts = contexts?;
    let start = Barrier::new(prompts.len());
    thread::scope(|scope| {
        let start = &start;
        let visits: Vec<_> = contexts
            .iter()
            .zip(prompts)
            .map(|(context, prompt)| {
                scope.spawn(move || {
                    start.wait();
                    visit(context, prompt)
                })
            })
            .collect();
        visits.into_iter().map(measure::join).collect()
    })
}

fn visit(context: &Context<'_>, prompt: &str) -> Result<Visit> {
    let begun = Instant::now();
    context.run(prompt, &ours::limit(1))?;
    let seconds = begun.elapsed().as_secs_f64();
    let metadata = context.metadata()?;
    let count = |key: &str| {
        let count = metadata[key].as_f64();
        count.ok_or_else(|| Error::Setup(format!("the metadata of a turn have no {key}")))
    };
    Ok(Visit {
        seconds,
        prompt_tokens: count("prompt_tokens")?,
        evaluated_tokens: count("evaluated_tokens")?,
    })
}
