//! Which running job gives its slot to which waiting one.
//!
//! Four reasons, the first that holds counts: a job is overdue, an urgent job waits behind lesser ones, a client has no
//! slot where another has several, a client is far behind a running one. It decides only: that slots are full, and what becomes of the victim's cache, is the loop's.

use std::cmp::Reverse;

use super::waiting::{self, Waiting};
use super::{Choice, Class, Now, Queue, Standing, Turn};

/// Steps after which a slot yields to an overdue job; as long a resumed job is left alone.
const YIELDS_TO_OVERDUE: u64 = 256;
/// Steps after which a low or normal job yields to an urgent one.
const YIELDS_TO_URGENT: u64 = 16;
/// Steps after which a job of a client with several running yields to a client that has none.
const YIELDS_TO_NONE: u64 = 16;
/// Steps after which a job yields to a client that is behind.
const YIELDS_TO_CLIENT: u64 = 64;
/// Cost units that a client must be behind by for it, and more. One that has no slot may be ahead by as much.
const BEHIND: u64 = 512;

/// A running job as rotation sees it.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// As [`Queue::take`] gave it.
    pub standing: &'a Standing,
    /// Steps since it was taken, the last time if more than once.
    pub served: u64,
    /// Whether it was put back before, and taken again.
    pub resumed: bool,
}

impl Running<'_> {
    fn yields_after(&self, steps: u64) -> bool {
        let steps = if self.resumed {
            steps.max(YIELDS_TO_OVERDUE)
        } else {
            steps
        };
        self.served >= steps
    }
}

/// One job to put back, and the one to take instead.
#[derive(Debug)]
pub struct Rotation {
    /// Index into the running jobs.
    pub victim: usize,
    /// The job that gets its slot.
    pub choice: Choice,
}

impl<J> Queue<J> {
    /// Whom to preempt, and for which of the waiting jobs that `eligible` accepts; at most one victim a step. Put the
    /// victim back, then take the choice.
    pub fn rotate(
        &self,
        now: Now,
        running: &[Running<'_>],
        eligible: impl Fn(&J) -> bool,
    ) -> Option<Rotation> {
        if !self.limits.by_class {
            return None;
        }
        let candidates = self.candidates(now, eligible);
        let overdue = waiting::oldest_overdue(&candidates, now);
        if let Some(oldest) = overdue
            && let Some(victim) = longest_served(running)
        {
            let choice = oldest.chosen(Turn::Overdue);
            return Some(Rotation { victim, choice });
        }
        // The alternation holds here too, else the other reasons could turn over every slot before it yields to an
        // overdue job. But what a client sent too much of does not keep those out who have nothing.
        let (candidates, turn) = match overdue {
            Some(oldest) if !self.overdue_was_last => {
                let flood = oldest.standing.client;
                let without = self.for_client_without(running, &candidates);
                if let Some((victim, waiting)) = without
                    && running[victim].standing.client == flood
                {
                    let choice = waiting.chosen(Turn::Nobody);
                    return Some(Rotation { victim, choice });
                }
                (vec![oldest], Turn::Overdue)
            }
            _ => (candidates, Turn::Nobody),
        };
        let (victim, waiting) = self
            .for_urgent(running, &candidates)
            .or_else(|| self.for_client_without(running, &candidates))
            .or_else(|| self.for_client_behind(running, &candidates))?;
        let choice = waiting.chosen(turn);
        Some(Rotation { victim, choice })
    }

    fn for_urgent<'a>(
        &self,
        running: &[Running<'_>],
        candidates: &[&'a Waiting<J>],
    ) -> Option<(usize, &'a Waiting<J>)> {
        let urgent = (candidates.iter())
            .filter(|w| w.standing.class == Class::Urgent)
            .min_by_key(|w| self.fair_order(w))?;
        let (victim, _) = (running.iter().enumerate())
            .filter(|(_, r)| r.standing.class <= Class::Normal && r.yields_after(YIELDS_TO_URGENT))
            .min_by_key(|(_, r)| (r.standing.class, r.served, Reverse(r.standing.arrival)))?;
        Some((victim, urgent))
    }

    fn for_client_without<'a>(
        &self,
        running: &[Running<'_>],
        candidates: &[&'a Waiting<J>],
    ) -> Option<(usize, &'a Waiting<J>)> {
        if !self.limits.fair {
            return None;
        }
        let slots = |client| {
            let of_client = running.iter().filter(|r| r.standing.client == client);
            of_client.count()
        };
        let first = (candidates.iter())
            .filter(|w| slots(w.standing.client) == 0)
            .min_by_key(|w| (Reverse(w.standing.class), self.fair_order(w)))?;
        let time = |standing: &Standing| self.clients.time(standing.client);
        let (victim, _) = (running.iter().enumerate())
            .filter(|(_, r)| r.served >= YIELDS_TO_NONE && slots(r.standing.client) > 1)
            .filter(|(_, r)| r.standing.class <= first.standing.class)
            .filter(|(_, r)| time(r.standing) + BEHIND > time(&first.standing))
            .max_by_key(|(_, r)| {
                let lowest = Reverse(r.standing.class);
                (lowest, time(r.standing), r.standing.arrival)
            })?;
        Some((victim, first))
    }

    fn for_client_behind<'a>(
        &self,
        running: &[Running<'_>],
        candidates: &[&'a Waiting<J>],
    ) -> Option<(usize, &'a Waiting<J>)> {
        if !self.limits.fair {
            return None;
        }
        let firsts = Class::ALL.map(|class| {
            let as_high = candidates.iter().filter(|w| w.standing.class >= class);
            as_high.min_by_key(|w| self.fair_order(w))
        });
        let (victim, waiting, _) = (running.iter().enumerate())
            .filter(|(_, r)| r.yields_after(YIELDS_TO_CLIENT))
            .filter_map(|(victim, r)| {
                let first = *firsts[r.standing.class as usize]?;
                let time = self.clients.time(r.standing.client);
                let behind = time.saturating_sub(self.clients.time(first.standing.client));
                (behind > BEHIND).then_some((victim, first, (time, r.standing.arrival)))
            })
            .max_by_key(|&(_, _, furthest_ahead)| furthest_ahead)?;
        Some((victim, waiting))
    }
}

fn longest_served(running: &[Running<'_>]) -> Option<usize> {
    let (victim, _) = (running.iter().enumerate())
        .filter(|(_, r)| r.served >= YIELDS_TO_OVERDUE)
        .max_by_key(|(_, r)| (r.served, Reverse(r.standing.arrival)))?;
    Some(victim)
}
