//! From a file or bytes to weights and an execution context that has proved to work.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::identity;
use crate::config::{self, Config, KvMode};
use crate::error::{Error, Result};
use crate::llama::{
    self, Context, ContextParams, FlashAttention, KvType, Model, ModelParams, Numa, ThreadCounts,
    gguf,
};
use crate::{machine, memory};

/// Slots up to which one shared pool of cells decodes as fast as separate ones (engine benchmark).
const UNIFIED_SLOTS: u32 = 8;

/// ggml's workers spin between graph nodes for so many rounds of 131,072; the host's cores are not ours.
const POLL: u32 = 5;

/// Prompt tokens that a deterministic turn evaluates in one call.
const PIECE: u32 = 64;

/// Weights up to which one core computes as fast as several.
const ONE_CORE_BYTES: u64 = 8 << 20;

/// Where a model comes from.
pub enum Source<'a> {
    /// A file that is mapped.
    File(&'a Path),
    /// The bytes of one, which are copied.
    Bytes(&'a [u8]),
}

/// A model that is ready to serve.
pub struct Brought {
    /// Its weights.
    pub weights: Arc<Model>,
    /// Its execution memory.
    pub context: Context,
    /// Makes a context of its own for one deterministic turn at a time.
    pub spare: Box<dyn Fn() -> Result<Context> + Send>,
    /// What was decided about it.
    pub plan: Plan,
    /// Tells its file from all others.
    pub identity: u64,
    /// The types of cached keys and values.
    pub cache_types: [&'static str; 2],
    /// The file's name, or where the bytes lie.
    pub file: String,
    /// How long it took.
    pub load_time: Duration,
    /// Values that were adapted to the model, in words.
    pub notes: Vec<String>,
    /// Keeps the copied bytes mapped.
    _memory: Option<OwnedFd>,
}

/// Sizes decided at load.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Tokens that one session may use.
    pub session_tokens: u32,
    /// Turns decoded together.
    pub parallel: u32,
    /// One pool for all sequences, or an equal part for each.
    pub unified: bool,
    /// Why.
    pub layout_reason: &'static str,
    /// Decode and prefill threads.
    pub threads: ThreadCounts,
}

/// Loads `source` under `config`, creates its context and decodes one token in it.
///
/// `progress`: called with 0 to 1 while the weights are read; false cancels. Errors: `Load` with the reason.
pub fn bring_up(
    source: &Source<'_>,
    config: &Config,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Brought> {
    let begun = Instant::now();
    llama::runtime::init_numa(match config.model.numa {
        config::Numa::Off => Numa::Disabled,
        config::Numa::Distribute => Numa::Distribute,
        config::Numa::Isolate => Numa::Isolate,
        config::Numa::Numactl => Numa::Numactl,
    });
    let (memory, path) = match source {
        Source::File(path) => (None, path.to_path_buf()),
        Source::Bytes(bytes) => {
            let (file, path) = Model::memory_file(bytes)?;
            (Some(file), path)
        }
    };
    let files = gguf::check(&path)?;
    let before = identity::of(&files)?;
    let weights = Arc::new(Model::load(&path, &model_params(&config.model), progress)?);
    let mut notes = Vec::new();
    let plan = plan(config, &weights, &mut notes);
    let (mut context, params) = create(&weights, config, &plan, &mut notes)?;
    probe(&weights, &mut context)?;
    note_budget(config, &context, &mut notes);
    // What was exchanged while it was read is taken for something new.
    let identity = match identity::of(&files)? {
        after if after == before => after,
        _ => identity::unique(),
    };
    llama::exit::guard();
    let cache_types = [params.type_k.name(), params.type_v.name()];
    let spare = {
        let weights = weights.clone();
        let params = ContextParams {
            n_ctx: plan.session_tokens,
            n_batch: PIECE,
            n_ubatch: PIECE,
            n_seq_max: 1,
            n_outputs_max: 1,
            kv_unified: true,
            ..params
        };
        Box::new(move || Context::new(weights.clone(), &params))
    };
    Ok(Brought {
        weights,
        context,
        spare,
        plan,
        identity,
        cache_types,
        file: name(source, &path),
        load_time: begun.elapsed(),
        notes,
        _memory: memory,
    })
}

fn name(source: &Source<'_>, path: &Path) -> String {
    match source {
        Source::File(_) => path.display().to_string(),
        Source::Bytes(bytes) => format!("{} bytes in memory", bytes.len()),
    }
}

fn model_params(model: &config::ModelSettings) -> ModelParams {
    ModelParams {
        n_gpu_layers: model.n_gpu_layers,
        main_gpu: model.main_gpu,
        tensor_split: model.tensor_split.clone(),
        use_mmap: model.use_mmap,
        use_mlock: model.use_mlock,
    }
}

fn plan(config: &Config, weights: &Model, notes: &mut Vec<String>) -> Plan {
    let trained = weights.n_ctx_train();
    let session_tokens = match config.model.ctx_size {
        0 => trained,
        wanted if wanted > trained && trained > 0 => {
            notes.push(format!(
                "model.ctx_size: {wanted} is more than the model was trained for, using {trained}"
            ));
            trained
        }
        wanted => wanted,
    };
    let parallel = match config.performance.batch_processing {
        false => 1,
        true => config
            .performance
            .n_parallel
            .min(llama::runtime::max_sequences())
            // Every running answer needs a place in every batch.
            .min(config.model.batch_size),
    };
    let bytes_per_token = kv_bytes_per_token(weights, &config.model);
    let all = u64::from(session_tokens) * u64::from(parallel);
    let is_short = all.saturating_mul(bytes_per_token) > cell_bytes(config);
    let wanted = config.performance.kv_pool_tokens;
    let (unified, layout_reason) = match config.performance.kv_mode {
        KvMode::Unified => (true, "kv_mode"),
        KvMode::Split => (false, "kv_mode"),
        KvMode::Auto if parallel <= UNIFIED_SLOTS => (true, "few slots"),
        KvMode::Auto if wanted > 0 && u64::from(wanted) < all => (true, "kv_pool_tokens"),
        KvMode::Auto if is_short => (true, "memory"),
        KvMode::Auto => (false, "many slots"),
    };
    Plan {
        session_tokens,
        parallel,
        unified,
        layout_reason,
        threads: threads(&config.model, weights.size_bytes()),
    }
}

/// Decode and prefill threads: as configured, at most what the machine has; by default one per physical core.
///
/// A model whose weights fit into one core's cache computes for less time between two barriers than the barrier takes,
/// and on a busy machine its threads wait for each other's time slices: it gets one thread.
fn threads(model: &config::ModelSettings, weights_bytes: u64) -> ThreadCounts {
    let cores = match weights_bytes {
        ..=ONE_CORE_BYTES => 1,
        _ => llama::runtime::physical_cores(),
    };
    let machine = std::thread::available_parallelism().map_or(cores, |n| n.get() as u32);
    let count = |wanted: u32, default: u32| match wanted {
        0 => default,
        n => n.min(machine.max(cores)),
    };
    let decode = count(model.threads, cores);
    ThreadCounts {
        decode,
        batch: count(model.threads_batch, decode),
    }
}

/// Creates the context, with fewer cells where the memory does not allow all.
fn create(
    weights: &Arc<Model>,
    config: &Config,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<(Context, ContextParams)> {
    let m = &config.model;
    let all = plan.session_tokens.saturating_mul(plan.parallel);
    let bytes_per_token = kv_bytes_per_token(weights, m);
    let mut n_ctx = match plan.unified {
        // Equal parts cannot be smaller than a session.
        false => all,
        true => memory::pool_tokens(&memory::PoolDemand {
            session_tokens: plan.session_tokens,
            slots: plan.parallel,
            wanted: config.performance.kv_pool_tokens,
            bytes_per_token,
            bytes: cell_bytes(config),
        }),
    };
    if n_ctx < all {
        notes.push(format!(
            "{n_ctx} KV cells for {} turns of {} tokens: some may have to wait for others",
            plan.parallel, plan.session_tokens
        ));
    }
    if !plan.unified && config.performance.kv_pool_tokens > 0 {
        notes.push("performance.kv_pool_tokens: no effect with a split cache".into());
    }
    let n_batch = m.batch_size.min(n_ctx);
    loop {
        let params = ContextParams {
            n_ctx,
            n_batch,
            n_ubatch: m.ubatch_size.min(n_batch),
            n_seq_max: plan.parallel,
            n_outputs_max: plan.parallel,
            threads: plan.threads,
            poll: POLL,
            type_k: kv_type(m.cache_type_k),
            type_v: kv_type(m.cache_type_v),
            flash_attention: match m.flash_attn {
                config::FlashAttention::Auto => FlashAttention::Auto,
                config::FlashAttention::On => FlashAttention::On,
                config::FlashAttention::Off => FlashAttention::Off,
            },
            kv_unified: plan.unified,
        };
        match Context::new(weights.clone(), &params) {
            Ok(context) => return Ok((context, params)),
            Err(error) if !plan.unified || n_ctx <= plan.session_tokens => return Err(error),
            Err(error) => {
                n_ctx = (n_ctx / 2).max(plan.session_tokens);
                notes.push(format!("trying {n_ctx} KV cells: {error}"));
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

fn kv_type(name: config::CacheType) -> KvType {
    match name {
        config::CacheType::F32 => KvType::F32,
        config::CacheType::F16 => KvType::F16,
        config::CacheType::Bf16 => KvType::Bf16,
        config::CacheType::Q8_0 => KvType::Q8_0,
        config::CacheType::Q5_0 => KvType::Q5_0,
        config::CacheType::Q5_1 => KvType::Q5_1,
        config::CacheType::Q4_0 => KvType::Q4_0,
        config::CacheType::Q4_1 => KvType::Q4_1,
        config::CacheType::Iq4Nl => KvType::Iq4Nl,
    }
}

/// Bytes that one token takes in the KV cache of all layers: keys and values of every KV head.
fn kv_bytes_per_token(weights: &Model, settings: &config::ModelSettings) -> u64 {
    let head = u64::from(weights.n_embd() / weights.n_head().max(1));
    let values = u64::from(weights.n_layer()) * u64::from(weights.n_head_kv()) * head;
    let half_bits =
        kv_type(settings.cache_type_k).half_bits() + kv_type(settings.cache_type_v).half_bits();
    values * half_bits / 16
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

/// Bytes that KV cells may take: half of what is configured or there, the other half is for what they leave behind.
fn cell_bytes(config: &Config) -> u64 {
    let available = machine::available().unwrap_or(u64::MAX) / 2;
    match u64::from(config.memory.max_memory_mb) << 20 {
        0 => available,
        limit => available.min(limit / 2),
    }
}
