//! A log record as one line of text or JSON.

use log::{Level, Record};
use serde_json::json;

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

/// The category of a log target: its own name where it is one of ours, else `engine`.
pub fn category(target: &str) -> &str {
    const OURS: [&str; 10] = [
        "backend",
        "config",
        "model",
        "session",
        "queue",
        "inference",
        "sampling",
        "memory",
        "engine",
        "events",
    ];
    if OURS.contains(&target) {
        target
    } else {
        "engine"
    }
}

/// The line of `record`, with its newline. Control characters in the message are escaped, so that text from outside
/// cannot forge a line.
pub fn format(record: &Record<'_>, shape: &Shape) -> String {
    let message = record.args().to_string();
    let category = category(record.target());
    let level = record.level().as_str().to_ascii_lowercase();
    if shape.structured {
        let mut line = json!({"level": level, "category": category, "message": message});
        if shape.timestamps {
            line["time"] = now().into();
        }
        return format!("{line}\n");
    }
    let mut line = String::with_capacity(message.len() + 48);
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
    line.push_str(&format!("{on}{level:5}{off} [{category}] "));
    for c in message.chars() {
        match c {
            '\t' => line.push('\t'),
            c if c.is_control() => line.extend(c.escape_default()),
            c => line.push(c),
        }
    }
    line.push('\n');
    line
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
    use super::*;

    fn shaped(shape: Shape) -> String {
        format(
            &Record::builder()
                .level(Level::Warn)
                .target("model")
                .args(format_args!("a\nb \x1b[0m"))
                .build(),
            &shape,
        )
    }

    #[test]
    fn text_from_outside_cannot_forge_a_line() {
        let line = shaped(Shape {
            timestamps: false,
            structured: false,
            colors: false,
        });
        assert_eq!(line, "warn  [model] a\\nb \\u{1b}[0m\n");
    }

    #[test]
    fn a_structured_line_is_one_json_object() {
        let line = shaped(Shape {
            timestamps: true,
            structured: true,
            colors: true,
        });
        let value: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
        assert_eq!(value["category"], "model");
        assert_eq!(value["message"], "a\nb \x1b[0m");
        assert_eq!(value["time"].as_str().map(str::len), Some(24));
    }

    #[test]
    fn unknown_targets_belong_to_the_engine() {
        assert_eq!(category("minijinja"), "engine");
        assert_eq!(category("memory"), "memory");
    }
}
