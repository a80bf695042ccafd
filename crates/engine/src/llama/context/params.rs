//! The shape of a context, as numbers and enums.
//!
//! Knows neither model nor machine: whether a shape fits them is found out at creation.

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};

use super::super::{ThreadCounts, runtime};

/// The type of cached keys or values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KvType {
    /// 32 bits.
    F32,
    /// 16 bits, the usual one.
    F16,
    /// 16 bits with the range of 32.
    Bf16,
    /// 8.5 bits.
    Q8_0,
    /// 5.5 bits.
    Q5_0,
    /// 6 bits.
    Q5_1,
    /// 4.5 bits.
    Q4_0,
    /// 5 bits.
    Q4_1,
    /// 4.5 bits, not linear.
    Iq4Nl,
}

impl KvType {
    pub(in crate::llama) fn raw(self) -> sys::ggml_type {
        match self {
            KvType::F32 => sys::GGML_TYPE_F32,
            KvType::F16 => sys::GGML_TYPE_F16,
            KvType::Bf16 => sys::GGML_TYPE_BF16,
            KvType::Q8_0 => sys::GGML_TYPE_Q8_0,
            KvType::Q5_0 => sys::GGML_TYPE_Q5_0,
            KvType::Q5_1 => sys::GGML_TYPE_Q5_1,
            KvType::Q4_0 => sys::GGML_TYPE_Q4_0,
            KvType::Q4_1 => sys::GGML_TYPE_Q4_1,
            KvType::Iq4Nl => sys::GGML_TYPE_IQ4_NL,
        }
    }

    /// The name that users write.
    pub(crate) fn name(self) -> &'static str {
        match self {
            KvType::F32 => "f32",
            KvType::F16 => "f16",
            KvType::Bf16 => "bf16",
            KvType::Q8_0 => "q8_0",
            KvType::Q5_0 => "q5_0",
            KvType::Q5_1 => "q5_1",
            KvType::Q4_0 => "q4_0",
            KvType::Q4_1 => "q4_1",
            KvType::Iq4Nl => "iq4_nl",
        }
    }

    /// Half-bits per value, scales included: twice the number of bits, so that it is whole.
    pub(crate) fn half_bits(self) -> u64 {
        match self {
            KvType::F32 => 64,
            KvType::F16 | KvType::Bf16 => 32,
            KvType::Q8_0 => 17,
            KvType::Q5_1 => 12,
            KvType::Q5_0 => 11,
            KvType::Q4_1 => 10,
            KvType::Q4_0 | KvType::Iq4Nl => 9,
        }
    }

    /// Whether it is stored in blocks.
    pub(crate) fn is_quantised(self) -> bool {
        !matches!(self, KvType::F32 | KvType::F16 | KvType::Bf16)
    }
}

/// When flash attention is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlashAttention {
    /// Where model and device support it.
    Auto,
    /// Always.
    On,
    /// Never; then values cannot be quantised.
    Off,
}

/// How a longer context is brought into the one that the model was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RopeScaling {
    /// As the model says.
    Model,
    /// Not at all.
    None,
    /// Every position divided.
    Linear,
    /// High frequencies kept, low ones divided.
    Yarn,
    /// By factors in the model's file.
    LongRope,
}

/// Least base frequency: with less, higher dimensions would turn faster than lower ones.
const LEAST_BASE: f32 = 1.0;
/// Least factor of frequencies; the stretch of sensible ones is a hundredth.
const LEAST_SCALE: f32 = 1e-4;

/// How positions are rotated. Numbers: 0, or for the factors of YaRN a negative one, as the model says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rope {
    /// How a longer context is brought into the trained one.
    pub(crate) scaling: RopeScaling,
    /// Base frequency.
    pub(crate) freq_base: f32,
    /// Factor of all frequencies.
    pub(crate) freq_scale: f32,
    /// Part of extrapolation.
    pub(crate) yarn_ext_factor: f32,
    /// Factor of the attention's magnitude.
    pub(crate) yarn_attn_factor: f32,
    /// Rotations from which a dimension is extrapolated.
    pub(crate) yarn_beta_fast: f32,
    /// Rotations up to which a dimension is interpolated.
    pub(crate) yarn_beta_slow: f32,
    /// Tokens of the context before the stretch.
    pub(crate) yarn_orig_ctx: u32,
}

impl Rope {
    /// All as the model says.
    pub(crate) const MODEL: Rope = Rope {
        scaling: RopeScaling::Model,
        freq_base: 0.0,
        freq_scale: 0.0,
        yarn_ext_factor: -1.0,
        yarn_attn_factor: -1.0,
        yarn_beta_fast: -1.0,
        yarn_beta_slow: -1.0,
        yarn_orig_ctx: 0,
    };

    /// Writes them into `raw`.
    pub(super) fn fill(&self, raw: &mut sys::llama_context_params) {
        raw.rope_scaling_type = match self.scaling {
            RopeScaling::Model => sys::LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED,
            RopeScaling::None => sys::LLAMA_ROPE_SCALING_TYPE_NONE,
            RopeScaling::Linear => sys::LLAMA_ROPE_SCALING_TYPE_LINEAR,
            RopeScaling::Yarn => sys::LLAMA_ROPE_SCALING_TYPE_YARN,
            RopeScaling::LongRope => sys::LLAMA_ROPE_SCALING_TYPE_LONGROPE,
        };
        raw.rope_freq_base = self.freq_base;
        raw.rope_freq_scale = self.freq_scale;
        raw.yarn_ext_factor = self.yarn_ext_factor;
        raw.yarn_attn_factor = self.yarn_attn_factor;
        raw.yarn_beta_fast = self.yarn_beta_fast;
        raw.yarn_beta_slow = self.yarn_beta_slow;
        raw.yarn_orig_ctx = self.yarn_orig_ctx;
    }

    /// Checks that a model with the original context `original` reaches no further than llama.cpp can count.
    pub(super) fn check_reach(&self, original: u32) -> Result<()> {
        let before = match self.yarn_orig_ctx {
            0 => original,
            written => written,
        };
        let reach = match self.freq_scale {
            0.0 => before as f32,
            scale => before as f32 / scale,
        };
        // The largest f32 that a u32 holds is below 2^32.
        if reach < (1_u64 << 32) as f32 {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "rope_freq_scale {} stretches {before} tokens to {reach}, must be below 2^32",
            self.freq_scale
        )))
    }

    fn check(&self) -> Result<()> {
        let numbers = [
            self.freq_base,
            self.freq_scale,
            self.yarn_ext_factor,
            self.yarn_attn_factor,
            self.yarn_beta_fast,
            self.yarn_beta_slow,
        ];
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(Error::InvalidArgument(format!(
                "rope has {numbers:?}, must be finite"
            )));
        }
        for (name, value, least) in [
            ("rope_freq_base", self.freq_base, LEAST_BASE),
            ("rope_freq_scale", self.freq_scale, LEAST_SCALE),
        ] {
            if value != 0.0 && value < least {
                return Err(Error::InvalidArgument(format!(
                    "{name} is {value}, must be 0 or at least {least}"
                )));
            }
        }
        Ok(())
    }
}

/// How the values of a text's tokens become those of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// As the model says; the last token's where it says nothing.
    Model,
    /// Not: the last token's.
    None,
    /// The mean of all.
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
    /// A score by the model's head for it.
    Rank,
}

/// How a context embeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Embedding {
    /// How the values of a text's tokens become those of the text.
    pub(crate) pooling: Pooling,
    /// Whether a token sees only those before it; `None`: as the model says.
    pub(crate) causal: Option<bool>,
}

impl Embedding {
    /// Writes it into `raw`.
    pub(super) fn fill(self, raw: &mut sys::llama_context_params) {
        raw.embeddings = true;
        raw.pooling_type = match self.pooling {
            Pooling::Model => sys::LLAMA_POOLING_TYPE_UNSPECIFIED,
            Pooling::None => sys::LLAMA_POOLING_TYPE_NONE,
            Pooling::Mean => sys::LLAMA_POOLING_TYPE_MEAN,
            Pooling::Cls => sys::LLAMA_POOLING_TYPE_CLS,
            Pooling::Last => sys::LLAMA_POOLING_TYPE_LAST,
            Pooling::Rank => sys::LLAMA_POOLING_TYPE_RANK,
        };
        raw.attention_type = match self.causal {
            None => sys::LLAMA_ATTENTION_TYPE_UNSPECIFIED,
            Some(true) => sys::LLAMA_ATTENTION_TYPE_CAUSAL,
            Some(false) => sys::LLAMA_ATTENTION_TYPE_NON_CAUSAL,
        };
        // What is pooled, and what sees all, must be in one graph.
        raw.n_ubatch = raw.n_batch;
        raw.n_outputs_max = raw.n_batch.max(raw.n_seq_max);
    }
}

/// The shape of a context.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContextParams {
    /// Cells of all sequences together, in tokens; rounded up to 256.
    pub(crate) n_ctx: u32,
    /// Tokens per decode call; llama.cpp lowers it to `n_ctx`.
    pub(crate) n_batch: u32,
    /// Tokens per graph inside a call; at most `n_batch`.
    pub(crate) n_ubatch: u32,
    /// Sequences.
    pub(crate) n_seq_max: u32,
    /// Entries of one batch that may ask for logits; 0 for `n_batch`, never less than `n_seq_max`.
    pub(crate) n_outputs_max: u32,
    /// Compute threads.
    pub(crate) threads: ThreadCounts,
    /// How long idle compute threads spin before they sleep, 0 to 100.
    pub(crate) poll: u32,
    /// Cached keys.
    pub(crate) type_k: KvType,
    /// Cached values.
    pub(crate) type_v: KvType,
    /// Flash attention.
    pub(crate) flash_attention: FlashAttention,
    /// How positions are rotated.
    pub(crate) rope: Rope,
    /// Cells lie on the device of their layers, if there is one.
    pub(crate) offload_kv: bool,
    /// How much of each of the model's adapters counts, in their order; those beyond the list do not.
    pub(crate) adapter_scales: Vec<f32>,
    /// It embeds: every token of a batch is an output, and a batch is one graph. `None`: it generates.
    pub(crate) embedding: Option<Embedding>,
    /// One pool of cells for all sequences, instead of an equal share for each.
    pub(crate) kv_unified: bool,
    /// Other models compute on this machine: what is tried out at creation is computed by one thread.
    pub(crate) is_shy: bool,
}

impl ContextParams {
    /// Entries of one batch that may ask for logits.
    pub(super) fn outputs(&self) -> u32 {
        let n_batch = self.n_batch.min(self.n_ctx);
        match self.n_outputs_max {
            _ if self.embedding.is_some() => n_batch,
            0 => n_batch,
            count => count.min(n_batch),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.rope.check()?;
        if let Some(scale) = self.adapter_scales.iter().find(|scale| !scale.is_finite()) {
            return Err(Error::InvalidArgument(format!(
                "an adapter has the scale {scale}, must be finite"
            )));
        }
        let most_sequences = runtime::max_sequences();
        for (name, value, high) in [
            ("n_ctx", self.n_ctx, 1 << 30),
            ("n_batch", self.n_batch, 1 << 24),
            ("n_ubatch", self.n_ubatch, 1 << 24),
            ("n_seq_max", self.n_seq_max, most_sequences),
        ] {
            if !(1..=high).contains(&value) {
                return Err(Error::InvalidArgument(format!(
                    "{name} is {value}, must be between 1 and {high}"
                )));
            }
        }
        Ok(())
    }
}
