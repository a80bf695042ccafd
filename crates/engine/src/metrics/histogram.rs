//! How long things took, as counts by length: enough for percentiles, and never in anybody's way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets for each doubling: a length is known to an eighth of itself.
const PER_OCTAVE: u64 = 8;
const BITS: u32 = PER_OCTAVE.trailing_zeros();
/// Up to 2^40 microseconds, which are 12 days.
const BUCKETS: usize = (41 - BITS as usize) * PER_OCTAVE as usize;

/// The bounds that [`Snapshot::until`] is for, in microseconds: doubling from 0.256 ms to 268 s. Each is the upper
/// border of a bucket, so that what it counts is exact.
pub const BOUNDS_US: [u64; 21] = {
    let mut bounds = [256; 21];
    let mut at = 1;
    while at < bounds.len() {
        bounds[at] = bounds[at - 1] * 2;
        at += 1;
    }
    bounds
};

/// Lengths of time, counted in buckets that grow with them (4 KiB or less). Any thread.
///
/// A length counts as the microseconds that it does not exceed, so that a bucket has its upper border in it.
#[derive(Debug)]
pub struct Histogram {
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    counts: Vec<u64>,
    /// Lengths that were recorded.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            sum_us: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Counts one.
    pub fn record(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let micros = nanos.div_ceil(1000);
        self.counts[bucket(micros)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was recorded so far.
    pub fn snapshot(&self) -> Snapshot {
        let counts: Vec<u64> = self
            .counts
            .iter()
            .map(|c| c.load(Ordering::Relaxed))
            .collect();
        Snapshot {
            count: counts.iter().sum(),
            sum: Duration::from_micros(self.sum_us.load(Ordering::Relaxed)),
            counts,
        }
    }
}

impl Snapshot {
    /// A length that `share` (0 to 1) of the recorded ones do not exceed, to an eighth; zero where nothing was recorded.
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (self.count as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(longest(at));
            }
        }
        Duration::ZERO
    }

    /// How many of the recorded lengths do not exceed `bound_us`, which is one of [`BOUNDS_US`].
    pub fn until(&self, bound_us: u64) -> u64 {
        self.counts[..=bucket(bound_us)].iter().sum()
    }
}

/// The bucket of a length: one below it up to `PER_OCTAVE`, then by the highest bits of that. Nothing at all is in the
/// first one.
fn bucket(micros: u64) -> usize {
    let micros = micros.saturating_sub(1);
    if micros < PER_OCTAVE {
        return micros as usize;
    }
    let shift = micros.ilog2() - BITS;
    let within = (micros >> shift) - PER_OCTAVE;
    let at = (u64::from(shift) + 1) * PER_OCTAVE + within;
    usize::try_from(at).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The longest length of a bucket.
fn longest(bucket: usize) -> u64 {
    let (octave, within) = (bucket as u64 / PER_OCTAVE, bucket as u64 % PER_OCTAVE);
    match octave {
        0 => within + 1,
        _ => (PER_OCTAVE + within + 1) << (octave - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_of_a_hundred_lengths() {
        let histogram = Histogram::default();
        (1..=100).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        let snapshot = histogram.snapshot();
        assert_eq!(
            (snapshot.count, snapshot.sum),
            (100, Duration::from_millis(5050))
        );
        let check = |share, ms: f64| {
            let got = snapshot.percentile(share).as_secs_f64() * 1000.0;
            assert!((ms..ms * 1.126).contains(&got), "{share}: {got}");
        };
        check(0.5, 50.0);
        check(0.9, 90.0);
        check(0.99, 99.0);
        check(1.0, 100.0);
        assert_eq!(
            Histogram::default().snapshot().percentile(0.5),
            Duration::ZERO
        );
    }

    #[test]
    fn every_bound_is_the_border_of_a_bucket() {
        for bound in BOUNDS_US {
            assert_eq!(longest(bucket(bound)), bound);
        }
    }

    proptest! {
        #[test]
        fn every_length_lies_in_its_bucket_and_no_bucket_is_wider_than_an_eighth(micros in 0u64..1 << 40) {
            let at = bucket(micros);
            prop_assert!(micros <= longest(at));
            prop_assert!(at == 0 || micros > longest(at - 1));
            prop_assert!(longest(at) - micros <= micros.div_ceil(PER_OCTAVE));
        }

        #[test]
        fn what_a_bound_counts_is_exact(nanos in prop::collection::vec(0u64..1 << 39, 1..50), near in 0usize..21) {
            let histogram = Histogram::default();
            // Around a border as well, to the nanosecond.
            let border = BOUNDS_US[near] * 1000;
            let nanos: Vec<u64> = nanos.into_iter().chain([border - 1, border, border + 1]).collect();
            nanos.iter().for_each(|&n| histogram.record(Duration::from_nanos(n)));
            let snapshot = histogram.snapshot();
            for bound in BOUNDS_US {
                let expect = nanos.iter().filter(|&&n| n <= bound * 1000).count();
                prop_assert_eq!(snapshot.until(bound), expect as u64, "{} us", bound);
            }
        }

        #[test]
        fn any_length_is_counted(micros in any::<u64>()) {
            let histogram = Histogram::default();
            histogram.record(Duration::from_micros(micros));
            prop_assert_eq!(histogram.snapshot().count, 1);
        }
    }
}
