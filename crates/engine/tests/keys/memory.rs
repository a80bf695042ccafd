//! Section `memory`: what gives way, what is kept, and where.

use engine::StatusKind::Memory;
use serde_json::{Value, json};

use crate::Row;
use crate::common::*;
use crate::proof::*;

fn memory(key: &str, value: impl Into<Value>) -> Value {
    json!({"memory": {key: value.into()}})
}

/// The metadata of the last of `turns` turns in a context of 256 tokens, or none if one failed.
fn long_talk(more: Value, turns: usize) -> Option<Value> {
    let backend = loaded(&greedy(with(
        json!({"model": {"ctx_size": 256, "n_predict": 16}}),
        more,
    )));
    let c = open(&backend);
    let text =
        "Tell me about the rivers and the hills of the land, and what people do there all day.";
    for _ in 0..turns {
        say(&backend, c, text).ok()?;
    }
    Some(metadata(&backend, c))
}

fn dropped(more: Value) -> u64 {
    long_talk(more, 8).unwrap()["turns_dropped"]
        .as_u64()
        .unwrap()
}

/// Tokens that the second turn found in the cache.
fn found(more: Value) -> u64 {
    let backend = loaded(&greedy(more));
    let c = told(&backend, "Zorvath");
    say(&backend, c, "What is my name?").unwrap();
    metadata(&backend, c)["cached_tokens"].as_u64().unwrap()
}

pub const ROWS: &[Row] = &[
    ("memory.context_shifting", || {
        assert!(long_talk(json!({}), 12).is_some());
        assert_eq!(long_talk(memory("context_shifting", false), 12), None);
    }),
    ("memory.overflow", || {
        assert!(long_talk(json!({}), 12).is_some());
        assert_eq!(long_talk(memory("overflow", "error"), 12), None);
    }),
    ("memory.n_keep_tokens", || {
        shown_by("src/memory.rs", "fit", "n_keep_tokens");
        shown_by(
            "tests/overflow.rs",
            "a_long_conversation_keeps_its_head_and_moves_its_cells",
            "n_keep_tokens",
        );
    }),
    ("memory.n_discard_tokens", || {
        let few = dropped(json!({"memory": {"n_keep_tokens": 0, "n_discard_tokens": 1}}));
        let many = dropped(json!({"memory": {"n_keep_tokens": 0, "n_discard_tokens": 200}}));
        assert!(few < many, "{few} {many}");
    }),
    ("memory.cache_prompt", || {
        assert!(found(json!({})) > 0);
        assert_eq!(found(memory("cache_prompt", false)), 0);
    }),
    ("memory.enable_token_cache_reuse", || {
        shown_by(
            "tests/cache.rs",
            "without_reuse_nobody_gets_anothers_cells",
            "enable_token_cache_reuse",
        );
    }),
    ("memory.max_cache_tokens", || {
        shown_by(
            "tests/cache.rs",
            "idle_cells_stay_below_their_cap_and_come_back_from_memory",
            "max_cache_tokens",
        );
        status_shows(
            memory("max_cache_tokens", 7),
            Memory,
            "/idle_cache_tokens_limit",
            7,
        );
    }),
    ("memory.cache_strategy", || {
        shown_by(
            "src/spill/order.rs",
            "smart_names_the_fewest_tokens_per_idle_second",
            "CacheStrategy",
        );
        status_shows(
            memory("cache_strategy", "smart"),
            Memory,
            "/cache_strategy",
            "smart",
        );
    }),
    ("memory.max_memory_mb", || {
        shown_by(
            "src/backend/tests.rs",
            "pressure_shrinks_caches_step_by_step_and_lets_go_again",
            "max_memory_mb",
        );
        let limits = |more: Value| status_with(more, Memory, "/pressure/limits").to_string();
        assert_ne!(limits(json!({})), limits(memory("max_memory_mb", 512)));
    }),
    ("memory.memory_pressure_threshold", || {
        shown_by(
            "tests/files.rs",
            "files_take_what_memory_has_no_room_for",
            "memory_pressure_threshold",
        );
        status_shows(
            memory("memory_pressure_threshold", 0.5),
            Memory,
            "/pressure/threshold",
            0.5,
        );
    }),
    ("memory.enable_partial_cache_deletion", || {
        shown_by(
            "tests/cache.rs",
            "idle_cells_stay_below_their_cap_and_come_back_from_memory",
            "enable_partial_cache_deletion",
        );
    }),
    ("memory.spill_dir", || {
        shown_by(
            "tests/files.rs",
            "files_take_what_memory_has_no_room_for",
            "spill_dir",
        );
    }),
    ("memory.spill_max_mb", || {
        let folder = std::env::temp_dir().join(format!("wasi-nn-keys-{}", std::process::id()));
        let more = json!({"memory": {"spill_dir": folder, "spill_max_mb": 3}});
        assert_eq!(status_with(more, Memory, "/disk/limit_bytes"), 3 << 20);
        let _ = std::fs::remove_dir(&folder);
    }),
];
