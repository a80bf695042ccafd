//! Whether running answers get a token in a step, or let short prompts go first.
//!
//! A step costs each answer less the more of them go on together: what the first answers would get while other prompts
//! are still evaluated, they get later for less. Only answers that nobody reads before they end are held back, and each
//! of them for a bounded time in all. Pure.

use std::time::Duration;

use super::class::Class;

/// What a running turn would have of the next step.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    /// The next token of its answer.
    Answer {
        /// It is read as it appears, or has a time to end at.
        urgent: bool,
        class: Class,
        /// For how long it was held back.
        held: Duration,
    },
    /// A piece of its prompt.
    Prompt {
        /// Tokens that are still to be evaluated.
        rest: usize,
        class: Class,
    },
}

/// Whether answers go on beside prompts. Prompts up to `short` tokens may go first, until an answer was held back for
/// `limit`.
pub fn answers_go_on(turns: impl Iterator<Item = Next>, short: usize, limit: Duration) -> bool {
    let mut highest: Option<Class> = None;
    let mut lowest: Option<Class> = None;
    for turn in turns {
        match turn {
            Next::Answer { urgent, held, .. } if urgent || held >= limit => return true,
            Next::Prompt { rest, .. } if rest > short => return true,
            Next::Answer { class, .. } => highest = highest.max(Some(class)),
            Next::Prompt { class, .. } => lowest = Some(lowest.map_or(class, |l| l.min(class))),
        }
    }
    // Without prompts there is nobody to go first; nor does a lower class go before a higher one.
    lowest.is_none_or(|lowest| highest > Some(lowest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(4);
    const PROMPT: Next = Next::Prompt {
        rest: 64,
        class: Class::Normal,
    };

    fn answer(class: Class, held_secs: u64) -> Next {
        Next::Answer {
            urgent: false,
            class,
            held: Duration::from_secs(held_secs),
        }
    }

    fn go_on(turns: &[Next]) -> bool {
        answers_go_on(turns.iter().copied(), 512, LIMIT)
    }

    #[test]
    fn short_prompts_go_first() {
        assert!(!go_on(&[answer(Class::Normal, 0), PROMPT]));
        assert!(!go_on(&[answer(Class::Low, 3), PROMPT, PROMPT]));
    }

    #[test]
    fn without_prompts_answers_go_on() {
        assert!(go_on(&[answer(Class::Normal, 0)]));
    }

    #[test]
    fn nobody_waits_for_a_long_prompt() {
        let long = Next::Prompt {
            rest: 513,
            class: Class::Normal,
        };
        assert!(go_on(&[answer(Class::Normal, 0), long, PROMPT]));
    }

    #[test]
    fn what_is_read_or_timed_goes_on() {
        let urgent = Next::Answer {
            urgent: true,
            class: Class::Low,
            held: Duration::ZERO,
        };
        assert!(go_on(&[answer(Class::Normal, 0), urgent, PROMPT]));
    }

    #[test]
    fn a_higher_class_does_not_wait_for_a_lower_one() {
        assert!(go_on(&[answer(Class::High, 0), PROMPT]));
        let high = Next::Prompt {
            rest: 64,
            class: Class::High,
        };
        assert!(go_on(&[answer(Class::High, 0), PROMPT, high]));
        assert!(!go_on(&[answer(Class::High, 0), high]));
    }

    #[test]
    fn an_answer_is_held_back_for_a_bounded_time() {
        assert!(go_on(&[
            answer(Class::Normal, 4),
            answer(Class::Normal, 0),
            PROMPT
        ]));
    }
}
