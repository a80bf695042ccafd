//! What settings name by id or text, as tokens of a model.

use std::collections::HashSet;

use crate::config::{Bias, CallSettings, TokenLimit, TokenRef, Trigger};
use crate::error::{Error, Result};
use crate::llama::{Special, Token, Vocab};
use crate::sampling;
use crate::stopping::{Named, Pattern, Required, Rules};

/// Compiles the stop rules of a call. Errors: `InvalidArgument` naming the pattern.
pub fn rules(settings: &CallSettings, vocab: &Vocab) -> Result<Rules> {
    let stopping = &settings.stopping;
    let id = |reference| sampling::resolve(reference, vocab).map(|token| token.0);
    let filters = &stopping.token_filters;
    let named = Named {
        stop_tokens: stopping.stop_tokens.iter().filter_map(id).collect(),
        token_limit: match settings.token_limit() {
            TokenLimit::UntilFull => None,
            TokenLimit::AtMost(n) => Some(n as usize),
        },
        forbidden: forbidden(settings, vocab)
            .filter(|tokens| tokens.len() > 1)
            .map(|tokens| tokens.iter().map(|token| token.0).collect())
            .collect(),
        required: filters
            .required_tokens
            .iter()
            .filter_map(|reference| match reference {
                TokenRef::Id(_) => id(reference).map(Required::Token),
                TokenRef::Text(text) => Some(Required::Text(text.clone())),
            })
            .collect(),
        triggers: stopping
            .grammar_triggers
            .iter()
            .filter_map(|trigger| match trigger {
                Trigger::Word(text) => Some(Pattern::Word(text.clone())),
                Trigger::Pattern(text) => Some(Pattern::Anywhere(text.clone())),
                Trigger::PatternFull(text) => Some(Pattern::Full(text.clone())),
                Trigger::Token(reference) => id(reference).map(Pattern::Token),
            })
            .collect(),
    };
    Rules::compile(stopping, named).map_err(Error::InvalidArgument)
}

/// The biases of forbidden single tokens.
pub fn never(settings: &CallSettings, vocab: &Vocab) -> Vec<(TokenRef, Bias)> {
    let single = forbidden(settings, vocab).filter_map(|tokens| match tokens.as_slice() {
        [token] => Some((TokenRef::Id(token.0.into()), Bias::Never)),
        _ => None,
    });
    single.collect()
}

/// Tokens that the settings name and the model lacks are skipped, or refused under `strict`.
pub fn check(settings: &CallSettings, vocab: &Vocab) -> Result<()> {
    let stopping = &settings.stopping;
    let filters = &stopping.token_filters;
    let by_id = |reference: &&TokenRef| matches!(reference, TokenRef::Id(_));
    let biased = settings.sampling.logit_bias.iter().map(|(token, _)| token);
    let waking = stopping
        .grammar_triggers
        .iter()
        .filter_map(|trigger| match trigger {
            Trigger::Token(reference) => Some(reference),
            _ => None,
        });
    let filtered = filters
        .forbidden_tokens
        .iter()
        .chain(&filters.required_tokens);
    let named = biased
        .chain(&stopping.stop_tokens)
        .chain(waking)
        .chain(filtered.filter(by_id));
    match sampling::unresolved(named, vocab) {
        None => Ok(()),
        Some(text) if settings.strict => Err(Error::InvalidArgument(text)),
        Some(text) => {
            log::warn!(target: "sampling", "{text}, skipped");
            Ok(())
        }
    }
}

/// Every sequence of tokens that spells a forbidden one, each once.
fn forbidden(settings: &CallSettings, vocab: &Vocab) -> impl Iterator<Item = Vec<Token>> {
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
    all.into_iter()
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
    let inside = tokenize(&format!("\n{text}")).and_then(|tokens| behind_newline(&tokens, vocab));
    [tokenize(text), tokenize(&format!(" {text}")), inside]
        .into_iter()
        .flatten()
        .collect()
}

/// The tokens after those that spell the leading newline, if these spell nothing else.
fn behind_newline(tokens: &[Token], vocab: &Vocab) -> Option<Vec<Token>> {
    let mut bytes = Vec::new();
    for (at, &token) in tokens.iter().enumerate() {
        vocab.piece(token, &mut bytes).ok()?;
        match bytes.as_slice() {
            b"\n" | b" \n" => return Some(tokens[at + 1..].to_vec()),
            b"" | b" " => {}
            _ => return None,
        }
    }
    None
}
