//! What has no grammar is refused with its keyword and its path.

use serde_json::{Value, json};

use super::super::to_grammar;

fn check(schema: Value, expect: &str) {
    match to_grammar(&schema) {
        Ok(grammar) => panic!("{schema}: {grammar}"),
        Err(error) => assert!(error.contains(expect), "{schema}: {error}"),
    }
}

/// `schema` as property `n`.
fn inner(schema: Value) -> Value {
    json!({"type": "object", "properties": {"n": schema}})
}

#[test]
fn keywords_that_constrain_and_have_no_grammar() {
    for (kind, keyword, value) in [
        ("integer", "multipleOf", json!(2)),
        ("number", "multipleOf", json!(0.5)),
        ("array", "uniqueItems", json!(true)),
        ("array", "contains", json!({})),
        ("array", "minContains", json!(1)),
        ("array", "maxContains", json!(1)),
        ("array", "unevaluatedItems", json!(false)),
        ("object", "patternProperties", json!({"^a": {}})),
        ("object", "propertyNames", json!({"maxLength": 3})),
        ("object", "minProperties", json!(2)),
        ("object", "maxProperties", json!(1)),
        ("object", "dependentRequired", json!({"a": ["b"]})),
        ("object", "dependentSchemas", json!({})),
        ("object", "dependencies", json!({"a": ["b"]})),
        ("object", "unevaluatedProperties", json!(false)),
        ("string", "not", json!({"const": "a"})),
        ("string", "if", json!({})),
        ("string", "then", json!({})),
        ("string", "else", json!({})),
        ("string", "$dynamicRef", json!("#a")),
        ("string", "$recursiveRef", json!("#")),
    ] {
        let expect = format!("{keyword} at $.properties.n has no grammar");
        check(inner(json!({"type": kind, keyword: value})), &expect);
        check(inner(json!({keyword: value})), &expect);
        check(
            inner(json!({"type": ["null", kind], keyword: value})),
            &expect,
        );
    }
    for step in [
        json!(2),
        json!(0.5),
        json!(10),
        json!(0),
        json!(-0.1),
        json!(1e-19),
        json!("1"),
    ] {
        let schema = json!({"type": "number", "multipleOf": step});
        check(schema, "multipleOf at $ has no grammar");
        check(
            json!({"multipleOf": step}),
            "multipleOf at $ has no grammar",
        );
    }
    check(
        json!({"type": "object", "properties": {"a": {}}, "required": ["a"], "minProperties": 2}),
        "minProperties at $ has no grammar above 1 and the 1 that are required",
    );
    check(
        json!({"type": "object", "additionalProperties": false, "minProperties": 1}),
        "no value satisfies it",
    );
    check(
        inner(json!({"type": "object", "properties": {}, "minProperties": 1})),
        "wants a member where none can be written",
    );
    check(
        json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "minProperties": 1}),
        "no finite value satisfies what stands at $",
    );
    check(
        json!({"type": "object", "propertyNames": {"enum": ["a"]}}),
        "propertyNames at $ has no grammar",
    );
    // They say nothing about values of other types.
    for keyword in ["multipleOf", "uniqueItems", "minProperties"] {
        to_grammar(&json!({"type": "string", keyword: 2})).unwrap();
    }
}

#[test]
fn unknown_keywords_and_those_of_other_languages() {
    check(
        inner(json!({"type": "string", "minLenght": 2})),
        "minLenght at $.properties.n is not a keyword",
    );
    check(
        json!({"name": "answer", "schema": {}}),
        "name at $ is not a keyword",
    );
    check(
        json!({"allOf": [{"minLength": 1}], "nullable": true}),
        "nullable at $ stands without type, write \"null\" into the list of type",
    );
    check(
        json!({"type": "string", "nullable": 1}),
        "nullable at $ is 1, must be a boolean",
    );
    check(
        inner(json!({"$id": "https://example.com/n"})),
        "$id at $.properties.n must stand at the root",
    );
    to_grammar(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/s", "title": "t",
        "description": "d", "default": 1, "examples": [1], "$comment": "c", "deprecated": true, "readOnly": true,
        "writeOnly": false, "contentEncoding": "base64", "contentMediaType": "text/plain", "x-order": [1],
        "$defs": {"a": 3}
    }))
    .unwrap();
}

#[test]
fn bounds_that_no_number_lies_within() {
    check(
        json!({"type": "number", "minimum": 1e-19}),
        "minimum at $ is 1e-19, must have at most 18 digits behind the point",
    );
    check(
        json!({"type": "number", "exclusiveMinimum": 1, "maximum": 1}),
        "no number of 16 digits",
    );
    check(
        json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e-16}),
        "no number of 16 digits",
    );
    check(
        json!({"type": "integer", "minimum": "1"}),
        "minimum at $ is \"1\", must be a number",
    );
    check(
        json!({"type": "integer", "exclusiveMinimum": true}),
        "must be a number",
    );
    check(
        json!({"type": "integer", "minimum": 5, "maximum": 4}),
        "no number of 16 digits",
    );
    check(
        json!({"type": "integer", "minimum": 0.1, "maximum": 0.9}),
        "no number of 16 digits",
    );
    check(
        json!({"type": "integer", "minimum": 1e17}),
        "no number of 16 digits",
    );
    check(
        json!({"type": "integer", "maximum": -1e300}),
        "no number of 16 digits",
    );
}

#[test]
fn strings_with_more_than_one_rule() {
    check(
        inner(json!({"type": "string", "format": 3})),
        "format 3 at $.properties.n must be a string",
    );
    for lengths in [json!({"maxLength": 9}), json!({"minLength": 11})] {
        let mut schema = json!({"format": "date"});
        schema
            .as_object_mut()
            .unwrap()
            .extend(lengths.as_object().unwrap().clone());
        check(schema, "has no grammar for the lengths, patterns");
    }
    check(
        json!({"type": "string", "pattern": "^a+b+$", "maxLength": 4}),
        "has no grammar for the lengths, patterns",
    );
    check(
        json!({"type": "string", "pattern": "^a{2,5}$", "maxLength": 1}),
        "no string satisfies what stands at $",
    );
    check(
        json!({"type": "string", "pattern": "a", "maxLength": 3}),
        "has no grammar for the lengths, patterns",
    );
    check(
        json!({"type": "string", "pattern": "^(?=a)", "format": "colour"}),
        "pattern at $ has no grammar: only plain groups",
    );
    check(
        json!({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}),
        "$ has no grammar for the lengths, patterns and formats of one string together",
    );
    check(
        json!({"pattern": "a", "enum": ["a"]}),
        "const or enum together with a pattern",
    );
    check(
        inner(json!({"pattern": "^(a{1,1000}){1,1000}$"})),
        "pattern at $.properties.n has no grammar: it repeats what may go on where the next one begins",
    );
    check(
        inner(json!({"pattern": "^(?!a)$"})),
        "pattern at $.properties.n has no grammar: only plain groups",
    );
    check(json!({"pattern": 3}), "pattern at $ must be a string");
    check(
        json!({"type": "string", "minLength": 5, "maxLength": 4}),
        "minLength at $ is more than maxLength",
    );
}

#[test]
fn malformed_schemas() {
    check(json!([]), "$ must be an object or a boolean");
    check(
        inner(json!(3)),
        "$.properties.n must be an object or a boolean",
    );
    check(
        json!({"type": "strng"}),
        "type at $ is \"strng\", must be null",
    );
    check(
        json!({"type": []}),
        "type at $ must be an array that is not empty",
    );
    check(
        json!({"enum": []}),
        "enum at $ must be an array that is not empty",
    );
    check(json!({"enum": 3}), "enum at $ must be");
    check(json!({"anyOf": []}), "anyOf at $ must be");
    check(
        json!({"anyOf": [true, {"oneOf": [{"allOf": {}}]}]}),
        "allOf at $.anyOf[1].oneOf[0] must be",
    );
    check(
        json!({"properties": []}),
        "properties at $ must be an object",
    );
    check(
        json!({"required": "a"}),
        "required at $ must be an array of strings",
    );
    check(
        json!({"required": [1]}),
        "required at $ must be an array of strings",
    );
    check(
        json!({"prefixItems": {}}),
        "prefixItems at $ must be an array",
    );
    check(
        json!({"items": 3}),
        "$.items must be an object or a boolean",
    );
    check(
        json!({"maxItems": -1}),
        "maxItems at $ is -1, must be a count",
    );
    check(
        json!({"maxItems": 1.5}),
        "maxItems at $ is 1.5, must be a count",
    );
    check(json!({"maxItems": "2"}), "must be a count");
}

#[test]
fn references_out_of_the_schema_or_in_circles() {
    check(
        json!({"$ref": "https://example.com/schema"}),
        "must point into the schema and begin with #",
    );
    check(
        json!({"$ref": "other.json#/a"}),
        "must point into the schema",
    );
    check(
        json!({"$ref": "#/$defs/a"}),
        "$ref at $ is \"#/$defs/a\", which does not exist",
    );
    check(json!({"$ref": "#anchor"}), "which does not exist");
    check(json!({"$ref": 3}), "$ref at $ must be a string");
    check(
        json!({"$ref": "#"}),
        "no finite value satisfies what stands at $",
    );
    check(
        json!({"anyOf": [{"$ref": "#"}, {"type": "null"}]}),
        "leads back to itself",
    );
    check(
        json!({"allOf": [{"$ref": "#"}, {"type": "null"}]}),
        "combines with itself",
    );
    check(
        json!({"$ref": "#/$defs/a", "$defs": {
            "a": {"$ref": "#/$defs/b"},
            "b": {"anyOf": [{"$ref": "#/$defs/a"}, {}]}
        }}),
        "leads back to itself",
    );
    check(
        json!({"properties": {"next": {"$ref": "#"}}, "required": ["next"]}),
        "no finite value satisfies what stands at $",
    );
    check(
        json!({
            "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"items": {"$ref": "#/$defs/a"}, "minItems": 1}}
        }),
        "no finite value satisfies what stands at $.$defs.a",
    );
    check(
        json!({"properties": {"a": {"$ref": "#/$defs/never"}}, "$defs": {"never": false}}),
        "no finite value",
    );
}

#[test]
fn schemas_that_no_value_satisfies() {
    check(json!(false), "no value satisfies it");
    check(
        json!({"allOf": [{"type": "string"}, {"type": "null"}]}),
        "no value satisfies it",
    );
    check(
        json!({"type": "string", "enum": [1]}),
        "no value satisfies it",
    );
    check(
        json!({"type": "integer", "const": 1.5}),
        "no value satisfies it",
    );
    check(
        json!({"allOf": [{"minItems": 3}, {"maxItems": 2}]}),
        "no value satisfies it",
    );
    check(
        json!({
            "properties": {"a": {"type": "string"}},
            "required": ["a"],
            "allOf": [{"properties": {"a": {"const": 1}}}]
        }),
        "no value satisfies it",
    );
    check(
        json!({"required": ["a"], "additionalProperties": false}),
        "required at $ names \"a\", which is forbidden",
    );
}

#[test]
fn one_of_branches_that_may_hold_both() {
    check(
        inner(json!({"oneOf": [{"type": "null"}, {"type": "integer"}, {"type": "number"}]})),
        "$.properties.n.oneOf has branches 1 and 2 that may both hold, use anyOf",
    );
    check(
        json!({"oneOf": [{"maxLength": 3}, {"pattern": "a"}]}),
        "may both hold",
    );
    check(
        json!({"oneOf": [{"pattern": "a"}, {"pattern": "b"}]}),
        "may both hold",
    );
    // An object of the first kind may satisfy the second, which leaves other names open.
    check(
        json!({"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]}),
        "branches 0 and 1",
    );
    // Without a type a branch holds for the values of all others.
    for (a, b) in [
        (
            json!({"type": "null"}),
            json!({"properties": {"a": {"type": "integer"}}, "required": ["a"]}),
        ),
        (json!({"maxLength": 1}), json!({"minimum": 1})),
        (
            json!({"type": "integer"}),
            json!({"$ref": "#/$defs/untyped"}),
        ),
        (
            json!({"type": "null"}),
            json!({"allOf": [{"minLength": 1}, {"maxLength": 2}]}),
        ),
    ] {
        let branches = json!([a, b]);
        let schema = json!({"oneOf": branches, "$defs": {"untyped": {"minLength": 1}}});
        check(
            schema,
            "$.oneOf has branches 0 and 1 that may both hold, use anyOf",
        );
    }
    let within = |a: Value| json!({"type": "object", "properties": {"k": a}, "required": ["k"]});
    check(
        json!({"oneOf": [within(json!({"type": "null"})), within(json!({"minLength": 3}))]}),
        "may both hold",
    );
}
