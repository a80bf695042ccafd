//! A graph as a guest holds it: a model with the guest's configuration.

use std::sync::Arc;

use super::models::Model;
use super::settings::Settings;
use super::source::Source;
use super::{NAMES, asked};
use crate::failure::Failure;

/// A model with a configuration.
pub struct Graph {
    /// Where the model comes from; another configuration may need it again.
    pub source: Source,
    /// The model as the configuration wants it.
    pub model: Arc<Model>,
    /// The configuration.
    pub settings: Settings,
}

impl Graph {
    /// Loads it for the instance `maker`. Errors: those of the configuration and of the load.
    pub fn load(maker: u32, source: Source, config: &[u8]) -> Result<Graph, Failure> {
        let settings = Settings::read(config, &NAMES, &source)?;
        let model = Model::get(maker, &source, &settings)?;
        let options = &settings.options;
        asked::ask(&model.backend, options.enable_log, options.enable_debug_log);
        Ok(Graph {
            source,
            model,
            settings,
        })
    }
}
