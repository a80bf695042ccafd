//! How likely tokens were by the model alone: from a row of raw logits, before any bias, penalty or filter.
//!
//! Pure. A row holds natural logits, one per token of the vocabulary, not normalised.

use crate::llama::Token;

/// How likely the chosen token was, and which ones were likelier or next.
#[derive(Debug, Clone, PartialEq)]
pub struct Odds {
    /// The token that was chosen.
    pub token: Token,
    /// The natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens with theirs, best first.
    pub top: Vec<(Token, f32)>,
}

/// The odds of `token` with the `alternatives` likeliest tokens beside it; of equally likely ones the lower id first, as
/// a greedy choice has it.
pub fn odds(row: &[f32], token: Token, alternatives: usize) -> Odds {
    let total = log_sum(row);
    // Few of many: a sorted list in which a better one takes the place of the last.
    let mut top: Vec<(Token, f32)> = Vec::with_capacity(alternatives.min(row.len()) + 1);
    for (id, &logit) in (0..).zip(row) {
        if top.len() == alternatives && top.last().is_none_or(|last| logit <= last.1) {
            continue;
        }
        let at = top.partition_point(|other| other.1 >= logit);
        top.insert(at, (Token(id), logit));
        top.truncate(alternatives);
    }
    top.iter_mut().for_each(|entry| entry.1 -= total);
    Odds {
        token,
        logprob: logit(row, token) - total,
        top,
    }
}

/// The probability that the next token is one of `tokens`.
pub fn mass(row: &[f32], tokens: &[Token]) -> f32 {
    let total = log_sum(row);
    let shares = tokens
        .iter()
        .map(|&token| (logit(row, token) - total).exp());
    shares.sum::<f32>().clamp(0.0, 1.0)
}

fn logit(row: &[f32], token: Token) -> f32 {
    let at = usize::try_from(token.0).ok();
    at.and_then(|at| row.get(at))
        .copied()
        .unwrap_or(f32::NEG_INFINITY)
}

/// The logarithm of the sum of the exponentials; summed in 64 bits, because a vocabulary has 10^5 of them.
fn log_sum(row: &[f32]) -> f32 {
    let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if !best.is_finite() {
        return best;
    }
    let sum: f64 = row.iter().map(|&l| f64::from(l - best).exp()).sum();
    best + sum.ln() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_likeliest_come_first_and_the_chosen_one_keeps_its_own() {
        let half = 0.5_f32.ln();
        let quarter = 0.25_f32.ln();
        let row = [quarter, half, f32::NEG_INFINITY, quarter].map(|l| l + 7.0);
        let odds = odds(&row, Token(3), 2);
        let close = |a: f32, b: f32| (a - b).abs() < 1e-5;
        assert!(close(odds.logprob, quarter), "{odds:?}");
        assert_eq!(odds.top.iter().map(|t| t.0.0).collect::<Vec<_>>(), [1, 0]);
        assert!(close(odds.top[0].1, half) && close(odds.top[1].1, quarter));
        assert!(close(mass(&row, &[Token(0), Token(1)]), 0.75));
        assert_eq!(mass(&row, &[Token(2), Token(9), Token(-1)]), 0.0);
    }

    proptest! {
        #[test]
        fn probabilities_add_up_and_the_likeliest_are_the_first_of_all(
            row in prop::collection::vec(-30.0_f32..30.0, 1..60), n in 0usize..70) {
            let all = odds(&row, Token(0), row.len());
            let sum: f32 = all.top.iter().map(|t| t.1.exp()).sum();
            prop_assert!((sum - 1.0).abs() < 1e-3);
            let part = odds(&row, Token(0), n);
            prop_assert_eq!(&part.top[..], &all.top[..n.min(row.len())]);
        }
    }
}
