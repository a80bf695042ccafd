//! What a walked adapter must satisfy, beside the model that it is for: pairs of matrices that fit what they change.
//!
//! llama.cpp checks some of it when it loads an adapter, and asserts the rest when it builds a graph. Knows no file.

use std::collections::BTreeMap;

use llama_cpp_sys_2 as sys;

use super::header::{Header, Tensor, Value};
use super::rules::tensor;
use super::walk::size_bytes;

/// Architectures whose graphs have room by their tensors only, where all others have more with each adapter. What is left
/// takes a pair for every tensor of the model, which is a fifth of it at most, and not one for each tensor and adapter.
const ROOMY: [&str; 13] = [
    "bailingmoe3",
    "clef",
    "deepseek4",
    "glm5-next",
    "hy_v4",
    "kimi-k3",
    "kimi-linear",
    "minimax-01",
    "minimax-m3",
    "qwen35",
    "qwen35moe",
    "qwen3next",
    "qwen4exp",
];
/// Those of them without such room: a layer is computed several times, and its pairs with it.
const FULL: [&str; 3] = ["dflash", "hrm_text", "nanbeige"];

/// How a model's table of token embeddings is called: its pair is laid out the other way round.
const EMBEDDING: &str = "token_embd.weight";
/// The matrix before the logits; a model without one uses its embeddings for it.
const OUTPUT: &str = "output.weight";

/// The two matrices for one of the model's.
#[derive(Default)]
struct Pair<'a> {
    a: Option<&'a Tensor>,
    b: Option<&'a Tensor>,
}

/// What an adapter adds to its model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pairs: usize,
    /// Of the matrices in memory.
    pub(super) bytes: u64,
}

/// Checks the header of an adapter for the model whose files have the headers `model`, the first one first. Returns what
/// it and the adapters `before` it add.
pub(super) fn check(
    adapter: &Header,
    model: &[Header],
    before: Load,
) -> std::result::Result<Load, String> {
    let text = |key: &str| match adapter.values.get(key) {
        Some(Value::Text(text)) => Ok(text.as_str()),
        _ => Err(format!("has no {key}, so it is no adapter")),
    };
    if text("general.type")? != "adapter" || text("adapter.type")? != "lora" {
        return Err("is no LoRA adapter".to_owned());
    }
    let architecture = text("general.architecture")?;
    let wanted = model.first().and_then(Header::architecture);
    if wanted != Some(architecture) {
        return Err(format!(
            "is an adapter for {architecture}, the model is {}",
            wanted.unwrap_or_default()
        ));
    }
    match adapter.values.get("adapter.lora.alpha") {
        None => {}
        Some(Value::Float(alpha)) if alpha.is_finite() => {}
        Some(_) => return Err("has an adapter.lora.alpha that is no finite f32".to_owned()),
    }
    let activated = "adapter.alora.invocation_tokens";
    if adapter.values.contains_key(activated) {
        return Err(format!(
            "is activated by tokens of the text ({activated}), which is not offered"
        ));
    }
    if FULL.contains(&architecture) {
        return Err(format!("is for {architecture}, which takes no adapter"));
    }
    adapter.tensors.iter().try_for_each(tensor)?;
    let pairs = pairs(adapter)?;
    if pairs.is_empty() {
        return Err("has no pair of matrices".to_owned());
    }
    let of_model = |name: &str| {
        let mut all = model.iter().flat_map(|header| &header.tensors);
        all.find(|tensor| tensor.name == name)
    };
    let most = match ROOMY.contains(&architecture) {
        true => model.iter().map(|header| header.tensors.len()).sum(),
        false => usize::MAX,
    };
    let mut load = before;
    load.pairs += pairs.len();
    if load.pairs > most {
        return Err(format!(
            "is one too many: with it {} matrices have adapters, a {architecture} of this size takes {most}",
            load.pairs
        ));
    }
    let is_tied = of_model(OUTPUT).is_none();
    for (name, pair) in pairs {
        let (Some(a), Some(b)) = (pair.a, pair.b) else {
            return Err(format!("has one half of a pair for {name}"));
        };
        let changed = of_model(name)
            .ok_or_else(|| format!("changes {name}, which the model does not have"))?;
        if name == EMBEDDING && is_tied {
            return Err(format!("changes {name}, which is the model's output too"));
        }
        if changed.kind == sys::GGML_TYPE_NVFP4 {
            return Err(format!("changes {name}, whose type takes no adapter"));
        }
        if !fits(a, b, changed) {
            return Err(format!(
                "has matrices of {:?} and {:?} for {name}, which is {:?}",
                a.shape, b.shape, changed.shape
            ));
        }
        let bytes = [a, b].map(|half| size_bytes(half).unwrap_or(0));
        load.bytes = bytes.into_iter().fold(load.bytes, u64::saturating_add);
    }
    Ok(load)
}

/// The tensors by what they change. Scales of norms, which llama.cpp leaves out, are left out here too.
fn pairs(adapter: &Header) -> std::result::Result<BTreeMap<&str, Pair<'_>>, String> {
    let mut pairs: BTreeMap<&str, Pair<'_>> = BTreeMap::new();
    for tensor in &adapter.tensors {
        let name = tensor.name.as_str();
        let (stem, is_a) = match (name.strip_suffix(".lora_a"), name.strip_suffix(".lora_b")) {
            (Some(stem), _) => (stem, true),
            (_, Some(stem)) => (stem, false),
            _ if name.ends_with("_norm.weight") => continue,
            _ => return Err(format!("has the tensor {name}, which is no half of a pair")),
        };
        let pair = pairs.entry(stem).or_default();
        let half = if is_a { &mut pair.a } else { &mut pair.b };
        if half.replace(tensor).is_some() {
            return Err(format!("has the tensor {name} twice"));
        }
    }
    Ok(pairs)
}

/// Whether the product of the pair has the shape of what it is added to, expert by expert.
fn fits(a: &Tensor, b: &Tensor, changed: &Tensor) -> bool {
    let [a, b, changed] = [a, b, changed].map(|tensor| {
        let mut shape = [1; 4];
        shape[..tensor.shape.len()].copy_from_slice(&tensor.shape);
        (tensor, shape)
    });
    let is_matrix = [&a, &b, &changed].iter().all(|(t, _)| t.shape.len() >= 2);
    let (name, [a, b, changed]) = (&changed.0.name, [a.1, b.1, changed.1]);
    let is_layered = a[2..] == changed[2..] && b[2..] == changed[2..];
    let meets = match name.as_str() {
        EMBEDDING => a[0] == b[0] && a[1] == changed[1] && b[1] == changed[0],
        _ => a[1] == b[0] && a[0] == changed[0] && b[1] == changed[1],
    };
    is_matrix && is_layered && meets
}
