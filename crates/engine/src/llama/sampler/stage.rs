//! One step of a sampler chain, its numbers checked, and how the shim reads it.

use std::ffi::{CString, c_char};

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};
use crate::llama::ffi::RawStage;
use crate::llama::{Token, Vocab, grammar};

/// The longest window of penalties and DRY, in tokens; llama.cpp allocates it at once.
const WINDOW_LIMIT: i32 = 1 << 20;
/// Each DRY breaker is compared with the whole vocabulary at creation.
const BREAKERS_LIMIT: usize = 64;

/// One step of a chain; names and meanings are those of `llama_sampler_init_*`.
///
/// Seeds: `u32::MAX` draws a random one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stage {
    /// Adds to the logits of tokens; minus infinity forbids one. Acts before all others, wherever it stands.
    LogitBias(Vec<(Token, f32)>),
    /// Penalties for tokens among the last `last_n`; 0 is off, and so is a negative number in llama.cpp.
    Penalties {
        last_n: i32,
        repeat: f32,
        frequency: f32,
        presence: f32,
    },
    /// Penalty for prolonging a repeated sequence.
    Dry {
        multiplier: f32,
        base: f32,
        allowed_length: i32,
        last_n: i32,
        breakers: Vec<String>,
    },
    /// Keeps logits within `n` standard deviations of the best.
    TopNSigma { n: f32, min_keep: usize },
    /// Keeps the best; 0 keeps all.
    TopK(i32),
    /// Keeps the typical.
    Typical { p: f32, min_keep: usize },
    /// Keeps the likeliest that reach `p` together.
    TopP { p: f32, min_keep: usize },
    /// Keeps those at least `p` times as likely as the best.
    MinP { p: f32, min_keep: usize },
    /// Drops the likeliest but one, sometimes.
    Xtc {
        probability: f32,
        threshold: f32,
        min_keep: usize,
        seed: u32,
    },
    /// Divides the logits; 0 keeps the best only.
    Temperature(f32),
    /// A temperature that follows the entropy, within `range` of `temp`.
    DynamicTemperature {
        temp: f32,
        range: f32,
        exponent: f32,
    },
    /// A GBNF grammar with the root `root`; at most one. Its place in the list does not matter.
    Grammar(String),
    /// Chooses by Mirostat.
    Mirostat { seed: u32, tau: f32, eta: f32 },
    /// Chooses by Mirostat 2.
    MirostatV2 { seed: u32, tau: f32, eta: f32 },
    /// Chooses at random by probability.
    Dist(u32),
    /// Chooses the best.
    Greedy,
}

impl Stage {
    pub(super) fn chooses(&self) -> bool {
        matches!(
            self,
            Stage::Mirostat { .. } | Stage::MirostatV2 { .. } | Stage::Dist(_) | Stage::Greedy
        )
    }

    pub(super) fn check(&self, vocab: &Vocab) -> Result<()> {
        let any = f32::MIN..=f32::MAX;
        let positive = f32::MIN_POSITIVE..=f32::MAX;
        let share = 0.0..=1.0;
        let from_zero = 0.0..=f32::MAX;
        match self {
            Stage::LogitBias(biases) => biases.iter().try_for_each(|(token, bias)| {
                vocab.check(*token)?;
                match bias.is_finite() || *bias == f32::NEG_INFINITY {
                    true => Ok(()),
                    false => Err(out_of_range(
                        "logit_bias",
                        *bias,
                        "finite or minus infinity",
                    )),
                }
            }),
            Stage::Penalties {
                last_n,
                repeat,
                frequency,
                presence,
            } => {
                within("repeat_penalty", *repeat, positive)?;
                within("frequency_penalty", *frequency, any.clone())?;
                within("presence_penalty", *presence, any)?;
                window("penalty_last_n", *last_n)
            }
            Stage::Dry {
                multiplier,
                base,
                allowed_length,
                last_n,
                breakers,
            } => {
                within("dry_multiplier", *multiplier, from_zero.clone())?;
                within("dry_base", *base, from_zero)?;
                if *allowed_length < 0 {
                    return Err(out_of_range(
                        "dry_allowed_length",
                        *allowed_length,
                        "0 or more",
                    ));
                }
                if breakers.len() > BREAKERS_LIMIT {
                    let limit = format!("at most {BREAKERS_LIMIT}");
                    return Err(out_of_range(
                        "dry_sequence_breakers",
                        breakers.len(),
                        &limit,
                    ));
                }
                if let Some(text) = breakers.iter().find(|text| text.contains('\0')) {
                    return Err(out_of_range(
                        "dry_sequence_breakers",
                        format!("{text:?}"),
                        "text without NUL",
                    ));
                }
                window("dry_penalty_last_n", *last_n)
            }
            Stage::TopNSigma { n, .. } => within("top_n_sigma", *n, any),
            Stage::TopK(_) | Stage::Dist(_) | Stage::Greedy => Ok(()),
            Stage::Typical { p, .. } => within("typical_p", *p, share),
            Stage::TopP { p, .. } => within("top_p", *p, share),
            Stage::MinP { p, .. } => within("min_p", *p, share),
            Stage::Xtc {
                probability,
                threshold,
                ..
            } => {
                within("xtc_probability", *probability, share.clone())?;
                within("xtc_threshold", *threshold, share)
            }
            Stage::Temperature(t) => within("temperature", *t, from_zero),
            Stage::DynamicTemperature {
                temp,
                range,
                exponent,
            } => {
                within("temperature", *temp, from_zero.clone())?;
                within("dynatemp_range", *range, from_zero.clone())?;
                within("dynatemp_exponent", *exponent, from_zero)
            }
            Stage::Grammar(text) => grammar::compile(vocab, text).map(drop),
            Stage::Mirostat { tau, eta, .. } | Stage::MirostatV2 { tau, eta, .. } => {
                within("mirostat_tau", *tau, from_zero.clone())?;
                within("mirostat_eta", *eta, from_zero)
            }
        }
    }

    /// Calls `work` with the stage as the shim reads it; its pointers are good during the call only.
    pub(super) fn with_raw<T>(&self, work: impl FnOnce(&RawStage) -> T) -> T {
        let mut raw = RawStage {
            kind: 0,
            i0: 0,
            i1: 0,
            f0: 0.0,
            f1: 0.0,
            f2: 0.0,
            seed: 0,
            keep: 0,
            bias: std::ptr::null(),
            n_bias: 0,
            texts: std::ptr::null(),
            n_texts: 0,
        };
        let mut biases: Vec<sys::llama_logit_bias> = Vec::new();
        let mut texts: Vec<CString> = Vec::new();
        // The numbers are `enum engine_stage_kind` of the shim, in its order.
        raw.kind = match self {
            Stage::LogitBias(list) => {
                biases.extend(list.iter().map(|(token, bias)| sys::llama_logit_bias {
                    token: token.0,
                    bias: *bias,
                }));
                0
            }
            Stage::Penalties {
                last_n,
                repeat,
                frequency,
                presence,
            } => {
                raw.i0 = *last_n;
                (raw.f0, raw.f1, raw.f2) = (*repeat, *frequency, *presence);
                1
            }
            Stage::Dry {
                multiplier,
                base,
                allowed_length,
                last_n,
                breakers,
            } => {
                (raw.i0, raw.i1) = (*allowed_length, *last_n);
                (raw.f0, raw.f1) = (*multiplier, *base);
                texts.extend(breakers.iter().filter_map(|text| c_text(text)));
                2
            }
            Stage::TopNSigma { n, min_keep } => {
                (raw.f0, raw.keep) = (*n, *min_keep);
                3
            }
            Stage::TopK(k) => {
                raw.i0 = *k;
                4
            }
            Stage::Typical { p, min_keep } => {
                (raw.f0, raw.keep) = (*p, *min_keep);
                5
            }
            Stage::TopP { p, min_keep } => {
                (raw.f0, raw.keep) = (*p, *min_keep);
                6
            }
            Stage::MinP { p, min_keep } => {
                (raw.f0, raw.keep) = (*p, *min_keep);
                7
            }
            Stage::Xtc {
                probability,
                threshold,
                min_keep,
                seed,
            } => {
                (raw.f0, raw.f1) = (*probability, *threshold);
                (raw.keep, raw.seed) = (*min_keep, *seed);
                8
            }
            Stage::Temperature(t) => {
                raw.f0 = *t;
                9
            }
            Stage::DynamicTemperature {
                temp,
                range,
                exponent,
            } => {
                (raw.f0, raw.f1, raw.f2) = (*temp, *range, *exponent);
                10
            }
            // A grammar is no stage of the shim's.
            Stage::Grammar(_) => -1,
            Stage::Mirostat { seed, tau, eta } => {
                (raw.f0, raw.f1, raw.seed) = (*tau, *eta, *seed);
                11
            }
            Stage::MirostatV2 { seed, tau, eta } => {
                (raw.f0, raw.f1, raw.seed) = (*tau, *eta, *seed);
                12
            }
            Stage::Dist(seed) => {
                raw.seed = *seed;
                13
            }
            Stage::Greedy => 14,
        };
        let pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
        (raw.bias, raw.n_bias) = (biases.as_ptr(), biases.len());
        (raw.texts, raw.n_texts) = (pointers.as_ptr(), pointers.len());
        work(&raw)
    }
}

/// Texts with a NUL were refused by `check`.
fn c_text(text: &str) -> Option<CString> {
    CString::new(text).ok()
}

fn within(name: &str, value: f32, range: std::ops::RangeInclusive<f32>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let (low, high) = range.into_inner();
    Err(out_of_range(
        name,
        value,
        &format!("between {low:?} and {high:?}"),
    ))
}

fn window(name: &str, tokens: i32) -> Result<()> {
    match tokens <= WINDOW_LIMIT {
        true => Ok(()),
        false => Err(out_of_range(
            name,
            tokens,
            &format!("at most {WINDOW_LIMIT}"),
        )),
    }
}

fn out_of_range(name: &str, value: impl std::fmt::Display, right: &str) -> Error {
    Error::InvalidArgument(format!("{name} is {value}, must be {right}"))
}
