//! Cells for what the running turns are about to evaluate, whoever has to give way for them.

use std::time::Instant;

use super::super::queue::Standing;
use super::super::work::Work;
use super::Lane;

/// Cells that an answer is promised at once. A whole answer's would keep others out for what it may never say.
pub(super) const LUMP: usize = 256;

impl Lane {
    /// Sees to it that every running turn has the cells for what it evaluates next, oldest turn first: idle sequences give
    /// way, and where that is not enough the running turn with the least to lose. Returns the turns that wait again.
    pub(in super::super) fn secure(&mut self, now: Instant) -> Vec<(Box<Work>, Standing)> {
        let mut parked = Vec::new();
        let sequences: Vec<usize> = self.slots.iter().map(|slot| slot.sequence).collect();
        for sequence in sequences {
            while let Some(short) = self.short_of(sequence) {
                if self.pool.grow(sequence, short) > 0 {
                    continue;
                }
                if let Some(leaving) = self.pool.evict(now) {
                    self.put_away(&leaving);
                    self.clear(leaving.sequence);
                    continue;
                }
                // Alone it has the whole context, which holds any turn.
                let least = (0..self.slots.len()).min_by_key(|&at| {
                    let slot = &self.slots[at];
                    // Cells that are not written yet cannot be saved.
                    (self.context.is_unsettled(slot.seq), slot.weight())
                });
                let Some(victim) = least.filter(|_| self.slots.len() > 1) else {
                    break;
                };
                log::info!(
                    target: "memory",
                    "session {} gives its {} cells to others and waits",
                    self.slots[victim].work.job.turn.session.0,
                    self.pool.len(self.slots[victim].sequence)
                );
                self.totals.displaced.count();
                parked.push(self.park(victim, now));
            }
        }
        parked
    }

    /// Cells that the turn of a sequence should be promised before the next step; `None` if it has enough, or is gone.
    fn short_of(&self, sequence: usize) -> Option<usize> {
        let slot = self.slots.iter().find(|slot| slot.sequence == sequence)?;
        let work = &slot.work;
        let next = match work.decode_token() {
            Some(_) => 1,
            None => work.prefill_rest().len(),
        };
        let has = self.pool.reserved(sequence);
        let room = work.answer_room(self.capacity).clamp(1, LUMP);
        (has < next).then(|| next - has + room - 1)
    }
}
