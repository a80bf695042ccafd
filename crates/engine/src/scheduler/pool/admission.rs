//! How a turn gets its sequence and cells: where, what its cells begin with, and who gives way.

use std::sync::Arc;
use std::time::Instant;

use super::super::job::SessionKey;
use super::cells::Cell;
use super::hashed::Hashed;
use super::{LEAST, Leaving, Pool};
use crate::llama::Token;
use crate::memory::align::{Alignment, Move, align, common_prefix};
use crate::presence::Presence;

/// What a turn asks for.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// Whose it is.
    pub session: SessionKey,
    /// All tokens that its cells must hold before one is sampled.
    pub prompt: &'a [Token],
    /// Cells beyond them that it needs at once.
    pub room: usize,
    /// Leading tokens of the prompt that cells kept elsewhere would bring.
    pub saved: usize,
    /// How many tokens of a sequence can be taken back.
    pub rewind: usize,
    /// Whether tokens behind dropped turns may be moved.
    pub moves: bool,
    /// Whether it may have the cells of another session's equal prefix.
    pub share: bool,
    /// Sequences whose cells cannot be copied now.
    pub unsettled: &'a [usize],
    /// The session's mark.
    pub presence: &'a Arc<Presence>,
}

/// A place for a turn.
#[derive(Debug)]
pub struct Grant {
    /// The sequence's index.
    pub sequence: usize,
    /// What its cells begin with.
    pub start: Start,
    /// What gives way, to be saved before anything else is done. Each of them but the granted one is to be cleared, after
    /// a copy and before saved cells come in.
    pub leaving: Vec<Leaving>,
}

/// What a granted sequence begins with. The pool's books show it already, but for `Saved`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Nothing.
    Empty,
    /// Tokens that it holds.
    Kept(Alignment),
    /// The first `tokens` of sequence `from`, into the emptied one.
    Copied {
        /// The sequence that has them.
        from: usize,
        /// How many.
        tokens: usize,
    },
    /// What the caller brings from elsewhere, into the emptied one.
    Saved,
}

impl Pool {
    /// Finds a sequence and cells for a turn, at the cost of idle sequences. `None`: running turns hold too much; try
    /// again when one ends.
    pub fn admit(&mut self, ask: &Ask<'_>, now: Instant) -> Option<Grant> {
        let own = self.idle_of(ask.session);
        let free = || (0..self.sequences.len()).find(|&i| self.is_free(i));
        let sequence = own
            .or_else(free)
            .or_else(|| self.first_to_leave(&[], now))?;
        let start = self.best_start(sequence, own.is_some(), ask);
        let (begun, from) = match &start {
            Start::Kept(alignment) => (alignment.len(), sequence),
            Start::Copied { from, tokens } => (*tokens, *from),
            Start::Empty | Start::Saved => (0, sequence),
        };
        let all = ask.prompt.len() + ask.room;
        let need = match &start {
            Start::Copied { .. } if !self.unified => all,
            _ => all - begun,
        };
        let cells = &self.sequences[from].cells;
        let stay: Vec<Cell> = match &start {
            Start::Kept(alignment) => {
                let moved = alignment.moves.iter().flat_map(|m| &cells[m.from.clone()]);
                cells[..alignment.keep]
                    .iter()
                    .chain(moved)
                    .copied()
                    .collect()
            }
            _ => cells[..all - need].to_vec(),
        };
        if !self.would_fit(need, &stay, &[]) {
            return None;
        }
        let mut leaving = Vec::new();
        if own.is_none() && !self.is_free(sequence) {
            leaving.push(self.leaving(sequence));
        }
        self.begin(sequence, &start, ask);
        if let Start::Copied { from, tokens } = start {
            self.take_over(from, sequence, tokens, now);
        }
        while self.spare() < all - begun
            && let Some(victim) = self.first_to_leave(&[sequence], now)
        {
            leaving.push(self.leaving(victim));
            self.forget(victim);
        }
        let place = &mut self.sequences[sequence];
        place.reserved = all - begun;
        place.last_used = Some(now);
        Some(Grant {
            sequence,
            start,
            leaving,
        })
    }

    /// What serves the turn best. The least that is left to evaluate wins; of equals, what costs least to bring there.
    fn best_start(&self, sequence: usize, is_own: bool, ask: &Ask<'_>) -> Start {
        // The last token is evaluated in any case, for its logits.
        let limit = ask.prompt.len().saturating_sub(1);
        let held = &self.sequences[sequence];
        let kept = match is_own {
            true if ask.moves => align(&held.tokens, ask.prompt),
            false if !ask.share => Alignment::default(),
            _ => Alignment {
                keep: common_prefix(&held.tokens, ask.prompt),
                moves: Vec::new(),
            },
        };
        let mut kept = kept.limited(limit);
        // A shared cell would move for all who have it.
        let is_single = |m: &Move| self.may_move(sequence, m.from.clone());
        if !kept.moves.iter().all(is_single) {
            kept.moves.clear();
        }
        if !is_own && (kept.len() < LEAST || held.exact < kept.len()) {
            kept = Alignment::default();
        }
        if kept.moves.is_empty() && held.tokens.len() - kept.keep > ask.rewind {
            kept = Alignment::default();
        }
        let donor = match ask.share {
            true => self.donor(&ask.prompt[..limit], sequence, ask),
            false => None,
        };
        let saved = ask.saved.min(limit);
        let copied = donor.map_or(0, |(_, tokens)| tokens);
        if kept.len() > 0 && kept.len() + LEAST > copied.max(saved) {
            return Start::Kept(kept);
        }
        match donor {
            Some((from, tokens)) if tokens + LEAST > saved => Start::Copied { from, tokens },
            _ if saved > 0 => Start::Saved,
            _ => Start::Empty,
        }
    }

    /// The sequence with the longest prefix of `prompt`, and how long that is.
    fn donor(&self, prompt: &[Token], but: usize, ask: &Ask<'_>) -> Option<(usize, usize)> {
        let hashed = Hashed::of(prompt);
        let found = self.best_donor(but, ask, |held| held.probable_prefix(&hashed));
        match found {
            Some((i, length)) if !self.sequences[i].tokens.starts_with(&prompt[..length]) => {
                // Hashes were equal by chance.
                self.best_donor(but, ask, |held| common_prefix(held, prompt))
            }
            found => found,
        }
    }

    /// The sequence that has the most in common with a prompt, as `common` sees it.
    fn best_donor(
        &self,
        but: usize,
        ask: &Ask<'_>,
        common: impl Fn(&Hashed) -> usize,
    ) -> Option<(usize, usize)> {
        let is_other = |i: &usize| *i != but && !ask.unsettled.contains(i);
        let others = (0..self.sequences.len()).filter(is_other);
        others
            .map(|i| {
                let held = &self.sequences[i];
                let common = common(&held.tokens).min(held.exact);
                // In split mode all of it is copied, and what is too much is taken back.
                let back = held.tokens.len() - common;
                (i, if back > ask.rewind { 0 } else { common })
            })
            .filter(|&(_, common)| common >= LEAST)
            .max_by_key(|&(i, common)| (common, std::cmp::Reverse(i)))
    }

    /// Writes down that a turn begins in `sequence`, up to what it gets of another one.
    fn begin(&mut self, sequence: usize, start: &Start, ask: &Ask<'_>) {
        match start {
            Start::Kept(alignment) => {
                for gap in alignment.gaps() {
                    self.close_gap(sequence, gap);
                }
                self.cut(sequence, alignment.len());
            }
            _ => self.cut(sequence, 0),
        }
        let place = &mut self.sequences[sequence];
        if place.owner != Some(ask.session) {
            place.shared = place.tokens.len();
        }
        place.owner = Some(ask.session);
        place.presence = ask.presence.clone();
        place.running = true;
        place.halved = false;
        place.reserved = 0;
    }
}
