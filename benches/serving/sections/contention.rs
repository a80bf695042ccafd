//! Another process keeps cores busy: how much speed is left, on either side.
//!
//! An engine whose threads wait for each other can lose far more than its share of the cores.

use serde_json::json;
use std::thread;
use std::time::Duration;

use crate::bench::Bench;
use crate::engine::Engine;
use crate::error::Result;
use crate::machine;
use crate::measure;
use crate::ours::Settings;
use crate::report::{Report, Row};
use crate::samples::Samples;
use crate::spin::Spinner;

pub const NAME: &str = "contention";

/// Busy threads beside the engine.
const BUSY: [usize; 2] = [1, 2];
/// Streams at once.
const STREAMS: [usize; 2] = [1, 4];
const CONTEXT: u32 = 256;
/// Time for the scheduler of the system to notice the neighbour.
const SETTLING: Duration = Duration::from_millis(200);

/// Speeds of one side, in tokens per second.
#[derive(Default)]
struct Speeds {
    /// For each of `STREAMS`.
    free: [Samples; 2],
    /// For each of `STREAMS` and of `BUSY`, as a share of the speed without a neighbour in the same round.
    left: [[Samples; 2]; 2],
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let most = STREAMS[1];
    let prompts = bench.prompts(bench.shape.stream.prompt, most)?;
    let tokens = bench.shape.stream.tokens;
    let (mut ours, mut server) = (Speeds::default(), Speeds::default());
    for _ in 0..bench.options.rounds {
        let engine = bench.ours(&Settings {
            parallel: most,
            context: CONTEXT,
            contexts: most,
            queue: 50,
        })?;
        ours.observe(&engine, &prompts, tokens)?;
        drop(engine);
        if bench.peers.has_server() {
            let engine = bench.peers.server(most * CONTEXT as usize, None)?;
            server.observe(&engine, &prompts, tokens)?;
        }
    }
    for (at, &streams) in STREAMS.iter().enumerate() {
        for (busy_at, &busy) in BUSY.iter().enumerate() {
            let cores = machine::cores() as f64;
            let wanted = (bench.options.threads + busy) as f64;
            let left = &ours.left[at][busy_at];
            let row = Row::new(
                NAME,
                format!("{streams} streams, {busy} busy threads"),
                "of the speed",
            )
            .ours(left.clone())
            .details(json!({
                "ours_undisturbed": ours.free[at].to_json(),
                "llama-server_undisturbed": server.free[at].to_json(),
                "proportional": (cores / wanted).min(1.0),
            }));
            let peer = &server.left[at][busy_at];
            report.row(match peer.is_empty() {
                true => row,
                false => row.against("llama-server", peer.clone()),
            });
        }
    }
    Ok(())
}

impl Speeds {
    fn observe(&mut self, engine: &dyn Engine, prompts: &[String], tokens: u32) -> Result<()> {
        let speed = |streams: usize| -> Result<f64> {
            Ok(measure::wave(engine, &prompts[..streams], tokens)?.speed())
        };
        let mut free = [0.0; 2];
        for (at, &streams) in STREAMS.iter().enumerate() {
            free[at] = speed(streams)?;
            self.free[at].push(free[at]);
        }
        for (busy_at, &busy) in BUSY.iter().enumerate() {
            let _neighbour = Spinner::start(busy)?;
            thread::sleep(SETTLING);
            for (at, &streams) in STREAMS.iter().enumerate() {
                self.left[at][busy_at].push(speed(streams)? / free[at]);
            }
        }
        Ok(())
    }
}
