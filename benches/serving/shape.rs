//! How large each measurement is: full sizes, and small ones that only show that everything works. Measures nothing.

use std::time::Duration;

use serde_json::{Value, json};

/// Sizes of a prompt and of its answer, in tokens.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The prompt.
    pub prompt: u32,
    /// The answer.
    pub tokens: u32,
}

/// The sizes of all measurements.
#[derive(Debug, Clone)]
pub struct Shape {
    /// One stream alone.
    pub single: Size,
    /// Each of many streams.
    pub stream: Size,
    /// How many streams begin together.
    pub streams: Vec<usize>,
    /// Each turn of the hosts that come and go.
    pub visit: Size,
    /// Conversations that may become long.
    pub long_context: u32,
    /// The prompt that arrives while a stream runs.
    pub long_prompt: u32,
    /// The prompt whose evaluation is cancelled.
    pub cancelled_prompt: u32,
    /// From the long prompt to what disturbs it: the short one, or the cancellation.
    pub delay: Duration,
    /// How often it is cancelled.
    pub cancellations: usize,
    /// How long two clients compete.
    pub window: Duration,
    /// Whether the sizes are the full ones, so that speeds may be judged.
    pub is_full: bool,
}

impl Shape {
    /// The sizes that the targets are about, as far as the model's context goes.
    pub fn full(context: u32, streams: &[usize]) -> Shape {
        let long_context = context.min(8192);
        Shape {
            single: Size {
                prompt: 32,
                tokens: 256,
            },
            stream: Size {
                prompt: 64,
                tokens: 64,
            },
            streams: streams.to_vec(),
            visit: Size {
                prompt: 32,
                tokens: 16,
            },
            long_context,
            long_prompt: (long_context * 3 / 4).min(6000),
            cancelled_prompt: long_context.saturating_sub(64).min(8000),
            delay: Duration::from_millis(500),
            cancellations: 10,
            window: Duration::from_secs(30),
            is_full: context >= 8192,
        }
    }

    /// Small ones.
    pub fn quick(context: u32) -> Shape {
        let small = Size {
            prompt: 16,
            tokens: 16,
        };
        Shape {
            single: small,
            stream: small,
            streams: vec![1, 4],
            visit: Size {
                prompt: 16,
                tokens: 4,
            },
            delay: Duration::from_millis(10),
            cancellations: 2,
            window: Duration::from_secs(2),
            is_full: false,
            ..Shape::full(context.min(2048), &[])
        }
    }

    /// Sizes as numbers.
    pub fn to_json(&self) -> Value {
        let size = |size: Size| json!({"prompt": size.prompt, "tokens": size.tokens});
        json!({
            "single": size(self.single),
            "stream": size(self.stream),
            "streams": self.streams,
            "visit": size(self.visit),
            "long_context": self.long_context,
            "long_prompt": self.long_prompt,
            "cancelled_prompt": self.cancelled_prompt,
            "delay_s": self.delay.as_secs_f64(),
            "cancellations": self.cancellations,
            "window_s": self.window.as_secs_f64(),
            "full": self.is_full,
        })
    }
}
