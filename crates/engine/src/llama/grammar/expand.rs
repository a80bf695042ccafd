//! Whether parsed rules can be worked with: a root, no undefined rule, no left recursion, bounded cost.
//!
//! What llama.cpp refuses or never finishes is refused: its search for left recursion visits a rule once per path that
//! leads to it at the front, and recurses. Both are bounded here, on the same graph, visiting each rule once. Texts are
//! the work of `stacks`.

use super::parse::{Element, Rules};
use super::stacks;

/// Visits of llama.cpp's search: far beyond real grammars, a moment's work.
const VISITS_LIMIT: u64 = 1_000_000;
/// Depth of its recursion, for stacks of 2 MiB.
const DEPTH_LIMIT: u32 = 1000;

/// Checks `rules`; the error completes a sentence.
pub(super) fn check(rules: &Rules) -> std::result::Result<(), String> {
    let name = |id: usize| {
        let found = rules.names.iter().find(|(_, named)| **named == id);
        found.map_or_else(|| format!("number {id}"), |(name, _)| name.clone())
    };
    let Some(&root) = rules.names.get("root") else {
        return Err("no rule is called root".to_owned());
    };
    for (id, body) in rules.bodies.iter().enumerate() {
        if body.is_none() {
            return Err(format!("rule {} is used and not defined", name(id)));
        }
    }
    let bodies: Vec<&[Element]> = rules.bodies.iter().flatten().map(Vec::as_slice).collect();
    let mut search = Search {
        states: vec![State::New; bodies.len()],
        empty: nullable(&bodies).ok_or("rules lead to each other over too many steps")?,
        bodies,
    };
    for id in 0..search.bodies.len() {
        search.visit(id).map_err(|fault| match fault {
            Fault::LeftRecursion(id) => format!("rule {} begins with itself", name(id)),
            Fault::TooComplex => "rules lead to each other in too many ways".to_owned(),
        })?;
    }
    if let Some(found) = stacks::ambiguity(rules, root) {
        let (name, text) = (name(found.rule), found.text);
        return Err(format!(
            "rule {name} can read a text in too many ways at once, one that begins with {text:?}"
        ));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    /// Visits that llama.cpp's search needs from here, and how deep it goes.
    Done {
        visits: u64,
        depth: u32,
    },
}

enum Fault {
    LeftRecursion(usize),
    TooComplex,
}

struct Search<'a> {
    bodies: Vec<&'a [Element]>,
    /// By rule, whether it can match nothing.
    empty: Vec<bool>,
    states: Vec<State>,
}

impl Search<'_> {
    /// Visits everything that `start` reaches at the front, without recursion of our own.
    fn visit(&mut self, start: usize) -> std::result::Result<(), Fault> {
        let mut stack = vec![start];
        while let Some(&id) = stack.last() {
            if let State::Done { .. } = self.states[id] {
                stack.pop();
                continue;
            }
            self.states[id] = State::Open;
            let fronts = self.fronts(id);
            let mut pending = false;
            let (mut visits, mut depth) = (1_u64, 0_u32);
            for front in fronts {
                match self.states[front] {
                    State::New => {
                        stack.push(front);
                        pending = true;
                        break;
                    }
                    State::Open => return Err(Fault::LeftRecursion(front)),
                    State::Done {
                        visits: more,
                        depth: below,
                    } => {
                        visits = visits.saturating_add(more);
                        depth = depth.max(below + 1);
                    }
                }
            }
            if pending {
                continue;
            }
            if visits > VISITS_LIMIT || depth > DEPTH_LIMIT {
                return Err(Fault::TooComplex);
            }
            self.states[id] = State::Done { visits, depth };
            stack.pop();
        }
        Ok(())
    }

    /// The rules that can stand at the front of `id`: the first of each alternative, and the next one as long as the
    /// rules before it can match nothing. llama.cpp sees fewer of them, because it takes a rule for empty only if one
    /// of its alternatives has no elements; what it misses would grow its stacks without end.
    fn fronts(&self, id: usize) -> Vec<usize> {
        let mut fronts = Vec::new();
        let mut at_front = true;
        for element in self.bodies[id] {
            match element {
                Element::Or => at_front = true,
                Element::Rule(rule) if at_front => {
                    fronts.push(*rule);
                    at_front = self.empty[*rule];
                }
                Element::Rule(_) | Element::Terminal(_) | Element::More => at_front = false,
            }
        }
        fronts
    }
}

/// By rule, whether some alternative consists of rules that can match nothing; `None` where that takes more rounds
/// than the depth that is allowed anyway.
fn nullable(bodies: &[&[Element]]) -> Option<Vec<bool>> {
    let mut empty = vec![false; bodies.len()];
    // Each round but the last finds one more. Rules are mostly defined after their users, hence the order.
    for _ in 0..=DEPTH_LIMIT {
        let mut changed = false;
        for (id, body) in bodies.iter().enumerate().rev() {
            let matches_nothing = |alternative: &[Element]| {
                alternative
                    .iter()
                    .all(|element| matches!(element, Element::Rule(rule) if empty[*rule]))
            };
            let found = !empty[id]
                && body
                    .split(|element| *element == Element::Or)
                    .any(matches_nothing);
            if found {
                empty[id] = true;
                changed = true;
            }
        }
        if !changed {
            return Some(empty);
        }
    }
    None
}

#[cfg(test)]
mod unit {
    use super::super::parse;
    use super::*;

    fn verdict(text: &str) -> std::result::Result<(), String> {
        check(&parse::rules(text, |_| false).unwrap())
    }

    #[test]
    fn a_usable_grammar_passes() {
        let text =
            "root ::= ws item (\",\" ws item)*\nitem ::= \"a\" | \"(\" root \")\"\nws ::= \" \"*";
        assert_eq!(verdict(text), Ok(()));
    }

    #[test]
    fn what_llama_cpp_refuses_or_never_finishes_is_named() {
        let check = |text: &str, expect: &str| {
            let error = verdict(text).unwrap_err();
            assert!(error.contains(expect), "{error}");
        };
        check("a ::= \"x\"", "no rule is called root");
        check("root ::= b", "rule b is used and not defined");
        check("root ::= root \"x\"", "rule root begins with itself");
        check(
            "root ::= e b\nb ::= root\ne ::= \"x\"?",
            "begins with itself",
        );
        let mut bomb = String::from("root ::= r0\n");
        for i in 0..40 {
            bomb += &format!("r{i} ::= r{0} | r{0} \"x\"\n", i + 1);
        }
        check(&format!("{bomb}r40 ::= \"x\""), "too many ways");
        let mut chain = String::from("root ::= r0\n");
        for i in 0..3000 {
            chain += &format!("r{i} ::= r{}\n", i + 1);
        }
        check(&format!("{chain}r3000 ::= \"x\""), "too many ways");
    }
}
