//! An answer as it is spoken: which token comes next, what it is as text, and whether the rules end the turn with it.
//!
//! Works on rows of logits; does not know where they come from, who waits for the text, or what time it is.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::llama::{DEAD_END_TEXT, Token, Vocab};
use crate::sampling::{self, Odds, Recipe};
use crate::stopping::{Rules, Verdict, Watch};

/// The answer of one turn as far as it has come, with its own sampler chain.
pub struct Speech {
    recipe: Recipe,
    rules: Arc<Rules>,
    watch: Watch,
    sampled: Vec<Token>,
    odds: Vec<Odds>,
    /// Kept between tokens: one allocation per turn.
    bytes: Vec<u8>,
    banned: Vec<Token>,
}

/// An answer that has ended.
pub(super) struct Said {
    /// All text after all cuts.
    pub(super) text: String,
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
            sampled: Vec::new(),
            odds: Vec::new(),
            bytes: Vec::new(),
            banned: Vec::new(),
        }
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
        let is_free = !self.recipe.sampler.is_constrained();
        if let Some(threshold) = self.watch.confidence().filter(|_| is_free) {
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
        if let Some(verdict) = self.watch.token(token.0, vocab.is_eog(token)) {
            return Ok(Some(verdict));
        }
        if self.recipe.alternatives > 0 {
            self.odds
                .push(sampling::odds(row, token, self.recipe.alternatives));
        }
        self.bytes.clear();
        vocab.piece(token, &mut self.bytes)?;
        let verdict = self.watch.piece(token.0, &self.bytes, elapsed);
        match verdict {
            None => self.listen(token, vocab),
            verdict => Ok(verdict),
        }
    }

    /// Text that may leave now.
    pub(super) fn take(&mut self) -> Option<String> {
        self.watch.take()
    }

    /// Ends the answer; why it ended, and the text that was held back.
    pub(super) fn finish(&mut self, verdict: Verdict) -> (Verdict, Option<String>) {
        let verdict = self.watch.finish(verdict);
        (verdict, self.watch.take())
    }

    /// What was said; after `finish`.
    pub(super) fn said(self) -> Said {
        let (whole, token_bytes) = self.watch.whole_tokens();
        let mut odds = self.odds;
        odds.truncate(whole);
        Said {
            text: self.watch.answer().to_owned(),
            tokens: self.sampled[..whole].to_vec(),
            token_bytes,
            odds,
            missing: self.watch.missing(),
        }
    }

    fn choose(&mut self, row: &[f32], vocab: &Vocab) -> Result<Token> {
        self.banned.clear();
        self.banned.extend(self.watch.forbidden().map(Token));
        if self.watch.is_waiting() {
            self.banned.extend_from_slice(vocab.eog_tokens());
        }
        self.recipe.sampler.sample(row, &self.banned)
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
            if at == wake.token && wake.skip > 0 {
                head.extend_from_slice(self.bytes.get(wake.skip..).unwrap_or(&[]));
            } else if at == wake.token || !self.bytes.is_empty() {
                // Control tokens that stand within the trigger's text are no part of it.
                seen.push(token);
            }
        }
        match self.recipe.sampler.wake(&head, &seen) {
            Ok(()) => Ok(None),
            Err(error) if is_dead_end(&error) => Ok(Some(Verdict::GrammarDeadEnd)),
            Err(error) => Err(error),
        }
    }
}

fn is_dead_end(error: &Error) -> bool {
    matches!(error, Error::Engine(reason) if reason.starts_with(DEAD_END_TEXT))
}
