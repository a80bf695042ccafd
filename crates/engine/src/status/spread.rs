//! How times lie: their count, mean and percentiles, in milliseconds.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::metrics::Histogram;

/// How times lie, in milliseconds. A percentile is at most an eighth too long.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Spread {
    /// Times recorded.
    pub count: u64,
    /// Their mean in milliseconds; 0 where none was recorded.
    pub mean: f64,
    /// Half of them are no longer, in milliseconds.
    pub p50: f64,
    /// 90 % of them are no longer, in milliseconds.
    pub p90: f64,
    /// 99 % of them are no longer, in milliseconds.
    pub p99: f64,
}

impl From<&Histogram> for Spread {
    fn from(times: &Histogram) -> Spread {
        let times = times.snapshot();
        let ms = |time: Duration| time.as_micros() as f64 / 1000.0;
        Spread {
            count: times.count,
            mean: ms(times.sum) / times.count.max(1) as f64,
            p50: ms(times.percentile(0.5)),
            p90: ms(times.percentile(0.9)),
            p99: ms(times.percentile(0.99)),
        }
    }
}
