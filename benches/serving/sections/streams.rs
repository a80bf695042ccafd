//! Many streams that begin together: generated tokens per second, the time for their prompts included.
//!
//! Compared with what the engine below can do without a server (llama-batched-bench), and with llama-server as it comes
//! and as it can be tuned.

use serde_json::{Map, Value, json};

use crate::bench::Bench;
use crate::error::Result;
use crate::measure::{self, Wave};
use crate::ours::Settings;
use crate::peers::{Batched, Layout};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "streams";

/// Tokens of a conversation: prompt and answer, with room.
const CONTEXT: u32 = 256;

/// Something to compare with.
#[derive(Debug, Clone, Copy)]
enum Peer {
    Batched(Layout),
    /// Slots; `None`: what it does without being told.
    Server(Option<usize>),
}

const PEERS: [Peer; 5] = [
    Peer::Batched(Layout::Unified),
    Peer::Batched(Layout::Split),
    Peer::Server(None),
    Peer::Server(Some(16)),
    Peer::Server(Some(64)),
];

/// Peers of which the fastest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Bench,
    DefaultServer,
    TunedServer,
}

impl Peer {
    fn name(self) -> String {
        match self {
            Peer::Batched(Layout::Unified) => "batched-bench unified".to_owned(),
            Peer::Batched(Layout::Split) => "batched-bench split".to_owned(),
            Peer::Server(None) => "llama-server".to_owned(),
            Peer::Server(Some(slots)) => format!("llama-server -np {slots}"),
        }
    }

    fn group(self) -> Group {
        match self {
            Peer::Batched(_) => Group::Bench,
            Peer::Server(None) => Group::DefaultServer,
            Peer::Server(Some(_)) => Group::TunedServer,
        }
    }

    fn is_there(self, bench: &Bench) -> bool {
        match self {
            Peer::Batched(_) => bench.peers.has_batched_bench(),
            Peer::Server(_) => bench.peers.has_server(),
        }
    }

    fn speed(self, bench: &Bench, prompts: &[String]) -> Result<f64> {
        let size = bench.shape.stream;
        let slots = match self {
            Peer::Batched(layout) => {
                return bench.peers.batched_bench(&Batched {
                    streams: prompts.len(),
                    prompt: size.prompt,
                    tokens: size.tokens,
                    cells: prompts.len() * CONTEXT as usize,
                    layout,
                });
            }
            Peer::Server(slots) => slots,
        };
        // By default there are 4 slots, which share the cells.
        let cells = slots.unwrap_or(4) * CONTEXT as usize;
        let server = bench.peers.server(cells, slots)?;
        Ok(measure::wave(&server, prompts, size.tokens)?.speed())
    }
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let largest = bench.shape.streams.iter().copied().max().unwrap_or(0);
    let prompts = bench.prompts(bench.shape.stream.prompt, largest)?;
    for &streams in &bench.shape.streams {
        measure_streams(bench, report, &prompts[..streams])?;
    }
    Ok(())
}

fn measure_streams(bench: &Bench, report: &mut Report, prompts: &[String]) -> Result<()> {
    let peers = PEERS.into_iter().filter(|peer| peer.is_there(bench));
    let mut peers: Vec<(Peer, Samples)> = peers.map(|peer| (peer, Samples::new())).collect();
    let mut ours = Samples::new();
    let mut wave = Wave::default();
    for _ in 0..bench.options.rounds {
        wave = our_wave(bench, prompts)?;
        ours.push(wave.speed());
        for (peer, samples) in &mut peers {
            samples.push(peer.speed(bench, prompts)?);
        }
    }
    let all: Map<String, Value> = peers
        .iter()
        .map(|(peer, samples)| (peer.name(), samples.to_json()))
        .collect();
    let what = format!("{} streams", prompts.len());
    let row = Row::new(NAME, what, "tok/s").ours(ours).details(json!({
        "prompt_tokens": wave.prompt_tokens,
        "completion_tokens": wave.completion_tokens,
        "peers": all,
    }));
    if peers.is_empty() {
        report.row(row);
        return Ok(());
    }
    for group in [Group::Bench, Group::TunedServer, Group::DefaultServer] {
        let of_group = peers.iter().filter(|(peer, _)| peer.group() == group);
        let best = of_group.max_by(|(_, a), (_, b)| a.median().total_cmp(&b.median()));
        if let Some((peer, samples)) = best {
            let mut row = row.clone().against(peer.name(), samples.clone());
            row.target = target(group, prompts.len());
            report.row(row);
        }
    }
    Ok(())
}

fn our_wave(bench: &Bench, prompts: &[String]) -> Result<Wave> {
    let settings = Settings {
        parallel: prompts.len(),
        context: CONTEXT,
        contexts: prompts.len(),
        queue: prompts.len().max(50),
    };
    let more = json!({"performance": {"kv_mode": bench.options.kv_mode}});
    let ours = bench.ours_with(&settings, &more)?;
    measure::wave(&ours, prompts, bench.shape.stream.tokens)
}

fn target(group: Group, streams: usize) -> Option<Target> {
    let ratio = match (group, streams) {
        (Group::Bench, 4 | 16 | 64) => 0.95,
        (Group::TunedServer, 4 | 16 | 64) => 1.0,
        (Group::DefaultServer, 16 | 64) => 1.4,
        _ => return None,
    };
    Some(Target::Ratio(Bound::AtLeast(ratio)))
}
