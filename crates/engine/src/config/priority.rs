//! The root's `priority`: how urgent a turn is.

use super::value::Word;

/// How urgent a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// Background work.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Interactive work.
    High,
    /// What an operator waits for.
    Urgent,
}

impl Word for Priority {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("low", Priority::Low),
        ("normal", Priority::Normal),
        ("high", Priority::High),
        ("urgent", Priority::Urgent),
    ];
}
