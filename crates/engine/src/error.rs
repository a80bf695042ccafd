//! What can go wrong in the engine, as a caller can act on it.
//!
//! Knows no numbers: a door turns each variant into its own code or status, in one exhaustive match.

use std::fmt;

/// The result of every fallible verb of the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure, with the value that caused it in its text.
///
/// Texts are lower case, name the value and what would be right, and end without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value from outside is wrong: a number out of range, an unknown key under `strict`, a name too long.
    #[error("{0}")]
    InvalidArgument(String),
    /// No open execution context of this backend has this number.
    #[error("execution context {0} is unknown, closed or belongs to another backend")]
    UnknownContext(u32),
    /// The call needs a model and none is loaded.
    #[error("no model is loaded")]
    NoModel,
    /// The bytes are not a model in a format that the engine reads.
    #[error("{0}")]
    InvalidEncoding(String),
    /// The request is well-formed and the engine has no such function.
    #[error("{0}")]
    Unsupported(String),
    /// A text or buffer is over its cap.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// What was too large, such as `prompt`.
        what: &'static str,
        /// The cap in bytes.
        limit: usize,
    },
    /// A model or its execution memory could not be brought up.
    #[error("{0}")]
    Load(String),
    /// The limit on open contexts or kept sessions is reached and nothing may be reclaimed.
    #[error("too many open contexts: {what} is {limit} and none can be reclaimed")]
    TooManyContexts {
        /// The configuration key that sets the limit.
        what: &'static str,
        /// Its value.
        limit: usize,
    },
    /// Memory is so short that no new session may begin.
    #[error("no memory for a new session: {what} has {used} of {limit} bytes in use")]
    MemoryPressure {
        /// The limit that is nearly reached.
        what: &'static str,
        /// Bytes in use.
        used: u64,
        /// Its value in bytes.
        limit: u64,
    },
    /// As many turns wait as the queue takes.
    #[error("queue full: {waiting} turns wait, the limit is {limit}")]
    QueueFull {
        /// Turns waiting now.
        waiting: usize,
        /// `queue_reject_threshold`.
        limit: usize,
    },
    /// A deadline passed: in the queue, the hard limit, or the soft limit before the first token.
    #[error("{0}")]
    Timeout(String),
    /// The turn was cancelled by its caller, a closed context or a closing backend.
    #[error("the turn was cancelled")]
    Cancelled,
    /// The new turn alone exceeds the context, whatever is dropped.
    #[error("prompt too long: {0}")]
    PromptTooLong(ContextNeed),
    /// History and turn exceed the context, and dropping old turns is off.
    #[error("context full: {0}")]
    ContextFull(ContextNeed),
    /// `compute` without an input.
    #[error("no input: call set_input before compute")]
    NoInput,
    /// `get_output` before a turn was computed.
    #[error("no result: no turn of this context has been computed")]
    NoResult,
    /// The execution context's own callback called back into it.
    #[error("execution context {0} cannot be used from its own callback")]
    Reentrant(u32),
    /// llama.cpp refused or failed; what it said.
    #[error("{0}")]
    Engine(String),
    /// Another version of the model took over before the turn began; it is to be prepared for that one.
    #[error("the model was replaced before the turn began")]
    Replaced,
    /// The backend is being closed.
    #[error("the backend is being closed")]
    Closing,
    /// A panic or a broken invariant inside the library.
    #[error("internal error: {0}")]
    Internal(String),
}

/// How many tokens a turn needs beside what the context holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextNeed {
    /// Tokens at the start that are never dropped.
    pub kept: usize,
    /// Tokens of the droppable history.
    pub history: usize,
    /// Tokens of the new turn with its template text.
    pub new: usize,
    /// Tokens held free for the answer.
    pub reserve: usize,
    /// Tokens that the context holds.
    pub capacity: usize,
}

impl fmt::Display for ContextNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "turn needs {} tokens (kept {}, history {}, new {}), context holds {}, answer reserve {}",
            self.kept + self.history + self.new,
            self.kept,
            self.history,
            self.new,
            self.capacity,
            self.reserve
        )
    }
}
