//! What is measured: something that runs turns. Both sides look like this, so that each measurement is written once.
//!
//! Knows neither the library nor HTTP.

use std::ops::ControlFlow;

use crate::error::Result;

/// A turn that is wanted. Greedy, in a conversation of its own, and never ended by an end token.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The text, which the model gets as it is.
    pub prompt: &'a str,
    /// Tokens to generate.
    pub tokens: u32,
}

/// A turn that has ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn {
    /// Tokens of the prompt, the beginning-of-text token included. 0 where the side does not say.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub completion_tokens: u64,
}

/// Hears of each piece of text as it arrives; breaks to end the turn there.
pub type OnPiece<'a> = &'a mut dyn FnMut() -> ControlFlow<()>;

/// One side: a loaded model that serves any number of threads.
pub trait Engine: Sync {
    /// Runs a turn and returns when it has ended.
    fn run(&self, request: Request<'_>) -> Result<Turn>;

    /// Runs a turn and tells of its pieces on the way.
    fn stream(&self, request: Request<'_>, on_piece: OnPiece<'_>) -> Result<Turn>;
}
