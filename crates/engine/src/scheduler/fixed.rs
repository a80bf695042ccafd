//! Steps of deterministic turns: in chunks of a size that nothing changes while the model is loaded.
//!
//! What a chunk computes depends on its size, so it must not follow the speed of steps or who runs beside it. It follows
//! what is known when the model is loaded and the same whenever it is loaded again: the model's size, the threads, and
//! the target gap. How long steps take is measured all the same, so that others are planned around them. Pure.

use std::time::Duration;

use super::pace::Amount;
use super::placement::Placement;

/// Chunks of a prompt are of one of these sizes, in tokens.
const SIZES: [usize; 3] = [64, 32, 16];
/// Parameters times tokens of a prompt that a thread is taken to evaluate in a second. Measured were 35e9 on two cores of
/// a cloud machine; slower ones are common.
const SPEED: f64 = 25e9;
/// The part of the target gap that a chunk may take. The rest is for what runs beside it.
const PART: f64 = 0.5;
/// Weight of the newest measurement in the averages.
const NEWEST: f64 = 0.25;

/// What the size of chunks follows.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Parameters of the model.
    pub parameters: u64,
    /// Threads that evaluate prompts.
    pub threads: u32,
    /// Longest gap that a running stream should see.
    pub gap: Duration,
    /// Where the model computes.
    pub placement: Placement,
}

/// Prompt tokens that a deterministic turn evaluates in one call.
pub fn chunk(known: Known) -> usize {
    if known.placement.is_on_device() {
        return SIZES[0];
    }
    let speed = SPEED * f64::from(known.threads.max(1));
    let tokens = PART * known.gap.as_secs_f64() * speed / known.parameters.max(1) as f64;
    let fits = |size: &usize| *size as f64 <= tokens;
    // Fewer tokens than the least take as long: that much is a passage through the weights.
    SIZES.into_iter().find(fits).unwrap_or(SIZES[2])
}

/// Chunks of one size, and how long they take.
#[derive(Debug)]
pub struct Fixed {
    chunk: usize,
    /// Of a step with a chunk of a prompt, and of one with an answer's token, on average.
    prompt: Option<Duration>,
    answer: Option<Duration>,
}

impl Fixed {
    /// Nothing measured.
    pub fn new(chunk: usize) -> Fixed {
        Fixed {
            chunk,
            prompt: None,
            answer: None,
        }
    }

    /// Tokens of a chunk.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// Learns from a step.
    pub fn record(&mut self, amount: Amount, time: Duration) {
        let average = match amount.prefill {
            0 => &mut self.answer,
            _ => &mut self.prompt,
        };
        let old = average.unwrap_or(time);
        *average = Some(old.mul_f64(1.0 - NEWEST) + time.mul_f64(NEWEST));
    }

    /// How long a step with a chunk of a prompt takes, or one with a token of an answer; `None` before any was measured.
    pub fn expected(&self, is_prompt: bool) -> Option<Duration> {
        match is_prompt {
            true => self.prompt,
            false => self.answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_millis(250);

    fn known(parameters: u64, threads: u32, gap: Duration) -> usize {
        chunk(Known {
            parameters,
            threads,
            gap,
            placement: Placement::CPU,
        })
    }

    #[test]
    fn chunks_are_smaller_for_larger_models_fewer_threads_and_shorter_gaps() {
        assert_eq!(known(400_000, 1, GAP), 64);
        assert_eq!(known(135_000_000, 2, GAP), 32);
        assert_eq!(known(135_000_000, 8, GAP), 64);
        assert_eq!(known(135_000_000, 2, GAP / 5), 16);
        assert_eq!(known(7_000_000_000, 16, GAP), 16);
        assert_eq!(known(7_000_000_000, 16, 8 * GAP), 32);
        assert_eq!(known(0, 0, Duration::ZERO), 16);
    }

    #[test]
    fn on_a_device_chunks_are_as_large_as_they_get() {
        let placement = Placement {
            device_layers: 33,
            layers: 32,
            cells_on_device: true,
        };
        let size = chunk(Known {
            parameters: 7_000_000_000,
            threads: 1,
            gap: GAP,
            placement,
        });
        assert_eq!(size, 64);
    }

    #[test]
    fn prompts_and_answers_are_measured_apart_and_change_no_chunk() {
        let mut fixed = Fixed::new(16);
        assert_eq!((fixed.expected(true), fixed.expected(false)), (None, None));
        let amount = |decodes, prefill| Amount { decodes, prefill };
        for _ in 0..40 {
            fixed.record(amount(0, 16), Duration::from_secs(3));
            fixed.record(amount(1, 0), Duration::from_secs(1));
        }
        let near = |time: Option<Duration>, secs: f64| {
            time.is_some_and(|time| (time.as_secs_f64() - secs).abs() < 1e-3)
        };
        assert!(near(fixed.expected(true), 3.0) && near(fixed.expected(false), 1.0));
        assert_eq!(fixed.chunk(), 16);
    }
}
