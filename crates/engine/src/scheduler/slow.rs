//! Whether a step took too long, and what most likely made it so.
//!
//! Pure but for its counters: times and facts come in as arguments. The part of the step that took longest points to the
//! cause; where that is the evaluation, the facts do.

use std::time::{Duration, Instant};

use crate::metrics::Counter;

/// Steps after a load in which buffers are filled for the first time.
const FIRST: u64 = 2;
/// Major page faults from which on an evaluation waited for the disk: fewer are nobody's second.
const FAULTS: u64 = 16;
/// An evaluation that takes so many times what it should had to share its cores.
const TIMES: u32 = 2;
/// Between two lines.
const SILENCE: Duration = Duration::from_secs(5);

/// What made a step slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Another model computed on the cores.
    OtherModel,
    /// Cells were carried out of the context, into it, or within it.
    CellsMoved,
    /// llama.cpp turned the keys of moved cells.
    KvShift,
    /// Weights were not in memory.
    Disk,
    /// Something else than this backend computed on the cores.
    CoresBusy,
    /// Choosing tokens, judging text, delivering it.
    Sampling,
    /// The first steps of a model.
    FirstSteps,
    /// It evaluated a piece of a prompt, at the usual speed.
    LongPrompt,
    /// It evaluated answers alone, at the usual speed.
    LargeModel,
}

impl Cause {
    /// All, in the order of their counters.
    pub const ALL: [Cause; 9] = [
        Cause::OtherModel,
        Cause::CellsMoved,
        Cause::KvShift,
        Cause::Disk,
        Cause::CoresBusy,
        Cause::Sampling,
        Cause::FirstSteps,
        Cause::LongPrompt,
        Cause::LargeModel,
    ];

    /// Its name in the status.
    pub fn name(self) -> &'static str {
        [
            "other_model",
            "cells_moved",
            "kv_shift",
            "disk",
            "cores_busy",
            "sampling",
            "first_steps",
            "long_prompt",
            "large_model",
        ][self as usize]
    }

    /// What a line of the log says.
    pub fn words(self) -> &'static str {
        [
            "waited for another model",
            "cells moved",
            "KV shift",
            "weights read from disk",
            "cores busy with other work",
            "sampling",
            "first steps of the model",
            "long prompt piece",
            "large model",
        ][self as usize]
    }
}

/// How long the parts of a step took.
#[derive(Debug, Default, Clone, Copy)]
pub struct Parts {
    /// Making room, carrying cells, settling.
    pub cells: Duration,
    /// Waiting for cores.
    pub waited: Duration,
    /// Evaluating.
    pub decode: Duration,
    /// Sampling and delivery.
    pub sampling: Duration,
}

impl Parts {
    /// All of it.
    pub fn total(&self) -> Duration {
        self.cells + self.waited + self.decode + self.sampling
    }
}

/// What else is known about a step.
#[derive(Debug, Default, Clone, Copy)]
pub struct Facts {
    /// Steps of its context, this one with them.
    pub steps: u64,
    /// Turns that it worked for.
    pub turns: usize,
    /// Tokens of prompts that it evaluated.
    pub prompt_tokens: usize,
    /// Bytes of cells that were carried since the step before.
    pub moved: usize,
    /// It began with a shift of cells.
    pub shift: bool,
    /// How long it should evaluate, where that is known.
    pub expected: Option<Duration>,
    /// It computed with fewer threads than it may.
    pub held_down: bool,
    /// Major page faults of the process in its time, where they were counted.
    pub faults: Option<u64>,
}

/// Why a step was slow; `None` if it took less than `limit`, or that is zero.
pub fn judge(limit: Duration, parts: &Parts, facts: &Facts) -> Option<Cause> {
    if limit.is_zero() || parts.total() < limit {
        return None;
    }
    let longest = [
        (parts.decode, None),
        (parts.waited, Some(Cause::OtherModel)),
        (parts.cells, Some(Cause::CellsMoved)),
        (parts.sampling, Some(Cause::Sampling)),
    ]
    .into_iter()
    .max_by_key(|part| part.0)?;
    Some(longest.1.unwrap_or_else(|| evaluation(parts.decode, facts)))
}

fn evaluation(time: Duration, facts: &Facts) -> Cause {
    let is_long = facts.expected.is_some_and(|usual| time > TIMES * usual);
    match facts {
        _ if facts.shift => Cause::KvShift,
        _ if facts.faults.is_some_and(|faults| faults >= FAULTS) => Cause::Disk,
        _ if facts.steps <= FIRST => Cause::FirstSteps,
        _ if is_long || facts.held_down => Cause::CoresBusy,
        _ if facts.prompt_tokens > 0 => Cause::LongPrompt,
        _ => Cause::LargeModel,
    }
}

/// Keeps lines apart.
#[derive(Debug, Default)]
pub struct Restraint {
    last: Option<Instant>,
    suppressed: u64,
}

impl Restraint {
    /// Whether a line may be written now, and how many were not since the last one.
    pub fn ask(&mut self, now: Instant) -> Option<u64> {
        let since = |last: Instant| now.saturating_duration_since(last);
        if self.last.is_some_and(|last| since(last) < SILENCE) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// Slow steps by cause.
#[derive(Debug, Default)]
pub struct Counts([Counter; Cause::ALL.len()]);

impl Counts {
    /// One more.
    pub fn count(&self, cause: Cause) {
        self.0[cause as usize].count();
    }

    /// Those of one cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize].get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn parts(cells: u64, waited: u64, decode: u64, sampling: u64) -> Parts {
        Parts {
            cells: ms(cells),
            waited: ms(waited),
            decode: ms(decode),
            sampling: ms(sampling),
        }
    }

    /// A step in the middle of things that did nothing out of the ordinary.
    fn usual() -> Facts {
        Facts {
            steps: 100,
            turns: 1,
            expected: Some(ms(1000)),
            ..Facts::default()
        }
    }

    #[test]
    fn every_cause_has_a_counter_and_a_name_of_its_own() {
        let counts = Counts::default();
        for (index, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, index);
            counts.count(cause);
            assert_eq!(counts.of(cause), 1);
        }
        for names in [Cause::ALL.map(Cause::name), Cause::ALL.map(Cause::words)] {
            let mut names = names.to_vec();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), Cause::ALL.len());
        }
    }

    #[test]
    fn a_step_is_slow_from_the_limit_on_whatever_took_the_time() {
        let judge = |limit, parts| judge(limit, &parts, &usual()).is_some();
        assert!(!judge(LIMIT, parts(249, 250, 250, 250)));
        assert!(judge(LIMIT, parts(250, 250, 250, 250)));
        assert!(!judge(Duration::ZERO, parts(0, 0, 90_000, 0)), "off");
    }

    #[test]
    fn the_longest_part_names_the_cause() {
        let check = |parts: Parts, expect| {
            assert_eq!(judge(LIMIT, &parts, &usual()), Some(expect), "{parts:?}");
        };
        check(parts(10, 900, 500, 10), Cause::OtherModel);
        check(parts(800, 10, 500, 10), Cause::CellsMoved);
        check(parts(10, 10, 500, 900), Cause::Sampling);
        check(parts(10, 10, 1500, 900), Cause::LargeModel);
    }

    #[test]
    fn a_long_evaluation_is_explained_by_what_is_known_of_it() {
        let check = |facts: Facts, expect| {
            let found = judge(LIMIT, &parts(1, 1, 1500, 1), &facts);
            assert_eq!(found, Some(expect), "{facts:?}");
        };
        let expected = Some(ms(700));
        let of = usual();
        check(of, Cause::LargeModel);
        check(
            Facts {
                prompt_tokens: 64,
                ..of
            },
            Cause::LongPrompt,
        );
        check(Facts { expected, ..of }, Cause::CoresBusy);
        check(
            Facts {
                held_down: true,
                ..of
            },
            Cause::CoresBusy,
        );
        check(Facts { steps: 1, ..of }, Cause::FirstSteps);
        let faults = Some(FAULTS);
        check(
            Facts {
                faults,
                expected,
                ..of
            },
            Cause::Disk,
        );
        check(
            Facts {
                faults: Some(1),
                expected,
                ..of
            },
            Cause::CoresBusy,
        );
        check(
            Facts {
                shift: true,
                faults,
                ..of
            },
            Cause::KvShift,
        );
    }

    #[test]
    fn lines_are_five_seconds_apart_and_the_next_one_counts_the_others() {
        let (mut restraint, begun) = (Restraint::default(), Instant::now());
        let mut at = |ms_after| restraint.ask(begun + ms(ms_after));
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1000), None);
        assert_eq!(at(4999), None);
        assert_eq!(at(5000), Some(2));
        assert_eq!(at(20_000), Some(0));
    }
}
