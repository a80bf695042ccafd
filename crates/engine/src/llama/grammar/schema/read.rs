//! The syntax of a schema: keywords into nodes, references into definitions.
//!
//! A reference is followed later, from a list, so that reading recurses no deeper than the text nests.

mod number;

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::keywords::{self, Says};
use super::node::{Array, Definition, Document, Node, Object, Property, Rest, Text, Type};
use super::{
    COUNT_LIMIT, Checked, DEFINITIONS_LIMIT, NAME_LIMIT_BYTES, PROPERTIES_LIMIT, path, pattern,
};

/// Reads a schema and what its references lead to.
pub(super) fn document(root: &Value) -> Checked<Document> {
    let mut reader = Reader {
        root,
        ids: HashMap::from([("$".to_owned(), 0)]),
        waiting: vec![(root, "$".to_owned())],
    };
    let mut definitions = Vec::new();
    while let Some((schema, path)) = reader.waiting.get(definitions.len()).cloned() {
        let node = reader.node(schema, &path)?;
        definitions.push(Definition { path, node });
    }
    Ok(Document { definitions })
}

struct Reader<'a> {
    root: &'a Value,
    /// Numbers of definitions by path.
    ids: HashMap<String, usize>,
    /// What the definitions are read from, by number.
    waiting: Vec<(&'a Value, String)>,
}

type Schema = Map<String, Value>;

impl<'a> Reader<'a> {
    fn node(&mut self, schema: &'a Value, path: &str) -> Checked<Node> {
        let schema = match schema {
            Value::Bool(true) => return Ok(Node::Any),
            Value::Bool(false) => return Ok(Node::NEVER),
            Value::Object(schema) => schema,
            _ => return Err(format!("{path} must be an object or a boolean")),
        };
        let said = said(schema, path)?;
        let mut parts = Vec::new();
        if let Some(reference) = schema.get("$ref") {
            parts.push(self.reference(reference, path)?);
        }
        if schema.contains_key("allOf") {
            parts.extend(self.branches(schema, "allOf", path)?);
        }
        if schema.contains_key("anyOf") {
            parts.push(Node::Union(self.branches(schema, "anyOf", path)?));
        }
        if schema.contains_key("oneOf") {
            parts.push(Node::One {
                path: path::below(path, "oneOf"),
                parts: self.branches(schema, "oneOf", path)?,
            });
        }
        if let Some(value) = schema.get("const") {
            parts.push(Node::Literals(vec![value.clone()]));
        }
        if let Some(values) = schema.get("enum") {
            parts.push(Node::Literals(list(values, "enum", path)?.clone()));
        }
        if let Some(types) = types(schema, path)? {
            parts.push(self.typed(&types, schema, path)?);
        } else if !said.is_empty() {
            // Without `type` a keyword constrains values of its own types and lets others pass. They may be written
            // where something else decides about them; alone, `properties` means an object.
            let all = [Type::Null, Type::Boolean, Type::Number];
            let all = [&all[..], &[Type::String, Type::Array, Type::Object]].concat();
            let types = if parts.is_empty() { said } else { all };
            parts.push(self.typed(&types, schema, path)?);
        }
        Ok(match parts.len() {
            0 => Node::Any,
            1 => parts.remove(0),
            _ => Node::All {
                path: path.to_owned(),
                parts,
            },
        })
    }

    fn reference(&mut self, reference: &Value, path: &str) -> Checked<Node> {
        let Value::String(reference) = reference else {
            return Err(format!("$ref at {path} must be a string"));
        };
        if !reference.starts_with('#') {
            return Err(format!(
                "$ref at {path} is {reference:?}, must point into the schema and begin with #"
            ));
        }
        let (target, target_path) = path::follow(self.root, reference)
            .ok_or_else(|| format!("$ref at {path} is {reference:?}, which does not exist"))?;
        if let Some(id) = self.ids.get(&target_path) {
            return Ok(Node::Definition(*id));
        }
        let id = self.waiting.len();
        if id >= DEFINITIONS_LIMIT {
            return Err(format!("refers to more than {DEFINITIONS_LIMIT} places"));
        }
        self.ids.insert(target_path.clone(), id);
        self.waiting.push((target, target_path));
        Ok(Node::Definition(id))
    }

    /// The schemas of a list that may not be empty.
    fn branches(&mut self, schema: &'a Schema, name: &str, path: &str) -> Checked<Vec<Node>> {
        let branches = list(&schema[name], name, path)?;
        let path = path::below(path, name);
        self.listed(branches, &path)
    }

    fn listed(&mut self, schemas: &'a [Value], path: &str) -> Checked<Vec<Node>> {
        let schemas = schemas.iter().enumerate();
        schemas
            .map(|(index, schema)| self.node(schema, &path::at(path, index)))
            .collect()
    }

    fn typed(&mut self, types: &[Type], schema: &'a Schema, path: &str) -> Checked<Node> {
        let mut nodes = Vec::new();
        for kind in types {
            nodes.push(match kind {
                Type::Null => Node::Null,
                Type::Boolean => Node::Boolean,
                Type::Integer if types.contains(&Type::Number) => continue,
                Type::Integer => Node::Integer(number::whole(schema, path)?),
                Type::Number => Node::Number(number::any(schema, path)?),
                Type::String => Node::Text(text(schema, path)?),
                Type::Array => Node::Array(self.array(schema, path)?),
                Type::Object => Node::Object(self.object(schema, path)?),
            });
        }
        Ok(match nodes.len() {
            1 => nodes.remove(0),
            _ => Node::Union(nodes),
        })
    }

    fn array(&mut self, schema: &'a Schema, path: &str) -> Checked<Array> {
        let (least, most) = counts(schema, ["minItems", "maxItems"], path)?;
        // The list is `items` in old drafts, and what follows it `additionalItems`.
        let (list_name, rest_name) = match schema.get("items") {
            Some(Value::Array(_)) => ("items", "additionalItems"),
            _ => ("prefixItems", "items"),
        };
        let prefix = match schema.get(list_name) {
            None => Vec::new(),
            Some(Value::Array(items)) => self.listed(items, &path::below(path, list_name))?,
            Some(_) => return Err(format!("{list_name} at {path} must be an array of schemas")),
        };
        let rest = self.rest(schema, rest_name, path)?;
        Ok(Array {
            prefix,
            rest,
            least,
            most,
        })
    }

    fn object(&mut self, schema: &'a Schema, path: &str) -> Checked<Object> {
        let rest = self.rest(schema, "additionalProperties", path)?;
        let mut properties = Vec::new();
        match schema.get("properties") {
            None => {}
            Some(Value::Object(listed)) => {
                let path = path::below(path, "properties");
                for (name, schema) in listed {
                    properties.push(Property {
                        name: name.clone(),
                        node: self.node(schema, &path::below(&path, name))?,
                        is_required: false,
                    });
                }
            }
            Some(_) => return Err(format!("properties at {path} must be an object")),
        }
        for name in required(schema, path)? {
            let place = match properties.iter().position(|property| property.name == name) {
                Some(place) => place,
                None => {
                    properties.push(Property {
                        name: name.to_owned(),
                        node: match &rest {
                            Rest::Unsaid => Node::Any,
                            Rest::Closed => Node::NEVER,
                            Rest::Open(node) => (**node).clone(),
                        },
                        is_required: false,
                    });
                    properties.len() - 1
                }
            };
            if properties[place].node.is_never() {
                return Err(format!(
                    "required at {path} names {name:?}, which is forbidden there"
                ));
            }
            properties[place].is_required = true;
        }
        if let Some(long) = properties.iter().find(|p| p.name.len() > NAME_LIMIT_BYTES) {
            return Err(format!(
                "a property at {path} has a name of {} bytes, must have at most {NAME_LIMIT_BYTES}",
                long.name.len()
            ));
        }
        if properties.len() > PROPERTIES_LIMIT {
            return Err(format!(
                "{path} has {} properties, must have at most {PROPERTIES_LIMIT}",
                properties.len()
            ));
        }
        Ok(Object {
            properties,
            rest,
            is_listed: schema.contains_key("properties"),
        })
    }

    fn rest(&mut self, schema: &'a Schema, name: &str, path: &str) -> Checked<Rest> {
        Ok(match schema.get(name) {
            None => Rest::Unsaid,
            Some(schema) => match self.node(schema, &path::below(path, name))? {
                node if node.is_never() => Rest::Closed,
                node => Rest::Open(Box::new(node)),
            },
        })
    }
}

/// The types that the keywords of `schema` are about.
///
/// Errors: unknown keywords, and those that constrain the value and have no grammar.
fn said(schema: &Schema, path: &str) -> Checked<Vec<Type>> {
    let types = types(schema, path)?;
    let is_about = |kind: Type| match &types {
        None => true,
        Some(types) if kind == Type::Number => {
            types.contains(&Type::Number) || types.contains(&Type::Integer)
        }
        Some(types) => types.contains(&kind),
    };
    let mut said = Vec::new();
    for (keyword, value) in schema {
        let has_grammar = match keywords::says(keyword, path)? {
            Says::Read => true,
            Says::Of(kind) if is_about(kind) => {
                if !said.contains(&kind) {
                    said.push(kind);
                }
                keyword != "uniqueItems" || *value == Value::Bool(false)
            }
            Says::Unsaid(kind) => !is_about(kind),
            Says::Of(_) => true,
            Says::Never => false,
        };
        if !has_grammar {
            return Err(format!("{keyword} at {path} has no grammar"));
        }
    }
    Ok(said)
}

/// The types that `type` names; `None` where it is absent.
fn types(schema: &Schema, path: &str) -> Checked<Option<Vec<Type>>> {
    let one = |name: &Value| match name.as_str() {
        Some("null") => Ok(Type::Null),
        Some("boolean") => Ok(Type::Boolean),
        Some("integer") => Ok(Type::Integer),
        Some("number") => Ok(Type::Number),
        Some("string") => Ok(Type::String),
        Some("array") => Ok(Type::Array),
        Some("object") => Ok(Type::Object),
        _ => Err(format!(
            "type at {path} is {name}, must be null, boolean, integer, number, string, array or object"
        )),
    };
    match schema.get("type") {
        None => Ok(None),
        Some(names @ Value::Array(_)) => {
            let mut types = Vec::new();
            for name in list(names, "type", path)? {
                let kind = one(name)?;
                if !types.contains(&kind) {
                    types.push(kind);
                }
            }
            Ok(Some(types))
        }
        Some(name) => Ok(Some(vec![one(name)?])),
    }
}

fn text(schema: &Schema, path: &str) -> Checked<Text> {
    let (least, most) = counts(schema, ["minLength", "maxLength"], path)?;
    let mut texts = vec![Text::Length { least, most }];
    if let Some(format) = schema.get("format") {
        let known = ["date", "time", "date-time", "uuid", "email", "ipv4"];
        let known = known.into_iter().find(|name| format == name);
        let name = known.ok_or_else(|| format!("format {format} at {path} has no grammar"))?;
        texts.push(Text::Format(name));
    }
    if let Some(text) = schema.get("pattern") {
        let Value::String(text) = text else {
            return Err(format!("pattern at {path} must be a string"));
        };
        texts.push(Text::Pattern {
            text: text.clone(),
            pattern: pattern::parse(text)
                .map_err(|reason| format!("pattern at {path} has no grammar: {reason}"))?,
        });
    }
    let mut all = Text::ANY;
    for text in &texts {
        let both = all.and(text).map_err(|reason| format!("{path} {reason}"))?;
        all = both.ok_or_else(|| format!("no string satisfies what stands at {path}"))?;
    }
    Ok(all)
}

fn required<'a>(schema: &'a Schema, path: &str) -> Checked<Vec<&'a str>> {
    let wrong = || format!("required at {path} must be an array of strings");
    match schema.get("required") {
        None => Ok(Vec::new()),
        Some(Value::Array(names)) => names
            .iter()
            .map(|name| name.as_str().ok_or_else(wrong))
            .collect(),
        Some(_) => Err(wrong()),
    }
}

/// The list under `name`, which must not be empty.
fn list<'a>(value: &'a Value, name: &str, path: &str) -> Checked<&'a Vec<Value>> {
    match value {
        Value::Array(list) if !list.is_empty() => Ok(list),
        _ => Err(format!(
            "{name} at {path} must be an array that is not empty"
        )),
    }
}

/// The counts of two keywords: at least and at most.
fn counts(schema: &Schema, [least, most]: [&str; 2], path: &str) -> Checked<(u64, Option<u64>)> {
    let count = |name: &str| -> Checked<Option<u64>> {
        let Some(value) = schema.get(name) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(count) if count < 0.0 || count.fract() != 0.0 => {}
            None => {}
            Some(count) if count <= COUNT_LIMIT as f64 => return Ok(Some(count as u64)),
            Some(_) => {
                let limit = format!("must be at most {COUNT_LIMIT}");
                return Err(format!("{name} at {path} is {value}, {limit}"));
            }
        }
        Err(format!("{name} at {path} is {value}, must be a count"))
    };
    let (low, high) = (count(least)?.unwrap_or(0), count(most)?);
    match high {
        Some(high) if high < low => Err(format!("{least} at {path} is more than {most}")),
        _ => Ok((low, high)),
    }
}
