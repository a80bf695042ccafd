//! What is told of a finished turn beside its text: a JSON document that a host reads as output 1.

use std::time::Duration;

use serde_json::{Value, json};

use super::serving::GraphId;
use crate::llama::{Token, Vocab};
use crate::sampling::Odds;
use crate::scheduler::Outcome;

/// What the engine thread does not know of a turn.
pub struct Facts<'a> {
    /// Old turns that gave way in the conversation's life.
    pub turns_dropped: usize,
    /// Tokens of a raw prompt that gave way before it was evaluated.
    pub cut: usize,
    /// The seed in use.
    pub seed: u32,
    /// The session's name, if it has one.
    pub session: Option<&'a [u8]>,
    /// The context's number.
    pub context: u32,
    /// What the model calls itself.
    pub model: String,
    /// Its number.
    pub graph: GraphId,
    /// Its vocabulary, which names tokens; gone with a model that did not wait for the reader.
    pub vocab: Option<&'a Vocab>,
}

/// The document of `outcome`.
pub fn metadata(outcome: &Outcome, facts: &Facts<'_>) -> Value {
    let ms = |d: Duration| d.as_micros() as f64 / 1000.0;
    let mut document = json!({
        "finish_reason": outcome.verdict.reason(),
        "finish_detail": outcome.verdict.detail(),
        "prompt_tokens": outcome.prompt_tokens,
        "cached_tokens": outcome.cached_tokens,
        "evaluated_tokens": outcome.prompt_tokens - outcome.cached_tokens,
        "completion_tokens": outcome.completion_tokens,
        "queue_ms": ms(outcome.timings.queued),
        "prefill_ms": ms(outcome.timings.prefill),
        "decode_ms": ms(outcome.timings.decode),
        "sampling_ms": ms(outcome.timings.sampling),
        "text_bytes": outcome.text.len(),
        "truncated": false,
        "turns_dropped": facts.turns_dropped,
        "tokens_dropped": facts.cut + outcome.tokens_dropped,
        "shifts": outcome.shifts,
        "seed": facts.seed,
        "session": facts.session.map(|n| String::from_utf8_lossy(n).into_owned()),
        "context": facts.context,
        "model": facts.model,
        "graph": facts.graph.0,
    });
    if let Some(thought) = &outcome.reasoning {
        document["reasoning"] = thought.as_str().into();
        document["reasoning_tokens"] = outcome.reasoning_tokens.into();
    }
    if !outcome.required_missing.is_empty() {
        document["required_missing"] = json!(outcome.required_missing);
    }
    if let Some(vocab) = facts.vocab.filter(|_| !outcome.odds.is_empty()) {
        let probabilities = outcome.odds.iter().map(|odds| of_token(odds, vocab));
        document["logprobs"] = probabilities.collect();
    }
    document
}

/// The names are those of llama-server's `completion_probabilities`.
fn of_token(odds: &Odds, vocab: &Vocab) -> Value {
    let top = odds.top.iter();
    let top: Value = top
        .map(|&(token, logprob)| entry(token, logprob, vocab))
        .collect();
    let mut chosen = entry(odds.token, odds.logprob, vocab);
    chosen["top_logprobs"] = top;
    chosen
}

fn entry(token: Token, logprob: f32, vocab: &Vocab) -> Value {
    let mut bytes = Vec::new();
    // The token is one of this vocabulary; a control token is shown by its name, as nobody takes it for text here.
    let _ = vocab.piece_special(token, &mut bytes);
    json!({
        "id": token.0,
        "token": String::from_utf8_lossy(&bytes),
        "bytes": bytes,
        // JSON has no infinity: a token of probability zero gets the lowest number there is.
        "logprob": logprob.max(f32::MIN),
    })
}
