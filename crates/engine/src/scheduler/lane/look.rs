//! Steps that look at an image: a decode call takes tokens or embeddings, so those of an image have steps of their own.

use std::time::Duration;

use super::super::pace::Amount;
use super::{Lane, Shape, position};
use crate::error::Result;

impl Lane {
    /// Fills the batch with the next embeddings of the oldest turn that waits for some; every other step where there is
    /// anything else to do. `None`: this is no such step. `rounds`, `beside`: as for `plan`.
    pub(super) fn look(&mut self, rounds: u32, beside: Duration) -> Result<Option<Amount>> {
        let is_next = |slot: &&mut super::Slot| slot.goes && slot.work.image_rest().is_some();
        let has_others = self
            .slots
            .iter()
            .any(|slot| slot.goes && slot.work.image_rest().is_none());
        let looked = std::mem::replace(&mut self.looked, false);
        let most = self.context.n_batch().min(self.context.n_ubatch()) as usize;
        let portion = match &self.shape {
            Shape::Paced(pace, _) => pace.budget(0, most, rounds, beside),
            Shape::Fixed(fixed) => fixed.chunk(),
        };
        let Some(slot) = self.slots.iter_mut().find(is_next) else {
            return Ok(None);
        };
        if looked && has_others {
            return Ok(None);
        }
        let Some((rows, from)) = slot.work.image_rest() else {
            return Ok(None);
        };
        self.looked = true;
        let rest = rows.len() - from;
        let count = match rows.looks_ahead() {
            true => rest,
            false => rest.min(portion.max(1)),
        };
        self.batch.clear();
        let planned = slot.work.prefill_rest()[..count].to_vec();
        let is_last = slot.work.prefill_rest().len() == count;
        let mut output = None;
        for index in 0..count {
            let samples = is_last && index + 1 == count;
            let at = self.batch.push_row(
                rows.row(from + index),
                rows.looks_ahead(),
                position(self.pool.len(slot.sequence) + index),
                slot.seq,
                samples,
            )?;
            output = samples.then_some(at);
        }
        let sequence = slot.sequence;
        for slot in &mut self.slots {
            slot.unplan();
            if slot.sequence == sequence {
                (slot.planned, slot.output) = (planned.clone(), output);
            }
        }
        Ok(Some(Amount {
            decodes: 0,
            prefill: count,
        }))
    }
}
