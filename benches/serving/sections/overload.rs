//! More callers at once than the queue takes: every one is answered, and the refused ones soon and with a reason.

use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::Bench;
use crate::error::{Error, Result};
use crate::ours::{self, Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "overload";

const CALLERS: usize = 64;
const PARALLEL: usize = 4;
const QUEUE: usize = 8;
/// `runtime_error` of the header.
const RUNTIME_ERROR: u32 = 4;
/// How late a refusal may come, in seconds.
const SOON: f64 = 0.05;
/// Who is not answered by then is lost.
const PATIENCE: Duration = Duration::from_secs(300);

/// How the callers fared.
#[derive(Default)]
struct Fates {
    answered: usize,
    /// How long the refusals took, in seconds.
    refused: Samples,
    refusals: usize,
    other: Vec<String>,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let size = bench.shape.stream;
    let prompts = bench.prompts(size.prompt, CALLERS)?;
    let engine = Arc::new(bench.ours(&Settings {
        parallel: PARALLEL,
        context: 256,
        contexts: CALLERS,
        queue: QUEUE,
    })?);
    let start = Arc::new(Barrier::new(CALLERS));
    let (answers, answer) = mpsc::channel();
    // No scope, no join: a caller that never returns must not keep the benchmark.
    for prompt in prompts {
        let (engine, start, answers) = (engine.clone(), start.clone(), answers.clone());
        thread::spawn(move || {
            let fate = call(&engine, &start, &prompt, size.tokens);
            drop(engine);
            // Nobody listens any more where patience has ended.
            let _ = answers.send(fate);
        });
    }
    let mut fates = Fates::default();
    let begun = Instant::now();
    for _ in 0..CALLERS {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        let Ok((result, taken)) = answer.recv_timeout(left) else {
            break;
        };
        fates.add(result, taken);
    }
    fates.rows(report);
    Ok(())
}

/// One caller: what it got and how long that took.
fn call(engine: &Ours, start: &Barrier, prompt: &str, tokens: u32) -> (Result<()>, Duration) {
    let context = engine.context();
    start.wait();
    let begun = Instant::now();
    let result = context.and_then(|context| context.run(prompt, &ours::limit(tokens)));
    (result, begun.elapsed())
}

impl Fates {
    fn add(&mut self, result: Result<()>, taken: Duration) {
        match result {
            Ok(()) => self.answered += 1,
            Err(Error::Library { code, text, .. })
                if code == RUNTIME_ERROR && text.contains("queue full") =>
            {
                self.refusals += 1;
                self.refused.push(taken.as_secs_f64());
            }
            Err(error) => self.other.push(error.to_string()),
        }
    }

    fn rows(self, report: &mut Report) {
        let lost = CALLERS - self.answered - self.refusals - self.other.len();
        let count = |what: &str, number: usize| Row::new(NAME, what, "callers").ours(number as f64);
        let none = Target::Count(Bound::AtMost(0.0));
        // As many as may run and wait are never refused.
        let least = Target::Count(Bound::AtLeast(QUEUE as f64));
        report.row(count("answered", self.answered).target(least));
        report.row(count("refused, queue full", self.refusals));
        let other = json!({"errors": self.other});
        report.row(
            count("failed otherwise", self.other.len())
                .target(none)
                .details(other),
        );
        report.row(count("lost", lost).target(none));
        report.row(
            Row::new(NAME, "slowest refusal", "s")
                .ours(self.refused.max())
                .target(Target::Value(Bound::AtMost(SOON)))
                .details(self.refused.to_json()),
        );
    }
}
