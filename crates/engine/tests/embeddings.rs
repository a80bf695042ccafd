//! Texts become numbers: scaled, refused, in parallel, and beside running turns.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::*;
use engine::{Backend, Error};
use serde_json::{Value, json};

/// Euclidean.
const LENGTH: i32 = 2;

const TEXTS: [&str; 8] = [
    "Hello, who are you?",
    "My name is Zorvath.",
    "What is my name?",
    "Tell me about rivers.",
    "Hello.",
    "My name is Melkin. What is my name?",
    "I like tea and rivers and names.",
    "x",
];

fn embedding(more: Value) -> Backend {
    let mut model = json!({"embedding": true, "batch_size": 64});
    model
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    loaded(&greedy(json!({"model": model})))
}

fn values(backend: &Backend, context: u32, text: &str) -> Vec<f32> {
    let embedding = backend.embed(context, text.to_owned(), LENGTH).unwrap();
    assert!(embedding.tokens > 0);
    embedding.values
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn an_embedding_has_the_length_that_was_asked_for() {
    let backend = embedding(json!({}));
    let c = open(&backend);
    let by = |normalize| {
        let text = "Hello, who are you?".to_owned();
        let sizes = backend.embed(c, text, normalize).unwrap().values;
        sizes
            .into_iter()
            .map(|v| f64::from(v.abs()))
            .collect::<Vec<_>>()
    };
    assert_eq!(by(-1).len(), 128);
    let near = |value: f64, expect: f64| assert!((value - expect).abs() < 1e-4 * expect, "{value}");
    near(by(2).iter().map(|v| v * v).sum::<f64>().sqrt(), 1.0);
    near(by(1).iter().sum(), 1.0);
    near(by(0).into_iter().fold(0.0, f64::max), 32_760.0);
    near(by(4).iter().map(|v| v.powi(4)).sum::<f64>(), 1.0);
    let raw = by(-1).iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!((raw - 1.0).abs() > 0.1, "as the model gives it: {raw}");
    let refused = backend.embed(c, "x".into(), -2).unwrap_err();
    assert!(matches!(refused, Error::InvalidArgument(_)), "{refused}");
}

#[test]
fn what_cannot_be_embedded_is_refused_and_nothing_is_lost() {
    let backend = embedding(json!({}));
    let c = open(&backend);
    say(&backend, c, "My name is Zorvath.").unwrap();
    let before = values(&backend, c, "Hello.");
    let long = "Hello. ".repeat(200);
    match backend.embed(c, long, LENGTH).unwrap_err() {
        Error::PromptTooLong(need) => {
            assert_eq!((need.capacity, need.new > 64), (64, true), "{need}");
        }
        other => panic!("{other}"),
    }
    let empty = backend.embed(c, String::new(), LENGTH).unwrap_err();
    assert!(matches!(empty, Error::InvalidArgument(_)), "{empty}");
    let unknown = backend.embed(c + 1000, "x".into(), LENGTH).unwrap_err();
    assert!(matches!(unknown, Error::UnknownContext(_)), "{unknown}");
    assert_eq!(values(&backend, c, "Hello."), before);
    // The conversation knows nothing of it.
    recalls(&backend, c, "Zorvath");
    let plain = loaded(GREEDY);
    let c = open(&plain);
    let refused = plain.embed(c, "x".into(), LENGTH).unwrap_err();
    assert!(refused.to_string().contains("model.embedding"), "{refused}");
}

#[test]
fn eight_threads_get_the_values_that_one_gets() {
    let backend = embedding(json!({"threads": 2}));
    let c = open(&backend);
    let alone: Vec<_> = TEXTS.map(|text| values(&backend, c, text)).into();
    backend.close_context(c).unwrap();
    // As many as may be open; one that failed in its thread would leave the others at the barrier.
    let contexts: Vec<u32> = (0..8).map(|_| open(&backend)).collect();
    let begin = Barrier::new(contexts.len());
    std::thread::scope(|scope| {
        for (thread, &c) in contexts.iter().enumerate() {
            let (backend, alone, begin) = (&backend, &alone, &begin);
            scope.spawn(move || {
                begin.wait();
                for round in 0..4 {
                    let at = (thread + round) % TEXTS.len();
                    let now = values(backend, c, TEXTS[at]);
                    assert!(distance(&now, &alone[at]) < 1e-4, "{}", TEXTS[at]);
                }
            });
        }
    });
}

#[test]
fn texts_are_embedded_beside_running_streams_which_say_what_they_would() {
    let backend = embedding(json!({}));
    let c = open(&backend);
    let alone = values(&backend, c, TEXTS[1]);
    let call = json!({"max_tokens": 200, "ignore_eos": true}).to_string();
    let stream = || {
        let c = open(&backend);
        say_with(&backend, c, "Tell me about rivers.", &call).unwrap()
    };
    let undisturbed = stream();
    let (over, beside) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let embedding = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let now = values(&backend, c, TEXTS[1]);
                assert!(distance(&now, &alone) < 1e-4);
                beside.fetch_add(1, Ordering::Relaxed);
            }
        });
        until("the first text", || beside.load(Ordering::Relaxed) > 0);
        for _ in 0..3 {
            assert_eq!(stream(), undisturbed);
        }
        over.store(true, Ordering::Relaxed);
        embedding.join().unwrap();
    });
    assert!(beside.load(Ordering::Relaxed) > 3, "{beside:?}");
}

#[test]
fn a_backend_that_closes_answers_every_text() {
    let backend = embedding(json!({"batch_size": 1024}));
    let (answered, cancelled) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let c = open(&backend);
                loop {
                    match backend.embed(c, "rivers ".repeat(300), LENGTH) {
                        Ok(_) => answered.fetch_add(1, Ordering::Relaxed),
                        Err(Error::Cancelled | Error::Closing | Error::UnknownContext(_)) => break,
                        Err(other) => panic!("{other}"),
                    };
                }
                cancelled.fetch_add(1, Ordering::Relaxed);
            });
        }
        until("a text", || answered.load(Ordering::Relaxed) > 8);
        backend.close().unwrap();
    });
    assert_eq!(cancelled.load(Ordering::Relaxed), 8);
}

#[test]
fn a_text_ends_with_its_context_and_by_a_cancel() {
    let backend = embedding(json!({"batch_size": 1024}));
    for closes in [false, true] {
        let c = open(&backend);
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let texts = scope.spawn(|| {
                loop {
                    match backend.embed(c, "rivers ".repeat(300), LENGTH) {
                        Ok(_) => done.fetch_add(1, Ordering::Relaxed),
                        Err(error) => return error,
                    };
                }
            });
            until("it ends", || {
                match closes {
                    true if done.load(Ordering::Relaxed) > 0 => drop(backend.close_context(c)),
                    _ => drop(backend.cancel(c)),
                }
                texts.is_finished()
            });
            let error = texts.join().unwrap();
            let expected = matches!(error, Error::Cancelled | Error::UnknownContext(_));
            assert!(expected, "{error}");
        });
    }
}
