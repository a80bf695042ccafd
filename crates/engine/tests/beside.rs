//! Models beside each other: names, shared weights, a budget for all, loads in the background.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::models::*;
use common::*;
use engine::{Backend, Error, StatusKind};
use serde_json::{Value, json};

fn load(backend: &Backend, name: &str, which: &str) -> u32 {
    let loaded = backend.load_model(name.as_bytes(), &pocket(which), None, None);
    loaded.unwrap().0
}

fn open_on(backend: &Backend, graph: u32) -> u32 {
    backend.open_context(graph).unwrap().0
}

#[test]
fn models_with_names_answer_beside_each_other() {
    let backend = backend(&small(json!({})));
    let b = load(&backend, "other", "b");
    let (one, two) = (open(&backend), open_on(&backend, b));
    assert!(own_name(&backend, one).contains("Pip"));
    assert!(own_name(&backend, two).contains("Momo"));
    assert_eq!(model(&backend)["models"].as_array().unwrap().len(), 2);
    assert_eq!(named(&backend, "other")["sessions"], 1);

    // A conversation may go over to another model.
    say(&backend, one, "My name is Zorvath.").unwrap();
    backend.use_graph(one, b).unwrap();
    assert!(own_name(&backend, one).contains("Momo"));
    recalls(&backend, one, "Zorvath");

    backend.unload_graph(b).unwrap();
    assert_eq!(say(&backend, two, "Hello").unwrap_err(), Error::NoModel);
    backend.use_graph(two, 0).unwrap();
    assert!(own_name(&backend, two).contains("Pip"));
    assert_eq!(backend.use_graph(two, b).unwrap_err(), Error::NoModel);
    assert_eq!(backend.unload_graph(b).unwrap_err(), Error::NoModel);
}

#[test]
fn without_a_plain_load_the_model_that_came_last_is_the_current_one() {
    let backend = unloaded(&small(json!({})));
    assert_eq!(backend.open_context(0).unwrap_err(), Error::NoModel);
    load(&backend, "first", "a");
    load(&backend, "second", "b");
    let c = open(&backend);
    assert!(own_name(&backend, c).contains("Momo"));
    for bad in [&b""[..], &[b'x'; 257], b"a\nb", b"\xff"] {
        let error = backend.load_model(bad, &pocket("a"), None, None);
        assert!(matches!(error, Err(Error::InvalidArgument(_))), "{error:?}");
    }
}

#[test]
fn a_file_that_is_loaded_twice_has_its_weights_once() {
    let backend = backend(&small(json!({})));
    let before = memory(&backend);
    load(&backend, "same", "a");
    let after = memory(&backend);
    assert_eq!(before["weights_bytes"], after["weights_bytes"]);
    assert!(after["cache_bytes"].as_u64() > before["cache_bytes"].as_u64());
    load(&backend, "other", "b");
    assert!(memory(&backend)["weights_bytes"].as_u64() > before["weights_bytes"].as_u64());
}

/// MiB that one model takes with [`small`].
fn mib_of_one() -> u64 {
    let backend = backend(&small(json!({})));
    let one = named(&backend, "default");
    let bytes = ["weights_bytes", "buffer_bytes"].map(|k| one[k].as_u64().unwrap());
    bytes.iter().sum::<u64>().div_ceil(1 << 20)
}

#[test]
fn a_model_that_nobody_uses_gives_way_and_comes_back_when_it_is_used() {
    let limit = mib_of_one() * 5 / 2;
    let backend = backend(&small(json!({"backend": {"max_model_memory_mb": limit}})));
    let mine = told(&backend, "Zorvath");
    let b = load(&backend, "b", "b");
    let theirs = open_on(&backend, b);
    own_name(&backend, theirs);
    recalls(&backend, mine, "Zorvath");
    // There is room for two. The third one takes that of the one unused for longest.
    let c = backend
        .load_model(
            b"c",
            &pocket("b"),
            Some(br#"{"model": {"version": "third"}}"#),
            None,
        )
        .unwrap();
    assert_eq!(named(&backend, "b")["state"], "asleep");
    assert_eq!(named(&backend, "b")["weights_bytes"], 0);
    assert_eq!(named(&backend, "c")["label"], "third");
    assert_eq!(named(&backend, "default")["state"], "serving");
    // The one that sleeps comes back under its number, and the next one goes.
    assert!(own_name(&backend, theirs).contains("Momo"));
    assert_eq!(named(&backend, "b")["graph"], b);
    assert_eq!(named(&backend, "default")["state"], "asleep");
    recalls(&backend, mine, "Zorvath");
    let counts = model(&backend)["changes_total"].clone();
    assert_eq!(
        (&counts["put_to_sleep"], &counts["woken"]),
        (&json!(3), &json!(2))
    );
    backend.unload_graph(c.0).unwrap();
}

#[test]
fn a_model_in_use_does_not_give_way_and_the_load_says_what_it_lacks() {
    let limit = mib_of_one() * 3 / 2;
    let backend = backend(&small(json!({"backend": {"max_model_memory_mb": limit}})));
    let c = open(&backend);
    let mut tried = false;
    let mut on_piece = |_: &str| {
        if !std::mem::replace(&mut tried, true) {
            let error = backend
                .load_model(b"b", &pocket("b"), None, None)
                .unwrap_err();
            assert!(error.to_string().contains("max_model_memory_mb"), "{error}");
        }
        true
    };
    let mut none = || None;
    backend
        .run(c, "Count to 3.".into(), &mut none, Some(&mut on_piece))
        .unwrap();
    assert!(tried);
    // Now nobody uses it.
    load(&backend, "b", "b");
    assert_eq!(named(&backend, "default")["state"], "asleep");
}

#[test]
fn a_model_that_sleeps_and_lost_its_file_fails_turns_until_it_is_there_again() {
    let limit = mib_of_one() * 3 / 2;
    let file = std::env::temp_dir().join(format!("swap-{}-moves.gguf", std::process::id()));
    std::fs::copy(pocket("a"), &file).unwrap();
    let backend = unloaded(&small(json!({"backend": {"max_model_memory_mb": limit}})));
    backend.load_file(&file, None, None).unwrap();
    let c = told(&backend, "Zorvath");
    load(&backend, "b", "b");
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).unwrap();
    let others: Vec<u32> = (0..6).map(|_| open(&backend)).collect();
    thread::scope(|scope| {
        for c in others.into_iter().chain([c]) {
            let backend = &backend;
            scope.spawn(move || {
                let error = say(backend, c, "Hello").unwrap_err();
                assert!(matches!(error, Error::Load(_)), "{error:?}");
            });
        }
    });
    std::fs::rename(&away, &file).unwrap();
    recalls(&backend, c, "Zorvath");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_load_in_the_background_can_be_watched_awaited_and_cancelled() {
    let backend = Arc::new(unloaded(&small(json!({}))));
    let state =
        |load: u32| -> Value { serde_json::from_str(&backend.load_state(load).unwrap()).unwrap() };
    let load = backend.begin_load(None, &pocket("a"), None).unwrap().0;
    let graph = backend.await_load(load, Duration::from_secs(60)).unwrap();
    assert_eq!(state(load)["phase"], "ended");
    assert_eq!(state(load)["graph"], graph.0);
    assert_eq!(model(&backend)["graph"], graph.0);

    let load = backend
        .begin_load(Some(b"x"), &PathBuf::from("/nonexistent"), None)
        .unwrap()
        .0;
    let error = backend
        .await_load(load, Duration::from_secs(60))
        .unwrap_err();
    assert!(error.to_string().contains("file not found"), "{error}");
    assert!(
        state(load)["error"]
            .as_str()
            .unwrap()
            .contains("file not found")
    );

    // One load at a time: the second one waits for the first, whose host does not answer yet.
    thread::scope(|scope| {
        let (asked, is_asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let first = &backend;
        let slow = scope.spawn(move || {
            let mut progress = |_: f32| {
                let _ = asked.send(());
                answers.recv().unwrap_or(true)
            };
            first.load_model(b"slow", &pocket("b"), None, Some(&mut progress))
        });
        is_asked.recv().unwrap();
        let second = backend
            .begin_load(Some(b"second"), &pocket("b"), None)
            .unwrap()
            .0;
        backend.cancel_load(second).unwrap();
        drop(answer);
        slow.join().unwrap().unwrap();
        let error = backend.await_load(second, Duration::from_secs(60));
        assert!(matches!(error, Ok(_) | Err(Error::Load(_))), "{error:?}");
    });
    assert!(matches!(
        backend.load_state(0),
        Err(Error::InvalidArgument(_))
    ));
    assert!(matches!(
        backend.cancel_load(load + 100),
        Err(Error::InvalidArgument(_))
    ));

    // One that is still under way when everybody has gone.
    backend.begin_load(None, &pocket("b"), None).unwrap();
    drop(backend);
}

#[test]
fn settings_of_the_whole_backend_are_not_taken_from_a_further_model() {
    let backend = backend(&small(json!({})));
    let config = br#"{"strict": true, "backend": {"queue_size": 7}}"#;
    let error = backend
        .load_model(b"b", &pocket("b"), Some(config), None)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("backend.queue_size: of the whole backend"),
        "{error}"
    );
    let config = br#"{"backend": {"queue_size": 7}, "model": {"n_predict": 2, "ctx_size": 512}, "sampling": {"temp": 0}}"#;
    let b = backend
        .load_model(b"b", &pocket("b"), Some(config), None)
        .unwrap();
    assert_eq!(status(&backend, StatusKind::Queue)["limit"], 50);
    let (own, other) = (open(&backend), open_on(&backend, b.0));
    say(&backend, other, "Count to 3.").unwrap();
    assert_eq!(metadata(&backend, other)["completion_tokens"], 2);
    say(&backend, own, "Count to 3.").unwrap();
    assert_ne!(metadata(&backend, own)["completion_tokens"], 2);
    // The next version of it has the same settings, unless it brings its own.
    backend.swap(b.0, &pocket("a"), None, None).unwrap();
    say(&backend, other, "Count to 3.").unwrap();
    assert_eq!(metadata(&backend, other)["completion_tokens"], 2);
    assert_eq!(
        backend.swap(b.0, &pocket("a"), None, None).unwrap_err(),
        Error::NoModel
    );
}

#[test]
fn bytes_that_were_copied_for_a_model_go_with_it() {
    let copies = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let links = open.filter_map(|f| std::fs::read_link(f.ok()?.path()).ok());
        links
            .filter(|to| to.to_string_lossy().contains("memfd:model"))
            .count()
    };
    let backend = unloaded(&small(json!({})));
    let bytes = std::fs::read(pocket("a")).unwrap();
    for _ in 0..3 {
        backend
            .load_bytes(&bytes, None, engine::Target::Cpu)
            .unwrap();
    }
    assert_eq!(copies(), 1, "the one that serves");
    assert!(matches!(
        backend.roll_back(0, None),
        Err(Error::InvalidArgument(_))
    ));
    backend.unload().unwrap();
    assert_eq!(copies(), 0);
}
