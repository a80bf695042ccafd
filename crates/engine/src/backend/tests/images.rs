//! Images in raw prompts, with projectors that nobody trained: what a turn says of an image is noise, but always the
//! same noise for the same image, and other noise for others.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::{Backend, Options, Prompt, StatusKind};
use crate::error::{Error, Result};
use crate::llama::IMAGE_MARK;
use crate::llama::forge::{Forge, IMAGE_TOKENS, picture};

/// The numbers of an embedding of the pocket model.
const WIDTH: u32 = 128;

const BEFORE: &str = "<|im_start|>user\nWhat is your name? ";
const AFTER: &str = "<|im_end|>\n<|im_start|>assistant\n";

fn pocket() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/pocket-a.gguf")
}

/// A backend with the pocket model, and a projector where there is one.
fn backend(projector: Option<(&Forge, &str)>, more: Value) -> Arc<Backend> {
    let mut config = json!({
        "model": {"ctx_size": 1024, "n_predict": 12, "threads": 1},
        "sampling": {"temp": 0, "repeat_penalty": 1.0},
        "stopping": {"ignore_eos": true},
        "performance": {"n_parallel": 4},
        "backend": {"max_concurrent": 64},
        "logging": {"level": "none"},
    });
    if let Some((forge, name)) = projector {
        config["model"]["mmproj"] = forge.write(name).to_str().unwrap().into();
    }
    for (section, keys) in more.as_object().unwrap() {
        for (key, value) in keys.as_object().unwrap() {
            config[section][key] = value.clone();
        }
    }
    let backend = Backend::open(Options::default()).unwrap();
    backend
        .load_file(&pocket(), Some(config.to_string().as_bytes()), None)
        .unwrap();
    Arc::new(backend)
}

fn llava(name: &str, more: Value) -> Arc<Backend> {
    backend(Some((&Forge::llava(WIDTH), name)), more)
}

fn open(backend: &Backend) -> u32 {
    backend.open_context(0).unwrap().0
}

/// A question about so many images in its middle.
fn question(images: usize) -> String {
    format!("{BEFORE}{}{AFTER}", IMAGE_MARK.repeat(images))
}

/// What a turn on `text` with `images` says, and its metadata.
fn see(backend: &Arc<Backend>, context: u32, text: &str, images: &[Vec<u8>]) -> (String, Value) {
    see_with(backend, context, text, images, json!({})).unwrap()
}

fn see_with(
    backend: &Arc<Backend>,
    context: u32,
    text: &str,
    images: &[Vec<u8>],
    call: Value,
) -> Result<(String, Value)> {
    let prompt = Prompt {
        text: text.into(),
        images: images.iter().map(|image| image.as_slice().into()).collect(),
        config: Some(call.to_string().into_bytes().into()),
        in_pieces: false,
    };
    let mut completion = backend.complete(context, prompt)?;
    while completion.next_piece()?.is_some() {}
    Ok((completion.text().to_owned(), completion.metadata()))
}

fn count(metadata: &Value, key: &str) -> usize {
    metadata[key].as_u64().unwrap() as usize
}

fn memory(backend: &Backend) -> Value {
    serde_json::from_str(&backend.status(StatusKind::Memory).unwrap()).unwrap()
}

/// How likely the likeliest first tokens of an answer are.
fn odds(backend: &Arc<Backend>, text: &str, images: &[Vec<u8>]) -> Value {
    let call = json!({"n_probs": 8, "max_tokens": 1});
    let context = open(backend);
    let (_, metadata) = see_with(backend, context, text, images, call).unwrap();
    backend.close_context(context).unwrap();
    metadata["logprobs"][0]["top_logprobs"].clone()
}

#[test]
fn a_turn_depends_on_its_image_and_on_where_it_stands() {
    for (forge, name) in [
        (Forge::llava(WIDTH), "turn-llava.gguf"),
        (Forge::gemma(WIDTH), "turn-gemma.gguf"),
    ] {
        for kv_mode in ["unified", "split"] {
            let more = json!({"performance": {"kv_mode": kv_mode}});
            let backend = backend(Some((&forge, name)), more);
            let context = open(&backend);
            let (text, metadata) = see(&backend, context, &question(1), &[picture(1)]);
            let (_, plain) = see(&backend, open(&backend), &question(0), &[]);
            let more = count(&metadata, "prompt_tokens") - count(&plain, "prompt_tokens");
            // The latter's images have words around them.
            let is_llava = name == "turn-llava.gguf";
            assert!(more == IMAGE_TOKENS || !is_llava && more > IMAGE_TOKENS);
            assert_eq!(count(&metadata, "completion_tokens"), 12);
            let again = see(&backend, open(&backend), &question(1), &[picture(1)]).0;
            assert_eq!(again, text, "{name}, {kv_mode}");

            let first = format!("{IMAGE_MARK}{BEFORE}{AFTER}");
            let last = format!("{BEFORE}{AFTER}{IMAGE_MARK}");
            let all = [
                odds(&backend, &question(0), &[]),
                odds(&backend, &question(1), &[picture(1)]),
                odds(&backend, &question(1), &[picture(2)]),
                odds(&backend, &question(2), &[picture(1), picture(2)]),
                odds(&backend, &question(2), &[picture(2), picture(1)]),
                odds(&backend, &first, &[picture(1)]),
                odds(&backend, &last, &[picture(1)]),
            ];
            for (at, odds) in all.iter().enumerate() {
                assert!(odds.as_array().is_some_and(|odds| odds.len() == 8));
                assert!(
                    !all[..at].contains(odds),
                    "{name}, {kv_mode}: {at}: {all:?}"
                );
            }
            assert_eq!(memory(&backend)["accounting_errors"], 0);
        }
    }
}

#[test]
fn a_prompt_that_goes_on_after_an_image_evaluates_what_is_new() {
    for (forge, name) in [
        (Forge::llava(WIDTH), "reuse-llava.gguf"),
        (Forge::gemma(WIDTH), "reuse-gemma.gguf"),
    ] {
        let backend = backend(Some((&forge, name)), json!({}));
        let context = open(&backend);
        let (text, first) = see(&backend, context, &question(1), &[picture(1)]);
        assert_eq!(count(&first, "cached_tokens"), 0);
        let (same, second) = see(&backend, context, &question(1), &[picture(1)]);
        assert_eq!(same, text);
        let all = count(&second, "prompt_tokens");
        assert_eq!(count(&second, "cached_tokens"), all - 1, "{name}");
        let more = format!("{}{IMAGE_MARK}{AFTER}", question(1));
        let (long, third) = see(&backend, context, &more, &[picture(1), picture(2)]);
        assert!(count(&third, "cached_tokens") >= all, "{name}: {third}");
        assert!(count(&third, "evaluated_tokens") >= IMAGE_TOKENS);
        let (_, fourth) = see(&backend, context, &question(1), &[picture(3)]);
        let before = count(&fourth, "cached_tokens");
        assert!(
            before < all - IMAGE_TOKENS,
            "another image is another prompt: {fourth}"
        );
        let fresh = backend_without_cache(&forge, name);
        let (expect, metadata) = see(&fresh, open(&fresh), &more, &[picture(1), picture(2)]);
        assert_eq!(count(&metadata, "cached_tokens"), 0);
        assert_eq!(
            long, expect,
            "{name}: what was kept is what would have been evaluated"
        );
    }
}

fn backend_without_cache(forge: &Forge, name: &str) -> Arc<Backend> {
    let memory = json!({"cache_prompt": false, "enable_token_cache_reuse": false});
    backend(Some((forge, name)), json!({"memory": memory}))
}

#[test]
fn cells_of_an_image_leave_the_context_and_come_back() {
    let backend = llava(
        "spill.gguf",
        json!({"model": {"ctx_size": 256}, "performance": {"n_parallel": 1}}),
    );
    let [context, other] = [(); 2].map(|()| open(&backend));
    let (text, first) = see(&backend, context, &question(1), &[picture(1)]);
    let restores = memory(&backend)["hits"]["ram"].as_u64();
    for n in 0..4 {
        // Together they fill whatever there is beside one turn.
        let long = format!("{n} {}", "Tell me more. ".repeat(40));
        see(&backend, other, &long, &[]);
    }
    let (again, second) = see(&backend, context, &question(1), &[picture(1)]);
    assert_eq!(again, text);
    let all = count(&first, "prompt_tokens");
    assert_eq!(count(&second, "cached_tokens"), all - 1);
    assert!(
        memory(&backend)["hits"]["ram"].as_u64() > restores,
        "{}",
        memory(&backend)
    );
}

#[test]
fn contexts_that_look_at_one_image_share_its_cells() {
    let backend = llava("share.gguf", json!({}));
    let long = format!("{}{}", "Hello, hello. ".repeat(20), question(2));
    let images = [picture(4), picture(5)];
    let (text, first) = see(&backend, open(&backend), &long, &images);
    let (other, second) = see(&backend, open(&backend), &long, &images);
    assert_eq!(text, other);
    assert_eq!(count(&first, "cached_tokens"), 0);
    let all = count(&second, "prompt_tokens");
    assert_eq!(count(&second, "cached_tokens"), all - 1, "{second}");
}

#[test]
fn turns_on_text_and_turns_on_images_run_beside_each_other_undisturbed() {
    for kv_mode in ["unified", "split"] {
        let backend = llava(
            &format!("beside-{kv_mode}.gguf"),
            json!({"performance": {"kv_mode": kv_mode}}),
        );
        let images =
            |n: usize| -> Vec<Vec<u8>> { (0..n % 3).map(|k| picture((n + k) as u8)).collect() };
        let prompt = |n: usize| format!("{n} {}", question(n % 3));
        let call = || json!({"max_tokens": 24});
        let alone: Vec<String> = (0..12)
            .map(|n| {
                let context = open(&backend);
                let said = see_with(&backend, context, &prompt(n), &images(n), call());
                backend.close_context(context).unwrap();
                said.unwrap().0
            })
            .collect();
        std::thread::scope(|scope| {
            for (n, expect) in alone.iter().enumerate() {
                let backend = &backend;
                let (prompt, images) = (prompt(n), images(n));
                scope.spawn(move || {
                    let context = open(backend);
                    let said = see_with(backend, context, &prompt, &images, call());
                    assert_eq!(&said.unwrap().0, expect, "{kv_mode}, turn {n}");
                });
            }
        });
        assert_eq!(memory(&backend)["accounting_errors"], 0);
    }
}

#[test]
fn deterministic_turns_see_images_too() {
    let backend = llava("fixed.gguf", json!({}));
    let call = || json!({"deterministic": true});
    let said = [1, 2, 1].map(|seed| {
        let image = [picture(seed)];
        see_with(&backend, open(&backend), &question(1), &image, call())
            .unwrap()
            .0
    });
    assert_eq!(said[0], said[2]);
}

#[test]
fn an_image_is_cut_where_a_step_ends_and_says_the_same() {
    let text = |ubatch: usize, file: &str| {
        let model = json!({"model": {"batch_size": ubatch, "ubatch_size": ubatch}});
        let backend = llava(file, model);
        see(
            &backend,
            open(&backend),
            &question(2),
            &[picture(1), picture(2)],
        )
        .0
    };
    assert_eq!(text(3, "cut-3.gguf"), text(256, "cut-256.gguf"));
}

#[test]
fn an_image_that_must_be_evaluated_at_once_is_refused_where_it_does_not_fit() {
    let small = json!({"model": {"batch_size": 64, "ubatch_size": IMAGE_TOKENS - 1}});
    let backend = backend(Some((&Forge::gemma(WIDTH), "at-once.gguf")), small);
    let context = open(&backend);
    let refused = see_with(&backend, context, &question(1), &[picture(1)], json!({}));
    let text = refused.unwrap_err().to_string();
    assert!(
        text.contains("4 positions that are evaluated at once, a turn takes 3"),
        "{text}"
    );
    see(&backend, context, &question(0), &[]);
}

#[test]
fn what_is_wrong_with_images_is_answered_and_the_context_goes_on() {
    let backend = llava("wrong.gguf", json!({}));
    let context = open(&backend);
    let (expect, _) = see(&backend, open(&backend), &question(1), &[picture(1)]);
    let refused = |text: &str, images: &[Vec<u8>], why: &str| match see_with(
        &backend,
        context,
        text,
        images,
        json!({}),
    ) {
        Err(Error::InvalidArgument(text)) => assert!(text.contains(why), "{text}"),
        other => panic!("{other:?}"),
    };
    refused(
        &question(1),
        &[picture(1), picture(2)],
        "1 times <__media__> for 2 images",
    );
    refused(
        &question(0),
        &[picture(1)],
        "0 times <__media__> for 1 images",
    );
    refused(
        &question(3),
        &[picture(1)],
        "3 times <__media__> for 1 images",
    );
    refused(
        &question(1),
        &[b"not an image".to_vec()],
        "no PNG, JPEG or BMP",
    );
    refused(&question(1), &[Vec::new()], "no PNG, JPEG or BMP");
    refused(&question(65), &vec![picture(1); 65], "may have 64");
    let long = "Hello. ".repeat(1200);
    let too_long = see_with(
        &backend,
        context,
        &format!("{long}{IMAGE_MARK}"),
        &[picture(1)],
        json!({}),
    );
    assert!(
        matches!(too_long, Err(Error::PromptTooLong(_))),
        "{too_long:?}"
    );
    let (said, _) = see(&backend, context, &question(1), &[picture(1)]);
    assert_eq!(said, expect);
    // Without images the mark is text.
    see(&backend, context, &question(1), &[]);
}

#[test]
fn a_model_without_a_projector_refuses_images_and_one_with_a_wrong_one_does_not_load() {
    let blind = backend(None, json!({}));
    let context = open(&blind);
    let refused = see_with(&blind, context, &question(1), &[picture(1)], json!({}));
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("loaded without model.mmproj"), "{text}");
    let wrong = Forge::llava(WIDTH / 2).write("wrong-width.gguf");
    let config = json!({"model": {"mmproj": wrong}, "logging": {"level": "none"}}).to_string();
    let loaded = blind.load_file(&pocket(), Some(config.as_bytes()), None);
    let text = loaded.unwrap_err().to_string();
    assert!(text.contains("mismatch between text model"), "{text}");
    // What was there serves on.
    see(&blind, context, &question(0), &[]);
}

#[test]
fn a_turn_on_an_image_ends_when_its_context_is_full() {
    let backend = llava(
        "full.gguf",
        json!({"model": {"ctx_size": 128, "n_predict": -1}}),
    );
    let (text, metadata) = see(&backend, open(&backend), &question(1), &[picture(1)]);
    assert_eq!(metadata["finish_reason"], "context_full");
    assert!(!text.is_empty());
}

#[test]
fn a_displaced_turn_on_images_says_what_it_says_alone() {
    let text = |n: usize| format!("{n} {}", question(2));
    let images = |n: usize| [picture(n as u8), picture(n as u8 + 1)];
    let call = || json!({"max_tokens": 600});
    let wide = llava("wide.gguf", json!({}));
    let expect: Vec<String> = (0..4)
        .map(|n| {
            let said = see_with(&wide, open(&wide), &text(n), &images(n), call());
            said.unwrap().0
        })
        .collect();
    let pool = json!({"performance": {"kv_pool_tokens": 1024}});
    let narrow = llava("narrow-pool.gguf", pool);
    std::thread::scope(|scope| {
        for (n, expect) in expect.iter().enumerate() {
            let narrow = &narrow;
            scope.spawn(move || {
                let said = see_with(narrow, open(narrow), &text(n), &images(n), call());
                assert_eq!(&said.unwrap().0, expect, "turn {n}");
            });
        }
    });
    let memory = memory(&narrow);
    assert!(memory["displaced"].as_u64() > Some(0), "{memory}");
    assert_eq!(memory["accounting_errors"], 0);
}

#[test]
fn turns_on_images_that_are_left_disturb_nobody() {
    let backend = llava("left.gguf", json!({}));
    let (expect, _) = see(&backend, open(&backend), &question(1), &[picture(1)]);
    std::thread::scope(|scope| {
        for n in 0..4_u8 {
            let backend = &backend;
            scope.spawn(move || {
                for round in 0..6_u8 {
                    let prompt = Prompt {
                        text: format!("{}{}", "Hello. ".repeat(30), question(3)).into(),
                        images: (0..3).map(|k| picture(n * 9 + round + k).into()).collect(),
                        config: None,
                        in_pieces: true,
                    };
                    let mut left = backend.complete(open(backend), prompt).unwrap();
                    if round % 2 == 0 {
                        drop(left.next_piece());
                    }
                }
            });
        }
        for _ in 0..8 {
            let said = see(&backend, open(&backend), &question(1), &[picture(1)]).0;
            assert_eq!(said, expect);
        }
    });
    assert_eq!(memory(&backend)["accounting_errors"], 0);
}

#[test]
fn after_a_swap_the_new_version_looks_with_its_own_projector() {
    let backend = llava("before-swap.gguf", json!({}));
    let context = open(&backend);
    let (before, _) = see(&backend, context, &question(1), &[picture(1)]);
    let load = |config: Value| {
        let config = config.to_string();
        backend
            .load_file(&pocket(), Some(config.as_bytes()), None)
            .unwrap();
    };
    load(json!({"logging": {"level": "none"}}));
    let refused = see_with(&backend, context, &question(1), &[picture(1)], json!({}));
    assert!(
        matches!(refused, Err(Error::InvalidArgument(_))),
        "{refused:?}"
    );
    let projector = Forge::llava(WIDTH).write("after-swap.gguf");
    load(json!({
        "model": {"ctx_size": 1024, "n_predict": 12, "threads": 1, "mmproj": projector},
        "sampling": {"temp": 0, "repeat_penalty": 1.0},
        "stopping": {"ignore_eos": true},
        "logging": {"level": "none"},
    }));
    assert_eq!(
        see(&backend, context, &question(1), &[picture(1)]).0,
        before
    );
}

#[test]
fn the_projector_for_the_tests_of_other_crates_is_the_forged_one() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/forged-projector.gguf");
    let made = Forge::llava(WIDTH).write("forged-projector.gguf");
    let is_equal = std::fs::read(path).unwrap() == std::fs::read(&made).unwrap();
    assert!(is_equal, "copy {} to models/", made.display());
}
