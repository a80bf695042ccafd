//! Turns that begin alike: one evaluates what they have in common, the others wait for it and take it over.

use super::super::pool::LEAST;
use super::super::slot::Slot;
use super::Lane;
use crate::memory::align::common_prefix;

impl Lane {
    /// Says which waiting prompts step back for an earlier one that is about to evaluate the same beginning, and gives
    /// those whose beginning is there now a share of it.
    pub(super) fn follow(&mut self) {
        if !self.shares() {
            return;
        }
        for at in 1..self.slots.len() {
            if !waits(&self.slots[at]) {
                continue;
            }
            match self.leader(at) {
                Some((leader, common)) if self.pool.len(self.slots[leader].sequence) >= common => {
                    self.take_over(leader, at, common);
                }
                Some(_) => self.slots[at].goes = false,
                None => {}
            }
        }
    }

    /// The earlier turn that has, or is about to have, the most of what the one at `at` evaluates next, and how far they
    /// are alike.
    fn leader(&self, at: usize) -> Option<(usize, usize)> {
        let slot = &self.slots[at];
        let tokens = slot.work.tokens();
        // The last one is evaluated in any case, for its logits.
        let tokens = &tokens[..tokens.len() - 1];
        let least = self.pool.len(slot.sequence) + 2 * LEAST;
        let earlier = self.slots[..at].iter().enumerate();
        earlier
            .map(|(index, leader)| (index, leader, common_prefix(leader.work.tokens(), tokens)))
            .filter(|&(_, leader, common)| {
                let (held, is_exact) = self.pool.tokens(leader.sequence);
                let is_there = is_exact && held.len() >= common;
                // A lower class would not be waited for.
                let is_coming = waits(leader) && leader.standing.class() >= slot.standing.class();
                common >= least && (is_there || is_exact && is_coming)
            })
            .max_by_key(|&(index, _, common)| (common, std::cmp::Reverse(index)))
            .map(|(index, _, common)| (index, common))
    }

    fn take_over(&mut self, leader: usize, at: usize, common: usize) {
        let (from, to) = (self.slots[leader].sequence, self.slots[at].sequence);
        let needed = match self.context.is_unified() {
            true => 0,
            false => common,
        };
        if needed > self.pool.reserved(to) + self.pool.len(to) {
            return;
        }
        self.clear(to);
        match self.copy(from, to, common) {
            Ok(_) => {
                self.pool.copied(from, to, common);
                let slot = &mut self.slots[at];
                slot.work.skip(common);
                self.totals.reuse.tokens.add(common as u64);
                self.totals.followed.count();
            }
            Err(_) => {
                self.clear(to);
                self.pool.restart(to);
                self.slots[at].work.restart();
            }
        }
    }
}

/// Whether its prompt is not evaluated yet.
fn waits(slot: &Slot) -> bool {
    slot.work.decode_token().is_none()
}
