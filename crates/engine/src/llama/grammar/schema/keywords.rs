//! Which keyword says what: the ones that are read, the ones that say nothing about a value, and the rest.

use serde_json::Value;

use super::Checked;
use super::node::Type;
use super::path::Path;
use super::range;

/// What a keyword constrains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// Nothing about the value, or it is read wherever it stands.
    Read,
    /// Something about values of this type, and it is read.
    Of(Type),
    /// Something about values of this type that has no grammar.
    Unsaid(Type),
    /// Something about any value that has no grammar.
    Never,
}

/// Keywords for people, editors and other tools, and the places where definitions are kept.
const ANNOTATIONS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$schema",
    "$vocabulary",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "markdownDescription",
    "propertyOrdering",
    "readOnly",
    "strict",
    "title",
    "writeOnly",
    "xml",
];

/// What `keyword` says, for values of any type.
///
/// Errors: an unknown keyword. It might be one that is misspelt, and a schema that says less than its author means is
/// found out late; only names that begin with `x-` are anybody's own.
pub(super) fn says(keyword: &str, path: &Path) -> Checked<Says> {
    Ok(match keyword {
        "$ref" | "allOf" | "anyOf" | "oneOf" | "type" | "nullable" | "const" | "enum" => Says::Read,
        "pattern" | "format" | "minLength" | "maxLength" => Says::Of(Type::String),
        "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => Says::Of(Type::Number),
        "items" | "prefixItems" | "additionalItems" | "minItems" | "maxItems" => {
            Says::Of(Type::Array)
        }
        "properties" | "required" | "additionalProperties" | "minProperties" => {
            Says::Of(Type::Object)
        }
        "multipleOf" => Says::Unsaid(Type::Number),
        "uniqueItems" | "contains" | "minContains" | "maxContains" | "unevaluatedItems" => {
            Says::Unsaid(Type::Array)
        }
        "patternProperties"
        | "propertyNames"
        | "maxProperties"
        | "dependentRequired"
        | "dependentSchemas"
        | "dependencies"
        | "unevaluatedProperties" => Says::Unsaid(Type::Object),
        "not" | "if" | "then" | "else" | "$dynamicRef" | "$recursiveRef" => Says::Never,
        // Below the root it would change what `#` means in a reference.
        "$id" | "id" => match path.is_root() {
            true => Says::Read,
            false => return Err(format!("{keyword} at {path} must stand at the root")),
        },
        _ if ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-") => Says::Read,
        _ => return Err(format!("{keyword} at {path} is not a keyword")),
    })
}

/// Whether a keyword that has no grammar for other values has one with `value`, or excludes nothing with it.
pub(super) fn is_written(keyword: &str, value: &Value) -> bool {
    match (keyword, value) {
        ("uniqueItems", Value::Bool(unique)) => !unique,
        // That many digits behind the point.
        ("multipleOf", Value::Number(number)) => range::places(number).is_some(),
        ("propertyNames", Value::Bool(any)) => *any,
        // Names are strings.
        ("propertyNames", Value::Object(names)) => names.iter().all(|(keyword, value)| {
            keyword == "type" && value == "string" || ANNOTATIONS.contains(&keyword.as_str())
        }),
        _ => false,
    }
}
