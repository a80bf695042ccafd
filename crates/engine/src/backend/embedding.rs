//! Embeddings: a text becomes numbers, on a model that was loaded for it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::Backend;
use super::lease::Patience;
use crate::error::{Error, Result};
use crate::llama::Special;
use crate::scheduler::Pass;

/// What the largest value becomes where an embedding is scaled by it: nearly the largest 16 bit integer.
const LARGEST: f64 = 32_760.0;

/// What a text is to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// One number per dimension; for a model that ranks, its scores.
    pub values: Vec<f32>,
    /// Tokens of the text, with those that the model adds.
    pub tokens: u32,
}

impl Backend {
    /// The embedding of `text`, which is template text: what spells a special token is one. The conversation of
    /// `context` is not part of it and stays as it is.
    ///
    /// `normalize`, as llama.cpp numbers it: -1 as it is; 0 the largest value becomes 32760; 1 taxicab; 2 Euclidean;
    /// above, so many-norm. Scores are never scaled.
    ///
    /// Errors: `InvalidArgument` for a model that was not loaded with `model.embedding`, for a `normalize` below -1 and
    /// for a text without tokens; `PromptTooLong` with counts; `Timeout` after `default_task_timeout_ms`; `Cancelled`;
    /// those of a lease.
    pub fn embed(&self, context: u32, text: String, normalize: i32) -> Result<Embedding> {
        let _inside = self.enter()?;
        let session = self.session(context)?;
        if normalize < -1 {
            return Err(Error::InvalidArgument(format!(
                "normalize is {normalize}, must be -1 (none) or more"
            )));
        }
        let deadline = Instant::now() + self.settings().config.backend.default_task_timeout;
        let cancelled = Arc::new(AtomicBool::new(false));
        let _turn = session
            .begin(&cancelled)
            .ok_or(Error::UnknownContext(context))?;
        let pass = Pass::new();
        let patience = Patience {
            deadline,
            cancelled: &cancelled,
            pass: Some(&pass),
        };
        let lease = self.lease(&session, &patience)?;
        // Texts have no place in the queue of turns.
        pass.release();
        let serving = lease.serving();
        let engine = &serving.engine;
        let Some(gives_score) = engine.embeds() else {
            return Err(Error::InvalidArgument(format!(
                "{} was not loaded with model.embedding",
                serving.label
            )));
        };
        let vocab = serving.vocab.clone();
        let tokens = self.workers.run(move || {
            let tokens = vocab.tokenize(&text, Special::Parse)?;
            Ok(vocab.enclose(tokens))
        })?;
        let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
        let mut values = engine.embed(tokens, &cancelled, deadline)?;
        if !gives_score {
            scale(&mut values, normalize);
        }
        Ok(Embedding {
            values,
            tokens: count,
        })
    }
}

/// Divides `values` by their norm of that number; values without one stay as they are.
fn scale(values: &mut [f32], normalize: i32) {
    let sizes = values.iter().map(|value| f64::from(value.abs()));
    let norm = match normalize {
        ..=-1 => return,
        0 => sizes.fold(0.0, f64::max) / LARGEST,
        1 => sizes.sum(),
        2 => sizes.map(|size| size * size).sum::<f64>().sqrt(),
        p => {
            let p = f64::from(p);
            // In parts of the largest, so that no power is too large or too small for a number.
            let largest = sizes.clone().fold(0.0, f64::max);
            let sum: f64 = sizes.map(|size| (size / largest).powf(p)).sum();
            largest * sum.powf(1.0 / p)
        }
    };
    if norm > 0.0 {
        values
            .iter_mut()
            .for_each(|value| *value = (f64::from(*value) / norm) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_scaled_as_the_number_says() {
        let check = |values: &[f32], normalize: i32, expect: &[f32]| {
            let mut scaled = values.to_vec();
            scale(&mut scaled, normalize);
            let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
            assert!(
                scaled.iter().zip(expect).all(is_near),
                "{normalize}: {scaled:?}"
            );
        };
        let values = [3.0, -4.0];
        check(&values, -1, &values);
        check(&values, 0, &[24_570.0, -32_760.0]);
        check(&values, 1, &[3.0 / 7.0, -4.0 / 7.0]);
        check(&values, 2, &[0.6, -0.8]);
        let cube = 91_f32.cbrt();
        check(&values, 3, &[3.0 / cube, -4.0 / cube]);
        // Far beyond what powers of that height can hold.
        check(
            &[1e-30, 1e-30],
            1000,
            &[1.0, 1.0].map(|v: f32| v / 2_f32.powf(0.001)),
        );
        for normalize in [0, 1, 2, 7] {
            check(&[0.0, 0.0], normalize, &[0.0, 0.0]);
        }
    }
}
