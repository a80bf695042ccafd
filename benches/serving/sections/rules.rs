//! What rules and log lines cost: one stream with each of them, beside the same stream without.
//!
//! Within a round every variant runs once, so that all of them see the same minutes of the machine.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::error::Result;
use crate::ours::{Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "rules";

/// A setting whose cost is measured.
struct Variant {
    name: &'static str,
    /// The keys of its calls.
    keys: Value,
    /// The least share of the plain stream's speed.
    least: Option<f64>,
}

fn variants() -> Vec<Variant> {
    // None of them appears: their beginnings do, which is what holding back costs.
    let stops: Vec<String> = (0..16).map(|n| format!("the end of part {n}#")).collect();
    let variant = |name, keys, least| Variant { name, keys, least };
    vec![
        variant("16 stop strings", json!({"stop": stops}), Some(0.98)),
        variant("a stop pattern", json!({"stop_regex": r"#{3}\d+"}), None),
        variant(
            "repetition guard, sentences",
            json!({
                "repetition_guard": {"enabled": true, "max_repeats": 100, "min_span_tokens": 1_000_000},
                "semantic_stopping": {"enabled": true, "max_repetition_count": 100},
            }),
            None,
        ),
        variant(
            "forbidden and required texts",
            json!({"token_filters": {"forbidden_tokens": ["never said", 7], "required_tokens": ["####"]}}),
            None,
        ),
        variant("5 alternatives of each token", json!({"n_probs": 5}), None),
        variant(
            "a sampler chain as by default",
            json!({"temp": 0.7, "seed": 1, "repeat_penalty": 1.1}),
            None,
        ),
        variant(
            "a JSON grammar",
            json!({"json_schema": {"type": "array", "items": {"type": "string"}, "minItems": 1}}),
            None,
        ),
    ]
}

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let size = bench.shape.single;
    let prompt = bench.prompt(size.prompt)?;
    let settings = Settings {
        parallel: 1,
        context: 512,
        contexts: 1,
        queue: 50,
    };
    let variants = variants();
    let mut plain = Samples::new();
    let mut taken: Vec<Samples> = variants.iter().map(|_| Samples::new()).collect();
    let engine = bench.ours(&settings)?;
    for _ in 0..bench.options.rounds {
        plain.push(speed(&engine, &prompt, size.tokens, &json!({}))?);
        for (variant, samples) in variants.iter().zip(&mut taken) {
            samples.push(speed(&engine, &prompt, size.tokens, &variant.keys)?);
        }
    }
    drop(engine);
    for (variant, samples) in variants.iter().zip(taken) {
        let mut row = Row::new(NAME, variant.name, "tok/s")
            .ours(samples)
            .against("plain", plain.clone());
        if let Some(least) = variant.least {
            row = row.target(Target::Ratio(Bound::AtLeast(least)));
        }
        report.row(row);
    }
    log_lines(bench, report, &prompt)
}

/// Debug lines: compiled in and off against compiled out, and written against off.
fn log_lines(bench: &Bench, report: &mut Report, prompt: &str) -> Result<()> {
    let tokens = bench.shape.single.tokens;
    let settings = Settings {
        parallel: 1,
        context: 512,
        contexts: 1,
        queue: 50,
    };
    let file = bench.logs.folder().join("debug.log");
    let debug = json!({"logging": {"level": "debug", "file": file.to_string_lossy()}});
    let (mut off, mut on, mut without) = (Samples::new(), Samples::new(), Samples::new());
    for _ in 0..bench.options.rounds {
        let engine = bench.ours(&settings)?;
        off.push(speed(&engine, prompt, tokens, &json!({}))?);
        drop(engine);
        if let Some(engine) = bench.without_debug_lines(&settings)? {
            without.push(speed(&engine, prompt, tokens, &json!({}))?);
        }
        let engine = bench.ours_with(&settings, &debug)?;
        on.push(speed(&engine, prompt, tokens, &json!({}))?);
    }
    if !without.is_empty() {
        report.row(
            Row::new(NAME, "debug lines off", "tok/s")
                .ours(off.clone())
                .against("compiled out", without)
                .target(Target::Ratio(Bound::AtLeast(0.99))),
        );
    }
    report.row(
        Row::new(NAME, "debug lines written to a file", "tok/s")
            .ours(on)
            .against("off", off),
    );
    Ok(())
}

/// Tokens per second after the first one, by the library's own clock: pieces that a rule holds back have no time.
fn speed(engine: &Ours, prompt: &str, tokens: u32, keys: &Value) -> Result<f64> {
    let context = engine.context()?;
    let mut call = keys.clone();
    call["max_tokens"] = tokens.into();
    context.run(prompt, &call)?;
    let metadata = context.metadata()?;
    let count = metadata["completion_tokens"].as_f64().unwrap_or(0.0);
    let ms = metadata["decode_ms"].as_f64().unwrap_or(0.0);
    Ok((count - 1.0).max(0.0) * 1000.0 / ms.max(1e-3))
}
