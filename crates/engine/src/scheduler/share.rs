//! Which waiting prompts a step's prefill budget goes to.
//!
//! A prompt that fits whole goes in whole, so that a short one is not held up by a long one; the first in order keeps
//! half of the budget, so that endless short ones do not hold up the long one either. Pure.

use super::pace::LEAST;

/// Prompts that one step works on: more would give each too little to matter.
const MOST_PROMPTS: usize = 3;

/// Tokens for each of the waiting prompts, whose rests come in the order of policy. One that does not go in whole gets a
/// multiple of `unit`.
///
/// `turn`: the step's number; where the budget is too small to be halved, short prompts and the first one alternate.
pub fn share(budget: usize, rests: &[usize], unit: usize, turn: u64) -> Vec<usize> {
    let mut shares = vec![0; rests.len()];
    let Some(&first) = rests.first() else {
        return shares;
    };
    let unit = unit.clamp(1, budget.max(1));
    let piece = |rest: usize, room: usize| match rest <= room {
        true => rest,
        false => room - room % unit,
    };
    let kept = match piece(first, budget / 2) {
        half if half >= LEAST.min(first) => half,
        _ if turn.is_multiple_of(2) => piece(first, budget),
        _ => 0,
    };
    shares[0] = kept;
    let mut left = budget - kept;
    let mut served = 1;
    for (share, &rest) in shares.iter_mut().zip(rests).skip(1) {
        if served < MOST_PROMPTS && rest <= left {
            *share = rest;
            left -= rest;
            served += 1;
        }
    }
    // What is left goes on in order.
    for (at, &rest) in rests.iter().enumerate() {
        let is_served = at == 0 || shares[at] > 0;
        if !is_served && served >= MOST_PROMPTS {
            continue;
        }
        let more = piece(rest - shares[at], left);
        served += usize::from(!is_served && more > 0);
        shares[at] += more;
        left -= more;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_prompt_goes_in_whole_beside_a_long_one() {
        assert_eq!(share(96, &[6000, 32], 1, 0), [64, 32]);
    }

    #[test]
    fn the_first_keeps_half_however_many_short_ones_come() {
        assert_eq!(share(96, &[6000, 20, 20, 20, 20], 1, 0), [56, 20, 20, 0, 0]);
    }

    #[test]
    fn a_small_budget_alternates() {
        assert_eq!(share(32, &[6000, 32], 1, 0), [32, 0]);
        assert_eq!(share(32, &[6000, 32], 1, 1), [0, 32]);
    }

    #[test]
    fn what_a_short_first_leaves_goes_to_the_next() {
        assert_eq!(share(96, &[10, 200, 300], 1, 0), [10, 86, 0]);
    }

    #[test]
    fn pieces_are_whole_units() {
        assert_eq!(share(192, &[6000, 32], 64, 0), [128, 32]);
        assert_eq!(share(64, &[6000, 32], 64, 0), [64, 0]);
        assert_eq!(share(64, &[6000, 32], 64, 1), [0, 32]);
        assert_eq!(share(64, &[70], 64, 1), [64]);
    }

    proptest! {
        #[test]
        fn the_budget_is_used_and_kept(budget in 1usize..600, rests in prop::collection::vec(1usize..900, 1..20), turn: u64) {
            let shares = share(budget, &rests, 1, turn);
            prop_assert!(shares.iter().zip(&rests).all(|(share, rest)| share <= rest));
            prop_assert!(shares.iter().filter(|&&s| s > 0).count() <= MOST_PROMPTS);
            let used: usize = shares.iter().sum();
            prop_assert!(used <= budget);
            let wanted: usize = rests.iter().take(MOST_PROMPTS).sum();
            prop_assert!(used == budget || used >= wanted.min(budget) || shares.iter().filter(|&&s| s > 0).count() == MOST_PROMPTS);
        }

        #[test]
        fn the_first_prompt_moves_at_least_every_second_step(budget in 1usize..600, rests in prop::collection::vec(1usize..900, 1..20), unit in 1usize..100, turn in 0u64..9) {
            let moved = share(budget, &rests, unit, turn)[0] + share(budget, &rests, unit, turn + 1)[0];
            prop_assert!(moved > 0);
        }
    }
}
