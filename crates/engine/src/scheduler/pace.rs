//! How many prompt tokens a step may take, so that it ends within the target gap.
//!
//! Learns from measured steps: how long a step of so many decode tokens takes, and how many prompt tokens a second it
//! carries beside them. Pure: times come in as arguments.

use std::time::Duration;

/// The least that a step evaluates of waiting prompts: they move on even where decoding alone exceeds the gap.
pub const LEAST: usize = 32;
/// Budgets are multiples of this.
const PIECE: usize = 16;
/// Steps with fewer tokens of prompts tell nothing of the speed of larger ones.
const TELLING: usize = LEAST - 4;
/// Weight of the newest measurement in the averages.
const NEWEST: f64 = 0.25;
/// The part of the gap that is planned; the rest is for what the averages miss.
const PLANNED: f64 = 0.9;
/// Steps that differ more from what was expected are not learned from at once, but moved towards.
const SURPRISE: f64 = 4.0;

/// What a step evaluates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Tokens of running answers.
    pub decodes: usize,
    /// Tokens of prompts.
    pub prefill: usize,
}

/// Measured speed of a context.
#[derive(Debug)]
pub struct Pace {
    gap: f64,
    /// Seconds of a step of so many decode tokens and nothing else, by count; 0 is not measured.
    decode: Vec<f64>,
    /// Prompt tokens a second beside decode tokens; 0 is not measured.
    prefill_rate: f64,
}

impl Pace {
    /// Nothing measured; at most `parallel` decode tokens in a step.
    pub fn new(gap: Duration, parallel: usize) -> Pace {
        Pace {
            gap: gap.as_secs_f64(),
            decode: vec![0.0; parallel + 1],
            prefill_rate: 0.0,
        }
    }

    /// The target gap.
    pub fn gap(&self) -> Duration {
        Duration::from_secs_f64(self.gap)
    }

    /// Prompt tokens for a step with `decodes` decode tokens: at most `most`, at least [`LEAST`] and in whole pieces.
    /// The gap has room for `rounds` such steps, where those of other models go between two of this one, and for `beside`,
    /// which this model computes between them.
    pub fn budget(&self, decodes: usize, most: usize, rounds: u32, beside: Duration) -> usize {
        let gap = self.gap / f64::from(rounds.max(1));
        let room = PLANNED * gap - self.decode_seconds(decodes) - beside.as_secs_f64();
        let tokens = (room * self.prefill_rate).max(0.0) as usize;
        (tokens / PIECE * PIECE).max(LEAST).min(most)
    }

    /// How long a step should take; `None` before anything like it was measured.
    pub fn expected(&self, amount: Amount) -> Option<Duration> {
        let decode = self.decode_seconds(amount.decodes);
        let prefill = match amount.prefill {
            0 => 0.0,
            _ if self.prefill_rate == 0.0 => return None,
            tokens => tokens as f64 / self.prefill_rate,
        };
        let seconds = decode + prefill;
        (seconds > 0.0).then(|| Duration::from_secs_f64(seconds))
    }

    /// Learns from a step that took `time`.
    pub fn record(&mut self, amount: Amount, time: Duration) {
        let seconds = time.as_secs_f64().max(1e-6);
        match amount.prefill {
            0 => {
                if let Some(known) = self.decode.get_mut(amount.decodes) {
                    approach(known, seconds);
                }
            }
            tokens => {
                // Decoding alone never takes all of a mixed step.
                let rest = (seconds - self.decode_seconds(amount.decodes)).max(seconds / 10.0);
                let rate = tokens as f64 / rest;
                // A few tokens cost as much as the passage through the weights, which tells nothing of many.
                if tokens >= TELLING || self.prefill_rate == 0.0 {
                    approach(&mut self.prefill_rate, rate);
                }
            }
        }
    }

    /// Seconds of a step of `count` decode tokens: measured, or from the nearest counts that are.
    fn decode_seconds(&self, count: usize) -> f64 {
        let measured = |&at: &usize| self.decode[at] > 0.0;
        let count = count.min(self.decode.len() - 1);
        let below = (1..=count).rev().find(measured);
        let above = (count..self.decode.len()).find(measured);
        match (below, above) {
            _ if count == 0 => 0.0,
            (Some(low), Some(high)) if low < high => {
                let part = (count - low) as f64 / (high - low) as f64;
                self.decode[low] + part * (self.decode[high] - self.decode[low])
            }
            // A step of n tokens takes at most n times as long as one of a single token.
            (Some(low), _) => self.decode[low] * count as f64 / low as f64,
            (None, Some(high)) => self.decode[high],
            (None, None) => 0.0,
        }
    }
}

fn approach(average: &mut f64, value: f64) {
    *average = match *average {
        0.0 => value,
        old => old + NEWEST * (value.clamp(old / SURPRISE, old * SURPRISE) - old),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GAP: Duration = Duration::from_millis(250);
    const NONE: Duration = Duration::ZERO;

    fn ms(n: f64) -> Duration {
        Duration::from_secs_f64(n / 1000.0)
    }

    /// A machine on which a step takes `fixed + decodes * per_decode + prefill * per_prefill` milliseconds.
    fn step(amount: Amount, fixed: f64, per_decode: f64, per_prefill: f64) -> Duration {
        ms(fixed + amount.decodes as f64 * per_decode + amount.prefill as f64 * per_prefill)
    }

    #[test]
    fn nothing_measured_is_the_least() {
        assert_eq!(Pace::new(GAP, 8).budget(0, 512, 1, NONE), LEAST);
    }

    #[test]
    fn the_room_that_decoding_leaves_is_filled() {
        let mut pace = Pace::new(GAP, 8);
        for _ in 0..50 {
            pace.record(
                Amount {
                    decodes: 4,
                    prefill: 0,
                },
                ms(25.0),
            );
            pace.record(
                Amount {
                    decodes: 4,
                    prefill: 64,
                },
                ms(25.0 + 128.0),
            );
        }
        // 225 ms less 25 ms at 2 ms a token.
        assert_eq!(pace.budget(4, 512, 1, NONE), 96);
        assert_eq!(pace.budget(4, 70, 1, NONE), 70);
        // Half of the gap is another model's; prompts move on whoever else computes.
        assert_eq!(pace.budget(0, 512, 2, NONE), 48);
        assert_eq!(pace.budget(4, 512, 100, NONE), LEAST);
        // What a deterministic turn computes between two steps leaves less for prompts.
        assert_eq!(pace.budget(4, 512, 1, ms(100.0)), 48);
        assert_eq!(pace.budget(4, 512, 1, ms(250.0)), LEAST);
    }

    #[test]
    fn steps_between_two_measured_ones_are_interpolated() {
        let mut pace = Pace::new(GAP, 64);
        pace.record(
            Amount {
                decodes: 4,
                prefill: 0,
            },
            ms(20.0),
        );
        pace.record(
            Amount {
                decodes: 64,
                prefill: 0,
            },
            ms(140.0),
        );
        assert_eq!(
            pace.expected(Amount {
                decodes: 34,
                prefill: 0
            }),
            Some(ms(80.0))
        );
        assert_eq!(
            pace.expected(Amount {
                decodes: 2,
                prefill: 0
            }),
            Some(ms(20.0))
        );
        assert_eq!(
            pace.expected(Amount {
                decodes: 2,
                prefill: 9
            }),
            None
        );
    }

    proptest! {
        #[test]
        fn steps_settle_within_the_gap_on_any_machine_that_can(
            fixed in 0.1f64..30.0, per_decode in 0.01f64..5.0, per_prefill in 0.01f64..5.0, decodes in 0usize..16,
        ) {
            let mut pace = Pace::new(GAP, 16);
            let mut last = Duration::ZERO;
            for n in 0..60 {
                let prefill = if n % 8 == 7 { 0 } else { pace.budget(decodes, 512, 1, NONE) };
                let amount = Amount { decodes, prefill };
                if amount.decodes + amount.prefill == 0 { continue; }
                let time = step(amount, fixed, per_decode, per_prefill);
                pace.record(amount, time);
                if prefill > 0 { last = time; }
            }
            let least = step(Amount { decodes, prefill: LEAST }, fixed, per_decode, per_prefill);
            prop_assert!(last <= GAP.max(least), "{last:?}");
            // And the room is used: another piece would not have fitted.
            let more = pace.budget(decodes, 512, 1, NONE) + 2 * LEAST;
            let next = step(Amount { decodes, prefill: more }, fixed, per_decode, per_prefill);
            prop_assert!(more > 512 || next > ms(0.9 * 250.0), "{more} {next:?}");
        }
    }
}
