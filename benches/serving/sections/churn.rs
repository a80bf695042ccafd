//! Contexts that come and go for a long time: the process must not grow.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::bench::Bench;
use crate::conversations;
use crate::error::{Error, Result};
use crate::library::Context;
use crate::machine;
use crate::measure;
use crate::memory::Memory;
use crate::ours::{self, Ours, Settings};
use crate::pocket;
use crate::random::Random;
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "churn";

const THREADS: usize = 8;
/// Contexts that a thread may have open.
const CONTEXTS: usize = 4;
const CONTEXT: u32 = 256;
/// One of so many turns begins on a new context in place of an old one.
const RENEWAL: usize = 4;
const LONGEST_ANSWER: usize = 20;
/// How much the process may grow after the first tenth of the turns.
const GROWTH: f64 = 1.02;
const MEBIBYTE: f64 = 1_048_576.0;

/// What all threads share.
struct Course {
    turns: usize,
    begun: AtomicUsize,
    /// What the process takes around the end of the first tenth, and at the end.
    early: Mutex<Samples>,
    late: Mutex<Samples>,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let settings = Settings {
        parallel: THREADS,
        context: CONTEXT,
        contexts: THREADS * CONTEXTS,
        queue: 50,
    };
    let engine = bench.pocket(&settings, &json!({}))?;
    let course = Course {
        turns: bench.shape.churn,
        begun: AtomicUsize::new(0),
        early: Mutex::default(),
        late: Mutex::default(),
    };
    let failures = thread::scope(|scope| {
        let (engine, course) = (&engine, &course);
        let threads: Vec<_> = (0..THREADS)
            .map(|number| scope.spawn(move || course.run(engine, number)))
            .collect();
        let failures: Result<Vec<_>> = threads.into_iter().map(measure::join).collect();
        failures
    })?;
    let failures = failures.concat();
    let details = json!({"turns": course.turns, "memory": Memory::now(&engine)?.to_json()});
    let what = "failed turns".to_owned();
    report.row(conversations::failed(NAME, what, &failures, details));
    let samples = |of: Mutex<Samples>| of.into_inner().map_err(|_| poisoned());
    let (early, late) = (samples(course.early)?, samples(course.late)?);
    report.row(
        Row::new(NAME, "process in memory at the end", "MiB")
            .ours(late.median())
            .against("after a tenth of the turns", early.median())
            .target(Target::Ratio(Bound::AtMost(GROWTH)))
            .details(json!({"early": early.to_json(), "late": late.to_json()})),
    );
    Ok(())
}

impl Course {
    /// One thread's turns, until all have run; what failed of them.
    fn run(&self, engine: &Ours, thread: usize) -> Result<Vec<String>> {
        let mut random = Random::new(thread as u64);
        let mut contexts: [Option<Context<'_>>; CONTEXTS] = Default::default();
        let mut failures = Vec::new();
        loop {
            let turn = self.begun.fetch_add(1, Ordering::Relaxed);
            if turn >= self.turns {
                return Ok(failures);
            }
            self.look(turn)?;
            let place = &mut contexts[random.below(CONTEXTS)];
            if random.below(RENEWAL) == 0 {
                *place = None;
            }
            let text = pocket::talk(thread, turn);
            let tokens = 1 + random.below(LONGEST_ANSWER) as u32;
            if let Err(error) = say(engine, place, text, tokens) {
                failures.push(format!("turn {turn}: {error}"));
            }
        }
    }

    /// Looks at the process before every turn of two hundredths of the course: one value alone says little.
    fn look(&self, turn: usize) -> Result<()> {
        let part = (self.turns / 100).max(1);
        let into = match turn / part {
            10 => &self.early,
            99 => &self.late,
            _ => return Ok(()),
        };
        let bytes = machine::resident();
        let bytes = bytes.ok_or_else(|| Error::Setup("the system tells no VmRSS".to_owned()))?;
        let mut samples = into.lock().map_err(|_| poisoned())?;
        samples.push(bytes as f64 / MEBIBYTE);
        Ok(())
    }
}

/// Runs a turn on the context in `place`, or on a new one.
fn say<'a>(
    engine: &'a Ours,
    place: &mut Option<Context<'a>>,
    text: &str,
    tokens: u32,
) -> Result<()> {
    let context = match place {
        Some(context) => context,
        None => place.insert(engine.context()?),
    };
    context.run(text, &ours::limit(tokens))
}

fn poisoned() -> Error {
    Error::Setup("a measuring thread panicked".to_owned())
}
