//! A running job's place: its sequence, its sampler and the answer so far.
//!
//! Lives in the engine thread only. The loop gives it evaluated positions; it samples, detokenises and judges.

use std::time::{Duration, Instant};

use super::job::{Job, Outcome, Piece, Timings};
use crate::error::{Error, Result};
use crate::llama::{Context, DEAD_END_TEXT, SeqId, Token, Vocab};
use crate::stopping::{Verdict, Watch};

/// A job while it runs.
pub(super) struct Slot {
    pub(super) job: Job,
    /// Index in the pool.
    pub(super) sequence: usize,
    /// The same sequence as llama.cpp knows it.
    pub(super) seq: SeqId,
    /// Batch index whose logits this slot samples from after the step.
    pub(super) output: Option<usize>,
    /// Tokens that this step evaluates, in order.
    pub(super) planned: Vec<Token>,
    /// Leading tokens of the prompt whose cells were filled when the job came.
    cached: usize,
    /// Prompt tokens evaluated or cached so far.
    prompt_done: usize,
    /// The sampled token that the next step evaluates.
    next: Option<Token>,
    sampled: Vec<Token>,
    /// Bytes of raw text after each sampled token.
    ends: Vec<usize>,
    watch: Watch,
    bytes: Vec<u8>,
    admitted: Instant,
    first_step: Option<Instant>,
    first_token: Option<Instant>,
}

impl Slot {
    /// A slot whose sequence holds the first `cached` tokens of the prompt. The penalties learn the prompt's tail.
    pub(super) fn new(
        mut job: Job,
        sequence: usize,
        seq: SeqId,
        cached: usize,
        now: Instant,
    ) -> std::result::Result<Slot, (Box<Job>, Error)> {
        let tail = job
            .turn
            .tokens
            .len()
            .saturating_sub(job.turn.penalty_window);
        for at in tail..job.turn.tokens.len() {
            if let Err(error) = job.turn.sampler.accept(job.turn.tokens[at]) {
                return Err((Box::new(job), error));
            }
        }
        Ok(Slot {
            sequence,
            seq,
            output: None,
            planned: Vec::new(),
            cached,
            prompt_done: cached,
            next: None,
            sampled: Vec::new(),
            ends: Vec::new(),
            watch: Watch::new(job.turn.rules.clone()),
            bytes: Vec::new(),
            admitted: now,
            first_step: None,
            first_token: None,
            job,
        })
    }

    /// The sampled token that waits for its evaluation; `None` while the prompt is being evaluated.
    pub(super) fn decode_token(&self) -> Option<Token> {
        self.next
    }

    /// Prompt tokens that are still to be evaluated.
    pub(super) fn prefill_rest(&self) -> &[Token] {
        &self.job.turn.tokens[self.prompt_done..]
    }

    /// Tells the caller that the job left the queue.
    pub(super) fn announce(&self) {
        self.send(Piece::Started {
            cached_tokens: self.cached,
        });
    }

    /// Time since the first prefill step.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        self.first_step.map_or(Duration::ZERO, |t| now - t)
    }

    /// Whether the soft limit passed before any text.
    pub(super) fn is_out_of_time(&self, now: Instant) -> bool {
        self.watch.is_out_of_time(self.elapsed(now))
    }

    /// Marks the start of the first step that works for this job.
    pub(super) fn begin(&mut self, now: Instant) {
        self.first_step.get_or_insert(now);
    }

    /// The planned tokens were evaluated.
    pub(super) fn advance(&mut self) {
        if self.next.take().is_none() {
            self.prompt_done += self.planned.len();
        }
        self.planned.clear();
    }

    /// Samples from the step's logits, streams the text that may leave and says whether the turn ends.
    ///
    /// `room`: whether the context can take one more token.
    pub(super) fn sample(
        &mut self,
        context: &Context,
        vocab: &Vocab,
        room: bool,
    ) -> Result<Option<Verdict>> {
        let Some(output) = self.output.take() else {
            return Ok(None);
        };
        let token = match self.job.turn.sampler.sample(context, output) {
            Ok(token) => token,
            Err(Error::Engine(reason)) if reason.starts_with(DEAD_END_TEXT) => {
                return Ok(Some(Verdict::GrammarDeadEnd));
            }
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        self.first_token.get_or_insert(now);
        self.sampled.push(token);
        if let Some(verdict) = self.watch.token(token.0, vocab.is_eog(token)) {
            self.ends.push(self.watch.raw_len());
            return Ok(Some(verdict));
        }
        self.bytes.clear();
        vocab.piece(token, &mut self.bytes)?;
        let verdict = self.watch.piece(&self.bytes, self.elapsed(now));
        self.ends.push(self.watch.raw_len());
        if let Some(text) = self.watch.take() {
            self.send_text(text);
        }
        if verdict.is_none() {
            self.next = Some(token);
        }
        Ok(verdict.or((!room).then_some(Verdict::ContextFull)))
    }

    /// Ends the turn with success and answers.
    pub(super) fn finish(mut self, verdict: Verdict, now: Instant) -> Timings {
        if let Some(text) = self.watch.finish() {
            self.send_text(text);
        }
        let text = self.watch.answer().to_owned();
        let ended_by_token = matches!(verdict, Verdict::Eos | Verdict::StopToken(_));
        let spoken = self.sampled.len() - usize::from(ended_by_token);
        // A token may end inside a character, so its bytes count only once the character is whole.
        let whole = self.ends[..spoken].partition_point(|&end| end <= text.len());
        let token_bytes = match whole {
            0 => 0,
            n => self.ends[n - 1],
        };
        let timings = self.timings(now);
        let outcome = Outcome {
            tokens: self.sampled[..whole].to_vec(),
            token_bytes,
            text,
            verdict,
            prompt_tokens: self.job.turn.tokens.len(),
            cached_tokens: self.cached,
            completion_tokens: self.sampled.len(),
            timings,
        };
        self.job.place.take();
        self.send(Piece::Done(Box::new(outcome)));
        timings
    }

    /// Answers with an error.
    pub(super) fn fail(self, error: Error) {
        self.job.fail(error);
    }

    /// Prompt tokens evaluated by this turn so far.
    pub(super) fn evaluated(&self) -> usize {
        self.prompt_done - self.cached
    }

    /// Tokens sampled so far.
    pub(super) fn completion(&self) -> usize {
        self.sampled.len()
    }

    /// The cached cells were lost: the whole prompt is evaluated.
    pub(super) fn restart(&mut self) {
        self.cached = 0;
        self.prompt_done = 0;
    }

    fn timings(&self, now: Instant) -> Timings {
        let first_step = self.first_step.unwrap_or(self.admitted);
        let first_token = self.first_token.unwrap_or(now);
        Timings {
            queued: first_step.saturating_duration_since(self.job.submitted),
            prefill: first_token.saturating_duration_since(first_step),
            decode: now.saturating_duration_since(first_token),
        }
    }

    fn send_text(&self, text: String) {
        self.send(Piece::Text {
            text,
            completion_tokens: self.sampled.len(),
        });
    }

    /// The channel holds a whole answer; when sending fails the reader has left, and the loop drops the job.
    fn send(&self, piece: Piece) {
        drop(self.job.answer.try_send(piece));
    }
}
