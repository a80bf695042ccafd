//! How turns come into the slots of a lane and out of them, with their cells.

use std::time::Instant;

use super::super::failpoint::{self, Point};
use super::super::pool::{Ask, Grant, LEAST, Start};
use super::super::queue::{Rotation, Standing};
use super::super::reuse::{Hit, Miss};
use super::super::slot::Slot;
use super::super::work::Work;
use super::keep::Brought;
use super::room::LUMP;
use super::{Ended, Lane, position};
use crate::error::Result;
use crate::llama::SeqId;
use crate::memory::align::Alignment;
use crate::stopping::Verdict;

/// A sequence and cells for a turn, given back unless the turn takes them.
#[must_use]
pub(in super::super) struct Seat<'a> {
    lane: &'a mut Lane,
    sequence: usize,
    /// Whether the turn waited so long that nobody may take it away soon.
    is_overdue: bool,
    /// Leading tokens of the turn that its cells hold.
    cached: usize,
    is_taken: bool,
}

impl Seat<'_> {
    /// Notes whether the turn got it for its age.
    pub(in super::super) fn for_age(mut self, is_overdue: bool) -> Self {
        self.is_overdue = is_overdue;
        self
    }

    /// Gives it to the turn that it was reserved for. Fails the turn where its sampler does not take the prompt.
    pub(in super::super) fn enter(
        mut self,
        mut work: Box<Work>,
        standing: Standing,
        now: Instant,
    ) -> std::result::Result<(), Ended> {
        let resumed = work.has_started();
        if let Err(error) = work.start(self.cached, now) {
            return Err(Ended {
                work,
                standing,
                how: Err(error),
            });
        }
        self.is_taken = true;
        let seq = self.lane.seq(self.sequence);
        self.lane.slots.push(Slot {
            work,
            standing,
            sequence: self.sequence,
            seq,
            output: None,
            planned: Vec::new(),
            goes: true,
            served: 0,
            is_overdue: self.is_overdue,
            resumed,
        });
        Ok(())
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // After a panic all sequences are cleared that run without a slot.
        if !self.is_taken && !std::thread::panicking() {
            self.lane
                .release(self.sequence, self.cached > 0, Instant::now());
        }
    }
}

/// Why a turn has no seat yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Refusal {
    /// Running turns hold too many cells.
    Cells,
    /// The running turns waited long enough for cells that were carried, or the next step has yet to copy some.
    Later,
    /// The file of its cells is being read; others may come before it.
    Fetching,
}

impl Lane {
    /// A sequence and cells for a turn. `now_or_never`: another one gave its place up for it.
    pub(in super::super) fn reserve(
        &mut self,
        work: &Work,
        now_or_never: bool,
        now: Instant,
    ) -> std::result::Result<Seat<'_>, Refusal> {
        let may_wait = !self.slots.is_empty() && !now_or_never;
        if self.carried > self.carry && may_wait {
            return Err(Refusal::Later);
        }
        let turn = &work.job.turn;
        let outside = self.outside(work);
        if outside.is_some() && self.context.has_copies_pending() && may_wait {
            return Err(Refusal::Later);
        }
        if !self.is_at_hand(work, outside.as_ref()) {
            return Err(Refusal::Fetching);
        }
        if may_wait && !self.save_ahead(work, now) {
            return Err(Refusal::Later);
        }
        let unsettled: Vec<usize> = (0..self.context.n_seq_max() as usize)
            .filter(|&sequence| self.context.is_unsettled(self.seq(sequence)))
            .collect();
        let ask = Ask {
            session: turn.session,
            prompt: work.tokens(),
            room: work.answer_room(self.capacity).min(LUMP),
            saved: outside.as_ref().map_or(0, |o| o.tokens()),
            rewind: self.rewindable(),
            moves: self.moves(work),
            share: self.shares(),
            unsettled: &unsettled,
            presence: &turn.past.presence,
        };
        let grant = self.pool.admit(&ask, now).ok_or(Refusal::Cells)?;
        let session = turn.session;
        if grant.start != Start::Saved {
            // What was read for it is of no use.
            drop(work.take_fetched());
        }
        let brought = match (&grant.start, outside) {
            (Start::Saved, Some(outside)) => Some(self.bring(work, outside)),
            _ => None,
        };
        // What was kept of the session elsewhere is older than what it is about to have.
        let left = self.keeping.store.remove(self.key(session));
        let brought = match (&grant.start, brought) {
            (Start::Empty, None) => left.map(|loss| Err(loss.into())),
            (_, brought) => brought,
        };
        for leaving in &grant.leaving {
            self.put_away(leaving);
        }
        failpoint::hit(Point::Reserve);
        let sequence = grant.sequence;
        let cached = self.fill(work, grant, brought);
        Ok(Seat {
            lane: self,
            sequence,
            is_overdue: false,
            cached,
            is_taken: false,
        })
    }

    /// Saves idle sequences ahead where more than one would have to leave for a turn at once, as many as may be carried before
    /// the next step. False: the others follow after it.
    fn save_ahead(&mut self, work: &Work, now: Instant) -> bool {
        let session = work.job.turn.session;
        let need = work.tokens().len() + work.answer_room(self.capacity).min(LUMP);
        while self.pool.crowded_out(session, need, now) > 1 {
            if self.carried > self.carry {
                return false;
            }
            let Some(leaving) = self.pool.evict_other(session, now) else {
                break;
            };
            self.put_away(&leaving);
            self.clear(leaving.sequence);
        }
        true
    }

    /// Whether a turn can have a seat without waiting for a disk; has the file of its cells read where it cannot.
    pub(in super::super) fn could_take(&self, work: &Work) -> bool {
        self.is_at_hand(work, self.outside(work).as_ref())
    }

    /// The running turns that must give way so that `work` has a slot and its cells, highest index first: the victim
    /// that was chosen, and for an overdue turn as many more as it takes, those with the least work done first. `None`
    /// where that is not enough.
    pub(in super::super) fn victims(&self, work: &Work, rotation: &Rotation) -> Option<Vec<usize>> {
        let need = work.tokens().len() + work.answer_room(self.capacity).min(LUMP);
        let mut victims = vec![rotation.victim];
        let mut others: Vec<usize> = match rotation.choice.is_overdue() {
            true => (0..self.slots.len()).collect(),
            false => Vec::new(),
        };
        others.retain(|&at| at != rotation.victim);
        others.sort_by_key(|&at| self.slots[at].weight());
        let mut others = others.into_iter();
        loop {
            let sequences: Vec<usize> = victims.iter().map(|&v| self.slots[v].sequence).collect();
            if self.pool.fits_without(need, &sequences) {
                victims.sort_unstable_by_key(|&at| std::cmp::Reverse(at));
                return Some(victims);
            }
            victims.push(others.next()?);
        }
    }

    /// Brings the cells of a granted sequence to a prefix of the turn's tokens; returns its length.
    fn fill(
        &mut self,
        work: &Work,
        grant: Grant,
        brought: Option<std::result::Result<Brought, Miss>>,
    ) -> usize {
        let (sequence, seq) = (grant.sequence, self.seq(grant.sequence));
        if !matches!(grant.start, Start::Kept(_)) {
            self.context.seq_clear(seq);
        }
        let copied = match grant.start {
            Start::Copied { from, tokens } => Some(self.copy(from, sequence, tokens)),
            _ => None,
        };
        let others = grant.leaving.iter().map(|l| l.sequence);
        let others: Vec<usize> = others.filter(|&other| other != sequence).collect();
        let is_others = others.len() < grant.leaving.len();
        others.into_iter().for_each(|other| self.clear(other));
        let found = match (grant.start, brought, copied) {
            (Start::Kept(alignment), ..) => {
                let hit = if is_others { Hit::Shared } else { Hit::Pool };
                let is_kept = self.align(seq, &alignment);
                is_kept
                    .then_some((hit, alignment))
                    .ok_or(Miss::NotRewindable)
            }
            (_, _, Some(copied)) => copied,
            (Start::Saved, Some(Ok(brought)), _) => self.restore(work, sequence, &brought),
            (_, brought, _) => Err(match brought {
                _ if work.job.turn.past.is_first => Miss::New,
                Some(Err(miss)) => miss,
                _ => Miss::NotKept,
            }),
        };
        match found {
            Ok((hit, alignment)) => {
                let tokens = alignment.len();
                self.count(work, hit, &alignment);
                tokens
            }
            Err(miss) => {
                if !work.has_started() {
                    self.totals.reuse.miss(miss);
                }
                self.context.seq_clear(seq);
                self.pool.restart(sequence);
                0
            }
        }
    }

    fn count(&self, work: &Work, hit: Hit, alignment: &Alignment) {
        if !alignment.moves.is_empty() {
            self.totals.shifts.count();
        }
        if work.has_started() {
            return;
        }
        let reuse = &self.totals.reuse;
        reuse.hit(hit, alignment.len());
        let past = &work.job.turn.past;
        if past.is_trimmed && alignment.moves.is_empty() {
            reuse.miss(Miss::Trimmed);
        } else if !past.is_trimmed && alignment.len() + LEAST < past.tokens {
            reuse.miss(Miss::Changed);
        }
    }

    /// Brings what a sequence holds to what a prompt has of it. False: it cannot be cut there.
    fn align(&mut self, seq: SeqId, alignment: &Alignment) -> bool {
        for gap in alignment.gaps() {
            if !self.close_gap(seq, gap) {
                return false;
            }
        }
        self.context.seq_truncate(seq, position(alignment.len()))
    }

    /// Takes positions out of the middle of a sequence and moves what follows to their place.
    pub(super) fn close_gap(&mut self, seq: SeqId, gap: std::ops::Range<usize>) -> bool {
        let (from, to) = (position(gap.start), position(gap.end));
        let back = -i32::try_from(gap.len()).expect("a context has fewer than 2^31 tokens");
        if !self.context.seq_remove(seq, from, to) {
            return false;
        }
        match self.context.seq_shift(seq, to, u32::MAX, back) {
            Ok(()) => true,
            Err(error) => {
                log::warn!(target: "memory", "cells not moved: {error}");
                false
            }
        }
    }

    /// Gives an empty sequence the beginning of another one.
    pub(super) fn copy(
        &mut self,
        from: usize,
        to: usize,
        tokens: usize,
    ) -> std::result::Result<(Hit, Alignment), Miss> {
        let (source, target) = (self.seq(from), self.seq(to));
        let end = match self.context.is_unified() {
            true => position(tokens),
            // All of it, and what is too much is taken back.
            false => self.context.seq_next_pos(source),
        };
        let copied = self.context.seq_copy(source, target, 0, end);
        if let Err(error) = copied {
            log::warn!(target: "memory", "cells not copied: {error}");
            return Err(Miss::Refused);
        }
        if !self.context.is_unified() {
            // The whole of it, whatever is taken back.
            self.carried += self.stream_bytes;
        }
        if !self.context.seq_truncate(target, position(tokens)) {
            return Err(Miss::NotRewindable);
        }
        let alignment = Alignment {
            keep: tokens,
            moves: Vec::new(),
        };
        Ok((Hit::Shared, alignment))
    }

    /// Fills an empty sequence with saved cells, as far as they serve.
    fn restore(
        &mut self,
        work: &Work,
        sequence: usize,
        brought: &Brought,
    ) -> std::result::Result<(Hit, Alignment), Miss> {
        let seq = self.seq(sequence);
        let cells = &brought.cells;
        match self.context.restore_seq(seq, &cells.state) {
            Ok(count) if count == cells.tokens.len() => {}
            other => {
                log::warn!(target: "memory", "saved cells of {} tokens not restored: {other:?}", cells.tokens.len());
                return Err(Miss::Refused);
            }
        }
        self.totals.restores.count();
        let alignment = &brought.alignment;
        if !self.align(seq, alignment) {
            return Err(Miss::NotRewindable);
        }
        let mut tokens = cells.tokens.to_vec();
        for gap in alignment.gaps() {
            tokens.drain(gap);
        }
        tokens.truncate(alignment.len());
        if !work.tokens().starts_with(&tokens) {
            return Err(Miss::Changed);
        }
        let exact = !cells.moved && alignment.moves.is_empty();
        self.pool.restored(sequence, &tokens, exact);
        Ok((brought.hit, alignment.clone()))
    }

    /// Takes the slot of the running turn at `index` away; its cells are saved.
    pub(in super::super) fn park(&mut self, index: usize, now: Instant) -> (Box<Work>, Standing) {
        let slot = self.slots.remove(index);
        let mut work = slot.work;
        work.park(now);
        self.pool.release(slot.sequence, now);
        if self.pool.len(slot.sequence) > 0 {
            let leaving = self.pool.leaving(slot.sequence);
            self.put_away(&leaving);
        }
        self.pool.forget(slot.sequence);
        self.clear(slot.sequence);
        self.totals.preempted.count();
        (work, slot.standing)
    }

    pub(super) fn leave(
        &mut self,
        at: usize,
        keep: bool,
        how: Result<Verdict>,
        now: Instant,
    ) -> Ended {
        let slot = self.slots.remove(at);
        self.keeps_one |= self.fair
            && self
                .balance
                .is_only_turn_beside_many(slot.standing.client());
        self.release(slot.sequence, keep, now);
        Ended {
            work: slot.work,
            standing: slot.standing,
            how,
        }
    }
}
