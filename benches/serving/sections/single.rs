//! One stream alone: tokens per second after the first one, seen by the caller.

use serde_json::json;

use crate::bench::Bench;
use crate::engine::{Engine, Request};
use crate::error::Result;
use crate::measure::{self, Single};
use crate::ours::Settings;
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "single";

/// Cells of the server's cache: its slots share them, and the one turn needs 288.
const SERVER_CELLS: usize = 2048;

/// What one side took.
#[derive(Default)]
struct Taken {
    speeds: Samples,
    firsts: Samples,
    /// Tokens of the prompt, tokens generated, pieces.
    counts: Vec<[u64; 3]>,
}

impl Taken {
    fn add(&mut self, single: Single) {
        self.speeds.push(single.speed);
        self.firsts.push(single.first.as_secs_f64());
        let turn = single.turn;
        let counts = [turn.prompt_tokens, turn.completion_tokens, single.pieces];
        self.counts.push(counts);
    }
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let size = bench.shape.single;
    let prompt = bench.prompt(size.prompt)?;
    let request = Request {
        prompt: &prompt,
        tokens: size.tokens,
    };
    let (mut ours, mut server) = (Taken::default(), Taken::default());
    for _ in 0..bench.options.rounds {
        let engine = bench.ours(&Settings {
            parallel: 1,
            context: 512,
            contexts: 1,
            queue: 50,
        })?;
        ours.add(measure::single(&engine, request)?);
        drop(engine);
        if bench.peers.has_server() {
            let engine = bench.peers.server(SERVER_CELLS, None)?;
            server.add(measure::single(&engine as &dyn Engine, request)?);
        }
    }
    for [_, tokens, pieces] in &ours.counts {
        if *pieces < tokens / 2 {
            report.note(format!(
                "single: {tokens} tokens came in {pieces} pieces, which says nothing of their speed"
            ));
        }
    }
    let details = json!({
        "counts": ["prompt_tokens", "completion_tokens", "pieces"],
        "ours": ours.counts,
        "llama-server": server.counts,
    });
    let mut speed = Row::new(NAME, "one stream", "tok/s")
        .ours(ours.speeds)
        .details(details);
    let mut first = Row::new(NAME, "first token", "s").ours(ours.firsts);
    if !server.speeds.is_empty() {
        speed = speed
            .against("llama-server", server.speeds)
            .target(Target::Ratio(Bound::AtLeast(0.97)));
        first = first.against("llama-server", server.firsts);
    }
    report.row(speed);
    report.row(first);
    Ok(())
}
