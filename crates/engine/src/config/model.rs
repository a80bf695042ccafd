//! Section `model`: how a model is loaded and run.

mod embedding;
mod keys;
mod lora;
mod rope;

use super::value::{TokenLimit, Word};

pub use embedding::{Attention, Pooling};
pub(super) use keys::SECTION;
pub use lora::Lora;
pub use rope::{Rope, RopeScaling};

/// How a model is loaded and run.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// New tokens per turn where `stopping.max_tokens` says nothing.
    pub n_predict: TokenLimit,
    /// Tokens per session; 0: the model's training context.
    pub ctx_size: u32,
    /// Tokens handed to the engine per step.
    pub batch_size: u32,
    /// Tokens of one physical batch; at most `batch_size`.
    pub ubatch_size: u32,
    /// Decode threads; 0: the machine's physical cores.
    pub threads: u32,
    /// Prefill threads; 0: the machine's physical cores.
    pub threads_batch: u32,
    /// Layers on the device, -1 all; `None`: all when a device is present and wanted, else 0.
    pub n_gpu_layers: Option<i32>,
    /// The device for what is not split.
    pub main_gpu: i32,
    /// Shares of the devices; empty: even.
    pub tensor_split: Vec<f32>,
    /// How a model is divided among devices.
    pub split_mode: SplitMode,
    /// Keep the cells where their layers are computed.
    pub kv_offload: bool,
    /// Layers from the first one whose experts stay with the CPU.
    pub n_cpu_moe: u32,
    /// The experts of all layers stay with the CPU.
    pub cpu_moe: bool,
    /// Map the file instead of reading it.
    pub use_mmap: bool,
    /// Keep the weights from being paged out.
    pub use_mlock: bool,
    /// Look for values that are no numbers while the file is read.
    pub check_tensors: bool,
    /// Type of the K cache.
    pub cache_type_k: CacheType,
    /// Type of the V cache; quantised ones need flash attention.
    pub cache_type_v: CacheType,
    /// Flash attention.
    pub flash_attn: FlashAttention,
    /// How positions are rotated.
    pub rope: Rope,
    /// Adapters, in the order in which they were written.
    pub lora: Vec<Lora>,
    /// It embeds texts.
    pub embedding: bool,
    /// How a text's tokens become one embedding.
    pub pooling: Pooling,
    /// What a token sees while a text is embedded.
    pub attention: Attention,
    /// NUMA placement; process-wide, the first load decides.
    pub numa: Numa,
    /// Template text, the name of a known format, or a path; `None`: the model's own.
    pub chat_template: Option<String>,
    /// What becomes of what a model thinks before it answers.
    pub reasoning_format: ReasoningFormat,
    /// What this version of the model is called; `None`: after its name and content.
    pub version: Option<String>,
    /// File of the projector that turns images into embeddings of the model.
    pub mmproj: Option<String>,
    /// New. System message of the sessions opened afterwards, at most 256 KiB.
    pub system_prompt: Option<String>,
}

/// The built-in token limit.
pub(super) const TOKEN_LIMIT: TokenLimit = TokenLimit::AtMost(512);

impl Default for ModelSettings {
    fn default() -> Self {
        ModelSettings {
            n_predict: TOKEN_LIMIT,
            ctx_size: 2048,
            batch_size: 512,
            ubatch_size: 512,
            threads: 0,
            threads_batch: 0,
            n_gpu_layers: None,
            main_gpu: 0,
            tensor_split: Vec::new(),
            split_mode: SplitMode::Layer,
            kv_offload: true,
            n_cpu_moe: 0,
            cpu_moe: false,
            use_mmap: true,
            use_mlock: false,
            check_tensors: false,
            cache_type_k: CacheType::F16,
            cache_type_v: CacheType::F16,
            flash_attn: FlashAttention::Auto,
            rope: Rope::default(),
            lora: Vec::new(),
            embedding: false,
            pooling: Pooling::Model,
            attention: Attention::Model,
            numa: Numa::Off,
            chat_template: None,
            reasoning_format: ReasoningFormat::Auto,
            version: None,
            mmproj: None,
            system_prompt: None,
        }
    }
}

/// Number format of the KV cache, under ggml's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheType {
    /// IEEE half.
    F16,
    /// Brain float.
    Bf16,
    /// IEEE single.
    F32,
    /// 8 bits, scale.
    Q8_0,
    /// 4 bits, scale.
    Q4_0,
    /// 4 bits, scale and offset.
    Q4_1,
    /// 5 bits, scale.
    Q5_0,
    /// 5 bits, scale and offset.
    Q5_1,
    /// 4 bits, levels that are not evenly spaced.
    Iq4Nl,
}

impl CacheType {
    /// Whether it stores blocks of quantised numbers.
    pub fn is_quantised(self) -> bool {
        !matches!(self, CacheType::F16 | CacheType::Bf16 | CacheType::F32)
    }
}

impl Word for CacheType {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("f16", CacheType::F16),
        ("bf16", CacheType::Bf16),
        ("f32", CacheType::F32),
        ("q8_0", CacheType::Q8_0),
        ("q4_0", CacheType::Q4_0),
        ("q4_1", CacheType::Q4_1),
        ("q5_0", CacheType::Q5_0),
        ("q5_1", CacheType::Q5_1),
        ("iq4_nl", CacheType::Iq4Nl),
    ];
}

/// Whether attention is computed by the fused kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashAttention {
    /// Where the device and the model allow it.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Word for FlashAttention {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", FlashAttention::Auto),
        ("on", FlashAttention::On),
        ("off", FlashAttention::Off),
    ];
}

/// What becomes of what a model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReasoningFormat {
    /// It is kept apart from the answer, in the format that the template or the vocabulary shows.
    Auto,
    /// It is part of the answer.
    None,
}

impl Word for ReasoningFormat {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", ReasoningFormat::Auto),
        ("none", ReasoningFormat::None),
    ];
}

/// How a model is divided among devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitMode {
    /// Not at all: it lies on one.
    None,
    /// By layers, with their cells.
    Layer,
    /// By the rows of matrices.
    Row,
}

impl Word for SplitMode {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", SplitMode::None),
        ("layer", SplitMode::Layer),
        ("row", SplitMode::Row),
    ];
}

/// Placement on machines whose memory is not uniform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numa {
    /// None; written `false`.
    Off,
    /// Spread over all nodes.
    Distribute,
    /// Stay on the node of the first thread.
    Isolate,
    /// As `numactl` has set it.
    Numactl,
}

impl Word for Numa {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("distribute", Numa::Distribute),
        ("isolate", Numa::Isolate),
        ("numactl", Numa::Numactl),
    ];
}
