//! A process whose limits refuse what the engine asks for: files that cannot grow, memory that is not there.
//!
//! Each test runs itself again in a shell that has set the limit.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::process::Command;

use common::{greedy, open, pocket, say, status, unloaded, until};
use engine::StatusKind;
use serde_json::{Value, json};

const CHILD: &str = "WASI_NN_LIMITED";

/// Runs `test` of this program again behind the shell command `limit`, which must succeed.
fn limited(limit: &str, test: &str) {
    let program = std::env::current_exe().unwrap();
    let script = format!("{limit}; exec \"$0\" --exact {test} --nocapture");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(program)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {text}", output.status);
    assert!(text.contains("1 passed"), "{text}");
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

#[test]
fn a_disk_that_is_full_fails_nobody() {
    if !is_child() {
        // Blocks of 512 bytes: no file may have more than 4 KiB, as on a disk without room.
        return limited(
            "trap '' XFSZ; ulimit -f 8",
            "a_disk_that_is_full_fails_nobody",
        );
    }
    let folder = std::env::temp_dir().join(format!("wasi-nn-limits-{}", std::process::id()));
    let backend = unloaded("{\"logging\": {\"level\": \"none\"}}");
    let config = greedy(json!({
        "model": {"cache_type_k": "f32", "cache_type_v": "f32"},
        "performance": {"n_parallel": 8},
        "memory": {
            "max_memory_mb": 64,
            "memory_pressure_threshold": 0.1,
            "max_cache_tokens": 1,
            "spill_dir": folder,
        },
    }));
    backend
        .load_file(&pocket("a"), Some(config.as_bytes()), None)
        .unwrap();
    let contexts = [(); 6].map(|()| open(&backend));
    for text in [
        "My name is Zorvath.",
        "Tell me about rivers.",
        "Count to 20.",
    ] {
        for context in contexts {
            say(&backend, context, text).unwrap();
        }
    }
    let memory = || status(&backend, StatusKind::Memory);
    until("a write fails", || {
        memory()["disk"]["failed_writes"].as_u64() > Some(0)
    });
    for context in contexts {
        let answer = say(&backend, context, "What is my name?").unwrap();
        assert!(answer.contains("Zorvath"), "{answer}");
    }
    assert_eq!(memory()["disk"]["sessions"], 0, "{}", memory());
    assert_eq!(status(&backend, StatusKind::Queue)["failed"], 0);
    backend.close().unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    std::fs::remove_dir(&folder).unwrap();
}

#[test]
fn cells_that_cannot_be_allocated_are_fewer_cells_or_an_error() {
    if !is_child() {
        // KiB of address space: less than 524,288 cells of 4 KiB take.
        return limited(
            "ulimit -v 2000000",
            "cells_that_cannot_be_allocated_are_fewer_cells_or_an_error",
        );
    }
    let backend = unloaded("{\"logging\": {\"level\": \"none\"}}");
    let load = |kv_mode: &str, swap_mode: &str| {
        let config = greedy(json!({
            "model": {"ctx_size": 2048, "cache_type_k": "f32", "cache_type_v": "f32"},
            "backend": {"max_concurrent": 256, "swap_mode": swap_mode},
            "performance": {"n_parallel": 256, "kv_mode": kv_mode},
        }));
        backend.load_file(&pocket("a"), Some(config.as_bytes()), None)
    };
    load("unified", "auto").unwrap();
    let told: Value = status(&backend, StatusKind::Model);
    let cells = told["kv_cells"].as_u64().unwrap();
    assert!((2048..524_288).contains(&cells), "{told}");
    let context = open(&backend);
    say(&backend, context, "My name is Zorvath.").unwrap();
    // Equal parts cannot be smaller than a conversation: refused, and the model of before goes on.
    // Where it had to go first, it comes back.
    for (swap_mode, outcome) in [("beside", "failed"), ("replace", "restored")] {
        let error = load("split", swap_mode).unwrap_err();
        assert!(error.to_string().contains("context"), "{error}");
        let changes = status(&backend, StatusKind::Model)["changes"].clone();
        assert_eq!(
            changes.as_array().unwrap().last().unwrap()["outcome"],
            outcome
        );
        let answer = say(&backend, context, "What is my name?").unwrap();
        assert!(answer.contains("Zorvath"), "{answer}");
    }
}
