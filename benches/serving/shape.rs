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

/// Conversations that go on side by side.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// How many.
    pub sessions: usize,
    /// Turns of each.
    pub turns: usize,
    /// Host threads that run them.
    pub threads: usize,
}

/// A conversation that outgrows its context.
#[derive(Debug, Clone, Copy)]
pub struct Marathon {
    /// The context on the pocket model.
    pub pocket_context: u32,
    /// The context on the measured model.
    pub context: u32,
    /// Each turn on the measured model.
    pub turn: Size,
    /// Tokens said and answered in all.
    pub tokens: u64,
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
    /// Conversations on the pocket model.
    pub crowd: Crowd,
    /// Conversations on the measured model.
    pub guests: Crowd,
    /// Each turn of those.
    pub guest_turn: Size,
    /// The conversation that outgrows its context.
    pub marathon: Marathon,
    /// Context of the conversation that is put away and taken up again.
    pub resumed_context: u32,
    /// Its prompt.
    pub resumed_prompt: u32,
    /// Streams that have too few cells.
    pub squeezed_streams: usize,
    /// Each of them.
    pub squeezed: Size,
    /// Turns on contexts that come and go.
    pub churn: usize,
    /// Tokens that many prompts begin with.
    pub prefix: u32,
    /// How many prompts do.
    pub prefixed: usize,
    /// Conversations whose cells are saved, beside which others begin.
    pub saved: usize,
    /// Instances of WebAssembly modules, each with a conversation.
    pub instances: Crowd,
    /// What each of their turns adds.
    pub instance_turn: Size,
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
            crowd: Crowd {
                sessions: 200,
                turns: 10,
                threads: 24,
            },
            guests: Crowd {
                sessions: 100,
                turns: 3,
                threads: 24,
            },
            guest_turn: Size {
                prompt: 64,
                tokens: 16,
            },
            marathon: Marathon {
                pocket_context: 1024,
                context: context.min(4096),
                turn: Size {
                    prompt: 200,
                    tokens: 50,
                },
                tokens: 12_000,
            },
            resumed_context: context.min(4096),
            resumed_prompt: (context.min(4096) * 3 / 4).min(3000),
            squeezed_streams: 32,
            squeezed: Size {
                prompt: 64,
                tokens: 256,
            },
            churn: 10_000,
            prefix: (context / 2).min(1000),
            prefixed: 50,
            saved: 5000,
            instances: Crowd {
                sessions: 64,
                turns: 4,
                threads: 8,
            },
            instance_turn: Size {
                prompt: 32,
                tokens: 32,
            },
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
            crowd: Crowd {
                sessions: 20,
                turns: 4,
                threads: 4,
            },
            guests: Crowd {
                sessions: 20,
                turns: 2,
                threads: 4,
            },
            guest_turn: Size {
                prompt: 16,
                tokens: 4,
            },
            marathon: Marathon {
                pocket_context: 512,
                context: context.min(512),
                turn: small,
                tokens: 1000,
            },
            resumed_context: context.min(512),
            resumed_prompt: context.min(512) / 2,
            squeezed_streams: 8,
            squeezed: Size {
                prompt: 32,
                tokens: 32,
            },
            churn: 300,
            prefix: (context / 2).min(100),
            prefixed: 6,
            saved: 100,
            instances: Crowd {
                sessions: 16,
                turns: 3,
                threads: 4,
            },
            instance_turn: Size {
                prompt: 16,
                tokens: 4,
            },
            is_full: false,
            ..Shape::full(context.min(2048), &[])
        }
    }

    /// Sizes as numbers.
    pub fn to_json(&self) -> Value {
        let crowd = |crowd: Crowd| {
            json!({
                "sessions": crowd.sessions,
                "turns": crowd.turns,
                "threads": crowd.threads,
            })
        };
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
            "crowd": crowd(self.crowd),
            "guests": crowd(self.guests),
            "guest_turn": size(self.guest_turn),
            "marathon": {
                "pocket_context": self.marathon.pocket_context,
                "context": self.marathon.context,
                "turn": size(self.marathon.turn),
                "tokens": self.marathon.tokens,
            },
            "resumed_context": self.resumed_context,
            "resumed_prompt": self.resumed_prompt,
            "squeezed_streams": self.squeezed_streams,
            "squeezed": size(self.squeezed),
            "churn": self.churn,
            "prefix": self.prefix,
            "prefixed": self.prefixed,
            "saved": self.saved,
            "instances": crowd(self.instances),
            "instance_turn": size(self.instance_turn),
            "full": self.is_full,
        })
    }
}
