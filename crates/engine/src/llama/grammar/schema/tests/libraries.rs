//! Schemas as zod 4 and pydantic 2 write them, word for word.

use serde_json::{Value, json};

use super::super::to_grammar;
use super::values::{check, check_as, finds, gives};

/// What `z.toJSONSchema` writes for single kinds, without its `$schema`.
const ZOD: &[(&str, &str)] = &[
    (
        "uuid",
        r#"{"type": "string", "format": "uuid", "pattern": "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$"}"#,
    ),
    (
        "uuidv4",
        r#"{"type": "string", "format": "uuid", "pattern": "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$"}"#,
    ),
    (
        "guid",
        r#"{"type": "string", "format": "uuid", "pattern": "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$"}"#,
    ),
    (
        "datetime",
        r#"{"type": "string", "format": "date-time", "pattern": "^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))T(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?(?:Z))$"}"#,
    ),
    (
        "datetime_offset",
        r#"{"type": "string", "format": "date-time", "pattern": "^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))T(?:(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?(?:Z|([+-](?:[01]\\d|2[0-3]):[0-5]\\d)))$"}"#,
    ),
    (
        "date",
        r#"{"type": "string", "format": "date", "pattern": "^(?:(?:\\d\\d[2468][048]|\\d\\d[13579][26]|\\d\\d0[48]|[02468][048]00|[13579][26]00)-02-29|\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|(?:02)-(?:0[1-9]|1\\d|2[0-8])))$"}"#,
    ),
    (
        "time",
        r#"{"type": "string", "pattern": "^(?:[01]\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?$"}"#,
    ),
    (
        "duration",
        r#"{"type": "string", "format": "duration", "pattern": "^P(?:(\\d+W)|(?!.*W)(?=\\d|T\\d)(\\d+Y)?(\\d+M)?(\\d+D)?(T(?=\\d)(\\d+H)?(\\d+M)?(\\d+([.,]\\d+)?S)?)?)$"}"#,
    ),
    (
        "email",
        r#"{"type": "string", "format": "email", "pattern": "^(?:[A-Za-z0-9_'+\\-]+\\.)*[A-Za-z0-9_'+\\-]*[A-Za-z0-9_+-]@(?:[A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$"}"#,
    ),
    ("url", r#"{"type": "string", "format": "uri"}"#),
    (
        "ipv4",
        r#"{"type": "string", "format": "ipv4", "pattern": "^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])$"}"#,
    ),
    (
        "ipv6",
        r#"{"type": "string", "format": "ipv6", "pattern": "^(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1,6}:[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|[0-9a-fA-F]{1,4}:((:[0-9a-fA-F]{1,4}){1,6})|:((:[0-9a-fA-F]{1,4}){1,7}|:))$"}"#,
    ),
    (
        "cuid2",
        r#"{"type": "string", "format": "cuid2", "pattern": "^[0-9a-z]+$"}"#,
    ),
    (
        "ulid",
        r#"{"type": "string", "format": "ulid", "pattern": "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$"}"#,
    ),
    (
        "nanoid",
        r#"{"type": "string", "format": "nanoid", "pattern": "^[a-zA-Z0-9_-]{21}$"}"#,
    ),
    (
        "base64",
        r#"{"type": "string", "format": "base64", "contentEncoding": "base64", "pattern": "^$|^(?:[0-9a-zA-Z+/]{4})*(?:(?:[0-9a-zA-Z+/]{2}==)|(?:[0-9a-zA-Z+/]{3}=))?$"}"#,
    ),
    (
        "e164",
        r#"{"type": "string", "format": "e164", "pattern": "^\\+[1-9]\\d{6,14}$"}"#,
    ),
    ("jwt", r#"{"type": "string", "format": "jwt"}"#),
    (
        "cidrv4",
        r#"{"type": "string", "format": "cidrv4", "pattern": "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9][0-9]|[0-9])\\/([0-9]|[1-2][0-9]|3[0-2])$"}"#,
    ),
    (
        "hostname",
        r#"{"type": "string", "format": "hostname", "pattern": "^(?=.{1,253}\\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\\.[a-zA-Z0-9](?:[-0-9a-zA-Z]{0,61}[0-9a-zA-Z])?)*\\.?$"}"#,
    ),
    (
        "len",
        r#"{"type": "string", "minLength": 3, "maxLength": 10, "pattern": "^[a-z]+$"}"#,
    ),
    (
        "starts",
        r#"{"type": "string", "format": "starts_with", "pattern": "^ab.*"}"#,
    ),
    (
        "int",
        r#"{"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991}"#,
    ),
    ("pos", r#"{"type": "number", "exclusiveMinimum": 0}"#),
    ("mult", r#"{"type": "number", "multipleOf": 0.01}"#),
    (
        "rec",
        r#"{"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "number"}}"#,
    ),
    ("nullable", r#"{"type": ["string", "null"]}"#),
    (
        "nul_enum",
        r#"{"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "null"}]}"#,
    ),
    (
        "uuid_arr",
        r#"{"minItems": 1, "type": "array", "items": {"type": "string", "format": "uuid", "pattern": "^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-8][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}|00000000-0000-0000-0000-000000000000|ffffffff-ffff-ffff-ffff-ffffffffffff)$"}}"#,
    ),
    (
        "tup",
        r#"{"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "items": false, "minItems": 2, "maxItems": 2}"#,
    ),
    (
        "disc",
        r#"{"oneOf": [{"type": "object", "properties": {"t": {"type": "string", "const": "a"}, "x": {"type": "number"}}, "required": ["t", "x"], "additionalProperties": false}, {"type": "object", "properties": {"t": {"type": "string", "const": "b"}}, "required": ["t"], "additionalProperties": false}]}"#,
    ),
    (
        "loose",
        r#"{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": {}}"#,
    ),
    (
        "lower",
        r#"{"type": "string", "format": "lowercase", "pattern": "^[^A-Z]*$"}"#,
    ),
    (
        "incl",
        r#"{"type": "string", "format": "includes", "pattern": "x"}"#,
    ),
];

/// The address of mail of zod 4's first versions, with assertions.
const EARLIER_EMAIL: &str = r#"{"type": "string", "format": "email", "pattern":
    "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$"}"#;

/// What `model_json_schema` writes for the fields of a model.
const PYDANTIC: &str = r##"{"properties": {
    "id": {"format": "uuid", "title": "Id", "type": "string"},
    "at": {"format": "date-time", "title": "At", "type": "string"},
    "day": {"format": "date", "title": "Day", "type": "string"},
    "span": {"format": "duration", "title": "Span", "type": "string"},
    "mail": {"format": "email", "title": "Mail", "type": "string"},
    "url": {"format": "uri", "maxLength": 2083, "minLength": 1, "title": "Url", "type": "string"},
    "opt": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": null, "title": "Opt"},
    "price": {"anyOf": [{"type": "number"}, {"type": "string"}], "title": "Price"},
    "cents": {"minimum": 0, "multipleOf": 0.01, "title": "Cents", "type": "number"},
    "code": {"maxLength": 8, "minLength": 2, "pattern": "^[A-Z]+$", "title": "Code", "type": "string"},
    "scores": {"additionalProperties": {"type": "integer"}, "minProperties": 1, "title": "Scores", "type": "object"},
    "list": {"items": {"type": "integer"}, "maxItems": 4, "minItems": 1, "title": "List", "type": "array"},
    "pair": {"maxItems": 2, "minItems": 2, "prefixItems": [{"type": "integer"}, {"type": "string"}], "title": "Pair",
        "type": "array"},
    "secret": {"format": "password", "title": "Secret", "type": "string", "writeOnly": true},
    "kind": {"enum": ["a", "b"], "title": "Kind", "type": "string"}},
    "required": ["id", "at", "day", "span", "mail", "url", "price", "cents", "code", "scores", "list", "pair", "secret",
        "kind"],
    "title": "Order", "type": "object"}"##;

fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_zod_writes_is_satisfied() {
    for (name, text) in ZOD {
        let texts = check_as(schema(text), false);
        assert!(!texts.is_empty(), "{name}");
    }
    // Together, as an object has them.
    let named = ZOD
        .iter()
        .map(|(name, text)| ((*name).to_owned(), schema(text)));
    let members: serde_json::Map<String, Value> = named.collect();
    let names: Vec<&String> = members.keys().collect();
    check_as(
        json!({"type": "object", "properties": members, "required": names, "additionalProperties": false}),
        false,
    );
}

#[test]
fn what_pydantic_writes_is_satisfied() {
    check(schema(PYDANTIC));
}

#[test]
fn a_pattern_beside_a_format_is_written_and_the_format_where_the_pattern_cannot_be() {
    // An identifier of version 4 is narrower than the format.
    for value in check(
        json!({"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$"}),
    ) {
        assert_eq!(&value.as_str().unwrap()[14..15], "4");
    }
    // The texts of the format satisfy the pattern that has no grammar, as the validator says.
    let texts = check(schema(EARLIER_EMAIL));
    assert!(
        texts
            .iter()
            .all(|text| text.as_str().unwrap().contains('@'))
    );
    gives(
        json!({"allOf": [{"format": "date"}, {"pattern": "^2026-0[12]-03$"}]}),
        &[json!("2026-01-03"), json!("2026-02-03")],
    );
}

#[test]
fn nullable_is_one_more_type() {
    let same = |a: Value, b: Value| assert_eq!(to_grammar(&a), to_grammar(&b), "{a}");
    same(
        json!({"type": "object", "properties": {"a": {"nullable": true, "type": "string"}}, "required": ["a"]}),
        json!({"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}),
    );
    same(
        json!({"type": "integer", "nullable": false}),
        json!({"type": "integer"}),
    );
    same(
        json!({"type": ["integer", "null"], "nullable": true, "enum": [1, null, "a"]}),
        json!({"type": ["integer", "null"], "enum": [1, null, "a"]}),
    );
}

#[test]
fn steps_of_powers_of_ten_are_digits_behind_the_point() {
    finds(
        json!({"type": "number", "multipleOf": 0.1, "minimum": 0, "maximum": 0.5}),
        &[json!(0), json!(0.1), json!(0.5)],
    );
    let texts = check(
        json!({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": 0, "maximum": 0.05}),
    );
    assert!(texts.iter().all(|value| value.as_f64() > Some(0.0)));
    check(json!({"type": "number", "multipleOf": 0.01}));
    check(json!({"type": "number", "multipleOf": 0.01, "minimum": -1.5, "maximum": 12.345}));
    check(
        json!({"type": ["number", "null"], "multipleOf": 0.001, "minimum": 3.2415, "exclusiveMaximum": 3.3}),
    );
    gives(
        json!({"type": "number", "multipleOf": 1, "minimum": 0.5, "maximum": 2.5}),
        &[json!(1), json!(2)],
    );
    gives(
        json!({"type": "number", "multipleOf": 0.01, "enum": [0.5, 0.25, 0.125, 3]}),
        &[json!(0.5), json!(0.25), json!(3)],
    );
    finds(
        json!({"allOf": [{"type": "number", "multipleOf": 0.1}, {"type": "number", "multipleOf": 0.01, "minimum": 0}, {"maximum": 0.15}]}),
        &[json!(0.1)],
    );
}

#[test]
fn an_object_that_must_have_a_member_has_one() {
    let count = |schema: Value| {
        let values = check(schema);
        let counts = values.iter().map(|value| value.as_object().unwrap().len());
        counts.min()
    };
    assert!(
        count(
            json!({"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 1})
        ) >= Some(1)
    );
    assert!(count(json!({"type": "object", "minProperties": 1})) >= Some(1));
    let optional = json!({"a": {"const": 1}, "b": {"const": 2}});
    gives(
        json!({"type": "object", "properties": optional, "minProperties": 1}),
        &[json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})],
    );
    gives(
        json!({"allOf": [{"type": "object", "properties": optional}, {"minProperties": 1}], "enum": [{}, {"a": 1}]}),
        &[json!({"a": 1})],
    );
}
