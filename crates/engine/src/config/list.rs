//! Lists: texts, tokens, words. What is skipped, what is joined, what makes the whole list void.

use serde_json::Value;

use super::finding::{Code, shortened};
use super::reading::{Fault, Reading, Written};
use super::value::{self, TokenRef, Wrong, type_of};

/// The form of a list of texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strings {
    /// Items that count; the rest is ignored with a finding.
    pub(super) most: usize,
    /// Longest item in bytes.
    pub(super) max_bytes: usize,
    /// One text may stand for a list of one.
    pub(super) or_one: bool,
    /// Lists under several spellings are joined.
    pub(super) joined: bool,
}

/// The texts of the last good list, or of all spellings joined; empty texts are skipped.
pub(super) fn strings(shape: &Strings, reading: &mut Reading<'_>) -> Option<Vec<String>> {
    let mut taken: Option<Vec<String>> = None;
    for written in sources(reading, shape.joined) {
        let room = match &taken {
            Some(texts) if shape.joined => shape.most - texts.len(),
            _ => shape.most,
        };
        let Some(list) = good_texts(shape, room, &written, reading) else {
            continue;
        };
        match &mut taken {
            Some(texts) if shape.joined => texts.extend(list),
            _ => taken = Some(list),
        }
    }
    taken
}

/// The good items of one written value, at most `room`; `None` when it has nothing but bad ones, since an empty list
/// would mean another thing.
fn good_texts(
    shape: &Strings,
    room: usize,
    written: &Written<'_>,
    reading: &mut Reading<'_>,
) -> Option<Vec<String>> {
    let (expected, range) = (shape.expected(), format!("1..{}", shape.max_bytes));
    let items = match written.value {
        Value::Array(items) => items.as_slice(),
        Value::String(_) if shape.or_one => std::slice::from_ref(written.value),
        other => {
            let found = Wrong::Type(type_of(other));
            reading.wrong(written.path.clone(), other, expected, &range, found);
            return None;
        }
    };
    let mut texts = Vec::new();
    let mut bad = false;
    for (at, item) in items.iter().enumerate() {
        let wrong = match value::text(item) {
            Ok("") => continue,
            Ok(text) if text.len() > shape.max_bytes => Wrong::Length(text.len()),
            Ok(_) if texts.len() == room => {
                reading.fault(surplus(written.path.clone(), written.value, shape.most));
                break;
            }
            Ok(text) => {
                texts.push(text.to_owned());
                continue;
            }
            Err(wrong) => wrong,
        };
        bad = true;
        let path = match written.value {
            Value::Array(_) => format!("{}[{at}]", written.path),
            _ => written.path.clone(),
        };
        reading.wrong_item(path, item, "string", &range, wrong);
    }
    (!bad || !texts.is_empty()).then_some(texts)
}

impl Strings {
    fn expected(&self) -> &'static str {
        if self.or_one {
            "string or array of strings"
        } else {
            "array of strings"
        }
    }
}

/// The tokens of the last good list.
pub(super) fn tokens(most: usize, reading: &mut Reading<'_>) -> Option<Vec<TokenRef>> {
    let expected = "array of token ids and strings";
    let mut taken = None;
    for written in sources(reading, false) {
        let Value::Array(items) = written.value else {
            let found = Wrong::Type(type_of(written.value));
            reading.wrong(written.path, written.value, expected, "", found);
            continue;
        };
        let mut list = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match value::token(item) {
                Ok(_) if list.len() == most => {
                    reading.fault(surplus(written.path.clone(), written.value, most));
                    break;
                }
                Ok(token) => list.push(token),
                Err(wrong) => {
                    let path = format!("{}[{at}]", written.path);
                    reading.wrong_item(path, item, "token id or string", "", wrong);
                }
            }
        }
        if !list.is_empty() || items.is_empty() {
            taken = Some(list);
        }
    }
    taken
}

/// The words of the last list that has good ones only.
pub(super) fn words(
    accepted: &[&'static str],
    reading: &mut Reading<'_>,
) -> Option<Vec<&'static str>> {
    let mut taken = None;
    for written in sources(reading, false) {
        let Value::Array(items) = written.value else {
            let found = Wrong::Type(type_of(written.value));
            reading.wrong(written.path, written.value, "array of strings", "", found);
            continue;
        };
        let mut list = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let word =
                value::text(item).and_then(|text| word_of(accepted, text).ok_or(Wrong::Range));
            match word {
                Ok(word) => list.push(word),
                Err(wrong) => {
                    let path = format!("{}[{at}]", written.path);
                    reading.wrong(path, item, "string", &accepted.join(", "), wrong);
                    break;
                }
            }
        }
        if list.len() == items.len() {
            taken = Some(list);
        }
    }
    taken
}

/// The accepted word that `text` is, without regard to ASCII case.
pub(super) fn word_of(accepted: &[&'static str], text: &str) -> Option<&'static str> {
    accepted
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text))
        .copied()
}

/// What is to be read: everything, or for a joined list the last value of each spelling.
fn sources<'a>(reading: &mut Reading<'a>, joined: bool) -> Vec<Written<'a>> {
    let mut written = std::mem::take(&mut reading.written);
    if joined {
        let all = written.clone();
        let mut at = 0;
        written.retain(|one| {
            at += 1;
            all[at..].iter().all(|later| later.spelling != one.spelling)
        });
    }
    written
}

/// The fault of a list of more than `most` entries.
pub(super) fn surplus(path: String, given: &Value, most: usize) -> Fault {
    Fault {
        code: Code::OutOfRange,
        path,
        given: shortened(given),
        said: format!("more than {most} entries, the rest is ignored"),
        keeping: false,
    }
}
