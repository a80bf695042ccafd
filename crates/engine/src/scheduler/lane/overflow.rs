//! What happens when the context of a running turn is full: old turns, or old text, give way to its answer.

use super::super::reuse::Miss;
use super::{Lane, position};
use crate::memory::align::LEAST;

impl Lane {
    /// Takes what may give way out of the full sequence of the slot at `at`. What follows moves to its place; where the
    /// model cannot, or little follows, it is evaluated again.
    pub(super) fn make_room(&mut self, at: usize) {
        let Some(range) = self.slots[at].work.droppable() else {
            return;
        };
        let (sequence, seq) = (self.slots[at].sequence, self.slots[at].seq);
        let filled = self.pool.len(sequence);
        let moved = filled - range.end >= LEAST
            && self.can_move()
            && self.pool.may_move(sequence, range.end..filled)
            && self.close_gap(seq, range.clone());
        if moved {
            self.pool.close_gap(sequence, range.clone());
        } else if self.context.seq_truncate(seq, position(range.start)) {
            self.pool.cut(sequence, range.start);
        } else {
            self.context.seq_clear(seq);
            self.pool.restart(sequence);
            self.totals.reuse.miss(Miss::NotRewindable);
        }
        let filled = self.pool.len(sequence);
        let slot = &mut self.slots[at];
        slot.work.drop_cells(&range, moved, filled);
        self.totals.shifts.count();
        log::info!(
            target: "memory",
            "session {}: {} tokens give way to the answer, what follows is {}",
            slot.work.job.turn.session.0,
            range.len(),
            if moved { "moved" } else { "evaluated again" }
        );
    }
}
