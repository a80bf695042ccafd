//! The benchmark: drives `libwasi_nn_backend.so` through its C interface, and llama.cpp's own programs beside it.
//!
//! Each section measures one promise. Within one run both sides alternate, and what counts are medians over rounds.
//! `docs/benchmark.md` tells how to run it and what the figures mean. Links nothing of the library.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints a table, and its progress beside it"
)]

mod options;
mod shape;

mod bench;
mod sections;

mod conversations;
mod corpus;
mod engine;
mod instances;
mod measure;
mod report;
mod samples;

mod shared;
mod texts;

mod library;
mod memory;
mod ours;
mod plugin;

mod peers;
mod server;
mod spin;

mod gguf;
mod logs;
mod machine;
mod model;
mod pocket;
mod random;
mod scratch;

mod error;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use bench::Bench;
use error::{Error, Result};
use options::{Options, Task};
use report::Report;

/// Load average up to which a machine passes for idle.
const IDLE: f64 = 0.5;

fn main() -> ExitCode {
    let ended = options::read().and_then(|task| match task {
        Task::Measure(options) => measure_all(*options),
        Task::MakeModel(path) => model::write(&path).map(|()| ExitCode::SUCCESS),
        Task::Spin(threads) => {
            spin::spin(threads);
            Ok(ExitCode::SUCCESS)
        }
        Task::Help => {
            println!("{}", options::USAGE);
            Ok(ExitCode::SUCCESS)
        }
    });
    ended.unwrap_or_else(|error| {
        eprintln!("serving: {error}");
        ExitCode::from(2)
    })
}

fn measure_all(options: Options) -> Result<ExitCode> {
    let chosen = sections::chosen(&options.sections)?;
    let bench = Bench::new(options)?;
    let mut report = Report::default();
    report.judges_speed = bench.shape.is_full;
    if !report.judges_speed {
        report.note("small shapes: speeds and times are not judged");
    }
    let load = bench.load_before.filter(|load| *load > IDLE);
    if let Some(load) = load.filter(|_| report.judges_speed) {
        report.note(format!(
            "the machine was busy before (load {load}): speeds and times are not to be believed"
        ));
    }
    for section in chosen {
        let begun = Instant::now();
        if let Err(error) = (section.run)(&bench, &mut report) {
            report.failure(format!("{}: {error}", section.name));
        }
        // After each one: a run takes long, and what was measured outlives one that is cut short.
        save(&bench, &report)?;
        let seconds = begun.elapsed().as_secs();
        eprintln!("serving: {} took {seconds} s", section.name);
    }
    print!("{}", report.table());
    let missed = report.missed();
    if let Some(folder) = bench.logs.kept() {
        println!("logs: {}", folder.display());
    }
    match bench.options.check && missed > 0 {
        true => Ok(ExitCode::FAILURE),
        false => Ok(ExitCode::SUCCESS),
    }
}

/// Writes everything that was measured so far, where that is wanted.
fn save(bench: &Bench, report: &Report) -> Result<()> {
    let Some(path) = &bench.options.json else {
        return Ok(());
    };
    let text = format!("{:#}\n", report.to_json(bench.about()));
    fs::write(path, text).map_err(|error| Error::Setup(format!("{}: {error}", path.display())))
}
