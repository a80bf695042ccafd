//! The rows of section `model`.

use serde_json::{Value, json};

use super::{CacheType, FlashAttention, Numa, ReasoningFormat, SplitMode, embedding, lora, rope};
use crate::config::key::{Flat, Ints, Key, Kind, Section};
use crate::config::reading::Reading;
use crate::config::value::{self, TokenLimit, Word, Wrong, put, type_of, words};

/// Longest system prompt in bytes.
const MAX_SYSTEM_PROMPT: usize = 256 << 10;
/// Devices that `tensor_split` may name.
const MAX_DEVICES: usize = 128;
/// Largest share of a device in `tensor_split`.
const LARGEST_SHARE: u32 = 1_000_000;
/// Layers that `n_gpu_layers` may name; who knows the model clamps it.
const MOST_LAYERS: i64 = 100_000;

pub(in crate::config) static SECTION: Section = Section {
    name: "model",
    aliases: &[],
    about: "How a model is loaded and run.",
    lists: &[KEYS, rope::KEYS, lora::KEYS, embedding::KEYS, PLUGIN_WORLD],
};

static KEYS: &[Key] = &[
    Key::int(
        "n_predict",
        Ints::new(-1, 1_048_576),
        |config| config.model.n_predict.to_int(),
        |config, count| config.model.n_predict = TokenLimit::from_int(count),
    )
    .read_as(&["n_predict", "max_tokens"])
    .flat(Flat::NotPerCall)
    .about(
        "New tokens per turn. -1: until an end token or a full context; 0: an empty \
         answer.",
    ),
    Key::int(
        "ctx_size",
        Ints::zero_or(128, 4_194_304),
        |config| config.model.ctx_size.into(),
        |config, count| config.model.ctx_size = count as u32,
    )
    .read_as(&["ctx_size", "n_ctx"])
    .about(
        "Tokens per session. 0: the model's training context, to which more is \
         clamped.",
    ),
    Key::int(
        "batch_size",
        Ints::new(1, 65_536),
        |config| config.model.batch_size.into(),
        |config, count| config.model.batch_size = count as u32,
    )
    .read_as(&["batch_size", "n_batch"])
    .about("Tokens handed to the engine per step; longer prompts are fed in portions."),
    Key::int(
        "ubatch_size",
        Ints::new(1, 65_536),
        |config| config.model.ubatch_size.into(),
        |config, count| config.model.ubatch_size = count as u32,
    )
    .read_as(&["n_ubatch", "ubatch_size"])
    .about("Tokens of one physical batch; clamped to batch_size."),
    Key::int(
        "threads",
        Ints::new(0, 1024),
        |config| config.model.threads.into(),
        |config, count| config.model.threads = count as u32,
    )
    .read_as(&["n_threads", "threads"])
    .about(
        "Decode threads. 0: as many as physical cores; more are clamped without a \
         finding.",
    ),
    Key::int(
        "threads_batch",
        Ints::new(0, 1024),
        |config| config.model.threads_batch.into(),
        |config, count| config.model.threads_batch = count as u32,
    )
    .read_as(&["n_threads_batch", "threads_batch"])
    .about("Prefill threads. 0: as threads."),
    Key::new(
        "n_gpu_layers",
        Kind::Special {
            expected: "integer",
            schema: || json!({"type": "integer", "minimum": -1, "maximum": MOST_LAYERS}),
            get: |config| config.model.n_gpu_layers.into(),
            read: |config, reading, expected| match read_layers(reading, expected) {
                Some(count) => {
                    config.model.n_gpu_layers = Some(count);
                    true
                }
                None => false,
            },
        },
    )
    .about(
        "Layers on the device, -1 all. Unless written: all when there is a device, \
         else none.",
    ),
    Key::int(
        "main_gpu",
        Ints::new(0, MAX_DEVICES as i64 - 1),
        |config| config.model.main_gpu.into(),
        |config, device| config.model.main_gpu = device as i32,
    )
    .about("The device for what is not split."),
    Key::new(
        "tensor_split",
        Kind::Special {
            expected: "array of numbers",
            schema: || {
                let share = json!({"type": "number", "minimum": 0, "maximum": LARGEST_SHARE});
                json!({"type": "array", "items": share, "maxItems": MAX_DEVICES})
            },
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
    )
    .about(
        "Shares of the devices, each 0 to 1000000, in the order of the devices. \
         Empty: even.",
    ),
    Key::word(
        "split_mode",
        words::<SplitMode>,
        |config| config.model.split_mode.word(),
        |config, word| put(&mut config.model.split_mode, word),
    )
    .about(
        "How the model is divided among devices: not at all (main_gpu has it), by layers, or by \
         rows of its matrices.",
    ),
    Key::bool(
        "kv_offload",
        |config| config.model.kv_offload,
        |config, on| config.model.kv_offload = on,
    )
    .about("KV cells lie on the device of their layers; false: in the machine's memory."),
    Key::int(
        "n_cpu_moe",
        Ints::new(0, 1000),
        |config| config.model.n_cpu_moe.into(),
        |config, count| config.model.n_cpu_moe = count as u32,
    )
    .about(
        "Layers, from the first, whose experts stay in the machine's memory although the layer \
         is on a device.",
    ),
    Key::bool(
        "cpu_moe",
        |config| config.model.cpu_moe,
        |config, on| config.model.cpu_moe = on,
    )
    .about("The experts of all layers stay in the machine's memory."),
    Key::bool(
        "use_mmap",
        |config| config.model.use_mmap,
        |config, on| config.model.use_mmap = on,
    )
    .about("Map the file instead of reading it."),
    Key::bool(
        "use_mlock",
        |config| config.model.use_mlock,
        |config, on| config.model.use_mlock = on,
    )
    .about("Keep the weights from being paged out."),
    Key::bool(
        "check_tensors",
        |config| config.model.check_tensors,
        |config, on| config.model.check_tensors = on,
    )
    .about("Refuse a file with values that are no numbers; every tensor is read for it."),
    Key::word(
        "cache_type_k",
        words::<CacheType>,
        |config| config.model.cache_type_k.word(),
        |config, word| put(&mut config.model.cache_type_k, word),
    )
    .about("Number format of the K cache."),
    Key::word(
        "cache_type_v",
        words::<CacheType>,
        |config| config.model.cache_type_v.word(),
        |config, word| put(&mut config.model.cache_type_v, word),
    )
    .about("Number format of the V cache; a quantised one needs flash attention."),
    Key::new(
        "flash_attn",
        Kind::Special {
            expected: "string or boolean",
            schema: || {
                let words = words::<FlashAttention>();
                json!({"anyOf": [{"enum": words}, {"type": "boolean"}]})
            },
            get: |config| config.model.flash_attn.word().into(),
            read: |config, reading, expected| {
                let good = read_word_or_bool(reading, expected, words::<FlashAttention>, |on| {
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
    )
    .about(
        "Fused attention; auto where device and model allow it. true is on, false \
         is off.",
    ),
    Key::new(
        "numa",
        Kind::Special {
            expected: "string or boolean",
            schema: || json!({"anyOf": [{"enum": words::<Numa>()}, {"const": false}]}),
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
                let good =
                    read_word_or_bool(reading, expected, accepted, |on| (!on).then_some(Numa::Off));
                good.map(|placement| config.model.numa = placement)
                    .is_some()
            },
        },
    )
    .about(
        "Placement on machines whose memory is not uniform. Process-wide: the first \
         load decides.",
    ),
    Key::text(
        "chat_template",
        1 << 20,
        |config| config.model.chat_template.as_deref(),
        |config, text| config.model.chat_template = text,
    )
    .about(
        "Template text, the name of a known format, or the path of a template's file. Unless \
         written: the model's own.",
    ),
    Key::word(
        "reasoning_format",
        words::<ReasoningFormat>,
        |config| config.model.reasoning_format.word(),
        |config, word| put(&mut config.model.reasoning_format, word),
    )
    .about(
        "What becomes of what a model thinks before it answers. auto: it is kept apart, in the \
         metadata as reasoning; none: it is part of the answer.",
    ),
    Key::text(
        "version",
        256,
        |config| config.model.version.as_deref(),
        |config, text| config.model.version = text,
    )
    .at_load_only()
    .about(
        "What this version of the model is called in status and log. Unless written: \
         its name and a hash of its content.",
    ),
    Key::text(
        "mmproj",
        4096,
        |config| config.model.mmproj.as_deref(),
        |config, text| config.model.mmproj = text,
    )
    .about(
        "File of the projector that turns the images of raw prompts into embeddings of the model. Unless written: \
         prompts have no images.",
    ),
    Key::text(
        "system_prompt",
        MAX_SYSTEM_PROMPT,
        |config| config.model.system_prompt.as_deref(),
        |config, text| config.model.system_prompt = text,
    )
    .about(
        "System message of the sessions that are opened afterwards. Unless written: \
         none.",
    ),
];

/// Known from there, without a function here.
static PLUGIN_WORLD: &[Key] = &[
    Key::new("image", Kind::NoEffect).about("Key of the wasi-nn plugin world."),
    Key::new("warmup", Kind::NoEffect).about("Key of the wasi-nn plugin world."),
];

fn read_layers(reading: &mut Reading<'_>, expected: &str) -> Option<i32> {
    let range = || format!("-1..{MOST_LAYERS}");
    reading.last(expected, range, |value| match value::integer(value)? {
        count @ -1..=MOST_LAYERS => Ok(count as i32),
        _ => Err(Wrong::Range),
    })
}

/// Shares of at least 0; a bad one voids the list, because the place of a share is its device.
fn read_split(reading: &mut Reading<'_>, expected: &str) -> Option<Vec<f32>> {
    let range = || format!("arrays of 0..{MAX_DEVICES} numbers of 0..{LARGEST_SHARE}");
    reading.last(expected, range, |value| {
        let Value::Array(items) = value else {
            return Err(Wrong::Type(type_of(value)));
        };
        if items.len() > MAX_DEVICES {
            return Err(Wrong::Range);
        }
        let share = |item: &Value| match item.as_f64() {
            None => Err(Wrong::Type("array with other items")),
            Some(share) if (0.0..=LARGEST_SHARE.into()).contains(&share) => Ok(share as f32),
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
