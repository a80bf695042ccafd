//! What an engine thread reports of itself, as JSON fields. Reads counters, never waits and never writes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::scheduler::{Class, Limits, Stats};

/// Queue depths and totals. `limit`: `queue_size`; `bounds`: the thresholds in force.
pub fn queue(stats: &Stats, limit: u32, bounds: &Limits) -> Value {
    let waiting: serde_json::Map<String, Value> = Class::ALL
        .iter()
        .map(|&class| {
            (
                class.name().into(),
                stats.waiting[class as usize].get().into(),
            )
        })
        .collect();
    json!({
        "limit": limit,
        "warning_threshold": bounds.warn_at,
        "reject_threshold": bounds.reject_at,
        "waiting": waiting,
        "waiting_total": stats.waiting_total(),
        "running": stats.running.get(),
        "queued": stats.queued.get(),
        "done": stats.done.get(),
        "failed": stats.failed.get(),
        "rejected": stats.rejected.get(),
        "expired": stats.expired.get(),
        "cancelled": stats.cancelled.get(),
        "longest_wait_ms": stats.longest_wait_us.highest() / 1000,
    })
}

/// Cells in use and what became of cached tokens. `cells`: the pool's size in tokens.
pub fn cache(stats: &Stats, cells: u32) -> Value {
    json!({
        "cache_tokens": stats.used_tokens.get(),
        "cache_tokens_idle": stats.idle_tokens.get(),
        "cache_tokens_limit": cells,
        "evictions": stats.evictions.get(),
        "reuse_hits": stats.reuse_hits.get(),
        "reused_tokens": stats.reused_tokens.get(),
        "accounting_errors": stats.accounting_errors.get(),
    })
}

/// Speeds and times.
pub fn performance(stats: &Stats) -> Value {
    let done = stats.done.get().max(1);
    let ms = |us: u64| us as f64 / 1000.0;
    json!({
        "prefill_tokens_per_second_last": stats.prefill.last(),
        "prefill_tokens_per_second": stats.prefill.average(),
        "prefill_tokens": stats.prefill.units(),
        "decode_tokens_per_second_last": stats.decode.last(),
        "decode_tokens_per_second": stats.decode.average(),
        "decode_tokens": stats.decode.units(),
        "time_to_first_token_ms_last": ms(stats.first_token_us.get()),
        "time_to_first_token_ms": ms(stats.first_token_sum_us.get() / done),
        "running": stats.running.get(),
        "most_running": stats.running.highest(),
        "steps": stats.steps.get(),
        "model_uptime_ms": millis(stats.started.elapsed()),
    })
}

/// Whole milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
