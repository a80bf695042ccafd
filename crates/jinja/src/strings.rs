//! Methods of texts.

use std::rc::Rc;

use crate::arguments::{Arguments, required, size, text, truth, whole};
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::predicates::is_case;
use crate::slice::characters;
use crate::text::{Text, Writer};
use crate::value::{Items, Shape, Value};
use crate::words::{is_printable, is_space, lines, titled};

impl Vm<'_> {
    /// Calls a method of a text. Errors: `Failed` for arguments that it does not take; `Limit`.
    pub fn text_method(&mut self, own: &Rc<Text>, method: &str, args: Arguments) -> Result<Value> {
        let subject = own.as_str();
        self.budget.look(subject.len())?;
        match method {
            "format" => self.format(subject, &args),
            "format_map" => {
                let [mapping] = args.bind(method, ["mapping"])?;
                let Some(Value::Dict(dict)) = mapping else {
                    return Err(failed("format_map() takes a mapping"));
                };
                let mut args = Arguments::default();
                for (key, value) in &dict.entries {
                    if let Value::Text(key) = key {
                        args.named.push((key.clone(), value.clone()));
                    }
                }
                self.format(subject, &args)
            }
            "strip" | "lstrip" | "rstrip" => {
                let [chars] = args.bind(method, ["chars"])?;
                let set = text(&chars)?;
                let cut = self.stripped(subject, method, set)?;
                Value::text(cut, &self.budget)
            }
            "split" | "rsplit" => self.split(subject, method == "rsplit", args),
            "splitlines" => {
                let [keep] = args.bind(method, ["keepends"])?;
                let keep = truth(&keep, false);
                let mut items = Items::new(&self.budget)?;
                let mut at = 0;
                for (line, end) in lines(subject) {
                    let whole = &subject[at..at + line.len() + end];
                    at += whole.len();
                    items.push(Value::text(if keep { whole } else { line }, &self.budget)?)?;
                }
                Ok(items.value(Shape::List))
            }
            "partition" | "rpartition" => {
                let [separator] = args.bind(method, ["sep"])?;
                let separator = nonempty(&separator, method)?;
                let found = match method {
                    "partition" => subject.find(separator),
                    _ => subject.rfind(separator),
                };
                let parts = match (found, method) {
                    (Some(at), _) => [&subject[..at], separator, &subject[at + separator.len()..]],
                    (None, "partition") => [subject, "", ""],
                    (None, _) => ["", "", subject],
                };
                let mut items = Items::new(&self.budget)?;
                for part in parts {
                    items.push(Value::text(part, &self.budget)?)?;
                }
                Ok(items.value(Shape::Tuple))
            }
            "removeprefix" | "removesuffix" => {
                let [affix] = args.bind(method, ["affix"])?;
                let affix = text(&affix)?.ok_or_else(|| lacks(method))?;
                let cut = match method {
                    "removeprefix" => subject.strip_prefix(affix),
                    _ => subject.strip_suffix(affix),
                };
                Value::text(cut.unwrap_or(subject), &self.budget)
            }
            "find" | "rfind" | "index" | "rindex" | "count" => self.search(subject, method, args),
            "startswith" | "endswith" => {
                let [affix, start, stop] = args.bind(method, ["affix", "start", "end"])?;
                let part = window(subject, &start, &stop)?.1;
                let affix = required(affix, method, "affix")?;
                let affixes = match &affix {
                    Value::List(list) if list.shape == Shape::Tuple => list.items.as_slice(),
                    other => std::slice::from_ref(other),
                };
                for affix in affixes {
                    let Value::Text(affix) = affix else {
                        return Err(failed(format!(
                            "{method} first arg must be str or a tuple of str, not {}",
                            affix.type_name()
                        )));
                    };
                    let affix = affix.as_str();
                    let has = match method {
                        "startswith" => part.starts_with(affix),
                        _ => part.ends_with(affix),
                    };
                    if has {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            "replace" => {
                let [old, new, count] = args.bind(method, ["old", "new", "count"])?;
                let old = text(&old)?.ok_or_else(|| lacks(method))?;
                let new = text(&new)?.ok_or_else(|| lacks(method))?;
                self.replace(subject, old, new, whole(&count, -1)?)
            }
            "join" => {
                let [parts] = args.bind(method, ["iterable"])?;
                let parts = self.walked(&required(parts, method, "iterable")?)?;
                let mut out = Writer::new(&self.budget)?;
                for (n, part) in parts.items.iter().enumerate() {
                    if n > 0 {
                        out.push(subject)?;
                    }
                    let Value::Text(part) = part else {
                        return Err(failed(format!(
                            "sequence item {n}: expected str instance, {} found",
                            part.type_name()
                        )));
                    };
                    out.push(part.as_str())?;
                }
                Ok(out.value())
            }
            "center" | "ljust" | "rjust" | "zfill" => {
                let [width, fill] = args.bind(method, ["width", "fillchar"])?;
                let width = size(whole(&width, 0)?);
                let fill = text(&fill)?.unwrap_or(" ");
                if fill.chars().count() != 1 {
                    return Err(failed(
                        "The fill character must be exactly one character long",
                    ));
                }
                self.padded(subject, method, width, fill)
            }
            "expandtabs" => {
                let [tab] = args.bind(method, ["tabsize"])?;
                self.without_tabs(subject, size(whole(&tab, 8)?))
            }
            _ => {
                let [] = args.bind(method, [])?;
                self.cased(subject, method)
            }
        }
    }

    fn cased(&self, subject: &str, method: &str) -> Result<Value> {
        let all =
            |is: fn(char) -> bool| Value::Bool(!subject.is_empty() && subject.chars().all(is));
        let mut out = Writer::new(&self.budget)?;
        // A character becomes three at most, which have up to twelve bytes.
        let most = subject.len().saturating_mul(3);
        match method {
            "lower" | "casefold" => {
                self.budget.look(most)?;
                out.push(&subject.to_lowercase())?;
            }
            "upper" => {
                self.budget.look(most)?;
                out.push(&subject.to_uppercase())?;
            }
            "capitalize" => {
                let mut chars = subject.chars();
                if let Some(first) = chars.next() {
                    for c in first.to_uppercase() {
                        out.push_char(c)?;
                    }
                }
                self.budget.look(most)?;
                out.push(&chars.as_str().to_lowercase())?;
            }
            "title" => {
                self.budget.hold(most)?;
                let mut text = String::with_capacity(subject.len());
                titled(subject, |c| text.push(c));
                self.budget.release(most);
                out.push(&text)?;
            }
            "swapcase" => {
                for c in subject.chars() {
                    let swapped: String = match c.is_uppercase() {
                        true => c.to_lowercase().collect(),
                        false => c.to_uppercase().collect(),
                    };
                    out.push(&swapped)?;
                }
            }
            "isalpha" => return Ok(all(char::is_alphabetic)),
            "isalnum" => return Ok(all(char::is_alphanumeric)),
            "isdigit" | "isdecimal" | "isnumeric" => return Ok(all(char::is_numeric)),
            "isspace" => return Ok(all(is_space)),
            "isascii" => return Ok(Value::Bool(subject.is_ascii())),
            "isprintable" => return Ok(Value::Bool(subject.chars().all(is_printable))),
            "isupper" => return Ok(Value::Bool(is_case(subject, true))),
            "islower" => return Ok(Value::Bool(is_case(subject, false))),
            "isidentifier" => {
                let starts = |c: char| c == '_' || c.is_alphabetic();
                let is = subject.starts_with(starts)
                    && subject.chars().all(|c| c == '_' || c.is_alphanumeric());
                return Ok(Value::Bool(is));
            }
            "istitle" => {
                let mut same = subject.chars().any(char::is_alphabetic);
                let mut chars = subject.chars();
                titled(subject, |c| same &= chars.next() == Some(c));
                return Ok(Value::Bool(same));
            }
            _ => return Err(failed(format!("there is no method '{method}'"))),
        }
        Ok(out.value())
    }

    /// `text` without the characters at its ends that are in `set`, or without blanks. Errors: `Limit`.
    pub fn stripped<'a>(
        &self,
        subject: &'a str,
        method: &str,
        set: Option<&str>,
    ) -> Result<&'a str> {
        let set: Option<Vec<char>> = match set {
            Some(set) => {
                // Each character at an end is compared with each of the set.
                let most = subject.len().saturating_mul(set.len());
                self.budget.look(most)?;
                Some(set.chars().collect())
            }
            None => None,
        };
        let goes = |c: char| set.as_ref().map_or(is_space(c), |set| set.contains(&c));
        Ok(match method {
            "lstrip" => subject.trim_start_matches(goes),
            "rstrip" => subject.trim_end_matches(goes),
            _ => subject.trim_matches(goes),
        })
    }

    fn split(&self, subject: &str, from_end: bool, args: Arguments) -> Result<Value> {
        let [separator, most] = args.bind("split", ["sep", "maxsplit"])?;
        let most = whole(&most, -1)?;
        let most = if most < 0 { usize::MAX } else { size(most) };
        let separator = match text(&separator)? {
            Some("") => return Err(failed("empty separator")),
            separator => separator,
        };
        let mut items = Items::new(&self.budget)?;
        let mut parts = Vec::new();
        let mut rest = subject;
        match (separator, from_end) {
            (Some(separator), false) => {
                while items.len() < most
                    && let Some(at) = rest.find(separator)
                {
                    items.push(Value::text(&rest[..at], &self.budget)?)?;
                    rest = &rest[at + separator.len()..];
                }
                items.push(Value::text(rest, &self.budget)?)?;
            }
            (Some(separator), true) => {
                while parts.len() < most
                    && let Some(at) = rest.rfind(separator)
                {
                    parts.push(Value::text(&rest[at + separator.len()..], &self.budget)?);
                    rest = &rest[..at];
                }
                parts.push(Value::text(rest, &self.budget)?);
            }
            (None, false) => {
                rest = rest.trim_start_matches(is_space);
                while items.len() < most
                    && let Some(at) = rest.find(is_space)
                {
                    items.push(Value::text(&rest[..at], &self.budget)?)?;
                    rest = rest[at..].trim_start_matches(is_space);
                }
                if !rest.is_empty() {
                    items.push(Value::text(rest, &self.budget)?)?;
                }
            }
            (None, true) => {
                rest = rest.trim_end_matches(is_space);
                while parts.len() < most
                    && let Some(at) = rest.rfind(is_space)
                {
                    let word = rest[at..].trim_start_matches(is_space);
                    parts.push(Value::text(word, &self.budget)?);
                    rest = rest[..at].trim_end_matches(is_space);
                }
                if !rest.is_empty() {
                    parts.push(Value::text(rest, &self.budget)?);
                }
            }
        }
        for part in parts.into_iter().rev() {
            items.push(part)?;
        }
        Ok(items.value(Shape::List))
    }

    fn search(&self, subject: &str, method: &str, args: Arguments) -> Result<Value> {
        let [part, start, stop] = args.bind(method, ["sub", "start", "end"])?;
        let part = required(part, method, "sub")?;
        let Value::Text(part) = &part else {
            return Err(failed(format!("must be str, not {}", part.type_name())));
        };
        let part = part.as_str();
        let (before, within) = window(subject, &start, &stop)?;
        if method == "count" {
            let count = match part.is_empty() {
                true => within.chars().count() + 1,
                false => within.matches(part).count(),
            };
            return Ok(Value::Int(count as i128));
        }
        let found = match method {
            "find" | "index" => within.find(part),
            _ => within.rfind(part),
        };
        match found {
            Some(at) => Ok(Value::Int((before + within[..at].chars().count()) as i128)),
            None if matches!(method, "index" | "rindex") => Err(failed("substring not found")),
            None => Ok(Value::Int(-1)),
        }
    }

    /// `text.replace(old, new, count)`; a negative count has no end. Errors: `Limit`.
    pub fn replace(&self, subject: &str, old: &str, new: &str, count: i128) -> Result<Value> {
        self.budget.look(subject.len())?;
        let mut left = if count < 0 { usize::MAX } else { size(count) };
        let mut out = Writer::new(&self.budget)?;
        let mut rest = subject;
        if old.is_empty() {
            for c in subject.chars() {
                if left > 0 {
                    out.push(new)?;
                    left -= 1;
                }
                out.push_char(c)?;
            }
            if left > 0 {
                out.push(new)?;
            }
            return Ok(out.value());
        }
        while left > 0
            && let Some(at) = rest.find(old)
        {
            out.push(&rest[..at])?;
            out.push(new)?;
            rest = &rest[at + old.len()..];
            left -= 1;
        }
        out.push(rest)?;
        Ok(out.value())
    }

    /// `text` in the middle or at a side of so many characters. Errors: `Limit`.
    pub fn padded(&self, subject: &str, method: &str, width: usize, fill: &str) -> Result<Value> {
        self.budget.look(subject.len())?;
        let missing = width.saturating_sub(subject.chars().count());
        let mut out = Writer::new(&self.budget)?;
        let left = match method {
            "ljust" => 0,
            // Python puts the odd one to the left where the width is odd.
            "center" => missing / 2 + (missing & width & 1),
            _ => missing,
        };
        if method == "zfill" {
            let (sign, digits) = match subject.strip_prefix(['-', '+']) {
                Some(digits) => (&subject[..1], digits),
                None => ("", subject),
            };
            out.push(sign)?;
            out.repeat("0", missing)?;
            out.push(digits)?;
            return Ok(out.value());
        }
        out.repeat(fill, left)?;
        out.push(subject)?;
        out.repeat(fill, missing - left)?;
        Ok(out.value())
    }

    fn without_tabs(&self, subject: &str, tab: usize) -> Result<Value> {
        let mut out = Writer::new(&self.budget)?;
        let mut column = 0;
        for c in subject.chars() {
            match c {
                '\t' if tab > 0 => {
                    let blanks = tab - column % tab;
                    out.blanks(blanks)?;
                    column += blanks;
                }
                '\t' => {}
                c => {
                    out.push_char(c)?;
                    column = if matches!(c, '\n' | '\r') {
                        0
                    } else {
                        column + 1
                    };
                }
            }
        }
        Ok(out.value())
    }
}

fn lacks(method: &str) -> crate::error::Error {
    failed(format!("{method}() lacks a text"))
}

fn nonempty<'a>(value: &'a Option<Value>, method: &str) -> Result<&'a str> {
    match text(value)? {
        Some("") => Err(failed("empty separator")),
        Some(text) => Ok(text),
        None => Err(lacks(method)),
    }
}

/// The part between two places, and how many characters stand before it.
fn window<'a>(
    subject: &'a str,
    start: &Option<Value>,
    stop: &Option<Value>,
) -> Result<(usize, &'a str)> {
    let given = |value: &Option<Value>| !matches!(value, None | Some(Value::None));
    if !given(start) && !given(stop) {
        return Ok((0, subject));
    }
    let len = subject.chars().count() as i128;
    let bound = |value: &Option<Value>, unless: i128| -> Result<usize> {
        let at = if given(value) {
            whole(value, unless)?
        } else {
            unless
        };
        Ok(size(if at < 0 { at + len } else { at.min(len) }))
    };
    let from = bound(start, 0)?;
    let to = bound(stop, len)?;
    Ok((from, characters(subject, from, to.max(from))))
}
