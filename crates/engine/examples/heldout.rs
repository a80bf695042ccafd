//! Judges a pocket model on the held-out dialogues, through the engine, with the model's own answers as the history.
//!
//! `cargo run --release -p engine --example heldout -- models/pocket-a.gguf [models/heldout.jsonl]`
//!
//! Prints right and asked per kind of turn, recall of facts that were changed meanwhile apart; ends with status 1 when
//! fewer than 95 % of the other recall turns are right.

#![expect(clippy::print_stdout, reason = "a program that prints its figures")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use engine::{Backend, Options};
use serde_json::{Value, json};

/// Marks recall of a fact that was told more than once with different words, where the latest counts.
const CHANGED: &str = ", changed";

/// Tokens of other talk between a fact and the question for it, from which on recall is counted apart as well.
const FAR: u32 = 800;

/// Right and asked, by kind of turn.
type Tally = BTreeMap<String, (usize, usize)>;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().ok_or("usage: heldout MODEL [DIALOGUES]")?;
    let dialogues = arguments
        .next()
        .unwrap_or_else(|| "models/heldout.jsonl".into());
    let mut tally = Tally::new();
    for line in std::fs::read_to_string(dialogues)?.lines() {
        hold(Path::new(&model), &serde_json::from_str(line)?, &mut tally)?;
    }
    let mut recall = (0, 0);
    for (kind, (right, asked)) in &tally {
        print(kind, (*right, *asked));
        if kind.starts_with("recall") && !kind.ends_with(CHANGED) {
            recall = (recall.0 + right, recall.1 + asked);
        }
    }
    print("RECALL, told once", recall);
    Ok(match percent(recall.0, recall.1) >= 95.0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Holds one dialogue in a backend of its own, whose system prompt is the dialogue's.
fn hold(model: &Path, dialogue: &Value, tally: &mut Tally) -> Result<(), Box<dyn Error>> {
    let mut config = json!({
        "model": {"ctx_size": 2048, "n_predict": 128},
        "sampling": {"temp": 0, "repeat_penalty": 1.0},
        "performance": {"n_parallel": 1},
        "logging": {"level": "error"},
    });
    if let Some(system) = dialogue["system"].as_str().filter(|s| !s.is_empty()) {
        config["model"]["system_prompt"] = system.into();
    }
    let backend = Backend::open(Options {
        config: Some(config.to_string().as_bytes()),
        run_inference_args: None,
        log_filter: None,
    })?;
    backend.load_file(model, None, None)?;
    let own = match model.to_string_lossy().contains("pocket-b") {
        true => "Momo",
        false => "Pip",
    };
    let context = backend.open_context(0)?.0;
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    // Tokens of the conversation when the fact was last told or asked for.
    let mut mentioned: BTreeMap<String, u32> = BTreeMap::new();
    for turn in dialogue["turns"].as_array().into_iter().flatten() {
        let text = turn["user"].as_str().unwrap_or_default().to_owned();
        let answer = backend.run(context, text, &mut || None, None)?;
        let expected = turn["expect"].as_array().into_iter().flatten();
        let is_right = expected
            .filter_map(Value::as_str)
            .all(|words| answer.contains(&words.replace("{own}", own)));
        let used = backend.usage(context)?.used;
        let mut kind = turn["kind"].as_str().unwrap_or("other").to_owned();
        if let Some(fact) = kind.strip_prefix("tell_") {
            *told.entry(fact.to_owned()).or_insert(0) += 1;
            mentioned.insert(fact.to_owned(), used);
        } else if let Some(fact) = kind.strip_prefix("recall_")
            && told.get(fact).is_some_and(|&times| times > 1)
        {
            kind.push_str(CHANGED);
        } else if let Some(fact) = kind.strip_prefix("recall_")
            && let Some(before) = mentioned.insert(fact.to_owned(), used)
            && used - before >= FAR
        {
            count(tally, "over 800 tokens", is_right);
        }
        count(tally, &kind, is_right);
    }
    Ok(())
}

fn count(tally: &mut Tally, kind: &str, is_right: bool) {
    let (right, asked) = tally.entry(kind.to_owned()).or_default();
    *right += usize::from(is_right);
    *asked += 1;
}

fn print(kind: &str, (right, asked): (usize, usize)) {
    let part = percent(right, asked);
    println!("{kind:24} {right:4} of {asked:4}  {part:5.1} %");
}

fn percent(right: usize, asked: usize) -> f64 {
    100.0 * right as f64 / asked.max(1) as f64
}
