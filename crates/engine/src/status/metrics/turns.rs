//! Figures of turns: how many, how long they wait, how fast they go, and the steps that work for them.

use super::super::exposition::Kind::{Counter, Gauge, Histogram};
use super::Family;
use crate::scheduler::{Cause, Class};

/// The rows, in the order of the page.
pub static ROWS: &[Family] = &[
    Family::new(
        Counter,
        "wasi_nn_turns_accepted_total",
        &[],
        "Turns that the queue took.",
        |f, out| out.put(&[], f.queue.queued),
    ),
    Family::new(
        Counter,
        "wasi_nn_turns_total",
        &["outcome"],
        "Turns that ended: done with text, failed in the engine, rejected by a full queue, expired at a deadline, \
         cancelled.",
        |f, out| {
            out.put(&["done"], f.queue.done);
            out.put(&["failed"], f.queue.failed);
            out.put(&["rejected"], f.queue.rejected);
            out.put(&["expired"], f.queue.expired);
            out.put(&["cancelled"], f.queue.cancelled);
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_turns_preempted_total",
        &[],
        "Times that a running turn gave its slot to a waiting one.",
        |f, out| out.put(&[], f.queue.preempted),
    ),
    Family::new(
        Gauge,
        "wasi_nn_turns_running",
        &[],
        "Turns running.",
        |f, out| out.put(&[], f.queue.running),
    ),
    Family::new(
        Gauge,
        "wasi_nn_queue_waiting",
        &["class"],
        "Turns waiting.",
        |f, out| {
            for class in Class::ALL {
                out.put(&[class.name()], *f.queue.waiting.get(class));
            }
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_queue_overdue",
        &[],
        "Turns waiting for so long that every second admission is theirs.",
        |f, out| out.put(&[], f.queue.overdue),
    ),
    Family::new(
        Gauge,
        "wasi_nn_queue_reject_threshold",
        &[],
        "Waiting turns from which on further ones are refused.",
        |f, out| out.put(&[], f.queue.reject_threshold),
    ),
    Family::new(
        Histogram,
        "wasi_nn_queue_wait_seconds",
        &["class"],
        "Time from a turn's arrival to its slot.",
        |f, out| {
            for class in Class::ALL {
                out.times(&[class.name()], &f.totals.waits[class as usize]);
            }
        },
    ),
    Family::new(
        Histogram,
        "wasi_nn_first_token_seconds",
        &[],
        "Time from a turn's arrival to its first token, of turns that were answered.",
        |f, out| out.times(&[], &f.totals.first_tokens),
    ),
    Family::new(
        Histogram,
        "wasi_nn_token_gap_seconds",
        &[],
        "Time from one token of an answer to the next.",
        |f, out| out.times(&[], &f.totals.token_gaps),
    ),
    Family::new(
        Counter,
        "wasi_nn_prompt_tokens_total",
        &[],
        "Prompt tokens evaluated; those found in a cache do not count.",
        |f, out| out.put(&[], f.performance.prefill_tokens),
    ),
    Family::new(
        Counter,
        "wasi_nn_reused_tokens_total",
        &[],
        "Prompt tokens found in a cache.",
        |f, out| out.put(&[], f.memory.reused_tokens),
    ),
    Family::new(
        Counter,
        "wasi_nn_generated_tokens_total",
        &[],
        "Tokens of answers, of turns that were answered.",
        |f, out| out.put(&[], f.totals.generated.get()),
    ),
    Family::new(
        Histogram,
        "wasi_nn_step_seconds",
        &[],
        "Time of a step, which evaluates one batch.",
        |f, out| out.times(&[], &f.totals.step_times),
    ),
    Family::new(
        Histogram,
        "wasi_nn_cores_wait_seconds",
        &[],
        "Time that a step waited for other models' steps.",
        |f, out| out.times(&[], &f.totals.cores_wait),
    ),
    Family::new(
        Counter,
        "wasi_nn_slow_steps_total",
        &["cause"],
        "Steps that took longer than performance.slow_step_ms, by the likeliest cause.",
        |f, out| {
            for cause in Cause::ALL {
                out.put(&[cause.name()], f.totals.slow.of(cause));
            }
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_turns_moved_total",
        &[],
        "Turns handed over to the next version of their model.",
        |f, out| out.put(&[], f.queue.moved),
    ),
    Family::new(
        Counter,
        "wasi_nn_steps_total",
        &[],
        "Steps begun.",
        |f, out| out.put(&[], f.performance.steps),
    ),
    Family::new(
        Counter,
        "wasi_nn_steps_given_up_total",
        &[],
        "Steps given up for a cancelled turn.",
        |f, out| out.put(&[], f.performance.steps_given_up),
    ),
    Family::new(
        Counter,
        "wasi_nn_step_turns_total",
        &[],
        "Turns that steps worked for, summed over the steps; over wasi_nn_step_slots_total it is how full they were.",
        |f, out| out.put(&[], f.totals.step_turns.get()),
    ),
    Family::new(
        Counter,
        "wasi_nn_step_slots_total",
        &[],
        "Turns that steps had slots for, summed over the steps.",
        |f, out| out.put(&[], f.totals.step_slots.get()),
    ),
    Family::new(
        Gauge,
        "wasi_nn_compute_threads",
        &[],
        "Compute threads in use.",
        |f, out| out.put(&[], f.performance.threads_now),
    ),
];
