//! What the next step of a lane evaluates.

use std::time::{Duration, Instant};

use super::super::batch::{self, Allowance};
use super::super::failpoint::{self, Point};
use super::super::hold::answers_go_on;
use super::super::pace::Amount;
use super::super::rows;
use super::super::slot::Slot;
use super::{Lane, Shape};
use crate::error::Result;

/// For how many target gaps in all an answer that nobody reads may be held back.
const HELD: u32 = 16;

impl Lane {
    /// Fills the batch. `rounds`: steps, this one with them, until it is this lane's turn again; `beside`: time that this
    /// model's other contexts take until then.
    pub(super) fn plan(&mut self, now: Instant, rounds: u32, beside: Duration) -> Result<Amount> {
        failpoint::hit(Point::Plan);
        self.choose(now);
        self.follow();
        self.keeps_one = false;
        if let Some(amount) = self.look(rounds, beside)? {
            return Ok(amount);
        }
        let graph = self.context.n_ubatch() as usize;
        let cells = self.depth();
        let (answers, prefill) = match &self.shape {
            Shape::Paced(pace, _) => {
                let text = |slot: &&Slot| slot.goes && slot.work.image_rest().is_none();
                let turns = self.slots.iter().filter(text).map(Slot::next);
                let answers = answers_go_on(turns, graph, HELD * pace.gap());
                let decodes = match answers {
                    true => batch::decodes(&self.slots),
                    false => 0,
                };
                let room = (self.context.n_batch() as usize).saturating_sub(decodes);
                let most = room.min(graph);
                let wanted = pace.budget(decodes, most, rounds, beside);
                let answers_beside = if self.context.is_unified() {
                    decodes
                } else {
                    0
                };
                let prompts = self.waiting_prompts();
                let meets = rows::Graph {
                    beside: answers_beside,
                    cells,
                    on_cpu: self.placement.attends_on_cpu(),
                };
                let prefill = rows::portion(wanted, prompts, meets);
                (answers, prefill.min(most))
            }
            Shape::Fixed(fixed) => {
                let piece = |slot: &Slot| slot.work.fixed_piece(fixed.chunk());
                (true, self.slots.first().map_or(0, piece))
            }
        };
        let allowance = Allowance {
            answers,
            prefill,
            // Without a shared pool, each prompt is a graph of its own.
            unit: match self.context.is_unified() {
                true => 1,
                false => rows::unit(cells, self.placement.attends_on_cpu()),
            },
            turn: self.steps,
        };
        batch::fill(&mut self.batch, &mut self.slots, &self.pool, allowance)
    }

    /// Says which turns this step may work for.
    fn choose(&mut self, now: Instant) {
        self.slots.iter_mut().for_each(|slot| slot.goes = true);
        let (Shape::Paced(pace, _), true) = (&self.shape, self.fair) else {
            return;
        };
        let who = |slot: &Slot| (slot.standing.client(), slot.standing.class());
        self.balance.seat(self.slots.iter().map(who), now);
        for slot in &mut self.slots {
            let client = slot.standing.client();
            slot.goes = self.balance.goes(client, slot.part(), now, pace.gap());
        }
    }

    /// Tokens of prompts that this step may work on.
    fn waiting_prompts(&self) -> usize {
        let going = self.slots.iter().filter(|slot| slot.goes);
        going.map(|slot| slot.work.text_rest().len()).sum()
    }

    /// Cells that prompts have to look at: in a shared pool all that are filled, otherwise the most of one prompt's own.
    fn depth(&self) -> usize {
        if self.context.is_unified() {
            return self.pool.used();
        }
        let waits = |slot: &&Slot| slot.goes && slot.work.decode_token().is_none();
        let prompts = self.slots.iter().filter(waits);
        let cells = prompts.map(|slot| self.pool.len(slot.sequence));
        cells.max().unwrap_or(0)
    }
}
