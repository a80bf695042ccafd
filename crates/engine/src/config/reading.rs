//! The written values of one key, and what is wrong with them.
//!
//! Does not know the value in effect; whoever does finishes the sentence.

use serde_json::Value;

use super::finding::{Code, shortened};
use super::value::Wrong;

/// A value as it was written.
#[derive(Debug, Clone)]
pub(super) struct Written<'a> {
    pub(super) path: String,
    /// The key's spelling that it was found under.
    pub(super) spelling: &'static str,
    pub(super) value: &'a Value,
}

/// All values written for one key, lowest precedence first, and what is wrong with them.
pub(super) struct Reading<'a> {
    pub(super) written: Vec<Written<'a>>,
    pub(super) faults: Vec<Fault>,
}

/// Something wrong with a written value.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) path: String,
    pub(super) given: Value,
    /// The message after the path.
    pub(super) said: String,
    /// The message ends with the value in effect.
    pub(super) keeping: bool,
}

/// Faults that are kept of one key; far more than anybody reads.
const MOST_FAULTS: usize = 256;

impl<'a> Reading<'a> {
    /// The last value that `check` takes; a fault for each that it does not.
    pub(super) fn last<T>(
        &mut self,
        expected: &str,
        range: impl Fn() -> String,
        check: impl Fn(&'a Value) -> Result<T, Wrong>,
    ) -> Option<T> {
        let mut last = None;
        for written in std::mem::take(&mut self.written) {
            match check(written.value) {
                Ok(value) => last = Some(value),
                Err(wrong) => self.wrong(written.path, written.value, expected, &range(), wrong),
            }
        }
        last
    }

    /// Adds the fault of a whole value, which leaves the setting as it is.
    pub(super) fn wrong(
        &mut self,
        path: String,
        given: &Value,
        expected: &str,
        range: &str,
        wrong: Wrong,
    ) {
        let (code, said) = explain(given, expected, range, wrong);
        self.fault(Fault {
            code,
            path,
            given: shortened(given),
            said,
            keeping: code == Code::OutOfRange,
        });
    }

    /// Adds the fault of one item of a list, which is skipped.
    pub(super) fn wrong_item(
        &mut self,
        path: String,
        given: &Value,
        expected: &str,
        range: &str,
        wrong: Wrong,
    ) {
        let (code, said) = explain(given, expected, range, wrong);
        self.fault(Fault {
            code,
            path,
            given: shortened(given),
            said: format!("{said}, ignored"),
            keeping: false,
        });
    }

    pub(super) fn fault(&mut self, fault: Fault) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(fault);
        }
    }
}

fn explain(given: &Value, expected: &str, range: &str, wrong: Wrong) -> (Code, String) {
    match wrong {
        Wrong::Type(found) => (
            Code::WrongType,
            format!("expected {expected}, found {found}"),
        ),
        Wrong::Range => (
            Code::OutOfRange,
            format!("{} not in {range}", shortened(given)),
        ),
        Wrong::Length(bytes) => (Code::OutOfRange, format!("{bytes} bytes not in {range}")),
        Wrong::Parse(reason) => (Code::NoCompile, reason),
    }
}
