//! Section `sampling`: how tokens are chosen.

mod choice;
mod constraint;
mod logit_bias;

use serde_json::Value;

use super::key::Section;
use super::value::{TokenRef, Word};

use choice::CHOICE;
use constraint::CONSTRAINT;

pub(super) static SECTION: Section = Section {
    name: "sampling",
    aliases: &[],
    about: "How tokens are chosen.",
    lists: &[CHOICE, CONSTRAINT],
};

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Where randomness starts.
    pub seed: Seed,
    /// Temperature; 0: the most probable token.
    pub temp: f32,
    /// The k most probable tokens; 0 or -1: off.
    pub top_k: i32,
    /// The most probable tokens that add up to p; 1: off, 0: one token.
    pub top_p: f32,
    /// Tokens of at least this share of the best one's probability; 0: off.
    pub min_p: f32,
    /// Locally typical tokens; 1: off.
    pub typical_p: f32,
    /// Logits within n standard deviations of the best; 0 and below: off.
    pub top_n_sigma: f32,
    /// Chance of dropping the top choices; 0: off.
    pub xtc_probability: f32,
    /// Probability from which on a token is a top choice.
    pub xtc_threshold: f32,
    /// Range of the entropy-driven temperature; 0: off.
    pub dynatemp_range: f32,
    /// Its exponent.
    pub dynatemp_exponent: f32,
    /// Divides the logits of repeated tokens; 1: off.
    pub repeat_penalty: f32,
    /// Subtracted once from the logit of a token that has appeared.
    pub presence_penalty: f32,
    /// Subtracted from a token's logit for every time that it has appeared.
    pub frequency_penalty: f32,
    /// Tokens that the three penalties look back on; 0: off, -1: the whole context.
    pub penalty_last_n: i32,
    /// 0: off; 1, 2: the version that selects in place of top_k, top_p, min_p and typical_p.
    pub mirostat: u32,
    /// Mirostat's target entropy.
    pub mirostat_tau: f32,
    /// Mirostat's learning rate.
    pub mirostat_eta: f32,
    /// Strength of the penalty on repeated sequences; 0: off.
    pub dry_multiplier: f32,
    /// Its growth per repeated token.
    pub dry_base: f32,
    /// Repeated tokens without a penalty.
    pub dry_allowed_length: u32,
    /// Tokens that it looks back on; 0: off, -1: the whole context.
    pub dry_penalty_last_n: i32,
    /// Texts that end a repeated sequence, at most 64.
    pub dry_sequence_breakers: Vec<String>,
    /// Order and choice of the filters; `None`: the documented order.
    pub samplers: Option<Vec<SamplerName>>,
    /// The turn runs in engine calls of its own, so that its text does not depend on what runs beside it.
    pub deterministic: bool,
    /// Never end at an end token; always equal to the one in [`Stopping`](super::Stopping).
    pub ignore_eos: bool,
    /// GBNF grammar, not compiled; never together with `json_schema`.
    pub grammar: Option<String>,
    /// The grammar sleeps until a trigger appears.
    pub grammar_lazy: bool,
    /// JSON schema of the answer, not compiled.
    pub json_schema: Option<Value>,
    /// Alternatives per token in the metadata.
    pub n_probs: u32,
    /// Tokens that every filter leaves at least.
    pub min_keep: u32,
    /// Changes of single tokens' logits, each token once; later ones win where two stand for one token.
    pub logit_bias: Vec<(TokenRef, Bias)>,
}

impl Default for Sampling {
    fn default() -> Self {
        Sampling {
            seed: Seed::Random,
            temp: 0.7,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            typical_p: 1.0,
            top_n_sigma: -1.0,
            xtc_probability: 0.0,
            xtc_threshold: 0.10,
            dynatemp_range: 0.0,
            dynatemp_exponent: 1.0,
            repeat_penalty: 1.10,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_last_n: 64,
            mirostat: 0,
            mirostat_tau: 5.0,
            mirostat_eta: 0.1,
            dry_multiplier: 0.0,
            dry_base: 1.75,
            dry_allowed_length: 2,
            dry_penalty_last_n: -1,
            dry_sequence_breakers: ["\n", ":", "\"", "*"].map(String::from).to_vec(),
            samplers: None,
            deterministic: false,
            ignore_eos: false,
            grammar: None,
            grammar_lazy: false,
            json_schema: None,
            n_probs: 0,
            min_keep: 1,
            logit_bias: Vec::new(),
        }
    }
}

/// Where the randomness of a turn starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// A new seed for every turn.
    Random,
    /// This seed; never 4294967295, which is written for random.
    Fixed(u32),
}

/// What happens to the logit of one token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bias {
    /// Added, -100..=100.
    Value(f32),
    /// The token is never chosen; written `false`.
    Never,
}

/// A filter of the sampler chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamplerName {
    /// `repeat_penalty`, `presence_penalty`, `frequency_penalty`.
    Penalties,
    /// `dry_*`.
    Dry,
    /// `top_n_sigma`.
    TopNSigma,
    /// `top_k`.
    TopK,
    /// `typical_p`.
    TypicalP,
    /// `top_p`.
    TopP,
    /// `min_p`.
    MinP,
    /// `xtc_*`.
    Xtc,
    /// `temp`, `dynatemp_*`.
    Temperature,
}

impl Word for SamplerName {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("penalties", SamplerName::Penalties),
        ("dry", SamplerName::Dry),
        ("top_n_sigma", SamplerName::TopNSigma),
        ("top_k", SamplerName::TopK),
        ("typical_p", SamplerName::TypicalP),
        ("top_p", SamplerName::TopP),
        ("min_p", SamplerName::MinP),
        ("xtc", SamplerName::Xtc),
        ("temperature", SamplerName::Temperature),
        ("temp", SamplerName::Temperature),
    ];
}
