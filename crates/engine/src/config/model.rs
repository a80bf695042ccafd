//! Section `model`: how a model is loaded and run.

use serde_json::Value;

use super::key::{Flat, Ints, Key, Kind, Section};
use super::reading::Reading;
use super::value::{self, TokenLimit, Word, Wrong, put, type_of, words};

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
    /// Map the file instead of reading it.
    pub use_mmap: bool,
    /// Keep the weights from being paged out.
    pub use_mlock: bool,
    /// Type of the K cache.
    pub cache_type_k: CacheType,
    /// Type of the V cache; quantised ones need flash attention.
    pub cache_type_v: CacheType,
    /// Flash attention.
    pub flash_attn: FlashAttention,
    /// NUMA placement; process-wide, the first load decides.
    pub numa: Numa,
    /// Template text or built-in name; `None`: the model's own.
    pub chat_template: Option<String>,
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
            use_mmap: true,
            use_mlock: false,
            cache_type_k: CacheType::F16,
            cache_type_v: CacheType::F16,
            flash_attn: FlashAttention::Auto,
            numa: Numa::Off,
            chat_template: None,
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

/// Longest system prompt in bytes.
const MAX_SYSTEM_PROMPT: usize = 256 << 10;
/// Devices that `tensor_split` may name.
const MAX_DEVICES: usize = 128;

pub(super) static SECTION: Section = Section {
    name: "model",
    aliases: &[],
    keys: &[
        Key::int(
            "n_predict",
            Ints::new(-1, 1_048_576),
            |config| config.model.n_predict.to_int(),
            |config, count| config.model.n_predict = TokenLimit::from_int(count),
        )
        .read_as(&["n_predict", "max_tokens"])
        .flat(Flat::NotPerCall),
        Key::int(
            "ctx_size",
            Ints::zero_or(128, 4_194_304),
            |config| config.model.ctx_size.into(),
            |config, count| config.model.ctx_size = count as u32,
        )
        .read_as(&["ctx_size", "n_ctx"]),
        Key::int(
            "batch_size",
            Ints::new(1, 65_536),
            |config| config.model.batch_size.into(),
            |config, count| config.model.batch_size = count as u32,
        )
        .read_as(&["batch_size", "n_batch"]),
        Key::int(
            "ubatch_size",
            Ints::new(1, 65_536),
            |config| config.model.ubatch_size.into(),
            |config, count| config.model.ubatch_size = count as u32,
        )
        .read_as(&["n_ubatch", "ubatch_size"]),
        Key::int(
            "threads",
            Ints::new(0, 1024),
            |config| config.model.threads.into(),
            |config, count| config.model.threads = count as u32,
        )
        .read_as(&["n_threads", "threads"]),
        Key::int(
            "threads_batch",
            Ints::new(0, 1024),
            |config| config.model.threads_batch.into(),
            |config, count| config.model.threads_batch = count as u32,
        )
        .read_as(&["n_threads_batch", "threads_batch"]),
        Key::new(
            "n_gpu_layers",
            Kind::Special {
                expected: "integer",
                get: |config| config.model.n_gpu_layers.into(),
                read: |config, reading, expected| match read_layers(reading, expected) {
                    Some(count) => {
                        config.model.n_gpu_layers = Some(count);
                        true
                    }
                    None => false,
                },
            },
        ),
        Key::int(
            "main_gpu",
            Ints::new(0, MAX_DEVICES as i64 - 1),
            |config| config.model.main_gpu.into(),
            |config, device| config.model.main_gpu = device as i32,
        ),
        Key::new(
            "tensor_split",
            Kind::Special {
                expected: "array of numbers",
                get: |config| {
                    let shares = config.model.tensor_split.iter();
                    shares.copied().map(value::json_number).collect()
                },
                read: |config, reading, expected| match read_split(reading, expected) {
                    Some(shares) => {
                        config.model.tensor_split = shares;
                        true
                    }
                    None => false,
                },
            },
        ),
        Key::bool(
            "use_mmap",
            |config| config.model.use_mmap,
            |config, on| config.model.use_mmap = on,
        ),
        Key::bool(
            "use_mlock",
            |config| config.model.use_mlock,
            |config, on| config.model.use_mlock = on,
        ),
        Key::word(
            "cache_type_k",
            words::<CacheType>,
            |config| config.model.cache_type_k.word(),
            |config, word| put(&mut config.model.cache_type_k, word),
        ),
        Key::word(
            "cache_type_v",
            words::<CacheType>,
            |config| config.model.cache_type_v.word(),
            |config, word| put(&mut config.model.cache_type_v, word),
        ),
        Key::new(
            "flash_attn",
            Kind::Special {
                expected: "string or boolean",
                get: |config| config.model.flash_attn.word().into(),
                read: |config, reading, expected| {
                    let good =
                        read_word_or_bool(reading, expected, words::<FlashAttention>, |on| {
                            Some(if on {
                                FlashAttention::On
                            } else {
                                FlashAttention::Off
                            })
                        });
                    good.map(|choice| config.model.flash_attn = choice)
                        .is_some()
                },
            },
        ),
        Key::new(
            "numa",
            Kind::Special {
                expected: "string or boolean",
                get: |config| match config.model.numa {
                    Numa::Off => false.into(),
                    placement => placement.word().into(),
                },
                read: |config, reading, expected| {
                    let accepted = || {
                        let mut accepted = vec!["false"];
                        accepted.extend(words::<Numa>());
                        accepted
                    };
                    let good = read_word_or_bool(reading, expected, accepted, |on| {
                        (!on).then_some(Numa::Off)
                    });
                    good.map(|placement| config.model.numa = placement)
                        .is_some()
                },
            },
        ),
        Key::text(
            "chat_template",
            1 << 20,
            |config| config.model.chat_template.as_deref(),
            |config, text| config.model.chat_template = text,
        ),
        Key::text(
            "system_prompt",
            MAX_SYSTEM_PROMPT,
            |config| config.model.system_prompt.as_deref(),
            |config, text| config.model.system_prompt = text,
        ),
        Key::new("embedding", Kind::NoEffect),
        Key::new("image", Kind::NoEffect),
        Key::new("mmproj", Kind::NoEffect),
        Key::new("warmup", Kind::NoEffect),
        Key::new("split_mode", Kind::NoEffect),
    ],
};

fn read_layers(reading: &mut Reading<'_>, expected: &str) -> Option<i32> {
    let range = || "-1..100000".to_owned();
    reading.last(expected, range, |value| match value::integer(value)? {
        count @ -1..=100_000 => Ok(count as i32),
        _ => Err(Wrong::Range),
    })
}

/// Shares of at least 0; a bad one voids the list, because the place of a share is its device.
fn read_split(reading: &mut Reading<'_>, expected: &str) -> Option<Vec<f32>> {
    let range = || format!("arrays of 0..{MAX_DEVICES} numbers of 0..1000000");
    reading.last(expected, range, |value| {
        let Value::Array(items) = value else {
            return Err(Wrong::Type(type_of(value)));
        };
        if items.len() > MAX_DEVICES {
            return Err(Wrong::Range);
        }
        let share = |item: &Value| match item.as_f64() {
            None => Err(Wrong::Type("array with other items")),
            Some(share) if (0.0..=1_000_000.0).contains(&share) => Ok(share as f32),
            Some(_) => Err(Wrong::Range),
        };
        items.iter().map(share).collect()
    })
}

fn read_word_or_bool<T: Word>(
    reading: &mut Reading<'_>,
    expected: &str,
    accepted: impl Fn() -> Vec<&'static str>,
    from_bool: impl Fn(bool) -> Option<T>,
) -> Option<T> {
    let range = || accepted().join(", ");
    reading.last(expected, range, |value| match value {
        Value::String(word) => T::of(word).ok_or(Wrong::Range),
        Value::Bool(on) => from_bool(*on).ok_or(Wrong::Range),
        other => Err(Wrong::Type(type_of(other))),
    })
}
