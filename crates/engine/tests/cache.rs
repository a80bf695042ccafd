//! KV memory through the engine's own API: more sessions than sequences, a pool that is too small, prefixes that several
//! have in common.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{
    NAMES, greedy, loaded as backend, memory, memory_number as number, metadata, open, pocket,
    recalls, say, say_with, status, told, tough, until,
};
use engine::{Backend, StatusKind};
use serde_json::json;

#[test]
fn a_hundred_sessions_over_four_sequences_each_recall_their_own() {
    let backend = backend(&greedy(json!({
        "backend": {"max_concurrent": 128, "queue_size": 256},
        "performance": {"n_parallel": 4},
    })));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let backend = &backend;
            scope.spawn(move || {
                let contexts: Vec<(u32, &str)> = (0..13)
                    .map(|n| NAMES[(thread + n) % NAMES.len()])
                    .map(|name| (told(backend, name), name))
                    .collect();
                for (context, _) in &contexts {
                    say(backend, *context, "Count to 4.").unwrap();
                }
                for (context, name) in contexts {
                    recalls(backend, context, name);
                }
            });
        }
    });
    let queue = status(&backend, StatusKind::Queue);
    assert_eq!((&queue["failed"], &queue["done"]), (&json!(0), &json!(312)));
    assert!(number(&backend, "hits.ram") > 0, "{}", memory(&backend));
    for reason in [
        "evicted",
        "damaged",
        "unreadable",
        "refused",
        "not_rewindable",
        "not_kept",
    ] {
        assert_eq!(
            number(&backend, &format!("misses.{reason}")),
            0,
            "{}",
            memory(&backend)
        );
    }
}

#[test]
fn saved_cells_continue_exactly_where_they_were() {
    for kv_mode in ["unified", "split"] {
        let config =
            |slots: u32| greedy(json!({"performance": {"n_parallel": slots, "kv_mode": kv_mode}}));
        let talk = |backend: &Backend, others: bool| -> Vec<String> {
            let c = open(backend);
            let mut said = Vec::new();
            for text in [
                "My name is Tarbo.",
                "Tell me about rivers.",
                "What is my name?",
            ] {
                said.push(say(backend, c, text).unwrap().to_string());
                if others {
                    told(backend, "Quendil");
                    told(backend, "Melkin");
                }
            }
            said
        };
        let (alone, crowded) = (backend(&config(2)), backend(&config(2)));
        let expect = talk(&alone, false);
        assert_eq!(talk(&crowded, true), expect, "{kv_mode}");
        assert_eq!(number(&crowded, "hits.ram"), 2, "{}", memory(&crowded));
    }
}

#[test]
fn a_pool_that_is_too_small_fails_nobody() {
    let backend = backend(&greedy(json!({
        "backend": {"max_concurrent": 32, "queue_size": 64},
        "performance": {"n_parallel": 8, "kv_pool_tokens": 1024},
    })));
    assert_eq!(number(&backend, "cache_tokens_limit"), 1024);
    let call = r#"{"ignore_eos": true, "max_tokens": 400}"#;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let c = open(&backend);
                for _ in 0..2 {
                    say_with(&backend, c, "Tell me about rivers.", call).unwrap();
                    assert_eq!(metadata(&backend, c)["completion_tokens"], 400);
                }
            });
        }
    });
    let queue = status(&backend, StatusKind::Queue);
    assert_eq!((&queue["failed"], &queue["done"]), (&json!(0), &json!(16)));
    assert!(number(&backend, "displaced") > 0, "{}", memory(&backend));
    assert_eq!(number(&backend, "accounting_errors"), 0);
}

#[test]
fn what_a_displaced_turn_says_is_what_it_says_alone() {
    let call = r#"{"ignore_eos": true, "max_tokens": 600}"#;
    let config =
        |tokens: u32| greedy(json!({"performance": {"n_parallel": 4, "kv_pool_tokens": tokens}}));
    let questions = [
        "Tell me about rivers.",
        "Count to 20.",
        "Hello.",
        "What is your name?",
    ];
    let wide = backend(&config(0));
    let expect: Vec<_> = questions
        .map(|text| say_with(&wide, open(&wide), text, call).unwrap())
        .into();
    let narrow = backend(&config(1024));
    std::thread::scope(|scope| {
        for (text, expect) in questions.iter().zip(&expect) {
            let narrow = &narrow;
            scope.spawn(move || {
                assert_eq!(say_with(narrow, open(narrow), text, call).unwrap(), *expect);
            });
        }
    });
    assert!(number(&narrow, "displaced") > 0, "{}", memory(&narrow));
}

#[test]
fn a_system_prompt_of_many_sessions_is_evaluated_once() {
    let system = "Your name is Veldin. ".repeat(20);
    for (kv_mode, together) in [
        ("unified", false),
        ("unified", true),
        ("split", false),
        ("split", true),
    ] {
        let backend = backend(&greedy(json!({
            "model": {"system_prompt": system},
            "backend": {"max_concurrent": 32, "queue_size": 64},
            "performance": {"n_parallel": 4, "kv_mode": kv_mode},
        })));
        let length = u64::from(backend.count_tokens(&system).unwrap());
        let turn = || {
            let c = open(&backend);
            say(&backend, c, "What is your name?").unwrap();
            metadata(&backend, c)["evaluated_tokens"].as_u64().unwrap()
        };
        let evaluated: Vec<u64> = match together {
            false => (0..12).map(|_| turn()).collect(),
            true => std::thread::scope(|scope| {
                let turns: Vec<_> = (0..12).map(|_| scope.spawn(turn)).collect();
                turns.into_iter().map(|t| t.join().unwrap()).collect()
            }),
        };
        let all: u64 = evaluated.iter().sum();
        let what = format!(
            "{kv_mode}, together: {together}, {evaluated:?}, {}",
            memory(&backend)
        );
        assert!(evaluated.iter().any(|&n| n >= length), "{what}");
        assert!(all < length + 12 * 40, "{what}");
    }
}

#[test]
fn without_reuse_nobody_gets_anothers_cells() {
    let system = "Your name is Veldin. ".repeat(20);
    let backend = backend(&greedy(json!({
        "model": {"system_prompt": system},
        "memory": {"enable_token_cache_reuse": false},
    })));
    for _ in 0..3 {
        let c = open(&backend);
        say(&backend, c, "What is your name?").unwrap();
        assert_eq!(metadata(&backend, c)["cached_tokens"], 0);
    }
    assert_eq!(number(&backend, "hits.shared"), 0);
}

#[test]
fn idle_cells_stay_below_their_cap_and_come_back_from_memory() {
    let backend = backend(&greedy(json!({
        "memory": {"max_cache_tokens": 60, "enable_partial_cache_deletion": false},
    })));
    let contexts = NAMES.map(|name| (told(&backend, name), name));
    assert!(number(&backend, "cache_tokens_idle") <= 60);
    for (context, name) in contexts {
        recalls(&backend, context, name);
        assert!(number(&backend, "cache_tokens_idle") <= 60);
    }
    assert!(number(&backend, "hits.ram") >= 6, "{}", memory(&backend));
}

#[test]
fn cells_outlive_a_swap_and_never_serve_another_model() {
    let backend = backend(&greedy(json!({})));
    let c = told(&backend, "Fennor");
    let load = |which: &str| backend.load_file(&pocket(which), None, None).unwrap();
    load("b");
    recalls(&backend, c, "Fennor");
    assert_eq!(
        number(&backend, "misses.other_model"),
        1,
        "{}",
        memory(&backend)
    );
    load("a");
    let before = number(&backend, "hits.ram");
    recalls(&backend, c, "Fennor");
    // What model a had of the first turn came back.
    assert_eq!(
        number(&backend, "hits.ram"),
        before + 1,
        "{}",
        memory(&backend)
    );
}

#[test]
fn in_a_split_cache_running_sequences_move_next_to_each_other() {
    let backend = backend(&greedy(json!({
        "performance": {"n_parallel": 3, "kv_mode": "split"},
    })));
    // A millisecond for each token.
    let call = tough(30, json!({"max_tokens": 300}));
    let say = |context, text| say_with(&backend, context, text, &call);
    let first = open(&backend);
    let alone = say(first, "Count to 20.").unwrap();
    // Its sequence is free again.
    backend.close_context(first).unwrap();
    let contexts = [(); 3].map(|()| open(&backend));
    std::thread::scope(|scope| {
        let mut turns = Vec::new();
        for (n, context) in contexts.into_iter().enumerate() {
            let say = &say;
            turns.push(scope.spawn(move || say(context, "Count to 20.")));
            until("it runs", || {
                status(&backend, StatusKind::Queue)["running"] == n + 1
            });
        }
        // The one between the others leaves.
        backend.cancel(contexts[1]).unwrap();
        let said: Vec<_> = turns.into_iter().map(|turn| turn.join().unwrap()).collect();
        assert!(said[1].is_err());
        assert_eq!([&said[0], &said[2]], [&Ok(alone.clone()), &Ok(alone)]);
    });
    assert_eq!(number(&backend, "moves"), 1, "{}", memory(&backend));
}

#[test]
fn what_nobody_uses_leaves_a_shared_pool_while_others_work() {
    let backend = backend(&greedy(json!({
        "performance": {"n_parallel": 4, "kv_mode": "unified"},
    })));
    let idle = told(&backend, "Vexanu");
    let busy = open(&backend);
    let call = r#"{"ignore_eos": true, "max_tokens": 300}"#;
    say_with(&backend, busy, "Tell me about rivers.", call).unwrap();
    assert_eq!(number(&backend, "ram.sessions"), 1, "{}", memory(&backend));
    recalls(&backend, idle, "Vexanu");
    assert_eq!(number(&backend, "hits.ram"), 1, "{}", memory(&backend));
}

#[test]
fn cells_are_packed_when_most_of_a_shared_pool_has_become_free() {
    let backend = backend(&greedy(json!({
        "backend": {"max_concurrent": 16},
        "performance": {"n_parallel": 8, "kv_mode": "unified"},
        "memory": {"max_cache_tokens": 0},
    })));
    let call = |tokens: u32| format!(r#"{{"ignore_eos": true, "max_tokens": {tokens}}}"#);
    let talk = |context: u32| {
        let said = ["Tell me about rivers.", "Count to 20.", "Hello."];
        said.map(|text| say_with(&backend, context, text, &call(200)).unwrap())
    };
    let alone = talk(open(&backend));
    // Low cells are filled by those who will be gone, high ones by the one who stays.
    for n in 1..6 {
        say_with(
            &backend,
            open(&backend),
            &format!("Count to {n}."),
            &call(300),
        )
        .unwrap();
    }
    let stays = open(&backend);
    let first = say_with(&backend, stays, "Tell me about rivers.", &call(200)).unwrap();
    assert_eq!(first, alone[0]);
    let rest =
        ["Count to 20.", "Hello."].map(|text| say_with(&backend, stays, text, &call(200)).unwrap());
    assert_eq!(rest, alone[1..]);
    assert!(number(&backend, "packed") > 0, "{}", memory(&backend));
}
