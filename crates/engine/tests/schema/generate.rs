//! Random schemas whose values are small, of growing complexity.

use serde_json::{Map, Value, json};

use super::common::Random;

/// What the schemas are made of, taken together.
pub const KEYWORDS: &[&str] = &[
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "properties",
    "required",
    "additionalProperties",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
    "$defs",
    "title",
];

/// Draws schemas.
pub struct Generator {
    random: Random,
    definitions: Map<String, Value>,
}

impl Generator {
    /// One with its own sequence of schemas.
    pub fn new(seed: u64) -> Generator {
        Generator {
            random: Random(seed),
            definitions: Map::new(),
        }
    }

    /// A schema: scalars at level 0, then collections, then combinations and references, nested ever deeper to level 9.
    pub fn schema(&mut self, level: u64) -> Value {
        let depth = level.div_ceil(3);
        let mut schema = self.value(depth, level);
        if !self.definitions.is_empty() {
            schema["$defs"] = std::mem::take(&mut self.definitions).into();
        }
        schema["title"] = json!(format!("Level {level}"));
        schema
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.random.below(count) == 0
    }

    fn value(&mut self, depth: u64, level: u64) -> Value {
        if depth == 0 {
            return self.scalar();
        }
        let kinds = if level < 4 { 3 } else { 9 };
        match self.random.below(kinds) {
            0 => self.array(depth, level),
            1 | 2 => self.object(depth, level),
            3 => json!({"anyOf": [self.value(depth - 1, level), self.value(depth - 1, level)]}),
            4 => json!({"oneOf": [{"type": "null"}, self.typed(depth, level)]}),
            5 => self.reference(depth, level),
            6 => self.list(),
            7 => self.all_of(depth, level),
            _ => self.tuple(depth, level),
        }
    }

    /// Anything that is never null.
    fn typed(&mut self, depth: u64, level: u64) -> Value {
        match self.random.below(3) {
            0 => self.object(depth, level),
            1 => self.array(depth, level),
            _ => self.string(),
        }
    }

    fn scalar(&mut self) -> Value {
        match self.random.below(9) {
            0 => json!({"type": "boolean"}),
            1 => self.integer(),
            2 => json!({"type": "number", "minimum": self.bound(), "maximum": 5000}),
            3 => json!({"type": (["number", "integer"][self.random.below(2) as usize])}),
            4 => json!({"const": self.literal()}),
            5 => json!({"enum": [self.literal(), self.literal(), self.literal()]}),
            6 => {
                json!({"type": ["string", "null", "integer"], "maxLength": 4, "maximum": self.bound()})
            }
            _ => self.string(),
        }
    }

    fn bound(&mut self) -> i64 {
        let size = [10, 150, 4000][self.random.below(3) as usize];
        self.random.below(2 * size) as i64 - size as i64
    }

    fn integer(&mut self) -> Value {
        let bound = self.bound();
        match self.random.below(5) {
            0 => json!({"type": "integer", "minimum": bound}),
            1 => json!({"type": "integer", "maximum": bound}),
            2 => {
                json!({"type": "integer", "exclusiveMinimum": bound, "exclusiveMaximum": bound + 3})
            }
            _ => {
                let width = self.random.below(300);
                json!({"type": "integer", "minimum": bound, "maximum": bound + width as i64})
            }
        }
    }

    fn string(&mut self) -> Value {
        let patterns = [
            "^[a-z]{2,5}$",
            "^(red|green|blue)-\\d{1,3}$",
            "^#[0-9a-fA-F]{6}$",
            "^\\w{1,8}@\\w{1,8}\\.(?:com|org)$",
            "^[^\\s\"]{3}.?$",
            "^\\$\\d{1,3}(\\.\\d\\d)?$|^free$",
        ];
        let formats = ["date", "time", "date-time", "uuid", "email", "ipv4"];
        match self.random.below(4) {
            0 => json!({"type": "string", "pattern": patterns[self.random.below(6) as usize]}),
            1 => json!({"type": "string", "format": formats[self.random.below(6) as usize]}),
            _ => {
                let least = self.random.below(6);
                json!({"type": "string", "minLength": least, "maxLength": least + self.random.below(8)})
            }
        }
    }

    fn literal(&mut self) -> Value {
        let literals = [
            json!(null),
            json!(true),
            json!(-17),
            json!(2.5),
            json!("say \"hi\"\n"),
            json!("caf\u{e9} \\ \u{1f600}"),
            json!({"x": [1, {"y": null}]}),
            json!([]),
            json!("]|*"),
        ];
        literals[self.random.below(literals.len() as u64) as usize].clone()
    }

    fn array(&mut self, depth: u64, level: u64) -> Value {
        let least = self.random.below(2);
        let most = least + self.random.below(3);
        json!({"type": "array", "items": self.value(depth - 1, level), "minItems": least, "maxItems": most})
    }

    fn tuple(&mut self, depth: u64, level: u64) -> Value {
        json!({
            "type": "array",
            "prefixItems": [self.scalar(), self.value(depth - 1, level)],
            "items": false,
            "minItems": 2
        })
    }

    fn object(&mut self, depth: u64, level: u64) -> Value {
        let names = [
            "id",
            "name",
            "a b",
            "\"",
            "date_time",
            "char",
            "*",
            "na",
            "\u{e9}",
            "",
        ];
        let count = 1 + self.random.below(2 + level / 3);
        let mut properties = Map::new();
        let mut required = Vec::new();
        for _ in 0..count {
            let name = names[self.random.below(names.len() as u64) as usize];
            if properties.contains_key(name) {
                continue;
            }
            properties.insert(name.to_owned(), self.value(depth - 1, level));
            if self.one_in(2) {
                required.push(name);
            }
        }
        let mut object = json!({"type": "object", "properties": properties, "required": required});
        if self.one_in(2) {
            object["additionalProperties"] = false.into();
        }
        object
    }

    /// What is written once and meant twice.
    fn reference(&mut self, depth: u64, level: u64) -> Value {
        let name = format!("d {}", self.definitions.len());
        // Taken before it is drawn, so that one inside of it gets another name.
        self.definitions.insert(name.clone(), Value::Null);
        self.definitions[&name] = self.value(depth - 1, level);
        let reference = json!({"$ref": format!("#/$defs/{}", name.replace(' ', "%20"))});
        json!({"type": "object", "properties": {"one": reference, "two": reference}, "required": ["one"]})
    }

    /// A chain: every link may have another one, and few do at random.
    fn list(&mut self) -> Value {
        let name = format!("link{}", self.definitions.len());
        let reference = json!({"$ref": format!("#/$defs/{name}")});
        let link = json!({
            "type": "object",
            "properties": {"value": self.scalar(), "next": {"anyOf": [{"type": "null"}, reference]}},
            "required": ["value"],
            "additionalProperties": false
        });
        self.definitions.insert(name, link);
        reference
    }

    fn all_of(&mut self, depth: u64, level: u64) -> Value {
        let (first, second) = (self.value(depth - 1, level), self.scalar());
        json!({
            "allOf": [
                {"properties": {"first": first, "age": {"type": "integer", "minimum": 0}}, "required": ["age"]},
                {"type": "object", "properties": {"age": {"type": "number", "maximum": 150}, "second": second}}
            ]
        })
    }
}
