//! From a closure's outcome to a code: the border that no panic crosses.
//!
//! Knows neither the codes nor the errors of a door.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// An error of a door: it has a code, and a panic can be told as one.
pub trait Failure: Sized {
    /// What the exported functions of the door return.
    type Code: Copy;
    /// The code of a call that did its work.
    const SUCCESS: Self::Code;
    /// The code of this failure.
    fn code(&self) -> Self::Code;
    /// The failure that stands for a panic with this message.
    fn from_panic(message: String) -> Self;
}

/// Runs the body of an exported function and turns its outcome into a code.
///
/// `record` gets every failure, a panic of `body` included, before its code is returned. A panic inside `record` is
/// swallowed: the code of the first failure stands.
///
/// The body may leave shared state half-changed only where that state stays valid at every point of unwinding; the
/// locks of this project do not poison and are used that way.
pub fn answer<F: Failure>(
    body: impl FnOnce() -> Result<(), F>,
    record: impl FnOnce(&F),
) -> F::Code {
    let outcome = catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|payload| Err(F::from_panic(message(payload))));
    match outcome {
        Ok(()) => F::SUCCESS,
        Err(failure) => {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| record(&failure))) {
                message(payload);
            }
            failure.code()
        }
    }
}

/// Sends the text of every later panic of this library to `report` instead of stderr. Once per process; the host's own
/// Rust code, if it has any, brings its own standard library and is not touched.
pub fn report_panics(report: fn(&str)) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(move |info| report(&info.to_string()))));
}

/// What a panic said. A payload that is no text is leaked: its destructor may panic too.
fn message(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(other) => other,
    };
    match payload.downcast::<&'static str>() {
        Ok(text) => text.to_string(),
        Err(other) => {
            std::mem::forget(other);
            "panic without a message".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Trouble {
        Plain,
        Panic(String),
    }

    impl Failure for Trouble {
        type Code = u32;
        const SUCCESS: u32 = 0;
        fn code(&self) -> u32 {
            match self {
                Trouble::Plain => 1,
                Trouble::Panic(_) => 4,
            }
        }
        fn from_panic(message: String) -> Self {
            Trouble::Panic(message)
        }
    }

    fn check(body: impl FnOnce() -> Result<(), Trouble>, expected: u32, recorded: Option<Trouble>) {
        let mut seen = None;
        let code = answer(body, |failure| {
            seen = Some(match failure {
                Trouble::Plain => Trouble::Plain,
                Trouble::Panic(text) => Trouble::Panic(text.clone()),
            });
        });
        assert_eq!((code, seen), (expected, recorded));
    }

    #[test]
    fn success_records_nothing() {
        check(|| Ok(()), 0, None);
    }

    #[test]
    fn failure_is_recorded_and_becomes_its_code() {
        check(|| Err(Trouble::Plain), 1, Some(Trouble::Plain));
    }

    #[test]
    fn panics_become_the_code_of_an_internal_error() {
        check(
            || panic!("boom"),
            4,
            Some(Trouble::Panic("boom".to_owned())),
        );
        check(
            || panic!("boom {}", 7),
            4,
            Some(Trouble::Panic("boom 7".to_owned())),
        );
    }

    #[test]
    fn payload_whose_destructor_panics_does_not_escape() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("from a destructor");
            }
        }
        check(
            || std::panic::panic_any(Bomb),
            4,
            Some(Trouble::Panic("panic without a message".to_owned())),
        );
    }

    #[test]
    fn panic_while_recording_keeps_the_code_of_the_failure() {
        let code = answer(|| Err(Trouble::Plain), |_| panic!("recorder"));
        assert_eq!(code, 1);
    }
}
