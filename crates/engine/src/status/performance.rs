//! The PERFORMANCE document: speeds and times.

use schemars::JsonSchema;
use serde::Serialize;

use super::spread::Spread;
use super::{millis, sum};
use crate::scheduler::{Cause, Counts, Stats, Totals};

/// Speeds and times. Counts, averages and percentiles are since init, across models.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Performance {
    /// Milliseconds since init.
    pub uptime_ms: u64,
    /// Speed at which the last turn's prompt was evaluated, in tokens per second.
    pub prefill_tokens_per_second_last: f64,
    /// The same over all turns.
    pub prefill_tokens_per_second: f64,
    /// Prompt tokens evaluated; those found in a cache do not count.
    pub prefill_tokens: u64,
    /// Speed of the last turn's answer behind its first token, in tokens per second.
    pub decode_tokens_per_second_last: f64,
    /// The same over all turns.
    pub decode_tokens_per_second: f64,
    /// Tokens of answers behind the first one of each.
    pub decode_tokens: u64,
    /// Time from arrival to first token of the last turn, in milliseconds.
    pub time_to_first_token_ms_last: f64,
    /// Its mean over all turns, in milliseconds.
    pub time_to_first_token_ms: f64,
    /// Turns running now.
    pub running: u64,
    /// Most turns that ever ran together.
    pub most_running: u64,
    /// Steps: evaluations of a batch.
    pub steps: u64,
    /// Steps given up for a cancelled turn.
    pub steps_given_up: u64,
    /// Compute threads of the last step.
    pub threads_now: u64,
    /// Time of the last step, in milliseconds.
    pub step_ms_last: f64,
    /// Time of the longest step, in milliseconds.
    pub step_ms_longest: f64,
    /// Prompt tokens in the last step that evaluated any.
    pub step_prefill_tokens_last: u64,
    /// Turns that a step works for, on average.
    pub turns_per_step: f64,
    /// How full steps are, 0 to 1: turns that steps worked for over slots that they had.
    pub batch_occupancy: f64,
    /// Times from arrival to first token, of turns that were answered.
    pub first_token_ms: Spread,
    /// Times from one token of an answer to the next.
    pub token_gap_ms: Spread,
    /// Times of steps, without the wait for cores; steps that moved cells of old turns do not count.
    pub step_ms: Spread,
    /// How long steps waited that had to wait for other models'.
    pub cores_wait_ms: Spread,
    /// Steps that took longer than `performance.slow_step_ms`, by the likeliest cause.
    pub slow_steps: SlowSteps,
    /// Milliseconds since the engine thread of the model started; of several, the oldest.
    pub model_uptime_ms: u64,
}

impl Performance {
    /// Reads the counters. `uptime_ms`: since init.
    pub fn read(totals: &Totals, now: &[&Stats], uptime_ms: u64) -> Performance {
        let done = totals.done.get().max(1);
        let ms = |us: u64| us as f64 / 1000.0;
        let step_turns = totals.step_turns.get() as f64;
        let started = now.iter().map(|stats| stats.started.elapsed()).max();
        Performance {
            uptime_ms,
            prefill_tokens_per_second_last: totals.pace.prefill.last(),
            prefill_tokens_per_second: totals.pace.prefill.average(),
            prefill_tokens: totals.pace.prefill.units(),
            decode_tokens_per_second_last: totals.pace.decode.last(),
            decode_tokens_per_second: totals.pace.decode.average(),
            decode_tokens: totals.pace.decode.units(),
            time_to_first_token_ms_last: ms(totals.first_token_us.get()),
            time_to_first_token_ms: ms(totals.first_token_sum_us.get() / done),
            running: sum(now, |stats| stats.running.get()),
            most_running: totals.running.highest(),
            steps: totals.steps.get(),
            steps_given_up: totals.aborted_steps.get(),
            threads_now: totals.threads.get(),
            step_ms_last: ms(totals.step_us.get()),
            step_ms_longest: ms(totals.step_us.highest()),
            step_prefill_tokens_last: totals.step_prefill.get(),
            turns_per_step: step_turns / totals.steps.get().max(1) as f64,
            batch_occupancy: step_turns / totals.step_slots.get().max(1) as f64,
            first_token_ms: Spread::from(&totals.first_tokens),
            token_gap_ms: Spread::from(&totals.token_gaps),
            step_ms: Spread::from(&totals.step_times),
            cores_wait_ms: Spread::from(&totals.cores_wait),
            slow_steps: SlowSteps::read(&totals.slow),
            model_uptime_ms: started.map_or(0, millis),
        }
    }
}

/// Steps that took too long, by the likeliest cause.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct SlowSteps {
    /// Another model computed on the cores.
    pub other_model: u64,
    /// Cells were carried out of the context, into it, or within it.
    pub cells_moved: u64,
    /// llama.cpp turned the keys of moved cells.
    pub kv_shift: u64,
    /// Weights were not in memory.
    pub disk: u64,
    /// Something else than this backend computed on the cores.
    pub cores_busy: u64,
    /// Choosing tokens and judging text took the time.
    pub sampling: u64,
    /// The first steps of a model, whose buffers are filled for the first time.
    pub first_steps: u64,
    /// A piece of a prompt, evaluated at the usual speed.
    pub long_prompt: u64,
    /// Answers alone, evaluated at the usual speed.
    pub large_model: u64,
}

impl SlowSteps {
    fn read(counts: &Counts) -> SlowSteps {
        SlowSteps {
            other_model: counts.of(Cause::OtherModel),
            cells_moved: counts.of(Cause::CellsMoved),
            kv_shift: counts.of(Cause::KvShift),
            disk: counts.of(Cause::Disk),
            cores_busy: counts.of(Cause::CoresBusy),
            sampling: counts.of(Cause::Sampling),
            first_steps: counts.of(Cause::FirstSteps),
            long_prompt: counts.of(Cause::LongPrompt),
            large_model: counts.of(Cause::LargeModel),
        }
    }
}
