//! Where sequences lie: what nobody uses leaves a shared pool, and running sequences stay neighbours in a split one.
//!
//! Every token of a shared pool looks at all cells up to the highest that is filled, idle and free ones included. So when
//! many have become free, the others are written anew, which puts them into the first free ones. With a part for
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
    /// The most cells that were filled since all were written anew: none that is filled lies above.
    peak: usize,
    /// Sequences that are still to be written anew.
    loose: Vec<usize>,
}

/// Filled cells below which it does not matter where they lie.
const FEW: usize = 512;

impl Lane {
    /// Brings order into the sequences between two steps. At most one of them is carried away or moved.
    pub(super) fn settle(&mut self, now: Instant) {
        if matches!(self.shape, Shape::Fixed(..)) || self.slots.is_empty() || self.carried > 0 {
            return;
        }
        match self.context.is_unified() {
            true => {
                self.let_unused_go(now);
                self.pack();
            }
            false => self.close_ranks(),
        }
    }

    /// Writes sequences anew, one in each step, once less than half of the cells up to the highest are filled.
    fn pack(&mut self) {
        let used = self.pool.used();
        let settling = &mut self.settling;
        settling.peak = settling.peak.max(used);
        if settling.loose.is_empty() && settling.peak > FEW && used < settling.peak / 2 {
            let all = 0..self.context.n_seq_max() as usize;
            settling.loose = all
                .filter(|&sequence| self.pool.len(sequence) > 0)
                .collect();
            settling.peak = used;
        }
        if self.carried == 0
            && let Some(sequence) = self.settling.loose.pop()
        {
            self.write_anew(sequence);
        }
    }

    fn write_anew(&mut self, sequence: usize) {
        let (seq, length) = (self.seq(sequence), self.pool.len(sequence));
        // Cells that others have, too, would become cells of its own.
        if length == 0 || !self.pool.may_move(sequence, 0..length) {
            return;
        }
        let Ok(state) = self.context.save_seq(seq) else {
            return;
        };
        self.carried += state.len();
        self.context.seq_clear(seq);
        match self.context.restore_seq(seq, &state) {
            Ok(count) if count == length => self.totals.packed.count(),
            other => {
                log::warn!(target: "memory", "sequence {sequence} was not written anew: {other:?}");
                self.context.seq_clear(seq);
                match self.slots.iter_mut().find(|slot| slot.sequence == sequence) {
                    Some(slot) => {
                        slot.work.restart();
                        self.pool.restart(sequence);
                    }
                    None => self.pool.forget(sequence),
                }
            }
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
