//! How many threads compute: fewer while something else keeps the cores busy.
//!
//! ggml's threads wait for each other some hundred times in a step. Where another program takes one of their cores, all
//! of them wait for its time slices, and fewer threads are faster. Whether that is so is tried out and not assumed:
//! a lower count stays only if steps got shorter by it, a higher one is tried again after a while. Pure: times come in as
//! arguments.

use std::collections::BTreeMap;

use super::pace::Amount;

/// Steps over which a count is judged; as few as the second where they lost as much as that many slow ones would.
const WINDOW: u32 = 32;
const LEAST: u32 = 4;
/// Steps that take so many times what they can take call for a trial with one thread less.
const SLOW: f64 = 1.5;
/// Steps between two trials; doubles with each that fails, up to the limit.
const QUIET: u32 = 512;
const QUIET_LIMIT: u32 = 8192;
/// By how much a lower count must be better to stay.
const GAIN: f64 = 0.95;
/// Growth of a best time per step, so that longer contexts and throttled clocks become normal in a while.
const DRIFT: f64 = 1.002;

/// The thread count of one context and what it is judged by.
#[derive(Debug)]
pub struct Governor {
    most: u32,
    now: u32,
    /// Shortest times with all threads, by kind of step, in seconds.
    best: BTreeMap<(u32, u32), f64>,
    window: Window,
    /// What the last change is compared with, until it is judged.
    trial: Option<Trial>,
    /// Steps to go until the next change may be tried.
    hold: u32,
    quiet: u32,
}

/// The state before a change.
#[derive(Debug)]
struct Trial {
    from: u32,
    /// How slow steps were.
    mean: f64,
}

/// How slow the last steps were, as multiples of their best times.
#[derive(Debug, Default)]
struct Window {
    steps: u32,
    sum: f64,
}

impl Window {
    /// Enough steps, or so much time lost that fewer tell enough.
    fn is_full(&self) -> bool {
        let lost = self.sum - f64::from(self.steps);
        self.steps >= WINDOW || self.steps >= LEAST && lost > (SLOW - 1.0) * f64::from(WINDOW)
    }
}

impl Governor {
    /// Begins with all of `most` threads.
    pub fn new(most: u32) -> Governor {
        Governor {
            most,
            now: most,
            best: BTreeMap::new(),
            window: Window::default(),
            trial: None,
            hold: 0,
            quiet: QUIET,
        }
    }

    /// Threads in use.
    pub fn threads(&self) -> u32 {
        self.now
    }

    /// Learns how long a step took; returns the count for the next steps if it changes.
    pub fn record(&mut self, amount: Amount, seconds: f64) -> Option<u32> {
        if self.most < 2 {
            return None;
        }
        let slowness = self.slowness(amount, seconds)?;
        self.hold = self.hold.saturating_sub(1);
        self.window.steps += 1;
        self.window.sum += slowness;
        if !self.window.is_full() {
            return None;
        }
        let mean = self.window.sum / f64::from(self.window.steps);
        self.window = Window::default();
        self.judge(mean)
    }

    fn judge(&mut self, mean: f64) -> Option<u32> {
        if let Some(trial) = self.trial.take() {
            let least = match self.now < trial.from {
                true => trial.mean * GAIN,
                false => trial.mean,
            };
            self.hold = self.quiet;
            if mean > least {
                self.quiet = (self.quiet * 2).min(QUIET_LIMIT);
                self.now = trial.from;
                return Some(self.now);
            }
            self.quiet = QUIET;
            return None;
        }
        if self.hold > 0 {
            return None;
        }
        let to = match self.now {
            now if now < self.most => now + 1,
            now if now > 1 && mean > SLOW => now - 1,
            _ => return None,
        };
        self.trial = Some(Trial {
            from: self.now,
            mean,
        });
        self.now = to;
        Some(to)
    }

    /// A step's time as a multiple of the shortest of its kind; `None` for the first of a kind.
    fn slowness(&mut self, amount: Amount, seconds: f64) -> Option<f64> {
        let size = |count: usize| count.checked_ilog2().map_or(0, |n| n + 1);
        let kind = (size(amount.decodes), size(amount.prefill));
        let tokens = (amount.decodes + amount.prefill).max(1) as f64;
        let time = seconds / tokens;
        match self.best.get_mut(&kind) {
            None => {
                self.best.insert(kind, time);
                None
            }
            Some(best) => {
                if self.now == self.most {
                    *best = (*best * DRIFT).min(time);
                }
                Some(time / *best)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Amount = Amount {
        decodes: 4,
        prefill: 0,
    };

    /// Runs `steps` steps on a machine on which a step with n threads takes `time(n)` seconds.
    fn run(governor: &mut Governor, steps: u32, time: impl Fn(u32) -> f64) -> f64 {
        let one = |_| {
            let seconds = time(governor.threads());
            governor.record(STEP, seconds);
            seconds
        };
        (0..steps).map(one).sum()
    }

    fn quiet(threads: u32) -> f64 {
        0.02 / f64::from(threads)
    }

    /// One core is taken: threads wait for each other.
    fn busy(threads: u32) -> f64 {
        [0.02, 0.06][threads as usize - 1]
    }

    #[test]
    fn a_quiet_machine_keeps_all_threads() {
        let mut governor = Governor::new(2);
        run(&mut governor, 5000, quiet);
        assert_eq!(governor.threads(), 2);
    }

    #[test]
    fn where_threads_wait_for_each_other_fewer_compute_until_it_is_over() {
        let mut governor = Governor::new(2);
        run(&mut governor, 200, quiet);
        run(&mut governor, 100, busy);
        assert_eq!(governor.threads(), 1);
        run(&mut governor, 20_000, quiet);
        assert_eq!(governor.threads(), 2);
    }

    #[test]
    fn trials_cost_little_however_long_the_load_lasts() {
        let mut governor = Governor::new(2);
        run(&mut governor, 200, quiet);
        run(&mut governor, 100, busy);
        let spent = run(&mut governor, 20_000, busy);
        assert!(spent < 20_000.0 * busy(1) * 1.1, "{spent}");
    }

    #[test]
    fn a_lower_count_that_does_not_help_is_taken_back() {
        let mut governor = Governor::new(2);
        run(&mut governor, 200, quiet);
        // Memory is what is short: both counts are equally slow.
        let spent = run(&mut governor, 10_000, |n| 3.0 * quiet(n));
        assert_eq!(governor.threads(), 2);
        assert!(spent < 10_000.0 * 3.0 * quiet(2) * 1.1, "{spent}");
    }

    #[test]
    fn a_collapse_is_noticed_within_a_few_steps() {
        let mut governor = Governor::new(2);
        run(&mut governor, 200, quiet);
        run(&mut governor, 4 * LEAST, |n| [0.03, 0.5][n as usize - 1]);
        assert_eq!(governor.threads(), 1);
    }

    #[test]
    fn one_thread_is_left_alone() {
        let mut governor = Governor::new(1);
        run(&mut governor, 100, |_| 1.0);
        assert_eq!(governor.threads(), 1);
    }
}
