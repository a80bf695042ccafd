//! What settings name by id or text, as tokens of a model.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::{Bias, CallSettings, Stopping, TokenLimit, TokenRef, Trigger};
use crate::error::{Error, Result};
use crate::llama::{Special, Token, Vocab};
use crate::sampling;
use crate::stopping::{Named, Pattern, Required, Rules};

/// What the settings of a turn say of single tokens and of its end, for one model.
pub struct Terms {
    /// The stop rules.
    pub rules: Arc<Rules>,
    /// The biases of forbidden single tokens.
    pub never: Vec<(TokenRef, Bias)>,
    /// The first token that the settings name and the model lacks, in words.
    pub unresolved: Option<String>,
}

/// The terms of the turns before: most turns have the same settings, and patterns and spellings take time.
#[derive(Default)]
pub struct Known {
    last: Mutex<Option<(Stopping, LogitBias, Arc<Terms>)>>,
    /// A text that ends every answer beside what the settings say.
    end: Option<String>,
}

type LogitBias = Vec<(TokenRef, Bias)>;

impl Known {
    /// Terms of turns that end at `end`, too: the end of an answer in the format of the chat template, where it is no
    /// token.
    pub fn ending_at(end: Option<String>) -> Known {
        Known {
            end,
            ..Known::default()
        }
    }

    /// The terms of `settings`. What they name and the model lacks is skipped and logged, or refused under `strict`.
    ///
    /// Errors: `InvalidArgument` naming the pattern or token.
    pub fn terms(&self, settings: &CallSettings, vocab: &Vocab) -> Result<Arc<Terms>> {
        let (stopping, biases) = (&settings.stopping, &settings.sampling.logit_bias);
        let known = self.last.lock().as_ref().and_then(|(of, with, terms)| {
            let is_same = of == stopping && with == biases;
            is_same.then(|| terms.clone())
        });
        let terms = match known {
            Some(terms) => terms,
            None => {
                let terms = Arc::new(compile(settings, self.end.as_ref(), vocab)?);
                if let Some(text) = terms.unresolved.as_ref().filter(|_| !settings.strict) {
                    log::warn!(target: "sampling", "{text}, skipped");
                }
                *self.last.lock() = Some((stopping.clone(), biases.clone(), terms.clone()));
                terms
            }
        };
        match &terms.unresolved {
            Some(text) if settings.strict => Err(Error::InvalidArgument(text.clone())),
            _ => Ok(terms),
        }
    }
}

fn compile(settings: &CallSettings, end: Option<&String>, vocab: &Vocab) -> Result<Terms> {
    let forbidden = forbidden(settings, vocab);
    let single = |tokens: &Vec<Token>| match tokens.as_slice() {
        [token] => Some((TokenRef::Id(token.0.into()), Bias::Never)),
        _ => None,
    };
    let never = forbidden.iter().filter_map(single).collect();
    let rules = Arc::new(rules(settings, end, forbidden, vocab)?);
    Ok(Terms {
        rules,
        never,
        unresolved: unresolved(settings, vocab),
    })
}

fn rules(
    settings: &CallSettings,
    end: Option<&String>,
    forbidden: Vec<Vec<Token>>,
    vocab: &Vocab,
) -> Result<Rules> {
    let mut stopping = settings.stopping.clone();
    if !stopping.ignore_eos {
        stopping.stop.extend(end.cloned());
    }
    let stopping = &stopping;
    let id = |reference: &TokenRef| sampling::resolve(reference, vocab).map(|token| token.0);
    let required = |reference: &TokenRef| match reference {
        TokenRef::Id(_) => id(reference).map(Required::Token),
        TokenRef::Text(text) => Some(match sampling::resolve(reference, vocab) {
            // Control tokens leave no text to look for.
            Some(token) if vocab.is_control(token) => Required::Token(token.0),
            _ => Required::Text(text.clone()),
        }),
    };
    let trigger = |trigger: &Trigger| match trigger {
        Trigger::Word(text) => Some(Pattern::Word(text.clone())),
        Trigger::Pattern(text) => Some(Pattern::Anywhere(text.clone())),
        Trigger::PatternFull(text) => Some(Pattern::Full(text.clone())),
        Trigger::Token(reference) => id(reference).map(Pattern::Token),
    };
    let sequences = forbidden.into_iter().filter(|tokens| tokens.len() > 1);
    let named = Named {
        stop_tokens: stopping.stop_tokens.iter().filter_map(id).collect(),
        token_limit: match settings.token_limit() {
            TokenLimit::UntilFull => None,
            TokenLimit::AtMost(n) => Some(n as usize),
        },
        forbidden: sequences
            .map(|tokens| tokens.iter().map(|t| t.0).collect())
            .collect(),
        required: stopping
            .token_filters
            .required_tokens
            .iter()
            .filter_map(required)
            .collect(),
        triggers: stopping
            .grammar_triggers
            .iter()
            .filter_map(trigger)
            .collect(),
    };
    Rules::compile(stopping, named).map_err(Error::InvalidArgument)
}

fn unresolved(settings: &CallSettings, vocab: &Vocab) -> Option<String> {
    let stopping = &settings.stopping;
    let filters = &stopping.token_filters;
    let by_id = |reference: &&TokenRef| matches!(reference, TokenRef::Id(_));
    let waking = stopping.grammar_triggers.iter();
    let waking = waking.filter_map(|trigger| match trigger {
        Trigger::Token(reference) => Some(reference),
        _ => None,
    });
    let biased = settings.sampling.logit_bias.iter().map(|(token, _)| token);
    let filtered = filters
        .forbidden_tokens
        .iter()
        .chain(&filters.required_tokens);
    let named = biased
        .chain(&stopping.stop_tokens)
        .chain(waking)
        .chain(filtered.filter(by_id));
    sampling::unresolved(named, vocab)
}

/// Every sequence of tokens that spells a forbidden one, each once.
fn forbidden(settings: &CallSettings, vocab: &Vocab) -> Vec<Vec<Token>> {
    let listed = &settings.stopping.token_filters.forbidden_tokens;
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for tokens in listed
        .iter()
        .flat_map(|reference| spellings(reference, vocab))
    {
        if !tokens.is_empty() && seen.insert(tokens.clone()) {
            all.push(tokens);
        }
    }
    all
}

/// The ways in which a text may appear in an answer: at its start, after a blank, and inside a word, which some
/// tokenizers spell in three ways.
fn spellings(reference: &TokenRef, vocab: &Vocab) -> Vec<Vec<Token>> {
    let text = match reference {
        TokenRef::Id(_) => {
            let token = sampling::resolve(reference, vocab);
            return token.map(|token| vec![token]).into_iter().collect();
        }
        TokenRef::Text(text) => text,
    };
    let tokenize = |text: &str| vocab.tokenize(text, Special::Parse).ok();
    let inside = sampling::inside(text, vocab);
    [tokenize(text), tokenize(&format!(" {text}")), inside]
        .into_iter()
        .flatten()
        .collect()
}
