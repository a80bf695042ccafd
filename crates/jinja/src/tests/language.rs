//! Each construct of the language in small templates, against the texts that Jinja2 3.1.6 makes of them.

use serde_json::{Value as Json, json};

use super::MOMENT;
use crate::{Error, Limits, Template};

#[test]
fn constructs_render_as_jinja2_renders_them() {
    let file: Json = serde_json::from_str(include_str!("cases.json")).unwrap();
    let variables: Vec<(&str, &Json)> = file["variables"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (group, cases) in file["cases"].as_object().unwrap() {
        for case in cases.as_array().unwrap() {
            let source = case[0].as_str().unwrap();
            let got = Template::parse(source)
                .and_then(|template| template.render(&variables, MOMENT, &Limits::default()));
            compared += 1;
            let is_right = match (&got, case[1].as_str()) {
                (Ok(text), Some(wanted)) => text == wanted,
                (Err(Error::Limit(_)), None) => false,
                (Err(_), None) => true,
                _ => false,
            };
            if !is_right {
                wrong.push(format!(
                    "{group}: {source:?}\n  got    {got:?}\n  wanted {:?}",
                    case[1].as_str()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 150, "{compared} only");
}

#[test]
fn what_a_template_raises_comes_back_in_its_own_words() {
    let template = Template::parse("a\n{{ raise_exception('only ' ~ 2) }}").unwrap();
    let raised = template.render(&[], MOMENT, &Limits::default());
    assert_eq!(raised, Err(Error::Raised("only 2".into())));
}

#[test]
fn an_error_names_the_line_and_what_is_missing() {
    let template = Template::parse("a\n\n{{ messages[0].content.text }}").unwrap();
    let messages = json!([{"role": "user"}]);
    let failed = template.render(&[("messages", &messages)], MOMENT, &Limits::default());
    assert_eq!(
        failed.unwrap_err().to_string(),
        "line 3: 'dict object' has no attribute 'content'"
    );
    let broken = Template::parse("a\n{% if %}").map(|_| ()).unwrap_err();
    assert!(broken.to_string().starts_with("line 2: "), "{broken}");
}

#[test]
fn keys_keep_the_order_that_they_came_in() {
    let template = Template::parse("{{ tool | tojson }} {{ tool }}").unwrap();
    let tool = json!({"z": 1, "a": {"y": 2, "b": 3}});
    let text = template.render(&[("tool", &tool)], MOMENT, &Limits::default());
    assert_eq!(
        text.unwrap(),
        r#"{"z": 1, "a": {"y": 2, "b": 3}} {'z': 1, 'a': {'y': 2, 'b': 3}}"#
    );
}
