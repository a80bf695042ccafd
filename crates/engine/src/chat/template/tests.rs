//! Templates of all sorts, and which of them serve.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use super::*;
use proptest::prelude::*;

fn special() -> SpecialTexts {
    SpecialTexts {
        bos: "<s>".into(),
        eos: "</s>".into(),
        control: vec!["<s>".into(), "</s>".into(), "<|im_end|>".into()],
    }
}

fn template(source: &str) -> Template {
    let (template, warning) = Template::new(Some(source), None, special()).unwrap();
    assert_eq!(warning, None);
    template
}

fn joined(segments: &[Segment]) -> String {
    segments.iter().map(Segment::text).collect()
}

fn chat(texts: &[(Role, &str)]) -> Vec<Message> {
    texts.iter().map(|(r, t)| Message::new(*r, t)).collect()
}

#[test]
fn chatml_puts_content_between_its_marks() {
    let segments = template("chatml")
        .render(&chat(&[(Role::System, "be kind"), (Role::User, "hi")]))
        .unwrap();
    assert_eq!(
        joined(&segments),
        "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    );
    assert_eq!(
        segments[3],
        Segment::Content {
            message: 1,
            text: "hi".into()
        }
    );
}

#[test]
fn a_prefix_ends_before_the_opening_of_an_answer() {
    let t = template("chatml");
    let said = chat(&[(Role::User, "hi")]);
    let prefix = t.render_prefix(&said, false).unwrap();
    assert_eq!(prefix, "<|im_start|>user\nhi<|im_end|>\n");
    let whole = t.render_prefix(&said, true).unwrap();
    assert_eq!(whole.strip_prefix(&prefix), Some("<|im_start|>assistant\n"));
}

#[test]
fn a_template_that_trims_keeps_its_borders() {
    let t = template(
        "{% for m in messages %}[{{ m.role }}]{{ m['content'] | trim }}{{ eos_token }}{% endfor %}",
    );
    let segments = t.render(&chat(&[(Role::User, "  hi </s> ")])).unwrap();
    assert_eq!(joined(&segments), "[user]hi </s></s>");
    assert!(segments.contains(&Segment::Content {
        message: 0,
        text: "hi </s>".into()
    }));
}

#[test]
fn where_borders_are_lost_special_texts_in_content_are_broken() {
    let t = template(
        "{% for m in messages %}{{ m.content | replace('%', 'b') }}{{ eos_token }}{% endfor %}",
    );
    let segments = t.render(&chat(&[(Role::User, "%</s>%")])).unwrap();
    // The end of what the message has become is known, its text is not: it stands in front of the border.
    let border = Segment::Content {
        message: 0,
        text: String::new(),
    };
    let text = |text: &str| Segment::Template(text.into());
    assert_eq!(segments, [text("b<\u{200d}/s>b"), border, text("</s>")]);
}

#[test]
fn a_system_message_survives_a_template_without_one() {
    for source in [
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
    ] {
        let segments = template(source)
            .render(&chat(&[(Role::System, "frame"), (Role::User, "hi")]))
            .unwrap();
        assert_eq!(joined(&segments), "frame\n\nhi");
    }
}

#[test]
fn a_template_that_does_not_compile_falls_back_with_a_reason() {
    let (t, warning) = Template::new(None, Some("{% for %}"), special()).unwrap();
    assert_eq!(t.origin(), Origin::Fallback);
    assert!(warning.unwrap().starts_with("chat template passed over"));
}

#[test]
fn a_refusal_carries_the_templates_reason() {
    let t = template(
        "{% for m in messages %}{% if m.content == 'a' %}{{ raise_exception('no a') }}{% endif %}{{ m.content }}{% endfor %}",
    );
    let error = t
        .render(&chat(&[(Role::User, "a"), (Role::Assistant, "b")]))
        .unwrap_err();
    assert!(error.to_string().contains("no a"), "{error}");
}

#[test]
fn an_endless_template_ends() {
    let endless =
        "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}";
    let (t, warning) = Template::new(Some(endless), None, special()).unwrap();
    assert_eq!(t.origin(), Origin::Fallback);
    assert!(warning.is_some());
}

#[test]
fn python_methods_and_json_separators_work() {
    let t = template(
        "{{ messages[-1].content.strip().removeprefix('_') }} {{ {'b': [1, 2], 'a': none} | tojson }}",
    );
    let segments = t.render(&chat(&[(Role::User, " _x ")])).unwrap();
    assert_eq!(joined(&segments), r#"x {"b": [1, 2], "a": null}"#);
}

proptest! {
    #[test]
    fn any_content_comes_back_whole_between_its_borders(contents in prop::collection::vec(".{0,20}", 1..5)) {
        let messages: Vec<Message> = contents.iter().map(|c| Message::new(Role::User, c)).collect();
        let segments = template("chatml").render(&messages).unwrap();
        let found: Vec<&str> = segments.iter().filter_map(|s| match s {
            Segment::Content { text, .. } => Some(text.as_str()),
            Segment::Template(_) => None,
        }).collect();
        prop_assert_eq!(found, contents.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// What serves where `configured` is set and the model brings `model`.
fn chosen(configured: Option<&str>, model: Option<&str>) -> Choice {
    Choice::of(configured, model, &special()).unwrap()
}

const OWN: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";

#[test]
fn names_of_known_formats_work_in_any_case() {
    for (name, text) in [
        (
            "ChatML",
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
        ),
        (
            "llama3",
            "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        (
            " GEMMA ",
            "<start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n",
        ),
        ("Raw", "hi"),
    ] {
        let choice = chosen(Some(name), Some(OWN));
        assert_eq!(choice.passed_over, None);
        assert_eq!(choice.template.origin(), Origin::Configured);
        let segments = choice
            .template
            .render(&chat(&[(Role::User, "hi")]))
            .unwrap();
        assert_eq!(joined(&segments), text, "{name}");
        let content = Segment::Content {
            message: 0,
            text: "hi".into(),
        };
        assert!(segments.contains(&content), "{name}");
    }
}

#[test]
fn every_known_format_serves_a_conversation_with_safe_borders() {
    for name in crate::llama::format::names() {
        let choice = chosen(Some(&name), None);
        assert_eq!(choice.passed_over, None, "{name}");
        let said = chat(&[
            (Role::System, "frame"),
            (Role::User, "q </s>"),
            (Role::Assistant, "a"),
            (Role::User, "next"),
        ]);
        let segments = choice.template.render(&said).unwrap();
        let contents: String = segments
            .iter()
            .filter(|s| matches!(s, Segment::Content { .. }))
            .map(Segment::text)
            .collect();
        let is_safe = contents.contains("q </s>") || !joined(&segments).contains("q </s>");
        assert!(is_safe, "{name}: {segments:?}");
        assert!(joined(&segments).contains("frame"), "{name}: {segments:?}");
    }
}

#[test]
fn a_path_loads_the_file_and_a_bad_one_is_passed_over() {
    let path = std::env::temp_dir().join(format!("chat-template-{}.jinja", std::process::id()));
    std::fs::write(&path, OWN).unwrap();
    let choice = chosen(path.to_str(), None);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(choice.passed_over, None);
    assert_eq!(choice.template.source(), OWN);
    let gone = chosen(path.to_str(), Some(OWN));
    assert_eq!(gone.template.origin(), Origin::Model);
    assert!(gone.passed_over.unwrap().contains("chat-template-"));
}

#[test]
fn what_is_neither_name_nor_path_nor_template_is_passed_over_by_name() {
    for setting in ["llama33", "Hello, world", "You are {a}"] {
        let choice = chosen(Some(setting), None);
        assert_eq!(choice.template.origin(), Origin::Fallback);
        let reason = choice.passed_over.unwrap();
        assert!(
            reason.contains(setting) && reason.contains("llama3"),
            "{reason}"
        );
    }
    // A model's own template is no name and no path.
    for own in ["llama3", "/etc/hostname"] {
        let choice = chosen(None, Some(own));
        assert_eq!(choice.template.origin(), Origin::Fallback);
        assert!(choice.passed_over.is_some());
    }
}

#[test]
fn a_template_that_leaves_out_what_the_user_says_never_serves() {
    for source in [
        "{{ 'a fixed text' }}",
        "{% for m in messages %}{{ m.role }}{% endfor %}",
        "{{ messages[0].content }}",
        "{% for m in messages %}{% if loop.index < 3 %}{{ m.content }}{% endif %}{% endfor %}",
        "{{ messages[0].content[:4] }}",
    ] {
        for choice in [chosen(Some(source), None), chosen(None, Some(source))] {
            assert_eq!(choice.template.origin(), Origin::Fallback, "{source}");
            let reason = choice.passed_over.unwrap();
            assert!(reason.contains("what the user says"), "{source}: {reason}");
        }
    }
}

#[test]
fn blank_templates_are_absent_ones() {
    for blank in ["", " ", "\n\t"] {
        let choice = chosen(None, Some(blank));
        assert_eq!(choice.template.origin(), Origin::Fallback);
        assert!(choice.is_absent);
        assert!(choice.note().unwrap().contains("brought no chat template"));
        let choice = chosen(Some(blank), Some(OWN));
        assert_eq!(choice.template.origin(), Origin::Model);
        assert_eq!(choice.note(), None);
    }
}

#[test]
fn a_template_that_fails_at_a_later_turn_is_passed_over() {
    for limit in [1, 3] {
        let source = format!(
            "{{% if messages | length > {limit} %}}{{{{ raise_exception('too many') }}}}{{% endif %}}{OWN}"
        );
        let choice = chosen(None, Some(&source));
        assert_eq!(choice.template.origin(), Origin::Fallback);
        assert!(choice.passed_over.unwrap().contains("too many"));
    }
}

#[test]
fn the_rehearsal_tells_what_a_template_does_with_answers() {
    let refuses = "{% for m in messages %}{% if not m.content or '<think>' in m.content %}{{ raise_exception('bad') }}{% endif %}{{ m.content }}{% endfor %}<think>\n";
    let traits = chosen(None, Some(refuses)).template.traits();
    assert!(traits.refuses_empty_answers && traits.refuses_thoughts && traits.opens_thought);
    let traits = chosen(None, Some(OWN)).template.traits();
    assert!(!traits.refuses_empty_answers && !traits.refuses_thoughts && !traits.opens_thought);
}

#[test]
fn a_template_that_reads_parts_only_gets_them() {
    let source =
        "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}";
    let choice = chosen(None, Some(source));
    assert_eq!(choice.template.origin(), Origin::Model);
    let text = choice
        .template
        .render_prefix(&chat(&[(Role::User, "hi")]), true);
    assert_eq!(text.unwrap(), "hi");
}

#[test]
fn hostile_templates_of_models_are_passed_over() {
    for source in [
        "{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ messages[0].content }}",
        "{{ '{:>9999999999}'.format('x') }}",
        "{{ messages[0].content | indent(100000000) }}",
    ] {
        let choice = chosen(None, Some(source));
        assert_eq!(choice.template.origin(), Origin::Fallback);
        let reason = choice.passed_over.unwrap();
        assert!(reason.contains("too much memory"), "{reason}");
    }
}

#[test]
fn a_format_that_the_model_did_not_bring_tells_how_answers_end() {
    let end = |configured: Option<&str>, model| chosen(configured, model).template.foreign_end();
    assert_eq!(end(None, None).as_deref(), Some("<|im_end|>"));
    assert_eq!(end(Some("llama3"), None).as_deref(), Some("<|eot_id|>"));
    assert_eq!(end(Some("gemma"), None).as_deref(), Some("<end_of_turn>"));
    assert_eq!(end(Some("raw"), None), None);
    assert_eq!(end(None, Some(OWN)), None);
}

#[test]
fn thoughts_go_by_both_names_and_tools_are_none() {
    let source = "{% for m in messages %}{{ m.content }}{% if m.thinking %}({{ m.thinking }}|{{ m.reasoning_content }}){% endif %}{% endfor %}{{ tools is none }}{{ tools is defined }}";
    let template = chosen(None, Some(source)).template;
    let mut said = chat(&[(Role::User, "q"), (Role::Assistant, "a"), (Role::User, "r")]);
    said[1].reasoning = Some("hm".into());
    let text = template.render_prefix(&said, true).unwrap();
    assert_eq!(text, "qa(hm|hm)rTrueTrue");
    said[1].reasoning = Some("a</s>".into());
    let text = joined(&template.render(&said).unwrap());
    assert!(!text.contains("</s>") && text.contains("/s>"), "{text}");
}

fn applied(source: &str, messages: &str, tools: &str, options: &str) -> Result<String> {
    let template = chosen(None, Some(source)).template;
    assert_eq!(template.origin(), Origin::Model, "{source}");
    template.apply(&Document::read(messages, tools, options)?)
}

#[test]
fn a_document_brings_tools_options_and_the_order_of_its_keys() {
    let source = "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls[0].function.arguments | tojson }}{% endif %};{% endfor %}{% if add_generation_prompt %}>{% endif %}{{ enable_thinking }}{{ tool_choice }}{{ extra }}";
    let text = applied(
        source,
        r#"[{"role":"user","content":"hi"},{"role":"assistant","content":"","tool_calls":[{"function":{"arguments":{"z":1,"a":2}}}]},{"role":"tool","content":"rain"}]"#,
        r#"[{"type":"function","function":{"name":"f","description":"d"}}]"#,
        r#"{"enable_thinking":false,"tool_choice":"auto","chat_template_kwargs":{"extra":7}}"#,
    );
    assert_eq!(
        text.unwrap(),
        r#"[{"type": "function", "function": {"name": "f", "description": "d"}}]user:hi;assistant:{"z": 1, "a": 2};tool:rain;>Falseauto7"#
    );
    let text = applied(
        source,
        r#"[{"role":"user","content":"hi"}]"#,
        "",
        r#"{"add_generation_prompt":false}"#,
    );
    assert_eq!(text.unwrap(), "user:hi;");
}

#[test]
fn contents_of_a_document_come_in_the_shape_that_the_template_reads() {
    let parts =
        r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#;
    assert_eq!(applied(OWN, parts, "", "").unwrap(), "<user>a\nb");
    let reads = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}{% endfor %}";
    assert_eq!(applied(reads, parts, "", "").unwrap(), "[a][b]");
    let joins = "{% for m in messages %}{{ '<' + m.content + '>' }}{% endfor %}";
    let null = r#"[{"role":"user","content":"q"},{"role":"assistant","content":null}]"#;
    assert_eq!(applied(joins, null, "", "").unwrap(), "<q><>");
}

#[test]
fn what_is_no_conversation_is_refused_by_name() {
    for (messages, tools, options, part) in [
        ("{}", "", "", "messages"),
        ("[1]", "", "", "messages"),
        (r#"[{"content":"a"}]"#, "", "", "role"),
        (r#"[{"role":"user","content":5}]"#, "", "", "content"),
        ("[]", "{}", "", "tools"),
        ("[]", "", "[]", "options"),
        ("[]", "", r#"{"messages":[]}"#, "'messages'"),
        (
            "[]",
            "",
            r#"{"add_generation_prompt":1}"#,
            "add_generation_prompt",
        ),
        (
            "[]",
            "",
            r#"{"chat_template_kwargs":1}"#,
            "chat_template_kwargs",
        ),
        ("[", "", "", "messages"),
    ] {
        let error = Document::read(messages, tools, options).unwrap_err();
        assert!(matches!(error, crate::error::Error::InvalidArgument(_)));
        assert!(error.to_string().contains(part), "{error}");
    }
}
