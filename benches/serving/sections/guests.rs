//! Instances of WebAssembly modules, served by few host threads through the plugin for WAMR, and the same load through
//! the C library.
//!
//! A prompt is the whole conversation so far and something new, of which each side evaluates what is new.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::bench::Bench;
use crate::conversations;
use crate::error::Result;
use crate::instances::{Answer, Guest, Native, Side, Wasm};
use crate::measure;
use crate::ours::Settings;
use crate::plugin::Plugin;
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;
use crate::shape::{Crowd, Size};

pub const NAME: &str = "guests";

/// Turns decoded together, contexts and turns that wait: as the plugin has it by itself.
const PARALLEL: usize = 32;
const CONTEXTS: usize = 4096;
const QUEUE: usize = 10_000;
/// How far the sides' evaluated prompt tokens may lie apart. Answers differ where turns were batched differently, and
/// with them how many tokens their texts take.
const UNEQUAL: f64 = 1.05;

/// The plugin's file beside the library's.
const PLUGIN: &str = "libwasi_nn_llamacpp.so";

/// What is said.
struct Load {
    crowd: Crowd,
    size: Size,
    /// Of each turn of each instance.
    texts: Vec<String>,
}

impl Load {
    fn text(&self, session: usize, turn: usize) -> &str {
        &self.texts[session * self.crowd.turns + turn]
    }
}

/// What became of one side's rounds.
#[derive(Default)]
struct Seen {
    /// Generated tokens per second, the time for prompts included.
    speed: Samples,
    /// Prompt tokens that were not found in the cache.
    evaluated: Samples,
    /// All prompt tokens.
    prompts: Samples,
    failures: Vec<String>,
}

/// What became of one thread's instances.
struct Part {
    begun: Instant,
    ended: Instant,
    prompt_tokens: u64,
    cached_tokens: u64,
    tokens: u64,
    failures: Vec<String>,
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let Some(plugin) = plugin(bench, report)? else {
        return Ok(());
    };
    let (crowd, size) = (bench.shape.instances, bench.shape.instance_turn);
    let load = Load {
        crowd,
        size,
        texts: bench.prompts(size.prompt, crowd.sessions * crowd.turns)?,
    };
    let (mut theirs, mut ours) = (Seen::default(), Seen::default());
    let mut ratios = Samples::new();
    for _ in 0..bench.options.rounds {
        // One has gone with its model before the other begins.
        let native = native_round(bench, &load, &mut theirs)?;
        let wasm = wasm_round(bench, plugin, &load, &mut ours)?;
        ratios.push(wasm / native.max(1e-9));
    }
    rows(report, &load, ours, theirs, ratios);
    Ok(())
}

/// The plugin; none where there is none beside the library, which is told. Errors: `Setup` for one that was named and
/// cannot be opened.
fn plugin(bench: &Bench, report: &mut Report) -> Result<Option<&'static Plugin>> {
    let beside = bench.options.library.with_file_name(PLUGIN);
    let path = match &bench.options.plugin {
        Some(path) => path,
        None if beside.exists() => &beside,
        None => {
            let path = beside.display();
            report.note(format!("guests: SKIPPED, there is no plugin {path}"));
            return Ok(None);
        }
    };
    Plugin::open(path).map(Some)
}

/// Tokens of one conversation: twice what is said and answered, since an answer's text may take more tokens than the
/// answer did.
fn context_size(load: &Load) -> u32 {
    let turns = u32::try_from(load.crowd.turns).unwrap_or(u32::MAX);
    (2 * turns * (load.size.prompt + load.size.tokens)).max(256)
}

/// Tokens per second.
fn native_round(bench: &Bench, load: &Load, seen: &mut Seen) -> Result<f64> {
    let settings = Settings {
        parallel: PARALLEL,
        context: context_size(load),
        contexts: CONTEXTS,
        queue: QUEUE,
    };
    let more = json!({"memory": {"enable_token_cache_reuse": false, "max_cache_tokens": 0}});
    let side = Native {
        engine: bench.ours_with(&settings, &more)?,
        tokens: load.size.tokens,
    };
    serve(&side, load, seen)
}

/// Tokens per second.
fn wasm_round(bench: &Bench, plugin: &'static Plugin, load: &Load, seen: &mut Seen) -> Result<f64> {
    let side = Wasm {
        plugin,
        model: &bench.options.model,
        config: json!({
            "ctx-size": context_size(load),
            "threads": bench.options.threads,
            "temp": 0,
            "repeat-penalty": 1,
            "ignore-eos": true,
            "n-predict": load.size.tokens,
        }),
    };
    // It holds the model until all others have gone, and brings its pages into memory.
    let first = side.open()?;
    first.answer("warm")?;
    let speed = serve(&side, load, seen)?;
    first.end()?;
    Ok(speed)
}

/// Opens all instances, runs their turns and ends them.
fn serve(side: &dyn Side, load: &Load, seen: &mut Seen) -> Result<f64> {
    let step = Barrier::new(load.crowd.threads);
    let step = &step;
    let parts = thread::scope(|scope| {
        let threads: Vec<_> = (0..load.crowd.threads)
            .map(|first| scope.spawn(move || Ok(part(side, load, first, step))))
            .collect();
        let parts: Result<Vec<_>> = threads.into_iter().map(measure::join).collect();
        parts
    })?;
    let begun = parts.iter().map(|part| part.begun).min();
    let ended = parts.iter().map(|part| part.ended).max();
    let wall = begun.zip(ended).map(|(begun, ended)| ended - begun);
    let total = |count: fn(&Part) -> u64| parts.iter().map(count).sum::<u64>() as f64;
    let speed = total(|part| part.tokens) / wall.unwrap_or_default().as_secs_f64().max(1e-9);
    seen.speed.push(speed);
    seen.prompts.push(total(|part| part.prompt_tokens));
    let evaluated = total(|part| part.prompt_tokens - part.cached_tokens);
    seen.evaluated.push(evaluated);
    seen.failures
        .extend(parts.into_iter().flat_map(|part| part.failures));
    Ok(speed)
}

/// One thread's instances: the first turn of each of them, then the second, until they have had all.
fn part(side: &dyn Side, load: &Load, first: usize, step: &Barrier) -> Part {
    let own = (first..load.crowd.sessions).step_by(load.crowd.threads);
    let mut instances: Vec<_> = own
        .map(|session| (session, side.open(), String::new()))
        .collect();
    step.wait();
    let begun = Instant::now();
    let mut part = Part {
        begun,
        ended: begun,
        prompt_tokens: 0,
        cached_tokens: 0,
        tokens: 0,
        failures: Vec::new(),
    };
    for turn in 0..load.crowd.turns {
        for (session, instance, said) in &mut instances {
            if turn > 0 {
                said.push(' ');
            }
            said.push_str(load.text(*session, turn));
            let instance = instance.as_ref().map_err(Clone::clone);
            match instance.and_then(|instance| instance.answer(said)) {
                Ok(answer) => {
                    part.count(&answer, load.size.tokens, *session, turn);
                    said.push_str(&answer.text);
                }
                Err(error) => part.fail(*session, turn, &error.to_string()),
            }
        }
    }
    part.ended = Instant::now();
    // Nothing is taken down while others are measured.
    step.wait();
    for (session, instance, _) in instances {
        if let Err(error) = instance.and_then(Guest::end) {
            part.fail(session, load.crowd.turns, &error.to_string());
        }
    }
    part
}

impl Part {
    fn count(&mut self, answer: &Answer, tokens: u32, session: usize, turn: usize) {
        self.prompt_tokens += answer.prompt_tokens;
        self.cached_tokens += answer.cached_tokens;
        self.tokens += answer.tokens;
        if answer.tokens != u64::from(tokens) {
            let text = format!("{} tokens instead of {tokens}", answer.tokens);
            self.fail(session, turn, &text);
        }
    }

    fn fail(&mut self, session: usize, turn: usize, text: &str) {
        self.failures
            .push(format!("instance {session}, turn {turn}: {text}"));
    }
}

fn rows(report: &mut Report, load: &Load, ours: Seen, theirs: Seen, ratios: Samples) {
    let crowd = load.crowd;
    let what = format!(
        "{} instances, {} turns, {} threads",
        crowd.sessions, crowd.turns, crowd.threads
    );
    for (side, seen) in [("plugin", &ours), ("C library", &theirs)] {
        report.row(conversations::failed(
            NAME,
            format!("{what}, {side}: failed calls"),
            &seen.failures,
            json!({}),
        ));
    }
    let unequal = ours.evaluated.median() / theirs.evaluated.median().max(1.0);
    if !(1.0 / UNEQUAL..=UNEQUAL).contains(&unequal) {
        report.failure(format!(
            "guests: the plugin evaluated {unequal:.3} of the prompt tokens that the C library did"
        ));
    }
    report.row(
        Row::new(NAME, "prompt tokens evaluated", "tokens")
            .ours(ours.evaluated)
            .against("C library", theirs.evaluated)
            .details(json!({
                "all_prompt_tokens": ours.prompts.to_json(),
                "all_prompt_tokens_c_library": theirs.prompts.to_json(),
            })),
    );
    report.row(
        Row::new(NAME, "tokens of all instances", "tok/s")
            .ours(ours.speed)
            .against("C library", theirs.speed),
    );
    report.row(
        Row::new(NAME, "plugin / C library, round by round", "x")
            .ours(ratios)
            .target(Target::Value(Bound::AtLeast(0.95))),
    );
}
