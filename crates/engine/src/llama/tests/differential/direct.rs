//! llama.cpp's samplers without anything of ours around them, and chains of them by the letter of the documents.
//!
//! Written from the tables of keys and of the chain, not from the code that it is compared with: a sampler that is off
//! is made all the same, with the value that llama.cpp reads as off.

use std::ffi::{CStr, CString, c_char};
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::config::{Bias, SamplerName, Sampling, Seed};
use crate::llama::{Token, Vocab};
use crate::sampling::resolve;

/// What a negative window means to llama.cpp is "off", so that the whole context is a number here too.
pub(in super::super) const CONTEXT: usize = 4096;

/// One sampler of llama.cpp.
pub(in super::super) struct Part(NonNull<sys::llama_sampler>);

impl Part {
    fn own(raw: *mut sys::llama_sampler) -> Part {
        Part(NonNull::new(raw).expect("llama.cpp makes the sampler"))
    }

    fn name(&self) -> &str {
        // SAFETY: the sampler is valid; its name lives as long as it does.
        let name = unsafe { CStr::from_ptr(sys::llama_sampler_name(self.0.as_ptr())) };
        name.to_str().expect("a name of llama.cpp")
    }

    fn apply(&self, list: &mut sys::llama_token_data_array) {
        // SAFETY: the sampler is valid, and so is the list with its length.
        unsafe { sys::llama_sampler_apply(self.0.as_ptr(), list) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // SAFETY: `self` owns the sampler, which is in no chain.
        unsafe { sys::llama_sampler_free(self.0.as_ptr()) }
    }
}

/// Each function of llama.cpp that makes a sampler from numbers alone.
macro_rules! parts {
    ($($name:ident = $make:ident($($arg:ident: $type:ty),*);)*) => {$(
        pub(in super::super) fn $name($($arg: $type),*) -> Part {
            // SAFETY: numbers only; those that llama.cpp does not check are in its range.
            Part::own(unsafe { sys::$make($($arg),*) })
        }
    )*};
}

parts! {
    top_n_sigma = llama_sampler_init_top_n_sigma(n: f32);
    top_k = llama_sampler_init_top_k(k: i32);
    typical = llama_sampler_init_typical(p: f32, min_keep: usize);
    top_p = llama_sampler_init_top_p(p: f32, min_keep: usize);
    min_p = llama_sampler_init_min_p(p: f32, min_keep: usize);
    xtc = llama_sampler_init_xtc(probability: f32, threshold: f32, min_keep: usize, seed: u32);
    temp_ext = llama_sampler_init_temp_ext(temp: f32, range: f32, exponent: f32);
    penalties = llama_sampler_init_penalties(n_vocab: i32, last_n: i32, repeat: f32, frequency: f32, presence: f32);
    mirostat = llama_sampler_init_mirostat(n_vocab: i32, seed: u32, tau: f32, eta: f32, m: i32);
    mirostat_v2 = llama_sampler_init_mirostat_v2(seed: u32, tau: f32, eta: f32);
    dist = llama_sampler_init_dist(seed: u32);
    greedy = llama_sampler_init_greedy();
}

pub(in super::super) fn logit_bias(n_vocab: i32, biases: &[(Token, f32)]) -> Part {
    let biases: Vec<sys::llama_logit_bias> = biases
        .iter()
        .map(|&(Token(token), bias)| sys::llama_logit_bias { token, bias })
        .collect();
    let count = i32::try_from(biases.len()).expect("a short list");
    // SAFETY: the list has `count` entries and is copied.
    Part::own(unsafe { sys::llama_sampler_init_logit_bias(n_vocab, count, biases.as_ptr()) })
}

pub(in super::super) fn dry(
    vocab: &Vocab,
    (multiplier, base): (f32, f32),
    (allowed_length, last_n): (i32, i32),
    breakers: &[String],
) -> Part {
    let texts: Vec<CString> = breakers
        .iter()
        .map(|text| CString::new(text.as_str()).expect("a breaker without NUL"))
        .collect();
    let mut pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
    // SAFETY: the vocabulary outlives the call, and so do the texts, which are copied.
    Part::own(unsafe {
        sys::llama_sampler_init_dry(
            vocab.as_ptr(),
            multiplier,
            base,
            allowed_length,
            last_n,
            pointers.as_mut_ptr(),
            pointers.len(),
        )
    })
}

/// How a row of candidates goes through the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Walk {
    /// Through llama.cpp's own chain, as `llama_sampler_sample` does it.
    Whole,
    /// Part by part; candidates of minus infinity leave the list in between.
    ///
    /// Ours does this: with them typical and mirostat compute with NaN, the dynamic temperature takes them for
    /// choices that there are, XTC leaves one of them as the last choice, and where logits tie their number decides
    /// the order. Before typical those leave too whose probability rounds to zero, for the same NaN.
    Possible,
}

/// A chain of llama.cpp.
pub(in super::super) struct Direct {
    /// `Part` that holds the chain; owns all parts that were added.
    chain: Part,
    parts: Vec<NonNull<sys::llama_sampler>>,
    walk: Walk,
    min_keep: usize,
}

impl Direct {
    pub(in super::super) fn new(parts: Vec<Part>, walk: Walk, min_keep: u32) -> Direct {
        // SAFETY: plain calls; the chain takes the parts over, which are forgotten here.
        let (chain, parts) = unsafe {
            let chain = sys::llama_sampler_chain_init(sys::llama_sampler_chain_default_params());
            let parts: Vec<_> = parts
                .into_iter()
                .map(|part| std::mem::ManuallyDrop::new(part).0)
                .collect();
            for part in &parts {
                sys::llama_sampler_chain_add(chain, part.as_ptr());
            }
            (chain, parts)
        };
        Direct {
            chain: Part::own(chain),
            parts,
            walk,
            min_keep: min_keep as usize,
        }
    }

    pub(in super::super) fn accept(&mut self, token: Token) {
        // SAFETY: the chain is valid; every token comes from its vocabulary.
        unsafe { sys::llama_sampler_accept(self.chain.0.as_ptr(), token.0) }
    }

    /// Chooses and accepts; `None` where nothing is left to choose from.
    pub(in super::super) fn choose(&mut self, logits: &[f32]) -> Option<Token> {
        let mut candidates: Vec<sys::llama_token_data> = (0..)
            .zip(logits)
            .map(|(id, &logit)| sys::llama_token_data { id, logit, p: 0.0 })
            .collect();
        let mut list = sys::llama_token_data_array {
            data: candidates.as_mut_ptr(),
            size: candidates.len(),
            selected: -1,
            sorted: false,
        };
        match self.walk {
            Walk::Whole => self.chain.apply(&mut list),
            Walk::Possible => self.step(&mut list)?,
        }
        let selected = usize::try_from(list.selected).expect("the last part selects");
        assert!(selected < list.size);
        // SAFETY: the list lies within `candidates` and has `size` entries.
        let token = Token(unsafe { (*list.data.add(selected)).id });
        self.accept(token);
        Some(token)
    }

    fn step(&self, list: &mut sys::llama_token_data_array) -> Option<()> {
        drop_impossible(list);
        for part in &self.parts {
            let part = std::mem::ManuallyDrop::new(Part(*part));
            if part.name() == "typical" {
                drop_hopeless(list);
            }
            let before = entries(list).to_vec();
            part.apply(list);
            // Too close to zero for the logits; the best is the first.
            if part.name() == "temp-ext" && entries(list)[0].logit.abs() >= 1e30 {
                list.size = 1;
                entries(list)[0].logit = 0.0;
            }
            drop_impossible(list);
            // The one filter that llama.cpp gives no minimum.
            if part.name() == "top-n-sigma" && list.size < self.min_keep.min(before.len()) {
                list.size = before.len();
                entries(list).copy_from_slice(&before);
                top_k(i32::try_from(self.min_keep).expect("a small number")).apply(list);
            }
            if list.size == 0 {
                return None;
            }
        }
        Some(())
    }
}

fn entries(list: &mut sys::llama_token_data_array) -> &mut [sys::llama_token_data] {
    // SAFETY: every list here lies within a vector that outlives it.
    unsafe { std::slice::from_raw_parts_mut(list.data, list.size) }
}

fn drop_impossible(list: &mut sys::llama_token_data_array) {
    keep_from(list, f32::MIN);
}

/// The logarithm of a probability that rounds to zero is infinite, and zero times it is NaN.
fn drop_hopeless(list: &mut sys::llama_token_data_array) {
    let best = entries(list).iter().map(|entry| entry.logit);
    let best = best.fold(f32::NEG_INFINITY, f32::max);
    keep_from(list, best - 90.0);
}

fn keep_from(list: &mut sys::llama_token_data_array, lowest: f32) {
    let kept: Vec<_> = entries(list)
        .iter()
        .filter(|entry| entry.logit >= lowest)
        .copied()
        .collect();
    entries(list)[..kept.len()].copy_from_slice(&kept);
    list.size = kept.len();
}

/// The chain that the documents promise for `settings`.
pub(in super::super) fn documented(s: &Sampling, vocab: &Vocab, entropy: u32) -> Vec<Part> {
    use SamplerName::*;
    let n_vocab = i32::try_from(vocab.n_tokens()).expect("a vocabulary");
    let min_keep = s.min_keep as usize;
    let seed = match s.seed {
        Seed::Fixed(seed) => seed,
        Seed::Random => entropy,
    };
    let window = |last_n: i32| match last_n {
        -1 => CONTEXT as i32,
        last_n => last_n,
    };
    let mut parts = Vec::new();
    let biases = biases(s, vocab);
    if !biases.is_empty() {
        parts.push(logit_bias(n_vocab, &biases));
    }
    let standard = [
        Penalties,
        Dry,
        TopNSigma,
        TopK,
        TypicalP,
        TopP,
        MinP,
        Xtc,
        Temperature,
    ];
    for name in s.samplers.as_deref().unwrap_or(&standard) {
        let replaced = s.mirostat > 0 && matches!(name, TopK | TopP | MinP | TypicalP);
        // Greedy is the most probable token, which these two alone can drop.
        let unlikely = s.temp == 0.0 && matches!(name, TypicalP | Xtc | Temperature);
        if replaced || unlikely {
            continue;
        }
        parts.push(match name {
            Penalties => {
                let (repeat, frequency) = (s.repeat_penalty, s.frequency_penalty);
                penalties(
                    n_vocab,
                    window(s.penalty_last_n),
                    repeat,
                    frequency,
                    s.presence_penalty,
                )
            }
            Dry => {
                let lengths = (s.dry_allowed_length as i32, window(s.dry_penalty_last_n));
                dry(
                    vocab,
                    (s.dry_multiplier, s.dry_base),
                    lengths,
                    &s.dry_sequence_breakers,
                )
            }
            TopNSigma => top_n_sigma(s.top_n_sigma),
            TopK if s.top_k <= 0 => top_k(0),
            TopK => top_k(s.top_k.max(s.min_keep as i32)),
            TypicalP => typical(s.typical_p, min_keep),
            TopP => top_p(s.top_p, min_keep),
            MinP => min_p(s.min_p, min_keep),
            Xtc => xtc(s.xtc_probability, s.xtc_threshold, min_keep, seed),
            Temperature => temp_ext(s.temp, s.dynatemp_range, s.dynatemp_exponent),
        });
    }
    parts.push(match s.mirostat {
        _ if s.temp == 0.0 => greedy(),
        0 => dist(seed),
        1 => mirostat(n_vocab, seed, s.mirostat_tau, s.mirostat_eta, 100),
        _ => mirostat_v2(seed, s.mirostat_tau, s.mirostat_eta),
    });
    parts
}

/// One entry per token: a later one wins, and an end token under `ignore_eos` is never chosen.
fn biases(s: &Sampling, vocab: &Vocab) -> Vec<(Token, f32)> {
    let mut biases: Vec<(Token, f32)> = Vec::new();
    let mut set = |token: Token, bias: f32| match biases.iter_mut().find(|(t, _)| *t == token) {
        Some(entry) => entry.1 = bias,
        None => biases.push((token, bias)),
    };
    for (reference, bias) in &s.logit_bias {
        let Some(token) = resolve(reference, vocab) else {
            continue;
        };
        set(
            token,
            match bias {
                Bias::Value(value) => *value,
                Bias::Never => f32::NEG_INFINITY,
            },
        );
    }
    if s.ignore_eos {
        for &token in vocab.eog_tokens() {
            set(token, f32::NEG_INFINITY);
        }
    }
    biases
}
