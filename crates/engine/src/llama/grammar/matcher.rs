//! A grammar beside a vocabulary: which tokens may come next, and what the text so far has used up.
//!
//! The meaning is that of llama.cpp's own, whose text grammars have; the work of one choice is bounded here, which there
//! it is not. A token that ends in the middle of a character may come where the grammar allows a character that begins
//! so.

use std::sync::Arc;

use super::code::{Code, Terminal};
use super::pieces::Pieces;
use super::reading::{DEAD, Reading, STEPS_LIMIT, TooManyWays};
use super::utf8::{Partial, Step};
use crate::error::{Error, Result};

/// How far a text has come in a grammar.
#[derive(Debug, Clone)]
pub(in super::super) struct Matcher {
    code: Arc<Code>,
    reading: Reading,
    at: Position,
    pieces: Arc<Pieces>,
    ends: Arc<[i32]>,
    /// Tokens that leave no text, where the grammar speaks of none: their names are no text either.
    silent: Option<Arc<[i32]>>,
    /// By token, a bit: whether it may come next.
    allowed: Vec<u64>,
}

/// Where a text leads, the character that it ends in the middle of included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    state: u32,
    partial: Partial,
}

/// What a matcher has to know of a vocabulary.
#[derive(Debug, Clone)]
pub(in super::super) struct Words {
    pub(in super::super) pieces: Arc<Pieces>,
    /// The tokens that end a text.
    pub(in super::super) ends: Arc<[i32]>,
    /// The tokens that leave no text.
    pub(in super::super) silent: Arc<[i32]>,
}

impl Matcher {
    /// At the beginning of a text.
    ///
    /// Errors: `InvalidArgument` for a grammar that begins in too many ways.
    pub(super) fn new(code: Arc<Code>, words: &Words) -> Result<Matcher> {
        let (reading, state) = Reading::new(Arc::clone(&code)).map_err(too_many)?;
        Ok(Matcher {
            silent: (!code.names_tokens()).then(|| Arc::clone(&words.silent)),
            code,
            reading,
            at: Position {
                state,
                partial: Partial::NONE,
            },
            pieces: Arc::clone(&words.pieces),
            ends: Arc::clone(&words.ends),
            allowed: Vec::new(),
        })
    }

    /// Begins the choice of the next token; its work is counted from here.
    ///
    /// Errors: `InvalidArgument` where the text so far can be read in too many ways.
    pub(in super::super) fn begin(&mut self) -> Result<()> {
        self.at.state = self.reading.begin(self.at.state).map_err(too_many)?;
        Ok(())
    }

    /// Whether `token` may come next; one that leaves no text may not, unless the grammar speaks of tokens.
    ///
    /// Errors: `InvalidArgument` where it can be read in too many ways.
    pub(in super::super) fn allows(&mut self, token: i32) -> Result<bool> {
        let silent = self.silent.as_deref().unwrap_or(&[]);
        if silent.binary_search(&token).is_ok() {
            return Ok(false);
        }
        Ok(self.after(token)?.is_some())
    }

    /// By token, a bit in words of 64: whether it may come next.
    ///
    /// Errors: `InvalidArgument` where the tokens can be read in too many ways.
    pub(in super::super) fn allowed(&mut self) -> Result<&[u64]> {
        let mut allowed = std::mem::take(&mut self.allowed);
        allowed.clear();
        allowed.resize(self.pieces.count().div_ceil(64), 0);
        self.mark_names(&mut allowed);
        for token in self.pieces.nameless() {
            set(&mut allowed, *token as i32, false);
        }
        self.mark_texts(&mut allowed).map_err(too_many)?;
        for token in self.silent.as_deref().unwrap_or(&[]) {
            set(&mut allowed, *token, false);
        }
        let may_end = self.may_end();
        for token in &*self.ends {
            set(&mut allowed, *token, may_end);
        }
        self.allowed = allowed;
        Ok(&self.allowed)
    }

    /// Goes on by `token`; `false` where it may not come next, and nothing changes.
    ///
    /// Errors: `InvalidArgument` where it can be read in too many ways.
    pub(in super::super) fn accept(&mut self, token: i32) -> Result<bool> {
        let after = self.after(token)?;
        self.at = after.unwrap_or(self.at);
        Ok(after.is_some())
    }

    /// Goes on by the text `bytes`; `false` where it may not come next.
    ///
    /// Errors: `InvalidArgument` where it can be read in too many ways.
    pub(in super::super) fn accept_text(&mut self, bytes: &[u8]) -> Result<bool> {
        let after = self.walk(self.at, bytes).map_err(too_many)?;
        self.at = after.unwrap_or(self.at);
        Ok(after.is_some())
    }

    /// How many stacks are remembered.
    #[cfg(test)]
    pub(in super::super) fn size(&self) -> usize {
        self.reading.size()
    }

    fn may_end(&self) -> bool {
        self.at.partial == Partial::NONE && self.reading.ends(self.at.state)
    }

    /// Where `token` leads.
    fn after(&mut self, token: i32) -> Result<Option<Position>> {
        if self.ends.binary_search(&token).is_ok() {
            return Ok(self.may_end().then_some(self.at));
        }
        let pieces = Arc::clone(&self.pieces);
        let piece = usize::try_from(token).map_or(&[][..], |token| pieces.of(token));
        if piece.is_empty() {
            return Ok(None);
        }
        let by_text = self.walk(self.at, piece).map_err(too_many)?;
        let is_nameless = |token| self.pieces.nameless().binary_search(&token).is_ok();
        let is_named = self.code.names_tokens() && !u32::try_from(token).is_ok_and(is_nameless);
        if self.at.partial != Partial::NONE || !is_named {
            return Ok(by_text);
        }
        let by_name = self.reading.step_token(self.at.state, token);
        let state = by_name.map_err(too_many)?;
        Ok(match by_text {
            _ if state == DEAD => by_text,
            // A token with a name of its own does not end in the middle of a character.
            Some(text) if text.partial == Partial::NONE => {
                let state = self.reading.both(text.state, state).map_err(too_many)?;
                Some(Position { state, ..text })
            }
            _ => Some(Position {
                state,
                partial: Partial::NONE,
            }),
        })
    }

    /// Where `bytes` lead from `at`.
    fn walk(
        &mut self,
        mut at: Position,
        bytes: &[u8],
    ) -> std::result::Result<Option<Position>, TooManyWays> {
        for byte in bytes {
            match self.step(at, *byte)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(self.goes_on(at).then_some(at))
    }

    fn step(
        &mut self,
        at: Position,
        byte: u8,
    ) -> std::result::Result<Option<Position>, TooManyWays> {
        let (state, partial) = match at.partial.step(byte) {
            Step::More(partial) => (at.state, partial),
            Step::Whole(character) => (self.reading.step(at.state, character)?, Partial::NONE),
            Step::Wrong => (DEAD, Partial::NONE),
        };
        Ok((state != DEAD).then_some(Position { state, partial }))
    }

    /// Whether some character may come next that begins as the text of `at` ends.
    fn goes_on(&self, at: Position) -> bool {
        let Some((low, high)) = at.partial.range() else {
            return at.partial == Partial::NONE;
        };
        let begins_so = |(first, last): &(u32, u32)| *first <= high && low <= *last;
        self.reading
            .terminals(at.state)
            .any(|terminal| match terminal {
                Terminal::Character(set) => set.iter().any(begins_so),
                Terminal::Token(_) | Terminal::NotToken(_) => false,
            })
    }

    /// Marks the tokens whose texts may come next, each shared beginning walked once.
    fn mark_texts(&mut self, allowed: &mut [u64]) -> std::result::Result<(), TooManyWays> {
        let pieces = Arc::clone(&self.pieces);
        // Where each byte of the last text has led, as far as it could be read.
        let mut trail = vec![self.at];
        for place in pieces.order() {
            let shared = place.shared as usize;
            if shared >= trail.len() {
                // It begins as one that could not be read so far.
                continue;
            }
            trail.truncate(shared + 1);
            let piece = pieces.of(place.token as usize);
            for byte in &piece[shared..] {
                match self.step(trail[trail.len() - 1], *byte)? {
                    Some(next) => trail.push(next),
                    None => break,
                }
            }
            if trail.len() == piece.len() + 1 && self.goes_on(trail[piece.len()]) {
                set(allowed, place.token as i32, true);
            }
        }
        Ok(())
    }

    /// Marks the tokens that the grammar names here.
    fn mark_names(&self, allowed: &mut [u64]) {
        if self.at.partial != Partial::NONE {
            return;
        }
        for terminal in self.reading.terminals(self.at.state) {
            match terminal {
                Terminal::Character(_) => {}
                Terminal::Token(token) => set(allowed, *token, true),
                Terminal::NotToken(token) => {
                    let was_allowed = get(allowed, *token);
                    allowed.fill(u64::MAX);
                    set(allowed, *token, was_allowed);
                }
            }
        }
    }
}

fn set(bits: &mut [u64], token: i32, value: bool) {
    if let Some(word) = usize::try_from(token)
        .ok()
        .and_then(|at| bits.get_mut(at / 64))
    {
        let bit = 1 << (token as u32 % 64);
        match value {
            true => *word |= bit,
            false => *word &= !bit,
        }
    }
}

fn get(bits: &[u64], token: i32) -> bool {
    let word = usize::try_from(token).ok().and_then(|at| bits.get(at / 64));
    word.is_some_and(|word| word >> (token as u32 % 64) & 1 == 1)
}

fn too_many(_: TooManyWays) -> Error {
    Error::InvalidArgument(format!(
        "grammar: it can read the text here in too many ways, choosing one token takes more than {STEPS_LIMIT} steps"
    ))
}
