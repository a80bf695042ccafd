//! What rules and log lines cost: one stream with each of them, beside the same stream without.
//!
//! Costs of a hundredth are less than what a shared machine changes within a second. So rules are timed by the library's
//! own clock around what they do; and short turns of all variants follow each other, a round being the median of many.

use serde_json::{Value, json};

use crate::bench::Bench;
use crate::error::Result;
use crate::ours::{Ours, Settings};
use crate::report::{Bound, Report, Row, Target};
use crate::samples::Samples;

pub const NAME: &str = "rules";

/// Turns of each variant in a round.
const TURNS: usize = 9;

/// A setting whose cost is measured.
struct Variant {
    name: &'static str,
    /// The keys of its calls.
    keys: Value,
    /// The most that it may add to a token, in percent of what a token takes.
    most: Option<f64>,
}

fn variants() -> Vec<Variant> {
    // None of them appears: their beginnings do, which is what holding back costs.
    let stops: Vec<String> = (0..16).map(|n| format!("the end of part {n}#")).collect();
    let variant = |name, keys, most| Variant { name, keys, most };
    vec![
        variant("16 stop strings", json!({"stop": stops}), Some(2.0)),
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
    let prompt = bench.prompt(bench.shape.single.prompt)?;
    let settings = Settings {
        parallel: 1,
        context: 512,
        contexts: 1,
        queue: 50,
    };
    let file = bench.logs.folder().join("debug.log");
    let debug = json!({"logging": {"level": "debug", "file": file.to_string_lossy()}});
    // All at once, so that turns of each can follow on those of the others.
    let plain = bench.ours(&settings)?;
    let talkative = bench.ours_with(&settings, &debug)?;
    let quiet = bench.without_debug_lines(&settings)?;
    let variants = variants();
    let mut sides: Vec<(&Ours, &Value)> = variants.iter().map(|v| (&plain, &v.keys)).collect();
    let nothing = json!({});
    sides.extend([(&plain, &nothing), (&talkative, &nothing)]);
    sides.extend(quiet.as_ref().map(|engine| (engine, &nothing)));

    let tokens = bench.shape.stream.tokens;
    let mut rounds: Vec<Taken> = sides.iter().map(|_| Taken::default()).collect();
    for _ in 0..bench.options.rounds {
        let mut turns: Vec<Taken> = sides.iter().map(|_| Taken::default()).collect();
        for _ in 0..TURNS {
            for ((engine, keys), taken) in sides.iter().zip(&mut turns) {
                taken.turn(engine, &prompt, tokens, keys)?;
            }
        }
        for (round, turns) in rounds.iter_mut().zip(&turns) {
            round.speed.push(turns.speed.median());
            round.sampling.push(turns.sampling.median());
        }
    }
    let mut rounds = rounds.into_iter();
    let of_rules: Vec<Taken> = rounds.by_ref().take(variants.len()).collect();
    let (Some(off), Some(on)) = (rounds.next(), rounds.next()) else {
        return Ok(());
    };
    for (variant, taken) in variants.iter().zip(of_rules) {
        // What the rule adds to a token, as a share of what a token takes.
        let share = (taken.sampling.median() - off.sampling.median()) * off.speed.median() / 1e4;
        let details = json!({
            "us_per_token": taken.sampling.median(),
            "us_per_token_plain": off.sampling.median(),
            "tokens_per_s": taken.speed.median(),
            "tokens_per_s_plain": off.speed.median(),
        });
        let row = Row::new(NAME, variant.name, "%")
            .ours(share)
            .details(details);
        report.row(match variant.most {
            Some(most) => row.target(Target::Value(Bound::AtMost(most))),
            None => row,
        });
    }
    if let Some(without) = rounds.next() {
        let row = Row::new(NAME, "debug lines off", "tok/s").ours(off.speed.clone());
        let row = row.against("compiled out", without.speed);
        report.row(row.target(Target::Ratio(Bound::AtLeast(0.99))));
    }
    let row = Row::new(NAME, "debug lines written to a file", "tok/s").ours(on.speed);
    report.row(row.against("off", off.speed));
    Ok(())
}

/// What turns took.
#[derive(Default)]
struct Taken {
    /// Tokens per second after the first one.
    speed: Samples,
    /// Microseconds for each token that the library took to choose it and to judge its text.
    sampling: Samples,
}

impl Taken {
    /// Runs a turn. By the library's own clock: pieces that a rule holds back have no time.
    fn turn(&mut self, engine: &Ours, prompt: &str, tokens: u32, keys: &Value) -> Result<()> {
        let context = engine.context()?;
        let mut call = keys.clone();
        call["max_tokens"] = tokens.into();
        context.run(prompt, &call)?;
        let metadata = context.metadata()?;
        let number = |key: &str| metadata[key].as_f64().unwrap_or(0.0);
        let count = number("completion_tokens").max(1.0);
        self.speed
            .push((count - 1.0) * 1000.0 / number("decode_ms").max(1e-3));
        self.sampling.push(number("sampling_ms") * 1000.0 / count);
        Ok(())
    }
}
