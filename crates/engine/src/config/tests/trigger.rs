//! Triggers of a lazy grammar: their forms, and what they need.

use super::*;

fn word(text: &str) -> Trigger {
    Trigger::Word(text.into())
}

fn triggers(text: &str) -> Vec<Trigger> {
    let (config, findings) = found(&[(Door::Init, text)]);
    assert!(
        findings.iter().all(|f| f.code == Code::NoEffect),
        "{findings:?}"
    );
    config.stopping.grammar_triggers
}

/// The messages of `triggers` under a grammar, and what is taken of it.
fn judged(triggers: &str) -> (Vec<Trigger>, Vec<String>) {
    let text = format!(r#"{{"grammar":"g","stopping":{{"grammar_triggers":{triggers}}}}}"#);
    let (config, found) = init(&text);
    let begin = "stopping.grammar_triggers";
    let shortened = found
        .iter()
        .map(|said| said.strip_prefix(begin).unwrap_or(said).to_owned());
    (config.stopping.grammar_triggers, shortened.collect())
}

#[test]
fn both_forms_and_all_kinds_of_entry_are_taken() {
    let list = r#"["{",{"type":"word","value":"a"},{"type":"Pattern","value":"a+"},{"value":"b"},
                   {"type":"pattern_full","value":"^x"},{"type":"token","token":5},{"token":"<t>"},
                   {"type":"token","value":7},{"type":"token","value":"t"},{"type":"token","token":1,"value":2}]"#;
    let expect = [
        word("{"),
        word("a"),
        Trigger::Pattern("a+".into()),
        word("b"),
        Trigger::PatternFull("^x".into()),
        Trigger::Token(TokenRef::Id(5)),
        Trigger::Token(TokenRef::Text("<t>".into())),
        Trigger::Token(TokenRef::Id(7)),
        Trigger::Token(TokenRef::Text("t".into())),
        Trigger::Token(TokenRef::Id(1)),
    ];
    let bare = format!(r#"{{"grammar":"g","grammar_triggers":{list}}}"#);
    let group = format!(r#"{{"stopping":{{"grammar-triggers":{{"patterns":{list}}}}}}}"#);
    assert_eq!(triggers(&bare), expect);
    assert_eq!(triggers(&group), expect);
}

#[test]
fn switched_off_and_empty_mean_none() {
    for none in [
        r#"{"enabled":false,"patterns":["x"]}"#,
        r#"{"enabled":false}"#,
        r#"{"patterns":[]}"#,
        "[]",
    ] {
        assert_eq!(judged(none), (vec![], vec![]), "{none}");
        let call = format!(r#"{{"grammar_triggers":{none}}}"#);
        let (settings, found) = called(r#"{"grammar":"g","grammar_triggers":["x"]}"#, &call);
        assert_eq!(found, NONE);
        assert_eq!(settings.stopping.grammar_triggers, []);
    }
}

#[test]
fn what_says_nothing_of_the_patterns_leaves_the_loaded_ones() {
    for text in [r#"{}"#, r#"{"enabled":true}"#] {
        let call = format!(r#"{{"grammar_triggers":{text}}}"#);
        let (settings, _) = called(r#"{"grammar":"g","grammar_triggers":["x"]}"#, &call);
        assert_eq!(settings.stopping.grammar_triggers, [word("x")]);
    }
}

#[test]
fn bad_entries_are_findings_with_their_path_and_skipped() {
    let long = "x".repeat(1025);
    let (taken, found) = judged(&format!(
        r#"{{"patterns":["a",5,{{"type":"regex","value":"x"}},"","{long}",{{"type":"word","value":7}},
            {{"type":"token"}},{{"type":"token","token":1.5}},{{"type":"pattern","vale":"x"}},{{"type":1,"value":"x"}},
            "b"]}}"#
    ));
    assert_eq!(taken, [word("a"), word("b")]);
    assert_eq!(
        found,
        [
            ".patterns[1]: expected string or object, found number, ignored",
            ".patterns[2].type: \"regex\" not in word, pattern, pattern_full, token, ignored",
            ".patterns[3]: 0 bytes not in 1..1024, ignored",
            ".patterns[4]: 1025 bytes not in 1..1024, ignored",
            ".patterns[5].value: expected string, found number, ignored",
            ".patterns[6].token: expected token id or string, found null, ignored",
            ".patterns[7].token: expected token id or string, found number with a fraction, ignored",
            ".patterns[8].vale: unknown, did you mean value?",
            ".patterns[8].value: expected string, found null, ignored",
            ".patterns[9].type: expected string, found number, ignored",
        ]
    );
    let (taken, found) = judged(r#"{"enable":true,"enabled":1,"patterns":5}"#);
    assert_eq!(taken, []);
    assert_eq!(
        found,
        [
            ".enable: unknown, did you mean enabled?",
            ".enabled: expected boolean, found number",
            ".patterns: expected array, found number",
        ]
    );
}

#[test]
fn a_list_of_bad_entries_alone_leaves_the_loaded_one() {
    let load = r#"{"grammar":"g","grammar_triggers":["x"]}"#;
    let (settings, found) = called(load, r#"{"grammar_triggers":[5]}"#);
    assert_eq!(settings.stopping.grammar_triggers, [word("x")]);
    assert_eq!(found.len(), 1);
}

#[test]
fn the_list_has_a_most() {
    let list = |count: usize| format!("[{}]", vec!["\"x\""; count].join(","));
    assert_eq!(judged(&list(64)).1, NONE);
    let (taken, found) = judged(&list(65));
    assert_eq!(taken.len(), 64);
    assert_eq!(found, [": more than 64 entries, the rest is ignored"]);
}

#[test]
fn triggers_without_a_grammar_have_no_effect() {
    let said = "grammar_triggers: no grammar and no json_schema to wake, no effect";
    check(r#"{"grammar_triggers":["x"]}"#, Code::NoEffect, said);
    check_at(
        Door::Run,
        r#"{"grammar_triggers":["x"]}"#,
        Code::NoEffect,
        said,
    );
    let (_, found) = called(r#"{"json_schema":{}}"#, r#"{"grammar_triggers":["x"]}"#);
    assert_eq!(found, NONE);
    // A call that switches the grammar off says nothing of the triggers.
    let load = r#"{"grammar":"g","grammar_triggers":["x"]}"#;
    assert_eq!(called(load, r#"{"grammar":""}"#).1, NONE);
}

#[test]
fn a_lazy_grammar_needs_triggers() {
    let said = "grammar_lazy without grammar_triggers, keeping false";
    let text = r#"{"grammar":"g","sampling":{"grammar_lazy":true}}"#;
    let message = format!("sampling.grammar_lazy: {said}");
    check(text, Code::BadCombination, &message);
    assert!(!init(text).0.sampling.grammar_lazy);
    let (config, found) =
        init(r#"{"json_schema":{},"grammar_lazy":true,"grammar_triggers":["x"]}"#);
    assert_eq!((config.sampling.grammar_lazy, found.len()), (true, 0));
}

#[test]
fn a_call_may_bring_what_the_load_lacks_and_take_what_it_has() {
    let lazy = r#"{"grammar_lazy":true}"#;
    let (settings, found) = called(lazy, r#"{"grammar":"g","grammar_triggers":["x"]}"#);
    assert_eq!((settings.sampling.grammar_lazy, found.len()), (true, 0));
    let said = "grammar_lazy without grammar_triggers, keeping false";
    let (settings, found) = called(lazy, r#"{"grammar":"g"}"#);
    assert!(!settings.sampling.grammar_lazy);
    assert_eq!(found, [format!("grammar: {said}")]);
    let (settings, found) = called(
        r#"{"grammar":"g","grammar_lazy":true,"grammar_triggers":["x"]}"#,
        r#"{"runtime":{"grammar_triggers":[]}}"#,
    );
    assert!(!settings.sampling.grammar_lazy);
    assert_eq!(found, [format!("runtime.grammar_triggers: {said}")]);
}

#[test]
fn shown_triggers_can_be_read_back() {
    let text = r#"["a",{"type":"pattern","value":"b"},{"type":"pattern_full","value":"c"},{"type":"token","token":5}]"#;
    let (config, _) = init(&format!(r#"{{"grammar":"g","grammar_triggers":{text}}}"#));
    let shown = config.to_json()["stopping"]["grammar_triggers"].clone();
    assert_eq!(shown, serde_json::from_str::<Value>(text).unwrap());
}
