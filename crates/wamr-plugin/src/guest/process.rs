//! The engine of the process: opened by the first load, closed when the last model goes, so that no thread of ours is
//! left then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use engine::{Backend, Options};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use super::{apart, asked, lines};
use crate::abi::Abi;
use crate::failure::Failure;
use crate::{host, native};

static OPEN: Mutex<Weak<Backend>> = Mutex::new(Weak::new());

/// The operator says what is logged, and no guest changes it.
static OWN_LOG: AtomicBool = AtomicBool::new(false);

/// What the operator of the host says: an engine configuration as JSON, or `@` and the path of a file with one.
const CONFIG: &str = "WASI_NN_LLAMACPP_CONFIG";

/// What is logged as long as nobody says.
const LOG: &str = r#"{"level": "warn"}"#;

/// The engine, opened if it is not. Errors: `Runtime` where the operator's configuration cannot be used.
pub fn open() -> Result<Arc<Backend>, Failure> {
    let loses_contexts = host::verdict().abi != Some(Abi::B) && native::runtime().is_none();
    // Held while it is opened, which takes a thread and no model: two at once would share no memory budget.
    let mut open = OPEN.lock();
    if let Some(backend) = open.upgrade() {
        return Ok(backend);
    }
    let filter = std::env::var("RUST_LOG").ok();
    let own = own(std::env::var(CONFIG).ok().as_deref())?;
    let has_own_log = filter.is_some() || own.contains_key("logging");
    OWN_LOG.store(has_own_log, Ordering::Relaxed);
    let config = configuration(own, filter.is_some(), loses_contexts);
    let text = config.to_string();
    let options = Options {
        config: Some(text.as_bytes()),
        run_inference_args: None,
        log_filter: filter.as_deref(),
    };
    let opened = Backend::open(options).map_err(|e| Failure::Runtime(format!("{CONFIG}: {e}")))?;
    let backend = opened.share();
    *open = Arc::downgrade(&backend);
    drop(open);
    asked::reset();
    lines::flush(&backend);
    Ok(backend)
}

/// An engine whose log takes a line, and which goes with it unless a load comes meanwhile. Where the operator's
/// configuration cannot be used, it is one without: that is what the line tells.
pub fn open_for_log() -> Option<Arc<Backend>> {
    // A guest's stack may be too small for the configuration.
    let opened = apart::run(open).or_else(|_| {
        let config = format!("{{\"logging\": {LOG}}}");
        Backend::open(Options {
            config: Some(config.as_bytes()),
            ..Options::default()
        })
        .map(Backend::share)
    });
    opened.ok()
}

/// The engine if it is open.
pub fn current() -> Option<Arc<Backend>> {
    OPEN.lock().upgrade()
}

/// Whether the operator has said what is logged.
pub fn is_log_the_operators() -> bool {
    OWN_LOG.load(Ordering::Relaxed)
}

/// What the operator says, read from the text of [`CONFIG`].
fn own(text: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(Map::new());
    };
    let wrong = |what: String| Failure::Runtime(format!("{CONFIG}: {what}"));
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(|e| wrong(format!("{path}: {e}")))?,
        None => text.to_owned(),
    };
    serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))
}

/// What the engine is opened with: what guests need, and the operator's word over it.
/// `loses_contexts`: the host does not say of all that they have ended.
fn configuration(own: Map<String, Value>, is_filtered: bool, loses_contexts: bool) -> Value {
    let mut config = json!({
        // Guests are bounded by memory, not by a number of conversations; each waits for its answer in its own thread.
        "backend": {
            "max_concurrent": 4096,
            "queue_size": 10_000,
            "default_task_timeout_ms": 3_600_000,
            // Hosts of A lose contexts, so that idle ones must make room. Elsewhere nobody takes a guest's own from it.
            "auto_cleanup": loses_contexts,
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
        config["logging"] = serde_json::from_str(LOG).unwrap_or_default();
    }
    lay_over(&mut config, own);
    config
}

fn lay_over(config: &mut Value, own: Map<String, Value>) {
    for (key, value) in own {
        match (config.get_mut(&key), value) {
            (Some(base @ Value::Object(_)), Value::Object(own)) => lay_over(base, own),
            (_, value) => config[&key] = value,
        }
    }
}

/// What models may take, in MiB: three quarters of the memory that this process could ever have. Hosts of the old ABI
/// leak graphs, whose models sleep then.
pub fn budget() -> Option<u64> {
    engine::total_memory().map(share)
}

/// Three quarters of so many bytes, in MiB.
fn share(bytes: u64) -> u64 {
    (bytes >> 20) * 3 / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_word_goes_over_ours_key_by_key() {
        let text = r#"{"backend": {"queue_size": 7}, "logging": {"level": "none"}}"#;
        let config = configuration(own(Some(text)).unwrap(), false, false);
        assert_eq!(config["backend"]["queue_size"], 7);
        assert_eq!(config["backend"]["max_concurrent"], 4096);
        assert_eq!(config["logging"]["level"], "none");
    }

    #[test]
    fn idle_contexts_make_room_where_a_host_may_have_lost_them() {
        let is_cleaned = |text: &str, loses_contexts| {
            let config = configuration(own(Some(text)).unwrap(), false, loses_contexts);
            config["backend"]["auto_cleanup"].clone()
        };
        assert_eq!(is_cleaned("", false), false);
        assert_eq!(is_cleaned("", true), true);
        let said = r#"{"backend": {"auto_cleanup": true}}"#;
        assert_eq!(is_cleaned(said, false), true);
    }

    #[test]
    fn without_a_word_of_the_operator_warnings_are_logged() {
        let logging =
            |is_filtered| configuration(Map::new(), is_filtered, false)["logging"].clone();
        assert_eq!(logging(false), json!({"level": "warn"}));
        assert_eq!(logging(true), Value::Null);
    }

    #[test]
    fn models_may_take_three_quarters_of_what_this_process_could_have() {
        assert_eq!(share(8 << 30), 6 << 10);
        assert_eq!(share((512 << 20) + 7), 384);
        // The engine's own number, which knows limits of control groups.
        let total = engine::total_memory().unwrap();
        assert_eq!(budget(), Some(share(total)));
        let config = configuration(Map::new(), false, false);
        assert_eq!(config["backend"]["max_model_memory_mb"], share(total));
    }

    #[test]
    fn what_is_no_object_is_refused_by_name() {
        for text in ["[]", "{", "@/nowhere/at/all"] {
            let failure = own(Some(text)).unwrap_err();
            assert!(failure.to_string().starts_with(CONFIG), "{failure}");
        }
    }
}
