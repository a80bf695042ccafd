//! Where sequences lie: what nobody uses leaves a shared pool, and running sequences stay neighbours in a split one.
//!
//! Every token of a shared pool looks at all cells up to the highest that is filled, idle ones included. With a part for
//! each sequence, llama.cpp evaluates those together whose numbers follow each other, and all others in graphs of their
//! own.

use std::time::Instant;

use super::{Lane, Shape};

/// Steps after which an idle sequence leaves a shared pool, and a running one moves next to others. Carrying its cells
/// out and back costs as much as some dozens of steps beside them do.
const STEPS: u64 = 64;

/// The state of a lane's order.
#[derive(Default)]
pub(super) struct Settling {
    /// Steps in a row with running sequences that are not neighbours.
    apart: u64,
    /// The last two steps with a number that [`STEPS`] divides, and when they were.
    marks: [Option<(u64, Instant)>; 2],
}

impl Lane {
    /// Brings order into the sequences between two steps. At most one of them is carried away or moved.
    pub(super) fn settle(&mut self, now: Instant) {
        if matches!(self.shape, Shape::Fixed(_)) || self.slots.is_empty() || self.carried > 0 {
            return;
        }
        match self.context.is_unified() {
            true => self.let_unused_go(now),
            false => self.close_ranks(),
        }
    }

    fn let_unused_go(&mut self, now: Instant) {
        let last = self.settling.marks[0];
        if self.steps.is_multiple_of(STEPS) && last.is_none_or(|(steps, _)| steps < self.steps) {
            self.settling.marks = [Some((self.steps, now)), last];
        }
        if let Some((_, since)) = self.settling.marks[1]
            && let Some(leaving) = self.pool.evict_unused(since, now)
        {
            self.put_away(&leaving);
            self.clear(leaving.sequence);
        }
    }

    fn close_ranks(&mut self) {
        let Some((from, to)) = self.pool.gap() else {
            self.settling.apart = 0;
            return;
        };
        self.settling.apart += 1;
        if self.settling.apart < STEPS {
            return;
        }
        self.settling.apart = 0;
        if self.context.is_unsettled(self.seq(from)) || self.context.has_copies_pending() {
            return;
        }
        if let Some(leaving) = self.pool.evict_from(to) {
            self.put_away(&leaving);
            self.clear(to);
        }
        let (source, target) = (self.seq(from), self.seq(to));
        let end = self.context.seq_next_pos(source);
        if let Err(error) = self.context.seq_copy(source, target, 0, end) {
            log::warn!(target: "memory", "sequence {from} does not move to {to}: {error}");
            self.clear(to);
            return;
        }
        self.clear(from);
        self.carried += self.stream_bytes;
        self.pool.moved(from, to);
        for slot in self.slots.iter_mut().filter(|slot| slot.sequence == from) {
            (slot.sequence, slot.seq) = (to, target);
        }
        self.totals.moves.count();
    }
}
