//! A long prompt arrives while a stream runs, and a short one right behind it: who waits, and for how long.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::bench::Bench;
use crate::engine::{Engine, Request};
use crate::error::{Error, Result};
use crate::measure;
use crate::ours::Settings;
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;
use crate::shape::Shape;

pub const NAME: &str = "interference";

/// Cells of the server's cache, which its slots share.
const SERVER_CELLS: usize = 32_768;
/// Pieces of the stream after which the long prompt comes.
const STREAM_LEAD: usize = 8;
/// Tokens of the stream's and of the short prompt, and of the answers to the short and the long one.
const SHORT_PROMPT: u32 = 32;
const SHORT_ANSWER: u32 = 8;
/// What stream and users should see at most, in seconds.
const GAP: f64 = 0.5;
/// How much longer the long prompt may take beside the others than alone in llama-server.
const SLOWER: f64 = 1.12;

/// The texts of one collision.
struct Texts {
    stream: String,
    long: String,
    short: String,
}

/// What was seen, in seconds.
#[derive(Default)]
struct Seen {
    longest_gap: Samples,
    p99_gap: Samples,
    short_first: Samples,
    long_first: Samples,
    long_alone: Samples,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let shape = &bench.shape;
    let mut short = bench.prompts(SHORT_PROMPT, 2)?.into_iter();
    let texts = Texts {
        stream: short.next().unwrap_or_default(),
        long: bench.prompt(shape.long_prompt)?,
        short: short.next().unwrap_or_default(),
    };
    let (mut ours, mut server) = (Seen::default(), Seen::default());
    for _ in 0..bench.options.rounds {
        let engine = bench.ours(&Settings {
            parallel: 4,
            context: shape.long_context,
            contexts: 8,
            queue: 50,
        })?;
        observe(&engine, &texts, shape, &mut ours)?;
        drop(engine);
        if bench.peers.has_server() {
            let engine = bench.peers.server(SERVER_CELLS, None)?;
            observe(&engine, &texts, shape, &mut server)?;
        }
    }
    for row in rows(ours, server, shape) {
        report.row(row);
    }
    Ok(())
}

fn rows(ours: Seen, server: Seen, shape: &Shape) -> Vec<Row> {
    let has_server = !server.long_alone.is_empty();
    let row = |what: &str, ours: Samples, server: Samples| {
        let row = Row::new(NAME, what, "s").ours(ours);
        match has_server {
            true => row.against("llama-server", server),
            false => row,
        }
    };
    let at_most_gap = Target::Value(Bound::AtMost(GAP));
    let mut long = Row::new(NAME, "long prompt, first token", "s")
        .ours(ours.long_first)
        .details(json!({
            "prompt_tokens": shape.long_prompt,
            "ours_alone": ours.long_alone.to_json(),
            "llama-server_beside_the_stream": server.long_first.to_json(),
        }));
    if has_server {
        long = long
            .against("llama-server, alone", server.long_alone)
            .target(Target::Ratio(Bound::AtMost(SLOWER)));
    }
    vec![
        row("stream, longest gap", ours.longest_gap, server.longest_gap),
        row("stream, p99 gap", ours.p99_gap, server.p99_gap).target(at_most_gap),
        row(
            "short prompt, first token",
            ours.short_first,
            server.short_first,
        )
        .target(at_most_gap),
        long,
    ]
}

/// The long prompt alone, then beside a stream and followed by a short one.
fn observe(engine: &dyn Engine, texts: &Texts, shape: &Shape, seen: &mut Seen) -> Result<()> {
    let long = Request {
        prompt: &texts.long,
        tokens: SHORT_ANSWER,
    };
    let alone = measure::first_piece(engine, long)?;
    seen.long_alone.push(alone.as_secs_f64());
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let (leads, lead) = mpsc::channel();
        let stream = Request {
            prompt: &texts.stream,
            // As long as there is room: the stream is ended from outside.
            tokens: shape.long_context - SHORT_PROMPT - 1,
        };
        let ended = &ended;
        let stream = scope.spawn(move || pieces(engine, stream, leads, ended));
        let collided = lead
            .recv()
            .map_err(|_| Error::Setup("the stream ended before it began".to_owned()))
            .and_then(|()| {
                let begun = Instant::now();
                let short = scope.spawn(|| {
                    thread::sleep(shape.delay);
                    let short = Request {
                        prompt: &texts.short,
                        tokens: SHORT_ANSWER,
                    };
                    measure::first_piece(engine, short)
                });
                let long = measure::first_piece(engine, long);
                Ok((begun, measure::join(short)?, long?))
            });
        ended.store(true, Ordering::Relaxed);
        let pieces = measure::join(stream);
        let (begun, short, long) = collided?;
        seen.short_first.push(short.as_secs_f64());
        seen.long_first.push(long.as_secs_f64());
        let gaps = gaps(&pieces?, begun, begun + long)?;
        seen.longest_gap.push(gaps.max());
        seen.p99_gap.push(gaps.percentile(0.99));
        Ok(())
    })
}

/// When the pieces of a stream came, until `ended`. Says so once enough have come for it to be under way.
fn pieces(
    engine: &dyn Engine,
    request: Request<'_>,
    lead: mpsc::Sender<()>,
    ended: &AtomicBool,
) -> Result<Vec<Instant>> {
    let mut times = Vec::new();
    engine.stream(request, &mut || {
        times.push(Instant::now());
        if times.len() == STREAM_LEAD {
            // Nobody listens any more where the measurement has failed; the flag ends this one too.
            let _ = lead.send(());
        }
        match ended.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    Ok(times)
}

/// The gaps between pieces, in seconds, that lie at least partly between two moments.
fn gaps(pieces: &[Instant], from: Instant, to: Instant) -> Result<Samples> {
    if pieces.last().is_none_or(|last| *last < to) {
        return Err(Error::Setup(
            "the stream ended before the long prompt's first token".to_owned(),
        ));
    }
    let pairs = pieces.iter().zip(&pieces[1..]);
    Ok(pairs
        .filter(|(left, right)| **right > from && **left < to)
        .map(|(left, right)| (*right - *left).as_secs_f64())
        .collect())
}
