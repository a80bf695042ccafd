//! The tokens of one decode call, or its embeddings, checked as they are added.
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
    /// Numbers of one embedding.
    pub(super) n_embd: usize,
}

/// The tokens of one decode call, or its embeddings, made by `Context::new_batch` and reused by `clear`.
#[derive(Debug)]
pub(crate) struct Batch {
    limits: Limits,
    tokens: Vec<sys::llama_token>,
    /// In place of tokens.
    embeddings: Vec<f32>,
    /// Whether all entries attend to each other in both directions.
    looks_ahead: bool,
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
            embeddings: Vec::new(),
            looks_ahead: false,
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
        let n_tokens = self.limits.n_tokens;
        if !self.embeddings.is_empty() {
            return Err(Error::Engine("batch holds embeddings".into()));
        }
        if usize::try_from(token.0).map_or(true, |id| id >= n_tokens) {
            return Err(Error::InvalidArgument(format!(
                "token {} is outside the vocabulary of {n_tokens}",
                token.0
            )));
        }
        let index = self.place(pos, seq, output)?;
        self.tokens.push(token.0);
        Ok(index)
    }

    /// Adds the embedding `row` of `seq` at `pos`, as `push` adds a token. A batch holds one or the other.
    ///
    /// `looks_ahead`: all entries of the batch attend to each other in both directions. Errors: as for `push`;
    /// `InvalidArgument` for a row of another width.
    pub(crate) fn push_row(
        &mut self,
        row: &[f32],
        looks_ahead: bool,
        pos: u32,
        seq: SeqId,
        output: bool,
    ) -> Result<usize> {
        let n_embd = self.limits.n_embd;
        if !self.tokens.is_empty() || !self.embeddings.is_empty() && looks_ahead != self.looks_ahead
        {
            return Err(Error::Engine("batch holds entries of another kind".into()));
        }
        if row.len() != n_embd {
            return Err(Error::InvalidArgument(format!(
                "an embedding has {} numbers, must have {n_embd}",
                row.len()
            )));
        }
        let index = self.place(pos, seq, output)?;
        self.embeddings.extend_from_slice(row);
        self.looks_ahead = looks_ahead;
        Ok(index)
    }

    /// Notes an entry of `seq` at `pos`; what it evaluates is the caller's to add. Returns its index.
    fn place(&mut self, pos: u32, seq: SeqId, output: bool) -> Result<usize> {
        let Limits {
            n_batch,
            n_outputs,
            n_seq_max,
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
        self.positions.push(raw_pos);
        // Below LLAMA_MAX_SEQ, as every index of a context.
        self.sequences.push(seq.index() as sys::llama_seq_id);
        self.outputs.push(i8::from(output));
        Ok(self.positions.len() - 1)
    }

    /// Empties the batch.
    pub(crate) fn clear(&mut self) {
        self.tokens.clear();
        self.embeddings.clear();
        self.looks_ahead = false;
        self.positions.clear();
        self.sequences.clear();
        self.outputs.clear();
        self.n_outputs = 0;
        self.spans.fill(None);
    }

    /// Tokens or embeddings in the batch.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Whether all entries attend to each other in both directions, for which they must be in one graph.
    pub(super) fn looks_ahead(&self) -> bool {
        self.looks_ahead
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
            token: given(&self.tokens),
            embd: given(&self.embeddings),
            pos: self.positions.as_ptr().cast_mut(),
            n_seq_id: counts.as_mut_ptr(),
            seq_id: ids.as_mut_ptr(),
            logits: self.outputs.as_ptr().cast_mut(),
        };
        work(&raw)
    }
}

/// What llama.cpp reads of one of the two; null for the one that is not there.
fn given<T>(entries: &[T]) -> *mut T {
    match entries {
        [] => std::ptr::null_mut(),
        entries => entries.as_ptr().cast_mut(),
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
            n_embd: 2,
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

    #[test]
    fn a_batch_holds_tokens_or_embeddings_of_one_kind() {
        let mut batch = batch();
        let push = |batch: &mut Batch, row: &[f32], ahead, pos| {
            batch
                .push_row(row, ahead, pos, SeqId(0), false)
                .map_err(|error| error.to_string())
        };
        let width = "an embedding has 1 numbers, must have 2".to_owned();
        assert_eq!(push(&mut batch, &[1.0], true, 0), Err(width));
        assert_eq!(push(&mut batch, &[1.0, 2.0], true, 0), Ok(0));
        assert!(push(&mut batch, &[1.0, 2.0], false, 1).is_err());
        assert!(batch.push(Token(1), 1, SeqId(0), false).is_err());
        assert_eq!(push(&mut batch, &[3.0, 4.0], true, 1), Ok(1));
        assert!(push(&mut batch, &[3.0, 4.0], true, 3).is_err());
        assert!(batch.looks_ahead());
        batch.with_raw(|raw| assert!(raw.token.is_null() && !raw.embd.is_null()));
        batch.clear();
        assert_eq!(batch.push(Token(1), 0, SeqId(0), false), Ok(0));
        assert!(push(&mut batch, &[1.0, 2.0], false, 1).is_err() && !batch.looks_ahead());
        batch.with_raw(|raw| assert!(!raw.token.is_null() && raw.embd.is_null()));
    }
}
