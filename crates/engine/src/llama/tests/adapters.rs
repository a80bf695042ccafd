//! Adapters: what they change, by how much, and each way in which a file is none for this model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::forge::{Forge, TOKENS};
use super::support::*;
use crate::error::Result;
use crate::llama::*;

/// An adapter for the output of the attention of the forged model's layer.
fn adapter() -> Forge {
    Forge::adapter("llama", &[("blk.0.attn_output.weight", [32, 32])])
}

fn with(model: &Path, adapters: &[&Path]) -> Result<Model> {
    let adapters = adapters.iter().map(PathBuf::from).collect();
    let params = ModelParams {
        adapters,
        ..model_params()
    };
    Model::load(model, &params, &mut |_| true)
}

/// The logits after a text, in a context with those scales.
fn logits(model: &Arc<Model>, scales: &[f32]) -> Vec<f32> {
    let params = ContextParams {
        adapter_scales: scales.to_vec(),
        ..context_params()
    };
    let mut context = Context::new(Arc::clone(model), &params).expect("a context");
    let seq = context.seq(0).expect("a sequence");
    let tokens = model.vocab().tokenize("hello", Special::Plain);
    feed(&mut context, seq, &tokens.expect("a text"))
}

#[test]
fn an_adapter_changes_what_a_context_says_by_its_scale() {
    let path = Forge::model().write("adapted.gguf");
    let first = adapter().write("first.gguf");
    let names = [
        ("blk.0.ffn_up.weight", [32, 64]),
        ("blk.0.attn_q.weight", [32, 32]),
    ];
    let second = Forge::adapter("llama", &names).write("second.gguf");
    let plain = logits(&Arc::new(load(&path).expect("a model")), &[]);
    let model = Arc::new(with(&path, &[&first, &second]).expect("a model with adapters"));
    assert_eq!(logits(&model, &[]), plain, "loaded and not wanted");
    assert_eq!(logits(&model, &[0.0, 0.0]), plain);
    let differs = |scales: &[f32]| {
        let logits = logits(&model, scales);
        assert!(logits.iter().all(|logit| logit.is_finite()));
        let difference = logits.iter().zip(&plain).map(|(a, b)| (a - b).abs());
        difference.fold(0.0, f32::max)
    };
    let (half, whole) = (differs(&[0.5]), differs(&[1.0]));
    assert!(half > 1e-3 && whole > half, "{half} {whole}");
    assert!(differs(&[0.0, 1.0]) > 1e-3);
    assert_ne!(logits(&model, &[1.0, 1.0]), logits(&model, &[1.0, 0.0]));
}

#[test]
fn cells_under_another_scale_or_rotation_do_not_fit() {
    let path = Forge::model().write("fingerprint.gguf");
    let file = adapter().write("fingerprint-adapter.gguf");
    let model = Arc::new(with(&path, &[&file]).expect("a model with an adapter"));
    let print = |params: ContextParams| {
        let context = Context::new(Arc::clone(&model), &params);
        context.expect("a context").fingerprint()
    };
    let plain = print(context_params());
    assert_eq!(print(context_params()), plain);
    let scaled = print(ContextParams {
        adapter_scales: vec![0.5],
        ..context_params()
    });
    let stretched = print(ContextParams {
        rope: Rope {
            freq_scale: 0.5,
            ..Rope::MODEL
        },
        ..context_params()
    });
    assert!(plain != scaled && plain != stretched && scaled != stretched);
    let bad = ContextParams {
        adapter_scales: vec![f32::NAN],
        ..context_params()
    };
    let error = Context::new(model, &bad).unwrap_err().to_string();
    assert!(error.contains("scale NaN"), "{error}");
}

#[test]
fn cells_of_a_model_with_factors_for_long_contexts_fit_those_of_the_same_kind() {
    let plain = Forge::model().write("short-factors.gguf");
    let mut forge = Forge::model();
    forge.number("llama.rope.scaling.original_context_length", 256);
    forge.text("llama.rope.scaling.type", "longrope");
    for length in ["long", "short"] {
        forge.tensor(&format!("rope_factors_{length}.weight"), &[4]);
    }
    forge.fill("rope_factors_long.weight", 4.0);
    let stretching = forge.write("long-factors.gguf");
    let prints = |path: &Path| {
        let model = Arc::new(load(path).expect("a model"));
        [256, 512, 1024].map(|n_ctx| {
            let params = ContextParams {
                n_ctx,
                ..context_params()
            };
            let mut context = Context::new(Arc::clone(&model), &params).expect("a context");
            let seq = context.seq(0).expect("a sequence");
            let said = feed(&mut context, seq, &[Token(5), Token(6), Token(7)]);
            (context.fingerprint(), said)
        })
    };
    let [short, long, longer] = prints(&stretching);
    assert!(short.0 != long.0 && short.1 != long.1);
    assert_eq!(long, longer);
    let [short, long, _] = prints(&plain);
    assert_eq!(short, long);
}

#[test]
fn a_rotation_beyond_what_can_be_counted_is_refused() {
    let model = Arc::new(load(&Forge::model().write("endless.gguf")).expect("a model"));
    let check = |rope: Rope, expect: &str| {
        let params = ContextParams {
            rope,
            ..context_params()
        };
        let error = Context::new(Arc::clone(&model), &params).unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    };
    let plain = Rope::MODEL;
    let base = |freq_base| Rope { freq_base, ..plain };
    let scale = |freq_scale| Rope {
        freq_scale,
        ..plain
    };
    check(base(0.5), "rope_freq_base is 0.5, must be 0 or at least 1");
    check(base(-1.0), "rope_freq_base is -1");
    check(base(f32::NAN), "must be finite");
    check(scale(1e-5), "must be 0 or at least 0.0001");
    let far = Rope {
        yarn_orig_ctx: 4_000_000,
        ..scale(1e-4)
    };
    check(far, "must be below 2^32");
}

#[test]
fn contexts_that_stretch_positions_are_made_beside_others() {
    let path = Forge::model().write("reshaped.gguf");
    let model = Arc::new(load(&path).expect("a model"));
    let make = |freq_scale: f32| {
        let params = ContextParams {
            rope: Rope {
                scaling: RopeScaling::Yarn,
                freq_scale,
                ..Rope::MODEL
            },
            ..context_params()
        };
        Context::new(Arc::clone(&model), &params).is_ok()
    };
    std::thread::scope(|scope| {
        let threads = [0.25, 0.5, 0.25].map(|scale| scope.spawn(move || make(scale)));
        let plain = (0..8).all(|_| Context::new(Arc::clone(&model), &context_params()).is_ok());
        assert!(
            plain
                && threads
                    .into_iter()
                    .all(|made| made.join().expect("no panic"))
        );
    });
}

#[test]
fn a_stretch_of_positions_changes_no_other_user_of_the_weights() {
    let path = Forge::model().write("stretched.gguf");
    let model = Arc::new(load(&path).expect("a model"));
    let trained = model.n_ctx_train();
    let params = ContextParams {
        rope: Rope {
            scaling: RopeScaling::Yarn,
            freq_scale: 0.25,
            ..Rope::MODEL
        },
        ..context_params()
    };
    let print = |model: &Arc<Model>| {
        let mut context = Context::new(Arc::clone(model), &params).expect("a context");
        let seq = context.seq(0).expect("a sequence");
        feed(&mut context, seq, &[Token(5), Token(6), Token(7)])
    };
    // llama.cpp writes the longer reach into the model: neither its users nor a second context may see it.
    let first = print(&model);
    assert_eq!(print(&model), first);
    assert_eq!(model.n_ctx_train(), trained);
}

#[test]
fn an_adapter_of_whole_numbers_for_experts_is_refused() {
    let path = Forge::mixture().write("mixture-host.gguf");
    let stem = "blk.0.ffn_up_exps.weight";
    let file = |name: &str, change: &dyn Fn(&mut Forge)| {
        let mut forge = Forge::adapter("llama", &[]);
        forge.tensor(&format!("{stem}.lora_a"), &[64, 2, 4]);
        forge.tensor(&format!("{stem}.lora_b"), &[2, 64, 4]);
        change(&mut forge);
        forge.write(name)
    };
    let good = file("experts.gguf", &|_| {});
    let model = Arc::new(with(&path, &[&good]).expect("an adapter for experts"));
    assert_ne!(logits(&model, &[1.0]), logits(&model, &[0.0]));
    // Its product has no function, and nothing says so before it is called.
    for half in [".lora_a", ".lora_b"] {
        let bad = file("experts-whole.gguf", &|forge| forge.whole(half));
        let error = with(&path, &[&bad]).unwrap_err().to_string();
        assert!(error.contains("which no kernel takes"), "{error}");
    }
}

#[test]
fn where_adapters_have_no_room_of_their_own_a_pair_for_each_tensor_is_the_most() {
    let check = |architecture: &str, adapters: usize| {
        let mut model = Forge::model();
        model.text("general.architecture", architecture);
        for key in ["block_count", "context_length", "embedding_length"] {
            model.number(&format!("{architecture}.{key}"), 32);
        }
        let path = model.write(&format!("crowd-{architecture}.gguf"));
        let names = ["blk.0.attn_q.weight", "blk.0.attn_output.weight"];
        let adapter = Forge::adapter(architecture, &names.map(|name| (name, [32, 32])));
        let adapter = adapter.write(&format!("crowd-{architecture}-adapter.gguf"));
        gguf::check(&path, &vec![adapter; adapters]).map(|checked| checked.adapter_bytes)
    };
    // The model has 11 tensors; a pair has two matrices of 2 by 32 values of 4 bytes.
    assert_eq!(check("llama", 64), Ok(64 * 2 * 512));
    assert_eq!(check("qwen35", 5), Ok(5 * 2 * 512));
    let error = check("qwen35", 6).unwrap_err().to_string();
    assert!(error.contains("12 matrices have adapters"), "{error}");
    assert!(error.contains("takes 11"), "{error}");
    let error = check("nanbeige", 1).unwrap_err().to_string();
    assert!(error.contains("takes no adapter"), "{error}");
}

#[test]
fn what_adapters_take_is_part_of_the_memory_of_their_model() {
    let path = Forge::model().write("weighed.gguf");
    let file = adapter().write("weighed-adapter.gguf");
    let bytes = |adapters: &[&Path]| {
        let model = Arc::new(with(&path, adapters).expect("a model"));
        let context = Context::new(model, &context_params());
        context.expect("a context").memory().model
    };
    let outlined = |adapters: &[&Path]| {
        let params = ModelParams {
            adapters: adapters.iter().map(PathBuf::from).collect(),
            ..model_params()
        };
        let model = Model::outline(&path, &params).expect("an outline");
        let memory = context::measure(&model, &context_params());
        memory.expect("its memory").model
    };
    assert_eq!(bytes(&[&file, &file]), bytes(&[]) + 2 * 512);
    assert_eq!(outlined(&[&file, &file]), outlined(&[]) + 2 * 512);
}

#[test]
fn what_is_no_adapter_for_the_model_is_refused_with_its_reason() {
    let path = Forge::model().write("host.gguf");
    let check = |name: &str, forge: Forge, expect: &str| {
        let file = forge.write(&format!("adapter-{name}.gguf"));
        let error = with(&path, &[&file]).expect_err(name).to_string();
        assert!(error.contains(expect), "{error}");
        assert!(error.contains(&*file.to_string_lossy()), "{error}");
    };
    let changed = |change: &dyn Fn(&mut Forge)| {
        let mut forge = adapter();
        change(&mut forge);
        forge
    };
    let shaped = |a: [u64; 2], b: [u64; 2]| {
        changed(&|forge| {
            forge.clear_tensors();
            forge.tensor("blk.0.attn_output.weight.lora_a", &a);
            forge.tensor("blk.0.attn_output.weight.lora_b", &b);
        })
    };
    let one = |name: &str| changed(&|forge| forge.tensor(name, &[32, 2]));
    check("model", Forge::model(), "has no general.type");
    let other = Forge::adapter("qwen2", &[("blk.0.attn_q.weight", [32, 32])]);
    check(
        "other",
        other,
        "is an adapter for qwen2, the model is llama",
    );
    check("empty", changed(&Forge::clear_tensors), "has no pair");
    check(
        "half",
        one("blk.0.attn_q.weight.lora_a"),
        "one half of a pair",
    );
    check("name", one("blk.0.attn_q.weight"), "no half of a pair");
    let absent = Forge::adapter("llama", &[("blk.9.attn_q.weight", [32, 32])]);
    check("absent", absent, "the model does not have");
    let tied = Forge::adapter("llama", &[("token_embd.weight", [32, TOKENS as u64])]);
    check("tied", tied, "the model's output too");
    check("input", shaped([16, 2], [2, 32]), "which is [32, 32]");
    check("output", shaped([32, 2], [2, 16]), "which is [32, 32]");
    check("rank", shaped([32, 2], [4, 32]), "which is [32, 32]");
    let kind = changed(&|forge| forge.text("adapter.type", "control_vector"));
    check("kind", kind, "no LoRA adapter");
    // Read as an f32 without a look at its type, it would end the process.
    let alpha = changed(&|f| f.pair("adapter.lora.alpha", 12, 1_f64.to_le_bytes().to_vec()));
    check("alpha", alpha, "no finite f32");
    let endless = changed(&|forge| forge.float("adapter.lora.alpha", f32::INFINITY));
    check("endless", endless, "no finite f32");
    let tokens = changed(&|forge| forge.number("adapter.alora.invocation_tokens", 1));
    check("activated", tokens, "is activated by tokens");
    let whole = changed(&|forge| forge.whole(".lora_a"));
    check("whole", whole, "which no kernel takes");
    let missing = Path::new("/no/such/adapter.gguf");
    let error = with(&path, &[missing]).unwrap_err().to_string();
    assert_eq!(error, "file not found: /no/such/adapter.gguf");
}
