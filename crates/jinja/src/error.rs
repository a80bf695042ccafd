//! Why a template cannot be used.

/// What a template did wrong, or said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no template.
    #[error("line {line}: {reason}")]
    Syntax {
        /// Line of the template, from 1.
        line: u32,
        /// What is wrong there.
        reason: String,
    },
    /// It refused what it was given, in its own words.
    #[error("{0}")]
    Raised(String),
    /// An operation is not possible on these values.
    #[error("line {line}: {reason}")]
    Failed {
        /// Line of the template, from 1.
        line: u32,
        /// What was not possible.
        reason: String,
    },
    /// It asked for more than it may have.
    #[error("{0}")]
    Limit(Limit),
}

/// What a template may not have without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// Steps, and bytes looked at.
    #[error("it takes too many steps")]
    Fuel,
    /// Bytes held at a time.
    #[error("it takes too much memory")]
    Bytes,
    /// Time.
    #[error("it takes too long")]
    Time,
    /// Nesting of values, calls or the template itself.
    #[error("it is nested too deep")]
    Depth,
    /// Bytes of the template itself.
    #[error("it is too long")]
    Source,
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An operation that was not possible; the statement adds its line.
pub fn failed(reason: impl Into<String>) -> Error {
    Error::Failed {
        line: 0,
        reason: reason.into(),
    }
}

impl Error {
    /// The error with the line of the innermost statement that failed.
    pub fn at(self, at: u32) -> Error {
        match self {
            Error::Failed { line: 0, reason } => Error::Failed { line: at, reason },
            other => other,
        }
    }
}
