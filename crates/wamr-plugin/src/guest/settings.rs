//! A guest's configuration as the engine is given it.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::note;
use super::open::Identity;
use super::source::Source;
use crate::config::{Fault, Options, Wanted, Written};
use crate::failure::Failure;
use crate::names::{Names, Policy, Target};

/// Lines that are written about one configuration and those laid over it; a guest can make up any number.
const MOST_WARNINGS: usize = 64;

/// What a guest wrote, and what it comes to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Settings {
    written: Arc<Written>,
    /// The engine's configuration of the load.
    pub model: Arc<str>,
    /// The adapters and the projector that it names, held open.
    pub files: Arc<[Source]>,
    /// The engine's configuration of each call.
    pub call: Arc<[u8]>,
    /// What the plugin does itself.
    pub options: Arc<Options>,
    /// What was written without effect, which was said once.
    warned: Arc<[String]>,
}

impl Settings {
    /// Reads a configuration. Errors: `InvalidEncoding` where it is no JSON object; `InvalidArgument` naming key and
    /// value; `Unsupported` for what the plugin does not do.
    pub fn read(text: &[u8], names: &Names, source: &Source) -> Result<Settings, Failure> {
        Settings::settle(Written::parse(text)?, names, source, &[])
    }

    /// This with another text laid over it. Errors: as [`Settings::read`].
    pub fn with(&self, text: &[u8], names: &Names, source: &Source) -> Result<Settings, Failure> {
        let written = Written::parse(text)?.over(&self.written);
        Settings::settle(written, names, source, &self.warned)
    }

    /// Whether a model that was loaded for `other` serves this.
    pub fn has_model_of(&self, other: &Settings) -> bool {
        let files = |of: &Settings| -> Vec<Identity> {
            of.files.iter().map(|file| file.identity).collect()
        };
        self.model == other.model && files(self) == files(other)
    }

    /// `warned`: what was said of it before.
    fn settle(
        written: Written,
        names: &Names,
        source: &Source,
        warned: &[String],
    ) -> Result<Settings, Failure> {
        let Wanted {
            mut model,
            mut call,
            options,
            mut warnings,
        } = written.settle(&is_known)?;
        let mut files = place_adapters(&mut model, names)?;
        files.extend(place_projector(
            &mut model,
            options.mmproj.as_deref(),
            names,
        )?);
        warnings.extend(stay_on_cpu(&mut model, source.target));
        warnings.extend(stay_in_line(&mut call, names.policy()));
        let mut said = warned.to_vec();
        for warning in warnings {
            if !said.contains(&warning) && said.len() < MOST_WARNINGS {
                note(log::Level::Warn, &warning);
                said.push(warning);
            }
        }
        Ok(Settings {
            written: Arc::new(written),
            model: model.to_string().into(),
            files: files.into(),
            call: call.to_string().into_bytes().into(),
            options: Arc::new(options),
            warned: said.into(),
        })
    }
}

/// Keeps a model where its registration puts it: that is the operator's word. Returns what is to be said of it.
fn stay_on_cpu(model: &mut Value, target: Target) -> Option<String> {
    if target != Target::Cpu {
        return None;
    }
    let layers = model["model"]["n_gpu_layers"].take();
    model["model"]["n_gpu_layers"] = json!(0);
    let is_other = !layers.is_null() && layers != 0;
    is_other
        .then(|| format!("n-gpu-layers is {layers}, taken as 0: the model is registered for CPU"))
}

/// Guests of strangers do not go before each other. Returns what is to be said of it.
fn stay_in_line(call: &mut Value, policy: Policy) -> Option<String> {
    let is_early = |class: &Value| ["high", "urgent"].iter().any(|early| class == early);
    let class = call.get_mut("priority").filter(|class| is_early(class))?;
    if policy == Policy::Path {
        return None;
    }
    let said = format!("priority is {class}, taken as normal: others share this engine");
    *class = json!("normal");
    Some(said)
}

/// Adapters are files like models: they are found by the same policy, and read as often.
fn place_adapters(model: &mut Value, names: &Names) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let adapters = model
        .pointer_mut("/model/lora")
        .and_then(Value::as_array_mut);
    for adapter in adapters.into_iter().flatten() {
        let path = adapter["path"].as_str().unwrap_or_default();
        let source = Source::beside(names, path)?;
        adapter["path"] = source.path.display().to_string().into();
        sources.push(source);
    }
    Ok(sources)
}

/// So is the projector. What stands in its place is not handed on: it would be a path that nobody has judged.
fn place_projector(
    model: &mut Value,
    path: Option<&str>,
    names: &Names,
) -> Result<Option<Source>, Failure> {
    if let Some(model) = model.get_mut("model").and_then(Value::as_object_mut) {
        model.remove("mmproj");
    }
    let Some(path) = path else { return Ok(None) };
    let source = Source::beside(names, path)?;
    model["model"]["mmproj"] = source.path.display().to_string().into();
    Ok(Some(source))
}

/// Whether the engine has a key with this dotted path.
fn is_known(path: &str) -> bool {
    static SCHEMA: LazyLock<Value> = LazyLock::new(engine::config_schema);
    let Some((section, key)) = path.split_once('.') else {
        return SCHEMA["properties"].get(path).is_some();
    };
    // What lies deeper is judged with its group.
    let key = key.split('.').next().unwrap_or(key);
    SCHEMA["$defs"][section]["properties"].get(key).is_some()
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        match fault {
            Fault::Broken(text) => Failure::InvalidEncoding(text),
            Fault::Wrong(text) => Failure::InvalidArgument(text),
            Fault::Unsupported(text) => Failure::Unsupported(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::tests::Root;
    use super::*;

    #[test]
    fn a_model_that_is_registered_for_the_cpu_stays_there() {
        let check = |target, model: Value, expect: Value, is_told: bool| {
            let mut model = json!({"model": model});
            let said = stay_on_cpu(&mut model, target);
            assert_eq!(model["model"], expect);
            assert_eq!(said.is_some(), is_told, "{said:?}");
        };
        check(Target::Cpu, json!({}), json!({"n_gpu_layers": 0}), false);
        let (all, none) = (json!({"n_gpu_layers": 99}), json!({"n_gpu_layers": 0}));
        check(Target::Cpu, all.clone(), none.clone(), true);
        check(Target::Cpu, none.clone(), none, false);
        check(Target::Gpu, all.clone(), all.clone(), false);
        check(Target::Auto, all.clone(), all, false);
    }

    #[test]
    fn a_projector_is_the_one_that_was_judged() {
        let names = Names::read(None, None, None).0;
        let place = |model: Value, path| {
            let mut model = json!({"model": model});
            let source = place_projector(&mut model, path, &names)?;
            Ok::<_, Failure>((source.map(|source| source.path), model["model"].clone()))
        };
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let (source, model) = place(json!({}), Some(manifest)).unwrap();
        assert_eq!(source.unwrap(), std::path::Path::new(manifest));
        assert_eq!(model, json!({"mmproj": manifest}));
        let (source, model) = place(json!({"mmproj": "/etc/passwd"}), None).unwrap();
        assert_eq!((source, model), (None, json!({})));
        let nowhere = place(json!({}), Some("/nowhere.gguf")).unwrap_err();
        assert!(matches!(nowhere, Failure::ModelNotFound(_)), "{nowhere}");
        let root = Names::read(None, Some(env!("CARGO_MANIFEST_DIR")), None).0;
        let refused = place_projector(&mut json!({"model": {}}), Some("/etc/passwd"), &root);
        assert!(matches!(refused, Err(Failure::Refused(_))));
    }

    #[test]
    fn only_guests_of_ones_own_go_first() {
        let check = |policy, class: &str, expect: &str| {
            let mut call = json!({"priority": class});
            let said = stay_in_line(&mut call, policy);
            assert_eq!(call["priority"], expect);
            assert_eq!(said.is_some(), class != expect);
        };
        check(Policy::Path, "urgent", "urgent");
        for policy in [Policy::Root, Policy::Registry] {
            check(policy, "urgent", "normal");
            check(policy, "high", "normal");
            check(policy, "low", "low");
            assert_eq!(stay_in_line(&mut json!({}), policy), None);
        }
    }

    #[test]
    fn an_adapter_is_held_open_and_another_file_of_its_name_is_another_model() {
        let root = Root::new("adapter");
        let names = root.names();
        let source = Source::named(&names, "m").unwrap();
        let read = || Settings::read(br#"{"lora": "m"}"#, &names, &source).unwrap();
        let (one, other) = (read(), read());
        assert!(one.has_model_of(&other));
        root.exchange();
        assert!(!one.has_model_of(&read()));
        drop(other);
        let model: Value = serde_json::from_str(&one.model).unwrap();
        let path = model["model"]["lora"][0]["path"].as_str().unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "GGUF and more");
    }

    #[test]
    fn each_warning_is_written_once_whatever_comes_between() {
        let names = Names::read(None, None, None).0;
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/pocket-a.gguf");
        let source = Source::named(&names, manifest).unwrap();
        let first = Settings::read(br#"{"no-such-key": 1}"#, &names, &source).unwrap();
        assert_eq!(first.warned.len(), 1);
        let then = first.with(br#"{"no-such-key": null, "port": 80}"#, &names, &source);
        let then = then.unwrap();
        assert_eq!(then.warned.len(), 2, "{:?}", then.warned);
        let again = then.with(br#"{"no-such-key": 1, "port": null}"#, &names, &source);
        assert_eq!(again.unwrap().warned, then.warned);
    }
}
