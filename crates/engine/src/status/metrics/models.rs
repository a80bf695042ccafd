//! Figures of the library and of what it has loaded.

use super::super::exposition::Kind::{Counter, Gauge};
use super::Family;

/// The rows, in the order of the page.
pub static ROWS: &[Family] = &[
    Family::new(
        Gauge,
        "wasi_nn_build_info",
        &["version", "llama_cpp"],
        "1, with the versions of the library and of llama.cpp.",
        |f, out| out.put(&[env!("CARGO_PKG_VERSION"), &f.model.llama_cpp], 1u64),
    ),
    Family::new(
        Gauge,
        "wasi_nn_uptime_seconds",
        &[],
        "Time since init.",
        |f, out| out.put(&[], seconds(f.performance.uptime_ms)),
    ),
    Family::new(
        Gauge,
        "wasi_nn_model_loaded",
        &[],
        "1 while the current model is loaded: the one of plain loads, else the last one.",
        |f, out| out.put(&[], f.model.loaded),
    ),
    Family::new(
        Gauge,
        "wasi_nn_model_info",
        &["graph", "file", "name", "architecture", "quantisation"],
        "1, with what the current model is.",
        |f, out| {
            if let (Some(graph), Some(model)) = (f.model.graph, &f.model.described) {
                let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
                let (graph, file) = (graph.to_string(), f.model.file.unwrap_or_default());
                let (name, architecture) = (or_none(&model.name), or_none(&model.architecture));
                out.put(
                    &[&graph, file, &name, &architecture, &model.quantisation],
                    1u64,
                );
            }
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_model_uptime_seconds",
        &[],
        "Time since the engine thread of the model started; 0 without one.",
        |f, out| out.put(&[], seconds(f.performance.model_uptime_ms)),
    ),
    Family::new(
        Gauge,
        "wasi_nn_model_version",
        &["model", "label", "state"],
        "Number of the version of each model, with its label and what it is doing.",
        |f, out| {
            for model in &f.model.models {
                let label = model.label.as_deref().unwrap_or_default();
                let number = model.version.unwrap_or(0);
                out.put(&[&model.name, label, model.state.name()], number);
            }
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_model_turns",
        &["model", "state"],
        "Turns that wait for each model, and that run on it.",
        |f, out| {
            for model in &f.model.models {
                out.put(&[&model.name, "waiting"], model.waiting);
                out.put(&[&model.name, "running"], model.running);
            }
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_model_bytes",
        &["model", "kind"],
        "Weights of each model, which models of one file share, and its KV cells and compute buffers.",
        |f, out| {
            for model in &f.model.models {
                out.put(&[&model.name, "weights"], model.weights_bytes);
                out.put(&[&model.name, "buffers"], model.buffer_bytes);
            }
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_model_draining",
        &["model"],
        "Versions of each model that were replaced and still have turns.",
        |f, out| {
            for model in &f.model.models {
                out.put(&[&model.name], model.draining.len() as u64);
            }
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_model_changes_total",
        &["outcome"],
        "Changes of models since init, by how they ended.",
        |f, out| {
            for (outcome, count) in f.model.changes_total.each() {
                out.put(&[outcome], count);
            }
        },
    ),
];

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
