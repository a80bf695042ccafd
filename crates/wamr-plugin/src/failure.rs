//! What a guest's call can fail with, whatever the numbers are in which its host counts errors.
//!
//! The numbers stand in `abi`; this module knows no pointers.

use std::fmt;

use boundary::Fault;

use crate::abi::Code;

/// Why an exported function did not do its work. The texts go to the log: a guest sees the number only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// A pointer, length, handle, text or value cannot be used.
    InvalidArgument(String),
    /// Not a model in a format that the engine reads, or no JSON.
    InvalidEncoding(String),
    /// Somebody else is using it.
    Busy(String),
    /// The call was understood and failed.
    Runtime(String),
    /// There is no such function here.
    Unsupported(String),
    /// The caller's buffer, or a limit, is smaller than this.
    TooLarge {
        /// Bytes.
        needed: u32,
    },
    /// The name or number stands for nothing any more.
    NotFound(String),
    /// A guest asked for what it may not have. Does not tell whether it exists.
    Refused(String),
    /// A streamed answer has ended; no trouble at all.
    EndOfSequence,
    /// The context filled up; what was generated can be read.
    ContextFull(String),
    /// The prompt is longer than the context leaves room for.
    PromptTooLong(String),
    /// The model's file is missing or cannot be read.
    ModelNotFound(String),
}

impl Failure {
    /// The level of the line that the failure leaves in the log.
    pub(crate) fn level(&self) -> log::Level {
        match self {
            // Somebody may be looking for what is not theirs; and what failed here is the operator's matter.
            Failure::Refused(_) | Failure::Runtime(_) => log::Level::Warn,
            // How guests ask for a size, and how every streamed answer ends.
            Failure::TooLarge { .. } | Failure::EndOfSequence => log::Level::Debug,
            Failure::InvalidArgument(_)
            | Failure::InvalidEncoding(_)
            | Failure::Busy(_)
            | Failure::Unsupported(_)
            | Failure::NotFound(_)
            | Failure::ContextFull(_)
            | Failure::PromptTooLong(_)
            | Failure::ModelNotFound(_) => log::Level::Info,
        }
    }
}

impl boundary::Failure for Failure {
    type Code = Code;

    const SUCCESS: Code = Code::Success;

    fn code(&self) -> Code {
        match self {
            Failure::InvalidArgument(_) => Code::InvalidArgument,
            Failure::InvalidEncoding(_) => Code::InvalidEncoding,
            Failure::Busy(_) => Code::Busy,
            Failure::Runtime(_) => Code::RuntimeError,
            Failure::Unsupported(_) => Code::UnsupportedOperation,
            Failure::TooLarge { .. } => Code::TooLarge,
            Failure::NotFound(_) => Code::NotFound,
            Failure::Refused(_) => Code::Refused,
            Failure::EndOfSequence => Code::EndOfSequence,
            Failure::ContextFull(_) => Code::ContextFull,
            Failure::PromptTooLong(_) => Code::PromptTooLong,
            Failure::ModelNotFound(_) => Code::ModelNotFound,
        }
    }

    fn from_panic(message: String) -> Self {
        Failure::Runtime(format!("internal error: {message}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::InvalidArgument(text)
            | Failure::InvalidEncoding(text)
            | Failure::Busy(text)
            | Failure::Runtime(text)
            | Failure::Unsupported(text)
            | Failure::NotFound(text)
            | Failure::Refused(text)
            | Failure::ContextFull(text)
            | Failure::PromptTooLong(text)
            | Failure::ModelNotFound(text) => f.write_str(text),
            Failure::TooLarge { needed } => write!(f, "{needed} bytes have no room"),
            Failure::EndOfSequence => f.write_str("the answer has ended"),
        }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        use engine::Error;
        let text = error.to_string();
        match error {
            Error::InvalidArgument(_) | Error::UnknownContext(_) | Error::NoInput => {
                Failure::InvalidArgument(text)
            }
            Error::InvalidEncoding(_) => Failure::InvalidEncoding(text),
            Error::Unsupported(_) => Failure::Unsupported(text),
            Error::TooManyContexts { .. }
            | Error::MemoryPressure { .. }
            | Error::QueueFull { .. }
            | Error::Reentrant(_) => Failure::Busy(text),
            Error::PromptTooLong(_) | Error::TooLarge { .. } => Failure::PromptTooLong(text),
            Error::ContextFull(_) => Failure::ContextFull(text),
            Error::NoModel
            | Error::Load(_)
            | Error::Timeout(_)
            | Error::Cancelled
            | Error::NoResult
            | Error::Engine(_)
            | Error::Replaced
            | Error::Closing
            | Error::Internal(_) => Failure::Runtime(text),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::InvalidArgument(fault.to_string())
    }
}

#[cfg(test)]
mod tests {
    use boundary::Failure as _;

    use super::*;

    #[test]
    fn refusals_and_failures_are_warned_about_and_the_end_of_an_answer_is_not() {
        for grave in [Failure::Refused, Failure::Runtime] {
            assert_eq!(grave(String::new()).level(), log::Level::Warn);
        }
        assert_eq!(Failure::EndOfSequence.level(), log::Level::Debug);
        assert_eq!(
            Failure::InvalidArgument(String::new()).level(),
            log::Level::Info
        );
    }

    #[test]
    fn panic_is_a_runtime_error_and_a_bad_pointer_an_invalid_argument() {
        assert_eq!(
            Failure::from_panic("x".to_owned()).code(),
            Code::RuntimeError
        );
        let fault = Failure::from(Fault::Null { what: "name" });
        assert_eq!(fault.code(), Code::InvalidArgument);
        assert_eq!(fault.to_string(), "name is NULL or has no bytes");
    }
}
