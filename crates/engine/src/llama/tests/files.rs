//! Loading: good files, and each way in which one is not.

use std::path::Path;

use super::forge::{Forge, TOKENS};
use super::support::*;
use crate::llama::*;

fn refused(path: &Path, expect: &str) {
    let error = load(path).expect_err("a refusal").to_string();
    assert!(error.contains(expect), "{error}");
    assert!(error.contains(&*path.to_string_lossy()), "{error}");
}

#[test]
fn the_pocket_model_loads_and_describes_itself() {
    let model = pocket();
    assert!(model.n_params() > 100_000);
    assert!(model.size_bytes() > 100_000);
    assert!(model.n_layer() >= 1 && model.n_ctx_train() >= 128);
    assert!(model.has_decoder() && !model.has_encoder());
    assert!(!model.is_recurrent() && !model.is_hybrid());
    assert_eq!(model.meta("general.architecture").as_deref(), Some("llama"));
    assert_eq!(model.meta("no.such.key"), None);
    assert_eq!(model.meta("nul\0key"), None);
    assert_eq!(model.chat_template(Some("no_such_template")), None);
    assert!(model.description().contains("llama"));
    assert!(!model.file_type().is_empty());
    if !runtime::supports_gpu() {
        assert_eq!(model.n_gpu_layers(), 0);
    }
}

#[test]
fn a_forged_model_loads_from_a_file_and_from_bytes_alike() {
    let (bytes, _) = Forge::model().bytes();
    let path = file("forged.gguf", &bytes);
    let from_file = load(&path).expect("the forged model");
    let open = Model::open_bytes(&bytes).expect("a file in memory");
    let from_bytes = load(open.path()).expect("the forged model");
    drop(open);
    assert_eq!(from_bytes.n_params(), from_file.n_params());
    assert_eq!(from_bytes.vocab_size() as usize, TOKENS);
}

#[test]
fn a_model_loads_without_mmap_and_with_mlock() {
    let path = Forge::model().write("modes.gguf");
    for (use_mmap, use_mlock) in [(false, false), (false, true), (true, true)] {
        let params = ModelParams {
            use_mmap,
            use_mlock,
            ..model_params()
        };
        assert!(Model::load(&path, &params, &mut |_| true).is_ok());
    }
}

#[test]
fn progress_rises_to_one_and_false_cancels_the_load() {
    let path = Forge::model().write("progress.gguf");
    let mut seen = Vec::new();
    let mut report = |value| {
        seen.push(value);
        true
    };
    Model::load(&path, &model_params(), &mut report).expect("the forged model");
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&1.0));
    let cancelled = Model::load(&path, &model_params(), &mut |_| false);
    assert_eq!(cancelled.unwrap_err().to_string(), "load cancelled");
    let panicked = Model::load(&path, &model_params(), &mut |_| panic!("in a callback"));
    let error = panicked.unwrap_err().to_string();
    assert_eq!(error, "load cancelled: the progress callback panicked");
}

#[test]
fn parameters_out_of_range_are_named() {
    let path = Forge::model().write("params.gguf");
    let check = |params: ModelParams, expect: &str| {
        let error = Model::load(&path, &params, &mut |_| true).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    let params = model_params();
    check(
        ModelParams {
            main_gpu: -1,
            ..params.clone()
        },
        "main_gpu is -1",
    );
    check(
        ModelParams {
            tensor_split: vec![1.0; 1000],
            ..params.clone()
        },
        "1000 shares",
    );
    check(
        ModelParams {
            tensor_split: vec![f32::NAN],
            ..params
        },
        "share NaN",
    );
}

#[test]
fn what_is_no_model_file_is_refused_with_its_reason() {
    let missing = Path::new("/no/such/folder/model.gguf");
    let error = load(missing).unwrap_err().to_string();
    assert_eq!(error, "file not found: /no/such/folder/model.gguf");
    refused(&std::env::temp_dir(), "is a directory");
    refused(Path::new("/dev/zero"), "is not a regular file");
    refused(&file("empty.gguf", b""), "is not a GGUF file");
    refused(&file("short.gguf", b"GG"), "is not a GGUF file");
    let text = "a text file, longer than any header".repeat(10);
    refused(&file("text.gguf", text.as_bytes()), "is not a GGUF file");
    refused(
        &Forge::vocabulary_only().write("vocabulary.gguf"),
        "holds a tokenizer only (no tensors)",
    );
}

#[test]
fn a_header_that_llama_cpp_would_abort_on_is_refused() {
    let check = |name: &str, forge: Forge, expect: &str| refused(&forge.write(name), expect);
    let with = |change: &dyn Fn(&mut Forge)| {
        let mut forge = Forge::model();
        change(&mut forge);
        forge
    };
    let number = |key: &'static str, value| with(&|forge| forge.number(key, value));
    check(
        "no-arch.gguf",
        Forge::model().without("general.architecture"),
        "names no architecture",
    );
    check(
        "no-tokens.gguf",
        Forge::model().without("tokenizer.ggml.tokens"),
        "has no tokens",
    );
    check(
        "layers.gguf",
        number("llama.block_count", 513),
        "block_count 513",
    );
    check(
        "no-layer.gguf",
        number("llama.block_count", 0),
        "block_count 0",
    );
    check("experts.gguf", number("llama.expert_count", 4), "uses none");
    check(
        "used.gguf",
        number("llama.expert_used_count", 4),
        "expert_used_count 4",
    );
    check(
        "heads.gguf",
        number("llama.attention.head_count_kv", 3),
        "must be a multiple",
    );
    check(
        "head-length.gguf",
        number("llama.attention.value_length", 4),
        "must be equal",
    );
    check(
        "align.gguf",
        number("general.alignment", 33),
        "no power of two",
    );
    check(
        "epsilon.gguf",
        with(&|forge| forge.float("llama.attention.layer_norm_rms_epsilon", -1.0)),
        "layer_norm_rms_epsilon -1",
    );
    check(
        "scaling.gguf",
        with(&|forge| forge.text("llama.rope.scaling.type", "linea2")),
        "unknown rope scaling",
    );
    check(
        "tokenizer.gguf",
        with(&|forge| forge.text("tokenizer.ggml.model", "none")),
        "no tokenizer that reads text",
    );
    check(
        "nested.gguf",
        with(&|forge| forge.pair("x", 9, [9_u32.to_le_bytes().to_vec(), vec![1; 8]].concat())),
        "unknown element type 9",
    );
    for (name, end) in [
        ("whole-experts.gguf", "ffn_up_exps.weight"),
        ("whole-router.gguf", "ffn_gate_inp.weight"),
    ] {
        let mut mixture = Forge::mixture();
        mixture.whole(end);
        check(name, mixture, "which no kernel takes");
    }
    check(
        "parts.gguf",
        with(&|forge| forge.pair("split.count", 2, vec![3, 0])),
        "part 1 of 3",
    );
}

#[test]
fn absurd_counts_and_lengths_are_refused_without_allocating() {
    let (good, _) = Forge::model().bytes();
    let check = |name: &str, at: usize, value: u64, expect: &str| {
        let mut bytes = good.clone();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        refused(&file(name, &bytes), expect);
    };
    check("tensors.gguf", 8, u64::MAX, "tensors in");
    check("pairs.gguf", 16, u64::MAX / 2, "metadata pairs in");
    check("key.gguf", 24, 1 << 40, "key of 1099511627776 bytes");
    // The first pair's value, behind a key of 20 bytes and its type.
    check("value.gguf", 24 + 8 + 20 + 4, 1 << 60, "is cut off");
    let version = good.windows(4).position(|w| w == 3_u32.to_le_bytes());
    let mut bytes = good.clone();
    bytes[version.expect("a version")] = 1;
    refused(&file("version.gguf", &bytes), "GGUF version 1");
    let mut forge = Forge::model();
    let endless = [8_u32.to_le_bytes().to_vec(), vec![0xff; 8]].concat();
    forge.pair("tokenizer.ggml.tokens", 9, endless);
    refused(
        &forge.write("tokens.gguf"),
        "elements in tokenizer.ggml.tokens",
    );
}

#[test]
fn a_model_cut_at_any_4_kib_boundary_is_refused() {
    let (forged, _) = Forge::model().bytes();
    let pocket = std::fs::read(pocket_path()).expect("the pocket model");
    for (name, bytes) in [("cut-forged.gguf", forged), ("cut-pocket.gguf", pocket)] {
        for length in (0..bytes.len()).step_by(4096) {
            let path = file(name, &bytes[..length]);
            let error = gguf::check(&path, &[]).expect_err("a refusal").to_string();
            let known = ["is cut off", "is not a GGUF file", "claims"];
            assert!(known.iter().any(|text| error.contains(text)), "{error}");
            assert!(load(&path).is_err());
        }
    }
}
