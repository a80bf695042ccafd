//! What tests of several models ask about them.

use engine::{Backend, StatusKind};
use serde_json::{Value, json};

use super::*;

/// Small, so that several models fit into little.
pub fn small(more: Value) -> String {
    let mut config: Value = serde_json::from_str(&greedy(json!({
        "model": {"ctx_size": 512},
        "performance": {"n_parallel": 2},
        "backend": {"max_concurrent": 64},
    })))
    .unwrap();
    for (section, keys) in more.as_object().unwrap() {
        for (key, value) in keys.as_object().unwrap() {
            config[section][key] = value.clone();
        }
    }
    config.to_string()
}

/// See its name.
pub fn model(backend: &Backend) -> Value {
    status(backend, StatusKind::Model)
}

/// The model of that name in the status.
pub fn named(backend: &Backend, name: &str) -> Value {
    let models = model(backend)["models"].clone();
    let mut models = models.as_array().unwrap().iter();
    let found = models.find(|m| m["name"] == name);
    found.unwrap_or_else(|| panic!("no model {name}")).clone()
}

/// The last change of a model.
pub fn last_change(backend: &Backend) -> Value {
    model(backend)["changes"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone()
}

/// See its name.
pub fn own_name(backend: &Backend, context: u32) -> String {
    say(backend, context, "What is your name?")
        .unwrap()
        .to_string()
}
