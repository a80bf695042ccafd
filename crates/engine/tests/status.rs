//! The status documents keep to their committed schemas at every stage of a backend, and the text for Prometheus to its
//! format.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;
#[path = "status/exposition.rs"]
mod exposition;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use engine::{Backend, StatusKind};
use exposition::Page;
use serde_json::{Value, json};

const KINDS: [(&str, StatusKind); 5] = [
    ("queue", StatusKind::Queue),
    ("memory", StatusKind::Memory),
    ("sessions", StatusKind::Sessions),
    ("performance", StatusKind::Performance),
    ("model", StatusKind::Model),
];

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

fn schema(name: &str) -> Value {
    let text = fs::read_to_string(docs(&format!("status/{name}.schema.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The document satisfies the committed schema `name`.
fn satisfies(stage: &str, name: &str, document: &Value) {
    let validator = jsonschema::draft202012::new(&schema(name)).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "{stage}, {name}: {errors:#?} in {document}"
    );
}

/// All documents and the figures are as they should be.
fn check(stage: &str, backend: &Backend) {
    for (name, kind) in KINDS {
        satisfies(stage, name, &status(backend, kind));
    }
    Page::parse(&backend.metrics().unwrap());
}

fn figures(backend: &Backend) -> Page {
    Page::parse(&backend.metrics().unwrap())
}

/// A backend that has answered, failed and kept: anonymous and named conversations, one detached, one turn refused.
fn lived_in() -> Backend {
    let backend = loaded(&greedy(json!({"no_such_key": 1})));
    told(&backend, NAMES[0]);
    let named = backend
        .open_named_context(b"someone@example.org")
        .unwrap()
        .0;
    say(&backend, named, "Hello!").unwrap();
    say(&backend, named, "Count to 7.").unwrap();
    let detached = backend.open_named_context(b"other").unwrap().0;
    backend.close_context(detached).unwrap();
    let late = r#"{"max_time_ms": 1, "priority": "urgent"}"#;
    // Whether it is in time is nobody's business here.
    drop(say_with(&backend, named, &"Tell me. ".repeat(60), late));
    say_with(&backend, named, &"x ".repeat(5000), "{}").unwrap_err();
    backend
}

#[test]
fn documents_and_figures_keep_to_their_form_at_every_stage() {
    let backend = unloaded("{}");
    check("no model", &backend);
    assert_eq!(status(&backend, StatusKind::Model)["loaded"], false);
    assert!(status(&backend, StatusKind::Model).get("file").is_none());
    backend.load_file(&pocket("a"), None, None).unwrap();
    check("model loaded", &backend);

    let backend = lived_in();
    check("after turns", &backend);
    let model = status(&backend, StatusKind::Model);
    assert_eq!(model["config_notes"][0]["code"], "unknown_key");
    assert_eq!(model["config_effective"]["model"]["ctx_size"], 1024);
    backend.set_logging(br#"{"level": "error"}"#).unwrap();
    let model = status(&backend, StatusKind::Model);
    assert_eq!(model["config_effective"]["logging"]["level"], "error");
    assert_eq!(model["config_notes"][0]["code"], "unknown_key");
    backend.load_file(&pocket("b"), None, None).unwrap();
    check("another model", &backend);
    let model = status(&backend, StatusKind::Model);
    assert_eq!(
        model["config_effective"]["logging"]["level"], "error",
        "a load that says nothing of the log leaves a change of it"
    );
    backend.unload().unwrap();
    check("after unload", &backend);
}

#[test]
fn examples_of_the_page_are_documents() {
    let page = fs::read_to_string(docs("status.md")).unwrap();
    for (name, kind) in KINDS {
        let title = format!("\n## {}\n", name.to_uppercase());
        let part = page.split(&title).nth(1).unwrap();
        let example = part.split("```json\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let document = serde_json::from_str(example).unwrap_or_else(|error| {
            let now = lived_in().status(kind).unwrap();
            panic!("{name}: {error}; a document of now: {now}")
        });
        satisfies("example", name, &document);
    }
}

#[test]
fn every_figure_is_on_the_page_with_its_labels() {
    let page = fs::read_to_string(docs("status.md")).unwrap();
    for family in figures(&lived_in()).families() {
        let row = format!("| `{}` | {} |", family.name, family.kind);
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn documents_and_figures_agree() {
    let backend = lived_in();
    let page = figures(&backend);
    let check = |name: &str, labels: &[(&str, &str)], kind: StatusKind, pointer: &str| {
        let document = status(&backend, kind);
        let expect = document.pointer(pointer).and_then(Value::as_f64);
        assert_eq!(page.value(name, labels), expect, "{name} {labels:?}");
        expect.unwrap()
    };
    let outcome = |name, pointer| {
        let labels = [("outcome", name)];
        check("wasi_nn_turns_total", &labels, StatusKind::Queue, pointer)
    };
    assert!(outcome("done", "/done") >= 3.0);
    outcome("failed", "/failed");
    outcome("rejected", "/rejected");
    outcome("expired", "/expired");
    outcome("cancelled", "/cancelled");
    let waits = |class, pointer| {
        let name = "wasi_nn_queue_wait_seconds_count";
        check(name, &[("class", class)], StatusKind::Queue, pointer)
    };
    assert!(waits("normal", "/wait_ms/normal/count") >= 3.0);
    assert!(waits("urgent", "/wait_ms/urgent/count") >= 1.0);
    assert_eq!(waits("low", "/wait_ms/low/count"), 0.0);
    let memory = StatusKind::Memory;
    assert!(check("wasi_nn_reused_tokens_total", &[], memory, "/reused_tokens") > 0.0);
    check(
        "wasi_nn_kv_reuse_total",
        &[("place", "pool")],
        memory,
        "/hits/pool",
    );
    check(
        "wasi_nn_kv_misses_total",
        &[("reason", "new")],
        memory,
        "/misses/new",
    );
    check(
        "wasi_nn_memory_bytes",
        &[("kind", "weights")],
        memory,
        "/weights_bytes",
    );
    let sessions = StatusKind::Sessions;
    check(
        "wasi_nn_sessions",
        &[("kind", "detached")],
        sessions,
        "/detached_named",
    );
    let cells = |state| page.value("wasi_nn_kv_cells", &[("state", state)]).unwrap();
    let all = status(&backend, memory)["cache_tokens_limit"].as_f64();
    assert_eq!(Some(cells("used") + cells("free")), all);
    let performance = status(&backend, StatusKind::Performance);
    let of = |name| page.value(name, &[]).unwrap();
    let share = of("wasi_nn_step_turns_total") / of("wasi_nn_step_slots_total");
    let occupancy = performance["batch_occupancy"].as_f64().unwrap();
    assert!((share - occupancy).abs() < 1e-9 && share > 0.0 && share <= 1.0);
    let decoded = performance["decode_tokens"].as_f64().unwrap();
    assert!(
        of("wasi_nn_generated_tokens_total") > decoded,
        "the first tokens count too"
    );
    assert_eq!(page.value("wasi_nn_model_loaded", &[]), Some(1.0));
    let infos = page.samples("wasi_nn_model_info");
    assert_eq!(infos.len(), 1);
    assert!(infos[0].label("file").unwrap().ends_with("pocket-a.gguf"));
    assert_eq!(infos[0].label("architecture"), Some("llama"));
    backend.unload().unwrap();
    assert_eq!(
        figures(&backend).value("wasi_nn_model_loaded", &[]),
        Some(0.0)
    );
    assert!(figures(&backend).samples("wasi_nn_model_info").is_empty());
}

#[test]
fn names_of_conversations_appear_nowhere_unless_they_are_asked_for() {
    let backend = lived_in();
    let documents = KINDS.map(|(_, kind)| backend.status(kind).unwrap());
    let texts = documents.into_iter().chain([backend.metrics().unwrap()]);
    for text in texts {
        assert!(!text.contains("someone"), "{text}");
    }
    let sessions = status(&backend, StatusKind::Sessions);
    let alias = sessions["sessions"][1]["name"].as_str().unwrap();
    assert_eq!((alias.len(), &alias[..1]), (17, "#"));
    assert_eq!(sessions["sessions"][0]["name"], Value::Null);
}

#[test]
fn a_status_is_read_while_a_long_configuration_is_and_the_log_is_changed() {
    let backend = loaded(GREEDY);
    let keys: Vec<String> = (0..400_000).map(|n| format!("\"k{n}\": {n}")).collect();
    let text = format!("{{{}}}", keys.join(","));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let missing = Path::new("no-such-model.gguf");
            let load = backend.load_file(missing, Some(text.as_bytes()), None);
            is_over.store(true, Ordering::Relaxed);
            load.unwrap_err();
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                backend.set_logging(b"{}").unwrap();
            }
        });
        let mut during = 0;
        while !is_over.load(Ordering::Relaxed) {
            for (_, kind) in KINDS {
                backend.status(kind).unwrap();
            }
            during += usize::from(!is_over.load(Ordering::Relaxed));
        }
        load.join().unwrap();
        // A status that waited for the reader would come back once, after the reading.
        assert!(
            during >= 4,
            "{during} statuses while the configuration was read"
        );
    });
}

#[test]
fn deeply_nested_settings_are_shown_on_a_small_stack() {
    let depth = 100;
    let (open, close) = ("{\"items\": ".repeat(depth), "}".repeat(depth));
    let backend = unloaded(&format!(
        r#"{{"sampling": {{"json_schema": {open}{{}}{close}}}, "logging": {{"level": "none"}}}}"#
    ));
    let small = std::thread::Builder::new().stack_size(64 << 10);
    std::thread::scope(|scope| {
        let asked = small.spawn_scoped(scope, || backend.status(StatusKind::Model).unwrap());
        let text = asked.unwrap().join().unwrap();
        assert!(text.matches("items").count() >= depth, "{text}");
    });
}
