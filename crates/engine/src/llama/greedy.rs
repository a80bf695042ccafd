//! The choice of the best token without a list of candidates.
//!
//! Greedy chains are the most frequent ones, and copying a vocabulary of logits per token is most of what they cost. Does
//! what llama.cpp's bias and greedy stages do.

use crate::error::Result;

use super::ffi::Fault;
use super::{Stage, Token};

/// What is added to which logits before the best is chosen; in the order of tokens, each once.
#[derive(Debug, Clone)]
pub(super) struct Biases(Vec<(Token, f32)>);

impl Biases {
    /// Those of a chain that does nothing else before it chooses the best.
    pub(super) fn alone(stages: &[Stage]) -> Option<Biases> {
        let mut biases = match stages {
            [Stage::Greedy] => Vec::new(),
            [Stage::LogitBias(biases), Stage::Greedy] => biases.clone(),
            _ => return None,
        };
        biases.sort_by_key(|(token, _)| *token);
        let is_once = biases.windows(2).all(|pair| pair[0].0 != pair[1].0);
        is_once.then_some(Biases(biases))
    }

    /// The first of the highest logits; every biased token is one of the row's. Errors: `Engine` beginning with `bad
    /// logits` for a row with a value that is not finite or with minus infinity alone, with `dead end` where the biases
    /// leave no token.
    pub(super) fn best(&self, logits: &[f32]) -> Result<Token> {
        let mut best = Best::default();
        let mut from = 0;
        for (token, bias) in &self.0 {
            let at = usize::try_from(token.0).unwrap_or(0);
            best.look(from, &logits[from..at]);
            best.look(at, &[logits[at] + bias]);
            from = at + 1;
        }
        best.look(from, &logits[from..]);
        let is_bad = best.is_bad || logits.iter().all(|l| *l == f32::NEG_INFINITY);
        let fault = match best.logit {
            _ if is_bad => Fault::BadLogits("the row has no finite maximum".into()),
            f32::NEG_INFINITY => Fault::DeadEnd("no token is left after biases".into()),
            _ => return Ok(Token(i32::try_from(best.at).unwrap_or(0))),
        };
        Err(fault.during("sample"))
    }
}

struct Best {
    at: usize,
    logit: f32,
    is_bad: bool,
}

impl Default for Best {
    fn default() -> Best {
        Best {
            at: 0,
            logit: f32::NEG_INFINITY,
            is_bad: false,
        }
    }
}

impl Best {
    fn look(&mut self, from: usize, logits: &[f32]) {
        for (offset, &logit) in logits.iter().enumerate() {
            self.is_bad |= logit.is_nan() || logit == f32::INFINITY;
            if logit > self.logit {
                (self.at, self.logit) = (from + offset, logit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: f32 = f32::NEG_INFINITY;

    fn check(biases: &[(i32, f32)], logits: &[f32], expect: std::result::Result<i32, &str>) {
        let biases = biases.iter().map(|&(id, bias)| (Token(id), bias)).collect();
        let biases = Biases::alone(&[Stage::LogitBias(biases), Stage::Greedy]).unwrap();
        match (biases.best(logits), expect) {
            (Ok(token), Ok(id)) => assert_eq!(token.0, id),
            (Err(error), Err(text)) => assert!(error.to_string().starts_with(text), "{error}"),
            (got, expect) => panic!("{got:?} {expect:?}"),
        }
    }

    #[test]
    fn the_first_of_the_highest_is_chosen_after_biases() {
        check(&[], &[1.0, 3.0, 3.0, NONE], Ok(1));
        check(&[(1, NONE)], &[1.0, 3.0, 3.0, 2.0], Ok(2));
        check(&[(3, 5.0), (0, -1.0)], &[1.0, 3.0, 3.0, 2.0], Ok(3));
        check(&[(0, 2.0)], &[1.0, 3.0], Ok(0));
    }

    #[test]
    fn rows_without_a_choice_say_why() {
        check(&[], &[1.0, f32::NAN], Err("bad logits"));
        check(&[], &[1.0, f32::INFINITY], Err("bad logits"));
        check(&[], &[NONE, NONE], Err("bad logits"));
        check(&[(0, NONE), (1, NONE)], &[1.0, 2.0], Err("dead end"));
    }

    #[test]
    fn other_chains_are_not_plain() {
        assert!(Biases::alone(&[Stage::TopK(2), Stage::Greedy]).is_none());
        let twice = vec![(Token(1), 1.0), (Token(1), 1.0)];
        assert!(Biases::alone(&[Stage::LogitBias(twice), Stage::Greedy]).is_none());
    }
}
