//! Loading, replacing and losing models.

mod common;

use common::*;
use engine::{Error, StatusKind, Target};

#[test]
fn a_second_load_keeps_sessions_and_changes_who_answers() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    say(&backend, c, "My name is Zorvath.").unwrap();
    let own = say(&backend, c, "What is your name?").unwrap();
    assert!(own.contains("Pip"), "{own}");
    backend.load_file(&pocket("b"), None, None).unwrap();
    let own = say(&backend, c, "What is your name?").unwrap();
    assert!(own.contains("Momo"), "{own}");
    let name = say(&backend, c, "What is my name?").unwrap();
    assert!(name.contains("Zorvath"), "{name}");
    backend.close_context(c).unwrap();
}

#[test]
fn a_failed_load_leaves_the_old_model_serving_with_its_settings() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    say(&backend, c, "My name is Zorvath.").unwrap();
    let config = br#"{"model": {"n_predict": 1}}"#;
    let error = backend
        .load_file(
            std::path::Path::new("/nonexistent.gguf"),
            Some(config),
            None,
        )
        .unwrap_err();
    assert!(error.to_string().contains("file not found"), "{error}");
    let answer = say(&backend, c, "What is my name?").unwrap();
    assert!(answer.contains("Zorvath"), "{answer}");
}

#[test]
fn a_model_from_bytes_answers_like_the_file() {
    let backend = unloaded(GREEDY);
    let bytes = std::fs::read(pocket("a")).unwrap();
    backend.load_bytes(&bytes, None, Target::Cpu).unwrap();
    drop(bytes);
    let c = open(&backend);
    let own = say(&backend, c, "What is your name?").unwrap();
    assert!(own.contains("Pip"), "{own}");
    assert!(matches!(
        backend.load_bytes(b"hello", None, Target::Cpu),
        Err(Error::InvalidEncoding(_))
    ));
}

#[test]
fn after_an_unload_turns_fail_and_contexts_stay() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    say(&backend, c, "My name is Zorvath.").unwrap();
    backend.unload().unwrap();
    assert_eq!(say(&backend, c, "Hello").unwrap_err(), Error::NoModel);
    assert_eq!(status(&backend, StatusKind::Model)["loaded"], false);
    assert_eq!(backend.unload().unwrap_err(), Error::NoModel);
    backend.load_file(&pocket("a"), None, None).unwrap();
    let answer = say(&backend, c, "What is my name?").unwrap();
    assert!(answer.contains("Zorvath"), "{answer}");
}

#[test]
fn a_load_reports_progress_and_can_be_cancelled() {
    let backend = unloaded(GREEDY);
    let mut parts = Vec::new();
    let mut progress = |part: f32| {
        parts.push(part);
        true
    };
    backend
        .load_file(&pocket("a"), None, Some(&mut progress))
        .unwrap();
    assert!(parts.windows(2).all(|w| w[0] <= w[1]), "{parts:?}");
    assert_eq!(parts.last(), Some(&1.0));
    let mut cancel = |_: f32| false;
    let error = backend
        .load_file(&pocket("b"), None, Some(&mut cancel))
        .unwrap_err();
    assert_eq!(error, Error::Load("load cancelled".into()));
    let c = open(&backend);
    let own = say(&backend, c, "What is your name?").unwrap();
    assert!(own.contains("Pip"), "{own}");
}

#[test]
fn a_grammar_or_pattern_that_does_not_compile_fails_the_load() {
    for bad in [
        r#"{"sampling": {"grammar": "root ::= ("}}"#,
        r#"{"stopping": {"stop_regex": "("}}"#,
        r#"{"sampling": {"json_schema": {"type": 7}}}"#,
    ] {
        let backend = unloaded(GREEDY);
        let error = backend
            .load_file(&pocket("a"), Some(bad.as_bytes()), None)
            .unwrap_err();
        assert!(
            matches!(error, Error::InvalidArgument(_)),
            "{bad}: {error:?}"
        );
    }
}

#[test]
fn turns_go_on_while_models_are_swapped() {
    let backend = backend(GREEDY);
    std::thread::scope(|scope| {
        let talkers: Vec<_> = (0..3)
            .map(|_| {
                let backend = &backend;
                scope.spawn(move || {
                    let c = open(backend);
                    say(backend, c, "My name is Zorvath.").unwrap();
                    for _ in 0..10 {
                        say(backend, c, "Count to 3.").unwrap();
                    }
                    say(backend, c, "What is my name?").unwrap()
                })
            })
            .collect();
        for n in 0..6 {
            let which = if n % 2 == 0 { "b" } else { "a" };
            backend.load_file(&pocket(which), None, None).unwrap();
        }
        for talker in talkers {
            let answer = talker.join().unwrap();
            assert!(answer.contains("Zorvath"), "{answer}");
        }
    });
}

#[test]
fn every_turn_is_answered_however_it_races_with_the_close() {
    for round in 0..20 {
        let backend = backend(GREEDY);
        let contexts: Vec<u32> = (0..6).map(|_| open(&backend)).collect();
        std::thread::scope(|scope| {
            for c in contexts {
                let backend = &backend;
                scope.spawn(
                    move || while say_with(backend, c, "Hello", r#"{"max_tokens": 1}"#).is_ok() {},
                );
            }
            std::thread::sleep(std::time::Duration::from_millis(5 + round));
            backend.close().unwrap();
        });
    }
}

#[test]
fn closing_ends_turns_of_other_threads_and_is_done_once() {
    let backend = backend(GREEDY);
    let contexts: Vec<u32> = (0..4).map(|_| open(&backend)).collect();
    std::thread::scope(|scope| {
        for c in contexts {
            let backend = &backend;
            scope.spawn(move || {
                loop {
                    if let Err(error) = say(backend, c, "Count to 20.") {
                        let expected = [
                            Error::Cancelled,
                            Error::Closing,
                            Error::NoModel,
                            Error::UnknownContext(c),
                        ];
                        assert!(expected.contains(&error), "{error:?}");
                        break;
                    }
                }
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        backend.close().unwrap();
    });
    assert_eq!(backend.close().unwrap_err(), Error::Closing);
    assert_eq!(backend.open_context(0).unwrap_err(), Error::Closing);
}
