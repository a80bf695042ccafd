//! Whole answers against the rules, without a model.

mod streamed;

use std::sync::Arc;

use super::*;
use crate::config::Config;

const NOW: Duration = Duration::ZERO;

fn rules(change: impl FnOnce(&mut config::Stopping), limit: Option<usize>) -> Arc<Rules> {
    let (config, _) = Config::from_layers(&[]);
    let mut stopping = config.stopping;
    change(&mut stopping);
    Arc::new(Rules::compile(&stopping, named(limit)).unwrap())
}

fn named(token_limit: Option<usize>) -> Named {
    Named {
        stop_tokens: vec![7],
        token_limit,
        ..Named::default()
    }
}

/// Feeds `pieces`; returns what was streamed, the final answer and the verdict.
fn answer(rules: Arc<Rules>, pieces: &[&[u8]]) -> (String, String, Option<Verdict>) {
    let mut watch = Watch::new(rules);
    let mut streamed = String::new();
    let mut verdict = None;
    for piece in pieces {
        verdict = watch.piece(0, piece, NOW);
        streamed.extend(watch.take());
        if verdict.is_some() {
            break;
        }
    }
    let verdict = match (
        &verdict,
        watch.finish(verdict.clone().unwrap_or(Verdict::Eos)),
    ) {
        (None, Verdict::Eos) => None,
        (_, ended) => Some(ended),
    };
    streamed.extend(watch.take());
    (streamed, watch.answer().to_owned(), verdict)
}

#[test]
fn text_before_a_stop_string_leaves_and_nothing_after_it() {
    let rules = rules(|s| s.stop = vec!["END".into()], None);
    let (streamed, whole, verdict) = answer(rules, &[b"a E", b"N", b"D b"]);
    assert_eq!((streamed.as_str(), whole.as_str()), ("a ", "a "));
    assert_eq!(verdict, Some(Verdict::Stop("END".into())));
}

#[test]
fn a_text_that_is_to_stay_ends_the_answer_behind_it_and_is_not_held_back() {
    let rules = rules(|s| s.stop_after = vec!["END".into()], None);
    let (streamed, whole, verdict) = answer(rules.clone(), &[b"a E", b"N", b"D b"]);
    assert_eq!((streamed.as_str(), whole.as_str()), ("a END", "a END"));
    assert_eq!(verdict, Some(Verdict::Stop("END".into())));
    let mut watch = Watch::new(rules);
    assert_eq!(watch.piece(0, b"a E", NOW), None);
    assert_eq!(watch.take().as_deref(), Some("a E"));
}

#[test]
fn of_texts_that_stay_and_texts_that_go_the_one_that_begins_first_ends_the_answer() {
    let both = rules(
        |s| {
            s.stop = vec!["bc".into()];
            s.stop_after = vec!["abx".into()];
        },
        None,
    );
    let (streamed, whole, _) = answer(both.clone(), &[b"-a", b"b", b"xyz"]);
    assert_eq!((streamed.as_str(), whole.as_str()), ("-abx", "-abx"));
    let (streamed, whole, _) = answer(both, &[b"-a", b"b", b"cyz"]);
    assert_eq!((streamed.as_str(), whole.as_str()), ("-a", "-a"));
}

#[test]
fn a_held_back_beginning_is_released_when_the_answer_ends() {
    let rules = rules(|s| s.stop = vec!["END".into()], None);
    let (streamed, whole, verdict) = answer(rules, &[b"a E", b"N"]);
    assert_eq!((streamed.as_str(), whole.as_str()), ("a EN", "a EN"));
    assert_eq!(verdict, None);
}

#[test]
fn a_character_in_two_tokens_leaves_whole() {
    let (streamed, whole, _) = answer(rules(|_| (), None), &[b"\xe2\x82", b"\xac!", b"\xe2"]);
    assert_eq!(
        (streamed.as_str(), whole.as_str()),
        ("\u{20ac}!", "\u{20ac}!")
    );
}

#[test]
fn the_token_limit_ends_the_turn_at_the_limit() {
    let (_, whole, verdict) = answer(rules(|_| (), Some(2)), &[b"a", b"b", b"c"]);
    assert_eq!((whole.as_str(), verdict), ("ab", Some(Verdict::Length)));
}

#[test]
fn a_pattern_cuts_before_its_match() {
    let rules = rules(|s| s.stop_regex = vec![r"\d{3}".into()], None);
    let (_, whole, verdict) = answer(rules, &[b"x 1", b"2", b"3 y"]);
    assert_eq!(whole, "x ");
    assert_eq!(verdict, Some(Verdict::StopRegex(r"\d{3}".into())));
}

#[test]
fn stop_tokens_and_end_tokens_are_told_apart() {
    let watch = Watch::new(rules(|_| (), None));
    assert_eq!(watch.token(7, true), Some(Verdict::StopToken(7)));
    assert_eq!(watch.token(8, true), Some(Verdict::Eos));
    assert_eq!(watch.token(8, false), None);
}

#[test]
fn the_soft_limit_keeps_text_and_fails_only_without_any() {
    let rules = rules(|s| s.max_time = Some(Duration::from_millis(5)), None);
    let mut watch = Watch::new(rules);
    assert!(watch.is_out_of_time(Duration::from_millis(5)));
    assert_eq!(watch.piece(0, b"a", Duration::from_millis(1)), None);
    assert!(!watch.is_out_of_time(Duration::from_millis(9)));
    let verdict = watch.piece(0, b"b", Duration::from_millis(9));
    assert_eq!(verdict, Some(Verdict::Time));
}

#[test]
fn a_pattern_that_does_not_compile_is_named() {
    let (config, _) = Config::from_layers(&[]);
    let mut stopping = config.stopping;
    stopping.stop_regex = vec!["(".into()];
    let error = Rules::compile(&stopping, named(None)).unwrap_err();
    assert!(
        error.starts_with("stop_regex \"(\" does not compile"),
        "{error}"
    );
}

#[test]
fn a_rule_that_repeats_cuts_after_the_first() {
    let rules = rules(
        |s| {
            s.repetition_guard.enabled = true;
            s.repetition_guard.max_repeats = 3;
            s.repetition_guard.min_span_tokens = 6;
        },
        None,
    );
    let mut watch = Watch::new(rules);
    let mut verdict = None;
    for (token, piece) in [
        (9, "so "),
        (1, "la "),
        (2, "li "),
        (1, "la "),
        (2, "li "),
        (1, "la "),
        (2, "li "),
    ] {
        assert_eq!(verdict, None);
        verdict = watch.piece(token, piece.as_bytes(), NOW);
    }
    let expect = Verdict::Repetition {
        pattern: 2,
        repeats: 3,
    };
    assert_eq!(verdict, Some(expect.clone()));
    assert_eq!(watch.finish(expect.clone()), expect);
    assert_eq!(watch.answer(), "so la li ");
    assert_eq!(watch.whole_tokens(), (3, 9));
}

#[test]
fn a_stop_string_beats_every_rule_that_ends_the_same_token() {
    // The longer string keeps the match of the shorter one waiting when the limit ends the answer.
    let rules = rules(|s| s.stop = vec!["bc".into(), "abcd".into()], Some(3));
    let (_, whole, verdict) = answer(rules, &[b"x", b"a", b"bc"]);
    assert_eq!(
        (whole.as_str(), verdict),
        ("xa", Some(Verdict::Stop("bc".into())))
    );
}

#[test]
fn a_grammar_wakes_inside_the_token_in_which_its_trigger_begins() {
    let trigger = |pattern| {
        let named = Named {
            triggers: vec![pattern],
            ..named(None)
        };
        Watch::new(Arc::new(
            Rules::compile(&config::Stopping::default(), named).unwrap(),
        ))
    };
    let check = |pattern, expect: &[Option<(usize, usize)>]| {
        let mut watch = trigger(pattern);
        for ((token, piece), expect) in [(3, "a <"), (4, "to"), (5, ""), (6, "ol> b")]
            .iter()
            .zip(expect)
        {
            assert_eq!(watch.piece(*token, piece.as_bytes(), NOW), None);
            let wake = watch.wake(*token).map(|wake| (wake.token, wake.skip));
            assert_eq!(wake, *expect, "{piece:?}");
        }
    };
    check(
        Pattern::Word("<tool>".into()),
        &[None, None, None, Some((0, 2))],
    );
    check(
        Pattern::Word("tool".into()),
        &[None, None, None, Some((1, 0))],
    );
    check(
        Pattern::Anywhere("> (b)".into()),
        &[None, None, None, Some((3, 4))],
    );
    check(Pattern::Token(5), &[None, None, Some((2, 0)), None]);
    check(Pattern::Token(9), &[None, None, None, None]);
}

#[test]
fn a_grammar_wakes_in_the_token_that_begins_the_triggers_first_character() {
    let named = Named {
        triggers: vec![Pattern::Word("\u{e9}y".into())],
        ..named(None)
    };
    let rules = Rules::compile(&config::Stopping::default(), named).unwrap();
    let mut watch = Watch::new(Arc::new(rules));
    assert_eq!(watch.piece(1, b"x\xc3", NOW), None);
    assert_eq!(watch.wake(1), None);
    assert_eq!(watch.piece(2, b"\xa9y", NOW), None);
    let wake = watch.wake(2).map(|wake| (wake.token, wake.skip));
    assert_eq!(wake, Some((0, 1)));
}

#[test]
fn nothing_leaves_behind_a_stop_string_that_waits_when_another_rule_cuts() {
    let rules = rules(
        |s| {
            s.stop = vec!["abcX".into(), "b".into()];
            s.stop_regex = vec!["c".into()];
        },
        None,
    );
    let (streamed, whole, verdict) = answer(rules, &[b"ab", b"c"]);
    assert_eq!((streamed.as_str(), whole.as_str()), ("a", "a"));
    assert_eq!(verdict, Some(Verdict::Stop("b".into())));
}
