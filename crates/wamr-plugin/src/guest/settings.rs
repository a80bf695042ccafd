//! A guest's configuration as the engine is given it.

use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};

use super::note;
use super::open::Identity;
use super::source::Source;
use crate::config::{Fault, Options, Wanted, Written};
use crate::failure::Failure;
use crate::names::{Names, Target};

/// What a guest wrote, and what it comes to. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Settings {
    written: Arc<Written>,
    /// The engine's configuration of the load.
    pub model: Arc<str>,
    /// The adapters that it names, held open.
    pub adapters: Arc<[Source]>,
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
            of.adapters.iter().map(|file| file.identity).collect()
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
            call,
            options,
            warnings,
        } = written.settle(&is_known)?;
        if options.mmproj.is_some() || !options.image.is_empty() {
            return Err(Failure::Unsupported(
                "mmproj and image: this build has no multimodal projector".into(),
            ));
        }
        for warning in warnings.iter().filter(|text| !warned.contains(text)) {
            note(log::Level::Warn, warning);
        }
        let adapters = place_adapters(&mut model, names)?;
        if source.target == Target::Cpu && model["model"].get("n_gpu_layers").is_none() {
            model["model"]["n_gpu_layers"] = json!(0);
        }
        Ok(Settings {
            written: Arc::new(written),
            model: model.to_string().into(),
            adapters: adapters.into(),
            call: call.to_string().into_bytes().into(),
            options: Arc::new(options),
            warned: warnings.into(),
        })
    }
}

/// Adapters are files like models: they are found by the same policy, and read as often.
fn place_adapters(model: &mut Value, names: &Names) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    let adapters = model
        .pointer_mut("/model/lora")
        .and_then(Value::as_array_mut);
    for adapter in adapters.into_iter().flatten() {
        let path = adapter["path"].as_str().unwrap_or_default();
        let source = Source::adapter(names, path)?;
        adapter["path"] = source.path.display().to_string().into();
        sources.push(source);
    }
    Ok(sources)
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
