//! One model takes another one's place while a stream begins turn after turn: for how long it gets nothing, and what is
//! left in memory after many swaps.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::engine::{Engine, Request};
use crate::error::{Error, Result};
use crate::machine;
use crate::measure;
use crate::ours::{Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;
use crate::scratch::Scratch;

pub const NAME: &str = "swap";

/// Swaps of which the longest gap is taken, in each round.
const SWAPS: usize = 6;
/// Swaps after which memory is weighed, first and last.
const WEIGHED: [usize; 2] = [5, 50];
/// The stream's answers.
const TOKENS: u32 = 8;
/// A service that is not noticed, in milliseconds.
const GAP: f64 = 50.0;
/// Beyond the time of the load itself.
const OVERHEAD: f64 = 1.10;
/// What may stay behind.
const GROWTH: f64 = 1.05;
/// After the last turn: the watch that gives memory back looks once a second.
const REST: Duration = Duration::from_millis(2500);

/// Two files that are swapped, and how a side is started on the first of them.
struct Pair<'a> {
    what: &'static str,
    files: [PathBuf; 2],
    start: &'a dyn Fn(&Value) -> Result<Ours>,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let scratch = Scratch::new(bench.logs.folder(), "swap")?;
    let copy = scratch.path().join("copy.gguf");
    std::fs::copy(&bench.options.model, &copy).map_err(|error| failed(&copy, &error))?;
    let pocket_b = bench.options.pocket.with_file_name("pocket-b.gguf");
    let settings = Settings {
        parallel: 8,
        context: 1024,
        contexts: 64,
        queue: 200,
    };
    let pairs = [
        Pair {
            what: "pocket",
            files: [bench.options.pocket.clone(), pocket_b],
            start: &|more| bench.pocket(&settings, more),
        },
        Pair {
            what: "model",
            files: [bench.options.model.clone(), copy],
            start: &|more| bench.ours_with(&settings, more),
        },
    ];
    for pair in &pairs {
        with_room(bench, report, pair)?;
        without_room(bench, report, pair)?;
        weigh(bench, report, pair)?;
    }
    Ok(())
}

/// The longest gap of the stream beside swaps with room for both.
fn with_room(bench: &Bench, report: &mut Report, pair: &Pair<'_>) -> Result<()> {
    let (mut quiet, mut swapping) = (Samples::new(), Samples::new());
    for _ in 0..bench.options.rounds {
        let engine = (pair.start)(&mode("beside"))?;
        let window = Duration::from_millis(1500);
        quiet.push(longest_gap(&engine, || {
            thread::sleep(window);
            Ok(())
        })?);
        swapping.push(longest_gap(&engine, || swap(&engine, pair, SWAPS))?);
    }
    let row = Row::new(
        NAME,
        format!("{}, room for both: longest gap of a stream", pair.what),
        "ms",
    );
    report.row(
        row.ours(swapping)
            .against("without swaps", quiet)
            .target(Target::Value(Bound::AtMost(GAP)))
            .details(json!({"swaps": SWAPS})),
    );
    Ok(())
}

/// The longest gap beside swaps without room, and the time in which no version serves as a multiple of what a load takes.
fn without_room(bench: &Bench, report: &mut Report, pair: &Pair<'_>) -> Result<()> {
    let (mut gaps, mut loads) = (Samples::new(), Samples::new());
    let (mut nobody, mut ratios) = (Samples::new(), Samples::new());
    for _ in 0..bench.options.rounds {
        let engine = (pair.start)(&mode("replace"))?;
        let load = engine.load_time.as_secs_f64() * 1000.0;
        loads.push(load);
        let mut longest: f64 = 0.0;
        for _ in 0..SWAPS / 2 {
            engine.swap(&pair.files[1])?;
            // Back to the file of which the time of a load is known.
            longest = longest.max(longest_gap(&engine, || engine.swap(&pair.files[0]))?);
            let gap = service_gap(&engine)?;
            nobody.push(gap);
            ratios.push(gap / load);
        }
        gaps.push(longest);
    }
    let what = |what: &str| format!("{}, no room: {what}", pair.what);
    report.row(
        Row::new(NAME, what("longest gap of a stream"), "ms")
            .ours(gaps)
            .against("a load when nothing runs", loads),
    );
    report.row(Row::new(NAME, what("time without service"), "ms").ours(nobody));
    report.row(
        Row::new(NAME, what("that time over the time of the load"), "x")
            .ours(ratios)
            .target(Target::Value(Bound::AtMost(OVERHEAD))),
    );
    Ok(())
}

/// Memory after the first and the last of many swaps, with turns between them.
fn weigh(bench: &Bench, report: &mut Report, pair: &Pair<'_>) -> Result<()> {
    let engine = (pair.start)(&mode("beside"))?;
    let [early, late] = match bench.options.quick {
        true => [1, 3],
        false => WEIGHED,
    };
    // An even number of swaps leads to the same model.
    let mut done = 0;
    let mut bytes = Vec::new();
    for swaps in [early + early % 2, late + late % 2] {
        while done < swaps {
            engine.swap(&pair.files[(done + 1) % 2])?;
            done += 1;
            turn(&engine)?;
        }
        thread::sleep(REST);
        bytes.push(machine::resident().unwrap_or(0) as f64);
    }
    report.row(
        Row::new(
            NAME,
            format!("{}: resident bytes after {done} swaps", pair.what),
            "of those at first",
        )
        .ours(bytes[1] / bytes[0].max(1.0))
        .target(Target::Value(Bound::AtMost(GROWTH)))
        .details(json!({"swaps": [early + early % 2, done], "bytes": bytes})),
    );
    Ok(())
}

fn mode(swap_mode: &str) -> Value {
    json!({"backend": {"swap_mode": swap_mode, "max_concurrent": 64, "default_task_timeout_ms": 3_600_000}})
}

fn swap(engine: &Ours, pair: &Pair<'_>, count: usize) -> Result<()> {
    for n in 0..count {
        engine.swap(&pair.files[(n + 1) % 2])?;
        // A few turns between two.
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// For how long no version served at the last swap, in milliseconds.
fn service_gap(engine: &Ours) -> Result<f64> {
    let status = engine.model_status()?;
    let changes = status["changes"].as_array();
    let gap = changes.and_then(|all| all.last()?["gap_ms"].as_f64());
    gap.ok_or_else(|| Error::Setup("no gap_ms".to_owned()))
}

fn turn(engine: &Ours) -> Result<()> {
    let request = Request {
        prompt: "Hello.",
        tokens: TOKENS,
    };
    engine.run(request).map(|_| ())
}

/// The longest time between two pieces, in milliseconds, of a stream that begins turn after turn beside `work`.
fn longest_gap(engine: &Ours, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let request = Request {
                    prompt: "Hello.",
                    tokens: TOKENS,
                };
                engine.stream(request, &mut || {
                    let now = Instant::now();
                    longest = longest.max(now - last);
                    last = now;
                    ControlFlow::Continue(())
                })?;
            }
            Ok(longest)
        });
        // The first turns find their pace.
        thread::sleep(Duration::from_millis(200));
        let worked = work();
        over.store(true, Ordering::Relaxed);
        let longest = measure::join(stream)?;
        worked?;
        Ok(longest.as_secs_f64() * 1000.0)
    })
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Setup(format!("{}: {error}", path.display()))
}
