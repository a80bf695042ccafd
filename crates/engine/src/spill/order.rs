//! Which idle conversation gives way first, under each `cache_strategy`.
//!
//! Pure: how long something has been idle comes in as a value. Knows no tier; the pool and the store ask alike.

use std::cmp::Ordering;
use std::time::Duration;

use crate::config::CacheStrategy;

/// What is known of an idle conversation's cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Tokens that the cells hold.
    pub tokens: usize,
    /// Time since they were last used.
    pub idle: Duration,
    /// Its session; a smaller number is an older session.
    pub session: u64,
    /// Whether the session has an open context.
    pub open: bool,
}

/// The candidate that gives way first; `None` if there is none. Of equals, the first one given.
///
/// `Lru`: the longest unused. `Fifo`: the oldest session's. `Smart`: the one with the least tokens per idle second
/// (one second is added, so that fresh ones compare by tokens), where an open session's count double because their
/// recomputation is likelier to be needed. Ties: the longer idle, then the older session.
pub fn leaves_first<T>(
    strategy: CacheStrategy,
    candidates: impl Iterator<Item = (T, Idle)>,
) -> Option<T> {
    candidates
        .min_by(|(_, a), (_, b)| compare(strategy, a, b))
        .map(|(candidate, _)| candidate)
}

/// `Less`: `a` leaves before `b`.
fn compare(strategy: CacheStrategy, a: &Idle, b: &Idle) -> Ordering {
    let by_strategy = match strategy {
        CacheStrategy::Lru => Ordering::Equal,
        CacheStrategy::Fifo => a.session.cmp(&b.session),
        CacheStrategy::Smart => worth(a).total_cmp(&worth(b)),
    };
    by_strategy
        .then(b.idle.cmp(&a.idle))
        .then(a.session.cmp(&b.session))
}

fn worth(idle: &Idle) -> f64 {
    let weight = if idle.open { 2.0 } else { 1.0 };
    weight * idle.tokens as f64 / (1.0 + idle.idle.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STRATEGIES: [CacheStrategy; 3] = [
        CacheStrategy::Lru,
        CacheStrategy::Fifo,
        CacheStrategy::Smart,
    ];

    fn idle(tokens: usize, seconds: u64, session: u64, open: bool) -> Idle {
        Idle {
            tokens,
            idle: Duration::from_secs(seconds),
            session,
            open,
        }
    }

    fn check(strategy: CacheStrategy, candidates: &[Idle], expect: usize) {
        let numbered = candidates.iter().copied().enumerate();
        assert_eq!(leaves_first(strategy, numbered), Some(expect));
    }

    #[test]
    fn nobody_leaves_where_nobody_is() {
        let none = std::iter::empty::<((), Idle)>();
        assert_eq!(leaves_first(CacheStrategy::Lru, none), None);
    }

    #[test]
    fn lru_names_the_longest_unused_whatever_its_age_and_size() {
        let given = [idle(1, 5, 1, false), idle(900, 6, 9, true)];
        check(CacheStrategy::Lru, &given, 1);
    }

    #[test]
    fn fifo_names_the_oldest_session_however_fresh_its_cells_are() {
        let given = [idle(10, 90, 4, false), idle(10, 0, 3, true)];
        check(CacheStrategy::Fifo, &given, 1);
    }

    #[test]
    fn smart_names_the_fewest_tokens_per_idle_second() {
        // 100 / 10 against 1000 / 50.
        let given = [idle(1000, 49, 1, false), idle(100, 9, 2, false)];
        check(CacheStrategy::Smart, &given, 1);
    }

    #[test]
    fn smart_counts_an_open_session_double() {
        let given = [idle(100, 9, 1, true), idle(150, 9, 2, false)];
        check(CacheStrategy::Smart, &given, 1);
    }

    #[test]
    fn of_equals_the_longer_idle_leaves_and_then_the_older_session() {
        check(
            CacheStrategy::Smart,
            &[idle(0, 1, 1, false), idle(0, 2, 2, false)],
            1,
        );
        for strategy in STRATEGIES {
            check(strategy, &[idle(5, 5, 8, false), idle(5, 5, 7, false)], 1);
        }
    }

    fn any_idle() -> impl Strategy<Value = Idle> {
        // Few values, so that ties come up.
        (0usize..4, 0u64..4, 0u64..4, any::<bool>()).prop_map(|(t, s, n, o)| idle(t, s, n, o))
    }

    proptest! {
        #[test]
        fn every_strategy_is_a_total_order(a in any_idle(), b in any_idle(), c in any_idle()) {
            for strategy in STRATEGIES {
                prop_assert_eq!(compare(strategy, &a, &b), compare(strategy, &b, &a).reverse());
                let is_chain = compare(strategy, &a, &b).is_le() && compare(strategy, &b, &c).is_le();
                prop_assert!(!is_chain || compare(strategy, &a, &c).is_le());
            }
        }

        #[test]
        fn who_leaves_does_not_depend_on_the_order_of_asking(given in prop::collection::vec(any_idle(), 1..8)) {
            for strategy in STRATEGIES {
                let ahead = leaves_first(strategy, given.iter().map(|i| (*i, *i)));
                let back = leaves_first(strategy, given.iter().rev().map(|i| (*i, *i)));
                let (ahead, back) = (ahead.unwrap(), back.unwrap());
                prop_assert!(compare(strategy, &ahead, &back).is_eq());
                prop_assert!(given.iter().all(|i| compare(strategy, &ahead, i).is_le()));
            }
        }
    }
}
