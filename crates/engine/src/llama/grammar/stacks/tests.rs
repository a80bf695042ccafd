//! Grammars that are read in many ways, and such as only look so.

use std::time::{Duration, Instant};

use super::super::parse;
use super::*;

fn check(name: &str, grammar: &str, expect: Option<&str>) {
    let rules = parse::rules(grammar, |_| true).unwrap();
    let begun = Instant::now();
    let found = ambiguity(&rules, rules.names["root"]);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(1), "{name}: {took:?}");
    let found = found.map(|found| found.text);
    let is_expected = match (&found, expect) {
        (Some(text), Some(beginning)) => text.starts_with(beginning),
        (found, expect) => found.is_none() && expect.is_none(),
    };
    assert!(is_expected, "{name}: {found:?}");
}

/// The stacks after `text`, as llama.cpp makes them: positions as a rule and a place in it.
fn of_llama_cpp(rules: &Rules, text: &str) -> usize {
    type Stack = Vec<(usize, usize)>;
    let body = |rule: usize| rules.bodies[rule].as_deref().unwrap();
    let ends = |(rule, at): (usize, usize)| matches!(body(rule).get(at), None | Some(Element::Or));
    let advance = |stack: Stack, new: &mut Vec<Stack>| {
        let mut todo = vec![stack];
        while let Some(mut stack) = todo.pop() {
            let top = stack.last().copied();
            let Some((Element::Rule(next), (rule, at))) = top.map(|top| (body(top.0)[top.1], top))
            else {
                if !new.contains(&stack) {
                    new.push(stack);
                }
                continue;
            };
            stack.pop();
            if !ends((rule, at + 1)) {
                stack.push((rule, at + 1));
            }
            let mut start = 0;
            for alternative in body(next).split(|element| *element == Element::Or) {
                let mut stack = stack.clone();
                if !alternative.is_empty() {
                    stack.push((next, start));
                }
                todo.push(stack);
                start += alternative.len() + 1;
            }
        }
    };
    let root = rules.names["root"];
    let mut stacks = Vec::new();
    let mut start = 0;
    for alternative in body(root).split(|element| *element == Element::Or) {
        advance(vec![(root, start)], &mut stacks);
        start += alternative.len() + 1;
    }
    for c in text.chars() {
        let mut new = Vec::new();
        for mut stack in std::mem::take(&mut stacks) {
            let Some((rule, mut at)) = stack.pop() else {
                continue;
            };
            let Element::Terminal(symbols) = body(rule)[at] else {
                panic!("a stack without a terminal on top");
            };
            let set = rules.symbols.set(symbols);
            if set
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&c.into()))
            {
                at += 1;
                while body(rule).get(at) == Some(&Element::More) {
                    at += 1;
                }
                if !ends((rule, at)) {
                    stack.push((rule, at));
                }
                advance(stack, &mut new);
            }
        }
        stacks = new;
    }
    stacks.len()
}

#[test]
fn stacks_are_counted_as_llama_cpp_makes_them() {
    let check = |grammar: &str, text: &str| {
        let rules = parse::rules(grammar, |_| true).unwrap();
        let code = Code::new(&rules, rules.names["root"], |_| -1);
        let mut search = Search {
            code: &code,
            rules: &rules,
            visits: &mut vec![0; code.elements.len()],
            known: Vec::new(),
            numbers: HashMap::new(),
            work: WORK_LIMIT,
            turn: 0,
        };
        let starts = code.alternatives[rules.names["root"]].iter();
        let mut readings = Readings {
            stacks: starts.filter_map(|at| search.stack(*at, 0)).collect(),
            text: String::new(),
        };
        for end in 0..=text.len() {
            let tops = search.open(&readings).ok().unwrap();
            // Theirs may hold the empty stack as well.
            let theirs = of_llama_cpp(&rules, &text[..end]);
            assert!(
                theirs - tops.len() <= 1,
                "{grammar}: {theirs}, {}",
                tops.len()
            );
            let next = text[end..].chars().next().map_or(0, u32::from);
            readings.stacks = search.read(&tops, next).ok().unwrap();
        }
    };
    check("x ::= \"a\"{1,30}\nroot ::= x{1,30} \"b\"", &"a".repeat(20));
    check("root ::= (\"a\"?){40} \"b\"", "aaab");
    check("root ::= [ab]* [a-c]* [^x] .* \"d\"?", "abcabcd");
    check(
        "root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"d\"",
        "aaaadbcbc",
    );
}

#[test]
fn repetitions_of_which_nothing_marks_the_ends_are_found() {
    let nested = "x ::= \"a\"{1,1000}\ny ::= x{1,1000}\nroot ::=";
    check("nested", &format!("{nested} \"k\" y"), Some("kaaa"));
    check(
        "behind a text",
        &format!("{nested} ([a-z] | \"_\")* \".\" y"),
        Some(".aaa"),
    );
    check("small", "root ::= (\"a\"{1,40}){1,40}", None);
    check("nullable", "root ::= (\"a\"?){1000} \"b\"", Some("a"));
    check(
        "nullable rule",
        "x ::= \"a\"?\nroot ::= x{1000} \"b\"",
        Some("a"),
    );
    check(
        "marked",
        "x ::= \"a\"{1,1000} \",\"\nroot ::= x{1,1000}",
        None,
    );
    let words = |word: &dyn Fn(usize) -> String| -> String {
        (0..10_000).map(word).collect::<Vec<_>>().join(" | ")
    };
    let words = words(&|i| format!("\"value {i}\""));
    check("words", &format!("root ::= {words}"), None);
    check(
        "words in a row",
        &format!("x ::= {words}\nroot ::= (x \" \")*"),
        None,
    );
    for (ways, expect) in [(30, None), (100, None), (600, None), (1000, Some(" "))] {
        let tough = format!("root ::= {}", "[a-zA-Z0-9 .,!?]* ".repeat(ways));
        check("in a row", &tough, expect);
    }
}

#[test]
fn recursions_whose_branches_differ_late_are_found() {
    let late = "\"a\" root \"b\" | \"a\" root \"c\" | \"d\"";
    check("late", &format!("root ::= {late}"), Some("aaaa"));
    check(
        "early",
        "root ::= \"a\" root \"b\" | \"c\" root \"b\" | \"d\"",
        None,
    );
    let hidden = r#"string ::= "\"" ([^"\\] | "\\" .)* "\""
root ::= "[" string "," x "]"
x ::= "{ 'left':" x "+}" | [{] " 'left':" x "-}" | [0-9]+"#;
    check("hidden", hidden, Some("[\"\",{ 'left':{ 'left':"));
    let json = r#"root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}"#;
    check("JSON", json, None);
}
