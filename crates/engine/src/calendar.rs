//! Seconds since 1970 as a date and time in UTC. Knows no time zones.

use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Utc {
    /// Year of the Gregorian calendar.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// 0 to 86,399.
    pub second: u64,
    /// 0 to 999.
    pub millisecond: u32,
}

impl Utc {
    /// The present moment.
    pub fn now() -> Utc {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Utc {
            millisecond: since.subsec_millis(),
            ..Utc::at(since.as_secs())
        }
    }

    /// The moment `seconds` after 1970-01-01T00:00:00Z (era arithmetic after Howard Hinnant, "chrono-compatible
    /// low-level date algorithms").
    pub fn at(seconds: u64) -> Utc {
        let z = seconds / 86_400 + 719_468;
        let era = z / 146_097;
        let doe = z % 146_097;
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Utc {
            year: yoe + era * 400 + u64::from(month <= 2),
            month,
            day: doy - (153 * mp + 2) / 5 + 1,
            second: seconds % 86_400,
            millisecond: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leap_days_and_year_ends_are_right() {
        let date = |days: u64| {
            let utc = Utc::at(days * 86_400);
            (utc.year, utc.month, utc.day)
        };
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!(date(20_453), (2025, 12, 31));
        assert_eq!(date(20_454), (2026, 1, 1));
    }
}
