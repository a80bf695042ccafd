//! The cells of a context: what each sequence holds, how it is cut, moved and copied.
//!
//! llama.cpp asserts on ids, ranges and caches that cannot do what is asked; each call is checked before. Knows no
//! budget: which cells to drop is decided above.

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};

use super::super::ffi;
use super::super::{Model, SeqId};
use super::{Context, MemoryBreakdown, signed};

/// How a sequence of this context can be cut back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// At any position.
    Anywhere,
    /// By at most this many positions.
    Snapshots(u32),
    /// As a whole only.
    WholeOnly,
    /// Not at all: the context keeps no cells, or the probe failed.
    None,
}

impl Context {
    /// How sequences can be cut back, found by a probe at creation.
    pub(crate) fn removal(&self) -> Removal {
        self.removal
    }

    /// Decodes two tokens and tries to take one back; leaves the context empty.
    pub(super) fn probe_removal(&mut self) -> Result<Removal> {
        if self.raw_memory().is_null() {
            return Ok(Removal::None);
        }
        let Some(seq) = self.seq(0) else {
            return Ok(Removal::None);
        };
        let token = self.probe_token();
        let mut batch = self.new_batch();
        for pos in 0..2 {
            batch.clear();
            batch.push(token, pos, seq, false)?;
            if let Err(failure) = self.decode(&batch) {
                return Err(Error::Load(format!(
                    "the model does not compute: {failure:?}"
                )));
            }
        }
        // SAFETY: the pointer is valid for the life of `self`.
        let snapshots = unsafe { sys::llama_n_rs_seq(self.as_ptr()) };
        let removal = match (self.remove(seq, 1, None)?, snapshots) {
            (true, 0) => Removal::Anywhere,
            (true, count) => Removal::Snapshots(count),
            (false, _) => Removal::WholeOnly,
        };
        self.clear()?;
        Ok(removal)
    }

    /// Removes the positions of `seq` from `from` on. `false` where the memory cannot be cut there: nothing changed.
    ///
    /// Nor can it where the sliding window that the token at `from` would look back on has lost its first positions:
    /// llama.cpp cuts there all the same, and then computes with what is left.
    pub(crate) fn seq_truncate(&mut self, seq: SeqId, from: u32) -> bool {
        if from >= self.seq_next_pos(seq) {
            return true;
        }
        let first = self.seq_min_pos(seq).unwrap_or(0);
        let window = self.model.n_swa().saturating_sub(1);
        if from > 0 && first > from.saturating_sub(window) {
            return false;
        }
        self.remove(seq, from, None).unwrap_or(false)
    }

    /// Removes the positions `from..to` of `seq`, leaving a hole that `seq_shift` may close. A state that has taken all
    /// positions in cannot lose some: llama.cpp says yes to that, and keeps them.
    pub(crate) fn seq_remove(&mut self, seq: SeqId, from: u32, to: u32) -> bool {
        from < to
            && self.removal == Removal::Anywhere
            && self.remove(seq, from, Some(to)).unwrap_or(false)
    }

    /// Removes all of `seq`.
    pub(crate) fn seq_clear(&mut self, seq: SeqId) {
        if let Err(error) = self.remove(seq, 0, None) {
            ::log::error!(target: "engine", "sequence {} not cleared: {error}", seq.index());
        }
        self.settle(seq);
    }

    fn remove(&mut self, seq: SeqId, from: u32, to: Option<u32>) -> Result<bool> {
        let seq = self.check_seq(seq)?;
        let mut done = false;
        ffi::guarded(|err, cap| {
            let to = to.map_or(-1, signed);
            // SAFETY: the context is valid and the sequence is one of its own; `done` is written on success only.
            unsafe { ffi::engine_seq_rm(self.as_ptr(), seq, signed(from), to, &mut done, err, cap) }
        })
        .map_err(|fault| fault.during("remove cells"))?;
        Ok(done)
    }

    /// Moves the positions `from..to` of `seq` by `delta`; the cells are rewritten by the next decode. Other sequences that
    /// have these cells, too, would be moved with it: the caller sees to it that there are none.
    ///
    /// Errors: `Unsupported` where the model cannot shift; `InvalidArgument` for a move below 0, beyond any position, or
    /// onto positions that the sequence still has.
    pub(crate) fn seq_shift(&mut self, seq: SeqId, from: u32, to: u32, delta: i32) -> Result<()> {
        let raw = self.check_seq(seq)?;
        if !self.can_shift() {
            return Err(Error::Unsupported(
                "this model cannot shift its context".to_owned(),
            ));
        }
        let to = to.min(self.seq_next_pos(seq));
        if from >= to || delta == 0 {
            return Ok(());
        }
        let moved = |pos: u32| {
            i64::from(pos)
                .checked_add(delta.into())
                .filter(|pos| (0..i64::from(i32::MAX)).contains(pos))
        };
        if moved(from).is_none() || moved(to).is_none() {
            return Err(Error::InvalidArgument(format!(
                "positions {from}..{to} of sequence {} cannot move by {delta}",
                seq.index()
            )));
        }
        ffi::guarded(|err, cap| {
            // SAFETY: the context is valid, the sequence is one of its own, and the memory said that it can shift.
            unsafe {
                ffi::engine_seq_add(
                    self.as_ptr(),
                    raw,
                    signed(from),
                    signed(to),
                    delta,
                    err,
                    cap,
                )
            }
        })
        .map_err(|fault| fault.during("shift"))?;
        self.shift_pending = true;
        self.unsettle(seq);
        Ok(())
    }

    /// Gives `dst` the positions `from..to` of `src`, without copying cells. `dst` must be empty.
    ///
    /// Errors: `Unsupported` for a part of a sequence in split mode, and of one that cannot be cut; `InvalidArgument` for a
    /// destination with cells, or a source whose own cells the next decode has yet to write.
    pub(crate) fn seq_copy(&mut self, src: SeqId, dst: SeqId, from: u32, to: u32) -> Result<()> {
        let (raw_src, raw_dst) = (self.check_seq(src)?, self.check_seq(dst)?);
        if src == dst || from >= to {
            return Ok(());
        }
        let is_part = from > 0 || to < self.seq_next_pos(src);
        if is_part && (!self.kv_unified || self.removal != Removal::Anywhere) {
            return Err(Error::Unsupported(
                "a part of a sequence can be shared in unified mode and between cells that can be cut only".to_owned(),
            ));
        }
        if self.is_unsettled(src) {
            return Err(Error::InvalidArgument(format!(
                "the cells of sequence {} are not written yet",
                src.index()
            )));
        }
        if self.seq_next_pos(dst) > 0 {
            return Err(Error::InvalidArgument(format!(
                "sequence {} has cells, a copy needs an empty one",
                dst.index()
            )));
        }
        // The whole range is written as (-1, -1): a bounded one is an assertion across streams.
        let (from, to) = match self.kv_unified {
            true => (signed(from), signed(to)),
            false => (-1, -1),
        };
        ffi::guarded(|err, cap| {
            // SAFETY: the context is valid and both sequences are its own; the range is whole in split mode.
            unsafe { ffi::engine_seq_cp(self.as_ptr(), raw_src, raw_dst, from, to, err, cap) }
        })
        .map_err(|fault| fault.during("copy sequence"))?;
        if !self.kv_unified {
            self.copies.push((src.index(), dst.index()));
        }
        Ok(())
    }

    /// The position after the last one of `seq`: 0 when it is empty.
    pub(crate) fn seq_next_pos(&self, seq: SeqId) -> u32 {
        let Ok(seq) = self.check_seq(seq) else {
            return 0;
        };
        // SAFETY: the memory belongs to the context and the sequence is one of its own.
        let last = unsafe { sys::llama_memory_seq_pos_max(self.raw_memory(), seq) };
        u32::try_from(last.saturating_add(1)).unwrap_or(0)
    }

    /// The first position that `seq` still has, above 0 in a sliding window; `None` when it is empty.
    pub(crate) fn seq_min_pos(&self, seq: SeqId) -> Option<u32> {
        let seq = self.check_seq(seq).ok()?;
        // SAFETY: as above.
        let first = unsafe { sys::llama_memory_seq_pos_min(self.raw_memory(), seq) };
        u32::try_from(first).ok()
    }

    /// Whether positions can be moved.
    ///
    /// llama.cpp knows of some models that they cannot. It does not know that quantised keys end the process where the
    /// length of a head is no multiple of 64, nor that layers without positions must stay as they are, nor that cells whose
    /// positions came out of a table keep them: there is nothing in them to rotate.
    pub(crate) fn can_shift(&self) -> bool {
        // SAFETY: the memory belongs to the context; null is answered with false.
        let can = unsafe { sys::llama_memory_can_shift(self.raw_memory()) };
        can && self.removal == Removal::Anywhere
            && !self.quantised_keys
            && self.model.n_swa() == 0
            && !self.model.tabulates_positions()
            && !has_layers_without_positions(&self.model)
    }

    /// Whether the next decode moves cells before it computes.
    pub(crate) fn has_shift_pending(&self) -> bool {
        self.shift_pending
    }

    /// Whether the next decode has yet to write cells of `seq` that were moved or copied: they cannot be saved before.
    pub(crate) fn is_unsettled(&self, seq: SeqId) -> bool {
        self.unsettled.contains(&seq.index()) || self.copies.iter().any(|c| c.1 == seq.index())
    }

    /// Whether the next decode has yet to copy cells. Whatever is written to either end before it comes too early, even
    /// if that end was cleared since.
    pub(crate) fn has_copies_pending(&self) -> bool {
        !self.copies.is_empty()
    }

    pub(super) fn is_copied(&self, seq: SeqId) -> bool {
        let index = seq.index();
        self.copies
            .iter()
            .any(|&(src, dst)| src == index || dst == index)
    }

    fn unsettle(&mut self, seq: SeqId) {
        if !self.unsettled.contains(&seq.index()) {
            self.unsettled.push(seq.index());
        }
    }

    pub(super) fn settle(&mut self, seq: SeqId) {
        self.unsettled.retain(|&index| index != seq.index());
    }

    /// Removes everything, contents included.
    pub(crate) fn clear(&mut self) -> Result<()> {
        ffi::guarded(|err, cap| {
            // SAFETY: the context is valid.
            unsafe { ffi::engine_memory_clear(self.as_ptr(), err, cap) }
        })
        .map_err(|fault| fault.during("clear"))?;
        self.shift_pending = false;
        self.unsettled.clear();
        Ok(())
    }

    /// The bytes that weights, cells and scratch space take, on all devices together.
    pub(crate) fn memory(&self) -> MemoryBreakdown {
        MemoryBreakdown::of(self.raw.memory(), &self.model, self.estimated_cell_bytes)
    }

    fn raw_memory(&self) -> sys::llama_memory_t {
        // SAFETY: the context is valid; its memory lives as long, null if it keeps none.
        unsafe { sys::llama_get_memory(self.as_ptr()) }
    }
}

/// Architectures with layers that know no positions. llama.cpp shifts those layers, too.
fn has_layers_without_positions(model: &Model) -> bool {
    const SOME: [&str; 9] = [
        "afmoe",
        "cohere2",
        "exaone4",
        "granite",
        "llama4",
        "maple",
        "muse-glimmer",
        "smallthinker",
        "smollm3",
    ];
    let architecture = model.meta("general.architecture").unwrap_or_default();
    SOME.iter().any(|known| architecture.starts_with(known))
}
