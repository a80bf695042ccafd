//! What the grammar of a schema writes satisfies it.

use serde_json::{Value, json};

use super::super::to_grammar;
use super::walk::Walk;

/// Writes many texts of the grammar of `schema`; all satisfy it, its formats too. Returns them.
pub(super) fn check(schema: Value) -> Vec<Value> {
    check_as(schema, true)
}

/// As `check`; whether the texts are of their formats is looked at where that is `formats`.
pub(super) fn check_as(schema: Value, formats: bool) -> Vec<Value> {
    let grammar = to_grammar(&schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
    let rules = super::super::super::parse::rules(&grammar, |_| false);
    let rules = rules.unwrap_or_else(|error| panic!("{grammar}: {error}"));
    assert_eq!(
        super::super::super::expand::check(&rules),
        Ok(()),
        "{grammar}"
    );
    let validator = jsonschema::options()
        .should_validate_formats(formats)
        .build(&schema)
        .unwrap();
    let mut walk = Walk::new(&grammar, 7);
    let write = |_| {
        let text = walk.text();
        let value: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{schema}: {text}: {error}"));
        let verdict = validator.validate(&value);
        assert!(verdict.is_ok(), "{schema}: {text}: {verdict:?}");
        value
    };
    (0..400).map(write).collect()
}

/// Each of `expect` is written by the grammar of `schema` sooner or later, and nothing else where it is `whole`.
pub(super) fn finds(schema: Value, expect: &[Value]) {
    let found = check(schema.clone());
    for value in expect {
        assert!(found.contains(value), "{schema} never gives {value}");
    }
}

pub(super) fn gives(schema: Value, expect: &[Value]) {
    let found = check(schema.clone());
    finds(schema.clone(), expect);
    for value in found {
        assert!(expect.contains(&value), "{schema} gives {value}");
    }
}

#[test]
fn scalars_are_of_their_types() {
    for kind in [
        "null", "boolean", "integer", "number", "string", "array", "object",
    ] {
        check(json!({"type": kind}));
    }
    check(json!({}));
    check(json!(true));
    check(
        json!({"type": ["integer", "null", "string"], "maxLength": 2, "minimum": 1, "maximum": 9}),
    );
    gives(json!({"type": "boolean"}), &[json!(true), json!(false)]);
    gives(
        json!({"type": ["null", "boolean"], "enum": [null, 1, false]}),
        &[json!(null), json!(false)],
    );
    gives(
        json!({"type": "integer", "enum": [1, 1.5, "a", 2.0]}),
        &[json!(1), json!(2.0)],
    );
}

#[test]
fn strings_have_their_lengths_formats_and_patterns() {
    check(json!({"type": "string", "minLength": 2, "maxLength": 5}));
    check(json!({"minLength": 3, "maxLength": 3}));
    check(json!({"type": "string", "minLength": 2}));
    check(json!({"type": "string", "minLength": 2500, "maxLength": 4500}));
    for format in [
        "date",
        "time",
        "date-time",
        "duration",
        "uuid",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "uri",
    ] {
        check(json!({"type": "string", "format": format}));
        // The closest lengths that are said to hold all of them do.
        let close = |keyword: &str, lengths: &mut dyn Iterator<Item = u64>| {
            let schemas = lengths.map(|length| json!({"format": format, keyword: length}));
            let mut possible = schemas.filter(|schema| to_grammar(schema).is_ok());
            possible.next().map(check)
        };
        close("minLength", &mut (0..300).rev());
        close("maxLength", &mut (0..300));
    }
    check(json!({"format": "date", "minLength": 1, "maxLength": 10}));
    check(json!({"format": "uuid", "maxLength": 36}));
    check(json!({"pattern": "^[a-z]{3,5}(-\\d)?$", "minLength": 3, "maxLength": 7}));
    check(json!({"pattern": "^\\S+$", "minLength": 1}));
    check(json!({"pattern": "^[A-Z]+$", "minLength": 2, "maxLength": 8}));
    check(json!({"pattern": "^ab.*", "maxLength": 5}));
    check(json!({"pattern": "^(a|b{3}|(cd)*)$", "minLength": 2, "maxLength": 5}));
    gives(
        json!({"pattern": "^(a{3}|b+)$", "maxLength": 2}),
        &[json!("b"), json!("bb")],
    );
    check(json!({"allOf": [{"pattern": "^x+$"}, {"minLength": 3}, {"maxLength": 4}]}));
    for pattern in [
        "^[a-z]{3}-\\d+$",
        "^(foo|ba[rz])?$",
        "^a|b$",
        "needle",
        "^.{2,4}$",
        "^[^\"a]+$",
        "^\\w+@\\w+\\.(?:com|org)$",
        "^\\S\\D\\W\\s$",
        "^\"\\\\/\\/$",
        "^\\u00e9\\x41\\n[\\t-]$",
        "^[\\d.]{1200}$",
        "^([ab]{2}){2,}?$",
        "",
    ] {
        check(json!({"type": "string", "pattern": pattern}));
    }
    gives(json!({"pattern": "^(a|b{2})$"}), &[json!("a"), json!("bb")]);
}

#[test]
fn formats_without_a_rule_are_notes() {
    for format in ["password", "binary", "color", "int32"] {
        check(json!({"type": "string", "format": format, "maxLength": 8}));
        check(json!({"format": format, "pattern": "^[a-f]{2}$"}));
    }
    check(json!({"type": "integer", "format": "int32", "maximum": 9}));
}

#[test]
fn keywords_that_exclude_nothing_pass() {
    let members = json!({"a": {"type": "integer", "multipleOf": 1, "maximum": 3}});
    for names in [
        json!(true),
        json!({}),
        json!({"type": "string", "title": "name"}),
    ] {
        check(json!({"type": "object", "properties": members, "propertyNames": names}));
        check(json!({"propertyNames": names}));
    }
    check(json!({"type": ["integer", "null"], "multipleOf": 1.0}));
    check(json!({"type": "integer", "multipleOf": 0.01}));
    check(json!({"type": "object", "properties": members, "minProperties": 0}));
    check(
        json!({"type": "object", "properties": members, "required": ["a", "b"], "minProperties": 2}),
    );
    check(json!({"type": "array", "uniqueItems": false}));
    check(json!({
        "type": "object", "strict": true, "markdownDescription": "d", "propertyOrdering": ["a"], "properties": members
    }));
}

#[test]
fn values_of_an_enum_share_their_beginnings() {
    let values = json!(["", "a", "ab", "abc", "b", "bb", 1, 12, 123, 1, [1], [1, 2], {"a": 1}, "\u{e9}", "\u{ea}"]);
    gives(json!({"enum": values}), values.as_array().unwrap());
    let many: Vec<Value> = (0..10_000).map(|i| json!(format!("value {i}"))).collect();
    for value in check(json!({"enum": many})) {
        assert!(many.contains(&value));
    }
}

#[test]
fn literals_stand_as_they_are() {
    let odd = json!(["a\"b\\\n\u{7f}\u{1f600}", -1.5e10, {"a b": [1, {"": null}]}, [], "", 18446744073709551615_u64]);
    gives(json!({"enum": odd}), odd.as_array().unwrap());
    gives(json!({"const": {"x": [true]}}), &[json!({"x": [true]})]);
    gives(json!({"const": null, "title": "none"}), &[json!(null)]);
    gives(
        json!({"enum": ["abc", "d", 5], "minLength": 2}),
        &[json!("abc"), json!(5)],
    );
    gives(
        json!({"enum": [[1], [1, "a"], ["b"], 3], "type": "array", "items": {"type": "integer"}}),
        &[json!([1])],
    );
    gives(
        json!({"enum": [{"a": 1}, {"a": "x"}, {"b": 1}], "properties": {"a": {"type": "integer"}}, "required": ["a"]}),
        &[json!({"a": 1})],
    );
}

#[test]
fn arrays_have_their_items_and_counts() {
    let boolean = || json!({"type": "boolean"});
    check(json!({"type": "array", "items": boolean(), "minItems": 2, "maxItems": 4}));
    check(json!({"items": {"type": "integer"}, "maxItems": 2}));
    check(json!({"type": "array", "maxItems": 2}));
    check(json!({"type": "array", "minItems": 3}));
    check(json!({"type": "array", "items": boolean(), "minItems": 1200}));
    gives(json!({"type": "array", "maxItems": 0}), &[json!([])]);
    gives(json!({"type": "array", "items": false}), &[json!([])]);
    gives(
        json!({"type": "array", "items": {"const": 1}, "minItems": 1, "maxItems": 2, "uniqueItems": false}),
        &[json!([1]), json!([1, 1])],
    );
    let pair = json!([{"const": 1}, {"const": "a"}]);
    gives(
        json!({"type": "array", "prefixItems": pair}),
        &[json!([1, "a"])],
    );
    gives(
        json!({"type": "array", "prefixItems": pair, "maxItems": 1}),
        &[json!([1])],
    );
    check(json!({"type": "array", "prefixItems": pair, "items": boolean()}));
    gives(
        json!({"type": "array", "prefixItems": pair, "items": {"const": 0}, "maxItems": 3, "minItems": 3}),
        &[json!([1, "a", 0])],
    );
    check(json!({"type": "array", "prefixItems": pair, "minItems": 4}));
    let draft = "http://json-schema.org/draft-07/schema#";
    gives(
        json!({"$schema": draft, "type": "array", "items": pair, "additionalItems": {"const": 0}, "maxItems": 3}),
        &[json!([1, "a"]), json!([1, "a", 0])],
    );
}

#[test]
fn objects_have_their_members_in_the_order_of_the_schema() {
    let one = || json!({"const": 1});
    gives(
        json!({"type": "object", "properties": {"b": one(), "a": one(), "c": one()}, "required": ["a"]}),
        &[
            json!({"a": 1}),
            json!({"a": 1, "b": 1}),
            json!({"a": 1, "c": 1}),
            json!({"a": 1, "b": 1, "c": 1}),
        ],
    );
    gives(
        json!({"properties": {"a": one(), "b": one()}}),
        &[
            json!({}),
            json!({"a": 1}),
            json!({"b": 1}),
            json!({"a": 1, "b": 1}),
        ],
    );
    gives(json!({"type": "object", "properties": {}}), &[json!({})]);
    gives(
        json!({"type": "object", "additionalProperties": false}),
        &[json!({})],
    );
    finds(
        json!({"type": "object", "properties": {"a": one()}, "required": ["b"], "additionalProperties": one()}),
        &[json!({"b": 1}), json!({"b": 1, "a": 1})],
    );
    check(json!({"type": "object", "required": ["a"]}));
    check(json!({"type": "object", "additionalProperties": {"type": "integer"}}));
    check(json!({
        "type": "object",
        "properties": {
            "": one(), "a": one(), "ab": one(), "b\"": one(), "*": one(), "]^-\\": one(), "\u{1f600}": one()
        },
        "additionalProperties": {"type": "string", "maxLength": 1}
    }));
    gives(
        json!({"properties": {"a": false, "b": one()}}),
        &[json!({}), json!({"b": 1})],
    );
}

#[test]
fn all_of_is_what_all_admit() {
    gives(
        json!({"allOf": [
            {"properties": {"a": {"type": "integer", "minimum": 3}}, "required": ["a"]},
            {"properties": {"a": {"type": "number", "maximum": 4}, "b": {"const": null}}},
            {"required": ["b"]}
        ]}),
        &[json!({"a": 3, "b": null}), json!({"a": 4, "b": null})],
    );
    gives(
        json!({"type": "object", "properties": {"a": {"const": 1}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
               "allOf": [{"properties": {"b": {"enum": [1, 2]}}}, {"type": ["object", "null"]}]}),
        &[
            json!({"a": 1}),
            json!({"a": 1, "b": 1}),
            json!({"a": 1, "b": 2}),
            json!({"b": 1}),
            json!({"b": 2}),
        ],
    );
    gives(
        json!({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}},
               "allOf": [{"properties": {"b": {}}, "additionalProperties": false}], "required": ["b"]}),
        &[json!({"b": 2})],
    );
    gives(
        json!({"allOf": [{"minItems": 1, "items": {"enum": [1, 2]}}, {"maxItems": 1, "items": {"enum": [2, 3]}}]}),
        &[json!([2])],
    );
    gives(
        json!({"allOf": [
            {"prefixItems": [{"enum": [1, 2]}]},
            {"items": {"enum": [2, 3]}, "maxItems": 1, "type": "array"}
        ]}),
        &[json!([2])],
    );
    gives(
        json!({"type": ["string", "null"], "allOf": [{"enum": ["a", "bb", null]}], "minLength": 2}),
        &[json!("bb"), json!(null)],
    );
    finds(
        json!({"additionalProperties": {"const": 1}, "properties": {"a": {"const": 2}},
               "allOf": [{"properties": {"a": {"const": 3}}, "required": ["b"]}]}),
        &[json!({"b": 1})],
    );
    check(json!({"allOf": [{"minLength": 2}, {"maxLength": 3}, {"type": ["string", "integer"]}]}));
    // Each keyword is about its own type only.
    finds(
        json!({"allOf": [{"maxLength": 0}, {"minimum": 3, "maximum": 4}, {"items": false}]}),
        &[json!(""), json!(3), json!(4), json!([])],
    );
    finds(
        json!({"allOf": [{"maxLength": 0}, {"minimum": 3, "maximum": 4}], "type": ["string", "number", "null"]}),
        &[json!(""), json!(3), json!(4), json!(null)],
    );
    gives(
        json!({"allOf": [{"enum": [1, 5, "a", "", null]}, {"maxLength": 0, "minimum": 3}]}),
        &[json!(5), json!(""), json!(null)],
    );
    check(json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "integer"}}}));
}

#[test]
fn one_of_branches_that_exclude_each_other_are_alternatives() {
    gives(
        json!({"oneOf": [{"const": 1}, {"type": "null"}]}),
        &[json!(1), json!(null)],
    );
    gives(
        json!({"oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}], "$defs": {
            "cat": {"properties": {"kind": {"const": "cat"}}, "required": ["kind"]},
            "dog": {"properties": {"kind": {"const": "dog"}}, "required": ["kind"]}}}),
        &[json!({"kind": "cat"}), json!({"kind": "dog"})],
    );
    let a = || json!({"properties": {"a": {"const": 1}}, "required": ["a"], "type": "object"});
    gives(
        json!({"oneOf": [a(), {"properties": {"b": {"const": 1}}, "required": ["b"], "type": "object"}]}),
        &[json!({"a": 1}), json!({"b": 1})],
    );
    gives(
        json!({"oneOf": [a(), {"properties": {"b": {"const": 1}}, "type": "object", "additionalProperties": false}]}),
        &[json!({"a": 1}), json!({"b": 1}), json!({})],
    );
    check(json!({"oneOf": [{"type": "integer", "maximum": 4}, {"type": "number", "minimum": 5}]}));
}

#[test]
fn references_lead_to_definitions_and_back() {
    let tree = json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {
            "type": "object",
            "properties": {"n": {"enum": [1, 2]}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                           "more": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}},
            "required": ["n"]
        }}
    });
    finds(tree, &[json!({"n": 1}), json!({"n": 2, "next": null})]);
    gives(
        json!({
            "properties": {"a b": {"const": 1}, "c": {"$ref": "#/properties/a%20b", "title": "c"}},
            "required": ["a b", "c"]
        }),
        &[json!({"a b": 1, "c": 1})],
    );
    // Names that would be one name if they were made into names of rules.
    gives(
        json!({"prefixItems": [{"$ref": "#/$defs/a%20b"}, {"$ref": "#/$defs/a_b"}],
               "$defs": {"a b": {"const": 1}, "a_b": {"const": 2}}}),
        &[json!([1, 2])],
    );
    // Two recursive definitions combined are a third one.
    let list =
        |value: Value| json!({"type": "object", "properties": {"v": value}, "required": ["v"]});
    let mut both = json!({"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}],
        "$defs": {"a": list(json!({"enum": [1, 2]})), "b": list(json!({"enum": [2, 3]}))}});
    both["$defs"]["a"]["properties"]["next"] = json!({"$ref": "#/$defs/a"});
    both["$defs"]["b"]["properties"]["next"] = json!({"$ref": "#/$defs/b"});
    finds(both, &[json!({"v": 2}), json!({"v": 2, "next": {"v": 2}})]);
}
