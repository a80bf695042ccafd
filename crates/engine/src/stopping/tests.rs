//! Whole answers against the rules, without a model.

use super::*;
use crate::config::Config;

const NOW: Duration = Duration::ZERO;

fn rules(change: impl FnOnce(&mut config::Stopping), limit: Option<usize>) -> Arc<Rules> {
    let (config, _) = Config::from_layers(&[]);
    let mut stopping = config.stopping;
    change(&mut stopping);
    Arc::new(Rules::compile(&stopping, vec![7], limit).unwrap())
}

/// Feeds `pieces`; returns what was streamed, the final answer and the verdict.
fn answer(rules: Arc<Rules>, pieces: &[&[u8]]) -> (String, String, Option<Verdict>) {
    let mut watch = Watch::new(rules);
    let mut streamed = String::new();
    let mut verdict = None;
    for piece in pieces {
        verdict = watch.piece(piece, NOW);
        streamed.extend(watch.take());
        if verdict.is_some() {
            break;
        }
    }
    streamed.extend(watch.finish());
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
    assert_eq!(watch.piece(b"a", Duration::from_millis(1)), None);
    assert!(!watch.is_out_of_time(Duration::from_millis(9)));
    let verdict = watch.piece(b"b", Duration::from_millis(9));
    assert_eq!(verdict, Some(Verdict::Time));
}

#[test]
fn a_pattern_that_does_not_compile_is_named() {
    let (config, _) = Config::from_layers(&[]);
    let mut stopping = config.stopping;
    stopping.stop_regex = vec!["(".into()];
    let error = Rules::compile(&stopping, vec![], None).unwrap_err();
    assert!(
        error.starts_with("stop_regex \"(\" does not compile"),
        "{error}"
    );
}
