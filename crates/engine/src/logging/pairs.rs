//! The pairs of names and values that a line carries beside its message.

use log::kv::{Error, Key, Value as Given, VisitSource, VisitValue};
use serde_json::Value;

/// What a structured line says of itself; no pair has such a name.
const FIXED: [&str; 5] = ["level", "category", "tag", "message", "time"];

/// The pairs of one record, in their order.
#[derive(Debug, Default)]
pub struct Pairs {
    /// What the line belongs to beside its category: `MEM`, `TASK`, and so on.
    pub tag: Option<String>,
    /// The others. Of two with one name there is the first; one without a value is not there.
    pub others: Vec<(String, Value)>,
}

impl Pairs {
    /// Takes the pairs of a record.
    pub fn of(record: &log::Record<'_>) -> Pairs {
        let mut pairs = Pairs::default();
        // Nothing here answers with an error.
        drop(record.key_values().visit(&mut pairs));
        pairs
    }
}

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, given: Given<'kvs>) -> Result<(), Error> {
        let mut value = Json(Value::Null);
        given.visit(&mut value)?;
        let name = key.as_str();
        match value.0 {
            Value::Null => {}
            Value::String(tag) if name == "tag" && is_tag(&tag) => {
                self.tag.get_or_insert(tag);
            }
            value => {
                let is_taken = FIXED.contains(&name) || self.others.iter().any(|(n, _)| n == name);
                if !is_taken {
                    self.others.push((name.to_owned(), value));
                }
            }
        }
        Ok(())
    }
}

/// Whether the text can stand in brackets before a message.
fn is_tag(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// A value with its own type.
struct Json(Value);

impl<'v> VisitValue<'v> for Json {
    fn visit_any(&mut self, value: Given<'_>) -> Result<(), Error> {
        self.0 = value.to_string().into();
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), Error> {
        self.0 = Value::Null;
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), Error> {
        self.0 = value.into();
        Ok(())
    }
}
