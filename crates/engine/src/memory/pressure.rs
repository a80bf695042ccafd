//! How hard caches must shrink when memory runs short.
//!
//! A level that rises by one with each look at a limit that is nearly reached, and falls to nothing once all limits are
//! clearly kept. Pure: sizes in, a level out. Knows neither what the limits are nor what is dropped.

use std::cmp::Ordering;

/// Shares of a limit are counted in millionths, so that 0.85 of 1000 is 850 and not what a float makes of it.
const WHOLE: u32 = 1_000_000;
/// The smallest share that the configuration may give.
const LEAST: u32 = WHOLE / 10;
/// How far below the threshold pressure ends.
const GAP: u32 = WHOLE / 10;

/// One limit and what counts against it. Bytes, or another unit that is the same for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Whose limit it is, for the log and the status.
    pub name: &'static str,
    /// How much counts against the limit.
    pub used: u64,
    /// How much there may be; 0 is no limit.
    pub limit: u64,
}

/// What must give way; each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    None,
    /// Blobs in RAM go to disk.
    Spill,
    /// Cells of idle sessions leave the pool: their newer half, or all of them.
    Trim,
    /// Caches of idle sessions are dropped.
    Drop,
    /// New sessions are refused.
    Refuse,
}

impl Level {
    /// The level as the status shows it.
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Spill => "spill",
            Level::Trim => "trim",
            Level::Drop => "drop",
            Level::Refuse => "refuse",
        }
    }

    /// The next harder level; the hardest is its own.
    fn harder(self) -> Level {
        match self {
            Level::None => Level::Spill,
            Level::Spill => Level::Trim,
            Level::Trim => Level::Drop,
            Level::Drop | Level::Refuse => Level::Refuse,
        }
    }
}

/// A level that was left for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The level before.
    pub from: Level,
    /// The level from now on.
    pub to: Level,
    /// The limit that is filled most, whichever way the level went; `None` where nothing is limited.
    pub cause: Option<Share>,
    /// How much of the cause must go so that it calls for nothing any more, in its unit; 0 when pressure ended.
    pub excess: u64,
}

/// The present level and the threshold that it follows.
#[derive(Debug, Clone)]
pub struct Pressure {
    level: Level,
    /// In millionths of a limit.
    threshold: u32,
}

impl Pressure {
    /// Begins without pressure. `threshold`: the share of a limit at which the level rises, 0.1 to 1; anything else is
    /// taken as the nearer end, NaN as the lower.
    pub fn new(threshold: f32) -> Pressure {
        Pressure {
            level: Level::None,
            threshold: millionths(threshold),
        }
    }

    /// Takes another threshold, as in [`Pressure::new`]. The level follows with the next observation.
    pub fn set_threshold(&mut self, threshold: f32) {
        self.threshold = millionths(threshold);
    }

    /// The present level.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Looks at all limits; returns the change if the level changes.
    ///
    /// With one limit at or above the threshold the level rises by one; with all of them below the lower border (0.1
    /// under the threshold, half of it at least) it is [`Level::None`] at once; between the two it stays.
    pub fn observe(&mut self, shares: &[Share]) -> Option<Change> {
        let limited = || shares.iter().filter(|share| share.limit > 0);
        let to = if limited().any(|share| share.used >= self.border(share)) {
            self.level.harder()
        } else if limited().all(|share| share.used <= self.goal(share)) {
            Level::None
        } else {
            self.level
        };
        let from = std::mem::replace(&mut self.level, to);
        if from == to {
            return None;
        }
        let cause = limited().max_by(|a, b| by_fill(a, b)).copied();
        let excess = cause.map_or(0, |share| share.used.saturating_sub(self.goal(&share)));
        Some(Change {
            from,
            to,
            cause,
            excess,
        })
    }

    /// The most that may be used of this limit so that it calls for nothing any more, whatever the level; everything
    /// where there is no limit.
    pub fn goal(&self, share: &Share) -> u64 {
        if share.limit == 0 {
            return u64::MAX;
        }
        let lower = self.threshold.saturating_sub(GAP).max(self.threshold / 2);
        // Strictly below the border, and 0 in any case ends it.
        part(share.limit, lower)
            .div_ceil(u128::from(WHOLE))
            .saturating_sub(1) as u64
    }

    /// The least that is too much.
    fn border(&self, share: &Share) -> u64 {
        part(share.limit, self.threshold).div_ceil(u128::from(WHOLE)) as u64
    }
}

fn millionths(share: f32) -> u32 {
    let rounded = (f64::from(share) * f64::from(WHOLE)).round();
    // A cast of a float saturates and makes NaN 0.
    (rounded as u32).clamp(LEAST, WHOLE)
}

/// `limit` times `share`, in millionths.
fn part(limit: u64, share: u32) -> u128 {
    u128::from(limit) * u128::from(share)
}

/// Orders by `used / limit`, exactly.
fn by_fill(a: &Share, b: &Share) -> Ordering {
    let cross = |x: &Share, y: &Share| u128::from(x.used) * u128::from(y.limit);
    cross(a, b).cmp(&cross(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(used: u64, limit: u64) -> Share {
        Share {
            name: "budget",
            used,
            limit,
        }
    }

    /// The levels that follow from these uses of a limit of 1000.
    fn levels(threshold: f32, uses: &[u64]) -> Vec<&'static str> {
        let mut pressure = Pressure::new(threshold);
        let one = |&used: &u64| {
            pressure.observe(&[share(used, 1000)]);
            pressure.level().name()
        };
        uses.iter().map(one).collect()
    }

    #[test]
    fn the_level_rises_by_one_at_the_threshold_and_ends_a_tenth_lower() {
        assert_eq!(levels(0.85, &[849, 850, 849]), ["none", "spill", "spill"]);
        assert_eq!(levels(0.85, &[850, 750, 749]), ["spill", "spill", "none"]);
        let hard = levels(0.85, &[900; 6]);
        assert_eq!(
            hard,
            ["spill", "trim", "drop", "refuse", "refuse", "refuse"]
        );
        assert_eq!(levels(0.85, &[900, 900, 900, 700]).last(), Some(&"none"));
        assert_eq!(
            levels(1.0, &[999, 1000, 900, 899]),
            ["none", "spill", "spill", "none"]
        );
    }

    #[test]
    fn the_lowest_threshold_ends_at_half_of_it() {
        assert_eq!(
            levels(0.1, &[99, 100, 50, 49]),
            ["none", "spill", "spill", "none"]
        );
        assert_eq!(levels(0.15, &[150, 75, 74]), ["spill", "spill", "none"]);
    }

    #[test]
    fn the_fullest_limit_is_the_cause_and_says_how_much_must_go() {
        let mut pressure = Pressure::new(0.85);
        let group = Share {
            name: "group",
            ..share(95, 100)
        };
        let shares = [share(9000, 10_000), group, share(9000, 0)];
        let change = pressure.observe(&shares).unwrap();
        assert_eq!((change.from, change.to), (Level::None, Level::Spill));
        assert_eq!(change.cause, Some(group));
        assert_eq!(change.excess, 95 - 74);
        let change = pressure.observe(&[share(1, 10), share(3, 10)]).unwrap();
        assert_eq!((change.from, change.to), (Level::Spill, Level::None));
        assert_eq!((change.cause, change.excess), (Some(share(3, 10)), 0));
    }

    #[test]
    fn one_limit_between_the_borders_holds_the_level() {
        let mut pressure = Pressure::new(0.85);
        pressure.observe(&[share(90, 100), share(80, 100)]);
        assert_eq!(pressure.observe(&[share(0, 100), share(80, 100)]), None);
        assert_eq!(pressure.level(), Level::Spill);
    }

    #[test]
    fn without_limits_there_is_no_pressure() {
        let mut pressure = Pressure::new(0.85);
        assert_eq!(pressure.observe(&[]), None);
        assert_eq!(pressure.observe(&[share(u64::MAX, 0)]), None);
        assert_eq!(pressure.goal(&share(7, 0)), u64::MAX);
        pressure.observe(&[share(1, 1)]);
        let change = pressure.observe(&[share(1, 0)]).unwrap();
        assert_eq!(
            (change.to, change.cause, change.excess),
            (Level::None, None, 0)
        );
    }

    #[test]
    fn a_new_threshold_counts_from_the_next_observation() {
        let mut pressure = Pressure::new(0.85);
        pressure.observe(&[share(850, 1000)]);
        pressure.set_threshold(1.0);
        assert_eq!(pressure.level(), Level::Spill);
        assert!(pressure.observe(&[share(850, 1000)]).is_some());
        assert_eq!(pressure.level(), Level::None);
    }

    #[test]
    fn a_threshold_out_of_range_is_the_nearer_end() {
        let goal = |threshold| Pressure::new(threshold).goal(&share(0, 1000));
        let lowest = [f32::NAN, f32::NEG_INFINITY, -1.0, 0.0, 0.1];
        assert!(lowest.into_iter().all(|t| goal(t) == 49));
        assert!(
            [1.0, 2.0, f32::INFINITY]
                .into_iter()
                .all(|t| goal(t) == 899)
        );
    }

    #[test]
    fn levels_are_ordered_from_nothing_to_refusal() {
        let all = [
            Level::None,
            Level::Spill,
            Level::Trim,
            Level::Drop,
            Level::Refuse,
        ];
        assert!(all.is_sorted());
        assert!(all.windows(2).all(|two| two[0].harder() == two[1]));
    }

    /// Limits around the edges of the arithmetic, uses around the limits.
    fn any_share() -> impl Strategy<Value = Share> {
        let limit = prop_oneof![0u64..4, 1u64..2000, u64::MAX - 4..=u64::MAX, any::<u64>()];
        limit.prop_flat_map(|limit| {
            let used = prop_oneof![0..=limit, 0..=limit.saturating_add(3), any::<u64>()];
            used.prop_map(move |used| share(used, limit))
        })
    }

    fn any_shares() -> impl Strategy<Value = Vec<Share>> {
        prop::collection::vec(any_share(), 0..4)
    }

    fn scaled(shares: &[Share], percent: u64) -> Vec<Share> {
        let less = |s: &Share| Share {
            used: (u128::from(s.used) * u128::from(percent) / 100) as u64,
            ..*s
        };
        shares.iter().map(less).collect()
    }

    proptest! {
        #[test]
        fn no_level_is_skipped_on_the_way_up(
            threshold in 0.1f32..=1.0,
            looks in prop::collection::vec(any_shares(), 1..20),
        ) {
            let mut pressure = Pressure::new(threshold);
            for shares in looks {
                let before = pressure.level();
                let change = pressure.observe(&shares);
                let now = pressure.level();
                prop_assert!(now == before || now == before.harder() || now == Level::None);
                prop_assert_eq!(change.map(|c| (c.from, c.to)), (now != before).then_some((before, now)));
            }
        }

        #[test]
        fn pressure_ends_when_every_goal_is_met_and_not_before(
            threshold in 0.1f32..=1.0,
            mut shares in prop::collection::vec(any_share(), 1..4),
            rises in 1usize..7,
        ) {
            let mut pressure = Pressure::new(threshold);
            for _ in 0..rises {
                pressure.observe(&[share(1, 1)]);
            }
            for s in &mut shares {
                s.used = s.used.min(pressure.goal(s));
            }
            let mut above = shares.clone();
            above[0].used = pressure.goal(&above[0]).saturating_add(1);
            let mut not_yet = pressure.clone();
            not_yet.observe(&above);
            prop_assert_eq!(not_yet.level() == Level::None, above[0].limit == 0);
            let change = pressure.observe(&shares);
            prop_assert_eq!(pressure.level(), Level::None);
            prop_assert_eq!(change.map(|c| c.excess), Some(0));
        }

        #[test]
        fn what_stays_as_it_is_never_flaps(
            threshold in 0.1f32..=1.0,
            before in prop::collection::vec(any_shares(), 0..6),
            shares in any_shares(),
        ) {
            let mut pressure = Pressure::new(threshold);
            for look in before {
                pressure.observe(&look);
            }
            pressure.observe(&shares);
            let settled: Vec<Level> = (0..8).map(|_| { pressure.observe(&shares); pressure.level() }).collect();
            let first = settled[0];
            prop_assert!(settled.is_sorted());
            prop_assert!(settled[7] == Level::Refuse || settled.iter().all(|&l| l == first));
            prop_assert_eq!(pressure.observe(&shares), None);
        }

        #[test]
        fn less_use_is_never_more_pressure(
            threshold in 0.1f32..=1.0,
            looks in prop::collection::vec((any_shares(), 0u64..=100), 1..20),
        ) {
            let mut more = Pressure::new(threshold);
            let mut less = Pressure::new(threshold);
            for (shares, percent) in looks {
                more.observe(&shares);
                less.observe(&scaled(&shares, percent));
                prop_assert!(less.level() <= more.level());
            }
        }

        #[test]
        fn the_goal_lies_below_what_is_too_much(threshold in 0.0f32..=1.1, s in any_share()) {
            let pressure = Pressure::new(threshold);
            prop_assume!(s.limit > 0);
            prop_assert!(pressure.goal(&s) < pressure.border(&s));
            prop_assert!(pressure.border(&s) <= s.limit);
        }
    }
}
