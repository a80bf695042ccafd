//! What a file would be as a model, found out without its tensors.

use std::sync::Arc;

use super::identity;
use super::label::label;
use super::load::{files, init};
use super::profile::{Profile, Sizes, Vocabulary};
use super::room::Bytes;
use super::shape::{self, Beside, context_params, embedding_params, model_params};
use super::source::Source;
use super::weights;
use crate::config::Config;
use crate::error::Result;
use crate::llama::{Model, Vocab, context};

/// A file that was looked at.
pub struct Survey {
    /// What the model is.
    pub profile: Profile,
    /// The label that the version would have.
    pub label: String,
    /// Equal for versions that share their weights.
    pub shelf: u64,
    /// What it takes.
    pub bytes: Bytes,
    /// Its vocabulary.
    pub vocab: Vocab,
    /// Its weights are in memory.
    pub is_loaded: bool,
    /// The chat template that it brings.
    pub own_template: Option<String>,
}

/// Looks at `source` as `bring_up` would load it under `config`. Errors: `Load` with the reason.
pub fn survey(source: &Source, config: &Config, beside: Beside) -> Result<Survey> {
    init(config);
    let files = files(source.path(), config)?;
    let identity = identity::of(&files)?;
    let params = model_params(&config.model);
    let outline = Arc::new(Model::outline(source.path(), &params)?);
    let mut notes = Vec::new();
    let plan = shape::plan(config, &outline, beside, &mut notes);
    let shape = context_params(config, &outline, &plan, beside, &mut notes);
    let mut memory = context::measure(&outline, &shape)?;
    if let Some(embedding) = embedding_params(config, &plan, &shape) {
        let beside = context::measure(&outline, &embedding)?;
        memory.context += beside.context;
        memory.compute += beside.compute;
    }
    let sizes = Sizes {
        session_tokens: plan.session_tokens,
        disk_bytes: identity::bytes(&files)?,
        memory: [memory.model, memory.context, memory.compute],
        cache_types: [shape.type_k, shape.type_v],
    };
    let vocab = outline.vocab();
    let vocabulary = Vocabulary::of(&outline, &vocab);
    let template = config.model.chat_template.as_deref();
    Ok(Survey {
        profile: Profile::of(&outline, vocabulary, template, &sizes),
        label: label(config, &outline, source, &files)?,
        shelf: weights::shelf_number(identity, &params),
        bytes: Bytes {
            weights: memory.model,
            own: memory.context + memory.compute,
        },
        vocab,
        is_loaded: weights::are_loaded(identity, &params),
        own_template: outline.chat_template(None),
    })
}
