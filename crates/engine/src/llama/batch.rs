//! The tokens of one decode call, checked as they are added.
//!
//! A batch cannot hold what makes `llama_decode` assert or misbehave: more tokens than the context takes, ids outside
//! the vocabulary, sequences that the context does not have, positions with holes, more outputs than reserved. Whether
//! the positions continue what the context holds is checked at the decode. Knows no sampling.

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};

use super::{SeqId, Token};

/// What a context accepts; copied into its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Which context: batches of another one are refused.
    pub(super) context: u64,
    pub(super) n_batch: u32,
    pub(super) n_outputs: u32,
    pub(super) n_seq_max: u32,
    pub(super) n_tokens: usize,
}

/// The tokens of one decode call, made by `Context::new_batch` and reused by `clear`.
#[derive(Debug)]
pub(crate) struct Batch {
    limits: Limits,
    tokens: Vec<sys::llama_token>,
    positions: Vec<sys::llama_pos>,
    sequences: Vec<sys::llama_seq_id>,
    outputs: Vec<i8>,
    n_outputs: u32,
    /// First and last position per sequence, by its index.
    spans: Vec<Option<Span>>,
}

/// The positions of one sequence in a batch, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Batch {
    pub(super) fn new(limits: Limits) -> Batch {
        Batch {
            limits,
            tokens: Vec::with_capacity(limits.n_batch as usize),
            positions: Vec::with_capacity(limits.n_batch as usize),
            sequences: Vec::with_capacity(limits.n_batch as usize),
            outputs: Vec::with_capacity(limits.n_batch as usize),
            n_outputs: 0,
            spans: vec![None; limits.n_seq_max as usize],
        }
    }

    /// Adds `token` of `seq` at `pos`; `output` asks for its logits. Returns its index in the batch.
    ///
    /// Errors: `InvalidArgument` for an id outside the vocabulary, a sequence of another context, or a position that
    /// does not follow the sequence's last one in this batch; `Engine` for a full batch or too many outputs. The batch
    /// is as before then.
    pub(crate) fn push(
        &mut self,
        token: Token,
        pos: u32,
        seq: SeqId,
        output: bool,
    ) -> Result<usize> {
        let Limits {
            n_batch,
            n_outputs,
            n_seq_max,
            n_tokens,
            ..
        } = self.limits;
        if self.room() == 0 {
            return Err(Error::Engine(format!(
                "batch is full, it holds {n_batch} tokens"
            )));
        }
        if output && self.n_outputs >= n_outputs {
            return Err(Error::Engine(format!(
                "batch has {n_outputs} outputs and the context takes no more"
            )));
        }
        if usize::try_from(token.0).map_or(true, |id| id >= n_tokens) {
            return Err(Error::InvalidArgument(format!(
                "token {} is outside the vocabulary of {n_tokens}",
                token.0
            )));
        }
        let raw_pos = i32::try_from(pos).ok().filter(|pos| *pos < i32::MAX);
        let Some(raw_pos) = raw_pos else {
            return Err(Error::InvalidArgument(format!(
                "position {pos} is beyond any context"
            )));
        };
        let Some(span) = self.spans.get_mut(seq.index() as usize) else {
            return Err(Error::InvalidArgument(format!(
                "sequence {} is unknown, the context has {n_seq_max}",
                seq.index()
            )));
        };
        *span = Some(match *span {
            None => Span {
                first: pos,
                last: pos,
            },
            Some(Span { first, last }) if pos == last + 1 => Span { first, last: pos },
            Some(Span { last, .. }) => {
                return Err(Error::InvalidArgument(format!(
                    "position {pos} of sequence {} follows {last}, must be {}",
                    seq.index(),
                    last + 1
                )));
            }
        });
        self.n_outputs += u32::from(output);
        self.tokens.push(token.0);
        self.positions.push(raw_pos);
        // Below LLAMA_MAX_SEQ, as every index of a context.
        self.sequences.push(seq.index() as sys::llama_seq_id);
        self.outputs.push(i8::from(output));
        Ok(self.tokens.len() - 1)
    }

    /// Empties the batch.
    pub(crate) fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.sequences.clear();
        self.outputs.clear();
        self.n_outputs = 0;
        self.spans.fill(None);
    }

    /// Tokens in the batch.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// How many more tokens fit.
    pub(crate) fn room(&self) -> usize {
        (self.limits.n_batch as usize).saturating_sub(self.len())
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Which entries asked for logits.
    pub(super) fn outputs(&self) -> impl Iterator<Item = bool> + '_ {
        self.outputs.iter().map(|output| *output != 0)
    }

    /// The sequences of the batch with their positions.
    pub(super) fn spans(&self) -> impl Iterator<Item = (u32, Span)> + '_ {
        (0..)
            .zip(&self.spans)
            .filter_map(|(index, span)| Some((index, (*span)?)))
    }

    /// Calls `work` with the batch as llama.cpp reads it; the pointers are good during the call only.
    pub(super) fn with_raw<T>(&self, work: impl FnOnce(&sys::llama_batch) -> T) -> T {
        let mut counts = vec![1_i32; self.len()];
        // Entry i points to its one sequence id.
        let mut ids: Vec<*mut sys::llama_seq_id> = self
            .sequences
            .iter()
            .map(|id| std::ptr::from_ref(id).cast_mut())
            .collect();
        let raw = sys::llama_batch {
            n_tokens: i32::try_from(self.len()).unwrap_or(0),
            token: self.tokens.as_ptr().cast_mut(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_ptr().cast_mut(),
            n_seq_id: counts.as_mut_ptr(),
            seq_id: ids.as_mut_ptr(),
            logits: self.outputs.as_ptr().cast_mut(),
        };
        work(&raw)
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    fn batch() -> Batch {
        Batch::new(Limits {
            context: 1,
            n_batch: 4,
            n_outputs: 2,
            n_seq_max: 2,
            n_tokens: 10,
        })
    }

    fn refused(batch: &mut Batch, token: i32, pos: u32, seq: u32, output: bool, text: &str) {
        let before = batch.len();
        let error = batch.push(Token(token), pos, SeqId(seq), output);
        assert_eq!(error.unwrap_err().to_string(), text);
        assert_eq!(batch.len(), before, "a refused token is not in the batch");
    }

    #[test]
    fn a_batch_refuses_each_thing_that_llama_cpp_would_assert() {
        let mut batch = batch();
        refused(
            &mut batch,
            10,
            0,
            0,
            false,
            "token 10 is outside the vocabulary of 10",
        );
        refused(
            &mut batch,
            -1,
            0,
            0,
            false,
            "token -1 is outside the vocabulary of 10",
        );
        refused(
            &mut batch,
            0,
            0,
            2,
            false,
            "sequence 2 is unknown, the context has 2",
        );
        refused(
            &mut batch,
            0,
            u32::MAX,
            0,
            false,
            "position 4294967295 is beyond any context",
        );
        assert_eq!(batch.push(Token(0), 7, SeqId(0), true), Ok(0));
        refused(
            &mut batch,
            0,
            9,
            0,
            false,
            "position 9 of sequence 0 follows 7, must be 8",
        );
        refused(
            &mut batch,
            0,
            7,
            0,
            false,
            "position 7 of sequence 0 follows 7, must be 8",
        );
        assert_eq!(batch.push(Token(0), 3, SeqId(1), true), Ok(1));
        let text = "batch has 2 outputs and the context takes no more";
        refused(&mut batch, 0, 8, 0, true, text);
        assert_eq!(batch.push(Token(0), 8, SeqId(0), false), Ok(2));
        assert_eq!(batch.push(Token(9), 9, SeqId(0), false), Ok(3));
        refused(
            &mut batch,
            0,
            10,
            0,
            false,
            "batch is full, it holds 4 tokens",
        );
        assert_eq!((batch.len(), batch.room()), (4, 0));
    }

    #[test]
    fn a_cleared_batch_is_new() {
        let mut batch = batch();
        for pos in 0..4 {
            batch.push(Token(1), pos, SeqId(1), pos < 2).unwrap();
        }
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(batch.room(), 4);
        assert_eq!(batch.push(Token(1), 9, SeqId(1), true), Ok(0));
    }
}
