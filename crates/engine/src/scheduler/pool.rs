//! Who holds which sequence and how many cells: the accounting that keeps decode from ever running out.
//!
//! Pure bookkeeping in tokens; the lane carries its decisions out on the cache. A sequence is free, idle (it keeps a
//! conversation's tokens for the next turn, or a prefix that several began with) or running with cells reserved for what
//! it is about to evaluate. Whatever is idle gives way, in the order of the strategy; who runs never does here.

mod admission;
mod cells;
mod hashed;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

pub use self::admission::{Ask, Grant, Start};
use self::cells::{Cell, Cells};
use self::hashed::Hashed;
use super::job::SessionKey;
use crate::config::CacheStrategy;
use crate::llama::Token;
use crate::presence::Presence;
use crate::spill::order::{Idle, leaves_first};

/// Fewest tokens of another session that are worth a copy, or a place of their own when their session is gone.
pub const LEAST: usize = 32;

/// One sequence's state.
#[derive(Debug, Default)]
struct Sequence {
    owner: Option<SessionKey>,
    /// Tokens whose cells are filled, in order.
    tokens: Hashed,
    /// The cell of each.
    cells: Vec<Cell>,
    /// Leading tokens whose cells were never moved.
    exact: usize,
    /// The longest prefix that another session had of it, or it of another.
    shared: usize,
    /// Free cells that are promised to the running turn; 0 when idle.
    reserved: usize,
    running: bool,
    /// Its newer half was taken since it is idle.
    halved: bool,
    /// Its session's mark.
    presence: Arc<Presence>,
    last_used: Option<Instant>,
}

/// All sequences of one context.
#[derive(Debug)]
pub struct Pool {
    sequences: Vec<Sequence>,
    cells: Cells,
    /// Whether a copy takes no cells of its own.
    unified: bool,
    strategy: CacheStrategy,
}

/// An idle sequence that gives way.
#[derive(Debug)]
pub struct Leaving {
    /// Its index.
    pub sequence: usize,
    /// Whose tokens; `None` is a prefix without a session.
    pub session: Option<SessionKey>,
    /// All of them.
    pub tokens: Vec<Token>,
    /// None of their cells was ever moved.
    pub exact: bool,
    /// Its session's mark.
    pub presence: Arc<Presence>,
}

impl Pool {
    /// `sequences` empty ones over `cells` cells.
    pub fn new(sequences: usize, cells: usize, unified: bool, strategy: CacheStrategy) -> Pool {
        Pool {
            sequences: std::iter::repeat_with(Sequence::default)
                .take(sequences)
                .collect(),
            cells: Cells::new(cells),
            unified,
            strategy,
        }
    }

    /// Free cells that are promised to nobody.
    pub fn spare(&self) -> usize {
        let promised: usize = self.sequences.iter().map(|s| s.reserved).sum();
        self.cells.free().saturating_sub(promised)
    }

    /// Promises a running sequence at most `most` further cells. Returns how many.
    pub fn grow(&mut self, sequence: usize, most: usize) -> usize {
        let count = most.min(self.spare());
        self.sequences[sequence].reserved += count;
        count
    }

    /// Takes the idle sequence away that leaves first, to be saved and cleared.
    pub fn evict(&mut self, now: Instant) -> Option<Leaving> {
        let victim = self.first_to_leave(&[], now)?;
        let leaving = self.leaving(victim);
        self.forget(victim);
        Some(leaving)
    }

    /// As `evict`, but not the sequence of this session.
    pub fn evict_other(&mut self, session: SessionKey, now: Instant) -> Option<Leaving> {
        let own: Vec<usize> = self.idle_of(session).into_iter().collect();
        let victim = self.first_to_leave(&own, now)?;
        let leaving = self.leaving(victim);
        self.forget(victim);
        Some(leaving)
    }

    /// How many idle sequences would have to leave for a turn of `session` with `need` cells, beside its own; 0 where running
    /// turns hold too much for it.
    pub fn crowded_out(&self, session: SessionKey, need: usize, now: Instant) -> usize {
        if !self.fits_without(need, &[]) {
            return 0;
        }
        let mut gone: Vec<usize> = self.idle_of(session).into_iter().collect();
        let own = gone.len();
        let mut room = self.spare() + gone.iter().map(|&i| self.len(i)).sum::<usize>();
        while room < need
            && let Some(victim) = self.first_to_leave(&gone, now)
        {
            room += self.len(victim);
            gone.push(victim);
        }
        gone.len() - own
    }

    /// Takes the idle sequence away that leaves first among those that were not used since `since`.
    pub fn evict_unused(&mut self, since: Instant, now: Instant) -> Option<Leaving> {
        // What several began with is in use as long as one of them is, and cannot be saved.
        let fresh =
            |s: &Sequence| s.owner.is_none() || s.last_used.is_some_and(|used| used > since);
        let fresh = (0..self.sequences.len()).filter(|&i| fresh(&self.sequences[i]));
        let victim = self.first_to_leave(&fresh.collect::<Vec<_>>(), now)?;
        let leaving = self.leaving(victim);
        self.forget(victim);
        Some(leaving)
    }

    /// The highest running sequence and the lowest place that no running one has, if that lies between running ones.
    pub fn gap(&self) -> Option<(usize, usize)> {
        let mut running = (0..self.sequences.len()).filter(|&i| self.sequences[i].running);
        let first = running.next()?;
        let last = running.next_back()?;
        let hole = (first..last).find(|&i| !self.sequences[i].running)?;
        Some((last, hole))
    }

    /// A running sequence moved to the place of a free one.
    pub fn moved(&mut self, from: usize, to: usize) {
        self.sequences.swap(from, to);
    }

    /// Takes this idle sequence away, to be saved and cleared; `None` where it holds nothing.
    pub fn evict_from(&mut self, sequence: usize) -> Option<Leaving> {
        let holds = !self.sequences[sequence].tokens.is_empty();
        let leaving = holds.then(|| self.leaving(sequence));
        self.forget(sequence);
        leaving
    }

    /// Takes the newer half off the idle sequence that leaves first among those that are whole. Returns what it was, and
    /// how many tokens it keeps.
    pub fn halve(&mut self, now: Instant) -> Option<(Leaving, usize)> {
        let halved = (0..self.sequences.len()).filter(|&i| self.sequences[i].halved);
        let victim = self.first_to_leave(&halved.collect::<Vec<_>>(), now)?;
        let leaving = self.leaving(victim);
        let keep = leaving.tokens.len() / 2;
        self.cut(victim, keep);
        self.sequences[victim].halved = true;
        Some((leaving, keep))
    }

    /// The cells of a running sequence were lost: all is evaluated again.
    pub fn restart(&mut self, sequence: usize) {
        self.cut(sequence, 0);
    }

    /// The cells of a running sequence were filled from elsewhere. `exact`: they were never moved.
    pub fn restored(&mut self, sequence: usize, tokens: &[Token], exact: bool) {
        for &token in tokens {
            self.filled(sequence, token);
        }
        if !exact {
            self.sequences[sequence].exact = 0;
        }
    }

    /// The first `tokens` of another sequence took the place of what a running one held of them.
    pub fn copied(&mut self, from: usize, to: usize, tokens: usize, now: Instant) {
        let held = self.len(to);
        self.cut(to, 0);
        self.take_over(from, to, tokens, now);
        let place = &mut self.sequences[to];
        place.reserved = (place.reserved + held).saturating_sub(tokens);
    }

    /// Takes all tokens from the `keep`th on off a sequence.
    pub fn cut(&mut self, sequence: usize, keep: usize) {
        let place = &mut self.sequences[sequence];
        if keep < place.tokens.len() {
            place.tokens.truncate(keep);
            self.cells.give_back(place.cells.drain(keep..));
            place.exact = place.exact.min(keep);
            place.shared = place.shared.min(keep);
        }
    }

    /// Takes tokens out of the middle of a sequence; what followed them has moved to their place.
    pub fn close_gap(&mut self, sequence: usize, range: Range<usize>) {
        let place = &mut self.sequences[sequence];
        place.tokens.remove(range.clone());
        self.cells.give_back(place.cells.drain(range.clone()));
        place.exact = place.exact.min(range.start);
        place.shared = place.shared.min(range.start);
    }

    /// Whether `need` cells would be free for a turn if these running sequences, and idle ones, gave way.
    pub fn fits_without(&self, need: usize, victims: &[usize]) -> bool {
        self.would_fit(need, &Vec::new(), victims)
    }

    /// A token of a running sequence was evaluated.
    pub fn filled(&mut self, sequence: usize, token: Token) {
        let cell = self.cells.take().expect("cells are reserved before a step");
        let place = &mut self.sequences[sequence];
        if place.exact == place.tokens.len() {
            place.exact += 1;
        }
        place.tokens.push(token);
        place.cells.push(cell);
        place.reserved = place.reserved.saturating_sub(1);
    }

    /// Tokens whose cells are filled.
    pub fn len(&self, sequence: usize) -> usize {
        self.sequences[sequence].tokens.len()
    }

    /// The tokens whose cells are filled, and whether none of the cells was ever moved.
    pub fn tokens(&self, sequence: usize) -> (&[Token], bool) {
        let place = &self.sequences[sequence];
        (&place.tokens, place.exact == place.tokens.len())
    }

    /// Whether the cells of these tokens are of this sequence alone.
    pub fn may_move(&self, sequence: usize, range: Range<usize>) -> bool {
        self.cells
            .are_single(&self.sequences[sequence].cells[range])
    }

    /// Cells promised to a running sequence.
    pub fn reserved(&self, sequence: usize) -> usize {
        self.sequences[sequence].reserved
    }

    /// Ends a running sequence; it stays as an idle one.
    pub fn release(&mut self, sequence: usize, now: Instant) {
        let place = &mut self.sequences[sequence];
        place.running = false;
        place.reserved = 0;
        place.last_used = Some(now);
    }

    /// Forgets a sequence's tokens and owner; its cells are to be cleared by the caller.
    pub fn forget(&mut self, sequence: usize) {
        self.cut(sequence, 0);
        self.sequences[sequence] = Sequence::default();
    }

    /// The session of an idle sequence is gone. What others began with, too, stays as a prefix without a session:
    /// returns how many tokens, all others are to be cut by the caller.
    pub fn disown(&mut self, sequence: usize) -> usize {
        let place = &self.sequences[sequence];
        let keep = match place.shared.min(place.exact) {
            shared if shared >= LEAST => shared,
            _ => 0,
        };
        if keep == 0 {
            self.forget(sequence);
        } else {
            self.cut(sequence, keep);
            self.sequences[sequence].owner = None;
            self.sequences[sequence].presence = Arc::default();
        }
        keep
    }

    /// Forgets all running sequences and names them.
    pub fn clear_running(&mut self) -> Vec<usize> {
        let running: Vec<usize> = (0..self.sequences.len())
            .filter(|&i| self.sequences[i].running)
            .collect();
        running.iter().for_each(|&sequence| self.forget(sequence));
        running
    }

    /// The idle sequence of `session`.
    pub fn idle_of(&self, session: SessionKey) -> Option<usize> {
        self.idle()
            .find(|&i| self.sequences[i].owner == Some(session))
    }

    /// Idle sequences that hold tokens.
    pub fn idle_sequences(&self) -> usize {
        self.idle().filter(|&i| !self.is_free(i)).count()
    }

    /// Sequences that run.
    #[cfg(test)]
    pub fn running(&self) -> usize {
        self.sequences.iter().filter(|s| s.running).count()
    }

    /// Tokens in idle sequences.
    pub fn idle_tokens(&self) -> usize {
        self.idle().map(|i| self.sequences[i].tokens.len()).sum()
    }

    /// Tokens in sequences without a session: what several began with.
    pub fn prefix_tokens(&self) -> usize {
        let without = self.sequences.iter().filter(|s| s.owner.is_none());
        without.map(|s| s.tokens.len()).sum()
    }

    /// Cells that are filled.
    pub fn used(&self) -> usize {
        self.cells.count() - self.cells.free()
    }

    /// Gives `to`, which is empty, the first `tokens` of `from`.
    fn take_over(&mut self, from: usize, to: usize, tokens: usize, now: Instant) {
        let donor = &mut self.sequences[from];
        donor.last_used = Some(now);
        donor.shared = donor.shared.max(tokens);
        let head = Hashed::of(&donor.tokens[..tokens]);
        let cells = match self.unified {
            true => {
                self.cells.share(&donor.cells[..tokens]);
                donor.cells[..tokens].to_vec()
            }
            false => (0..tokens).filter_map(|_| self.cells.take()).collect(),
        };
        let place = &mut self.sequences[to];
        place.exact = tokens;
        place.shared = tokens;
        place.tokens = head;
        place.cells = cells;
    }

    /// Whether `need` cells can be had beside those that stay and those of running sequences but `victims`, with what
    /// these were promised.
    fn would_fit(&self, need: usize, stay: &[Cell], victims: &[usize]) -> bool {
        let running = (0..self.sequences.len())
            .filter(|i| self.sequences[*i].running && !victims.contains(i))
            .map(|i| &self.sequences[i]);
        let promised: usize = running.clone().map(|s| s.reserved).sum();
        let held = running.flat_map(|s| &s.cells).chain(stay);
        self.cells.distinct(held) + promised + need <= self.cells.count()
    }

    /// What a sequence would give away.
    pub fn leaving(&self, sequence: usize) -> Leaving {
        let place = &self.sequences[sequence];
        Leaving {
            sequence,
            session: place.owner,
            tokens: place.tokens.to_vec(),
            exact: place.exact == place.tokens.len(),
            presence: place.presence.clone(),
        }
    }

    fn idle(&self) -> impl Iterator<Item = usize> {
        (0..self.sequences.len()).filter(|&i| !self.sequences[i].running)
    }

    fn is_free(&self, index: usize) -> bool {
        let s = &self.sequences[index];
        !s.running && s.tokens.is_empty()
    }

    fn first_to_leave(&self, but: &[usize], now: Instant) -> Option<usize> {
        let held = self
            .idle()
            .filter(|i| !but.contains(i) && !self.is_free(*i));
        let candidates = held.map(|i| {
            let s = &self.sequences[i];
            let idle = Idle {
                tokens: s.tokens.len(),
                idle: s
                    .last_used
                    .map_or_else(Default::default, |t| now.saturating_duration_since(t)),
                session: s.owner.map_or(0, |owner| owner.0),
                open: s.presence.is_open(),
            };
            (i, idle)
        });
        leaves_first(self.strategy, candidates)
    }
}
