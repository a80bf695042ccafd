//! What a walked header must satisfy, because llama.cpp asserts it instead of refusing the file.
//!
//! Each rule stands for an assertion of the pinned version's loader, vocabulary, graph builder or kernels; what they
//! refuse by themselves is left to them. Knows no file: the walk has already proved that everything is in it.

mod projector;

use llama_cpp_sys_2 as sys;

use super::header::{Header, Tensor, Value};

/// Common architectures whose graphs assert that keys and values have heads of one length. Not every one that does:
/// some have genuine differences, so a list of exceptions would refuse good models.
const EQUAL_HEADS: [&str; 16] = [
    "llama",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "phi2",
    "phi3",
    "mistral3",
    "granite",
    "olmo2",
    "starcoder2",
    "stablelm",
    "command-r",
    "smollm3",
    "internlm2",
    "gpt2",
];

pub(super) use projector::check as check_projector;

type Checked = std::result::Result<(), String>;

/// The longest token of a vocabulary that llama.cpp keeps as a tree: it recurses for every byte as it frees one, or keeps
/// every end of every token. Real ones have some hundred bytes.
const TREE_LIMIT_BYTES: usize = 1024;

/// `LLAMA_MAX_LAYERS` and `LLAMA_MAX_EXPERTS`.
const LAYERS_LIMIT: f64 = 512.0;
const EXPERTS_LIMIT: f64 = 1024.0;
/// Bounds the products of sizes far below any overflow; the largest models have a hundredth.
const EXTENT_LIMIT: f64 = (1 << 24) as f64;

/// Checks the header of a whole model, or of the first part of a split one.
pub(super) fn check(header: &Header) -> Checked {
    if header.architecture().is_none() {
        return Err("names no architecture (general.architecture)".to_owned());
    }
    tokenizer(header)?;
    // The first part of a split model may leave all tensors to the others.
    if header.tensors.is_empty() && header.part()?.1 == 1 {
        return Err("holds a tokenizer only (no tensors)".to_owned());
    }
    sizes(header)?;
    experts(header)?;
    constants(header)?;
    header.tensors.iter().try_for_each(tensor)
}

/// Checks part `number` (from 0) of a split model.
pub(super) fn check_part(header: &Header, number: u16) -> Checked {
    match header.values.get("split.no") {
        Some(Value::Unsigned(no)) if *no == u64::from(number) => {}
        _ => return Err(format!("does not say that it is part {}", number + 1)),
    }
    header.tensors.iter().try_for_each(tensor)
}

/// The vocabulary: present, texts all different, raw bytes only where they can be turned back into text.
fn tokenizer(header: &Header) -> Checked {
    let model = match header.values.get("tokenizer.ggml.model") {
        Some(Value::Text(model)) => model.as_str(),
        _ => return Err("has no tokenizer (tokenizer.ggml.model)".to_owned()),
    };
    if matches!(model, "none" | "no_vocab" | "test" | "") {
        return Err(format!("has no tokenizer that reads text, but {model:?}"));
    }
    let is_text = match header.values.get("tokenizer.ggml.tokens") {
        Some(Value::Array { element, .. }) => *element == 8,
        _ => false,
    };
    let tokens = match &header.tokens {
        Some(tokens) if is_text && tokens.count > 0 => tokens,
        _ => return Err("has no tokens (tokenizer.ggml.tokens)".to_owned()),
    };
    if let Some(text) = &tokens.repeated {
        return Err(format!("has the token {text:?} twice"));
    }
    if tokens.has_byte && matches!(model, "bert" | "rwkv") {
        return Err(format!("has byte tokens in a {model} tokenizer"));
    }
    if tokens.longest > TREE_LIMIT_BYTES && matches!(model, "t5" | "rwkv" | "plamo2") {
        return Err(format!(
            "has a token of {} bytes in a {model} tokenizer, must have at most {TREE_LIMIT_BYTES}",
            tokens.longest
        ));
    }
    // llama.cpp tokenises one as it loads, and would begin it again for ever.
    if model == "rwkv" && !tokens.has_line_feed {
        return Err("has no token for a line feed in a rwkv tokenizer".to_owned());
    }
    Ok(())
}

/// Counts and extents: the ones that are asserted, divided by, or multiplied without a check.
fn sizes(header: &Header) -> Checked {
    let layers = within(header, "block_count", 1.0, LAYERS_LIMIT, true)?;
    within(
        header,
        "nextn_predict_layers",
        0.0,
        layers.unwrap_or(0.0),
        false,
    )?;
    within(header, "context_length", 1.0, f64::from(i32::MAX), true)?;
    within(header, "embedding_length", 1.0, EXTENT_LIMIT, true)?;
    for key in [
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
        "rope.dimension_count",
        "vocab_size",
    ] {
        within(header, key, 0.0, EXTENT_LIMIT, false)?;
    }
    let heads = header.of_architecture("attention.head_count");
    let shared = header.of_architecture("attention.head_count_kv");
    if let (Some(heads), Some(shared)) =
        (heads.and_then(Value::whole), shared.and_then(Value::whole))
        && shared > 0
        && heads % shared != 0
    {
        return Err(format!(
            "has {heads} attention heads over {shared} key-value heads, must be a multiple"
        ));
    }
    let lengths = ["attention.key_length", "attention.value_length"]
        .map(|key| header.of_architecture(key).and_then(Value::whole));
    if header
        .architecture()
        .is_some_and(|name| EQUAL_HEADS.contains(&name))
        && let (Some(key), Some(value)) = (
            lengths[0].or(head_length(header)),
            lengths[1].or(head_length(header)),
        )
        && key != value
    {
        return Err(format!(
            "has key length {key} and value length {value}, must be equal"
        ));
    }
    Ok(())
}

/// The length of a head where no key gives it.
fn head_length(header: &Header) -> Option<u64> {
    let width = header.of_architecture("embedding_length")?.whole()?;
    width.checked_div(header.of_architecture("attention.head_count")?.whole()?)
}

/// The expert counts of a mixture, as asserted when the hyperparameters are read.
fn experts(header: &Header) -> Checked {
    let experts = within(header, "expert_count", 0.0, EXPERTS_LIMIT, false)?.unwrap_or(0.0);
    let used = within(header, "expert_used_count", 0.0, experts, false)?.unwrap_or(0.0);
    let groups = within(
        header,
        "expert_group_count",
        0.0,
        (experts - 1.0).max(0.0),
        false,
    )?
    .unwrap_or(0.0);
    if experts > 0.0 && used == 0.0 {
        return Err(format!("has {experts} experts and uses none"));
    }
    if groups > 1.0 {
        if experts % groups != 0.0 {
            return Err(format!(
                "has {experts} experts in {groups} groups, must be a multiple"
            ));
        }
        let key = "expert_group_used_count";
        within(header, key, 1.0, groups - 1.0, true)?;
    }
    Ok(())
}

/// Numbers that kernels assert on, and names that are looked up without a default.
fn constants(header: &Header) -> Checked {
    for key in [
        "attention.layer_norm_rms_epsilon",
        "attention.layer_norm_epsilon",
        "attention.group_norm_epsilon",
    ] {
        within(header, key, 0.0, 1.0, false)?;
    }
    for key in ["pooling_type", "classifier.pooling_type"] {
        within(header, key, 0.0, 4.0, false)?;
    }
    let scaling = ["none", "linear", "yarn", "longrope"];
    match header.of_architecture("rope.scaling.type") {
        None => Ok(()),
        Some(Value::Text(name)) if scaling.contains(&name.as_str()) => Ok(()),
        Some(Value::Text(name)) => Err(format!("has the unknown rope scaling {name:?}")),
        Some(_) => Err("has a rope scaling type that is no text".to_owned()),
    }
}

/// The types that the kernels take: norms and biases in f32, matrices in any float or quantised type.
pub(super) fn tensor(tensor: &Tensor) -> Checked {
    let Tensor { name, shape, kind } = tensor;
    let whole_number = matches!(
        *kind,
        sys::GGML_TYPE_I8 | sys::GGML_TYPE_I16 | sys::GGML_TYPE_I32 | sys::GGML_TYPE_I64
    );
    if name.len() >= 64 {
        return Err(format!("has a tensor name of {} bytes", name.len()));
    }
    let fits = match shape.len() {
        _ if whole_number => is_table(name),
        1 => *kind == sys::GGML_TYPE_F32,
        // Intermediate types of dot products, and f64, have no kernels for weights.
        _ => !matches!(
            *kind,
            sys::GGML_TYPE_F64 | sys::GGML_TYPE_Q8_1 | sys::GGML_TYPE_Q8_K
        ),
    };
    if !fits {
        return Err(format!(
            "has tensor {name} with {} dimensions in type {kind}, which no kernel takes",
            shape.len()
        ));
    }
    Ok(())
}

/// Whether it is a table of ids: of experts by token, or of tokens by those of a smaller vocabulary. Nothing else is
/// read as whole numbers, and what multiplies has no function for them.
fn is_table(name: &str) -> bool {
    let tables = ["d2t", "t2d"];
    let stem = name.strip_suffix(".weight").unwrap_or(name);
    tables.contains(&stem) || stem.ends_with(".ffn_gate_tid2eid")
}

/// Checks every number of `architecture.key`, and returns the largest.
fn within(
    header: &Header,
    key: &str,
    low: f64,
    high: f64,
    required: bool,
) -> std::result::Result<Option<f64>, String> {
    let Some(value) = header.of_architecture(key) else {
        return match required {
            true => Err(format!(
                "has no {}.{key}",
                header.architecture().unwrap_or_default()
            )),
            false => Ok(None),
        };
    };
    let numbers = value.numbers();
    for number in &numbers {
        if !(low..=high).contains(number) {
            return Err(format!(
                "has {key} {number}, must be between {low} and {high}"
            ));
        }
    }
    Ok(numbers.into_iter().reduce(f64::max))
}
