//! Characters, classes and tokens.

use std::collections::HashMap;

use super::{Element, Parsed, Parser};

const LAST: u32 = 0x10_ffff;

/// Sets of characters by number, as ranges. Tokens are characters beyond the last one.
#[derive(Debug, Default)]
pub(in super::super) struct Symbols {
    sets: Vec<Vec<(u32, u32)>>,
    numbers: HashMap<Vec<(u32, u32)>, usize>,
    tokens: HashMap<String, u32>,
}

impl Symbols {
    pub(in super::super) fn set(&self, number: usize) -> &[(u32, u32)] {
        &self.sets[number]
    }

    /// All sets, by number.
    pub(in super::super) fn sets(&self) -> &[Vec<(u32, u32)>] {
        &self.sets
    }

    /// Tokens as they are written, each with the number that stands for it.
    pub(in super::super) fn tokens(&self) -> Vec<(&str, u32)> {
        let tokens = self.tokens.iter();
        tokens.map(|(name, number)| (&**name, *number)).collect()
    }

    pub(super) fn of(&mut self, set: Vec<(u32, u32)>) -> Element {
        let next = self.sets.len();
        let number = *self.numbers.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            next
        });
        Element::Terminal(number)
    }

    pub(super) fn any(&mut self) -> Element {
        self.of(vec![(0, LAST)])
    }

    pub(super) fn token(&mut self, token: String, is_other: bool) -> Element {
        let next = LAST + 1 + self.tokens.len() as u32;
        let number = *self.tokens.entry(token).or_insert(next);
        // Any other token, which spells some characters.
        match is_other {
            true => self.of(vec![(0, number - 1), (number + 1, u32::MAX)]),
            false => self.of(vec![(number, number)]),
        }
    }
}

impl Parser<'_> {
    /// `[...]`, as the elements of one terminal.
    pub(super) fn class(&mut self, body: &mut Vec<Element>) -> Parsed<()> {
        self.at += 1;
        let is_negated = self.eat('^');
        let mut ranges = Vec::new();
        let mut elements = 0;
        while !self.eat(']') {
            let first = self.character()?;
            elements += 1;
            let mut last = first;
            if self.rest().starts_with('-') && !self.rest().starts_with("-]") {
                self.at += 1;
                last = self.character()?;
                elements += 1;
            }
            ranges.push((first, last));
        }
        if elements > 0 {
            let ranges = joined(ranges);
            let set = if is_negated { negated(&ranges) } else { ranges };
            body.push(self.rules.symbols.of(set));
            body.extend(vec![Element::More; elements - 1]);
        }
        Ok(())
    }

    /// One character of a literal or a class.
    pub(super) fn character(&mut self) -> Parsed<u32> {
        let Some(c) = self.peek() else {
            return Err("unexpected end inside a literal".to_owned());
        };
        self.at += c.len_utf8();
        if c != '\\' {
            return Ok(c.into());
        }
        let escape = self.peek().unwrap_or('\0');
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            't' | 'r' | 'n' | '\\' | '"' | '[' | ']' | '-' => 0,
            _ => return Err(format!("unknown escape \\{}", escape.escape_default())),
        };
        self.at += 1;
        let hex = self.rest().as_bytes().get(..digits);
        let hex = hex.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let Some(hex) = hex else {
            return Err(format!("expected {digits} hex digits after \\{escape}"));
        };
        let code = hex.iter().fold(0_u32, |code, digit| {
            code << 4 | char::from(*digit).to_digit(16).unwrap_or(0)
        });
        self.at += digits;
        if code > LAST {
            // Numbers beyond it are those of tokens.
            return Err(format!("\\U{code:08X} is beyond the last character"));
        }
        Ok(match escape {
            'x' | 'u' | 'U' => code,
            't' => 9,
            'r' => 13,
            'n' => 10,
            c => c.into(),
        })
    }

    /// `<[id]>` or `<text>`.
    pub(super) fn token(&mut self) -> Parsed<String> {
        let start = self.at;
        self.expect('<')?;
        if self.eat('[') {
            self.number()?;
            self.expect(']')?;
            self.expect('>')?;
            return Ok(self.text[start..self.at].to_owned());
        }
        self.while_matching(|c| c != '>');
        self.expect('>')?;
        let token = &self.text[start..self.at];
        match (self.is_token)(token) {
            true => Ok(token.to_owned()),
            false => Err(format!("{token:?} is not one token of this model")),
        }
    }
}

/// The same characters, as ranges that rise.
fn joined(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.retain(|(first, last)| first <= last);
    ranges.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => joined.push((first, last)),
        }
    }
    joined
}

fn negated(ranges: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let mut rest = Vec::new();
    let mut next = 0;
    for &(first, last) in ranges {
        if next < first {
            rest.push((next, first - 1));
        }
        next = last.saturating_add(1);
    }
    if next <= LAST {
        rest.push((next, LAST));
    }
    rest
}
