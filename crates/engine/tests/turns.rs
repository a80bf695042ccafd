//! One turn's settings, limits and ways to end.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use engine::{Error, StatusKind};

#[test]
fn a_calls_settings_apply_to_that_call_alone() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    let short = say_with(&backend, c, "Count to 9.", r#"{"max_tokens": 3}"#).unwrap();
    assert_eq!(metadata(&backend, c)["finish_reason"], "length");
    assert_eq!(metadata(&backend, c)["completion_tokens"], 3);
    let long = say(&backend, c, "Count to 9.").unwrap();
    assert!(long.len() > short.len(), "{short:?} {long:?}");
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    let answer = say_with(&backend, c, "Count to 9.", r#"{"stop": ["6"]}"#).unwrap();
    assert_eq!(&*answer, "1 2 3 4 5 ");
    let metadata = metadata(&backend, c);
    assert_eq!(
        (&metadata["finish_reason"], &metadata["finish_detail"]),
        (&"stop".into(), &"6".into())
    );
}

#[test]
fn a_stop_pattern_ends_the_text_before_its_match() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    let answer = say_with(
        &backend,
        c,
        "Count to 9.",
        r#"{"stop_regex": "4 .", "n_predict": 30}"#,
    )
    .unwrap();
    assert_eq!(&*answer, "1 2 3 ");
}

/// A grammar that is compiled, as no rule of it is bad alone and the bad place comes late, and that reads what stands
/// there in 300,000 ways.
fn hidden() -> String {
    let grammar = format!(
        "root ::= {}body\nc ::= \"x\" \"1\" | \"y\" \"2\"\nbody ::= {}\"b\"\ng ::= h\nh ::= (\"a\"{{1,40}}){{1,40}}",
        "c ".repeat(40),
        "g ".repeat(300),
    );
    serde_json::json!({"grammar": grammar, "max_tokens": 1000}).to_string()
}

#[test]
fn a_grammar_with_too_many_ways_fails_its_turn_and_the_neighbours_do_not_notice() {
    let backend = backend(GREEDY);
    let say_alone = || {
        let context = open(&backend);
        let answer = say(&backend, context, "Count to 9.").unwrap();
        backend.close_context(context).unwrap();
        answer
    };
    let alone = say_alone();
    let c = open(&backend);
    let before = backend.history(c).unwrap();
    let error = std::thread::scope(|scope| {
        let ambiguous = scope.spawn(|| say_with(&backend, c, "Hello.", &hidden()).unwrap_err());
        while !ambiguous.is_finished() {
            assert_eq!(say_alone(), alone);
        }
        ambiguous.join().unwrap()
    });
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
    let text = "grammar: it can read the text here in too many ways";
    assert!(error.to_string().contains(text), "{error}");
    assert_eq!(backend.history(c).unwrap(), before);
    // The same conversation goes on.
    assert_eq!(say(&backend, c, "Count to 9.").unwrap(), alone);
}

#[test]
fn a_grammar_constrains_the_answer_and_a_bad_one_fails_the_call_alone() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    let answer = say_with(
        &backend,
        c,
        "Hello",
        r#"{"grammar": "root ::= \"yes\" | \"no\""}"#,
    )
    .unwrap();
    assert!(["yes", "no"].contains(&&*answer), "{answer}");
    let before = backend.history(c).unwrap();
    let error = say_with(&backend, c, "Hello", r#"{"grammar": "root ::= ("}"#).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
    assert_eq!(backend.history(c).unwrap(), before);
    say(&backend, c, "Hello").unwrap();
}

#[test]
fn no_tokens_asked_for_is_an_empty_answer() {
    let config = GREEDY.replace("\"n_predict\": 64", "\"n_predict\": 0");
    let backend = backend(&config);
    let c = open(&backend);
    assert_eq!(&*say(&backend, c, "Hello").unwrap(), "");
    assert_eq!(metadata(&backend, c)["finish_reason"], "length");
}

#[test]
fn pieces_arrive_in_order_and_make_up_the_answer() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    let mut pieces = Vec::new();
    let mut on_piece = |piece: &str| {
        pieces.push(piece.to_owned());
        true
    };
    let answer = backend
        .run(c, "Count to 9.".into(), &mut || None, Some(&mut on_piece))
        .unwrap();
    assert_eq!(pieces.concat(), *answer);
    assert!(pieces.len() > 3, "{pieces:?}");
}

#[test]
fn a_callback_that_says_stop_keeps_what_was_delivered() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    let mut seen = String::new();
    let mut on_piece = |piece: &str| {
        seen.push_str(piece);
        !seen.contains('3')
    };
    let answer = backend
        .run(c, "Count to 9.".into(), &mut || None, Some(&mut on_piece))
        .unwrap();
    assert_eq!(*answer, seen);
    assert!(answer.ends_with('3'), "{answer}");
    assert_eq!(metadata(&backend, c)["finish_reason"], "callback");
    assert!(backend.history(c).unwrap().contains("Count to 9."));
}

#[test]
fn a_callback_cannot_use_its_own_context_but_may_use_another() {
    let backend = backend(GREEDY);
    let (own, other) = (open(&backend), open(&backend));
    let mut inner = Vec::new();
    let mut on_piece = |_: &str| {
        inner.push(say(&backend, own, "Hello").unwrap_err());
        inner.push(backend.close_context(own).unwrap_err());
        inner.push(backend.close().unwrap_err());
        assert!(say(&backend, other, "Hello").is_ok());
        false
    };
    backend
        .run(own, "Count to 9.".into(), &mut || None, Some(&mut on_piece))
        .unwrap();
    assert_eq!(inner, vec![Error::Reentrant(own); 3]);
    say(&backend, own, "Hello").unwrap();
}

#[test]
fn cancel_ends_a_turn_without_a_trace() {
    let config = GREEDY
        .replace("\"n_predict\": 64", "\"n_predict\": -1")
        .replace(
            "\"repeat_penalty\": 1.0",
            "\"repeat_penalty\": 1.0, \"ignore_eos\": true",
        );
    let backend = backend(&config);
    let c = open(&backend);
    let pieces = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (backend, pieces) = (&backend, &pieces);
        let turn = scope.spawn(move || {
            let mut on_piece = |_: &str| {
                pieces.fetch_add(1, Ordering::SeqCst);
                // Slower than the engine, so that the cancel comes while it generates.
                std::thread::sleep(std::time::Duration::from_millis(2));
                true
            };
            backend.run(c, "Hello".into(), &mut || None, Some(&mut on_piece))
        });
        while pieces.load(Ordering::SeqCst) < 3 {
            std::thread::yield_now();
        }
        backend.cancel(c).unwrap();
        match turn.join().unwrap() {
            Err(error) => {
                assert_eq!(error, Error::Cancelled);
                assert_eq!(backend.history(c).unwrap(), "[]");
            }
            // The engine may have filled the whole context before the flag was seen.
            Ok(_) => assert_eq!(metadata(backend, c)["finish_reason"], "context_full"),
        }
    });
    assert!(backend.cancel(c).is_ok(), "without a turn nothing happens");
}

#[test]
fn the_queue_refuses_what_it_cannot_hold_and_answers_the_rest() {
    let config = GREEDY.replace(
        "\"sampling\"",
        "\"backend\": {\"max_concurrent\": 64, \"queue_size\": 2}, \"performance\": {\"n_parallel\": 1}, \"sampling\"",
    );
    let backend = backend(&config);
    let (done, full) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..24 {
            let (backend, done, full) = (&backend, &done, &full);
            scope.spawn(move || {
                let c = open(backend);
                match say(backend, c, "Count to 20.") {
                    Ok(_) => done.fetch_add(1, Ordering::SeqCst),
                    Err(Error::QueueFull { limit: 2, .. }) => full.fetch_add(1, Ordering::SeqCst),
                    Err(other) => panic!("{other:?}"),
                };
            });
        }
    });
    assert_eq!(
        done.load(Ordering::SeqCst) + full.load(Ordering::SeqCst),
        24
    );
    assert!(full.load(Ordering::SeqCst) > 0);
    let queue = status(&backend, StatusKind::Queue);
    assert_eq!(queue["rejected"], full.load(Ordering::SeqCst));
    assert_eq!(queue["done"], done.load(Ordering::SeqCst));
}

#[test]
fn a_turn_that_waits_too_long_for_a_slot_times_out() {
    let config = GREEDY.replace("\"n_predict\": 64", "\"n_predict\": -1").replace(
        "\"sampling\": {",
        "\"backend\": {\"default_task_timeout_ms\": 1000}, \"performance\": {\"n_parallel\": 1}, \"sampling\": {\"ignore_eos\": true, ",
    );
    let backend = backend(&config);
    let c = open(&backend);
    let first = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut begun = false;
            // Holds the context's turnstile, not the engine: the callback is slow, the engine long done.
            let mut on_piece = |_: &str| {
                if !std::mem::replace(&mut begun, true) {
                    first.wait();
                    std::thread::sleep(std::time::Duration::from_millis(1500));
                }
                true
            };
            backend
                .run(c, "Hello".into(), &mut || None, Some(&mut on_piece))
                .unwrap();
        });
        first.wait();
        assert!(matches!(say(&backend, c, "Hello"), Err(Error::Timeout(_))));
    });
    say_with(&backend, c, "Hello", r#"{"max_tokens": 2}"#).unwrap();
}

#[test]
fn set_input_compute_and_output_are_a_turn_cut_in_three() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    assert_eq!(backend.compute(c).unwrap_err(), Error::NoInput);
    assert_eq!(backend.output(c, 0).unwrap_err(), Error::NoResult);
    backend.set_input(c, "Count to 3.".into()).unwrap();
    backend.set_input(c, "Count to 4.".into()).unwrap();
    backend.compute(c).unwrap();
    assert_eq!(&*backend.output(c, 0).unwrap(), "1 2 3 4");
    assert_eq!(&*backend.output(c, 0).unwrap(), "1 2 3 4");
    assert!(matches!(
        backend.output(c, 2),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
fn strict_refuses_an_unknown_key_of_a_call_and_lenient_ignores_it() {
    let lenient = backend(GREEDY);
    let c = open(&lenient);
    say_with(&lenient, c, "Hello", r#"{"top_kk": 3}"#).unwrap();
    let strict = backend(&GREEDY.replacen('{', "{\"strict\": true,", 1));
    let c = open(&strict);
    let error = say_with(&strict, c, "Hello", r#"{"top_kk": 3}"#).unwrap_err();
    assert!(error.to_string().contains("top_kk"), "{error}");
    say(&strict, c, "Hello").unwrap();
}

#[test]
fn equal_seeds_give_equal_text_and_the_seed_is_reported() {
    let backend = backend(GREEDY);
    let sample = |seed: u32| {
        let c = open(&backend);
        let call = format!(r#"{{"temp": 1.5, "seed": {seed}, "min_p": 0, "top_p": 1}}"#);
        let text = say_with(&backend, c, "Tell me about rivers.", &call).unwrap();
        assert_eq!(metadata(&backend, c)["seed"], seed);
        backend.close_context(c).unwrap();
        text
    };
    assert_eq!(sample(7), sample(7));
    assert!((1..9).any(|seed| sample(seed) != sample(7)));
}

#[test]
fn the_status_tells_how_times_lie() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    for _ in 0..3 {
        say_with(
            &backend,
            c,
            "Hello.",
            r#"{"max_tokens": 5, "ignore_eos": true}"#,
        )
        .unwrap();
    }
    let told = status(&backend, StatusKind::Performance);
    assert_eq!(told["first_token_ms"]["count"], 3, "{told}");
    assert_eq!(told["token_gap_ms"]["count"], 12, "{told}");
    assert_eq!(told["step_ms"]["count"], told["steps"], "{told}");
    assert_eq!(told["turns_per_step"], 1.0, "{told}");
    for spread in ["first_token_ms", "token_gap_ms", "step_ms"] {
        let at = |share: &str| told[spread][share].as_f64().unwrap();
        assert!(
            0.0 < at("p50") && at("p50") <= at("p90") && at("p90") <= at("p99"),
            "{told}"
        );
    }
}
