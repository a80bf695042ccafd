//! Templates of real models against what Jinja2 makes of them, where the folder with both is there.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value as Json, json};

use super::MOMENT;
use crate::{Limits, Template};

#[test]
#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn templates_of_real_models_render_as_jinja2_renders_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/templates");
    let Ok(expected) = std::fs::read_to_string(folder.join("expected.json")) else {
        eprintln!("skipped: there is no folder with templates of real models");
        return;
    };
    let expected: Json = serde_json::from_str(&expected).unwrap();
    let mut wrong = BTreeMap::new();
    let mut compared = 0;
    for (file, shapes) in expected["templates"].as_object().unwrap() {
        let source = std::fs::read_to_string(folder.join(file)).unwrap();
        for (shape, wanted) in shapes.as_object().unwrap() {
            compared += 1;
            let input = &ordered(&expected["shapes"][shape]);
            let got = Template::parse(&source).and_then(|template| {
                template.render(&variables(input), MOMENT, &Limits::default())
            });
            let is_right = match (&got, wanted["ok"].as_str()) {
                (Ok(text), Some(wanted)) => text == wanted,
                (Err(_), None) => true,
                _ => false,
            };
            if !is_right {
                wrong.insert(format!("{file}: {shape}"), (got, wanted.clone()));
            }
        }
    }
    let templates = expected["templates"].as_object().unwrap().len();
    eprintln!("{templates} templates, {compared} texts compared");
    for (what, (got, wanted)) in wrong.iter().take(8) {
        eprintln!("{what}\n  got    {got:?}\n  wanted {wanted}");
    }
    assert!(wrong.is_empty(), "{} of {compared} differ", wrong.len());
    assert!(compared >= 165 * 11, "{compared} only");
}

/// The order of keys that the texts were rendered with; the file has them by name.
const ORDER: [&str; 15] = [
    "role",
    "id",
    "type",
    "function",
    "name",
    "tool_call_id",
    "description",
    "content",
    "tool_calls",
    "arguments",
    "parameters",
    "properties",
    "place",
    "days",
    "required",
];

fn ordered(json: &Json) -> Json {
    match json {
        Json::Array(items) => items.iter().map(ordered).collect(),
        Json::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| ORDER.iter().position(|own| own == key));
            let entries = entries.into_iter();
            Json::Object(
                entries
                    .map(|(key, value)| (key.clone(), ordered(value)))
                    .collect(),
            )
        }
        other => other.clone(),
    }
}

/// What the expected texts were rendered with.
fn variables(shape: &Json) -> Vec<(&str, &Json)> {
    static FIXED: std::sync::LazyLock<Vec<(&str, Json)>> = std::sync::LazyLock::new(|| {
        vec![
            ("tools", Json::Null),
            ("documents", Json::Null),
            ("add_generation_prompt", json!(true)),
            ("bos_token", json!("<s>")),
            ("eos_token", json!("</s>")),
            ("unk_token", json!("<unk>")),
            ("pad_token", json!("<pad>")),
        ]
    });
    let own = shape.as_object().unwrap();
    FIXED
        .iter()
        .filter(|(name, _)| !own.contains_key(*name))
        .map(|(name, value)| (*name, value))
        .chain(own.iter().map(|(name, value)| (name.as_str(), value)))
        .collect()
}
