//! Numbers between bounds, as decimals: exactly what the schema says, and what of it is written.

use serde_json::Number;

/// Digits behind the point of a bound.
pub(super) const PLACES: u32 = 18;
/// One, in the unit of bounds.
pub(super) const ONE: i128 = 10_i128.pow(PLACES);
/// Numbers from here on are all the same.
const FAR: i128 = 10_i128.pow(20) * ONE;
/// As many digits as a number without bounds may have.
const WIDEST: i128 = 9_999_999_999_999_999 * ONE;

/// Numbers between two bounds; none is no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) least: Option<Bound>,
    pub(super) most: Option<Bound>,
    /// Most digits behind the point, 1 or more; any number without.
    pub(super) places: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    at: i128,
    is_excluded: bool,
}

impl Range {
    pub(super) const OPEN: Range = Range {
        least: None,
        most: None,
        places: None,
    };

    /// What both admit.
    pub(super) fn and(self, other: Range) -> Range {
        let least = self.least.into_iter().chain(other.least);
        let most = self.most.into_iter().chain(other.most);
        Range {
            least: least.max_by_key(|bound| (bound.at, bound.is_excluded)),
            most: most.min_by_key(|bound| (bound.at, !bound.is_excluded)),
            places: self.places.into_iter().chain(other.places).min(),
        }
    }

    /// The same whole numbers, with bounds that are whole and included.
    pub(super) fn whole(self) -> Range {
        let whole = |bound: Bound, at: i128| match bound.at.abs() == FAR {
            true => bound,
            false => Bound {
                at,
                is_excluded: false,
            },
        };
        let least = |bound: Bound| {
            let above = bound.at + i128::from(bound.is_excluded);
            whole(bound, -(-above).div_euclid(ONE) * ONE)
        };
        let most = |bound: Bound| {
            let below = bound.at - i128::from(bound.is_excluded);
            whole(bound, below.div_euclid(ONE) * ONE)
        };
        Range {
            least: self.least.map(least),
            most: self.most.map(most),
            places: None,
        }
    }

    pub(super) fn is_empty(self) -> bool {
        match (self.least, self.most) {
            (Some(least), Some(most)) if least.at == most.at => {
                least.is_excluded || most.is_excluded
            }
            (Some(least), Some(most)) => least.at > most.at,
            _ => false,
        }
    }

    /// Whether `number` lies within; `None` where that cannot be said.
    pub(super) fn has(self, number: &Number) -> Option<bool> {
        let Range {
            least,
            most,
            places,
        } = self;
        let is_far = |bound: Option<Bound>, at: i128| bound.is_some_and(|bound| bound.at == at);
        let (floor, is_exact) = floor(number)?;
        if floor.abs() == FAR && (is_far(least, floor) || is_far(most, floor)) {
            return None;
        }
        let is_above = least.is_none_or(|least| match floor == least.at {
            true => !(least.is_excluded && is_exact),
            false => floor > least.at,
        });
        let is_below = most.is_none_or(|most| match floor == most.at {
            true => is_exact && !most.is_excluded,
            false => floor < most.at,
        });
        // Far away numbers have no places.
        let unit = places.map_or(1, |places| 10_i128.pow(PLACES - places));
        let is_multiple = places.is_none() || is_exact && floor % unit == 0;
        Some(is_above && is_below && is_multiple)
    }

    /// The least and the most that is written, both included; `None` for nothing.
    ///
    /// Readers take numbers for binary fractions, where one close to an excluded bound is the bound: what is written
    /// differs from it in its first 15 digits.
    pub(super) fn written(self) -> Option<(i128, i128)> {
        let apart = |bound: Bound| match bound.is_excluded {
            true => 10_i128.pow(PLACES - 15 + (bound.at / ONE).abs().max(1).ilog10() + 1),
            false => 0,
        };
        let least = self.least.map_or(-WIDEST, |b| b.at + apart(b));
        let most = self.most.map_or(WIDEST, |b| b.at - apart(b));
        let (least, most) = (least.max(-WIDEST), most.min(WIDEST));
        // Inwards, to numbers with as many places.
        let unit = self.places.map_or(1, |places| 10_i128.pow(PLACES - places));
        let least = -(-least).div_euclid(unit) * unit;
        let most = most.div_euclid(unit) * unit;
        (least <= most).then_some((least, most))
    }
}

impl Bound {
    /// `None` for a number with too many digits behind its point.
    pub(super) fn new(number: &Number, is_excluded: bool) -> Option<Bound> {
        let (at, is_exact) = floor(number)?;
        is_exact.then_some(Bound { at, is_excluded })
    }
}

/// How many digits behind the point the multiples of `step` have; `None` where they are not all numbers of so many.
pub(super) fn places(step: &Number) -> Option<u32> {
    let (at, is_exact) = floor(step)?;
    let places = (0..=PLACES).find(|places| 10_i128.pow(PLACES - places) == at);
    places.filter(|_| is_exact)
}

/// The largest number of units that is not more than `number`, and whether that is all of it.
fn floor(number: &Number) -> Option<(i128, bool)> {
    let text = number.to_string();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    let shift = exponent + i64::from(PLACES) - fraction.len() as i64;
    let power = |shift: i64| 10_i128.checked_pow(u32::try_from(shift).ok()?);
    Some(if shift >= 0 {
        let units = power(shift).and_then(|power| digits.checked_mul(power));
        let far = FAR * digits.signum();
        (units.unwrap_or(far).clamp(-FAR, FAR), true)
    } else {
        let power = power(-shift).unwrap_or(i128::MAX);
        let floor = digits.div_euclid(power).clamp(-FAR, FAR);
        (floor, digits.rem_euclid(power) == 0)
    })
}

#[cfg(test)]
mod unit {
    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_decimals_however_they_are_written() {
        let check = |text: &str, expect: (i128, bool)| {
            assert_eq!(floor(&number(text)), Some(expect), "{text}");
        };
        check("0", (0, true));
        check("-0.0", (0, true));
        check("1.5", (ONE / 2 * 3, true));
        check("-15e-1", (-ONE / 2 * 3, true));
        check("1e-18", (1, true));
        check("1e-19", (0, false));
        check("-1e-300", (-1, false));
        check("1e300", (FAR, true));
        check("-1e300", (-FAR, true));
        check("18446744073709551615", (i128::from(u64::MAX) * ONE, true));
    }

    #[test]
    fn powers_of_ten_are_places() {
        let check = |text: &str, expect: Option<u32>| {
            assert_eq!(places(&number(text)), expect, "{text}");
        };
        check("1", Some(0));
        check("1.0", Some(0));
        check("0.01", Some(2));
        check("1e-2", Some(2));
        check("1e-18", Some(18));
        check("1e-19", None);
        check("0.5", None);
        check("0", None);
        check("10", None);
        check("-0.1", None);
    }

    #[test]
    fn ends_that_are_open_stay_open() {
        let bound = |text: &str| Bound::new(&number(text), false);
        let above = |text: &str| Range {
            least: bound(text),
            ..Range::OPEN
        };
        let check = |range: Range, text: &str, expect: Option<bool>| {
            assert_eq!(range.has(&number(text)), expect, "{text}");
        };
        check(above("0"), "1e20", Some(true));
        check(above("0"), "1e300", Some(true));
        check(above("0"), "-1e300", Some(false));
        check(above("0.1"), "0.1", Some(true));
        check(above("0"), "1e-300", Some(true));
        let cents = Range {
            places: Some(2),
            ..above("0")
        };
        check(cents, "0.25", Some(true));
        check(cents, "0.255", Some(false));
        check(cents, "1e-300", Some(false));
        check(cents, "7", Some(true));
        let below = Range {
            most: bound("1e300"),
            ..Range::OPEN
        };
        check(below, "1e20", None);
        check(below, "-1e300", Some(true));
    }
}
