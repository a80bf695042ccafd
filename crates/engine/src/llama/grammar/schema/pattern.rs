//! The regular expressions of `pattern`, as far as a grammar can hold them.
//!
//! They are ECMAScript's, as JSON Schema has it: `\d`, `\w` and `\s` are its classes, and without `^` and `$` anything
//! may stand around a match. Assertions, references back, flags and properties of characters are refused.

mod within;

use super::class::Class;
use super::text::Length;
use super::{COUNT_LIMIT, Checked};

/// How deep groups may nest.
const DEPTH_LIMIT: usize = 32;

const DIGIT: &[(u32, u32)] = &[(0x30, 0x39)];
const WORD: &[(u32, u32)] = &[(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)];
/// White space and ends of lines.
const SPACE: &[(u32, u32)] = &[
    (0x09, 0x0d),
    (0x20, 0x20),
    (0xa0, 0xa0),
    (0x1680, 0x1680),
    (0x2000, 0x200a),
    (0x2028, 0x2029),
    (0x202f, 0x202f),
    (0x205f, 0x205f),
    (0x3000, 0x3000),
    (0xfeff, 0xfeff),
];
/// What `.` is not.
const LINE_ENDS: &[(u32, u32)] = &[(0x0a, 0x0a), (0x0d, 0x0d), (0x2028, 0x2029)];

/// A set of strings.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pattern {
    One(Class),
    /// Any characters, where the expression is not anchored.
    Any,
    Sequence(Vec<Pattern>),
    Choice(Vec<Pattern>),
    Repeat {
        part: Box<Pattern>,
        least: u64,
        most: Option<u64>,
    },
}

/// The strings that `text` matches somewhere.
pub(super) fn parse(text: &str) -> Checked<Pattern> {
    let mut parser = Parser {
        rest: text.chars().collect(),
        at: 0,
    };
    let pattern = parser.choice(0)?;
    match parser.peek() {
        None => Ok(pattern),
        Some(c) => Err(format!("{c:?} without its opening")),
    }
}

struct Parser {
    rest: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn next(&mut self) -> Checked<char> {
        let c = self.peek().ok_or("it ends too early")?;
        self.at += 1;
        Ok(c)
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn choice(&mut self, depth: usize) -> Checked<Pattern> {
        if depth > DEPTH_LIMIT {
            return Err(format!("groups nest deeper than {DEPTH_LIMIT}"));
        }
        let mut ways = vec![self.sequence(depth)?];
        while self.eat('|') {
            ways.push(self.sequence(depth)?);
        }
        Ok(match ways.len() {
            1 => ways.remove(0),
            _ => Pattern::Choice(ways),
        })
    }

    /// An alternative. The outermost ones are where anchors stand.
    fn sequence(&mut self, depth: usize) -> Checked<Pattern> {
        let is_outermost = depth == 0;
        let mut parts = Vec::new();
        if is_outermost && !self.eat('^') {
            parts.push(Pattern::Any);
        }
        while let Some(c) = self.peek().filter(|c| !"|)".contains(*c)) {
            self.at += 1;
            if c == '$' && is_outermost && self.peek().is_none_or(|next| next == '|') {
                return Ok(Pattern::Sequence(parts));
            }
            let part = self.part(c, depth)?;
            parts.push(self.repeated(part)?);
        }
        if is_outermost {
            parts.push(Pattern::Any);
        }
        Ok(Pattern::Sequence(parts))
    }

    fn part(&mut self, c: char, depth: usize) -> Checked<Pattern> {
        Ok(Pattern::One(match c {
            '.' => Class::new(LINE_ENDS).negated(),
            '[' => self.class()?,
            '\\' => self.escape(false)?,
            '(' => {
                if self.eat('?') && !self.eat(':') {
                    return Err("only plain groups and (?:...) have one".to_owned());
                }
                let group = self.choice(depth + 1)?;
                return match self.eat(')') {
                    true => Ok(group),
                    false => Err("'(' without its end".to_owned()),
                };
            }
            '^' | '$' => return Err(format!("{c:?} inside of it")),
            '*' | '+' | '?' => return Err(format!("{c:?} repeats nothing")),
            '{' | '}' | ']' => return Err(format!("{c:?} stands alone, write \\{c}")),
            _ => Class::of(c),
        }))
    }

    /// `part` with the repetition that follows it.
    fn repeated(&mut self, part: Pattern) -> Checked<Pattern> {
        let (least, most) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                self.at += 1;
                let least = self.count()?;
                let most = match self.eat(',') {
                    false => Some(least),
                    true if self.peek() == Some('}') => None,
                    true => Some(self.count()?),
                };
                if self.peek() != Some('}') {
                    return Err("'{' without its end".to_owned());
                }
                (least, most)
            }
            _ => return Ok(part),
        };
        self.at += 1;
        // Laziness decides how a match is found, not whether there is one.
        self.eat('?');
        if self.peek().is_some_and(|c| "*+?{".contains(c)) {
            return Err("a repetition is repeated".to_owned());
        }
        if most.is_some_and(|most| most < least) {
            return Err(format!("at least {least} and fewer at most"));
        }
        if part.may_be_empty() && most != Some(1) {
            return Err("it repeats what may be empty".to_owned());
        }
        if most != Some(1) && !part.ends().and(&part.begins()).ranges().is_empty() {
            // Each character would be in the same repetition or in the next: all the ways to part a text.
            return Err("it repeats what may go on where the next one begins".to_owned());
        }
        Ok(Pattern::Repeat {
            part: Box::new(part),
            least,
            most,
        })
    }

    fn count(&mut self) -> Checked<u64> {
        let mut count = 0;
        let start = self.at;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            self.at += 1;
            count = count * 10 + u64::from(digit);
            if count > COUNT_LIMIT {
                return Err(format!("more than {COUNT_LIMIT} repetitions"));
            }
        }
        match self.at == start {
            true => Err("a count is missing between '{' and '}'".to_owned()),
            false => Ok(count),
        }
    }

    /// What stands behind `[`.
    fn class(&mut self) -> Checked<Class> {
        let is_negated = self.eat('^');
        let mut ranges = Vec::new();
        while !self.eat(']') {
            let first = self.member()?;
            let is_range = self.peek() == Some('-')
                && self.rest.get(self.at + 1).is_some_and(|next| *next != ']');
            if !is_range {
                ranges.extend_from_slice(first.ranges());
                continue;
            }
            self.at += 1;
            let last = self.member()?;
            match (first.ranges(), last.ranges()) {
                (&[(a, b)], &[(c, d)]) if a == b && c == d && a <= c => ranges.push((a, c)),
                _ => return Err("a range of characters goes from one up to another".to_owned()),
            }
        }
        let class = Class::new(&ranges);
        let class = if is_negated { class.negated() } else { class };
        match class.alternatives() {
            Some(_) => Ok(class),
            None => Err("a class is empty".to_owned()),
        }
    }

    fn member(&mut self) -> Checked<Class> {
        match self.next()? {
            '\\' => self.escape(true),
            c => Ok(Class::of(c)),
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, in_class: bool) -> Checked<Class> {
        Ok(match self.next()? {
            'd' => Class::new(DIGIT),
            'D' => Class::new(DIGIT).negated(),
            'w' => Class::new(WORD),
            'W' => Class::new(WORD).negated(),
            's' => Class::new(SPACE),
            'S' => Class::new(SPACE).negated(),
            't' => Class::of('\t'),
            'n' => Class::of('\n'),
            'r' => Class::of('\r'),
            'v' => Class::of('\u{b}'),
            'f' => Class::of('\u{c}'),
            'b' if in_class => Class::of('\u{8}'),
            'x' => self.hex(2)?,
            'u' => self.hex(4)?,
            c if c.is_ascii_alphanumeric() => return Err(format!("\\{c} has none")),
            c => Class::of(c),
        })
    }

    fn hex(&mut self, digits: usize) -> Checked<Class> {
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.next()?.to_digit(16);
            code = code * 16 + digit.ok_or("a hexadecimal digit is missing")?;
        }
        let c = char::from_u32(code).ok_or("half of a surrogate pair is no character")?;
        Ok(Class::of(c))
    }
}

impl Pattern {
    /// Of the strings, in characters.
    pub(super) fn length(&self) -> Length {
        let sum = |lengths: &mut dyn Iterator<Item = Length>| {
            let empty = Length {
                least: 0,
                most: Some(0),
            };
            lengths.fold(empty, |a, b| Length {
                least: a.least.saturating_add(b.least),
                most: a.most.zip(b.most).map(|(a, b)| a.saturating_add(b)),
            })
        };
        match self {
            Pattern::One(_) => Length {
                least: 1,
                most: Some(1),
            },
            Pattern::Any => Length {
                least: 0,
                most: None,
            },
            Pattern::Sequence(parts) => sum(&mut parts.iter().map(Pattern::length)),
            Pattern::Choice(parts) => {
                let lengths: Vec<Length> = parts.iter().map(Pattern::length).collect();
                let most = lengths.iter().map(|length| length.most);
                Length {
                    least: lengths.iter().map(|length| length.least).min().unwrap_or(0),
                    most: most
                        .reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b)))
                        .flatten(),
                }
            }
            Pattern::Repeat { part, least, most } => {
                let one = part.length();
                Length {
                    least: one.least.saturating_mul(*least),
                    most: one.most.zip(*most).map(|(a, b)| a.saturating_mul(b)),
                }
            }
        }
    }

    /// The characters that a string may begin with.
    fn begins(&self) -> Class {
        match self {
            Pattern::One(class) => class.clone(),
            Pattern::Any => Class::new(&[]).negated(),
            Pattern::Sequence(parts) => {
                let empty = parts.iter().take_while(|part| part.may_be_empty()).count();
                Class::any_of(parts.iter().take(empty + 1).map(Pattern::begins))
            }
            Pattern::Choice(parts) => Class::any_of(parts.iter().map(Pattern::begins)),
            Pattern::Repeat { part, .. } => part.begins(),
        }
    }

    /// The characters that a string may go on with where it could end.
    fn ends(&self) -> Class {
        match self {
            Pattern::One(_) => Class::new(&[]),
            Pattern::Any => self.begins(),
            Pattern::Sequence(parts) => {
                let last = parts.iter().rposition(|part| !part.may_be_empty());
                let last = last.unwrap_or(0);
                let more = parts.iter().skip(last + 1).map(Pattern::begins);
                Class::any_of(parts.iter().skip(last).map(Pattern::ends).chain(more))
            }
            Pattern::Choice(parts) => Class::any_of(parts.iter().map(Pattern::ends)),
            Pattern::Repeat { part, least, most } => {
                let again = (*most != Some(*least)).then(|| part.begins());
                Class::any_of(again.into_iter().chain([part.ends()]))
            }
        }
    }

    fn may_be_empty(&self) -> bool {
        match self {
            Pattern::One(_) => false,
            Pattern::Any => true,
            Pattern::Sequence(parts) => parts.iter().all(Pattern::may_be_empty),
            Pattern::Choice(parts) => parts.iter().any(Pattern::may_be_empty),
            Pattern::Repeat { part, least, .. } => *least == 0 || part.may_be_empty(),
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn anchors_hold_for_their_alternative_alone() {
        let a = || Pattern::One(Class::of('a'));
        let check = |text: &str, expect: Vec<Pattern>| {
            assert_eq!(parse(text), Ok(Pattern::Sequence(expect)), "{text}");
        };
        check("^a$", vec![a()]);
        check("a", vec![Pattern::Any, a(), Pattern::Any]);
        check("^a", vec![a(), Pattern::Any]);
        check("a$", vec![Pattern::Any, a()]);
        check("", vec![Pattern::Any, Pattern::Any]);
        let either = Pattern::Choice(vec![
            Pattern::Sequence(vec![a(), Pattern::Any]),
            Pattern::Sequence(vec![Pattern::Any, a()]),
        ]);
        assert_eq!(parse("^a|a$"), Ok(either));
    }

    #[test]
    fn what_has_no_grammar_is_named() {
        let check = |text: &str, expect: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("^(?=a)$", "only plain groups");
        check("^(?<n>a)$", "only plain groups");
        check("^(a)\\1$", "\\1 has none");
        check("^\\bword$", "\\b has none");
        check("^\\p{L}$", "\\p has none");
        check("^a^b$", "'^' inside");
        check("^(^a)$", "'^' inside");
        check("^a$b", "'$' inside");
        check("^(a*)*$", "may be empty");
        check("^(a|){2}$", "may be empty");
        for ambiguous in [
            "(a{1,9}){1,9}",
            "(a+)+",
            "(\\w+ ?)*",
            "(a|b?c{2,3}){2}",
            "(a{2}b*)+c?b",
        ] {
            match ambiguous.starts_with("(a{2}") {
                true => assert!(parse(&format!("^{ambiguous}$")).is_ok()),
                false => check(&format!("^{ambiguous}$"), "where the next one begins"),
            }
        }
        check("^a{3,1}$", "at least 3");
        check("^a{20000}$", "more than 10000");
        check("^a{,3}$", "a count is missing");
        check("^a{2$", "'{' without its end");
        check("^a**$", "a repetition is repeated");
        check("^*a$", "'*' repeats nothing");
        check("^(a$", "'$' inside");
        check("^(a", "'(' without its end");
        check("^a)$", "without its opening");
        check("^[z-a]$", "a range");
        check("^[a-\\d]$", "a range");
        check("^[]$", "a class is empty");
        check("^[\\s\\S]$^", "'$' inside");
        check("^[a", "ends too early");
        check("^\\", "ends too early");
        check("^\\ud800$", "surrogate");
        check("^\\xg0$", "hexadecimal");
        check(&"(".repeat(1000), "nest deeper than 32");
    }
}
