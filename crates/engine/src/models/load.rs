//! From a file or bytes to weights and an execution context that has proved to work.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::label::label;
use super::profile::{Profile, Sizes, Vocabulary};
use super::shape::{self, Beside, Plan, context_params, model_params};
use super::source::Source;
use super::vision::{Graphs, Vision};
use super::{identity, weights};
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::llama::{self, Context, ContextParams, Model, Numa, gguf};

/// Prompt tokens that a deterministic turn evaluates in one call at most.
const PIECE: u32 = 64;

/// A model that is ready to serve.
pub struct Brought {
    /// Its weights.
    pub weights: Arc<Model>,
    /// Its execution memory.
    pub context: Context,
    /// The one that embeds, if the configuration wants one.
    pub embedding: Option<Context>,
    /// It generates. An encoder does not, and only embeds.
    pub generates: bool,
    /// Makes another context like it.
    pub again: Arc<dyn Fn() -> Result<Context> + Send + Sync>,
    /// Makes a context of its own for one deterministic turn at a time.
    pub spare: Arc<dyn Fn() -> Result<Context> + Send + Sync>,
    /// How it reads images, where it has a projector.
    pub vision: Option<Vision>,
    /// What was decided about it.
    pub plan: Plan,
    /// Tells its file from all others.
    pub identity: u64,
    /// Equal for versions that share their weights.
    pub shelf: u64,
    /// The types of cached keys and values.
    pub cache_types: [&'static str; 2],
    /// What it is, for comparison with others.
    pub profile: Profile,
    /// The version's label: as given, or of the model's name and content.
    pub label: String,
    /// How long it took.
    pub load_time: Duration,
    /// Values that were adapted to the model, in words.
    pub notes: Vec<String>,
}

/// Initialises llama.cpp as the first configuration wants it.
pub fn init(config: &Config) {
    llama::runtime::init_numa(match config.model.numa {
        config::Numa::Off => Numa::Disabled,
        config::Numa::Distribute => Numa::Distribute,
        config::Numa::Isolate => Numa::Isolate,
        config::Numa::Numactl => Numa::Numactl,
    });
}

/// Loads `source` under `config`, creates its context and decodes one token in it.
///
/// Weights that are in memory already are shared. `progress`: called with 0 to 1 while the weights are read; false
/// cancels. Errors: `Load` with the reason.
pub fn bring_up(
    source: &Source,
    config: &Config,
    beside: Beside,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Brought> {
    let begun = Instant::now();
    init(config);
    let path = source.path();
    let files = files(path, config)?;
    let before = identity::of(&files)?;
    let how = model_params(&config.model);
    let weights = weights::load(path, before, &how, progress)?;
    let mut notes = Vec::new();
    let plan = shape::plan(config, &weights, beside, &mut notes);
    let params = context_params(config, &weights, &plan, beside, &mut notes);
    let embedding = shape::embedding_params(config, &plan, &params);
    let (mut context, params, generates) = match create(&weights, &plan, params.clone(), &mut notes)
    {
        Ok((context, params)) => (context, params, true),
        Err(Error::Unsupported(_)) if embedding.is_some() => {
            let params = shape::idle_params(config, &params);
            (Context::new(weights.clone(), &params)?, params, false)
        }
        Err(error) => return Err(error),
    };
    if generates {
        probe(&weights, &mut context)?;
    }
    context.set_threads(plan.threads)?;
    let embedding = embedding.map(|params| embedder(&weights, &params));
    let embedding = embedding.transpose()?;
    note_budget(config, &context, &mut notes);
    let graphs = Graphs {
        shared: context.n_ubatch() as usize,
        single: PIECE.min(plan.session_tokens) as usize,
    };
    let projector = config.model.mmproj.as_deref().map(Path::new);
    let vision = projector
        .map(|path| Vision::open(path, &weights, plan.threads.batch, graphs))
        .transpose()?;
    // What was exchanged while it was read is taken for something new.
    let identity = match identity::of(&files)? {
        after if after == before => after,
        _ => identity::unique(),
    };
    llama::exit::guard();
    let cache_types = [params.type_k.name(), params.type_v.name()];
    let again = {
        let (weights, params, threads) = (weights.clone(), params.clone(), plan.threads);
        Arc::new(move || {
            let mut context = Context::new(weights.clone(), &params)?;
            context.set_threads(threads)?;
            Ok(context)
        })
    };
    let spare = {
        let weights = weights.clone();
        let params = ContextParams {
            is_shy: false,
            n_ctx: plan.session_tokens,
            n_batch: PIECE,
            n_ubatch: PIECE,
            n_seq_max: 1,
            n_outputs_max: 1,
            kv_unified: true,
            ..params
        };
        Arc::new(move || Context::new(weights.clone(), &params))
    };
    let memory = context.memory();
    let beside = embedding.as_ref().map(Context::memory);
    let [cells, scratch] = beside.map_or([0; 2], |bytes| [bytes.context, bytes.compute]);
    let sizes = Sizes {
        session_tokens: plan.session_tokens,
        disk_bytes: identity::bytes(&files)?,
        memory: [
            memory.model,
            memory.context + cells,
            memory.compute + scratch,
        ],
        cache_types: [params.type_k, params.type_v],
    };
    let vocabulary = Vocabulary::of(&weights, &weights.vocab());
    let template = config.model.chat_template.as_deref();
    Ok(Brought {
        profile: Profile::of(&weights, vocabulary, template, &sizes),
        label: label(config, &weights, source, &files)?,
        weights,
        context,
        embedding,
        generates,
        again,
        spare,
        vision,
        plan,
        identity,
        shelf: weights::shelf_number(before, &how),
        cache_types,
        load_time: begun.elapsed(),
        notes,
    })
}

/// The files of the model at `path` and of its adapters, all of them checked. What they hold tells it from others.
///
/// Errors: `Load`, with the file that is missing or wrong.
pub fn files(path: &Path, config: &Config) -> Result<Vec<PathBuf>> {
    let adapters = shape::adapters(&config.model);
    let mut files = gguf::check(path, &adapters)?.files;
    files.extend(adapters);
    Ok(files)
}

/// Creates the context. Where the system does not have the memory after all, with half of the cells, and so on.
fn create(
    weights: &Arc<Model>,
    plan: &Plan,
    mut params: ContextParams,
    notes: &mut Vec<String>,
) -> Result<(Context, ContextParams)> {
    loop {
        match Context::new(weights.clone(), &params) {
            Ok(context) => return Ok((context, params)),
            Err(error) if !plan.unified || params.n_ctx <= plan.session_tokens => {
                return Err(error);
            }
            Err(error) => {
                params.n_ctx = (params.n_ctx / 2).max(plan.session_tokens);
                params.n_batch = params.n_batch.min(params.n_ctx);
                params.n_ubatch = params.n_ubatch.min(params.n_batch);
                notes.push(format!("trying {} KV cells: {error}", params.n_ctx));
            }
        }
    }
}

/// A budget that the model alone exceeds is told: cells and compute buffers stay as they are while it is loaded.
fn note_budget(config: &Config, context: &Context, notes: &mut Vec<String>) {
    let budget = u64::from(config.memory.max_memory_mb) << 20;
    let memory = context.memory();
    let needed = memory.context + memory.compute;
    if budget > 0 && needed > budget {
        let note = format!(
            "memory.max_memory_mb: {} MiB are less than the {} MiB that KV cells and compute buffers take",
            budget >> 20,
            needed.div_ceil(1 << 20)
        );
        log::warn!(target: "memory", "{note}");
        notes.push(note);
    }
}

/// Makes the context that embeds, and embeds one token: what cannot be embedded fails here and not at the first text.
fn embedder(weights: &Arc<Model>, params: &ContextParams) -> Result<Context> {
    let mut context = Context::new(weights.clone(), params)?;
    let token = weights.vocab().bos().unwrap_or(llama::Token(0));
    match context.embed(&[token], &|| false) {
        Ok(_) => Ok(context),
        Err(failure) => Err(Error::Load(format!(
            "the model does not embed: {failure:?}"
        ))),
    }
}

/// Decodes one token, so that a model that loads but cannot compute fails here and not in a turn.
fn probe(weights: &Arc<Model>, context: &mut Context) -> Result<()> {
    let failed = |what: &str| Error::Load(format!("the model does not compute: {what}"));
    let vocab = weights.vocab();
    let token = vocab
        .bos()
        .or_else(|| vocab.eos())
        .unwrap_or(llama::Token(0));
    let seq = context.seq(0).ok_or_else(|| failed("no sequence"))?;
    let mut batch = context.new_batch();
    let output = batch.push(token, 0, seq, true)?;
    context
        .decode(&batch)
        .map_err(|failure| failed(&format!("{failure:?}")))?;
    let is_finite = context
        .logits(output)
        .is_some_and(|logits| logits.iter().all(|l| l.is_finite()));
    context.clear()?;
    match is_finite {
        true => Ok(()),
        false => Err(failed("its logits are not finite")),
    }
}
