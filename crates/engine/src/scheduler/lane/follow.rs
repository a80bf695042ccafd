//! Turns that begin alike: one evaluates what they have in common, the others wait for it and take it over.

use std::time::Instant;

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
        // Who is waited for must get on: its turn goes on in this step, or follows one that does.
        let mut gets_on: Vec<bool> = self.slots.iter().map(|slot| slot.goes).collect();
        for at in 1..self.slots.len() {
            if !waits(&self.slots[at]) {
                continue;
            }
            match self.leader(at, &gets_on) {
                Some((leader, common)) if self.pool.len(self.slots[leader].sequence) >= common => {
                    self.take_over(leader, at, common);
                }
                Some(_) => {
                    self.slots[at].goes = false;
                    gets_on[at] = true;
                }
                None => {}
            }
        }
    }

    /// The earlier turn that has, or is about to have, the most of what the one at `at` evaluates next, and how far they
    /// are alike.
    fn leader(&self, at: usize, gets_on: &[bool]) -> Option<(usize, usize)> {
        let slot = &self.slots[at];
        let tokens = slot.work.tokens();
        // The last one is evaluated in any case, for its logits.
        let tokens = &tokens[..tokens.len() - 1];
        let least = self.pool.len(slot.sequence) + 2 * LEAST;
        let class = slot.standing.class();
        let earlier = self.slots[..at].iter().enumerate();
        let candidates = earlier.filter(|(index, leader)| {
            let (_, is_exact) = self.pool.tokens(leader.sequence);
            // A lower class would not be waited for.
            let is_coming = waits(leader) && leader.standing.class() >= class && gets_on[*index];
            is_exact && !self.context.is_unsettled(leader.seq) && (is_coming || !waits(leader))
        });
        candidates
            .map(|(index, leader)| {
                let most = match waits(leader) {
                    true => tokens.len(),
                    false => self.pool.len(leader.sequence),
                };
                let own = leader.work.tokens();
                (index, common_prefix(&own[..own.len().min(most)], tokens))
            })
            .filter(|&(_, common)| common >= least)
            .max_by_key(|&(index, common)| (common, std::cmp::Reverse(index)))
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
                self.pool.copied(from, to, common, Instant::now());
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
