//! A chain of samplers that ends in a choice, with an optional grammar beside it.
//!
//! The only maker of chains: every number that llama.cpp would assert on, loop over or sort by is checked here. Knows
//! no configuration: which stages there are and in which order is decided above.

mod stage;

use std::ptr::NonNull;

use crate::error::{Error, Result};

use super::ffi::{self, Fault, RawSampler};
use super::grammar::{self, Matcher};
use super::greedy::Biases;
use super::{Token, Vocab};

pub(crate) use stage::Stage;

/// A chain of samplers with its state: penalty windows, random generators, the grammar's position. `Send`.
#[derive(Debug)]
pub(crate) struct Sampler {
    raw: NonNull<RawSampler>,
    /// The chain only adds biases, by token, and chooses the best.
    plain: Option<Biases>,
    grammar: Option<Matcher>,
    /// The grammar is awake.
    is_constrained: bool,
    /// DRY points into it.
    vocab: Vocab,
}

// SAFETY: no stage has ties to the thread that made it; the vocabulary that some read is immutable.
unsafe impl Send for Sampler {}

impl Sampler {
    /// Makes a chain from `stages`, in their order. Any thread; DRY breakers cost a walk over the vocabulary each.
    ///
    /// Errors: `InvalidArgument` for a chain that does not end in its one choosing stage, a number out of range, a token
    /// outside the vocabulary, or a grammar that does not parse, with the line and the reason.
    pub(crate) fn new(vocab: &Vocab, stages: &[Stage]) -> Result<Sampler> {
        let choosing = stages.iter().filter(|stage| stage.chooses()).count();
        let last = stages
            .iter()
            .rfind(|stage| !matches!(stage, Stage::Grammar(_)));
        if choosing != 1 || !last.is_some_and(Stage::chooses) {
            return Err(Error::InvalidArgument(format!(
                "a sampler chain must end in its one choosing stage, this one has {choosing}"
            )));
        }
        let grammars = stages
            .iter()
            .filter(|stage| matches!(stage, Stage::Grammar(_)))
            .count();
        if grammars > 1 {
            return Err(Error::InvalidArgument(format!(
                "a sampler chain takes one grammar, this one has {grammars}"
            )));
        }
        for stage in stages {
            stage.check(vocab)?;
        }
        let mut raw = std::ptr::null_mut();
        ffi::guarded(|err, cap| {
            // SAFETY: the vocabulary lives as long as `vocab`, which the sampler keeps; `raw` is written on success.
            unsafe { ffi::engine_sampler_new(vocab.as_ptr(), &mut raw, err, cap) }
        })
        .map_err(|fault| fault.during("sampler"))?;
        let mut sampler = Sampler::own(raw, Biases::alone(stages), vocab)?;
        for stage in stages {
            match stage {
                Stage::Grammar(text) => {
                    sampler.grammar = Some(grammar::matcher(vocab, text)?);
                    sampler.is_constrained = true;
                }
                stage => sampler.add(stage)?,
            }
        }
        Ok(sampler)
    }

    fn own(raw: *mut RawSampler, plain: Option<Biases>, vocab: &Vocab) -> Result<Sampler> {
        let raw = NonNull::new(raw).ok_or_else(|| Error::Internal("no sampler was made".into()))?;
        let vocab = vocab.clone();
        Ok(Sampler {
            raw,
            plain,
            grammar: None,
            is_constrained: false,
            vocab,
        })
    }

    fn add(&self, stage: &Stage) -> Result<()> {
        stage.with_raw(|raw| {
            ffi::guarded(|err, cap| {
                // SAFETY: the sampler is valid; the stage and what it points to outlive the call, which copies them.
                unsafe { ffi::engine_sampler_add(self.raw.as_ptr(), raw, err, cap) }
            })
            .map_err(|fault| fault.during("sampler"))
        })
    }

    /// A chain with the same stages and the same state.
    pub(crate) fn try_clone(&self) -> Result<Sampler> {
        let mut raw = std::ptr::null_mut();
        ffi::guarded(|err, cap| {
            // SAFETY: the sampler is valid; `raw` is written on success only.
            unsafe { ffi::engine_sampler_clone(self.raw.as_ptr(), &mut raw, err, cap) }
        })
        .map_err(|fault| fault.during("clone sampler"))?;
        let mut copy = Sampler::own(raw, self.plain.clone(), &self.vocab)?;
        copy.grammar = self.grammar.clone();
        copy.is_constrained = self.is_constrained;
        Ok(copy)
    }

    /// Chooses a token from a row of logits, one per token of the vocabulary, and accepts it. None of `banned` is
    /// chosen.
    ///
    /// The caller must not `accept` it again. With a grammar the token is chosen without it first; only one that the
    /// grammar rejects costs a second choice, over the tokens that it allows.
    ///
    /// Errors: `Engine` beginning with `bad logits` where the row holds a value that is not a number or is infinite (the
    /// whole row is looked at, and again after stages that can overflow), with `dead end` where no token is left;
    /// `InvalidArgument` for a row of another model, and where the grammar can read the text so far in more ways than one
    /// choice may look at.
    pub(crate) fn sample(&mut self, logits: &[f32], banned: &[Token]) -> Result<Token> {
        if logits.len() != self.vocab.n_tokens() {
            return Err(Error::InvalidArgument(format!(
                "{} logits for a vocabulary of {}",
                logits.len(),
                self.vocab.n_tokens()
            )));
        }
        for token in banned {
            self.vocab.check(*token)?;
        }
        if let Some(biases) = self.plain.as_ref().filter(|_| banned.is_empty()) {
            return biases.best(logits);
        }
        let raw = self.raw.as_ptr();
        let mut token = choose(raw, logits, banned, None)?;
        let grammar = self.grammar.as_mut().filter(|_| self.is_constrained);
        if let Some(grammar) = grammar {
            grammar.begin()?;
            // Testing one token is cheap, marking a whole vocabulary is not: only a rejected choice pays for it.
            if !grammar.allows(token.0)? {
                token = choose(raw, logits, banned, Some(grammar.allowed()?))?;
            }
            if !grammar.accept(token.0)? {
                return Err(dead_end("the grammar does not allow what was chosen"));
            }
        }
        self.accept(token)?;
        Ok(token)
    }

    /// Whether a grammar constrains the next choice.
    pub(crate) fn is_constrained(&self) -> bool {
        self.is_constrained
    }

    /// Puts the grammar to sleep: until `wake` it constrains nothing. Before the first token.
    pub(crate) fn sleep(&mut self) {
        self.is_constrained = false;
    }

    /// Wakes the grammar, which is to have seen the bytes `head` and then `tokens`.
    ///
    /// Errors: `Engine` beginning with `dead end` where it does not allow them; as `sample` where they can be read in too
    /// many ways.
    pub(crate) fn wake(&mut self, head: &[u8], tokens: &[Token]) -> Result<()> {
        self.is_constrained = self.grammar.is_some();
        let Some(grammar) = &mut self.grammar else {
            return Ok(());
        };
        grammar.begin()?;
        let mut is_allowed = grammar.accept_text(head)?;
        for token in tokens {
            grammar.begin()?;
            is_allowed = is_allowed && grammar.accept(token.0)?;
        }
        match is_allowed {
            true => Ok(()),
            false => Err(dead_end("the grammar does not allow the text that woke it")),
        }
    }

    /// Tells the stages about a token of the prompt; the grammar, which counts generated tokens only, is left out.
    pub(crate) fn accept(&mut self, token: Token) -> Result<()> {
        self.vocab.check(token)?;
        ffi::guarded(|err, cap| {
            // SAFETY: the sampler is valid and the id is one of its vocabulary.
            unsafe { ffi::engine_sampler_accept(self.raw.as_ptr(), token.0, err, cap) }
        })
        .map_err(|fault| fault.during("accept"))
    }
}

/// Chooses a token that is none of `banned` and one of `allowed`, bits by token, where those are given.
fn choose(
    raw: *mut RawSampler,
    logits: &[f32],
    banned: &[Token],
    allowed: Option<&[u64]>,
) -> Result<Token> {
    let count = i32::try_from(logits.len()).unwrap_or(0);
    let enough = |bits: &&[u64]| bits.len() >= logits.len().div_ceil(64);
    let allowed = allowed.filter(enough);
    let mut token = 0;
    ffi::guarded(|err, cap| {
        // SAFETY: the caller's sampler is valid, the row has `count` values, there is a bit for each, and a `Token` is
        // laid out as its number; `token` is written on success only.
        unsafe {
            ffi::engine_sampler_choose(
                raw,
                logits.as_ptr(),
                count,
                banned.as_ptr().cast(),
                banned.len(),
                allowed.map_or(std::ptr::null(), <[u64]>::as_ptr),
                &mut token,
                err,
                cap,
            )
        }
    })
    .map_err(|fault| fault.during("sample"))?;
    Ok(Token(token))
}

fn dead_end(reason: &str) -> Error {
    Fault::DeadEnd(reason.to_owned()).during("sample")
}

impl Drop for Sampler {
    fn drop(&mut self) {
        // SAFETY: `self` owns the pointer, and the vocabulary that it points into is dropped after it.
        unsafe { ffi::engine_sampler_free(self.raw.as_ptr()) }
    }
}
