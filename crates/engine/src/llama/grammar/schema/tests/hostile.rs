//! Schemas within the limit of their text that are made to cost time or memory.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::llama::grammar::{TEXT_LIMIT_BYTES, expand, json_schema_to_grammar, parse};

/// Room for a slow machine: each takes a fraction of it.
const TIME_LIMIT: Duration = Duration::from_secs(5);
const MEMORY_LIMIT_KIB: u64 = 200 * 1024;

fn trues(count: usize) -> Vec<Value> {
    vec![json!(true); count]
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("a{i}")).collect()
}

fn properties(count: usize, name: impl Fn(usize) -> String) -> Map<String, Value> {
    (0..count).map(|i| (name(i), json!({}))).collect()
}

fn nested(depth: usize, core: Value, around: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(core, |schema, _| around(schema))
}

/// Each with what is said of it; nothing where it has a grammar.
fn schemas() -> Vec<(Value, &'static str)> {
    let wide = json!({"anyOf": trues(20_000)});
    let pattern = |count: usize| format!("^{}$", "a".repeat(count));
    let long = "n".repeat(100_000);
    let branches = |count: usize| json!({"anyOf": vec![json!({"allOf": [true, true]}); count]});
    let links = |link: &dyn Fn(Value) -> Value| {
        let next = |i: usize| json!({"$ref": format!("#/$defs/d{}", i + 1)});
        let mut defs: Map<String, Value> =
            (0..990).map(|i| (format!("d{i}"), link(next(i)))).collect();
        defs.insert("d990".to_owned(), json!({"type": "null"}));
        let all: Vec<Value> = (0..990).rev().map(next).collect();
        json!({"anyOf": all, "$defs": defs})
    };
    let too_long = "grammar has more than 262144 bytes";
    vec![
        (
            json!({"additionalProperties": wide, "required": names(14_999)}),
            "$ has 14999 properties",
        ),
        (
            json!({"additionalProperties": wide, "required": names(256)}),
            "",
        ),
        (
            nested(
                28,
                wide,
                |s| json!({"additionalProperties": s, "required": names(256)}),
            ),
            too_long,
        ),
        (
            json!({"type": "string", "pattern": pattern(100_000), "anyOf": trues(20_000)}),
            too_long,
        ),
        (
            json!({"type": "string", "pattern": pattern(30_000), "anyOf": trues(20_000)}),
            too_long,
        ),
        (
            json!({"pattern": pattern(30_000), "anyOf": vec![json!({"minLength": 1}); 12_000]}),
            too_long,
        ),
        (json!({"pattern": "\\W".repeat(60_000)}), too_long),
        (
            json!({
                "type": "object", "anyOf": trues(2000), "additionalProperties": true,
                "properties": properties(200, |i| format!("{i:03}{}", "x".repeat(247)))
            }),
            too_long,
        ),
        (
            json!({"properties": {long.clone(): branches(5000)}}),
            "has a name of 100000 bytes",
        ),
        (
            json!({"$ref": format!("#/$defs/{long}"), "$defs": {long: branches(2000)}}),
            "",
        ),
        (
            nested(
                30,
                branches(8000),
                |s| json!({"properties": {"n".repeat(250): s}}),
            ),
            "",
        ),
        (json!({"enum": vec![json!(0); 120_000]}), ""),
        (json!({"enum": (0..40_000).collect::<Vec<_>>()}), ""),
        (
            json!({"enum": (0..700).map(|i| "a".repeat(i)).collect::<Vec<_>>()}),
            "",
        ),
        (
            json!({"const": "x".repeat(100_000), "anyOf": vec![json!({"minLength": 1}); 9000]}),
            "combines in too many ways",
        ),
        (
            json!({
                "const": vec![0; 35_000], "anyOf": vec![json!({"$ref": "#/$defs/a"}); 5000],
                "$defs": {"a": {"const": vec![0; 35_000]}}
            }),
            "combines in too many ways",
        ),
        (
            json!({"const": vec![0; 80_000], "anyOf": trues(18_000)}),
            too_long,
        ),
        (
            links(&|next| json!({"required": ["a"], "properties": {"a": next}})),
            "",
        ),
        (
            links(&|next| json!({"prefixItems": [{"anyOf": vec![next; 6]}]})),
            "",
        ),
        (
            json!({"allOf": vec![json!({"properties": properties(256, |i| format!("{i:0200}"))}); 4]}),
            "",
        ),
        (
            json!({"additionalProperties": {}, "properties": properties(256, |i| format!("property {i}"))}),
            "",
        ),
        (json!({"pattern": "^[a-z]{1,5000}[a-z0-9]{1,5000}$"}), ""),
        (
            json!({"pattern": format!("^{}$", "a?".repeat(5000))}),
            "more than 1048576 elements",
        ),
        (
            json!({"pattern": format!("^{}$", "a?".repeat(900))}),
            "in too many ways at once",
        ),
        (
            json!({"anyOf": [
                {"type": "array", "items": {"$ref": "#"}, "maxItems": 3},
                {"type": "array", "items": {"$ref": "#"}, "maxItems": 4}, {"type": "null"}
            ]}),
            "in too many ways at once",
        ),
    ]
}

fn convert(text: &str) -> Result<(), String> {
    let grammar = json_schema_to_grammar(text).map_err(|error| error.to_string())?;
    assert!(grammar.len() <= TEXT_LIMIT_BYTES);
    expand::check(&parse::rules(&grammar, |_| false)?)
}

#[test]
fn every_schema_is_converted_or_refused_in_a_moment() {
    for (number, (schema, expect)) in schemas().into_iter().enumerate() {
        let text = schema.to_string();
        assert!(text.len() <= TEXT_LIMIT_BYTES, "{number}: {}", text.len());
        let begun = Instant::now();
        let done = convert(&text);
        let took = begun.elapsed();
        assert!(took < TIME_LIMIT, "{number}: {took:?}");
        match done {
            Ok(()) => assert_eq!(expect, "", "{number}"),
            Err(error) => {
                let is_expected = !expect.is_empty() && error.contains(expect);
                assert!(is_expected, "{number}: {error}");
            }
        }
    }
}

/// The most memory that this process has had.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn every_schema_is_converted_or_refused_in_little_memory() {
    const NUMBER: &str = "HOSTILE_SCHEMA";
    // Each in a process of its own: this one, started for this test alone.
    if let Ok(number) = std::env::var(NUMBER) {
        let number: usize = number.parse().unwrap();
        let text = schemas().swap_remove(number).0.to_string();
        let Some(before) = peak_kib() else {
            return;
        };
        convert(&text).ok();
        let took = peak_kib().unwrap() - before;
        assert!(took < MEMORY_LIMIT_KIB, "{number}: {took} KiB");
        return;
    }
    let (_, path) = module_path!().split_once("::").unwrap();
    let name = format!("{path}::every_schema_is_converted_or_refused_in_little_memory");
    for number in 0..schemas().len() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let child = child
            .args([&name, "--exact"])
            .env(NUMBER, number.to_string());
        let done = child.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
    }
}
