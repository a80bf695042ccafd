//! Where settings go: sections of the engine's configuration of a load and of a call, in canonical form.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Where the value of a key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Section and key of a load.
    Load(&'static str, &'static str),
    /// Section and key of each call. An empty section is the root.
    Call(&'static str, &'static str),
    /// Nowhere as it is: `settle` combines it with others, or it is an option of the plugin.
    Own,
}

/// One configuration of the engine while it is put together. Sorted, since the bytes of it are compared.
#[derive(Debug, Default)]
pub(super) struct Document {
    root: BTreeMap<String, Value>,
    sections: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Document {
    /// Sets `key` in `section`, or at the root where that is empty. Null leaves it unsaid.
    pub(super) fn set(&mut self, section: &str, key: &str, value: Value) {
        let group = match section {
            "" => &mut self.root,
            _ => self.sections.entry(section.to_owned()).or_default(),
        };
        match value {
            Value::Null => group.remove(key),
            value => group.insert(key.to_owned(), value),
        };
    }

    /// The document with `strict` set: all in it was checked, so whatever the engine finds is a refusal.
    pub(super) fn finish(self) -> Value {
        let mut root = self.root;
        for (name, section) in self.sections {
            if !section.is_empty() {
                root.insert(name, Value::Object(section.into_iter().collect()));
            }
        }
        root.insert("strict".to_owned(), true.into());
        Value::Object(root.into_iter().collect())
    }
}

/// `value` with sorted keys, and with integers for numbers that are whole.
pub(super) fn canonical(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<String, Value> = object.into_iter().collect();
            let entries = sorted
                .into_iter()
                .map(|(key, value)| (key, canonical(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if is_small_whole(float) => (float as i64).into(),
            _ => Value::Number(number),
        },
        other => other,
    }
}

/// Whether `float` is an integer that a float holds exactly.
fn is_small_whole(float: f64) -> bool {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    float.fract() == 0.0 && float.abs() < EXACT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_meaning_has_one_canonical_text() {
        let check = |text: &str, expect: &str| {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(canonical(value).to_string(), expect);
        };
        check(
            r#"{"b":{"z":1,"a":[{"d":2.0,"c":-0.0}]},"a":1e3}"#,
            r#"{"a":1000,"b":{"a":[{"c":0,"d":2}],"z":1}}"#,
        );
        check(
            "[0.5, 1e300, 9007199254740993, \"1.0\", true]",
            r#"[0.5,1e+300,9007199254740993,"1.0",true]"#,
        );
    }
}
