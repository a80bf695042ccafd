//! What can be wrong with a pointer or a length from a host.
//!
//! Knows no codes: a door gives each variant its own.

use std::fmt;

/// A pointer or length that cannot be used; `what` names the argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The pointer is NULL.
    Null {
        /// The argument.
        what: &'static str,
    },
    /// Not every byte that is needed can be read.
    Unreadable {
        /// The argument.
        what: &'static str,
    },
    /// Not every byte that is needed can be written.
    Unwritable {
        /// The argument.
        what: &'static str,
    },
    /// A name that is empty or longer than its limit.
    NameLength {
        /// The argument.
        what: &'static str,
        /// The longest name in bytes.
        limit: usize,
    },
    /// A text that does not end within its cap.
    TooLarge {
        /// The argument.
        what: &'static str,
        /// The cap in bytes.
        limit: usize,
    },
    /// A buffer for a text that is not cut has no room for it.
    BufferTooSmall {
        /// Bytes that the text needs with its NUL.
        needed: usize,
        /// Bytes that the buffer has.
        capacity: usize,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::Null { what } => write!(f, "{what} is NULL or has no bytes"),
            Fault::Unreadable { what } => {
                write!(f, "{what} points to memory that cannot be read")
            }
            Fault::Unwritable { what } => {
                write!(f, "{what} points to memory that cannot be written")
            }
            Fault::NameLength { what, limit } => {
                write!(f, "{what} must have between 1 and {limit} bytes")
            }
            Fault::TooLarge { what, limit } => {
                write!(f, "{what} has more than {limit} bytes")
            }
            Fault::BufferTooSmall { needed, capacity } => {
                write!(f, "buffer has {capacity} bytes, must have {needed}")
            }
        }
    }
}

impl std::error::Error for Fault {}
