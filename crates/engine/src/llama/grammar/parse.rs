//! GBNF text to rules, as llama.cpp's parser would make them.
//!
//! Keeps of a rule what the later checks need: per alternative, the rules and other elements in order, as many as
//! llama.cpp has. Knows neither left recursion nor cost.

mod terminal;

use std::collections::HashMap;

use super::DEPTH_LIMIT;
use terminal::Symbols;

/// `MAX_REPETITION_THRESHOLD` of llama.cpp.
const REPETITION_LIMIT: u64 = 2000;
/// Rules written and made by repetitions; bounds the work of llama.cpp's own checks.
const RULES_LIMIT: usize = 50_000;
/// Elements of all rules together.
const ELEMENTS_LIMIT: usize = 1 << 20;

/// One element of an alternative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// A reference to the rule with this number.
    Rule(usize),
    /// A character, a class or a token: one of the symbols with this number.
    Terminal(usize),
    /// More of the class before it.
    More,
    /// The next alternative begins.
    Or,
}

/// The rules of a grammar by number; `None` for a name that is used and not defined.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) bodies: Vec<Option<Vec<Element>>>,
    pub(super) names: HashMap<String, usize>,
    /// What terminals stand for.
    pub(super) symbols: Symbols,
}

type Parsed<T> = std::result::Result<T, String>;

/// Parses `text`; `is_token` says whether `<...>` is exactly one token of the vocabulary.
pub(super) fn rules(text: &str, is_token: impl Fn(&str) -> bool) -> Parsed<Rules> {
    if text.contains('\0') {
        return Err("holds a NUL character".to_owned());
    }
    let mut parser = Parser {
        text,
        at: 0,
        rules: Rules::default(),
        elements: 0,
        is_token: &is_token,
    };
    parser
        .all()
        .map_err(|reason| format!("line {}: {reason}", parser.line()))?;
    Ok(parser.rules)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    rules: Rules,
    elements: usize,
    is_token: &'a dyn Fn(&str) -> bool,
}

/// What a repetition applies to, and how many rules stand behind it.
#[derive(Clone, Copy)]
struct Last {
    start: usize,
    rules: u64,
}

impl Parser<'_> {
    fn line(&self) -> usize {
        1 + self.text[..self.at].matches('\n').count()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn expect(&mut self, c: char) -> Parsed<()> {
        match self.eat(c) {
            true => Ok(()),
            false => Err(format!("expected {c:?}, found {}", self.found())),
        }
    }

    fn found(&self) -> String {
        match self.peek() {
            Some(c) => format!("{c:?}"),
            None => "the end".to_owned(),
        }
    }

    fn space(&mut self, newlines: bool) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' => self.at += 1,
                '\r' | '\n' if newlines => self.at += 1,
                '#' => {
                    let comment = self.rest().find(['\r', '\n']);
                    self.at += comment.unwrap_or(self.rest().len());
                }
                _ => break,
            }
        }
    }

    fn while_matching(&mut self, fits: impl Fn(char) -> bool) -> &str {
        let start = self.at;
        let rest = &self.text[start..];
        self.at += rest.find(|c| !fits(c)).unwrap_or(rest.len());
        &self.text[start..self.at]
    }

    fn all(&mut self) -> Parsed<()> {
        self.space(true);
        while self.peek().is_some() {
            self.rule()?;
        }
        if self.rules.bodies.is_empty() {
            return Err("no rules".to_owned());
        }
        Ok(())
    }

    fn rule(&mut self) -> Parsed<()> {
        let name = self.name()?;
        let id = self.id(&name)?;
        self.space(false);
        if !self.rest().starts_with("::=") {
            return Err(format!(
                "expected \"::=\" after {name}, found {}",
                self.found()
            ));
        }
        self.at += 3;
        self.space(true);
        self.alternatives(id, 0)?;
        match self.peek() {
            Some('\r' | '\n') => self.space(true),
            Some(_) => return Err(format!("expected a newline, found {}", self.found())),
            None => {}
        }
        Ok(())
    }

    fn name(&mut self) -> Parsed<String> {
        let name = self.while_matching(is_word).to_owned();
        match name.is_empty() {
            true => Err(format!("expected a name, found {}", self.found())),
            false => Ok(name),
        }
    }

    fn id(&mut self, name: &str) -> Parsed<usize> {
        if let Some(id) = self.rules.names.get(name) {
            return Ok(*id);
        }
        let id = self.fresh()?;
        self.rules.names.insert(name.to_owned(), id);
        Ok(id)
    }

    /// A number for a rule that repetitions or groups make.
    fn fresh(&mut self) -> Parsed<usize> {
        if self.rules.bodies.len() >= RULES_LIMIT {
            return Err(format!("needs more than {RULES_LIMIT} rules"));
        }
        self.rules.bodies.push(None);
        Ok(self.rules.bodies.len() - 1)
    }

    fn define(&mut self, id: usize, body: Vec<Element>) -> Parsed<()> {
        self.elements += body.len();
        if self.elements > ELEMENTS_LIMIT {
            return Err(format!("needs more than {ELEMENTS_LIMIT} elements"));
        }
        self.rules.bodies[id] = Some(body);
        Ok(())
    }

    fn alternatives(&mut self, id: usize, depth: usize) -> Parsed<()> {
        if depth > DEPTH_LIMIT {
            return Err(format!("groups nest deeper than {DEPTH_LIMIT}"));
        }
        let mut body = Vec::new();
        self.sequence(&mut body, depth)?;
        while self.eat('|') {
            body.push(Element::Or);
            self.space(true);
            self.sequence(&mut body, depth)?;
        }
        self.define(id, body)
    }

    fn sequence(&mut self, body: &mut Vec<Element>, depth: usize) -> Parsed<()> {
        let nested = depth > 0;
        let mut last = Last {
            start: body.len(),
            rules: 1,
        };
        while let Some(c) = self.peek() {
            let start = Last {
                start: body.len(),
                rules: 1,
            };
            match c {
                '"' => {
                    self.at += 1;
                    last = start;
                    while !self.eat('"') {
                        let c = self.character()?;
                        body.push(self.rules.symbols.of(vec![(c, c)]));
                    }
                }
                '[' => {
                    last = start;
                    self.class(body)?;
                }
                '<' | '!' => {
                    let is_other = self.eat('!');
                    let token = self.token()?;
                    last = start;
                    body.push(self.rules.symbols.token(token, is_other));
                }
                '.' => {
                    self.at += 1;
                    last = start;
                    body.push(self.rules.symbols.any());
                }
                '(' => {
                    self.at += 1;
                    self.space(true);
                    let before = self.rules.bodies.len();
                    let id = self.fresh()?;
                    self.alternatives(id, depth + 1)?;
                    self.expect(')')?;
                    last = Last {
                        start: body.len(),
                        rules: (self.rules.bodies.len() - before) as u64,
                    };
                    body.push(Element::Rule(id));
                }
                '*' | '+' | '?' => {
                    self.at += 1;
                    let (least, most) = match c {
                        '*' => (0, None),
                        '+' => (1, None),
                        _ => (0, Some(1)),
                    };
                    last.rules = self.repeat(body, last, least, most)?;
                }
                '{' => {
                    self.at += 1;
                    self.space(nested);
                    let (least, most) = self.bounds(nested)?;
                    last.rules = self.repeat(body, last, least, most)?;
                }
                _ if is_word(c) => {
                    let name = self.name()?;
                    let id = self.id(&name)?;
                    last = start;
                    body.push(Element::Rule(id));
                }
                _ => break,
            }
            self.space(nested);
        }
        Ok(())
    }

    fn number(&mut self) -> Parsed<u64> {
        let digits = self.while_matching(|c| c.is_ascii_digit()).to_owned();
        if digits.is_empty() {
            return Err(format!("expected a number, found {}", self.found()));
        }
        digits
            .parse::<u32>()
            .map(u64::from)
            .map_err(|_| format!("the number {digits} is too large"))
    }

    /// What stands between braces: at least, and at most.
    fn bounds(&mut self, nested: bool) -> Parsed<(u64, Option<u64>)> {
        let least = self.number()?;
        self.space(nested);
        let mut most = Some(least);
        if self.eat(',') {
            self.space(nested);
            most = None;
            if self.peek().is_some_and(|c| c.is_ascii_digit()) {
                most = Some(self.number()?);
                self.space(nested);
            }
        }
        self.expect('}')?;
        if least > REPETITION_LIMIT {
            return Err(format!(
                "{least} repetitions, must be at most {REPETITION_LIMIT}"
            ));
        }
        if let Some(most) = most
            && most < least
        {
            return Err(format!("at least {least} and at most {most} repetitions"));
        }
        Ok((least, most.filter(|most| *most <= REPETITION_LIMIT)))
    }

    /// Rewrites the last symbol as llama.cpp does; returns how many rules stand behind it now.
    fn repeat(
        &mut self,
        body: &mut Vec<Element>,
        last: Last,
        least: u64,
        most: Option<u64>,
    ) -> Parsed<u64> {
        if last.start == body.len() {
            return Err("expected something before the repetition".to_owned());
        }
        let symbol = body[last.start..].to_vec();
        let times = most.filter(|most| *most > 0).unwrap_or(least).max(1);
        if last.rules * times > REPETITION_LIMIT {
            return Err(format!(
                "{times} repetitions of {} rules, must be at most {REPETITION_LIMIT} together",
                last.rules
            ));
        }
        if least == 0 {
            body.truncate(last.start);
        }
        for _ in 1..least {
            body.extend_from_slice(&symbol);
        }
        let mut previous = None;
        for _ in 0..most.map_or(1, |most| most - least) {
            let id = self.fresh()?;
            let mut optional = symbol.clone();
            match (most, previous) {
                (None, _) => optional.push(Element::Rule(id)),
                (Some(_), Some(previous)) => optional.push(Element::Rule(previous)),
                (Some(_), None) => {}
            }
            optional.push(Element::Or);
            self.define(id, optional)?;
            previous = Some(id);
        }
        body.extend(previous.map(Element::Rule));
        self.elements += body.len();
        if self.elements > ELEMENTS_LIMIT {
            return Err(format!("needs more than {ELEMENTS_LIMIT} elements"));
        }
        Ok(last.rules * times)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

#[cfg(test)]
mod unit {
    use super::*;

    fn check(text: &str, expect: std::result::Result<usize, &str>) {
        let parsed = rules(text, |token| token == "<eot>");
        match (parsed, expect) {
            (Ok(rules), Ok(count)) => assert_eq!(rules.bodies.len(), count, "{text}"),
            (Err(error), Err(reason)) => assert!(error.contains(reason), "{text}: {error}"),
            (parsed, _) => panic!("{text}: {parsed:?}"),
        }
    }

    #[test]
    fn well_formed_grammars_parse_into_the_rules_that_llama_cpp_makes() {
        check("root ::= \"a\"", Ok(1));
        check(
            "root ::= a | b\na ::= [a-z]\nb ::= [^\\x00-\\x1f\\]]",
            Ok(3),
        );
        check("root ::= \"a\"* \"b\"+ \"c\"? # note\n", Ok(4));
        check("root ::= (\"a\" |\n \"b\"){2,4}", Ok(4));
        check("root ::= . <eot> !<[7]> \"\\u00e9\\\"\"\r\n", Ok(1));
        check("root ::= \"a\"{0}", Ok(1));
    }

    #[test]
    fn each_syntax_error_is_named_with_its_line() {
        check("", Err("no rules"));
        check("root", Err("expected \"::=\""));
        check("root ::= \"a", Err("unexpected end"));
        check("root ::= [a", Err("unexpected end"));
        check("root ::= (\"a\"", Err("expected ')'"));
        check("root ::= *", Err("before the repetition"));
        check("root ::= \"a\"{", Err("expected a number"));
        check("root ::= \"a\"{1", Err("expected '}'"));
        check("root ::= \"a\"{5,3}", Err("at least 5 and at most 3"));
        check("root ::= \"a\"{9999}", Err("must be at most 2000"));
        check("root ::= \"a\"{99999999999}", Err("too large"));
        check("root ::= \"\\q\"", Err("unknown escape"));
        check("root ::= \"\\x1\"", Err("hex digits"));
        check("root ::= [\\U00110000]", Err("beyond the last character"));
        check("root ::= <nope>", Err("not one token"));
        check("root ::= \"a\"\nx ::= ]", Err("line 2: expected a newline"));
        check("root ::= \"a\0\"", Err("NUL"));
        check("root ::= (\"a\"?){1500}", Err("must be at most 2000"));
        check(
            &format!("root ::= {}", "(".repeat(10_000)),
            Err("nest deeper"),
        );
    }
}
