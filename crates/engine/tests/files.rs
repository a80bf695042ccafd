//! Saved cells in files: what memory has no room for, and what breaks.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{
    NAMES, greedy, loaded as backend, memory, memory_number as number, recalls, say, status, told,
    until,
};
use engine::{Backend, StatusKind};
use serde_json::json;

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
