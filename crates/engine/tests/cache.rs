//! KV memory through the engine's own API: more sessions than sequences, a pool that is too small, prefixes that several
//! have in common, files that break.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{greedy, metadata, open, pocket, say, say_with, status, tough, unloaded, until};
use engine::{Backend, StatusKind};
use serde_json::{Value, json};

const NAMES: [&str; 8] = [
    "Zorvath", "Melkin", "Tarbo", "Quendil", "Fennor", "Ballas", "Dorimi", "Vexanu",
];

fn memory(backend: &Backend) -> Value {
    status(backend, StatusKind::Memory)
}

/// The number at a path such as `hits.ram`.
fn number(backend: &Backend, path: &str) -> u64 {
    let mut value = &memory(backend);
    for part in path.split('.') {
        value = &value[part];
    }
    value.as_u64().unwrap_or_else(|| panic!("{path}: {value}"))
}

/// A backend with pocket model `a`, configured at its load.
fn backend(config: &str) -> Backend {
    let backend = unloaded("{}");
    backend
        .load_file(&pocket("a"), Some(config.as_bytes()), None)
        .unwrap();
    backend
}

fn told(backend: &Backend, name: &str) -> u32 {
    let c = open(backend);
    say(backend, c, &format!("My name is {name}.")).unwrap();
    c
}

fn recalls(backend: &Backend, context: u32, name: &str) {
    let answer = say(backend, context, "What is my name?").unwrap();
    assert!(answer.contains(name), "{name}: {answer}");
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("wasi-nn-cache-{}-{name}", std::process::id()));
    drop(fs::remove_dir_all(&path));
    fs::create_dir_all(&path).unwrap();
    path
}

/// Cells of idle sessions leave the context at once, memory has room for two or three of them, and files for all.
fn spilling(folder: &Path) -> Backend {
    backend(&greedy(json!({
        "model": {"cache_type_k": "f32", "cache_type_v": "f32"},
        "backend": {"max_concurrent": 32},
        "performance": {"n_parallel": 8},
        "memory": {
            "max_memory_mb": 64,
            "memory_pressure_threshold": 0.1,
            "max_cache_tokens": 1,
            "enable_partial_cache_deletion": false,
            "spill_dir": folder,
        },
    })))
}

/// Sessions that were each told a name, and have talked since.
fn chatty(backend: &Backend) -> Vec<(u32, &'static str)> {
    let names = NAMES.iter().chain(&NAMES[..4]);
    let sessions: Vec<_> = names.map(|name| (told(backend, name), *name)).collect();
    for text in [
        "Count to 12.",
        "Tell me about rivers.",
        "Repeat after me: tok mar vel sen",
    ] {
        for (context, _) in &sessions {
            say(backend, *context, text).unwrap();
        }
    }
    sessions
}

/// Files of saved cells below `folder`, once there are `count` of them.
fn saved_files(backend: &Backend, folder: &Path, count: usize) -> Vec<PathBuf> {
    let mut files = Vec::new();
    until("files are written", || {
        files.clear();
        for sub in fs::read_dir(folder).unwrap().flatten() {
            let inner = fs::read_dir(sub.path()).into_iter().flatten().flatten();
            files.extend(inner.map(|f| f.path()).filter(|f| !f.ends_with("lock")));
        }
        number(backend, "disk.sessions") >= count as u64 && files.len() >= count
    });
    files
}

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
fn files_take_what_memory_has_no_room_for() {
    let folder = folder("files");
    let backend = spilling(&folder);
    let sessions = chatty(&backend);
    saved_files(&backend, &folder, 6);
    let ram = &memory(&backend)["ram"];
    assert!(
        ram["bytes"].as_u64() <= ram["limit_bytes"].as_u64(),
        "{ram}"
    );
    for (context, name) in sessions {
        recalls(&backend, context, name);
    }
    assert!(number(&backend, "disk.read") >= 6, "{}", memory(&backend));
    assert_eq!(
        number(&backend, "misses.evicted"),
        0,
        "{}",
        memory(&backend)
    );
    backend.close().unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn files_that_were_cut_changed_or_exchanged_cost_a_prefill_and_nothing_else() {
    let folder = folder("broken");
    let backend = spilling(&folder);
    let contexts = chatty(&backend);
    let mut files = saved_files(&backend, &folder, 7);
    files.sort();
    let whole: Vec<Vec<u8>> = files.iter().map(|f| fs::read(f).unwrap()).collect();
    // One of each: cut, flipped at its middle, exchanged with another one, emptied, gone.
    fs::write(&files[0], &whole[0][..whole[0].len() - 1]).unwrap();
    let mut flipped = whole[1].clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    fs::write(&files[1], flipped).unwrap();
    fs::write(&files[2], &whole[3]).unwrap();
    fs::write(&files[3], &whole[2]).unwrap();
    fs::write(&files[4], b"").unwrap();
    fs::remove_file(&files[5]).unwrap();
    for (context, name) in contexts {
        recalls(&backend, context, name);
    }
    assert_eq!(
        number(&backend, "misses.damaged"),
        5,
        "{}",
        memory(&backend)
    );
    assert_eq!(
        number(&backend, "misses.unreadable"),
        1,
        "{}",
        memory(&backend)
    );
    assert!(number(&backend, "hits.disk") + number(&backend, "hits.ram") >= 1);
    assert_eq!(status(&backend, StatusKind::Queue)["failed"], 0);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_or_vanishes_fails_nobody() {
    let parent = folder("unwritable");
    let file = parent.join("file");
    fs::write(&file, b"").unwrap();
    // Below a file no folder can be made, whoever asks.
    for spill_dir in [file.join("below"), parent.join("vanishing")] {
        let backend = spilling(&spill_dir);
        let contexts = chatty(&backend);
        drop(fs::remove_dir_all(&spill_dir));
        for (context, name) in contexts {
            recalls(&backend, context, name);
            drop(fs::remove_dir_all(&spill_dir));
        }
        assert_eq!(status(&backend, StatusKind::Queue)["failed"], 0);
    }
    fs::remove_dir_all(&parent).unwrap();
}

#[test]
fn files_of_a_killed_process_are_swept_and_those_of_a_living_one_are_not() {
    const CHILD: &str = "WASI_NN_CACHE_TEST_FOLDER";
    let spilled = |folder: &Path| {
        let backend = spilling(folder);
        let sessions = chatty(&backend);
        saved_files(&backend, folder, 1);
        (backend, sessions)
    };
    if let Some(folder) = std::env::var_os(CHILD) {
        let _backend = spilled(Path::new(&folder));
        // Until it is killed.
        std::thread::sleep(std::time::Duration::from_secs(600));
        return;
    }
    let folder = folder("killed");
    let name = "files_of_a_killed_process_are_swept_and_those_of_a_living_one_are_not";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(CHILD, &folder)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let folders = || fs::read_dir(&folder).unwrap().count();
    let files = || {
        let subs = fs::read_dir(&folder).unwrap().flatten();
        subs.flat_map(|sub| fs::read_dir(sub.path()).into_iter().flatten())
            .count()
    };
    until("the child has written", || files() >= 2);
    let (living, _) = spilled(&folder);
    assert_eq!(folders(), 2, "the child's is left alone");
    living.close().unwrap();
    // Kill -9: nothing is unlinked.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(folders(), 1);
    let (restarted, contexts) = spilled(&folder);
    assert_eq!(folders(), 1, "what the killed one left is gone");
    for (context, name) in contexts {
        recalls(&restarted, context, name);
    }
    restarted.close().unwrap();
    fs::remove_dir_all(&folder).unwrap();
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
