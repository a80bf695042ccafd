//! What the log says of models, sessions and turns: lines with a tag and pairs.
//!
//! Their messages are constant and everything else is in the pairs, so that a reader finds the lines of one kind by
//! their text. None has a prompt, an answer or the name of a session in it.

use std::time::Duration;

use super::serving::{GraphId, Serving};
use crate::chat::Session;
use crate::error::Error;
use crate::models::{Report, Verdict};
use crate::scheduler::Outcome;
use crate::status::Change;

/// Why clean-up ended a session.
#[derive(Debug, Clone, Copy)]
pub enum Eviction {
    /// Idle for longer than `idle_timeout_ms`.
    Idle,
    /// The least recently used one of `max_sessions`, or an idle context of `max_concurrent`.
    Limit,
}

/// A model has come, in the place of `old`.
pub fn loaded(serving: &Serving, old: Option<GraphId>) {
    log::info!(
        target: "model", tag = "MODEL",
        graph = serving.graph.0,
        model = &*serving.version.model,
        version = serving.version.number,
        label = &*serving.label,
        replaces = old.map(|graph| graph.0),
        file = serving.file(),
        bytes = serving.memory().weights,
        cells = serving.memory().cells,
        ms = serving.report()["load_time_ms"].as_u64();
        "model loaded"
    );
    log::debug!(target: "model", "graph {}: {}", serving.graph.0, serving.report());
}

/// A model has been unloaded.
pub fn unloaded(serving: &Serving) {
    log::info!(
        target: "model", tag = "MODEL", graph = serving.graph.0, file = serving.file();
        "model unloaded"
    );
}

/// What another version means for the conversations of `model`, before it takes over.
pub fn compared(model: &str, report: &Report) {
    for objection in &report.objections {
        log::warn!(target: "model", tag = "MODEL", model, objection = objection.as_str(); "conversations lose something");
    }
    if log::log_enabled!(target: "model", log::Level::Debug) {
        let differing = report.items.iter().filter(|i| i.verdict != Verdict::Same);
        for item in differing {
            log::debug!(
                target: "model", tag = "MODEL",
                model, property = item.property, now:% = item.now, next:% = item.next;
                "versions differ"
            );
        }
    }
}

/// A change of a model is over.
pub fn changed(change: &Change) {
    let level = match change.error {
        Some(_) => log::Level::Warn,
        None => log::Level::Debug,
    };
    log::log!(
        target: "model", level, tag = "MODEL",
        model = change.model.as_str(),
        from = change.from.as_deref(),
        to = change.to.as_deref(),
        outcome:? = change.outcome,
        beside = change.beside,
        ms = change.total_ms,
        gap_ms = change.gap_ms,
        error = change.error.as_deref();
        "model change"
    );
}

/// A context was opened on a session.
pub fn opened(context: u32, session: &Session) {
    log::debug!(
        target: "session", tag = "SESSION",
        context, session = session.id, named = session.name.is_some();
        "context opened"
    );
}

/// A context was closed; `is_kept`: its session waits for the next one.
pub fn closed(context: u32, is_kept: bool) {
    log::debug!(
        target: "session", tag = "SESSION", context, session_kept = is_kept;
        "context closed"
    );
}

/// Clean-up ended a session.
pub fn evicted(session: &Session, why: Eviction) {
    let reason = match why {
        Eviction::Idle => "idle",
        Eviction::Limit => "limit",
    };
    log::info!(
        target: "session", tag = "SESSION",
        session = session.id, named = session.name.is_some(), reason;
        "session evicted"
    );
}

/// A turn has ended without an answer.
pub fn failed(context: u32, session: &Session, error: &Error) {
    let session = session.id;
    match error {
        Error::QueueFull { waiting, limit } => log::warn!(
            target: "queue", tag = "TASK", context, session, waiting = *waiting, limit = *limit;
            "turn refused"
        ),
        Error::Timeout(reason) => log::debug!(
            target: "inference", tag = "TASK", context, session, reason = reason.as_str();
            "turn timed out"
        ),
        Error::Cancelled => log::debug!(
            target: "inference", tag = "TASK", context, session;
            "turn cancelled"
        ),
        error => log::debug!(
            target: "inference", tag = "TASK", context, session, error:%;
            "turn failed"
        ),
    }
}

/// A turn has ended with an answer.
pub fn completed(context: u32, session: &Session, graph: GraphId, outcome: &Outcome) {
    let session = session.id;
    log::debug!(
        target: "inference", tag = "TASK",
        context, session, graph = graph.0,
        finish_reason = outcome.verdict.reason(),
        text_bytes = outcome.text.len(),
        turns_dropped = outcome.turns_dropped,
        shifts = outcome.shifts;
        "turn completed"
    );
    let timings = &outcome.timings;
    log::debug!(
        target: "inference", tag = "PERF",
        context, session,
        prompt_tokens = outcome.prompt_tokens,
        cached_tokens = outcome.cached_tokens,
        completion_tokens = outcome.completion_tokens,
        queue_ms = ms(timings.queued),
        prefill_ms = ms(timings.prefill),
        ttft_ms = ms(timings.queued + timings.prefill),
        decode_ms = ms(timings.decode),
        sampling_ms = ms(timings.sampling),
        tokens_per_s = rate(outcome.completion_tokens.saturating_sub(1), timings.decode),
        finish_reason = outcome.verdict.reason();
        "turn"
    );
}

/// Milliseconds, for lines and documents.
pub fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// Tokens after the first for each second; none where the time tells nothing.
fn rate(tokens: usize, time: Duration) -> Option<f64> {
    let rate = tokens as f64 / time.as_secs_f64();
    rate.is_finite().then(|| (rate * 10.0).round() / 10.0)
}
