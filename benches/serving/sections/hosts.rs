//! Many host threads with a conversation each, far more than are decoded together: no turn may fail.

use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::bench::Bench;
use crate::error::{Error, Result};
use crate::measure;
use crate::ours::{self, Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::shape::Size;

pub const NAME: &str = "hosts";

const HOSTS: usize = 128;
const TURNS: usize = 3;
const PARALLEL: usize = 8;

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let size = bench.shape.visit;
    let prompts = bench.prompts(size.prompt, HOSTS)?;
    let engine = bench.ours(&Settings {
        parallel: PARALLEL,
        context: 512,
        contexts: HOSTS,
        queue: 256,
    })?;
    let begun = Instant::now();
    let failures = thread::scope(|scope| {
        let hosts: Vec<_> = prompts
            .iter()
            .map(|prompt| scope.spawn(|| Ok(converse(&engine, prompt, size))))
            .collect();
        let failures: Result<Vec<_>> = hosts.into_iter().map(measure::join).collect();
        failures
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let failures: Vec<String> = failures
        .into_iter()
        .flatten()
        .map(|error| error.to_string())
        .collect();
    report.row(
        Row::new(NAME, "failed turns", "turns")
            .ours(failures.len() as f64)
            .target(Target::Count(Bound::AtMost(0.0)))
            .details(json!({"hosts": HOSTS, "turns": HOSTS * TURNS, "errors": failures})),
    );
    report.row(
        Row::new(NAME, "turns of all hosts", "turns/s").ours((HOSTS * TURNS) as f64 / seconds),
    );
    Ok(())
}

/// The turns of one host, and what failed of them.
fn converse(engine: &Ours, prompt: &str, size: Size) -> Vec<Error> {
    let context = match engine.context() {
        Ok(context) => context,
        Err(error) => return vec![error; TURNS],
    };
    (0..TURNS)
        .filter_map(|_| context.run(prompt, &ours::limit(size.tokens)).err())
        .collect()
}
