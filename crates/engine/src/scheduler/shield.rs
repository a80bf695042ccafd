//! Panics of an engine thread end here, wherever they begin.
//!
//! A panic while another one unwinds ends the process, unless it is caught inside of the drop that it begins in. So
//! whatever runs in a drop, or after a panic, runs in here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `work`. Errors: the text of its panic.
///
/// What `work` changed may be in any state afterwards: the caller makes it again, or looks at nothing of it but what is
/// valid whatever happened.
pub fn shielded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(text)
}

/// Runs `work`, of which nothing depends on its success. Returns whether it had any.
pub fn attempt(what: &str, work: impl FnOnce()) -> bool {
    let done = shielded(work);
    if let Err(panic) = &done {
        log::error!(target: "engine", "{what} panicked: {panic}");
    }
    done.is_ok()
}

fn text(panic: Box<dyn Any + Send>) -> String {
    let panic = match panic.downcast::<String>() {
        Ok(text) => return *text,
        Err(panic) => panic,
    };
    match panic.downcast::<&str>() {
        Ok(text) => (*text).to_owned(),
        Err(other) => {
            // Its drop may panic, too, and nobody is left to catch that.
            std::mem::forget(other);
            "without a text".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{panic_any, resume_unwind};

    use super::*;

    struct Spiteful;

    impl Drop for Spiteful {
        fn drop(&mut self) {
            resume_unwind(Box::new("in a drop"));
        }
    }

    #[test]
    fn a_panic_becomes_its_text_whatever_it_was_made_of() {
        let caught = |work: fn()| shielded(work).unwrap_err();
        assert_eq!(shielded(|| 7), Ok(7));
        assert_eq!(caught(|| panic!("plain")), "plain");
        assert_eq!(caught(|| panic!("number {}", 7)), "number 7");
        assert_eq!(caught(|| panic_any(Spiteful)), "without a text");
    }

    #[test]
    fn a_panic_in_a_shielded_drop_does_not_end_a_process_that_unwinds() {
        struct Shielded(Option<Spiteful>);
        impl Drop for Shielded {
            fn drop(&mut self) {
                assert!(!attempt("a drop", || drop(self.0.take())));
            }
        }
        let caught = shielded(|| {
            let _field = Shielded(Some(Spiteful));
            resume_unwind(Box::new("the first"));
        });
        assert_eq!(caught, Err("the first".to_owned()));
    }
}
