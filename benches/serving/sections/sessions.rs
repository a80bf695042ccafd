//! Far more sessions than slots within a budget of memory: no turn fails, each session knows its own past, and the
//! library keeps to the budget.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::conversations::{self, At, Held};
use crate::error::Result;
use crate::library::Context;
use crate::memory::{self, Watched};
use crate::ours::{self, Settings};
use crate::pocket;
use crate::report::{Bound, Report, Row, Target};
use crate::shape::Crowd;

pub const NAME: &str = "sessions";

/// Turns decoded together.
const PARALLEL: usize = 16;
const CONTEXT: u32 = 1024;
/// Budgets in MiB: far below what all sessions would take.
const POCKET_BUDGET: u64 = 64;
const BUDGET: u64 = 1024;
const MEBIBYTE: f64 = 1_048_576.0;

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    recall(bench, report)?;
    guests(bench, report)
}

/// Conversations with the pocket model, of which each tells a name at first and asks for it in the end.
fn recall(bench: &Bench, report: &mut Report) -> Result<()> {
    let crowd = bench.shape.crowd;
    let alone = alone(bench, crowd)?;
    let engine = bench.pocket(&settings(crowd), &budget(POCKET_BUDGET))?;
    let recalled: Vec<AtomicBool> = alone.iter().map(|_| AtomicBool::new(false)).collect();
    let (held, watched) = memory::watch(&engine, || {
        conversations::hold(&engine, crowd, &|context, at| {
            let is_recalled = turn(context, at, crowd)?;
            recalled[at.session].store(is_recalled, Ordering::Relaxed);
            Ok(())
        })
    })?;
    let recalled: Vec<bool> = recalled.into_iter().map(AtomicBool::into_inner).collect();
    let both = alone.iter().zip(&recalled);
    let forgotten = both.filter(|(alone, recalled)| **alone && !**recalled);
    let share = |recalled: &[bool]| {
        let count = recalled.iter().filter(|recalled| **recalled).count();
        count as f64 / recalled.len() as f64
    };
    report.row(
        Row::new(
            NAME,
            "pocket: names forgotten that a lone session recalls",
            "sessions",
        )
        .ours(forgotten.count() as f64)
        .target(Target::Count(Bound::AtMost(0.0)))
        .details(json!({"sessions": crowd.sessions})),
    );
    report.row(
        Row::new(NAME, "pocket: names recalled", "of the sessions")
            .ours(share(&recalled))
            .against("alone", share(&alone)),
    );
    rows(report, "pocket", crowd, (&held, &watched), POCKET_BUDGET);
    Ok(())
}

/// Conversations of short prompts with the measured model.
fn guests(bench: &Bench, report: &mut Report) -> Result<()> {
    let (crowd, size) = (bench.shape.guests, bench.shape.guest_turn);
    let prompts = bench.prompts(size.prompt, crowd.sessions)?;
    let engine = bench.ours_with(&settings(crowd), &budget(BUDGET))?;
    let (held, watched) = memory::watch(&engine, || {
        conversations::hold(&engine, crowd, &|context, at| {
            let prompt = &prompts[(at.session + at.turn) % prompts.len()];
            context.run(prompt, &ours::limit(size.tokens))
        })
    })?;
    rows(report, "model", crowd, (&held, &watched), BUDGET);
    Ok(())
}

fn settings(crowd: Crowd) -> Settings {
    Settings {
        parallel: PARALLEL,
        context: CONTEXT,
        contexts: crowd.sessions,
        queue: 50,
    }
}

fn budget(mebibytes: u64) -> Value {
    json!({"memory": {"max_memory_mb": mebibytes}})
}

/// Which sessions recall their name when nobody else is there.
fn alone(bench: &Bench, crowd: Crowd) -> Result<Vec<bool>> {
    let settings = Settings {
        parallel: 1,
        contexts: 1,
        ..settings(crowd)
    };
    let engine = bench.pocket(&settings, &json!({}))?;
    let sessions = 0..crowd.sessions;
    let recalls = sessions.map(|session| {
        let context = engine.context()?;
        let turns = (0..crowd.turns).map(|number| {
            let at = At {
                session,
                turn: number,
            };
            turn(&context, at, crowd)
        });
        let recalled: Result<Vec<bool>> = turns.collect();
        Ok(recalled?.pop().unwrap_or(false))
    });
    recalls.collect()
}

/// Runs a turn; whether its answer has the session's name.
fn turn(context: &Context<'_>, at: At, crowd: Crowd) -> Result<bool> {
    let introduction = pocket::introduction(at.session);
    let text = match at.turn {
        0 => &introduction,
        turn if turn + 1 == crowd.turns => pocket::QUESTION,
        turn => pocket::talk(at.session, turn),
    };
    context.run(text, &ours::limit(pocket::ANSWER))?;
    Ok(context.text()?.contains(pocket::name(at.session)))
}

fn rows(
    report: &mut Report,
    place: &str,
    crowd: Crowd,
    (held, watched): (&Held, &Watched),
    budget: u64,
) {
    let turns = crowd.sessions * crowd.turns;
    let details = json!({
        "sessions": crowd.sessions,
        "turns": turns,
        "threads": crowd.threads,
    });
    let what = format!("{place}: failed turns");
    report.row(conversations::failed(NAME, what, &held.failures, details));
    report.row(
        Row::new(NAME, format!("{place}: most memory accounted for"), "MiB")
            .ours(watched.most as f64 / MEBIBYTE)
            .target(Target::Count(Bound::AtMost(budget as f64)))
            .details(watched.last.to_json()),
    );
    let speed = turns as f64 / held.wall.as_secs_f64();
    report.row(Row::new(NAME, format!("{place}: turns of all sessions"), "turns/s").ours(speed));
}
