//! Filters that change the wording of a text.

use std::rc::Rc;

use crate::arguments::{Arguments, required, size, text, truth, whole};
use crate::error::{Result, failed};
use crate::evaluate::Vm;
use crate::print;
use crate::slice::characters;
use crate::text::{Text, Writer};
use crate::value::Value;
use crate::words::{is_space, lines};

impl Vm<'_> {
    /// `trim`, `indent` and their kin. Errors: `Failed` for arguments that they do not take; `Limit`.
    pub fn wording(&mut self, name: &str, value: Value, args: Arguments) -> Result<Value> {
        if name == "urlencode" {
            let [] = args.bind(name, [])?;
            return self.url_encoded(&value);
        }
        let own = print::string(&value, &self.budget)?;
        let subject = own.as_str();
        self.budget.look(subject.len())?;
        match name {
            "trim" => {
                let [chars] = args.bind(name, ["chars"])?;
                let cut = self.stripped(subject, "strip", text(&chars)?)?;
                Value::text(cut, &self.budget)
            }
            "lower" | "upper" | "capitalize" => self.text_method(&own, name, args),
            "title" => {
                let [] = args.bind(name, [])?;
                self.titled(subject)
            }
            "center" => {
                let [width] = args.bind(name, ["width"])?;
                self.padded(subject, "center", size(whole(&width, 80)?), " ")
            }
            "replace" => {
                let [old, new, count] = args.bind(name, ["old", "new", "count"])?;
                let old = print::string(&required(old, name, "old")?, &self.budget)?;
                let new = print::string(&required(new, name, "new")?, &self.budget)?;
                let count = match &count {
                    Some(Value::None) => -1,
                    count => whole(count, -1)?,
                };
                self.replace(subject, old.as_str(), new.as_str(), count)
            }
            "indent" => {
                let [width, first, blank] = args.bind(name, ["width", "first", "blank"])?;
                let width = self.indention(width)?;
                self.indented(
                    subject,
                    width.as_str(),
                    truth(&first, false),
                    truth(&blank, false),
                )
            }
            "truncate" => self.truncated(subject, args),
            "wordcount" => {
                let [] = args.bind(name, [])?;
                let word = |c: char| c == '_' || c.is_alphanumeric();
                let words = subject.split(|c| !word(c)).filter(|part| !part.is_empty());
                Ok(Value::Int(words.count() as i128))
            }
            "wordwrap" => self.wrapped(subject, args),
            "striptags" => {
                let [] = args.bind(name, [])?;
                self.without_tags(subject)
            }
            _ => Err(failed(format!("No filter named '{name}'."))),
        }
    }

    fn titled(&self, subject: &str) -> Result<Value> {
        let mut out = Writer::new(&self.budget)?;
        let mut starts = true;
        for c in subject.chars() {
            let put: String = match starts {
                true => c.to_uppercase().collect(),
                false => c.to_lowercase().collect(),
            };
            out.push(&put)?;
            starts = is_space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
        }
        Ok(out.value())
    }

    fn indention(&self, width: Option<Value>) -> Result<Rc<Text>> {
        if let Some(Value::Text(text)) = &width {
            return Ok(text.clone());
        }
        let mut out = Writer::new(&self.budget)?;
        out.blanks(size(whole(&width, 4)?))?;
        Ok(out.text())
    }

    fn indented(&self, subject: &str, width: &str, first: bool, blank: bool) -> Result<Value> {
        let mut out = Writer::new(&self.budget)?;
        if first {
            out.push(width)?;
        }
        let mut is_first = true;
        // A line break at the end makes one more line, which is empty.
        let ends = subject.is_empty() || subject.ends_with(crate::words::ends_line);
        let last = ends.then_some(("", 0));
        for (line, _) in lines(subject).chain(last) {
            if !is_first {
                out.push("\n")?;
                if blank || !line.is_empty() {
                    out.push(width)?;
                }
            }
            is_first = false;
            out.push(line)?;
        }
        Ok(out.value())
    }

    fn truncated(&self, subject: &str, args: Arguments) -> Result<Value> {
        let names = ["length", "killwords", "end", "leeway"];
        let [length, kill, end, leeway] = args.bind("truncate", names)?;
        let length = size(whole(&length, 255)?);
        let leeway = size(whole(&leeway, 5)?);
        let end = text(&end)?.unwrap_or("...");
        let end_length = end.chars().count();
        if length < end_length {
            return Err(failed(format!(
                "expected length >= {end_length}, got {length}"
            )));
        }
        if subject.chars().count() <= length.saturating_add(leeway) {
            return Value::text(subject, &self.budget);
        }
        let mut kept = characters(subject, 0, length - end_length);
        if !truth(&kill, false)
            && let Some(at) = kept.rfind(' ')
        {
            kept = &kept[..at];
        }
        let mut out = Writer::new(&self.budget)?;
        out.push(kept)?;
        out.push(end)?;
        Ok(out.value())
    }

    fn wrapped(&self, subject: &str, args: Arguments) -> Result<Value> {
        let names = [
            "width",
            "break_long_words",
            "wrapstring",
            "break_on_hyphens",
        ];
        let [width, breaks, with, _hyphens] = args.bind("wordwrap", names)?;
        let width = size(whole(&width, 79)?).max(1);
        let breaks = truth(&breaks, true);
        let with = text(&with)?.unwrap_or("\n").to_owned();
        let mut out = Writer::new(&self.budget)?;
        for (n, (line, _)) in lines(subject).enumerate() {
            if n > 0 {
                out.push(&with)?;
            }
            let mut column = 0;
            for word in line.split(' ') {
                let mut word = word;
                let mut len = word.chars().count();
                if column > 0 && column + 1 + len <= width {
                    out.push(" ")?;
                    column += 1;
                } else if column > 0 {
                    out.push(&with)?;
                    column = 0;
                }
                while breaks && len > width {
                    let part = characters(word, 0, width);
                    out.push(part)?;
                    out.push(&with)?;
                    word = &word[part.len()..];
                    len -= width;
                    self.budget.look(word.len())?;
                }
                out.push(word)?;
                column += len;
            }
        }
        Ok(out.value())
    }

    fn without_tags(&self, subject: &str) -> Result<Value> {
        let mut plain = String::new();
        self.budget.hold(subject.len())?;
        let mut rest = subject;
        while let Some(open) = rest.find('<') {
            let Some(close) = rest[open..].find('>') else {
                break;
            };
            plain.push_str(&rest[..open]);
            rest = &rest[open + close + 1..];
        }
        plain.push_str(rest);
        self.budget.release(subject.len());
        let mut out = Writer::new(&self.budget)?;
        for (n, word) in plain
            .split(is_space)
            .filter(|word| !word.is_empty())
            .enumerate()
        {
            if n > 0 {
                out.push(" ")?;
            }
            out.push(word)?;
        }
        Ok(out.value())
    }

    fn url_encoded(&self, value: &Value) -> Result<Value> {
        let mut out = Writer::new(&self.budget)?;
        if let Value::Dict(dict) = value {
            for (n, (key, value)) in dict.entries.iter().enumerate() {
                if n > 0 {
                    out.push("&")?;
                }
                for (part, end) in [(key, "="), (value, "")] {
                    let text = print::string(part, &self.budget)?;
                    percent_encode(text.as_str(), false, &mut out)?;
                    out.push(end)?;
                }
            }
            return Ok(out.value());
        }
        let text = print::string(value, &self.budget)?;
        percent_encode(text.as_str(), true, &mut out)?;
        Ok(out.value())
    }
}

fn percent_encode(text: &str, keeps_slash: bool, out: &mut Writer) -> Result<()> {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                out.push_char(byte.into())?
            }
            b'/' if keeps_slash => out.push("/")?,
            byte => out.push(&format!("%{byte:02X}"))?,
        }
    }
    Ok(())
}
