//! Models whose memory is not like the pocket model's: sliding windows, recurrent states, both kinds of layers.
//!
//! Their weights are random, so what they say is noise; but greedy noise is the same noise only if every token looked back
//! on what it should. Each conversation is therefore compared with one of which nothing is ever kept.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod images;
mod templates;
mod waking;

use serde_json::{Value, json};

use super::{Backend, Options, StatusKind};
use crate::llama::forge::{Forge, WINDOW};

const SAID: [&str; 5] = ["hello there", "abc", "how are you", "the end is near", "x"];

/// A backend with a forged model and `more` in its configuration.
fn backend(forge: &Forge, name: &str, more: Value) -> Backend {
    let mut config = json!({
        "model": {"ctx_size": 512, "n_predict": 8, "threads": 1, "chat_template": "chatml"},
        "sampling": {"temp": 0, "repeat_penalty": 1.0},
        "stopping": {"ignore_eos": true},
        "performance": {"n_parallel": 2},
        "logging": {"level": "none"},
    });
    for (section, keys) in more.as_object().unwrap() {
        if config[section].is_null() {
            config[section] = json!({});
        }
        for (key, value) in keys.as_object().unwrap() {
            config[section][key] = value.clone();
        }
    }
    let backend = Backend::open(Options::default()).unwrap();
    let path = forge.write(name);
    backend
        .load_file(&path, Some(config.to_string().as_bytes()), None)
        .unwrap();
    backend
}

fn say(backend: &Backend, context: u32, text: &str) -> String {
    let answer = backend.run(context, text.to_owned(), &mut || None, None);
    answer.unwrap().to_string()
}

fn memory(backend: &Backend) -> Value {
    serde_json::from_str(&backend.status(StatusKind::Memory).unwrap()).unwrap()
}

/// What a conversation gets answered while others push its cells out; every turn, once with nothing kept.
fn talk(backend: &Backend, turns: usize, others: bool) -> Vec<String> {
    let open = || backend.open_context(0).unwrap().0;
    let context = open();
    let crowd = [open(), open(), open()];
    let mut answers = Vec::new();
    for text in SAID.iter().cycle().take(turns) {
        answers.push(say(backend, context, text));
        for (other, own) in crowd.iter().zip(["qq", "ww", "zz"]).filter(|_| others) {
            // Nobody begins as another one does.
            say(backend, *other, &format!("{own} {text}"));
        }
    }
    answers
}

/// The kinds of models, with what their status says of them.
fn kinds() -> [(&'static str, Forge, &'static str); 4] {
    [
        ("plain", Forge::model(), "anywhere"),
        ("window", Forge::sliding_window(), "anywhere"),
        ("recurrent", Forge::recurrent(), "wholeonly"),
        ("hybrid", Forge::hybrid(), "wholeonly"),
    ]
}

#[test]
fn whatever_kind_of_memory_conversations_go_on_as_if_nothing_had_been_kept() {
    for (name, forge, removal) in kinds() {
        for kv_mode in ["unified", "split"] {
            let file = format!("kept-{name}-{kv_mode}.gguf");
            let kept = backend(&forge, &file, json!({"performance": {"kv_mode": kv_mode}}));
            let fresh = backend(
                &forge,
                &file,
                json!({
                    "performance": {"kv_mode": kv_mode},
                    "memory": {"cache_prompt": false, "enable_token_cache_reuse": false},
                }),
            );
            let model: Value =
                serde_json::from_str(&kept.status(StatusKind::Model).unwrap()).unwrap();
            assert_eq!(model["removal"], removal, "{name}");
            let window = if name == "window" { WINDOW } else { 0 };
            assert_eq!(model["sliding_window"], window, "{name}");
            let what = || format!("{name}, {kv_mode}: {}", memory(&kept));
            // Long enough that a window of 16 tokens has long passed.
            let expect = talk(&fresh, 7, false);
            assert_eq!(memory(&fresh)["hits"]["pool"], 0);
            assert_eq!(talk(&kept, 7, false), expect, "{}", what());
            assert!(
                memory(&kept)["hits"]["pool"].as_u64() > Some(3),
                "{}",
                what()
            );
            assert_eq!(talk(&kept, 7, true), expect, "{}", what());
            assert!(
                memory(&kept)["hits"]["ram"].as_u64() > Some(3),
                "{}",
                what()
            );
        }
    }
}

#[test]
fn whatever_kind_of_memory_a_full_context_drops_old_turns() {
    for (name, forge, _) in kinds() {
        let backend = backend(
            &forge,
            &format!("full-{name}.gguf"),
            json!({"model": {"ctx_size": 256}, "memory": {"n_keep_tokens": 0}}),
        );
        talk(&backend, 40, false);
        assert!(memory(&backend)["accounting_errors"] == 0, "{name}");
    }
}

#[test]
fn whatever_kind_of_memory_a_turn_that_is_cancelled_leaves_no_trace() {
    for (name, forge, _) in kinds() {
        let file = format!("cancelled-{name}.gguf");
        let [cancelled, clean] = [(); 2].map(|()| backend(&forge, &file, json!({})));
        let talk = |backend: &Backend, fails: bool| {
            let context = backend.open_context(0).unwrap().0;
            say(backend, context, "hello there");
            if fails {
                let call = br#"{"stopping": {"max_time_ms": 1}, "temp": 7}"#;
                // Whether it is over in time or not, it is not part of what follows.
                drop(backend.run(
                    context,
                    "never said".into(),
                    &mut || Some(call.to_vec()),
                    None,
                ));
                backend.remove_turns(context, 1, 1).ok();
            }
            [say(backend, context, "abc"), say(backend, context, "x")]
        };
        assert_eq!(talk(&cancelled, true), talk(&clean, false), "{name}");
    }
}

#[test]
fn cells_of_every_type_hold_a_conversation() {
    // Heads of 32, as quantised cells need.
    let forge = Forge::sliding_window();
    for (keys, values) in [
        ("f16", "f16"),
        ("bf16", "bf16"),
        ("q8_0", "q8_0"),
        ("q8_0", "f16"),
        ("q4_0", "q4_0"),
        ("f32", "f32"),
    ] {
        let file = format!("types-{keys}-{values}.gguf");
        let types =
            json!({"model": {"cache_type_k": keys, "cache_type_v": values, "flash_attn": "on"}});
        let kept = backend(&forge, &file, types.clone());
        let model: Value = serde_json::from_str(&kept.status(StatusKind::Model).unwrap()).unwrap();
        assert_eq!(
            (&model["cache_type_k"], &model["cache_type_v"]),
            (&json!(keys), &json!(values))
        );
        let mut fresh = types;
        fresh["memory"] = json!({"cache_prompt": false, "enable_token_cache_reuse": false});
        let fresh = backend(&forge, &file, fresh);
        assert_eq!(
            talk(&kept, 5, true),
            talk(&fresh, 5, false),
            "{keys} {values}"
        );
    }
}

#[test]
fn quantised_values_without_flash_attention_are_answered_and_kept_as_they_were() {
    let types = json!({"model": {"cache_type_v": "q8_0", "flash_attn": "off"}});
    let backend = backend(&Forge::sliding_window(), "no-flash.gguf", types);
    let model: Value = serde_json::from_str(&backend.status(StatusKind::Model).unwrap()).unwrap();
    assert_eq!(model["cache_type_v"], "f16");
    let notes = model["config_notes"].to_string();
    assert!(notes.contains("q8_0 needs flash attention"), "{notes}");
}

#[test]
fn pressure_shrinks_caches_step_by_step_and_lets_go_again() {
    let log = std::env::temp_dir().join(format!("pressure-{}.log", std::process::id()));
    let backend = backend(
        &Forge::model(),
        "pressure.gguf",
        json!({
            "memory": {"max_memory_mb": 64, "memory_pressure_threshold": 0.1, "n_keep_tokens": 0},
            "logging": {"level": "info", "file": log},
        }),
    );
    let _entered = crate::logging::enter(&backend.journal);
    let context = backend.open_context(0).unwrap().0;
    say(&backend, context, "hello there");
    // Longer than a budget of 6.4 MiB takes: the text of a conversation counts.
    let level = |backend: &Backend| {
        memory(backend)["pressure"]["level"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(level(&backend), "none");
    let session = backend.contexts.get(context).unwrap();
    let long = "x".repeat(8 << 20);
    let mut history = session.history();
    history.push(
        crate::chat::Message::new(crate::chat::Role::User, &long),
        crate::chat::Message::new(crate::chat::Role::Assistant, "y"),
    );
    session.commit(history, 0);
    let mut seen = Vec::new();
    for _ in 0..5 {
        backend.monitor.look();
        seen.push(level(&backend));
    }
    assert_eq!(seen, ["spill", "trim", "drop", "refuse", "refuse"]);
    let refused = backend.open_context(0).unwrap_err();
    assert!(
        matches!(
            refused,
            crate::Error::MemoryPressure {
                what: "max_memory_mb",
                ..
            }
        ),
        "{refused}"
    );
    session.clear();
    backend.monitor.look();
    assert_eq!(level(&backend), "none");
    let pressure = &memory(&backend)["pressure"];
    assert_eq!(
        (&pressure["changes"], &pressure["refused_sessions"]),
        (&json!(5), &json!(1))
    );
    assert!(pressure["drops"].as_u64() > Some(0), "{pressure}");
    assert!(backend.open_context(0).is_ok());
    say(&backend, context, "abc");
    let told = std::fs::read_to_string(&log).unwrap();
    for line in [
        "none -> spill",
        "spill -> trim",
        "trim -> drop",
        "drop -> refuse",
        "refuse -> none",
    ] {
        assert!(told.contains(&format!("[MEM] pressure {line}")), "{told}");
    }
    assert!(told.contains("[MEM] idle cells give way: drop"), "{told}");
    std::fs::remove_file(log).unwrap();
}

#[test]
fn an_encoder_embeds_through_the_backend_and_refuses_turns() {
    let forge = Forge::encoder();
    let load = |more: Value| {
        let backend = Backend::open(Options::default()).unwrap();
        let config = json!({"model": more, "logging": {"level": "none"}}).to_string();
        let path = forge.write("encoder-backend.gguf");
        let loaded = backend.load_file(&path, Some(config.as_bytes()), None);
        loaded.map(|_| backend)
    };
    let refused = load(json!({})).err().unwrap().to_string();
    assert!(refused.contains("model.embedding"), "{refused}");
    // Its table of positions ends at 512, whatever is asked for.
    let asked =
        json!({"embedding": true, "ctx_size": 4096, "batch_size": 4096, "rope_freq_base": 5e5});
    let backend = load(asked).unwrap();
    let context = backend.open_context(0).unwrap().0;
    let embedding = backend.embed(context, "abc de".into(), 2).unwrap();
    // Five letters between a start and an end.
    assert_eq!((embedding.values.len(), embedding.tokens), (64, 7));
    let whole = backend.embed(context, "a".repeat(510), 2).unwrap();
    assert_eq!(whole.tokens, 512);
    let long = backend.embed(context, "a".repeat(511), 2).unwrap_err();
    assert!(matches!(long, crate::Error::PromptTooLong(need) if need.capacity == 512));
    let turn = backend.run(context, "abc".to_owned(), &mut || None, None);
    assert!(
        matches!(turn, Err(crate::Error::Unsupported(_))),
        "{turn:?}"
    );
    assert_eq!(
        backend.embed(context, "abc de".into(), 2).unwrap(),
        embedding
    );
    let ranks = load(json!({"embedding": true, "pooling": "rank"})).unwrap();
    let context = ranks.open_context(0).unwrap().0;
    let scores = [-1, 2].map(|normalize| ranks.embed(context, "abc".into(), normalize).unwrap());
    assert_eq!(scores[0].values.len(), 1);
    assert_eq!(scores[0], scores[1], "a score is not scaled");
}
