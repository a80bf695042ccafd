//! Section `model`: how a model is loaded, as its status and its answers tell.

use engine::StatusKind::{Memory, Model};
use serde_json::{Value, json};

use crate::Row;
use crate::common::*;
use crate::gguf;
use crate::proof::*;

fn model(key: &str, value: impl Into<Value>) -> Value {
    json!({"model": {key: value.into()}})
}

/// A line of a file of the process that begins with `name`.
fn process(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    text.lines().filter(|line| line.contains(name)).collect()
}

/// Tokens that a greeting is to the model.
fn prompt(more: Value) -> u64 {
    let backend = loaded(&greedy(more));
    let c = open(&backend);
    say_with(&backend, c, "Hello.", r#"{"max_tokens": 1}"#).unwrap();
    metadata(&backend, c)["prompt_tokens"].as_u64().unwrap()
}

/// What a greeting is to an embedding model under those keys.
fn embedded(more: Value) -> Vec<f32> {
    let backend = loaded(&greedy(
        json!({"model": with(json!({"embedding": true}), more)}),
    ));
    let c = open(&backend);
    backend.embed(c, "Hello there.".into(), 2).unwrap().values
}

pub const ROWS: &[Row] = &[
    ("model.n_predict", || {
        let tokens = |more: Value| {
            let backend = loaded(&greedy(more));
            let c = open(&backend);
            say(&backend, c, "Hello, who are you?").unwrap();
            metadata(&backend, c)["completion_tokens"].as_u64().unwrap()
        };
        assert_eq!(tokens(model("n_predict", 2)), 2);
        assert!(tokens(json!({})) > 2);
    }),
    ("model.ctx_size", || {
        status_shows(model("ctx_size", 512), Model, "/session_tokens", 512)
    }),
    ("model.batch_size", || {
        status_shows(model("batch_size", 64), Model, "/batch_size", 64)
    }),
    ("model.ubatch_size", || {
        status_shows(model("ubatch_size", 32), Model, "/ubatch_size", 32)
    }),
    ("model.threads", || {
        status_shows(
            json!({"model": {"threads": 2, "threads_batch": 2}}),
            Model,
            "/threads",
            2,
        );
    }),
    ("model.threads_batch", || {
        status_shows(model("threads_batch", 2), Model, "/threads_batch", 2)
    }),
    ("model.n_gpu_layers", || {
        // Without a device there is nothing to move; the request is seen where llama.cpp is asked.
        shown_by("src/models/shape.rs", "model_params", "n_gpu_layers");
        assert_eq!(
            status_with(
                model("n_gpu_layers", 99),
                Model,
                "/config_effective/model/n_gpu_layers"
            ),
            99
        );
    }),
    ("model.main_gpu", || {
        shown_by(
            "src/models/shape.rs",
            "model_params",
            "main_gpu: model.main_gpu",
        )
    }),
    ("model.tensor_split", || {
        shown_by(
            "src/models/shape.rs",
            "model_params",
            "tensor_split: model.tensor_split.clone()",
        )
    }),
    ("model.split_mode", || {
        shown_by(
            "src/models/shape.rs",
            "model_params",
            "split_mode: match model.split_mode",
        );
        shown_by(
            "src/llama/tests/placement.rs",
            "a_mixture_says_the_same_wherever_it_is_to_lie",
            "split_mode",
        );
    }),
    ("model.kv_offload", || {
        // Without a device all cells lie in the machine's memory.
        shown_by(
            "src/models/shape.rs",
            "context_params",
            "offload_kv: m.kv_offload",
        );
    }),
    ("model.n_cpu_moe", || {
        // Without a device experts lie in the machine's memory; which ones are named is seen where llama.cpp is asked.
        shown_by(
            "src/models/shape.rs",
            "model_params",
            "CpuExperts::First(model.n_cpu_moe)",
        );
        shown_by(
            "src/llama/tests/placement.rs",
            "experts_are_named_by_their_layers_and_nothing_else_is",
            "CpuExperts::First(12)",
        );
    }),
    ("model.cpu_moe", || {
        shown_by(
            "src/models/shape.rs",
            "model_params",
            "cpu_experts: match model.cpu_moe",
        );
        shown_by(
            "src/llama/tests/placement.rs",
            "experts_are_named_by_their_layers_and_nothing_else_is",
            "CpuExperts::All",
        );
    }),
    ("model.check_tensors", || {
        let file = gguf::poisoned();
        let refusal = |on: bool| {
            let backend = unloaded(&greedy(model("check_tensors", on)));
            let refused = backend.load_file(&file.0, None, None).unwrap_err();
            refused.to_string()
        };
        // Such a model is refused in any case: unchecked, once it has computed.
        assert!(refusal(true).contains("invalid data"), "{}", refusal(true));
        assert!(
            refusal(false).contains("does not compute"),
            "{}",
            refusal(false)
        );
    }),
    ("model.lora", || {
        let file = gguf::adapter();
        let says = |lora: Value| {
            let backend = loaded(&greedy(model("lora", lora)));
            let c = open(&backend);
            say_with(&backend, c, "Hello, who are you?", &wild().to_string())
                .unwrap()
                .to_string()
        };
        let plain = says(json!([]));
        let path = file.path();
        assert_ne!(says(json!(path)), plain);
        assert_eq!(
            says(json!([path])),
            says(json!([{"path": path, "scale": 1}]))
        );
        assert_eq!(says(json!([{"path": path, "scale": 0}])), plain);
        assert_ne!(says(json!([{"path": path, "scale": -1}])), plain);
        for missing in ["/no/such/adapter.gguf", pocket("b").to_str().unwrap()] {
            let backend = unloaded("{}");
            let config = greedy(model("lora", missing));
            let refused = backend.load_file(&pocket("a"), Some(config.as_bytes()), None);
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(missing), "{refused}");
        }
    }),
    ("model.embedding", || {
        let embeds = |on: bool| {
            let backend = loaded(&greedy(model("embedding", on)));
            let c = open(&backend);
            backend.embed(c, "Hello.".into(), 2).is_ok()
        };
        assert!(embeds(true) && !embeds(false));
    }),
    ("model.pooling", || {
        let mean = embedded(json!({"pooling": "mean"}));
        let last = embedded(json!({"pooling": "last"}));
        let plain = embedded(json!({}));
        assert_ne!(mean, plain);
        assert_ne!(embedded(json!({"pooling": "cls"})), plain);
        assert_eq!(last, embedded(json!({"pooling": "none"})));
        assert_eq!(last, plain, "pocket models have no way of their own");
        let config = greedy(json!({"model": {"embedding": true, "pooling": "rank"}}));
        let refused = unloaded("{}").load_file(&pocket("a"), Some(config.as_bytes()), None);
        assert!(refused.unwrap_err().to_string().contains("no head"));
    }),
    ("model.attention", || {
        let causal = embedded(json!({"pooling": "cls", "attention": "causal"}));
        assert_eq!(causal, embedded(json!({"pooling": "cls"})));
        let all = json!({"pooling": "cls", "attention": "non_causal"});
        assert_ne!(causal, embedded(all), "the first token sees the others");
    }),
    ("model.use_mmap", || {
        // A file of its own: weights that others have loaded are shared.
        let file = std::env::temp_dir().join(format!("keys-{}.gguf", std::process::id()));
        std::fs::copy(pocket("a"), &file).unwrap();
        let maps = |on: bool| {
            let backend = unloaded(&greedy(model("use_mmap", on)));
            backend.load_file(&file, None, None).unwrap();
            process("maps", file.to_str().unwrap()).len()
        };
        assert!(maps(false) < maps(true), "the file is mapped");
        std::fs::remove_file(&file).unwrap();
    }),
    ("model.use_mlock", || {
        let locked = |on: bool| {
            let _backend = loaded(&greedy(
                json!({"model": {"use_mlock": on, "use_mmap": true}}),
            ));
            process("status", "VmLck")
        };
        assert_ne!(locked(true), locked(false));
    }),
    ("model.cache_type_k", || {
        status_shows(
            model("cache_type_k", "q8_0"),
            Model,
            "/cache_type_k",
            "q8_0",
        )
    }),
    ("model.cache_type_v", || {
        status_shows(
            model("cache_type_v", "q8_0"),
            Model,
            "/cache_type_v",
            "q8_0",
        )
    }),
    ("model.flash_attn", || {
        let bytes = |more: Value| status_with(more, Memory, "/compute_bytes");
        assert_ne!(bytes(json!({})), bytes(model("flash_attn", "off")));
    }),
    ("model.numa", || {
        shown_by(
            "src/models/load.rs",
            "bring_up",
            "init_numa(match config.model.numa",
        )
    }),
    ("model.reasoning_format", || {
        shown_by(
            "tests/conversation/reasoning.rs",
            "without_a_format_the_thought_is_part_of_the_answer",
            "reasoning_format",
        );
    }),
    ("model.chat_template", || {
        assert!(prompt(model("chat_template", "raw")) < prompt(json!({})));
    }),
    ("model.version", || {
        status_shows(
            model("version", "spring"),
            Model,
            "/models/0/label",
            "spring",
        );
    }),
    ("model.mmproj", || {
        let backend = unloaded(&greedy(model("mmproj", "/nowhere/mmproj.gguf")));
        let error = backend.load_file(&pocket("a"), None, None).unwrap_err();
        assert!(
            error.to_string().contains("/nowhere/mmproj.gguf"),
            "{error}"
        );
        shown_by(
            "src/backend/tests/images.rs",
            "a_turn_depends_on_its_image_and_on_where_it_stands",
            "mmproj",
        );
    }),
    ("model.system_prompt", || {
        assert!(prompt(model("system_prompt", "Your name is Pip.")) > prompt(json!({})));
    }),
];
