//! The chains that settings become against llama.cpp's samplers called directly, token for token.

pub(super) mod direct;
pub(super) mod draws;

use super::support::*;
use crate::config::{Bias, SamplerName, Sampling, TokenRef};
use crate::llama::*;
use crate::sampling::{recipe, resolve};
use direct::{CONTEXT, Direct, Walk, documented};
use draws::{Draws, NAMES, Rows};

/// Rows of one chain: enough for windows to fill and seeds to advance.
const TURN: usize = 25;
/// Chains of one family of settings.
const CHAINS: usize = 40;

/// One turn with each of the chains; all see the same prompt and rows. Returns how many tokens were chosen.
fn compare(settings: &Sampling, d: &mut Draws, rows: Rows, walks: &[Walk]) -> usize {
    let vocab = pocket().vocab();
    let entropy = d.next() as u32 / 2;
    let recipe = recipe(settings, &vocab, entropy, CONTEXT).expect("a chain");
    let mut ours = recipe.sampler;
    let mut theirs: Vec<Direct> = walks
        .iter()
        .map(|&walk| {
            Direct::new(
                documented(settings, &vocab, entropy),
                walk,
                settings.min_keep,
            )
        })
        .collect();
    let prompt = draws::prompt(d);
    // Theirs get the whole prompt: what lies before the window that ours asks for must not matter.
    for &token in &prompt[prompt.len().saturating_sub(recipe.penalty_window)..] {
        ours.accept(token).unwrap();
    }
    for their in &mut theirs {
        prompt.iter().for_each(|&token| their.accept(token));
    }
    for step in 0..TURN {
        let row = draws::row(d, vocab.n_tokens(), rows);
        let our = ours.sample(&row, &[]);
        for (their, walk) in theirs.iter_mut().zip(walks) {
            let expect = their.choose(&row);
            match (&our, expect) {
                (Err(error), None) if error.to_string().starts_with(DEAD_END_TEXT) => return step,
                (our, expect) => assert_eq!(
                    our.as_ref().ok().copied(),
                    expect,
                    "row {step}, {walk:?}, {our:?}, {settings:?}"
                ),
            }
        }
    }
    TURN
}

/// A family: `CHAINS` settings drawn by `settings`, at least 1,000 rows.
fn family(seed: u64, rows: Rows, walks: &[Walk], mut settings: impl FnMut(&mut Draws) -> Sampling) {
    let mut d = Draws(seed);
    let mut count = 0;
    while count < CHAINS * TURN {
        let settings = settings(&mut d);
        count += compare(&settings, &mut d, rows, walks).max(1);
    }
}

#[test]
fn the_default_settings_choose_what_llama_cpp_chooses() {
    let both = [Walk::Whole, Walk::Possible];
    for rows in [Rows::Finite, Rows::Holes] {
        family(1, rows, &both, |_| Sampling::default());
    }
    // Rows without ties, since a forbidden token changes how many candidates llama.cpp sorts.
    family(2, Rows::Holes, &both, |d| {
        let mut s = Sampling {
            ignore_eos: true,
            ..Sampling::default()
        };
        draws::bias(&mut s, d);
        s.logit_bias
            .retain(|(_, bias)| !matches!(bias, Bias::Value(value) if value.abs() > 5.0));
        s
    });
}

#[test]
fn each_sampler_alone_chooses_what_llama_cpp_chooses() {
    use SamplerName::{Temperature, TypicalP, Xtc};
    for (at, name) in NAMES.into_iter().enumerate() {
        // Impossible candidates count for llama.cpp in an entropy, and as the choice that XTC leaves.
        for rows in [Rows::Finite, Rows::Holes] {
            let counts = matches!(name, TypicalP | Temperature | Xtc);
            let walks = match rows {
                Rows::Holes if counts => &[Walk::Possible][..],
                _ => &[Walk::Whole, Walk::Possible],
            };
            family(10 + at as u64, rows, walks, |d| {
                let mut s = draws::neutral();
                draws::switch_on(&mut s, name, d);
                // So close to zero, it divides logits out of range, and llama.cpp computes with NaN.
                s.dynatemp_range = s.dynatemp_range.min(s.temp / 2.0);
                s.min_keep = match name {
                    // llama.cpp's has no minimum, see `Direct`.
                    SamplerName::TopNSigma => 1,
                    _ => s.min_keep,
                };
                s
            });
        }
    }
}

#[test]
fn a_dynamic_temperature_down_to_zero_chooses_what_llama_cpp_chooses_or_the_best() {
    family(25, Rows::Finite, &[Walk::Possible], |d| {
        let mut s = draws::neutral();
        draws::switch_on(&mut s, SamplerName::Temperature, d);
        s.dynatemp_range = s.temp * (1 + d.below(3)) as f32;
        s
    });
}

#[test]
fn each_version_of_mirostat_chooses_what_llama_cpp_chooses() {
    for version in [1, 2] {
        let draw = |d: &mut Draws| {
            let mut s = draws::neutral();
            draws::mirostat(&mut s, version, d);
            // Replaced, so that their values must not matter.
            for name in [
                SamplerName::TopK,
                SamplerName::TopP,
                SamplerName::MinP,
                SamplerName::TypicalP,
            ] {
                draws::switch_on(&mut s, name, d);
            }
            s
        };
        family(30, Rows::Finite, &[Walk::Whole, Walk::Possible], draw);
        family(31, Rows::Holes, &[Walk::Possible], draw);
    }
}

#[test]
fn biases_and_the_best_token_are_what_llama_cpp_chooses() {
    for rows in [Rows::Finite, Rows::Holes] {
        for temp in [0.0, 1.0] {
            family(40, rows, &[Walk::Whole, Walk::Possible], |d| {
                let mut s = Sampling {
                    temp,
                    ..draws::neutral()
                };
                draws::bias(&mut s, d);
                s.ignore_eos = d.below(2) == 0;
                s
            });
        }
    }
}

#[test]
fn any_settings_in_any_order_choose_what_llama_cpp_chooses() {
    family(50, Rows::Finite, &[Walk::Possible], draws::any);
    family(51, Rows::Holes, &[Walk::Possible], draws::any);
    // Where nothing sets a logit to minus infinity, llama.cpp's own chain says the same.
    family(52, Rows::Finite, &[Walk::Whole, Walk::Possible], |d| {
        let mut s = draws::any(d);
        s.logit_bias.retain(|(_, bias)| *bias != Bias::Never);
        s.ignore_eos = false;
        s.top_n_sigma = -1.0;
        s.dynatemp_range = s.dynatemp_range.min(s.temp / 2.0);
        s.dry_base = s.dry_base.min(2.0);
        s.dry_multiplier = s.dry_multiplier.min(1.0);
        // Strong penalties make probabilities of zero, from which llama.cpp's typical computes NaN.
        s.typical_p = 1.0;
        s
    });
}

#[test]
fn two_names_of_one_token_are_one_bias_and_the_later_wins() {
    let vocab = pocket().vocab();
    let named = (0..).find_map(|id| {
        let mut text = Vec::new();
        vocab.piece(Token(id), &mut text).ok()?;
        let text = TokenRef::Text(String::from_utf8(text).ok()?);
        (resolve(&text, &vocab) == Some(Token(id))).then_some((id, text))
    });
    let (id, text) = named.expect("a token that its text names");
    for (temp, top_k) in [(0.0, 0), (0.1, 9)] {
        let s = Sampling {
            temp,
            top_k,
            logit_bias: vec![
                (TokenRef::Id(id.into()), Bias::Value(100.0)),
                (text.clone(), Bias::Value(-100.0)),
            ],
            ..draws::neutral()
        };
        let mut chain = recipe(&s, &vocab, 1, CONTEXT).unwrap().sampler;
        let mut row = vec![0.0; vocab.n_tokens()];
        row[id as usize] = 50.0;
        assert_ne!(chain.sample(&row, &[]), Ok(Token(id)));
        let walks = [Walk::Whole, Walk::Possible];
        compare(&s, &mut Draws(60), Rows::Finite, &walks);
    }
}
