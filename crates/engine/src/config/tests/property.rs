//! Nothing that a host can write panics, and what is said of it is well-formed.

use super::*;
use proptest::prelude::*;
use serde_json::Number;

/// A name that is mostly a known one, in some spelling.
fn name() -> impl Strategy<Value = String> {
    let mut names = vec!["runtime".to_owned(), "memory_policy".into()];
    for section in sections() {
        names.push(section.name.into());
        for key in section.keys() {
            names.extend(key.spellings(Door::Load).iter().map(|name| (*name).into()));
            if let Kind::Object { keys, .. } = key.kind {
                names.extend(keys.iter().map(|key| key.name.into()));
            }
        }
    }
    let known = prop::sample::select(names);
    prop_oneof![
        4 => known.clone(),
        1 => known.clone().prop_map(|name| name.replace('_', "-")),
        1 => known.prop_map(|name| name.to_uppercase()),
        1 => any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-2_i64..200).prop_map(Value::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::Number)),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec!["auto", "lru", "debug", "shift", "top_k", "{}", ""])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            object(inner).boxed(),
        ]
    })
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((name(), inner), 0..8)
        .prop_map(|entries| Value::Object(entries.into_iter().collect()))
}

fn sections_of(door: Door) -> impl Strategy<Value = RawConfig> {
    object(value()).prop_map(move |root| {
        let text = root.to_string();
        // A call's text of more than 1 MiB cannot come out of these sizes.
        RawConfig::parse(door, text.as_bytes()).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        for door in [Door::Init, Door::Load, Door::Run] {
            let _ = RawConfig::parse(door, &bytes);
        }
    }

    #[test]
    fn arbitrary_text_in_braces_never_panics(text in "\\{[\\[\\]{}\",:\\\\0-9a-f eE.+-]{0,64}") {
        for door in [Door::Init, Door::Load, Door::Run] {
            let _ = RawConfig::parse(door, text.as_bytes());
        }
    }

    #[test]
    fn our_reader_and_the_librarys_agree_on_what_is_an_object(text in any::<String>()) {
        let theirs = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object());
        prop_assert_eq!(RawConfig::parse(Door::Run, text.as_bytes()).is_ok(), theirs);
    }

    #[test]
    fn arbitrary_objects_never_panic_and_leave_every_setting_in_range(
        init in sections_of(Door::Init),
        load in sections_of(Door::Load),
        call in sections_of(Door::Run),
    ) {
        let (config, mut findings) = Config::from_layers(&[(Door::Init, &init), (Door::Load, &load)]);
        let (settings, more) = config.for_call(Some(&call));
        findings.extend(more);
        for finding in &findings {
            prop_assert!(finding.message.starts_with(&finding.path));
            prop_assert_eq!(&finding.to_json()["code"], finding.code.as_str());
        }
        let backend = &config.backend;
        prop_assert!(backend.queue_warning_threshold <= backend.queue_reject_threshold);
        prop_assert!(backend.queue_reject_threshold <= backend.queue_size);
        prop_assert!((1..=4096).contains(&backend.max_concurrent));
        prop_assert!(config.model.ubatch_size <= config.model.batch_size);
        let sampling = &settings.sampling;
        prop_assert!((0.0..=100.0).contains(&sampling.temp) && sampling.mirostat <= 2);
        prop_assert!(sampling.grammar.is_none() || sampling.json_schema.is_none());
        prop_assert!(settings.stopping.max_tokens.is_some());
        prop_assert!(settings.stopping.stop.len() <= 64);
        prop_assert!(settings.stopping.grammar_triggers.len() <= 64);
        let is_constrained = sampling.grammar.is_some() || sampling.json_schema.is_some();
        let has_triggers = !settings.stopping.grammar_triggers.is_empty();
        prop_assert!(!(is_constrained && sampling.grammar_lazy) || has_triggers);
        let guard = &settings.stopping.repetition_guard;
        prop_assert!(guard.min_pattern_tokens <= guard.max_pattern_tokens);
        if let Some(limit) = &settings.stopping.timeout_config {
            prop_assert!(limit.min_timeout <= limit.max_inference_time);
        }
    }
}
