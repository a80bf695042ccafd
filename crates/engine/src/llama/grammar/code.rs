//! The rules of a grammar as one row of elements, which the search for ambiguities and the matcher read.

use super::parse::{Element, Rules};

/// The last character of Unicode; numbers beyond it stand for tokens.
const LAST: u32 = 0x10_ffff;

/// Rules without their names.
#[derive(Debug)]
pub(in super::super) struct Code {
    /// All alternatives of all rules. Each ends with [`Element::Or`]; what only prolongs a class is left out.
    pub(super) elements: Vec<Element>,
    /// By rule, where its alternatives begin.
    pub(super) alternatives: Vec<Vec<u32>>,
    /// By number, what terminals stand for.
    pub(super) terminals: Vec<Terminal>,
    /// The rule where texts begin.
    pub(super) root: usize,
}

/// What is read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Terminal {
    /// A character in one of these ranges, which rise and do not touch.
    Character(Vec<(u32, u32)>),
    /// This token.
    Token(i32),
    /// Any other token.
    NotToken(i32),
}

impl Code {
    /// The code of `rules`; `id` says which token is meant by `<...>`.
    pub(super) fn new(rules: &Rules, root: usize, id: impl Fn(&str) -> i32) -> Code {
        let mut elements = Vec::new();
        let mut alternatives = Vec::new();
        for body in rules.bodies.iter().flatten() {
            let mut starts = Vec::new();
            for alternative in body.split(|element| *element == Element::Or) {
                starts.push(elements.len() as u32);
                let kept = alternative.iter().filter(|one| **one != Element::More);
                elements.extend(kept);
                elements.push(Element::Or);
            }
            alternatives.push(starts);
        }
        let named = rules.symbols.tokens();
        let token = |number: u32| {
            let name = named.iter().find(|(_, known)| *known == number);
            name.map_or(-1, |(name, _)| id(name))
        };
        let terminal = |set: &Vec<(u32, u32)>| match set[..] {
            [(first, last)] if first == last && first > LAST => Terminal::Token(token(first)),
            [(0, before), (_, u32::MAX)] => Terminal::NotToken(token(before + 1)),
            _ => Terminal::Character(set.clone()),
        };
        Code {
            elements,
            alternatives,
            terminals: rules.symbols.sets().iter().map(terminal).collect(),
            root,
        }
    }

    /// Whether it speaks of single tokens, and not of text alone.
    pub(super) fn names_tokens(&self) -> bool {
        let is_text = |terminal: &Terminal| matches!(terminal, Terminal::Character(_));
        !self.terminals.iter().all(is_text)
    }
}
