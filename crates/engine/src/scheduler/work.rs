//! A turn as far as it has come: the job, its answer so far, and what must be evaluated before the next token.
//!
//! Moves between the queue and a slot: a turn whose slot was taken away goes on where it was. Lives in the engine
//! thread only.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::class::Class;
use super::hold::Next;
use super::job::{Droppable, HardLimit, Job, Outcome, Piece, Timings, Turn};
use crate::error::{Error, Result};
use crate::llama::{Context, Rows, Token, Vocab};
use crate::memory::align::LEAST;
use crate::spill::{Fetch, Key, Store};
use crate::stopping::{Verdict, deadline};

/// How often something may give way to one answer that has no limit of tokens, or to which turns do. Without a bound an
/// answer that repeats itself would never end.
const MOST_SHIFTS: usize = 2;

/// A turn in progress.
pub(super) struct Work {
    pub(super) job: Job,
    /// Tokens that its cells must hold before the next one is sampled: the prompt, and after a return to the queue the
    /// answer so far.
    tokens: Vec<Token>,
    /// Leading ones of `tokens` whose cells are filled.
    done: usize,
    /// Leading ones of `tokens` that are of the prompt.
    asked: usize,
    /// Tokens of the prompt as it came.
    prompt_tokens: usize,
    /// Leading tokens of the prompt whose cells were filled when the turn first came.
    cached: usize,
    /// The sampled token that the next step evaluates.
    next: Option<Token>,
    clock: Clock,
    /// For how long its answer was held back for the prompts of others.
    held: Duration,
    /// Tokens at the start of the answer that have given way to the rest of it.
    forgotten: usize,
    /// How often something gave way to its answer, and how many turns.
    shifts: usize,
    turns_dropped: usize,
    /// Its caller has some of its text.
    told: bool,
    /// The file of its saved cells that is read for it.
    fetch: RefCell<Option<Fetch>>,
}

/// When what happened.
#[derive(Default)]
struct Clock {
    first_step: Option<Instant>,
    /// How long it may run from then on.
    limit: Option<Duration>,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
    /// Between the last two tokens, until somebody asks.
    gap: Option<Duration>,
    /// Time that choosing tokens and judging their text took.
    sampling: Duration,
    /// Since when it waits for a slot again.
    parked: Option<Instant>,
    /// Time that it waited for a slot again.
    waited: Duration,
}

impl Work {
    /// A turn of which nothing has been done.
    pub(super) fn new(mut job: Job) -> Work {
        let tokens = std::mem::take(&mut job.turn.tokens);
        Work {
            done: 0,
            asked: tokens.len(),
            prompt_tokens: tokens.len(),
            tokens,
            cached: 0,
            next: None,
            clock: Clock::default(),
            held: Duration::ZERO,
            forgotten: 0,
            shifts: 0,
            turns_dropped: 0,
            told: false,
            fetch: RefCell::default(),
            job,
        }
    }

    /// Tokens that its cells must hold before the next one is sampled.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Most tokens that the answer may still have in a context of `capacity`.
    pub(super) fn answer_room(&self, capacity: usize) -> usize {
        let room = capacity.saturating_sub(self.tokens.len());
        let limit = self.job.turn.speech.rules().token_limit().unwrap_or(room);
        limit.saturating_sub(self.completion()).min(room)
    }

    /// Most tokens that the answer may have altogether in a context of `capacity`, with what gives way to it.
    fn reach(&self, capacity: usize) -> usize {
        let room = self.answer_room(capacity);
        let limit = self.job.turn.speech.rules().token_limit();
        match (&self.job.turn.past.droppable, limit) {
            (Some(Droppable::Text { .. }), Some(limit)) => limit.saturating_sub(self.completion()),
            (Some(Droppable::Text { .. }), None) => room + MOST_SHIFTS * (capacity / 2),
            _ => room,
        }
    }

    /// Whether the cells that `store` has under `key` can be taken without a file; has the file read where they cannot.
    pub(super) fn fetch(&self, store: &Store, key: Key) -> bool {
        let mut fetch = self.fetch.borrow_mut();
        let is_read = match &*fetch {
            Some(fetch) if !fetch.is_over() => return false,
            Some(fetch) => store.has(fetch),
            None => false,
        };
        if !is_read {
            *fetch = store.fetch(key);
        }
        is_read || fetch.is_none()
    }

    /// What was fetched for it, if anything was.
    pub(super) fn take_fetched(&self) -> Option<Fetch> {
        self.fetch.take()
    }

    /// Whether it waits for a file.
    pub(super) fn is_fetching(&self) -> bool {
        let fetch = self.fetch.borrow();
        fetch.as_ref().is_some_and(|fetch| !fetch.is_over())
    }

    /// Whether it has had a slot before.
    pub(super) fn has_started(&self) -> bool {
        self.clock.parked.is_some() || self.clock.first_step.is_some()
    }

    /// Whether a step has worked for it.
    pub(super) fn has_begun(&self) -> bool {
        self.clock.first_step.is_some()
    }

    /// Whether its caller has received some of its text.
    pub(super) fn has_told(&self) -> bool {
        self.told
    }

    /// It got a slot whose cells hold the first `cached` of its tokens. The first time, the penalties learn the
    /// prompt's tail and the caller hears of it.
    pub(super) fn start(&mut self, cached: usize, now: Instant) -> Result<()> {
        self.done = cached;
        if let Some(since) = self.clock.parked.take() {
            if self.has_begun() {
                self.clock.waited += now.saturating_duration_since(since);
            }
            return Ok(());
        }
        self.cached = cached;
        match self.job.turn.media.is_empty() {
            true => self.job.turn.speech.hear(&self.tokens)?,
            false => {
                // Samplers know the vocabulary only.
                let words = self.tokens.iter().filter(|token| token.0 >= 0);
                let words: Vec<Token> = words.copied().collect();
                self.job.turn.speech.hear(&words)?;
            }
        }
        self.send(Piece::Started {
            cached_tokens: cached,
        });
        Ok(())
    }

    /// It lost its slot: what was sampled must be in its cells before it goes on.
    pub(super) fn park(&mut self, now: Instant) {
        self.evaluate_again(0);
        self.clock.parked = Some(now);
    }

    /// The cells that it found were lost after all.
    pub(super) fn restart(&mut self) {
        self.evaluate_again(0);
        if self.completion() == 0 {
            self.cached = 0;
        }
    }

    /// Its cells hold the first `done` of its tokens, and the answer so far is part of these.
    fn evaluate_again(&mut self, done: usize) {
        let answered = self.tokens.len() - self.asked;
        self.tokens
            .extend_from_slice(&self.job.turn.speech.sampled()[self.forgotten + answered..]);
        self.next = None;
        self.done = done;
    }

    /// Its cells hold the first `done` of its tokens after all, which another turn has evaluated.
    pub(super) fn skip(&mut self, done: usize) {
        if self.clock.waited.is_zero() && self.completion() == 0 {
            let most = self.prompt_tokens.saturating_sub(1);
            self.cached = (self.cached + done.saturating_sub(self.done)).min(most);
        }
        self.done = done;
    }

    /// What would give way next, as cells of its sequence; `None` where nothing may.
    pub(super) fn droppable(&self) -> Option<Range<usize>> {
        let rules = self.job.turn.speech.rules();
        let range = match self.job.turn.past.droppable.as_ref()? {
            Droppable::Turns {
                kept,
                ends,
                at_least,
            } => {
                let all = ends.last()?.saturating_sub(*kept);
                let at_least = match at_least {
                    0 => all / 2,
                    n => *n,
                };
                let end = ends.iter().find(|end| **end - kept >= at_least);
                *kept..*end.or(ends.last())?
            }
            Droppable::Text { kept, at_once } => {
                // The last token that was sampled may have no cell.
                let held = (self.asked + self.completion()).saturating_sub(self.forgotten + 1);
                let all = held.saturating_sub(*kept);
                // What stays may be evaluated again: the next time must not come after a few tokens. And half of it
                // stays, so that the answer knows what it goes on with.
                let count = match at_once {
                    0 => all / 2,
                    n => (*n).max(all / 4).max(LEAST).min(all / 2),
                };
                *kept..kept + count
            }
        };
        let is_bounded = matches!(self.job.turn.past.droppable, Some(Droppable::Text { .. }))
            && rules.token_limit().is_some();
        let may = is_bounded || self.shifts < MOST_SHIFTS;
        (may && !range.is_empty()).then_some(range)
    }

    /// These cells gave way. `moved`: those of what follows are where they belong; otherwise `filled` are left, and the
    /// others are filled again.
    pub(super) fn drop_cells(&mut self, range: &Range<usize>, moved: bool, filled: usize) {
        self.shifts += 1;
        if let Some(Droppable::Turns { ends, .. }) = &mut self.job.turn.past.droppable {
            let gone = ends.partition_point(|&end| end <= range.end);
            ends.drain(..gone);
            ends.iter_mut().for_each(|end| *end -= range.len());
            self.turns_dropped += gone;
        }
        let of_prompt = range.start..range.end.clamp(range.start, self.asked.max(range.start));
        self.forgotten += range.len() - of_prompt.len();
        self.asked -= of_prompt.len();
        let listed = range.start..range.end.min(self.tokens.len());
        self.tokens.drain(listed.clone());
        match moved {
            true => self.done -= listed.len(),
            false => self.evaluate_again(filled),
        }
    }

    /// The sampled token that waits for its evaluation; `None` while tokens before it do.
    pub(super) fn decode_token(&self) -> Option<Token> {
        self.next
    }

    /// Tokens that are still to be evaluated before one is sampled.
    pub(super) fn prefill_rest(&self) -> &[Token] {
        &self.tokens[self.done..]
    }

    /// Those of them that are text, up to the next image; none once the prompt is evaluated.
    pub(super) fn text_rest(&self) -> &[Token] {
        if self.next.is_some() {
            return &[];
        }
        let end = self.job.turn.media.text_end(self.done);
        &self.tokens[self.done..end.unwrap_or(self.tokens.len())]
    }

    /// The embeddings that are next, from that index on; `None` where text is.
    pub(super) fn image_rest(&self) -> Option<(&Rows, usize)> {
        match self.next {
            Some(_) => None,
            None => self.job.turn.media.at(self.done),
        }
    }

    /// Those of them that one call evaluates where calls have the same shapes whatever happens: up to `piece` of the
    /// prompt, or one of an answer whose cells were lost.
    pub(super) fn fixed_piece(&self, piece: usize) -> usize {
        self.asked.saturating_sub(self.done).clamp(1, piece)
    }

    /// What it would have of the next step.
    pub(super) fn next(&self, class: Class) -> Next {
        let Turn {
            stream,
            speech,
            deadlines,
            ..
        } = &self.job.turn;
        match self.next {
            Some(_) => Next::Answer {
                urgent: *stream || speech.rules().is_timed() || deadlines.hard.is_some(),
                class,
                held: self.held,
            },
            None => Next::Prompt {
                rest: self.prefill_rest().len(),
                class,
            },
        }
    }

    /// A step of this length went by without its answer.
    pub(super) fn hold(&mut self, time: Duration) {
        self.held += time;
    }

    /// Time that it had a slot, from its first step.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        let since = |t: Instant| now.saturating_duration_since(t);
        let Some(first_step) = self.clock.first_step else {
            return Duration::ZERO;
        };
        let waiting = self.clock.parked.map_or(Duration::ZERO, since);
        since(first_step).saturating_sub(self.clock.waited + waiting)
    }

    /// Whether the soft limit passed before any text.
    pub(super) fn is_out_of_time(&self, now: Instant) -> bool {
        self.job.turn.speech.is_out_of_time(self.elapsed(now))
    }

    /// Marks the start of the first step that works for it, in a context of `capacity`.
    pub(super) fn begin(&mut self, now: Instant, capacity: usize) {
        if self.has_begun() {
            return;
        }
        self.clock.first_step = Some(now);
        self.clock.limit = match &self.job.turn.deadlines.hard {
            None => None,
            Some(HardLimit::Fixed(limit)) => Some(*limit),
            Some(HardLimit::Adaptive(adaptive, speed)) => {
                let (prompt, answer) = (self.prefill_rest().len(), self.reach(capacity));
                Some(deadline::limit(adaptive, prompt, answer, speed))
            }
        };
    }

    /// How long it may run, once it has begun.
    pub(super) fn hard_limit(&self) -> Option<Duration> {
        self.clock.limit
    }

    /// `count` tokens were evaluated.
    pub(super) fn advance(&mut self, count: usize) {
        if count > 0 && self.next.take().is_none() {
            self.done += count;
        }
    }

    /// Samples from entry `output` of the step, streams the text that may leave and says whether the turn ends.
    ///
    /// `room`: whether the context can take one more token.
    pub(super) fn sample(
        &mut self,
        context: &Context,
        output: usize,
        vocab: &Vocab,
        room: bool,
    ) -> Result<Option<Verdict>> {
        let row = context.row(output)?;
        let now = Instant::now();
        let elapsed = self.elapsed(now);
        self.clock.first_token.get_or_insert(now);
        let before = self.clock.last_token.replace(now);
        self.clock.gap = before.map(|before| now.saturating_duration_since(before));
        let speech = &mut self.job.turn.speech;
        let verdict = speech.next(row, vocab, elapsed)?;
        self.next = speech
            .sampled()
            .last()
            .copied()
            .filter(|_| verdict.is_none());
        if let Some(text) = speech.take() {
            self.send_text(text);
        }
        self.clock.sampling += now.elapsed();
        Ok(verdict.or((!room).then_some(Verdict::ContextFull)))
    }

    /// Ends the turn with success and answers.
    pub(super) fn finish(mut self, verdict: Verdict, now: Instant) -> Timings {
        let (verdict, text) = self.job.turn.speech.finish(verdict);
        if let Some(text) = text {
            self.send_text(text);
        }
        let timings = self.timings(now);
        let completion_tokens = self.completion();
        let Job {
            mut turn,
            place,
            answer,
            ..
        } = self.job;
        let said = turn.speech.said();
        let outcome = Outcome {
            text: said.text,
            reasoning: said.reasoning,
            reasoning_tokens: said.reasoning_tokens,
            tokens: said.tokens,
            token_bytes: said.token_bytes,
            odds: said.odds,
            required_missing: said.missing,
            verdict,
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached,
            completion_tokens,
            turns_dropped: self.turns_dropped,
            tokens_dropped: self.prompt_tokens - self.asked + self.forgotten,
            shifts: self.shifts,
            timings,
        };
        drop(place);
        drop(std::mem::take(&mut turn.keeps));
        answer.send(Piece::Done(Box::new(outcome)));
        timings
    }

    /// Answers with an error.
    pub(super) fn fail(self, error: Error) {
        let has_run = self.has_begun();
        self.job.fail(error, has_run);
    }

    /// Prompt tokens that were not in the cache when the turn came.
    pub(super) fn evaluated(&self) -> usize {
        self.prompt_tokens - self.cached
    }

    /// Tokens that were evaluated or sampled for it.
    pub(super) fn effort(&self) -> usize {
        self.done.saturating_sub(self.cached) + self.completion()
    }

    /// How long after the token before it the last one came; once for each.
    pub(super) fn take_gap(&mut self) -> Option<Duration> {
        self.clock.gap.take()
    }

    /// Tokens sampled so far.
    pub(super) fn completion(&self) -> usize {
        self.job.turn.speech.sampled().len()
    }

    /// Where its time went.
    pub(super) fn timings(&self, now: Instant) -> Timings {
        let first_step = self.clock.first_step.unwrap_or(now);
        let first_token = self.clock.first_token.unwrap_or(now);
        Timings {
            queued: first_step.saturating_duration_since(self.job.submitted),
            prefill: first_token.saturating_duration_since(first_step),
            decode: now.saturating_duration_since(first_token),
            sampling: self.clock.sampling,
        }
    }

    fn send_text(&mut self, text: String) {
        if self.job.turn.stream {
            self.told = true;
            let piece = Piece::Text {
                text,
                completion_tokens: self.completion(),
            };
            self.job.answer.send_joined(piece, Piece::join);
        }
    }

    fn send(&self, piece: Piece) {
        self.job.answer.send(piece);
    }
}
