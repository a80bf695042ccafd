//! What a walked adapter must satisfy, beside the model that it is for: pairs of matrices that fit what they change.
//!
//! llama.cpp checks some of it when it loads an adapter, and asserts the rest when it builds a graph. Knows no file.

use std::collections::BTreeMap;

use llama_cpp_sys_2 as sys;

use super::header::{Header, Tensor, Value};
use super::rules::tensor;

type Checked = std::result::Result<(), String>;

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

/// Checks the header of an adapter for the model whose files have the headers `model`, the first one first.
pub(super) fn check(adapter: &Header, model: &[Header]) -> Checked {
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
    adapter.tensors.iter().try_for_each(tensor)?;
    let pairs = pairs(adapter)?;
    if pairs.is_empty() {
        return Err("has no pair of matrices".to_owned());
    }
    let of_model = |name: &str| {
        let mut all = model.iter().flat_map(|header| &header.tensors);
        all.find(|tensor| tensor.name == name)
    };
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
    }
    Ok(())
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
