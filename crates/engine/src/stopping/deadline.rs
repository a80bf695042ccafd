//! The hard limit of one turn, from what the model has been measured to do.
//!
//! Pure: what a speed is an average of, and what happens at the limit, is not known here.

use std::time::Duration;

/// An adaptive hard limit as it is configured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adaptive {
    /// The longest limit, and the one of a turn whose time cannot be expected.
    pub max: Duration,
    /// The shortest limit; above `max` it does not count.
    pub min: Duration,
    /// The limit as a multiple of the expected time.
    pub multiplier: f64,
}

/// Average speeds of a model in tokens per second; `None` before its first measured turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Of prompt tokens.
    pub prefill_tps: Option<f64>,
    /// Of new tokens.
    pub decode_tps: Option<f64>,
}

/// The limit of a turn that has `prompt_left` tokens to prefill and may answer with `token_limit` tokens.
///
/// Speeds and multipliers that are no positive finite numbers give the longest limit.
pub fn limit(
    adaptive: &Adaptive,
    prompt_left: usize,
    token_limit: usize,
    speed: &Speed,
) -> Duration {
    let margin = positive(Some(adaptive.multiplier));
    let expected = seconds(prompt_left, speed.prefill_tps)
        .zip(seconds(token_limit, speed.decode_tps))
        .zip(margin)
        .map(|((prefill, decode), margin)| (prefill + decode) * margin);
    expected
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or(adaptive.max, |time| {
            time.max(adaptive.min).min(adaptive.max)
        })
}

fn seconds(tokens: usize, tps: Option<f64>) -> Option<f64> {
    positive(tps).map(|tps| tokens as f64 / tps)
}

fn positive(number: Option<f64>) -> Option<f64> {
    number.filter(|n| n.is_finite() && *n > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ADAPTIVE: Adaptive = Adaptive {
        max: Duration::from_secs(30),
        min: Duration::from_secs(1),
        multiplier: 2.0,
    };

    const SPEED: Speed = Speed {
        prefill_tps: Some(1000.0),
        decode_tps: Some(50.0),
    };

    const BAD: [f64; 5] = [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

    #[test]
    fn the_limit_is_a_multiple_of_the_expected_time() {
        assert_eq!(limit(&ADAPTIVE, 2000, 100, &SPEED), Duration::from_secs(8));
    }

    #[test]
    fn the_limit_stays_within_its_bounds() {
        assert_eq!(limit(&ADAPTIVE, 1, 1, &SPEED), ADAPTIVE.min);
        assert_eq!(limit(&ADAPTIVE, 0, 0, &SPEED), ADAPTIVE.min);
        assert_eq!(limit(&ADAPTIVE, 1, 100_000, &SPEED), ADAPTIVE.max);
        assert_eq!(
            limit(&ADAPTIVE, usize::MAX, usize::MAX, &SPEED),
            ADAPTIVE.max
        );
    }

    #[test]
    fn without_a_measured_turn_the_limit_is_the_longest() {
        for (prefill_tps, decode_tps) in [(None, None), (Some(9.0), None), (None, Some(9.0))] {
            let speed = Speed {
                prefill_tps,
                decode_tps,
            };
            assert_eq!(limit(&ADAPTIVE, 1, 1, &speed), ADAPTIVE.max);
        }
    }

    #[test]
    fn numbers_that_are_no_speed_give_the_longest_limit() {
        for bad in BAD {
            let prefill = Speed {
                prefill_tps: Some(bad),
                ..SPEED
            };
            let decode = Speed {
                decode_tps: Some(bad),
                ..SPEED
            };
            let margin = Adaptive {
                multiplier: bad,
                ..ADAPTIVE
            };
            assert_eq!(limit(&ADAPTIVE, 1, 1, &prefill), ADAPTIVE.max);
            assert_eq!(limit(&ADAPTIVE, 1, 1, &decode), ADAPTIVE.max);
            assert_eq!(limit(&margin, 1, 1, &SPEED), ADAPTIVE.max);
        }
    }

    #[test]
    fn times_that_no_duration_holds_give_the_longest_limit() {
        let endless = Adaptive {
            max: Duration::MAX,
            multiplier: f64::MAX,
            ..ADAPTIVE
        };
        let crawling = Speed {
            decode_tps: Some(f64::MIN_POSITIVE),
            ..SPEED
        };
        assert_eq!(
            limit(&endless, usize::MAX, usize::MAX, &crawling),
            Duration::MAX
        );
    }

    #[test]
    fn a_least_limit_above_the_longest_does_not_count() {
        let crossed = Adaptive {
            min: Duration::from_secs(99),
            ..ADAPTIVE
        };
        assert_eq!(limit(&crossed, 1, 1, &SPEED), crossed.max);
    }

    proptest! {
        #[test]
        fn every_limit_is_within_its_bounds(
            (prompt_left, token_limit) in any::<(usize, usize)>(),
            (prefill_tps, decode_tps) in any::<(Option<f64>, Option<f64>)>(),
            (min_ms, more_ms, multiplier) in (0u64..9000, 0u64..9000, any::<f64>()),
        ) {
            let min = Duration::from_millis(min_ms);
            let max = Duration::from_millis(min_ms + more_ms);
            let speed = Speed { prefill_tps, decode_tps };
            let found = limit(&Adaptive { max, min, multiplier }, prompt_left, token_limit, &speed);
            prop_assert!((min..=max).contains(&found));
        }
    }
}
