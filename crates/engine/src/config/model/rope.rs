//! Keys about positions: how far a model's rotary embedding is stretched beyond what it was trained for.

use crate::config::key::{Ints, Key};
use crate::config::value::{Word, put, words};

/// How positions are rotated; what is not written is as the model says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// How a longer context is brought into the trained one.
    pub scaling: RopeScaling,
    /// Base frequency; 0: the model's.
    pub freq_base: f32,
    /// Factor of all frequencies; 0: the model's.
    pub freq_scale: f32,
    /// YaRN: part of extrapolation; negative: the model's.
    pub yarn_ext_factor: f32,
    /// YaRN: factor of the attention's magnitude; negative: the model's.
    pub yarn_attn_factor: f32,
    /// YaRN: rotations from which a dimension is extrapolated; negative: the model's.
    pub yarn_beta_fast: f32,
    /// YaRN: rotations up to which a dimension is interpolated; negative: the model's.
    pub yarn_beta_slow: f32,
    /// YaRN: the context before the stretch, in tokens; 0: the model's.
    pub yarn_orig_ctx: u32,
}

impl Default for Rope {
    fn default() -> Self {
        Rope {
            scaling: RopeScaling::Model,
            freq_base: 0.0,
            freq_scale: 0.0,
            yarn_ext_factor: -1.0,
            yarn_attn_factor: -1.0,
            yarn_beta_fast: -1.0,
            yarn_beta_slow: -1.0,
            yarn_orig_ctx: 0,
        }
    }
}

/// How a longer context is brought into the trained one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeScaling {
    /// As the model says.
    Model,
    /// Not at all.
    None,
    /// Every position divided.
    Linear,
    /// High frequencies kept, low ones divided.
    Yarn,
    /// By the factors in the model's file.
    LongRope,
}

impl Word for RopeScaling {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("model", RopeScaling::Model),
        ("none", RopeScaling::None),
        ("linear", RopeScaling::Linear),
        ("yarn", RopeScaling::Yarn),
        ("longrope", RopeScaling::LongRope),
    ];
}

/// Largest base frequency; the largest in use are a hundredth.
const LARGEST_BASE: f64 = 1e9;
/// Largest of the factors; sensible ones are a fraction of it.
const LARGEST_FACTOR: f64 = 1000.0;

pub(super) static KEYS: &[Key] = &[
    Key::word(
        "rope_scaling",
        words::<RopeScaling>,
        |config| config.model.rope.scaling.word(),
        |config, word| put(&mut config.model.rope.scaling, word),
    )
    .about("How a context beyond the trained one is brought into it; model: as the model says."),
    Key::number(
        "rope_freq_base",
        (0.0, LARGEST_BASE),
        |config| config.model.rope.freq_base,
        |config, base| config.model.rope.freq_base = base,
    )
    .about("Base frequency of the positions, 1 at least. 0: the model's."),
    Key::number(
        "rope_freq_scale",
        (0.0, LARGEST_FACTOR),
        |config| config.model.rope.freq_scale,
        |config, scale| config.model.rope.freq_scale = scale,
    )
    .about(
        "Factor of all frequencies, 0.0001 at least: 0.5 stretches the original context to twice \
         its length. 0: the model's.",
    ),
    Key::number(
        "yarn_ext_factor",
        (-1.0, LARGEST_FACTOR),
        |config| config.model.rope.yarn_ext_factor,
        |config, factor| config.model.rope.yarn_ext_factor = factor,
    )
    .about("YaRN: part of extrapolation, 0 for none. Negative: the model's."),
    Key::number(
        "yarn_attn_factor",
        (-1.0, LARGEST_FACTOR),
        |config| config.model.rope.yarn_attn_factor,
        |config, factor| config.model.rope.yarn_attn_factor = factor,
    )
    .about(
        "YaRN: factor of the attention's magnitude, where nothing is extrapolated. Negative: \
         the model's.",
    ),
    Key::number(
        "yarn_beta_fast",
        (-1.0, LARGEST_FACTOR),
        |config| config.model.rope.yarn_beta_fast,
        |config, beta| config.model.rope.yarn_beta_fast = beta,
    )
    .about("YaRN: rotations from which a dimension is extrapolated. Negative: the model's."),
    Key::number(
        "yarn_beta_slow",
        (-1.0, LARGEST_FACTOR),
        |config| config.model.rope.yarn_beta_slow,
        |config, beta| config.model.rope.yarn_beta_slow = beta,
    )
    .about("YaRN: rotations up to which a dimension is interpolated. Negative: the model's."),
    Key::int(
        "yarn_orig_ctx",
        Ints::new(0, 4_194_304),
        |config| config.model.rope.yarn_orig_ctx.into(),
        |config, tokens| config.model.rope.yarn_orig_ctx = tokens as u32,
    )
    .about("YaRN: tokens of the context before the stretch. 0: the model's."),
];
