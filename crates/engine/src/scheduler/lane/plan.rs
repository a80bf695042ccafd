//! What the next step of a lane evaluates.

use super::super::batch::{self, Allowance};
use super::super::hold::answers_go_on;
use super::super::pace::Amount;
use super::super::rows;
use super::super::slot::Slot;
use super::{Lane, Shape};
use crate::error::Result;

/// For how many target gaps in all an answer that nobody reads may be held back.
const HELD: u32 = 16;

impl Lane {
    /// Fills the batch.
    pub(super) fn plan(&mut self) -> Result<Amount> {
        let graph = self.context.n_ubatch() as usize;
        let (answers, prefill) = match &self.shape {
            Shape::Paced(pace, _) => {
                let turns = self.slots.iter().map(Slot::next);
                let answers = answers_go_on(turns, graph, HELD * pace.gap());
                let decodes = match answers {
                    true => batch::decodes(&self.slots),
                    false => 0,
                };
                let room = (self.context.n_batch() as usize).saturating_sub(decodes);
                let most = room.min(graph);
                let wanted = pace.budget(decodes, most);
                let beside = if self.context.is_unified() {
                    decodes
                } else {
                    0
                };
                let prefill = rows::whole(wanted, beside, self.is_deep()).min(most);
                (answers, prefill)
            }
            Shape::Fixed(piece) => {
                let piece = |slot: &Slot| slot.work.fixed_piece(*piece);
                (true, self.slots.first().map_or(0, piece))
            }
        };
        let allowance = Allowance {
            answers,
            prefill,
            // Without a shared pool, each prompt is a graph of its own.
            unit: match !self.context.is_unified() && self.is_deep() {
                true => rows::TILE,
                false => 1,
            },
            turn: self.steps,
        };
        batch::fill(&mut self.batch, &mut self.slots, &self.pool, allowance)
    }

    /// Whether prompts have many cells to look at: in a shared pool all that are filled, otherwise those of their own.
    fn is_deep(&self) -> bool {
        if self.context.is_unified() {
            return self.pool.used() >= rows::DEEP;
        }
        let mut prompts = self
            .slots
            .iter()
            .filter(|s| s.work.decode_token().is_none());
        prompts.any(|slot| self.pool.len(slot.sequence) >= rows::DEEP)
    }
}
