//! From a conversation and a new message to a job: what gives way, the prompt's tokens, the sampler, the stop rules.
//!
//! Runs on a worker; touches no session and waits for nothing.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::serving::Serving;
use crate::chat::{History, Message, Role, ledger};
use crate::config::{CallSettings, TokenLimit};
use crate::error::{Error, Result};
use crate::llama::{Sampler, Token, Vocab};
use crate::memory::{self, Demand, Fit};
use crate::sampling;
use crate::stopping::Rules;

/// What the turn will be committed to.
pub struct Conversation {
    /// The conversation without the turns that give way, and without the new message.
    pub history: History,
    /// The new message, its tokens known.
    pub message: Message,
    /// The seed in use.
    pub seed: u32,
}

/// What the engine thread needs.
pub struct Ready {
    /// The whole prompt.
    pub tokens: Vec<Token>,
    /// The sampler chain.
    pub sampler: Sampler,
    /// How many tokens at the prompt's end the penalties look back on.
    pub penalty_window: usize,
    /// The stop rules.
    pub rules: Arc<Rules>,
    /// The hard limit on the turn's run.
    pub hard_limit: Option<Duration>,
}

/// Prepares the turn that `text` opens on `history`.
///
/// Errors: `PromptTooLong` and `ContextFull` with counts; `InvalidArgument` for a grammar, schema or stop pattern that
/// does not compile.
pub fn prepare(
    serving: &Serving,
    mut history: History,
    text: &str,
    settings: &CallSettings,
) -> Result<(Conversation, Ready)> {
    check_tokens(settings, &serving.vocab)?;
    let rules = Arc::new(rules(settings, &serving.vocab)?);
    let capacity = serving.engine.capacity();
    let recipe = sampling::recipe(&settings.sampling, &serving.vocab, entropy(), capacity)?;
    loop {
        let mut messages: Vec<Message> = history.messages().cloned().collect();
        messages.push(Message::new(Role::User, text));
        let prompt = ledger::prompt(
            &serving.template,
            &serving.vocab,
            serving.graph.0,
            &mut messages,
        )?;
        let sizes = prompt.sizes(&messages);
        let demand = Demand {
            head: sizes.head,
            turns: &sizes.turns,
            new: sizes.new,
            limit: rules.token_limit(),
            capacity,
        };
        match memory::fit(&demand, &serving.config.memory) {
            Fit::Fits => {
                let message = messages.pop().expect("the new message was pushed");
                history.learn(messages);
                let conversation = Conversation {
                    history,
                    message,
                    seed: recipe.seed,
                };
                let ready = Ready {
                    tokens: prompt.tokens,
                    sampler: recipe.sampler,
                    penalty_window: recipe.penalty_window,
                    rules,
                    hard_limit: hard_limit(settings),
                };
                return Ok((conversation, ready));
            }
            Fit::Drop(turns) => {
                log::info!(
                    target: "memory",
                    "{} of {} turns give way to a turn of {} tokens in a context of {capacity}",
                    turns.len(), sizes.turns.len(), sizes.new
                );
                history.drop_turns(turns);
            }
            Fit::PromptTooLong(need) => return Err(Error::PromptTooLong(need)),
            Fit::ContextFull(need) => return Err(Error::ContextFull(need)),
        }
    }
}

/// Compiles the stop rules of a call. Errors: `InvalidArgument` naming the pattern.
pub fn rules(settings: &CallSettings, vocab: &Vocab) -> Result<Rules> {
    let stop_tokens = settings
        .stopping
        .stop_tokens
        .iter()
        .filter_map(|reference| sampling::resolve(reference, vocab))
        .map(|token| token.0)
        .collect();
    let limit = match settings.token_limit() {
        TokenLimit::UntilFull => None,
        TokenLimit::AtMost(n) => Some(n as usize),
    };
    Rules::compile(&settings.stopping, stop_tokens, limit).map_err(Error::InvalidArgument)
}

/// Tokens that the settings name and the model lacks are skipped, or refused under `strict`.
fn check_tokens(settings: &CallSettings, vocab: &Vocab) -> Result<()> {
    let biased = settings.sampling.logit_bias.iter().map(|(token, _)| token);
    let named = biased.chain(&settings.stopping.stop_tokens);
    match sampling::unresolved(named, vocab) {
        None => Ok(()),
        Some(text) if settings.strict => Err(Error::InvalidArgument(text)),
        Some(text) => {
            log::warn!(target: "sampling", "{text}, skipped");
            Ok(())
        }
    }
}

fn hard_limit(settings: &CallSettings) -> Option<Duration> {
    let timeout = settings.stopping.timeout_config.as_ref()?;
    Some(timeout.max_inference_time)
}

/// A seed from the hasher's per-process random keys; never llama.cpp's "random" value, so that it can be reported.
fn entropy() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 32) as u32 % (u32::MAX - 1)
}
