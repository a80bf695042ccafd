//! Schemas that are small and ask for much: refused, or done in a moment.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::llama::grammar::{self, json_schema_to_grammar};

/// Converts and checks like a call does; the time is bounded with room for a slow machine.
fn check(name: &str, schema: &Value, expect: Result<(), &str>) {
    let begun = Instant::now();
    let done = json_schema_to_grammar(&schema.to_string()).and_then(|text| {
        grammar::check_length("grammar", &text)?;
        let rules = grammar::parse::rules(&text, |_| false);
        rules
            .and_then(|rules| grammar::expand::check(&rules))
            .map_err(crate::error::Error::InvalidArgument)
    });
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    match (done, expect) {
        (Ok(()), Ok(())) => {}
        (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{name}: {error}"),
        (done, _) => panic!("{name}: {done:?}"),
    }
}

fn nested(depth: usize, core: Value, around: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(core, |schema, _| around(schema))
}

#[test]
fn counts_are_bounded() {
    let limit = Err("must be at most 10000");
    check("minItems", &json!({"minItems": 100_000}), limit);
    check(
        "maxLength",
        &json!({"maxLength": 18446744073709551615_u64}),
        limit,
    );
    check("maxItems", &json!({"maxItems": 1e300}), limit);
    check(
        "long",
        &json!({"minLength": 10_000, "maxLength": 10_000}),
        Ok(()),
    );
    check("up to", &json!({"maxLength": 10_000}), Ok(()));
    let items = |items| json!({"items": items, "maxItems": 10_000});
    check(
        "nested items",
        &nested(4, json!({"type": "null"}), items),
        Ok(()),
    );
    check(
        "more nested items",
        &nested(20, json!({"type": "null"}), items),
        Err("more than 50000 rules"),
    );
    check(
        "pattern",
        &json!({"pattern": "^((a{9999}){9999}){9999}$"}),
        Ok(()),
    );
}

#[test]
fn alternatives_are_bounded() {
    let two = |schema: Value| json!({"anyOf": [schema.clone(), schema]});
    check("anyOf", &nested(10, json!({"type": "null"}), two), Ok(()));
    let types = |schema: Value| {
        let member = json!({"a": schema.clone()});
        json!({"type": ["object", "array"], "properties": member, "items": schema})
    };
    check("types", &nested(9, json!({}), types), Ok(()));
    let one_type =
        |schema: Value| json!({"type": ["object", "array"], "properties": {"a": schema}});
    check("deep types", &nested(31, json!({}), one_type), Ok(()));
    let branch = |i: usize| {
        let members = json!({"kind": {"const": i}, "v": {"type": "string"}});
        json!({"type": "object", "properties": members, "required": ["kind"]})
    };
    let branches: Vec<Value> = (0..100).map(branch).collect();
    check("oneOf of 100", &json!({"oneOf": branches}), Ok(()));
    let branches: Vec<Value> = (0..2000).map(branch).collect();
    check(
        "oneOf of 2000",
        &json!({"oneOf": branches}),
        Err("combines in too many ways"),
    );
    let choice =
        |i: usize| json!({"anyOf": [{"minLength": i}, {"maxLength": i + 500}, {"minimum": i}]});
    let choices: Vec<Value> = (0..40).map(choice).collect();
    check(
        "allOf of anyOf",
        &json!({"allOf": choices}),
        Err("combines in too many ways"),
    );
    let values: Vec<String> = (0..10_000).map(|i| format!("value {i}")).collect();
    let twice = json!({"allOf": [{"enum": values}, {"enum": values}]});
    check("enum twice", &twice, Err("combines in too many ways"));
    check("large enum", &json!({"enum": values}), Ok(()));
}

#[test]
fn references_are_bounded() {
    let mut defs = serde_json::Map::new();
    for i in 0..900 {
        let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
        defs.insert(
            format!("d{i}"),
            json!({"anyOf": [next.clone(), {"properties": {"a": next}}]}),
        );
    }
    defs.insert("d900".into(), json!({"type": "null"}));
    check(
        "chain",
        &json!({"$ref": "#/$defs/d0", "$defs": defs}),
        Err("too many"),
    );

    let mut defs = serde_json::Map::new();
    for i in 0..60 {
        let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
        defs.insert(
            format!("d{i}"),
            json!({"type": "array", "prefixItems": [next, next, next]}),
        );
    }
    defs.insert("d60".into(), json!({"type": "null"}));
    check(
        "doubling",
        &json!({"$ref": "#/$defs/d0", "$defs": defs}),
        Ok(()),
    );

    let many = |i: usize| json!({"$ref": format!("#/$defs/d{i}")});
    let mut defs = serde_json::Map::new();
    for i in 0..1200 {
        defs.insert(format!("d{i}"), json!({"type": "null"}));
    }
    let all: Vec<Value> = (0..1200).map(many).collect();
    check(
        "many",
        &json!({"anyOf": all, "$defs": defs}),
        Err("more than 1000 places"),
    );

    let mut defs = serde_json::Map::new();
    for i in 0..300 {
        let members = (0..5).map(|j| (format!("p{j}"), many((i * 7 + j) % 300)));
        defs.insert(
            format!("d{i}"),
            json!({"properties": members.collect::<serde_json::Map<_, _>>()}),
        );
    }
    let all: Vec<Value> = (0..300).map(many).collect();
    check("pairs", &json!({"allOf": all, "$defs": defs}), Err("at "));
}

#[test]
fn what_all_of_builds_up_is_bounded() {
    // Each definition holds the one before it under 20 names; the root names the innermost first.
    let mut defs = serde_json::Map::from_iter([("d0".to_owned(), json!({"type": "object"}))]);
    for i in 1..150 {
        let before =
            json!({"allOf": [{"$ref": format!("#/$defs/d{}", i - 1)}, {"type": "object"}]});
        let under = |schema: Value| json!({"properties": {"a": schema}});
        defs.insert(format!("d{i}"), nested(20, before, under));
    }
    let all: Vec<Value> = (0..150)
        .map(|i| json!({"$ref": format!("#/$defs/d{i}")}))
        .collect();
    let deep = Err("combines too deeply");
    check("tower", &json!({"anyOf": all, "$defs": defs}), deep);
    let chain = |length: usize| {
        let mut defs = serde_json::Map::new();
        for i in 0..length {
            let next = json!({"$ref": format!("#/$defs/d{}", i + 1)});
            let parts = json!([next, {"properties": {format!("p{i}"): {}}}]);
            defs.insert(format!("d{i}"), json!({"allOf": parts}));
        }
        defs.insert(format!("d{length}"), json!({"type": "object"}));
        json!({"$ref": "#/$defs/d0", "$defs": defs})
    };
    check("chain of 60", &chain(60), Ok(()));
    check("chain of 900", &chain(900), deep);
}

#[test]
fn names_and_objects_are_bounded() {
    let object = |count: usize, name: &dyn Fn(usize) -> String| {
        let members = (0..count).map(|i| (name(i), json!({"type": "null"})));
        let members: serde_json::Map<String, Value> = members.collect();
        json!({"properties": members, "additionalProperties": true})
    };
    check(
        "many",
        &object(5000, &|i| format!("p{i}")),
        Err("must have at most 256"),
    );
    check(
        "256 optional",
        &object(256, &|i| format!("property {i}")),
        Ok(()),
    );
    check(
        "long name",
        &object(1, &|_| "a".repeat(100_000)),
        Err("name of 100000 bytes"),
    );
    check(
        "long names",
        &object(200, &|i| format!("{i:03}{}", "\u{e9}".repeat(120))),
        Err("grammar has more than 262144 bytes"),
    );
    check(
        "depth",
        &nested(200, json!({}), |s| json!({"items": s})),
        Err("nests deeper"),
    );
    check("wide", &json!({"anyOf": vec![json!({}); 20_000]}), Ok(()));
}
