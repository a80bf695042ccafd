#![no_main]
//! Arbitrary text as a chat template, with a conversation to render.
//!
//! Whatever the template asks for, it stays within the bytes and the fuel that it was given, and what it knows in circles
//! is freed with it. Its stack is small, as a worker's may be.

use std::sync::LazyLock;
use std::time::Duration;

use jinja::{Error, Limit, Limits, Moment, Template};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

/// Less than a template has otherwise, so that an input takes milliseconds.
const LIMITS: Limits = Limits {
    fuel: 500_000,
    fuel_per_byte: 2,
    bytes: 4 << 20,
    bytes_per_byte: 4,
    time: Duration::from_secs(10),
};

/// Bytes that the conversation may be counted as, its own structure included.
const INPUT_BYTES: usize = 128 << 10;

const MOMENT: Moment = Moment {
    year: 2026,
    month: 8,
    day: 5,
    hour: 14,
    minute: 7,
    second: 0,
};

static VARIABLES: LazyLock<Vec<(&str, Value)>> = LazyLock::new(|| {
    vec![
        (
            "messages",
            json!([
                {"role": "system", "content": "frame"},
                {"role": "user", "content": "b".repeat(1 << 14)},
                {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"z": 1, "a": [2.5]}}}]},
                {"role": "user", "content": [{"type": "text", "text": "hello"}]},
            ]),
        ),
        ("tools", json!([{"type": "function", "function": {"name": "f"}}])),
        ("add_generation_prompt", json!(true)),
        ("bos_token", json!("<s>")),
    ]
});

fuzz_target!(|source: &[u8]| {
    let source = String::from_utf8_lossy(source);
    let Ok(template) = Template::parse(&source) else {
        return;
    };
    let variables: Vec<(&str, &Value)> = VARIABLES.iter().map(|(name, value)| (*name, value)).collect();
    let (text, spent) = template.render_with_account(&variables, MOMENT, &LIMITS);
    let bytes = LIMITS.bytes + LIMITS.bytes_per_byte * INPUT_BYTES;
    assert!(spent.bytes <= bytes, "{spent:?}");
    match text {
        Ok(text) => assert!(text.len() <= bytes, "{} bytes", text.len()),
        Err(Error::Limit(Limit::Time)) => panic!("time before fuel: {spent:?}"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
