//! Section `model`: how positions are rotated, as a text tells that is not sure of its next word.

use serde_json::{Value, json};

use crate::Row;
use crate::common::*;
use crate::proof::wild;

/// What pocket model `a` says under those keys.
fn says(keys: &Value) -> String {
    let backend = loaded(&greedy(json!({"model": keys})));
    let c = open(&backend);
    let call = wild().to_string();
    say_with(&backend, c, "Hello, who are you?", &call)
        .unwrap()
        .to_string()
}

/// The keys of `more` change what is said under `base`.
fn differs(base: Value, more: Value) {
    let mut both = base.clone();
    both.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    assert_ne!(says(&base), says(&both), "{both}");
}

fn yarn() -> Value {
    json!({"rope_scaling": "yarn", "rope_freq_scale": 0.25})
}

pub const ROWS: &[Row] = &[
    ("model.rope_scaling", || {
        let scale = json!({"rope_freq_scale": 0.25});
        differs(scale.clone(), json!({"rope_scaling": "yarn"}));
        // What is not scaled is as it was trained, whatever the factor.
        let none = json!({"rope_scaling": "none", "rope_freq_scale": 0.25});
        assert_eq!(says(&none), says(&json!({})));
    }),
    ("model.rope_freq_base", || {
        differs(json!({}), json!({"rope_freq_base": 500}));
        assert_eq!(says(&json!({"rope_freq_base": 50000})), says(&json!({})));
    }),
    ("model.rope_freq_scale", || {
        differs(json!({}), json!({"rope_freq_scale": 0.25}));
        let tokens = |keys: Value| {
            let backend = loaded(&greedy(json!({"model": keys})));
            status(&backend, engine::StatusKind::Model)["session_tokens"].clone()
        };
        let long = json!({"ctx_size": 4096, "rope_freq_scale": 0.5});
        assert_eq!(tokens(long), 4096, "twice as far as it was trained");
        assert_eq!(tokens(json!({"ctx_size": 4096})), 2048);
    }),
    ("model.yarn_ext_factor", || {
        differs(yarn(), json!({"yarn_ext_factor": 0.25}));
    }),
    ("model.yarn_attn_factor", || {
        // With extrapolation it follows from the stretch.
        let plain = json!({"rope_scaling": "yarn", "yarn_ext_factor": 0});
        differs(plain, json!({"yarn_attn_factor": 0.5}));
    }),
    ("model.yarn_beta_fast", || {
        differs(yarn(), json!({"yarn_beta_fast": 200}));
    }),
    ("model.yarn_beta_slow", || {
        differs(yarn(), json!({"yarn_beta_slow": 20}));
    }),
    ("model.yarn_orig_ctx", || {
        differs(yarn(), json!({"yarn_orig_ctx": 128}));
    }),
];
