//! Counters and averages that every part may write and any thread may read without waiting.
//!
//! Knows no names and no format: the status documents say what a number is called.

mod histogram;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use histogram::{BOUNDS_US, Histogram};

/// A count that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that is set, such as a queue's length, with the highest one seen.
#[derive(Debug, Default)]
pub struct Gauge {
    now: AtomicU64,
    highest: AtomicU64,
}

impl Gauge {
    /// Sets the present value.
    pub fn set(&self, value: u64) {
        self.now.store(value, Ordering::Relaxed);
        self.highest.fetch_max(value, Ordering::Relaxed);
    }

    /// One of several parts of the value changes.
    pub fn shift(&self, from: u64, to: u64) {
        let change = to.wrapping_sub(from);
        let now = self.now.fetch_add(change, Ordering::Relaxed);
        self.highest
            .fetch_max(now.wrapping_add(change), Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    /// The highest value ever set.
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }
}

/// Work done and the time that it took: a rate over everything and of the last piece.
#[derive(Debug, Default)]
pub struct Rate {
    units: Counter,
    micros: Counter,
    last_milli_per_second: Gauge,
}

impl Rate {
    /// Records `units` of work that took `time`.
    pub fn record(&self, units: u64, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.units.add(units);
        self.micros.add(micros);
        self.last_milli_per_second
            .set(units.saturating_mul(1_000_000_000) / micros);
    }

    /// Units so far.
    pub fn units(&self) -> u64 {
        self.units.get()
    }

    /// Units per second over all recorded time; 0 before the first record.
    pub fn average(&self) -> f64 {
        match self.micros.get() {
            0 => 0.0,
            micros => self.units.get() as f64 * 1e6 / micros as f64,
        }
    }

    /// Units per second of the last record.
    pub fn last(&self) -> f64 {
        self.last_milli_per_second.get() as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_averages_over_time_and_not_over_records() {
        let rate = Rate::default();
        assert_eq!(rate.average(), 0.0);
        rate.record(10, Duration::from_secs(1));
        rate.record(50, Duration::from_secs(1));
        assert_eq!(rate.average(), 30.0);
        assert_eq!(rate.last(), 50.0);
        assert_eq!(rate.units(), 60);
    }

    #[test]
    fn a_gauge_keeps_its_highest_value() {
        let gauge = Gauge::default();
        gauge.set(7);
        gauge.set(3);
        assert_eq!((gauge.get(), gauge.highest()), (3, 7));
    }
}
