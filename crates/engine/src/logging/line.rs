//! A log record as one line of text or JSON.
//!
//! Text from outside may be in a message or in a value. It can forge neither a line nor a tag nor a pair: in text form
//! control characters are escaped everywhere, a message does not begin with a bracket, a line with pairs has no other
//! bare equals sign or quote, and values are quoted where they need it.

use log::{Level, Record};
use serde_json::{Map, Value};

use super::category;
use super::pairs::Pairs;
use crate::calendar::Utc;

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Begin with the time in UTC.
    pub timestamps: bool,
    /// One JSON object per line.
    pub structured: bool,
    /// ANSI colours by level.
    pub colors: bool,
}

/// The line of `record`, with its newline.
pub fn format(record: &Record<'_>, shape: &Shape) -> String {
    let pairs = Pairs::of(record);
    match shape.structured {
        true => structured(record, pairs, shape),
        false => text(record, &pairs, shape),
    }
}

fn structured(record: &Record<'_>, pairs: Pairs, shape: &Shape) -> String {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    put("level", level(record).into());
    put("category", category::name(record.target()).into());
    if let Some(tag) = pairs.tag {
        put("tag", tag.into());
    }
    put("message", record.args().to_string().into());
    if shape.timestamps {
        put("time", now().into());
    }
    line.extend(pairs.others);
    format!("{}\n", Value::Object(line))
}

fn text(record: &Record<'_>, pairs: &Pairs, shape: &Shape) -> String {
    let message = record.args().to_string();
    let mut line = String::with_capacity(message.len() + 48 + 24 * pairs.others.len());
    if shape.timestamps {
        line.push_str(&now());
        line.push(' ');
    }
    let (on, off) = match (shape.colors, record.level()) {
        (false, _) => ("", ""),
        (true, Level::Error) => ("\x1b[31m", "\x1b[0m"),
        (true, Level::Warn) => ("\x1b[33m", "\x1b[0m"),
        (true, Level::Info) => ("\x1b[32m", "\x1b[0m"),
        (true, Level::Debug | Level::Trace) => ("\x1b[90m", "\x1b[0m"),
    };
    let (level, category) = (level(record), category::name(record.target()));
    line.push_str(&format!("{on}{level:5}{off} [{category}] "));
    if let Some(tag) = &pairs.tag {
        line.push_str(&format!("[{tag}] "));
    }
    let begins_as_tag = message.trim_start().starts_with('[');
    if begins_as_tag {
        line.push('\\');
    }
    let has_pairs = pairs.tag.is_some() || !pairs.others.is_empty();
    for c in message.chars() {
        match c {
            '\t' => line.push('\t'),
            '=' | '"' | '\\' if has_pairs => line.extend(['\\', c]),
            c => push_visible(&mut line, c),
        }
    }
    for (name, value) in &pairs.others {
        line.push(' ');
        push_word(&mut line, name);
        line.push('=');
        match value {
            Value::String(text) => push_word(&mut line, text),
            // Numbers and truth values.
            other => line.push_str(&other.to_string()),
        }
    }
    line.push('\n');
    line
}

/// Adds a word, in quotes where it would not be one word without them.
fn push_word(line: &mut String, word: &str) {
    let is_plain =
        |c: char| !c.is_whitespace() && !is_hidden(c) && !matches!(c, '"' | '\'' | '\\' | '=');
    if !word.is_empty() && word.chars().all(is_plain) {
        line.push_str(word);
        return;
    }
    line.push('"');
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            line.push('\\');
        }
        push_visible(line, c);
    }
    line.push('"');
}

fn push_visible(line: &mut String, c: char) {
    match is_hidden(c) {
        true => line.extend(c.escape_default()),
        false => line.push(c),
    }
}

/// Control characters, and the two others at which some readers end a line.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn level(record: &Record<'_>) -> &'static str {
    match record.level() {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// The time as `2026-11-21T01:31:20.123Z`.
fn now() -> String {
    let Utc {
        year,
        month,
        day,
        second,
        millisecond,
    } = Utc::now();
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

#[cfg(test)]
mod tests {
    use log::kv::{self, ToValue};
    use proptest::prelude::*;

    use super::*;

    const TEXT: Shape = Shape {
        timestamps: false,
        structured: false,
        colors: false,
    };
    const JSON: Shape = Shape {
        timestamps: true,
        structured: true,
        colors: true,
    };

    fn line(shape: &Shape, message: &str, pairs: &[(&str, kv::Value<'_>)]) -> String {
        format(
            &Record::builder()
                .level(Level::Warn)
                .target("model")
                .args(format_args!("{message}"))
                .key_values(&pairs)
                .build(),
            shape,
        )
    }

    fn json(line: &str) -> Value {
        serde_json::from_str(line.trim_end()).unwrap()
    }

    #[test]
    fn colours_are_put_around_the_level_alone_and_never_into_json() {
        let colored = Shape {
            colors: true,
            ..TEXT
        };
        assert_eq!(line(&colored, "a", &[]), "\x1b[33mwarn \x1b[0m [model] a\n");
        assert!(!line(&JSON, "a", &[]).contains('\x1b'));
    }

    #[test]
    fn text_from_outside_cannot_forge_a_line() {
        assert_eq!(
            line(&TEXT, "a\nb \x1b[0m\u{2028}", &[]),
            "warn  [model] a\\nb \\u{1b}[0m\\u{2028}\n"
        );
    }

    #[test]
    fn text_from_outside_can_forge_neither_tag_nor_pair() {
        let check = |message: &str, pairs: &[(&str, kv::Value<'_>)], expect: &str| {
            assert_eq!(
                line(&TEXT, message, pairs),
                format!("warn  [model] {expect}\n")
            );
        };
        check("[MEM] a b=1", &[], "\\[MEM] a b=1");
        check("  [MEM] a", &[], "\\  [MEM] a");
        let tag = ("tag", "MEM".to_value());
        check("a b=1", std::slice::from_ref(&tag), "[MEM] a b\\=1");
        check(
            "a",
            &[tag, ("of", "x cells=9".to_value()), ("n", 3.to_value())],
            "[MEM] a of=\"x cells=9\" n=3",
        );
        check(
            "a",
            &[("of", "\" b=\"1\n".to_value())],
            "a of=\"\\\" b=\\\"1\\n\"",
        );
        check("a", &[("of", "\\".to_value())], "a of=\"\\\\\"");
        check("a", &[("of", "".to_value())], "a of=\"\"");
        check("a", &[("b c=1 d", 2.to_value())], "a \"b c=1 d\"=2");
        // A tag that is none is a pair that is not allowed.
        check("a", &[("tag", "x] [MEM".to_value())], "a");
    }

    #[test]
    fn values_keep_their_types() {
        let some = Some(7_u32);
        let none: Option<u32> = None;
        let pairs = [
            ("tag", "PERF".to_value()),
            ("count", 3_u64.to_value()),
            ("below", (-3_i32).to_value()),
            ("rate", 1.5.to_value()),
            ("on", true.to_value()),
            ("word", "x y".to_value()),
            ("some", some.to_value()),
            ("none", none.to_value()),
            ("not", f64::NAN.to_value()),
        ];
        assert_eq!(
            line(&TEXT, "done", &pairs),
            "warn  [model] [PERF] done count=3 below=-3 rate=1.5 on=true word=\"x y\" some=7\n"
        );
        let mut value = json(&line(&JSON, "done", &pairs));
        value.as_object_mut().unwrap().remove("time").unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "level": "warn", "category": "model", "tag": "PERF", "message": "done",
                "count": 3, "below": -3, "rate": 1.5, "on": true, "word": "x y", "some": 7,
            })
        );
    }

    #[test]
    fn a_pair_does_not_take_the_place_of_what_a_line_says_of_itself() {
        let pairs = [
            ("level", "x".to_value()),
            ("category", "x".to_value()),
            ("message", "x".to_value()),
            ("time", "x".to_value()),
            ("a", 1.to_value()),
            ("a", 2.to_value()),
        ];
        let value = json(&line(&JSON, "m", &pairs));
        assert_eq!(
            (&value["level"], &value["category"], &value["message"]),
            (&"warn".into(), &"model".into(), &"m".into())
        );
        assert_eq!(value["a"], 1);
        assert_eq!(value["time"].as_str().map(str::len), Some(24));
        assert_eq!(line(&TEXT, "m", &pairs), "warn  [model] m a=1\n");
    }

    #[test]
    fn a_structured_line_is_one_json_object() {
        let value = json(&line(&JSON, "a\nb \x1b[0m", &[]));
        assert_eq!(value["category"], "model");
        assert_eq!(value["message"], "a\nb \x1b[0m");
    }

    /// The pairs of a line of text, as a reader would take them out.
    fn read_back(line: &str) -> Vec<(String, String)> {
        let mut words = vec![String::new()];
        let mut chars = line.chars();
        let mut is_quoted = false;
        let mut marks = Vec::new();
        while let Some(c) = chars.next() {
            let at = words.len() - 1;
            let word = &mut words[at];
            match c {
                '\\' => word.push(chars.next().unwrap()),
                '"' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                '=' if !is_quoted => {
                    marks.push((at, word.len()));
                    word.push('=');
                }
                c => word.push(c),
            }
        }
        let pair = |(at, mark): &(usize, usize)| {
            let word: &str = &words[*at];
            (word[..*mark].to_owned(), word[mark + 1..].to_owned())
        };
        marks.iter().map(pair).collect()
    }

    proptest! {
        #[test]
        fn whatever_is_logged_is_one_line_whose_pairs_are_those_given(
            message in r#"(\PC|[\[\]="'\\ \n\r\t\u{85}\u{2028}]){0,40}"#,
            values in prop::collection::vec(r#"[ -~\u{e4}\u{4e2d}]{0,12}"#, 0..4),
            number in any::<f64>(),
        ) {
            let names = ["a", "b", "c", "d"];
            let mut pairs = vec![("tag", "TASK".to_value()), ("n", number.to_value())];
            pairs.extend(names.into_iter().zip(values.iter().map(|v| v.to_value())));
            let text = line(&TEXT, &message, &pairs);
            prop_assert_eq!(text.lines().count(), 1);
            prop_assert!(text.ends_with('\n'));
            prop_assert!(!text.trim_end_matches('\n').chars().any(|c| is_hidden(c) && c != '\t'));
            let expect: Vec<(String, String)> = names
                .into_iter()
                .zip(&values)
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .collect();
            let mut found = read_back(text.trim_end_matches('\n'));
            found.retain(|(name, _)| name != "n");
            prop_assert_eq!(found, expect);

            let structured = line(&JSON, &message, &pairs);
            prop_assert_eq!(structured.matches('\n').count(), 1);
            let value = json(&structured);
            prop_assert_eq!(value["message"].as_str(), Some(message.as_str()));
            for (name, text) in names.into_iter().zip(&values) {
                prop_assert_eq!(value[name].as_str(), Some(text.as_str()));
            }
        }
    }
}
