//! The border of every exported function: panics and failures become numbers and lines of the log.
//!
//! Does not know what the functions do.

use crate::failure::Failure;
use crate::{guest, host};

/// Runs the body of the exported `function` and returns the number of its outcome.
pub(crate) fn answer(function: &'static str, body: impl FnOnce() -> Result<(), Failure>) -> u32 {
    let code = boundary::answer(body, |failure: &Failure| {
        guest::note(failure.level(), &format!("{function}: {failure}"));
    });
    code.number(host::numbers())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_have_the_numbers_of_guests() {
        assert_eq!(answer("it", || Ok(())), 0);
        assert_eq!(answer("it", || Err(Failure::EndOfSequence)), 100);
        assert_eq!(answer("it", || Err(Failure::TooLarge { needed: 1 })), 7);
        assert_eq!(answer("it", || panic!("boom")), 5);
    }
}
