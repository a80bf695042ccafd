//! An answer as it is spoken: which token comes next, what it is as text, and whether the rules end the turn with it.
//!
//! What the model thinks before it answers is kept apart: no rule about text sees it, and a grammar begins behind it.
//! Works on rows of logits; does not know where they come from, who waits for the text, or what time it is.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::llama::{DEAD_END_TEXT, Token, Vocab};
use crate::reasoning::{Part, Splitter};
use crate::sampling::{self, Odds, Recipe};
use crate::stopping::{Rules, Verdict, Watch};

/// The answer of one turn as far as it has come, with its own sampler chain.
pub struct Speech {
    recipe: Recipe,
    rules: Arc<Rules>,
    watch: Watch,
    /// Sorts thoughts out, where the model may have some.
    splitter: Option<Splitter>,
    /// A grammar waits for the answer to begin.
    grammar_waits: bool,
    sampled: Vec<Token>,
    /// Which of `sampled` are of the answer, as far as it is decided.
    of_answer: Vec<bool>,
    /// The token that ended the thought and began the answer, with its bytes that are no part of the answer.
    torn: Option<(usize, usize)>,
    odds: Vec<Odds>,
    /// Kept between tokens: one allocation per turn.
    bytes: Vec<u8>,
    banned: Vec<Token>,
}

/// An answer that has ended.
pub(super) struct Said {
    /// All text after all cuts.
    pub(super) text: String,
    /// What the model thought before it.
    pub(super) reasoning: Option<String>,
    /// Sampled tokens that were no part of the answer.
    pub(super) reasoning_tokens: usize,
    /// Sampled tokens whose bytes lie whole inside `text`.
    pub(super) tokens: Vec<Token>,
    /// Bytes of `text` that they make up.
    pub(super) token_bytes: usize,
    /// How likely each of them was, where that was asked for.
    pub(super) odds: Vec<Odds>,
    /// Required tokens that did not appear.
    pub(super) missing: Vec<String>,
}

impl Speech {
    /// An empty answer.
    pub fn new(recipe: Recipe, rules: Arc<Rules>) -> Speech {
        Speech {
            recipe,
            watch: Watch::new(rules.clone()),
            rules,
            splitter: None,
            grammar_waits: false,
            sampled: Vec::new(),
            of_answer: Vec::new(),
            torn: None,
            odds: Vec::new(),
            bytes: Vec::new(),
            banned: Vec::new(),
        }
    }

    /// The same of a model that may think before it answers, which `splitter` sorts out. Before the first token.
    pub fn sorted_by(mut self, splitter: Option<Splitter>) -> Speech {
        self.grammar_waits = splitter.is_some() && self.recipe.sampler.is_constrained();
        self.splitter = splitter;
        self
    }

    /// When it ends.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The tokens chosen so far, an end token included.
    pub(super) fn sampled(&self) -> &[Token] {
        &self.sampled
    }

    /// Tells the penalties about the prompt that it answers.
    pub(super) fn hear(&mut self, prompt: &[Token]) -> Result<()> {
        let tail = prompt.len().saturating_sub(self.recipe.penalty_window);
        let sampler = &mut self.recipe.sampler;
        prompt[tail..]
            .iter()
            .try_for_each(|&token| sampler.accept(token))
    }

    /// Whether the soft time limit passed before any text.
    pub(super) fn is_out_of_time(&self, elapsed: Duration) -> bool {
        self.watch.is_out_of_time(elapsed)
    }

    /// Chooses the next token by its row of logits; `Some` ends the answer.
    pub(super) fn next(
        &mut self,
        row: &[f32],
        vocab: &Vocab,
        elapsed: Duration,
    ) -> Result<Option<Verdict>> {
        let is_free = !self.grammar_waits && !self.recipe.sampler.is_constrained();
        let is_thinking = self.splitter.as_ref().is_some_and(Splitter::is_thinking);
        let threshold = self.watch.confidence();
        if let Some(threshold) = threshold.filter(|_| is_free && !is_thinking) {
            let mass = sampling::mass(row, vocab.eog_tokens());
            if mass >= threshold {
                return Ok(Some(Verdict::Complete(mass)));
            }
        }
        let token = match self.choose(row, vocab) {
            Ok(token) => token,
            Err(error) if is_dead_end(&error) => return Ok(Some(Verdict::GrammarDeadEnd)),
            Err(error) => return Err(error),
        };
        self.sampled.push(token);
        self.of_answer.push(self.splitter.is_none());
        if let Some(verdict) = self.watch.token(token.0, vocab.is_eog(token)) {
            return Ok(Some(verdict));
        }
        if self.recipe.alternatives > 0 {
            self.odds
                .push(sampling::odds(row, token, self.recipe.alternatives));
        }
        self.bytes.clear();
        vocab.piece(token, &mut self.bytes)?;
        if self.splitter.is_some() {
            return self.sort(token, vocab, elapsed);
        }
        let verdict = self.watch.piece(token.0, &self.bytes, elapsed);
        match verdict {
            None => self.listen(token, vocab),
            verdict => Ok(verdict),
        }
    }

    /// Judges the last token, the text of which is at hand, where the model may think.
    fn sort(&mut self, token: Token, vocab: &Vocab, elapsed: Duration) -> Result<Option<Verdict>> {
        let splitter = self.splitter.as_mut();
        let part = splitter.map(|splitter| splitter.feed(token.0, &self.bytes));
        let Some(Part::Answer {
            text,
            held,
            is_whole,
        }) = part
        else {
            return Ok(self.watch.piece(token.0, &[], elapsed));
        };
        self.begin(&held, text.len(), is_whole);
        if let Some(verdict) = self.watch.piece(token.0, &text, elapsed) {
            return Ok(Some(verdict));
        }
        match std::mem::take(&mut self.grammar_waits) {
            // The thought ended inside the token, which begins the answer.
            true => self.wake(&text, &[]),
            false => self.listen(token, vocab),
        }
    }

    /// Text that may leave now.
    pub(super) fn take(&mut self) -> Option<String> {
        self.watch.take()
    }

    /// Ends the answer; why it ended, and the text that was held back.
    pub(super) fn finish(&mut self, verdict: Verdict) -> (Verdict, Option<String>) {
        let held = self.splitter.as_mut().map(Splitter::finish);
        if let Some(Part::Answer { text, held, .. }) = held {
            // What ends the answer has a token of its own, behind those that were held, unless nothing was sampled then.
            let last = self.sampled.len() - usize::from(self.watch.tokens() < self.sampled.len());
            self.own(last - held.len()..last);
            let stop = self.watch.end_with(&held, &text);
            let verdict = self.watch.finish(stop.unwrap_or(verdict));
            return (verdict, self.watch.take());
        }
        let verdict = self.watch.finish(verdict);
        (verdict, self.watch.take())
    }

    /// What was said; after `finish`.
    pub(super) fn said(self) -> Said {
        let (whole, token_bytes) = self.watch.whole_tokens();
        let is_said = |at: usize| at < whole && self.of_answer[at];
        let tokens: Vec<Token> = (0..whole)
            .filter(|&at| is_said(at))
            .map(|at| self.sampled[at])
            .collect();
        let odds = self.odds.into_iter().enumerate();
        let odds = odds.filter(|(at, _)| is_said(*at)).map(|(_, odds)| odds);
        let reasoning = self.splitter.as_ref().and_then(Splitter::thought);
        let hidden = self.of_answer.iter().filter(|of| !**of).count();
        Said {
            text: self.watch.answer().to_owned(),
            reasoning_tokens: match reasoning {
                Some(_) => hidden,
                None => 0,
            },
            reasoning,
            odds: odds.collect(),
            // Tokens that say more than the answer are none of it.
            token_bytes: if self.torn.is_some() { 0 } else { token_bytes },
            tokens,
            missing: self.watch.missing(),
        }
    }

    /// The last token is of the answer, with those that were held before it: they are `length` bytes of it.
    fn begin(&mut self, held: &[usize], length: usize, is_whole: bool) {
        let last = self.sampled.len() - 1;
        if !is_whole {
            let shown = length - held.iter().sum::<usize>();
            self.torn = Some((last, self.bytes.len() - shown));
        }
        self.own(last - held.len()..last);
        // A token without a text is the template's to write.
        self.of_answer[last] = !self.bytes.is_empty();
        self.watch.release(held);
    }

    /// These tokens are of the answer.
    fn own(&mut self, range: std::ops::Range<usize>) {
        self.of_answer[range].fill(true);
    }

    fn choose(&mut self, row: &[f32], vocab: &Vocab) -> Result<Token> {
        self.banned.clear();
        self.banned.extend(self.watch.forbidden().map(Token));
        if self.watch.is_waiting() {
            self.banned.extend_from_slice(vocab.eog_tokens());
        }
        if !self.grammar_waits {
            return self.recipe.sampler.sample(row, &self.banned);
        }
        match self.splitter.as_ref().is_some_and(Splitter::is_thinking) {
            true => {
                self.recipe.sampler.sleep();
                self.recipe.sampler.sample(row, &self.banned)
            }
            false => self.choose_at_border(row, vocab),
        }
    }

    /// Where the answer may begin while a grammar waits for it: what opens a thought, names a message or is blank passes.
    /// Whatever else the model would say is the grammar's to choose.
    fn choose_at_border(&mut self, row: &[f32], vocab: &Vocab) -> Result<Token> {
        let sampler = &mut self.recipe.sampler;
        let mut free = sampler.try_clone()?;
        free.sleep();
        let token = free.sample(row, &self.banned)?;
        self.bytes.clear();
        vocab.piece(token, &mut self.bytes)?;
        let splitter = self.splitter.as_ref();
        let waits = splitter.is_some_and(|s| s.would_wait(token.0, &self.bytes));
        if waits && !vocab.is_eog(token) {
            *sampler = free;
            return Ok(token);
        }
        self.grammar_waits = false;
        if let Some(splitter) = &mut self.splitter {
            splitter.begin_answer();
        }
        if !sampler.is_constrained() {
            sampler.wake(&[], &[])?;
        }
        sampler.sample(row, &self.banned)
    }

    /// Wakes a grammar that sleeps, if the text so far is what it waits for.
    fn listen(&mut self, token: Token, vocab: &Vocab) -> Result<Option<Verdict>> {
        let Some(wake) = self.watch.wake(token.0) else {
            return Ok(None);
        };
        let (mut head, mut seen) = (Vec::new(), Vec::new());
        for (at, &token) in self.sampled.iter().enumerate().skip(wake.token) {
            self.bytes.clear();
            vocab.piece(token, &mut self.bytes)?;
            let hidden = self.torn.filter(|(torn, _)| *torn == at);
            let skip = wake.skip + hidden.map_or(0, |(_, bytes)| bytes);
            if at == wake.token && skip > 0 {
                head.extend_from_slice(self.bytes.get(skip..).unwrap_or(&[]));
            } else if at == wake.token || !self.bytes.is_empty() {
                // Control tokens that stand within the trigger's text are no part of it.
                seen.push(token);
            }
        }
        self.wake(&head, &seen)
    }

    fn wake(&mut self, head: &[u8], seen: &[Token]) -> Result<Option<Verdict>> {
        match self.recipe.sampler.wake(head, seen) {
            Ok(()) => Ok(None),
            Err(error) if is_dead_end(&error) => Ok(Some(Verdict::GrammarDeadEnd)),
            Err(error) => Err(error),
        }
    }
}

fn is_dead_end(error: &Error) -> bool {
    matches!(error, Error::Engine(reason) if reason.starts_with(DEAD_END_TEXT))
}

#[cfg(test)]
mod tests;
