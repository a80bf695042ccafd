//! From a conversation and a new message, or from a raw prompt, to a job: what gives way, the prompt's tokens, the sampler, the stop rules.
//!
//! Runs on a worker; touches no session and waits for nothing.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use super::images;
use super::naming::Terms;
use super::serving::Serving;
use crate::chat::{History, Message, Role, ledger};
use crate::config::{CallSettings, SessionMemory};
use crate::error::{ContextNeed, Error, Result};
use crate::llama::{IMAGE_MARK, Token, Vocab};
use crate::memory::{self, Demand, Fit, Policy};
use crate::models::Seeing;
use crate::reasoning::Splitter;
use crate::sampling::{self, Recipe};
use crate::scheduler::{Droppable, HardLimit, Media, Past};
use crate::stopping::Rules;
use crate::stopping::deadline::Adaptive;

/// What the turn will be committed to.
pub struct Conversation {
    /// The conversation without the turns that give way, and without the new message.
    pub history: History,
    /// The new message, its tokens known.
    pub message: Message,
    /// Past turns at the start that do not give way while the answer grows.
    pub kept: usize,
    /// The seed in use.
    pub seed: u32,
}

/// What the engine thread needs.
pub struct Ready {
    /// The whole prompt.
    pub tokens: Vec<Token>,
    /// Which of them stand for embeddings.
    pub media: Media,
    /// What the turn knows of its conversation.
    pub past: Past,
    /// The sampler chain.
    pub recipe: Recipe,
    /// The stop rules.
    pub rules: Arc<Rules>,
    /// Sorts what the model thinks from its answer, where it may think.
    pub splitter: Option<Splitter>,
    /// The hard limit on the turn's run.
    pub hard_limit: Option<HardLimit>,
}

/// Prepares the turn that `text` opens on `history`, whose conversation has the rules `own` for what gives way.
///
/// Errors: `PromptTooLong` and `ContextFull` with counts; `InvalidArgument` for a grammar, schema or stop pattern that
/// does not compile.
pub fn prepare(
    serving: &Serving,
    mut history: History,
    text: &str,
    settings: &CallSettings,
    own: &SessionMemory,
) -> Result<(Conversation, Ready)> {
    let terms = serving.known.terms(settings, &serving.vocab)?;
    let rules = terms.rules.clone();
    let capacity = serving.engine.capacity();
    let recipe = recipe(settings, &terms, &serving.vocab, capacity)?;
    let policy = Policy::new(&serving.config.memory, own);
    let mut is_trimmed = false;
    loop {
        let mut messages: Vec<Message> = history.messages().cloned().collect();
        messages.push(Message::new(Role::User, text));
        let prompt = ledger::prompt(&serving.template, serving.words(), &mut messages)?;
        let sizes = prompt.sizes(&messages);
        let demand = Demand {
            head: sizes.head,
            turns: &sizes.turns,
            new: sizes.new,
            limit: rules.token_limit(),
            capacity,
        };
        match memory::fit(&demand, &policy) {
            Fit::Fits => {
                let droppable = match prompt.is_exact {
                    true => memory::droppable(&demand, &policy),
                    false => None,
                };
                let past = Past {
                    is_first: history.turns() == 0,
                    tokens: prompt.tokens.len() - sizes.new,
                    // What was removed must not live on in cells that are moved.
                    is_trimmed: is_trimmed && !history.is_edited(),
                    presence: Arc::default(),
                    droppable: droppable.map(|(turns, kept)| Droppable::Turns {
                        kept,
                        ends: ends(kept, &sizes.turns[turns..]),
                        at_least: policy.discard,
                    }),
                };
                let message = messages.pop().expect("the new message was pushed");
                history.learn(messages);
                let conversation = Conversation {
                    history,
                    message,
                    kept: droppable.map_or(0, |(turns, _)| turns),
                    seed: recipe.seed,
                };
                let format = serving.reasoning.clone();
                let ready = Ready {
                    tokens: prompt.tokens,
                    media: Media::default(),
                    past,
                    recipe,
                    rules,
                    splitter: format.map(|format| Splitter::new(format, &prompt.opening)),
                    hard_limit: hard_limit(settings, serving),
                };
                return Ok((conversation, ready));
            }
            Fit::Drop(turns) => {
                log::info!(
                    target: "memory", tag = "MEM",
                    turns = turns.len(), of = sizes.turns.len(), new_tokens = sizes.new, capacity;
                    "old turns give way to a new one"
                );
                history.drop_turns(turns);
                is_trimmed = true;
            }
            // Sizes that are guessed may be wrong: with a turn less the whole is weighed again.
            Fit::PromptTooLong(_) if !prompt.is_exact && policy.drops && history.turns() > 0 => {
                history.drop_turns(0..1);
                is_trimmed = true;
            }
            Fit::PromptTooLong(need) => return Err(Error::PromptTooLong(need)),
            Fit::ContextFull(need) => return Err(Error::ContextFull(need)),
        }
    }
}

/// What is told of a raw turn beside its outcome.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// The seed in use.
    pub seed: u32,
    /// Tokens that left the prompt before it was evaluated.
    pub cut: usize,
}

/// Prepares a turn on a prompt that is its own template text, with `images` where it has marks. `own` says what gives
/// way when it outgrows the context.
///
/// Errors: `PromptTooLong`; `InvalidArgument` for a prompt without a token, a grammar, schema or stop pattern that does
/// not compile.
pub fn prepare_raw(
    serving: &Serving,
    text: &str,
    images: &[Seeing],
    settings: &CallSettings,
    own: &SessionMemory,
) -> Result<(Told, Ready)> {
    let terms = serving.known_raw.terms(settings, &serving.vocab)?;
    let rules = terms.rules.clone();
    let capacity = serving.engine.capacity();
    let recipe = recipe(settings, &terms, &serving.vocab, capacity)?;
    let mut policy = Policy::new(&serving.config.memory, own);
    // Half an image is none.
    let drops = policy.drops && images.is_empty();
    let marks = images.len() * IMAGE_MARK.len();
    check_length(serving, text.len().saturating_sub(marks), drops)?;
    let deterministic = settings.sampling.deterministic;
    let images::Tokens { mut tokens, media } =
        images::tokens(serving, text, images, deterministic)?;
    if text.is_empty() || tokens.is_empty() {
        return Err(Error::InvalidArgument("the prompt is empty".into()));
    }
    let begins = serving.vocab.add_bos() && tokens.first() == serving.vocab.bos().as_ref();
    // Whatever gives way, the beginning-of-text token does not: models answer badly without it.
    policy.keep = policy.keep.max(usize::from(begins));
    let surplus = memory::surplus(tokens.len(), &policy, capacity);
    if let Some(range) = surplus.clone() {
        if !drops {
            return Err(Error::PromptTooLong(ContextNeed {
                kept: 0,
                history: 0,
                new: tokens.len(),
                reserve: 1,
                capacity,
            }));
        }
        log::info!(
            target: "memory", tag = "MEM",
            tokens = range.len(), of = tokens.len(), capacity;
            "the middle of a prompt gives way"
        );
        tokens.drain(range);
    }
    let past = Past {
        // Its conversation is the caller's: nothing is known of what came before.
        is_first: false,
        tokens: 0,
        is_trimmed: surplus.is_some(),
        presence: Arc::default(),
        droppable: drops.then_some(Droppable::Text {
            kept: policy.keep.min(capacity / 2).min(tokens.len()),
            at_once: policy.discard,
        }),
    };
    let told = Told {
        seed: recipe.seed,
        cut: surplus.map_or(0, |range| range.len()),
    };
    let ready = Ready {
        tokens,
        media,
        past,
        recipe,
        rules,
        // A raw prompt's answer is as raw.
        splitter: None,
        hard_limit: hard_limit(settings, serving),
    };
    Ok((told, ready))
}

/// Prompts beyond this many contexts are not looked at for what of them would stay.
const MOST_CONTEXTS: usize = 16;

/// Refuses a text of so many bytes where that is far too long, before the time for its tokens is spent. Errors: `PromptTooLong`.
fn check_length(serving: &Serving, bytes: usize, drops: bool) -> Result<()> {
    let capacity = serving.engine.capacity();
    let contexts = if drops { MOST_CONTEXTS } else { 1 };
    let least = bytes / serving.longest_token.max(1);
    match least > capacity.saturating_mul(contexts) {
        false => Ok(()),
        true => Err(Error::PromptTooLong(ContextNeed {
            kept: 0,
            history: 0,
            new: least,
            reserve: 1,
            capacity,
        })),
    }
}

/// Where turns of these sizes end, the first of which begins at `start`.
fn ends(start: usize, sizes: &[usize]) -> Vec<usize> {
    let end = |at: &mut usize, size: &usize| {
        *at += size;
        Some(*at)
    };
    sizes.iter().scan(start, end).collect()
}

/// The sampler chain of a call; its grammar sleeps where triggers are to wake it.
///
/// Errors: `InvalidArgument` for a grammar or schema that does not compile.
pub fn recipe(
    settings: &CallSettings,
    terms: &Terms,
    vocab: &Vocab,
    capacity: usize,
) -> Result<Recipe> {
    let mut sampling = settings.sampling.clone();
    sampling.logit_bias.extend_from_slice(&terms.never);
    let mut recipe = sampling::recipe(&sampling, vocab, entropy(), capacity)?;
    if terms.rules.is_lazy() {
        recipe.sampler.sleep();
    }
    Ok(recipe)
}

fn hard_limit(settings: &CallSettings, serving: &Serving) -> Option<HardLimit> {
    let timeout = settings.stopping.timeout_config.as_ref()?;
    if !timeout.adaptive_timeout {
        return Some(HardLimit::Fixed(timeout.max_inference_time));
    }
    let adaptive = Adaptive {
        max: timeout.max_inference_time,
        min: timeout.min_timeout,
        multiplier: timeout.timeout_multiplier.into(),
    };
    Some(HardLimit::Adaptive(
        adaptive,
        serving.engine.stats().pace.speed(),
    ))
}

/// A seed from the hasher's per-process random keys; never llama.cpp's "random" value, so that it can be reported.
fn entropy() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    (random >> 32) as u32 % (u32::MAX - 1)
}
