//! What the engine threads report of themselves, as JSON fields. Reads counters, never waits and never writes.
//!
//! Totals count since the backend was opened; the rest is of the current model, and 0 without one.

mod models;

use std::time::Duration;

pub use models::{Draining, Model, State};
use serde_json::{Map, Value, json};

use crate::metrics::Histogram;
use crate::scheduler::{Class, Hit, Limits, Miss, Stats, Totals};
use crate::spill::Counts;

/// Queue depths and totals. `limit`: `queue_size`; `bounds`: the thresholds in force.
pub fn queue(totals: &Totals, now: Option<&Stats>, limit: u32, bounds: &Limits) -> Value {
    let waiting: Map<String, Value> = Class::ALL
        .iter()
        .map(|&class| {
            let waiting = now.map_or(0, |stats| stats.waiting[class as usize].get());
            (class.name().into(), waiting.into())
        })
        .collect();
    json!({
        "limit": limit,
        "warning_threshold": bounds.warn_at,
        "reject_threshold": bounds.reject_at,
        "waiting": waiting,
        "waiting_total": now.map_or(0, Stats::waiting_total),
        "overdue": now.map_or(0, |stats| stats.overdue.get()),
        "running": running(now),
        "preempted": totals.preempted.get(),
        "queued": totals.queued.get(),
        "done": totals.done.get(),
        "failed": totals.failed.get(),
        "rejected": totals.rejected.get(),
        "expired": totals.expired.get(),
        "cancelled": totals.cancelled.get(),
        "longest_wait_ms": totals.longest_wait_us.highest() / 1000,
    })
}

/// Cells in use and what became of cached tokens. `cells`: the pool's size in tokens.
pub fn cache(totals: &Totals, now: Option<&Stats>, cells: u32, saved: &Counts) -> Value {
    let reuse = &totals.reuse;
    let hits: Map<String, Value> = Hit::ALL
        .iter()
        .map(|&hit| (hit.name().into(), reuse.hits(hit).into()))
        .collect();
    let misses: Map<String, Value> = Miss::ALL
        .iter()
        .map(|&miss| (miss.name().into(), reuse.misses(miss).into()))
        .collect();
    json!({
        "cache_tokens": now.map_or(0, |stats| stats.used_tokens.get()),
        "cache_tokens_idle": now.map_or(0, |stats| stats.idle_tokens.get()),
        "cache_tokens_prefixes": now.map_or(0, |stats| stats.prefix_tokens.get()),
        "cache_tokens_limit": cells,
        "idle_sequences": now.map_or(0, |stats| stats.idle_sequences.get()),
        "ram": {
            "sessions": saved.ram.entries,
            "bytes": saved.ram.bytes,
            "limit_bytes": saved.ram.limit_bytes,
            "leaving_bytes": saved.leaving.bytes,
        },
        "disk": {
            "sessions": saved.disk.entries,
            "bytes": saved.disk.bytes,
            "limit_bytes": saved.disk.limit_bytes,
            "written": saved.written,
            "read": saved.read_back,
            "failed_writes": saved.failed_writes,
            "unreadable": saved.unreadable,
            "damaged": saved.damaged,
        },
        "evictions": totals.evictions.get(),
        "spills": totals.spills.get(),
        "restores": totals.restores.get(),
        "dropped": saved.dropped,
        "packed": totals.packed.get(),
        "moves": totals.moves.get(),
        "displaced": totals.displaced.get(),
        "followed": totals.followed.get(),
        "shifts": totals.shifts.get(),
        "shift_step_ms_longest": totals.shift_us.highest() as f64 / 1000.0,
        "reuse_hits": reuse.all_hits(),
        "reused_tokens": reuse.tokens.get(),
        "hits": hits,
        "misses": misses,
        "accounting_errors": totals.accounting_errors.get(),
    })
}

/// Speeds and times.
pub fn performance(totals: &Totals, now: Option<&Stats>) -> Value {
    let done = totals.done.get().max(1);
    let ms = |us: u64| us as f64 / 1000.0;
    json!({
        "prefill_tokens_per_second_last": totals.pace.prefill.last(),
        "prefill_tokens_per_second": totals.pace.prefill.average(),
        "prefill_tokens": totals.pace.prefill.units(),
        "decode_tokens_per_second_last": totals.pace.decode.last(),
        "decode_tokens_per_second": totals.pace.decode.average(),
        "decode_tokens": totals.pace.decode.units(),
        "time_to_first_token_ms_last": ms(totals.first_token_us.get()),
        "time_to_first_token_ms": ms(totals.first_token_sum_us.get() / done),
        "running": running(now),
        "most_running": totals.running.highest(),
        "steps": totals.steps.get(),
        "steps_given_up": totals.aborted_steps.get(),
        "threads_now": totals.threads.get(),
        "step_ms_last": ms(totals.step_us.get()),
        "step_ms_longest": ms(totals.step_us.highest()),
        "step_prefill_tokens_last": totals.step_prefill.get(),
        "turns_per_step": totals.step_turns.get() as f64 / totals.steps.get().max(1) as f64,
        "first_token_ms": spread(&totals.first_tokens),
        "token_gap_ms": spread(&totals.token_gaps),
        "step_ms": spread(&totals.step_times),
        "model_uptime_ms": now.map_or(0, |stats| millis(stats.started.elapsed())),
    })
}

/// How times lie, in milliseconds.
fn spread(times: &Histogram) -> Value {
    let times = times.snapshot();
    let ms = |time: Duration| time.as_micros() as f64 / 1000.0;
    json!({
        "count": times.count,
        "mean": ms(times.sum) / times.count.max(1) as f64,
        "p50": ms(times.percentile(0.5)),
        "p90": ms(times.percentile(0.9)),
        "p99": ms(times.percentile(0.99)),
    })
}

/// Whole milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn running(now: Option<&Stats>) -> u64 {
    now.map_or(0, |stats| stats.running.get())
}
