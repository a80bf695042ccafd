//! The sizes of a model's execution memory: what was asked for, what the model allows, and what there is room for.

use std::path::PathBuf;

use super::profile::kv_bytes_per_token;
use crate::config::{self, Config, KvMode};
use crate::error::{Error, Result};
use crate::llama::{
    self, ContextParams, CpuExperts, Embedding, FlashAttention, KvType, Model, ModelParams,
    Pooling, Rope, RopeScaling, SplitMode, ThreadCounts,
};
use crate::{machine, memory};

/// Slots up to which one shared pool of cells decodes as fast as separate ones (engine benchmark).
const UNIFIED_SLOTS: u32 = 8;

/// ggml's workers spin between graph nodes for so many rounds of 131,072; the host's cores are not ours.
const POLL: u32 = 5;

/// Weights up to which one core computes as fast as several.
const ONE_CORE_BYTES: u64 = 8 << 20;

/// What else is loaded.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside {
    /// Bytes of the memory budget that other models have.
    pub taken: u64,
    /// Some of them compute.
    pub is_busy: bool,
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

/// Decides about `weights` under `config`. `notes` receives in
/// words what is not as it was asked for.
pub fn plan(config: &Config, weights: &Model, beside: Beside, notes: &mut Vec<String>) -> Plan {
    let trained = weights.n_ctx_train();
    let reach = match weights.tabulates_positions() {
        // There is nothing to rotate, and nothing beyond the table.
        true => Some(trained),
        false => reach(&config.model.rope, trained, weights.original_context()),
    };
    let reach = reach.filter(|reach| *reach > 0);
    let session_tokens = match (config.model.ctx_size, reach) {
        (0, _) => trained,
        (wanted, Some(reach)) if wanted > reach => {
            notes.push(format!(
                "model.ctx_size: {wanted} is more than the model was trained for, using {reach}"
            ));
            reach
        }
        (wanted, _) => wanted,
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
    let bytes_per_token = kv_bytes_per_token(weights, kv_types(&config.model));
    let all = u64::from(session_tokens) * u64::from(parallel);
    let is_short = all.saturating_mul(bytes_per_token) > cell_bytes(config, beside.taken);
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

/// How far a model that was `trained` for so many tokens reaches when its positions are rotated like that; `None` where
/// only whoever configured it knows. `original`: the tokens before a stretch that the model brings with it, which a
/// factor replaces.
fn reach(rope: &config::Rope, trained: u32, original: u32) -> Option<u32> {
    if rope.freq_base > 0.0 {
        return None;
    }
    let before = match rope.yarn_orig_ctx {
        0 => original,
        written => written,
    };
    let is_stretched = rope.freq_scale > 0.0 && rope.scaling != config::RopeScaling::None;
    match is_stretched {
        true => {
            let stretched = f64::from(before) / f64::from(rope.freq_scale);
            Some((stretched as u32).max(trained))
        }
        false => Some(trained),
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

/// The execution context of `weights` by that plan, with fewer cells where the memory does not allow all.
pub fn context_params(
    config: &Config,
    weights: &Model,
    plan: &Plan,
    beside: Beside,
    notes: &mut Vec<String>,
) -> ContextParams {
    let m = &config.model;
    let all = plan.session_tokens.saturating_mul(plan.parallel);
    let bytes_per_token = kv_bytes_per_token(weights, kv_types(m));
    let n_ctx = match plan.unified {
        // Equal parts cannot be smaller than a session.
        false => all,
        true => memory::pool_tokens(&memory::PoolDemand {
            session_tokens: plan.session_tokens,
            slots: plan.parallel,
            wanted: config.performance.kv_pool_tokens,
            bytes_per_token,
            bytes: cell_bytes(config, beside.taken),
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
    let [key_type, value_type] = kv_types(m);
    ContextParams {
        n_ctx,
        n_batch,
        n_ubatch: m.ubatch_size.min(n_batch),
        n_seq_max: plan.parallel,
        n_outputs_max: plan.parallel,
        threads: plan.threads,
        poll: POLL,
        type_k: key_type,
        type_v: value_type,
        flash_attention: match m.flash_attn {
            config::FlashAttention::Auto => FlashAttention::Auto,
            config::FlashAttention::On => FlashAttention::On,
            config::FlashAttention::Off => FlashAttention::Off,
        },
        rope: rope(&m.rope),
        offload_kv: m.kv_offload,
        adapter_scales: m.lora.iter().map(|lora| lora.scale).collect(),
        embedding: None,
        kv_unified: plan.unified,
        is_shy: beside.is_busy,
    }
}

/// The context that embeds beside one of the shape `params`, if the configuration wants one: for one text at a time,
/// which is evaluated as a whole.
pub fn embedding_params(
    config: &Config,
    plan: &Plan,
    params: &ContextParams,
) -> Option<ContextParams> {
    let most = config.model.batch_size.min(plan.session_tokens);
    config.model.embedding.then(|| ContextParams {
        n_ctx: most,
        n_batch: most,
        n_ubatch: most,
        n_seq_max: 1,
        n_outputs_max: 0,
        kv_unified: true,
        embedding: Some(embedding(&config.model)),
        ..params.clone()
    })
}

/// The shape `params` for a model that cannot generate: it is never used, and as small as it can be.
pub fn idle_params(config: &Config, params: &ContextParams) -> ContextParams {
    ContextParams {
        n_batch: params.n_seq_max,
        n_ubatch: params.n_seq_max,
        embedding: Some(embedding(&config.model)),
        ..params.clone()
    }
}

fn embedding(model: &config::ModelSettings) -> Embedding {
    Embedding {
        pooling: match model.pooling {
            config::Pooling::Model => Pooling::Model,
            config::Pooling::None => Pooling::None,
            config::Pooling::Mean => Pooling::Mean,
            config::Pooling::Cls => Pooling::Cls,
            config::Pooling::Last => Pooling::Last,
            config::Pooling::Rank => Pooling::Rank,
        },
        causal: match model.attention {
            config::Attention::Model => None,
            config::Attention::Causal => Some(true),
            config::Attention::NonCausal => Some(false),
        },
    }
}

/// How the weights are brought into memory.
pub fn model_params(model: &config::ModelSettings) -> ModelParams {
    ModelParams {
        n_gpu_layers: model.n_gpu_layers,
        main_gpu: model.main_gpu,
        tensor_split: model.tensor_split.clone(),
        split_mode: match model.split_mode {
            config::SplitMode::None => SplitMode::None,
            config::SplitMode::Layer => SplitMode::Layer,
            config::SplitMode::Row => SplitMode::Row,
        },
        cpu_experts: match model.cpu_moe {
            true => CpuExperts::All,
            false => CpuExperts::First(model.n_cpu_moe),
        },
        use_mmap: model.use_mmap,
        use_mlock: model.use_mlock,
        check_tensors: model.check_tensors,
        adapters: adapters(model),
    }
}

/// The files of its adapters.
pub fn adapters(model: &config::ModelSettings) -> Vec<PathBuf> {
    let paths = model.lora.iter();
    paths.map(|lora| PathBuf::from(&lora.path)).collect()
}

/// Makes the paths of its adapters absolute by the directory that is current now, as a model's own path is.
///
/// Errors: `Load` where there is no current directory.
pub fn anchor(model: &mut config::ModelSettings) -> Result<()> {
    for lora in &mut model.lora {
        let absolute = std::path::absolute(&lora.path)
            .map_err(|e| Error::Load(format!("{}: {e}", lora.path)))?;
        // A directory whose name is no text cannot stand in a configuration.
        if let Ok(path) = absolute.into_os_string().into_string() {
            lora.path = path;
        }
    }
    Ok(())
}

fn rope(rope: &config::Rope) -> Rope {
    Rope {
        scaling: match rope.scaling {
            config::RopeScaling::Model => RopeScaling::Model,
            config::RopeScaling::None => RopeScaling::None,
            config::RopeScaling::Linear => RopeScaling::Linear,
            config::RopeScaling::Yarn => RopeScaling::Yarn,
            config::RopeScaling::LongRope => RopeScaling::LongRope,
        },
        freq_base: rope.freq_base,
        freq_scale: rope.freq_scale,
        yarn_ext_factor: rope.yarn_ext_factor,
        yarn_attn_factor: rope.yarn_attn_factor,
        yarn_beta_fast: rope.yarn_beta_fast,
        yarn_beta_slow: rope.yarn_beta_slow,
        yarn_orig_ctx: rope.yarn_orig_ctx,
    }
}

/// The types of cached keys and values.
pub fn kv_types(settings: &config::ModelSettings) -> [KvType; 2] {
    [settings.cache_type_k, settings.cache_type_v].map(kv_type)
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

/// Bytes that KV cells may take beside those that other models have `taken`: half of what is configured or there, the
/// other half is for what they leave behind.
fn cell_bytes(config: &Config, taken: u64) -> u64 {
    let available = machine::available().unwrap_or(u64::MAX) / 2;
    match u64::from(config.memory.max_memory_mb) << 20 {
        0 => available,
        limit => available.min(limit.saturating_sub(taken) / 2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_begins_where_the_model_s_own_does() {
        let check = |rope: config::Rope, expect| {
            // Trained for a quarter of what it reaches by itself.
            assert_eq!(reach(&rope, 4096, 1024), expect, "{rope:?}");
        };
        let stretched = config::Rope {
            freq_scale: 0.125,
            ..config::Rope::default()
        };
        check(config::Rope::default(), Some(4096));
        check(stretched, Some(8192));
        let weak = config::Rope {
            freq_scale: 0.5,
            ..stretched
        };
        check(weak, Some(4096));
        let written = config::Rope {
            yarn_orig_ctx: 2048,
            ..stretched
        };
        check(written, Some(16384));
        let none = config::Rope {
            scaling: config::RopeScaling::None,
            ..stretched
        };
        check(none, Some(4096));
        let based = config::Rope {
            freq_base: 1e6,
            ..stretched
        };
        check(based, None);
    }

    #[test]
    fn a_path_of_an_adapter_leads_to_one_place_whatever_directory_is_current_later() {
        let lora = |path: &str| config::Lora {
            path: path.to_owned(),
            scale: 1.0,
        };
        let mut model = config::ModelSettings {
            lora: vec![lora("a.gguf"), lora("/b/c.gguf")],
            ..config::ModelSettings::default()
        };
        anchor(&mut model).unwrap();
        let here = std::env::current_dir().unwrap().join("a.gguf");
        assert_eq!(adapters(&model), [here, PathBuf::from("/b/c.gguf")]);
    }
}
