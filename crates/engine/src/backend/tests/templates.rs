//! Which chat template serves a loaded model, who hears of one that was passed over, and where answers end.

use serde_json::{Value, json};

use crate::backend::{Backend, Options, StatusKind};
use crate::error::{Error, Result};
use crate::llama::forge::Forge;

const OWN: &str = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";

/// Fails from its second turn on.
const FAILS_LATER: &str = "{% if messages | length > 1 %}{{ raise_exception('one turn only') }}{% endif %}{{ messages[0].content }}";

/// A file of a model with this template of its own.
fn file(name: &str, template: Option<&str>) -> std::path::PathBuf {
    let mut forge = Forge::model();
    if let Some(template) = template {
        forge.text("tokenizer.chat_template", template);
    }
    forge.write(name)
}

fn config(more: Value) -> Vec<u8> {
    let mut config = json!({
        "model": {"ctx_size": 512, "n_predict": 60, "threads": 1},
        "sampling": {"temp": 0},
        "logging": {"level": "none"},
    });
    for (key, value) in more.as_object().unwrap() {
        match (config.get_mut(key), value.as_object()) {
            (Some(section), Some(keys)) => {
                for (key, value) in keys {
                    section[key] = value.clone();
                }
            }
            _ => config[key] = value.clone(),
        }
    }
    config.to_string().into_bytes()
}

fn loaded(name: &str, template: Option<&str>, more: Value) -> Result<Backend> {
    let backend = Backend::open(Options::default())?;
    backend.load_file(&file(name, template), Some(&config(more)), None)?;
    Ok(backend)
}

/// Where the template is from, and what the notes say.
fn served(backend: &Backend) -> (String, String) {
    let status = backend.status(StatusKind::Model).unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    let origin = status["chat_template"].as_str().unwrap().to_owned();
    (origin, status["notes"].to_string())
}

#[test]
fn a_model_without_a_template_or_with_a_blank_one_is_served_by_chatml_with_a_note() {
    for (name, template) in [("none", None), ("empty", Some("")), ("blank", Some(" \n"))] {
        let backend = loaded(&format!("template-{name}"), template, json!({})).unwrap();
        let (origin, notes) = served(&backend);
        assert_eq!(origin, "fallback");
        assert!(notes.contains("brought no chat template"), "{notes}");
        let prompt = backend.apply_template(0, r#"[{"role":"user","content":"hi"}]"#, "", "");
        assert_eq!(
            prompt.unwrap(),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
        );
    }
}

#[test]
fn chatml_ends_at_its_end_text_where_that_is_no_token() {
    // Greedy noise under a grammar: the model cannot but write the end of ChatML.
    let grammar = json!({"sampling": {"grammar": "root ::= \"hi<|im_end|>more\""}});
    let answer = |name, template| {
        let backend = loaded(name, template, grammar.clone()).unwrap();
        let context = backend.open_context(0).unwrap().0;
        let answer = backend.run(context, "abc".into(), &mut || None, None);
        answer.unwrap().to_string()
    };
    assert_eq!(answer("template-ends", None), "hi");
    // A template of the model's own says itself how answers end.
    assert_eq!(answer("template-goes-on", Some(OWN)), "hi<|im_end|>more");
}

#[test]
fn strict_refuses_what_would_be_passed_over() {
    for (name, own, set, part) in [
        ("unknown", Some(OWN), json!("llama33"), "llama33"),
        ("gone", Some(OWN), json!("/no/such.jinja"), "/no/such.jinja"),
        (
            "silent",
            Some(OWN),
            json!("{{ 'x' }}"),
            "what the user says",
        ),
        ("later", Some(FAILS_LATER), Value::Null, "one turn only"),
        ("broken", Some("{% for %}"), Value::Null, "line 1"),
    ] {
        let model = match &set {
            Value::Null => json!({}),
            set => json!({"chat_template": set}),
        };
        let backend = loaded(&format!("lenient-{name}"), own, json!({"model": model}));
        let (origin, notes) = served(&backend.unwrap());
        assert!(
            notes.contains(part) && notes.contains("passed over"),
            "{notes}"
        );
        let expected = if set.is_null() { "fallback" } else { "model" };
        assert_eq!(origin, expected, "{name}");
        let strict = json!({"model": model, "strict": true});
        let Err(Error::Load(text)) = loaded(&format!("strict-{name}"), own, strict) else {
            panic!("{name} is accepted under strict");
        };
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_swap_sees_a_template_that_is_passed_over() {
    let backend = loaded("swap-from", Some(OWN), json!({})).unwrap();
    let next = file("swap-to", Some(FAILS_LATER));
    let report = backend.compare_file(0, &next, Some(&config(json!({}))));
    let report: Value = serde_json::from_str(&report.unwrap()).unwrap();
    let objections = report["comparison"]["objections"].to_string();
    assert!(objections.contains("one turn only"), "{report}");
    let refusing = config(json!({"backend": {"swap_compatibility": "refuse"}}));
    let Err(Error::Load(text)) = backend.swap(0, &next, Some(&refusing), None) else {
        panic!("the swap is accepted");
    };
    assert!(text.contains("swap_compatibility refuses"), "{text}");
    assert!(text.contains("one turn only"), "{text}");
    assert_eq!(served(&backend).0, "model");
}

#[test]
fn a_hostile_template_of_a_file_ends_the_template_and_not_the_load() {
    let doubling = "{% set ns = namespace(s='aaaaaaaaaa') %}{% for i in range(40) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ messages[0].content }}";
    let backend = loaded("template-hostile", Some(doubling), json!({})).unwrap();
    let (origin, notes) = served(&backend);
    assert_eq!(origin, "fallback");
    assert!(notes.contains("too much memory"), "{notes}");
}

#[test]
fn a_named_model_makes_prompts_too() {
    let backend = loaded("template-default", Some(OWN), json!({})).unwrap();
    let said = r#"[{"role":"user","content":"hi"}]"#;
    let prompt = backend.apply_template_of(Some("default"), said, "", "");
    assert_eq!(prompt.unwrap(), "<user>hi");
    assert_eq!(
        backend.apply_template_of(None, said, "", "").unwrap(),
        "<user>hi"
    );
    assert!(
        backend
            .apply_template_of(Some("other"), said, "", "")
            .is_err()
    );
    assert!(matches!(
        backend.apply_template(0, "{}", "", ""),
        Err(Error::InvalidArgument(_))
    ));
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was skipped says so")]
fn templates_of_real_models_serve_under_strict() {
    let Some(folder) = std::env::var_os("WASI_NN_TEST_MODELS") else {
        eprintln!("skipped: WASI_NN_TEST_MODELS names no folder with real models");
        return;
    };
    // The second one brings no template.
    for (name, origin) in [
        ("smollm2-135m-instruct-q4_1.gguf", "model"),
        ("gemma-3-270m-q4_k_m.gguf", "fallback"),
    ] {
        let path = std::path::Path::new(&folder).join(name);
        if !path.exists() {
            eprintln!("skipped: there is no {name}");
            continue;
        }
        let backend = Backend::open(Options::default()).unwrap();
        let strict = config(json!({"strict": true}));
        backend.load_file(&path, Some(&strict), None).unwrap();
        assert_eq!(served(&backend).0, origin, "{name}");
        let said = r#"[{"role":"system","content":"frame"},{"role":"user","content":"hi"}]"#;
        let prompt = backend.apply_template(0, said, "", "").unwrap();
        assert!(
            prompt.contains("frame") && prompt.contains("hi"),
            "{prompt}"
        );
    }
}
