//! The engine of the process: opened by the first load, closed when the last model goes, so that no thread of ours is
//! left then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use engine::{Backend, Options};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::lines;
use crate::failure::Failure;

static OPEN: Mutex<Weak<Backend>> = Mutex::new(Weak::new());

/// The operator says what is logged, and no guest changes it.
static OWN_LOG: AtomicBool = AtomicBool::new(false);

/// What the operator of the host says: an engine configuration as JSON, or `@` and the path of a file with one.
const CONFIG: &str = "WASI_NN_LLAMACPP_CONFIG";

/// The engine, opened if it is not. Errors: `Runtime` where the operator's configuration cannot be used.
pub fn open() -> Result<Arc<Backend>, Failure> {
    // Held while it is opened, which takes a thread and no model: two at once would share no memory budget.
    let mut open = OPEN.lock();
    if let Some(backend) = open.upgrade() {
        return Ok(backend);
    }
    let filter = std::env::var("RUST_LOG").ok();
    let config = configuration(std::env::var(CONFIG).ok().as_deref(), filter.is_some())?;
    let has_own_log = filter.is_some() || config["logging"] != default_log();
    OWN_LOG.store(has_own_log, Ordering::Relaxed);
    let text = config.to_string();
    let options = Options {
        config: Some(text.as_bytes()),
        run_inference_args: None,
        log_filter: filter.as_deref(),
    };
    let opened = Backend::open(options).map_err(|e| Failure::Runtime(format!("{CONFIG}: {e}")))?;
    let backend = Arc::new(opened);
    *open = Arc::downgrade(&backend);
    drop(open);
    lines::attach(&backend);
    Ok(backend)
}

/// The engine if it is open.
pub fn current() -> Option<Arc<Backend>> {
    OPEN.lock().upgrade()
}

/// Whether the operator has said what is logged.
pub fn is_log_the_operators() -> bool {
    OWN_LOG.load(Ordering::Relaxed)
}

/// What is logged as long as nobody says.
fn default_log() -> Value {
    json!({"level": "warn"})
}

/// What the engine is opened with: what guests need, and the operator's word over it.
fn configuration(text: Option<&str>, is_filtered: bool) -> Result<Value, Failure> {
    let mut config = json!({
        // Guests are bounded by memory, not by a number of conversations; each waits for its answer in its own thread.
        "backend": {
            "max_concurrent": 4096,
            "queue_size": 10_000,
            "default_task_timeout_ms": 3_600_000,
        },
        // -1 cannot be said by a call.
        "model": {"n_predict": -1},
        "memory": {
            // `cached_tokens` and times would tell a guest what others have said.
            "enable_token_cache_reuse": false,
            "max_cache_tokens": 0,
        },
    });
    if let Some(budget) = budget() {
        config["backend"]["max_model_memory_mb"] = budget.into();
    }
    if !is_filtered {
        config["logging"] = default_log();
    }
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(config);
    };
    let wrong = |what: String| Failure::Runtime(format!("{CONFIG}: {what}"));
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|e| wrong(format!("{path}: {e}")))?,
        None => text.to_owned(),
    };
    let own: Map<String, Value> = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    lay_over(&mut config, own);
    Ok(config)
}

fn lay_over(config: &mut Value, own: Map<String, Value>) {
    for (key, value) in own {
        match (config.get_mut(&key), value) {
            (Some(base @ Value::Object(_)), Value::Object(own)) => lay_over(base, own),
            (_, value) => config[&key] = value,
        }
    }
}

/// Three quarters of the machine's memory in MiB: hosts of the old ABI leak graphs, whose models sleep then.
pub fn budget() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024 * 3 / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_word_goes_over_ours_key_by_key() {
        let text = r#"{"backend": {"queue_size": 7}, "logging": {"level": "none"}}"#;
        let config = configuration(Some(text), false).unwrap();
        assert_eq!(config["backend"]["queue_size"], 7);
        assert_eq!(config["backend"]["max_concurrent"], 4096);
        assert_eq!(config["logging"]["level"], "none");
    }

    #[test]
    fn what_is_no_object_is_refused_by_name() {
        for text in ["[]", "{", "@/nowhere/at/all"] {
            let failure = configuration(Some(text), true).unwrap_err();
            assert!(failure.to_string().starts_with(CONFIG), "{failure}");
        }
    }
}
