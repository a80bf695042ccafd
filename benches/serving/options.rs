//! The command line. Checks what is written and does nothing.

use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::machine;

/// What `--help` prints.
pub const USAGE: &str = "\
serving: measures libwasi_nn_backend.so, beside llama.cpp's own programs where these are given

  --model GGUF        the model
  --pocket GGUF       the model for conversations (models/pocket-a.gguf)
  --make-model GGUF   write a model of random weights for this purpose, and end
  --lib PATH          the library (build/libwasi_nn_backend.so)
  --plugin PATH       the plugin for WAMR, for the section guests (libwasi_nn_llamacpp.so beside the library)
  --quiet-lib PATH    the library built with the feature no-debug-lines, for the section rules
  --peers DIR         folder with llama-server and llama-batched-bench
  --sections A,B      only these of: single, streams, interference, fairness, overload, cancel, contention, hosts,
                      sessions, long, resume, pressure, churn, prefix, rules, status, swap, models, guests
  --kv-mode MODE      layout of the cache in the section streams: unified or split (as the library decides)
  --streams 1,4       how many streams begin together (1,4,16,64,128)
  --rounds N          rounds of which medians are taken (5)
  --threads N         compute threads of either side (all cores; 1 with --quick)
  --json FILE         write everything that was measured
  --quick             one round of small shapes: shows that everything works
  --check             exit with 1 if a target was missed
  --keep-logs         keep the logs of both sides";

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// The model to measure with.
    pub model: PathBuf,
    /// The model for conversations whose answers are understood.
    pub pocket: PathBuf,
    /// The library.
    pub library: PathBuf,
    /// The plugin for WAMR; none: the one beside the library, if there is one.
    pub plugin: Option<PathBuf>,
    /// The library without debug lines.
    pub quiet_library: Option<PathBuf>,
    /// Folder of the peers.
    pub peers: Option<PathBuf>,
    /// Sections to run; empty: all.
    pub sections: Vec<String>,
    /// `performance.kv_mode` in the section `streams`.
    pub kv_mode: String,
    /// How many streams begin together.
    pub streams: Vec<usize>,
    /// Rounds.
    pub rounds: usize,
    /// Compute threads.
    pub threads: usize,
    /// File for everything that was measured.
    pub json: Option<PathBuf>,
    /// Small shapes.
    pub quick: bool,
    /// Exit by verdicts.
    pub check: bool,
    /// Keep the logs.
    pub keep_logs: bool,
}

/// What the program is asked for.
pub enum Task {
    /// Measure.
    Measure(Box<Options>),
    /// Write a model.
    MakeModel(PathBuf),
    /// Keep so many cores busy until the standard input ends. Not in the usage: the benchmark asks itself for it.
    Spin(usize),
    /// Print the usage.
    Help,
}

/// Reads the command line.
pub fn read() -> Result<Task> {
    parse(Parser::from_env()).map_err(|error| Error::Setup(error.to_string()))
}

fn parse(mut parser: Parser) -> std::result::Result<Task, lexopt::Error> {
    let (mut model, mut threads) = (None, None);
    let mut options = Options {
        model: PathBuf::new(),
        pocket: PathBuf::from("models/pocket-a.gguf"),
        library: PathBuf::from("build/libwasi_nn_backend.so"),
        plugin: None,
        quiet_library: None,
        peers: None,
        sections: Vec::new(),
        kv_mode: "auto".to_owned(),
        streams: vec![1, 4, 16, 64, 128],
        rounds: 5,
        threads: machine::cores(),
        json: None,
        quick: false,
        check: false,
        keep_logs: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("model") => model = Some(parser.value()?.into()),
            Arg::Long("pocket") => options.pocket = parser.value()?.into(),
            Arg::Long("make-model") => return Ok(Task::MakeModel(parser.value()?.into())),
            Arg::Long("lib") => options.library = parser.value()?.into(),
            Arg::Long("plugin") => options.plugin = Some(parser.value()?.into()),
            Arg::Long("quiet-lib") => options.quiet_library = Some(parser.value()?.into()),
            Arg::Long("peers") => options.peers = Some(parser.value()?.into()),
            Arg::Long("sections") => {
                options.sections = list(&parser.value()?.string()?)?;
            }
            Arg::Long("kv-mode") => options.kv_mode = parser.value()?.string()?,
            Arg::Long("streams") => options.streams = list(&parser.value()?.string()?)?,
            Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
            Arg::Long("threads") => threads = Some(parser.value()?.parse()?),
            Arg::Long("json") => options.json = Some(parser.value()?.into()),
            Arg::Long("quick") => options.quick = true,
            Arg::Long("check") => options.check = true,
            Arg::Long("keep-logs") => options.keep_logs = true,
            Arg::Long("spin") => return Ok(Task::Spin(parser.value()?.parse()?)),
            Arg::Long("help") | Arg::Short('h') => return Ok(Task::Help),
            // `cargo bench` adds it.
            Arg::Long("bench") => {}
            other => return Err(other.unexpected()),
        }
    }
    options.model = model.ok_or("--model GGUF is missing (see --help)")?;
    if options.quick {
        // On a machine that runs other tests, threads that wait for each other take minutes.
        (options.rounds, options.threads) = (1, 1);
    }
    options.threads = threads.unwrap_or(options.threads);
    let is_zero = options.rounds == 0 || options.threads == 0 || options.streams.contains(&0);
    match is_zero {
        true => Err("rounds, threads and streams must be at least 1".into()),
        false => Ok(Task::Measure(Box::new(options))),
    }
}

fn list<T: std::str::FromStr>(text: &str) -> std::result::Result<Vec<T>, lexopt::Error> {
    text.split(',')
        .map(|word| {
            word.parse()
                .map_err(|_| format!("{word:?} in {text:?} is unknown").into())
        })
        .collect()
}

impl Options {
    /// The options that matter for a measurement.
    pub fn to_json(&self) -> Value {
        let name = |path: &Path| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        json!({
            "model": name(&self.model),
            "pocket": name(&self.pocket),
            "rounds": self.rounds,
            "threads": self.threads,
            "quick": self.quick,
        })
    }
}
