//! The syntax of a schema: keywords into nodes, references into definitions.
//!
//! A reference is followed later, from a list, so that reading recurses no deeper than the text nests.

mod number;

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::keywords::{self, Says};
use super::node::{Array, Definition, Document, Literal, Node, Object, Property, Rest, Type};
use super::path::{self, Path};
use super::text::{Length, Text};
use super::{COUNT_LIMIT, Checked, DEFINITIONS_LIMIT, NAME_LIMIT_BYTES, PROPERTIES_LIMIT};

/// Reads a schema and what its references lead to.
pub(super) fn document(root: &Value) -> Checked<Document> {
    let mut reader = Reader {
        root,
        ids: HashMap::from([(std::ptr::from_ref(root), 0)]),
        waiting: vec![(root, Path::ROOT)],
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
    /// Numbers of definitions by what they are read from.
    ids: HashMap<*const Value, usize>,
    /// What the definitions are read from, by number.
    waiting: Vec<(&'a Value, Path)>,
}

type Schema = Map<String, Value>;

impl<'a> Reader<'a> {
    fn node(&mut self, schema: &'a Value, path: &Path) -> Checked<Node> {
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
                path: path.below("oneOf"),
                parts: self.branches(schema, "oneOf", path)?,
            });
        }
        if let Some(value) = schema.get("const") {
            parts.push(Node::Literals(vec![Literal::new(value)]));
        }
        if let Some(values) = schema.get("enum") {
            let values = list(values, "enum", path)?;
            parts.push(Node::Literals(values.iter().map(Literal::new).collect()));
        }
        if let Some(types) = types(schema, path)? {
            let nodes = types.iter().filter(|kind| {
                // Integers are numbers.
                **kind != Type::Integer || !types.contains(&Type::Number)
            });
            let nodes = nodes.map(|kind| self.typed(*kind, schema, path));
            let mut nodes: Vec<Node> = nodes.collect::<Checked<_>>()?;
            parts.push(match nodes.len() {
                1 => nodes.remove(0),
                _ => Node::Union(nodes),
            });
        } else if !said.is_empty() {
            let nodes = said.into_iter();
            let nodes = nodes.map(|kind| Ok((kind, self.typed(kind, schema, path)?)));
            parts.push(Node::Untyped(nodes.collect::<Checked<_>>()?));
        }
        Ok(match parts.len() {
            0 => Node::Any,
            1 => parts.remove(0),
            _ => Node::All {
                path: path.clone(),
                parts,
            },
        })
    }

    fn reference(&mut self, reference: &Value, path: &Path) -> Checked<Node> {
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
        self.defined(target, target_path)
    }

    /// What stands at `path`, to be read once.
    fn defined(&mut self, target: &'a Value, path: Path) -> Checked<Node> {
        if let Some(id) = self.ids.get(&std::ptr::from_ref(target)) {
            return Ok(Node::Definition(*id));
        }
        let id = self.waiting.len();
        if id >= DEFINITIONS_LIMIT {
            return Err(format!("refers to more than {DEFINITIONS_LIMIT} places"));
        }
        self.ids.insert(target, id);
        self.waiting.push((target, path));
        Ok(Node::Definition(id))
    }

    /// The schemas of a list that may not be empty.
    fn branches(&mut self, schema: &'a Schema, name: &str, path: &Path) -> Checked<Vec<Node>> {
        let branches = list(&schema[name], name, path)?;
        self.listed(branches, &path.below(name))
    }

    fn listed(&mut self, schemas: &'a [Value], path: &Path) -> Checked<Vec<Node>> {
        let schemas = schemas.iter().enumerate();
        schemas
            .map(|(index, schema)| self.node(schema, &path.at(index)))
            .collect()
    }

    fn typed(&mut self, kind: Type, schema: &'a Schema, path: &Path) -> Checked<Node> {
        Ok(match kind {
            Type::Null => Node::Null,
            Type::Boolean => Node::Boolean,
            Type::Integer => Node::Integer(number::whole(schema, path)?),
            Type::Number => number::any(schema, path)?,
            Type::String => Node::Text(text(schema, path)?),
            Type::Array => Node::Array(self.array(schema, path)?),
            Type::Object => Node::Object(self.object(schema, path)?),
        })
    }

    fn array(&mut self, schema: &'a Schema, path: &Path) -> Checked<Array> {
        let Length { least, most } = counts(schema, ["minItems", "maxItems"], path)?;
        // The list is `items` in old drafts, and what follows it `additionalItems`.
        let (list_name, rest_name) = match schema.get("items") {
            Some(Value::Array(_)) => ("items", "additionalItems"),
            _ => ("prefixItems", "items"),
        };
        let prefix = match schema.get(list_name) {
            None => Vec::new(),
            Some(Value::Array(items)) => self.listed(items, &path.below(list_name))?,
            Some(_) => return Err(format!("{list_name} at {path} must be an array of schemas")),
        };
        let rest = match schema.get(rest_name) {
            None => Rest::Unsaid,
            Some(schema) => rest(self.node(schema, &path.below(rest_name))?),
        };
        Ok(Array {
            prefix,
            rest,
            least,
            most,
        })
    }

    fn object(&mut self, schema: &'a Schema, path: &Path) -> Checked<Object> {
        let listed = match schema.get("properties") {
            None => None,
            Some(Value::Object(listed)) => Some(listed),
            Some(_) => return Err(format!("properties at {path} must be an object")),
        };
        let required = required(schema, path)?;
        let is_listed = |name: &str| listed.is_some_and(|listed| listed.contains_key(name));
        let mut seen = HashSet::new();
        let others = required.iter().copied();
        let others = others.filter(|name| !is_listed(name) && seen.insert(*name));
        let others: Vec<&str> = others.collect();
        let names = listed.into_iter().flat_map(Schema::keys);
        check_names(
            names.map(String::as_str).chain(others.iter().copied()),
            path,
        )?;

        let rest_path = path.below("additionalProperties");
        let rest = match schema.get("additionalProperties") {
            None => Rest::Unsaid,
            // Each of the others has it.
            Some(schema @ Value::Object(_)) if !others.is_empty() => {
                rest(self.defined(schema, rest_path)?)
            }
            Some(schema) => rest(self.node(schema, &rest_path)?),
        };
        let required: HashSet<&str> = required.into_iter().collect();
        let mut properties = Vec::new();
        let below = path.below("properties");
        for (name, schema) in listed.into_iter().flatten() {
            properties.push(Property {
                name: name.as_str().into(),
                node: self.node(schema, &below.below(name))?,
                is_required: required.contains(name.as_str()),
            });
        }
        for name in others {
            properties.push(Property {
                name: name.into(),
                node: match &rest {
                    Rest::Unsaid => Node::Any,
                    Rest::Closed => Node::NEVER,
                    Rest::Open(node) => (**node).clone(),
                },
                is_required: true,
            });
        }
        let count = properties.iter().filter(|one| one.is_required).count() as u64;
        let least = counts(schema, ["minProperties", "maxProperties"], path)?.least;
        if least > count.max(1) {
            // Names may come twice, and would be one property then.
            return Err(format!(
                "minProperties at {path} has no grammar above 1 and the {count} that are required"
            ));
        }
        let mut required = properties.iter().filter(|property| property.is_required);
        if let Some(never) = required.find(|property| property.node.is_never()) {
            return Err(format!(
                "required at {path} names {:?}, which is forbidden there",
                never.name
            ));
        }
        Ok(Object {
            properties,
            rest,
            is_listed: listed.is_some(),
            is_filled: least > 0,
        })
    }
}

fn rest(node: Node) -> Rest {
    match node.is_never() {
        true => Rest::Closed,
        false => Rest::Open(Box::new(node)),
    }
}

/// That the names of an object are neither many nor long.
fn check_names<'a>(names: impl Iterator<Item = &'a str>, path: &Path) -> Checked<()> {
    let mut count = 0;
    for name in names {
        count += 1;
        if name.len() > NAME_LIMIT_BYTES {
            return Err(format!(
                "a property at {path} has a name of {} bytes, must have at most {NAME_LIMIT_BYTES}",
                name.len()
            ));
        }
    }
    match count > PROPERTIES_LIMIT {
        true => Err(format!(
            "{path} has {count} properties, must have at most {PROPERTIES_LIMIT}"
        )),
        false => Ok(()),
    }
}

/// The types that the keywords of `schema` are about.
///
/// Errors: unknown keywords, and those that constrain the value and have no grammar.
fn said(schema: &Schema, path: &Path) -> Checked<Vec<Type>> {
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
        let kind = match keywords::says(keyword, path)? {
            Says::Of(kind) => Some(kind),
            Says::Unsaid(kind) if keywords::is_written(keyword, value) => Some(kind),
            Says::Unsaid(kind) if is_about(kind) => return Err(no_grammar(keyword, path)),
            Says::Never => return Err(no_grammar(keyword, path)),
            Says::Read | Says::Unsaid(_) => None,
        };
        let kind = kind.filter(|kind| is_about(*kind));
        said.extend(kind.filter(|kind| !said.contains(kind)));
    }
    Ok(said)
}

fn no_grammar(keyword: &str, path: &Path) -> String {
    format!("{keyword} at {path} has no grammar")
}

/// The types that `type` names; `None` where it is absent.
fn types(schema: &Schema, path: &Path) -> Checked<Option<Vec<Type>>> {
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
    let mut types = match schema.get("type") {
        None => Vec::new(),
        Some(names @ Value::Array(_)) => {
            let mut types = Vec::new();
            for name in list(names, "type", path)? {
                let kind = one(name)?;
                if !types.contains(&kind) {
                    types.push(kind);
                }
            }
            types
        }
        Some(name) => vec![one(name)?],
    };
    // OpenAPI's word for one more type; where there is none, nobody agrees on what it says.
    match schema.get("nullable") {
        None | Some(Value::Bool(false)) => {}
        Some(Value::Bool(true)) if types.is_empty() => {
            let instead = "write \"null\" into the list of type instead";
            return Err(format!("nullable at {path} stands without type, {instead}"));
        }
        Some(Value::Bool(true)) if types.contains(&Type::Null) => {}
        Some(Value::Bool(true)) => types.push(Type::Null),
        Some(value) => return Err(format!("nullable at {path} is {value}, must be a boolean")),
    }
    Ok((!types.is_empty()).then_some(types))
}

fn text(schema: &Schema, path: &Path) -> Checked<Text> {
    let mut texts = vec![Text::Length(counts(
        schema,
        ["minLength", "maxLength"],
        path,
    )?)];
    let format = match schema.get("format") {
        None => Text::ANY,
        Some(Value::String(format)) => Text::format(format),
        Some(format) => return Err(format!("format {format} at {path} must be a string")),
    };
    match schema.get("pattern") {
        None => texts.push(format),
        Some(Value::String(text)) => match Text::pattern(text) {
            Ok(pattern) => texts.push(pattern),
            // What has no grammar itself is mostly such a format, spelt with assertions.
            Err(_) if format != Text::ANY => texts.push(format),
            Err(reason) => return Err(format!("pattern at {path} has no grammar: {reason}")),
        },
        Some(_) => return Err(format!("pattern at {path} must be a string")),
    }
    let mut all = Text::ANY;
    for text in &texts {
        let both = all.and(text).map_err(|reason| format!("{path} {reason}"))?;
        all = both.ok_or_else(|| format!("no string satisfies what stands at {path}"))?;
    }
    Ok(all)
}

fn required<'a>(schema: &'a Schema, path: &Path) -> Checked<Vec<&'a str>> {
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
fn list<'a>(value: &'a Value, name: &str, path: &Path) -> Checked<&'a Vec<Value>> {
    match value {
        Value::Array(list) if !list.is_empty() => Ok(list),
        _ => Err(format!(
            "{name} at {path} must be an array that is not empty"
        )),
    }
}

/// The counts of two keywords: at least and at most.
fn counts(schema: &Schema, [least, most]: [&str; 2], path: &Path) -> Checked<Length> {
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
        _ => Ok(Length {
            least: low,
            most: high,
        }),
    }
}
