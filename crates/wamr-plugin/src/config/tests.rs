//! Tests of the whole way from a guest's text to what is wanted.

mod form;
mod meaning;
mod table;

use serde_json::{Value, json};

use super::{Fault, Wanted, Written};

/// Stands for the engine's schema: some keys of every section.
fn known(path: &str) -> bool {
    [
        "model.warmup",
        "model.version",
        "model.chat_template",
        "model.system_prompt",
        "sampling.samplers",
        "sampling.deterministic",
        "sampling.tfs_z",
        "stopping.stop_regex",
        "stopping.timeout_config",
        "memory.cache_prompt",
        "memory.n_discard",
        "memory.spill_dir",
        "memory.max_memory_mb",
        "performance.kv_mode",
        "performance.slow_step_ms",
        "model.split_seed",
    ]
    .contains(&path)
}

fn settle(text: &str) -> Result<Wanted, Fault> {
    Written::parse(text.as_bytes())?.settle(&known)
}

fn wanted(text: &str) -> Wanted {
    settle(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
}

/// What both documents say beyond those of an empty text, as `{"model": .., "call": ..}`; null: no longer said.
fn difference(wanted: &Wanted) -> Value {
    let plain = wanted_of_nothing();
    json!({
        "model": beyond(&plain.model, &wanted.model),
        "call": beyond(&plain.call, &wanted.call),
    })
}

fn wanted_of_nothing() -> Wanted {
    wanted("{}")
}

fn beyond(base: &Value, value: &Value) -> Value {
    let (Some(base), Some(object)) = (base.as_object(), value.as_object()) else {
        return value.clone();
    };
    let mut out = serde_json::Map::new();
    for (key, value) in object {
        match base.get(key) {
            Some(same) if same == value => {}
            Some(other) => {
                out.insert(key.clone(), beyond(other, value));
            }
            None => {
                out.insert(key.clone(), value.clone());
            }
        }
    }
    for key in base.keys().filter(|key| !object.contains_key(*key)) {
        out.insert(key.clone(), Value::Null);
    }
    out.into()
}
