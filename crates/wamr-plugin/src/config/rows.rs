//! The table of keys: each setting of a guest with its range, its default and where it goes.
//!
//! Ranges are the engine's, so that what passes here is never refused there. A default is what guests of the other
//! plugin expect; where it is not the engine's, the row says both.

mod turn;

use super::kind::Kind;
use super::place::Place::{Load, Own};
use super::row::Plain::{Flag, Real, Whole};
use super::row::Row;
use super::special;
use super::words;

/// Tokens that a limit or a window may name.
const MOST_TOKENS: i64 = 1_048_576;
const LARGEST_CONTEXT: i64 = 4_194_304;
const LARGEST_BATCH: i64 = 65_536;
const MOST_THREADS: i64 = 1024;
const LARGEST_FACTOR: f64 = 1000.0;

/// The row that `name`, flat with hyphens or dotted with underscores, belongs to.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    rows().find(|row| row.is_called(name))
}

/// All rows.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [
        OUTPUT,
        CONTEXT,
        DEVICE,
        ROPE,
        turn::SAMPLING,
        turn::STOPPING,
        EMBEDDING,
    ]
    .into_iter()
    .flatten()
}

static OUTPUT: &[Row] = &[
    Row::new("enable-log", Kind::Flag, Own).default(Flag(false)),
    Row::new("enable-debug-log", Kind::Flag, Own).default(Flag(false)),
    Row::new("stream-stdout", Kind::Flag, Own).default(Flag(false)),
    Row::new("no-perf", Kind::Flag, Own).default(Flag(false)),
    Row::new("image", Kind::Special(&special::IMAGES), Own).also(&["model.image"]),
    Row::new("mmproj", Kind::Special(&special::PATH), Own).also(&["model.mmproj"]),
];

static CONTEXT: &[Row] = &[
    // 0 is the model's own, 1 to 127 is refused by `settle`: the engine knows no smaller context than 128.
    Row::new(
        "ctx-size",
        Kind::whole(0, LARGEST_CONTEXT),
        Load("model", "ctx_size"),
    )
    .also(&["model.ctx_size", "model.n_ctx"])
    .default(Whole(0))
    .but_engine(Whole(2048)),
    Row::new("batch-size", Kind::whole(1, LARGEST_BATCH), Own).also(&[
        "performance.batch_size",
        "model.batch_size",
        "model.n_batch",
    ]),
    Row::new("ubatch-size", Kind::whole(1, LARGEST_BATCH), Own)
        .also(&["model.ubatch_size", "model.n_ubatch"]),
    // A hint: the engine decodes at least its usual number of turns together.
    Row::new(
        "n-parallel",
        Kind::whole_as(1, 256, |n| (n > 8).then_some(n)).lowered(),
        Load("performance", "n_parallel"),
    )
    .also(&["performance.n_parallel", "performance.parallel"]),
    Row::new("n-keep", Kind::whole(-1, MOST_TOKENS).lowered(), Own)
        .also(&["memory.n_keep_tokens", "memory.n_keep"])
        .default(Whole(0)),
    Row::new("ctx-shift", Kind::Special(&special::SHIFT), Own)
        .also(&["memory.context_shifting", "memory.overflow"])
        .default(Flag(false)),
    Row::new(
        "threads",
        Kind::whole_as(-1, MOST_THREADS, positive),
        Load("model", "threads"),
    )
    .also(&["model.threads", "model.n_threads"]),
    Row::new(
        "threads-batch",
        Kind::whole_as(-1, MOST_THREADS, positive),
        Load("model", "threads_batch"),
    )
    .also(&["model.threads_batch", "model.n_threads_batch"]),
    Row::new("numa", Kind::Word(words::NUMA), Load("model", "numa")).also(&["model.numa"]),
];

static DEVICE: &[Row] = &[
    Row::new(
        "n-gpu-layers",
        Kind::whole_as(-1, 100_000, not_negative).lowered(),
        Load("model", "n_gpu_layers"),
    )
    .also(&["model.n_gpu_layers"]),
    Row::new("main-gpu", Kind::whole(0, 127), Load("model", "main_gpu"))
        .also(&["model.main_gpu"])
        .default(Whole(0)),
    Row::new(
        "tensor-split",
        Kind::Special(&special::SHARES),
        Load("model", "tensor_split"),
    )
    .also(&["model.tensor_split"]),
    Row::new(
        "split-mode",
        Kind::Word(words::SPLIT_MODES),
        Load("model", "split_mode"),
    )
    .also(&["model.split_mode"]),
    Row::new("cpu-moe", Kind::Flag, Load("model", "cpu_moe"))
        .also(&["model.cpu_moe"])
        .default(Flag(false)),
    Row::new(
        "n-cpu-moe",
        Kind::whole(0, 1000),
        Load("model", "n_cpu_moe"),
    )
    .also(&["model.n_cpu_moe"])
    .default(Whole(0)),
    // The nested form has the opposite of it, `model.kv_offload`, which `written` turns round.
    Row::new("no-kv-offload", Kind::Flag, Own).default(Flag(false)),
    Row::new("use-mmap", Kind::Flag, Load("model", "use_mmap"))
        .also(&["model.use_mmap"])
        .default(Flag(true)),
    Row::new("use-mlock", Kind::Flag, Load("model", "use_mlock"))
        .also(&["model.use_mlock"])
        .default(Flag(false)),
    Row::new(
        "cache-type-k",
        Kind::Word(words::CACHE_TYPES),
        Load("model", "cache_type_k"),
    )
    .also(&["model.cache_type_k"]),
    Row::new(
        "cache-type-v",
        Kind::Word(words::CACHE_TYPES),
        Load("model", "cache_type_v"),
    )
    .also(&["model.cache_type_v"]),
    Row::new(
        "flash-attn",
        Kind::Word(words::FLASH),
        Load("model", "flash_attn"),
    )
    .also(&["model.flash_attn"]),
    Row::new("check-tensors", Kind::Flag, Load("model", "check_tensors"))
        .also(&["model.check_tensors"])
        .default(Flag(false)),
    Row::new(
        "lora",
        Kind::Special(&special::ADAPTERS),
        Load("model", "lora"),
    )
    .also(&["model.lora"]),
];

static ROPE: &[Row] = &[
    Row::new(
        "rope-scaling-type",
        Kind::Word(words::ROPE_SCALINGS),
        Load("model", "rope_scaling"),
    )
    .also(&["rope-scaling", "model.rope_scaling"]),
    Row::new(
        "rope-freq-base",
        Kind::real(0.0, 1e9),
        Load("model", "rope_freq_base"),
    )
    .also(&["model.rope_freq_base"])
    .default(Real(0.0)),
    Row::new(
        "rope-freq-scale",
        Kind::real(0.0, LARGEST_FACTOR),
        Load("model", "rope_freq_scale"),
    )
    .also(&["model.rope_freq_scale"])
    .default(Real(0.0)),
    Row::new(
        "yarn-ext-factor",
        Kind::real(-1.0, LARGEST_FACTOR),
        Load("model", "yarn_ext_factor"),
    )
    .also(&["model.yarn_ext_factor"])
    .default(Real(-1.0)),
    Row::new(
        "yarn-attn-factor",
        Kind::real(-1.0, LARGEST_FACTOR),
        Load("model", "yarn_attn_factor"),
    )
    .also(&["model.yarn_attn_factor"])
    .default(Real(-1.0)),
    Row::new(
        "yarn-beta-fast",
        Kind::real(-1.0, LARGEST_FACTOR),
        Load("model", "yarn_beta_fast"),
    )
    .also(&["model.yarn_beta_fast"])
    .default(Real(-1.0)),
    Row::new(
        "yarn-beta-slow",
        Kind::real(-1.0, LARGEST_FACTOR),
        Load("model", "yarn_beta_slow"),
    )
    .also(&["model.yarn_beta_slow"])
    .default(Real(-1.0)),
    Row::new(
        "yarn-orig-ctx",
        Kind::whole(0, LARGEST_CONTEXT),
        Load("model", "yarn_orig_ctx"),
    )
    .also(&["model.yarn_orig_ctx"])
    .default(Whole(0)),
];

static EMBEDDING: &[Row] = &[
    Row::new("embedding", Kind::Flag, Own)
        .also(&["model.embedding"])
        .default(Flag(false)),
    Row::new("embd-normalize", Kind::whole(-1, 100), Own).default(Whole(2)),
    Row::new("pooling-type", Kind::Word(words::POOLINGS), Own).also(&["pooling", "model.pooling"]),
    Row::new("attention-type", Kind::Word(words::ATTENTIONS), Own)
        .also(&["attention", "model.attention"]),
    Row::new("reranking", Kind::Flag, Own).default(Flag(false)),
];

/// -1 and 0 leave the choice to the engine.
fn positive(number: i64) -> Option<i64> {
    (number > 0).then_some(number)
}

/// -1 leaves the choice to the engine.
fn not_negative(number: i64) -> Option<i64> {
    (number >= 0).then_some(number)
}
