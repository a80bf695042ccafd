//! A configuration section becomes a sampler chain.
//!
//! Knows the order of the chain and which settings switch a stage off; the stages themselves are llama.cpp's. Draws no
//! randomness: a random seed comes in as an argument.

mod odds;

use std::collections::BTreeMap;

use crate::config::{Bias, SamplerName, Sampling, Seed, TokenRef};
use crate::error::{Error, Result};
use crate::llama::{Sampler, Special, Stage, Token, Vocab, json_schema_to_grammar};

pub use odds::{Odds, mass, odds};

/// The order of the filters unless `samplers` gives another one.
const DEFAULT_ORDER: [SamplerName; 9] = [
    SamplerName::Penalties,
    SamplerName::Dry,
    SamplerName::TopNSigma,
    SamplerName::TopK,
    SamplerName::TypicalP,
    SamplerName::TopP,
    SamplerName::MinP,
    SamplerName::Xtc,
    SamplerName::Temperature,
];

/// A turn's sampler chain and what it was built with.
pub struct Recipe {
    /// The chain, fresh.
    pub sampler: Sampler,
    /// The seed in use, drawn or given.
    pub seed: u32,
    /// How many tokens at the prompt's end the penalties look back on.
    pub penalty_window: usize,
    /// How many alternatives of each token are reported; 0: nothing is.
    pub alternatives: usize,
}

/// Builds the chain of `settings`. `entropy` is the seed where none is given; `context` is the session's capacity in
/// tokens, which "the whole context" stands for.
///
/// Errors: `InvalidArgument` for a grammar or schema that does not compile, with the parser's text.
pub fn recipe(settings: &Sampling, vocab: &Vocab, entropy: u32, context: usize) -> Result<Recipe> {
    let seed = match settings.seed {
        Seed::Fixed(seed) => seed,
        Seed::Random => entropy,
    };
    let plan = Plan {
        settings,
        seed,
        context: i32::try_from(context).unwrap_or(i32::MAX),
    };
    let mut stages = Vec::new();
    stages.extend(grammar(settings)?.map(Stage::Grammar));
    stages.extend(biases(settings, vocab));
    stages.extend(plan.filters());
    stages.push(plan.selection());
    Ok(Recipe {
        sampler: Sampler::new(vocab, &stages)?,
        seed,
        penalty_window: plan.penalty_window(),
        alternatives: settings.n_probs as usize,
    })
}

/// The token that `reference` stands for: a valid id, or a text that is exactly one token, at the start of a text or
/// inside it.
pub fn resolve(reference: &TokenRef, vocab: &Vocab) -> Option<Token> {
    match reference {
        TokenRef::Id(id) => i32::try_from(*id)
            .ok()
            .map(Token)
            .filter(|&token| vocab.is_valid(token)),
        TokenRef::Text(text) => match vocab.tokenize(text, Special::Parse).ok()?.as_slice() {
            [token] => Some(*token),
            _ => match inside(text, vocab)?.as_slice() {
                [token] => Some(*token),
                _ => None,
            },
        },
    }
}

/// The tokens of `text` inside a text: some tokenizers put a blank before the first of a text, and spell it otherwise.
pub fn inside(text: &str, vocab: &Vocab) -> Option<Vec<Token>> {
    let tokens = vocab.tokenize(&format!("\n{text}"), Special::Parse).ok()?;
    let mut bytes = Vec::new();
    for (at, &token) in tokens.iter().enumerate() {
        vocab.piece(token, &mut bytes).ok()?;
        match bytes.as_slice() {
            b"\n" | b" \n" => return Some(tokens[at + 1..].to_vec()),
            b"" | b" " => {}
            // The newline and the text are one token.
            _ => return None,
        }
    }
    None
}

/// The first token of `references` that `vocab` does not have, in words.
pub fn unresolved<'a>(
    mut references: impl Iterator<Item = &'a TokenRef>,
    vocab: &Vocab,
) -> Option<String> {
    let missing = references.find(|reference| resolve(reference, vocab).is_none())?;
    Some(match missing {
        TokenRef::Id(id) => format!(
            "token {id} is not in the vocabulary of {}",
            vocab.n_tokens()
        ),
        TokenRef::Text(text) => format!("{text:?} is not one token of this model"),
    })
}

fn grammar(settings: &Sampling) -> Result<Option<String>> {
    if let Some(schema) = &settings.json_schema {
        return json_schema_to_grammar(&schema.to_string()).map(Some);
    }
    match &settings.grammar {
        Some(text) if text.len() > MAX_GRAMMAR => Err(Error::InvalidArgument(format!(
            "sampling.grammar has {} bytes, must have at most {MAX_GRAMMAR}",
            text.len()
        ))),
        Some(text) if !text.is_empty() => Ok(Some(text.clone())),
        _ => Ok(None),
    }
}

/// Below it, dividing logits by the temperature could overflow them; the best has all of the probability long before.
const COLDEST: f32 = 1e-12;

/// Tokens that a window may have; llama.cpp keeps a ring of so many.
const MAX_WINDOW: i32 = 1 << 20;

/// Bytes of grammar text; the parser works recursively on it.
const MAX_GRAMMAR: usize = 256 << 10;

fn biases(settings: &Sampling, vocab: &Vocab) -> Option<Stage> {
    // llama.cpp adds every entry up; a token that is written twice, by id and by text, has its last bias.
    let mut biases = BTreeMap::new();
    for (reference, bias) in &settings.logit_bias {
        let value = match bias {
            Bias::Value(value) => *value,
            Bias::Never => f32::NEG_INFINITY,
        };
        biases.extend(resolve(reference, vocab).map(|token| (token, value)));
    }
    if settings.ignore_eos {
        let ends = vocab.eog_tokens().iter();
        biases.extend(ends.map(|&token| (token, f32::NEG_INFINITY)));
    }
    (!biases.is_empty()).then(|| Stage::LogitBias(biases.into_iter().collect()))
}

/// The settings with the seed and the context's size resolved.
struct Plan<'a> {
    settings: &'a Sampling,
    seed: u32,
    context: i32,
}

impl Plan<'_> {
    fn filters(&self) -> Vec<Stage> {
        let order = self.settings.samplers.as_deref().unwrap_or(&DEFAULT_ORDER);
        order.iter().filter_map(|&name| self.filter(name)).collect()
    }

    /// The stage of `name`; `None` where the settings switch it off or mirostat replaces it.
    fn filter(&self, name: SamplerName) -> Option<Stage> {
        let s = self.settings;
        let free = s.mirostat == 0;
        let warm = s.temp > 0.0;
        match name {
            SamplerName::Penalties => self.penalties(),
            SamplerName::Dry => (s.dry_multiplier > 0.0).then(|| Stage::Dry {
                multiplier: s.dry_multiplier,
                base: s.dry_base,
                allowed_length: int(s.dry_allowed_length),
                last_n: self.window(s.dry_penalty_last_n),
                breakers: s.dry_sequence_breakers.clone(),
            }),
            SamplerName::TopNSigma => (s.top_n_sigma > 0.0).then_some(Stage::TopNSigma {
                n: s.top_n_sigma,
                min_keep: s.min_keep as usize,
            }),
            SamplerName::TopK => {
                (free && s.top_k > 0).then(|| Stage::TopK(s.top_k.max(int(s.min_keep))))
            }
            // This one and XTC can drop the most probable token, which is what temperature 0 asks for.
            SamplerName::TypicalP => {
                (free && warm && s.typical_p < 1.0).then_some(Stage::Typical {
                    p: s.typical_p,
                    min_keep: s.min_keep as usize,
                })
            }
            SamplerName::TopP => (free && s.top_p < 1.0).then_some(Stage::TopP {
                p: s.top_p,
                min_keep: s.min_keep.max(1) as usize,
            }),
            SamplerName::MinP => (free && s.min_p > 0.0).then_some(Stage::MinP {
                p: s.min_p,
                min_keep: s.min_keep as usize,
            }),
            SamplerName::Xtc => (warm && s.xtc_probability > 0.0).then_some(Stage::Xtc {
                probability: s.xtc_probability,
                threshold: s.xtc_threshold,
                min_keep: s.min_keep as usize,
                seed: self.seed,
            }),
            SamplerName::Temperature if !warm => None,
            SamplerName::Temperature if s.dynatemp_range > 0.0 => Some(Stage::DynamicTemperature {
                temp: s.temp,
                range: s.dynatemp_range,
                exponent: s.dynatemp_exponent,
            }),
            SamplerName::Temperature => Some(Stage::Temperature(s.temp.max(COLDEST))),
        }
    }

    fn penalties(&self) -> Option<Stage> {
        let s = self.settings;
        let neutral =
            s.repeat_penalty == 1.0 && s.presence_penalty == 0.0 && s.frequency_penalty == 0.0;
        let last_n = self.window(s.penalty_last_n);
        (!neutral && last_n > 0).then_some(Stage::Penalties {
            last_n,
            repeat: s.repeat_penalty,
            frequency: s.frequency_penalty,
            presence: s.presence_penalty,
        })
    }

    /// The one stage that selects.
    fn selection(&self) -> Stage {
        let s = self.settings;
        let (seed, tau, eta) = (self.seed, s.mirostat_tau, s.mirostat_eta);
        match s.mirostat {
            _ if s.temp <= 0.0 => Stage::Greedy,
            1 => Stage::Mirostat { seed, tau, eta },
            2 => Stage::MirostatV2 { seed, tau, eta },
            _ => Stage::Dist(seed),
        }
    }

    fn penalty_window(&self) -> usize {
        let s = self.settings;
        let dry = if s.dry_multiplier > 0.0 {
            self.window(s.dry_penalty_last_n)
        } else {
            0
        };
        let penalties = self
            .penalties()
            .map_or(0, |_| self.window(s.penalty_last_n));
        usize::try_from(dry.max(penalties)).unwrap_or(0)
    }

    /// -1 is the whole context, which llama.cpp's samplers would read as "off".
    fn window(&self, last_n: i32) -> i32 {
        let context = self.context.min(MAX_WINDOW);
        match last_n {
            ..0 => context,
            n => n.min(context),
        }
    }
}

/// Configuration ranges end far below 2^31.
fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
