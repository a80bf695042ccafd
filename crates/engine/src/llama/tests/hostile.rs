//! Files with flipped bits, loaded and run in a child process that must live.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use super::forge::{Forge, picture};
use super::support::*;
use crate::llama::*;

/// Tells the child what to do; set by the parent below only.
const CHILD: &str = "ENGINE_LLAMA_HOSTILE_CHILD";

/// Where the child writes what it is about to try.
const TRACE: &str = "flip.at";
const PROJECTOR_TRACE: &str = "flip-projector.at";

/// Loads what is there and, if it loads, computes with it: broken shapes show up in the graph.
fn use_file(path: &Path) {
    let Ok(model) = load(path) else { return };
    let model = Arc::new(model);
    let vocab = model.vocab();
    let _ = vocab.tokenize("hello, <s>world\n", Special::Parse);
    for token in 0..vocab.n_tokens().min(8) {
        let mut bytes = Vec::new();
        vocab
            .piece(Token(token as i32), &mut bytes)
            .expect("a valid token");
    }
    let params = ContextParams {
        n_ctx: 256,
        n_seq_max: 1,
        n_batch: 8,
        n_ubatch: 8,
        threads: ThreadCounts {
            decode: 1,
            batch: 1,
        },
        ..context_params()
    };
    let Ok(mut ctx) = Context::new(model, &params) else {
        return;
    };
    let seq = ctx.seq(0).expect("a sequence");
    let mut batch = ctx.new_batch();
    batch.push(Token(0), 0, seq, true).expect("room");
    if ctx.decode(&batch).is_ok() {
        let mut sampler = Sampler::new(&vocab, &[Stage::TopK(4), Stage::Dist(1)]).expect("a chain");
        let _ = ctx.row(0).and_then(|row| sampler.sample(row, &[]));
    }
}

/// Flips one bit in every `step`th byte of a forged model's header, another bit each time; all of them for step 1.
fn flip(step: usize) {
    let (good, data) = Forge::model().bytes();
    let trace = file(TRACE, b"");
    for at in (0..data).step_by(step) {
        for bit in if step == 1 { 0..8 } else { at % 8..at % 8 + 1 } {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&trace, format!("byte {at} bit {bit}")).expect("a trace");
            use_file(&file("flipped.gguf", &bytes));
        }
    }
}

/// Runs the test of that name of this module in a child process, which must live.
fn survives(test: &str, step: usize, trace: &str) {
    let this = format!("{}::{test}", module_path!());
    let name = this.split_once("::").expect("a module path").1;
    let trace = file(trace, b"");
    let status = Command::new(std::env::current_exe().expect("this test program"))
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, step.to_string())
        .status()
        .expect("a child process");
    let last = std::fs::read_to_string(trace).unwrap_or_default();
    assert!(status.success(), "{status} after {last}");
}

#[test]
fn no_flipped_bit_in_a_header_ends_the_process() {
    match std::env::var(CHILD) {
        Ok(step) => flip(step.parse().expect("a step")),
        Err(_) => survives("no_flipped_bit_in_a_header_ends_the_process", 7, TRACE),
    }
}

/// As `flip`, for a projector, which looks at an image where it opens.
fn flip_projector(step: usize) {
    let model = pocket();
    let (good, data) = Forge::llava(128).bytes();
    let trace = file(PROJECTOR_TRACE, b"");
    for at in (0..data).step_by(step) {
        for bit in if step == 1 { 0..8 } else { at % 8..at % 8 + 1 } {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&trace, format!("byte {at} bit {bit}")).expect("a trace");
            let path = file("flipped-projector.gguf", &bytes);
            if let Ok(projector) = Projector::open(&path, &model, 1) {
                drop(projector.encode(&picture(1)));
            }
        }
    }
}

#[test]
fn no_flipped_bit_in_the_header_of_a_projector_ends_the_process() {
    let name = "no_flipped_bit_in_the_header_of_a_projector_ends_the_process";
    match std::env::var(CHILD) {
        Ok(step) => flip_projector(step.parse().expect("a step")),
        Err(_) => survives(name, 3, PROJECTOR_TRACE),
    }
}

#[test]
fn weights_that_are_not_numbers_fail_the_sampling_and_not_the_process() {
    let mut forge = Forge::model();
    forge.fill("output_norm.weight", f32::NAN);
    let model = Arc::new(load(&forge.write("nan.gguf")).expect("the forged model"));
    let mut ctx = Context::new(Arc::clone(&model), &context_params()).expect("a context");
    let seq = ctx.seq(0).expect("a sequence");
    feed(&mut ctx, seq, &[Token(1)]);
    for last in [Stage::Greedy, Stage::Dist(1)] {
        let stages = [Stage::TopK(10), Stage::Temperature(0.5), last];
        let mut sampler = Sampler::new(&model.vocab(), &stages).expect("a chain");
        let error = ctx
            .row(0)
            .and_then(|row| sampler.sample(row, &[]))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("bad logits"), "{error}");
    }
}
