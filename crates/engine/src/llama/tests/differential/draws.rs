//! Random settings within their ranges, random rows of logits, random prompts.

use crate::config::{Bias, SamplerName, Sampling, Seed, TokenRef};
use crate::llama::Token;

/// Tokens that prompts are made of and that peaked rows prefer, so that windows and repeats meet them.
const HOT: i32 = 24;
const FIRST_HOT: i32 = 40;

pub(in super::super) const NAMES: [SamplerName; 9] = [
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

/// SplitMix64: small, and the same numbers on every machine.
pub(in super::super) struct Draws(pub(in super::super) u64);

impl Draws {
    pub(in super::super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(in super::super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }

    /// Mostly a value of `usual`, now and then an end of the whole range or anything in it.
    fn number(&mut self, usual: (f32, f32), (low, high): (f32, f32)) -> f32 {
        let (from, to) = match self.below(8) {
            0 => (low, low),
            1 => (high, high),
            2 => (low, high),
            _ => usual,
        };
        from + self.unit() * (to - from)
    }

    fn int(&mut self, usual: (i32, i32), (low, high): (i32, i32)) -> i32 {
        let (from, to) = match self.below(8) {
            0 => (low, low),
            1 => (high, high),
            2 => (low, high),
            _ => usual,
        };
        from + self.below((to - from + 1) as usize) as i32
    }

    fn shuffled(&mut self, mut names: Vec<SamplerName>) -> Vec<SamplerName> {
        for at in (1..names.len()).rev() {
            names.swap(at, self.below(at + 1));
        }
        names
    }
}

/// Every filter off, temperature 1.
pub(in super::super) fn neutral() -> Sampling {
    Sampling {
        seed: Seed::Fixed(1),
        temp: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        repeat_penalty: 1.0,
        ..Sampling::default()
    }
}

/// Gives the keys of `name` values that switch it on, mostly.
pub(in super::super) fn switch_on(s: &mut Sampling, name: SamplerName, d: &mut Draws) {
    match name {
        SamplerName::Penalties => {
            s.repeat_penalty = d.number((0.8, 1.5), (0.1, 10.0));
            s.presence_penalty = d.number((-1.0, 2.0), (-10.0, 10.0));
            s.frequency_penalty = d.number((-0.5, 1.0), (-10.0, 10.0));
            s.penalty_last_n = d.int((1, 64), (-1, 1_048_576));
        }
        SamplerName::Dry => {
            s.dry_multiplier = d.number((0.1, 3.0), (0.0, 100.0));
            s.dry_base = d.number((1.0, 2.0), (1.0, 100.0));
            s.dry_allowed_length = d.int((0, 4), (0, 1_048_576)) as u32;
            s.dry_penalty_last_n = d.int((8, 200), (-1, 1_048_576));
            match d.below(4) {
                0 => s.dry_sequence_breakers = Vec::new(),
                1 => {
                    s.dry_sequence_breakers =
                        ["e", "ing t", ".", "\u{e9}"].map(String::from).to_vec()
                }
                2 => s.dry_sequence_breakers = vec!["\u{1f600}".repeat(30), String::new()],
                _ => (),
            }
        }
        SamplerName::TopNSigma => s.top_n_sigma = d.number((0.2, 3.0), (-1.0, 100.0)),
        SamplerName::TopK => s.top_k = d.int((1, 200), (-1, 1_000_000)),
        SamplerName::TypicalP => s.typical_p = d.number((0.1, 1.0), (0.0, 1.0)),
        SamplerName::TopP => s.top_p = d.number((0.1, 1.0), (0.0, 1.0)),
        SamplerName::MinP => s.min_p = d.number((0.01, 0.3), (0.0, 1.0)),
        SamplerName::Xtc => {
            s.xtc_probability = d.number((0.2, 0.9), (0.0, 1.0));
            s.xtc_threshold = d.number((0.01, 0.3), (0.0, 1.0));
        }
        SamplerName::Temperature => {
            s.temp = d.number((0.3, 2.0), (0.0, 100.0));
            if d.is(2) {
                s.dynatemp_range = d.number((0.0, 3.0), (0.0, 100.0));
                s.dynatemp_exponent = d.number((0.5, 2.0), (0.0, 100.0));
            }
        }
    }
    s.min_keep = [0, 1, 1, 3, d.below(20) as u32, 1000][d.below(6)];
}

pub(in super::super) fn mirostat(s: &mut Sampling, version: u32, d: &mut Draws) {
    s.mirostat = version;
    s.mirostat_tau = d.number((1.0, 8.0), (0.0, 100.0));
    s.mirostat_eta = d.number((0.05, 0.5), (0.0, 1.0));
}

pub(in super::super) fn bias(s: &mut Sampling, d: &mut Draws) {
    for _ in 0..d.below(12) {
        let token = TokenRef::Id(i64::from(hot(d).0));
        let bias = match d.below(4) {
            0 => Bias::Never,
            _ => Bias::Value(d.number((-5.0, 5.0), (-100.0, 100.0))),
        };
        s.logit_bias.push((token, bias));
    }
}

/// Any settings: each sampler on or off, in any order or the documented one.
pub(in super::super) fn any(d: &mut Draws) -> Sampling {
    let mut s = neutral();
    s.seed = Seed::Fixed((d.next() % u64::from(u32::MAX)) as u32);
    for name in NAMES {
        if d.is(2) {
            switch_on(&mut s, name, d);
        }
    }
    if d.is(3) {
        let version = 1 + d.below(2) as u32;
        mirostat(&mut s, version, d);
    }
    if d.is(3) {
        bias(&mut s, d);
    }
    s.ignore_eos = d.is(4);
    if d.is(2) {
        let mut names = d.shuffled(NAMES.to_vec());
        names.truncate(d.below(NAMES.len() + 1));
        if d.is(4) {
            names.extend_from_within(..names.len() / 2);
        }
        s.samplers = Some(names);
    }
    s
}

fn hot(d: &mut Draws) -> Token {
    Token(FIRST_HOT + d.below(HOT as usize) as i32)
}

/// A prompt with repeats.
pub(in super::super) fn prompt(d: &mut Draws) -> Vec<Token> {
    let length = d.below(150);
    let mut tokens: Vec<Token> = (0..length).map(|_| hot(d)).collect();
    for _ in 0..d.below(4) {
        let from = d.below(tokens.len() + 1);
        let to = (from + d.below(12)).min(tokens.len());
        tokens.extend_from_within(from..to);
    }
    tokens
}

/// What a row may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Rows {
    /// Finite logits, ties among them.
    Finite,
    /// Some are minus infinity; no two others are equal.
    Holes,
}

/// One row of logits.
pub(in super::super) fn row(d: &mut Draws, n_vocab: usize, rows: Rows) -> Vec<f32> {
    let scale = [0.5, 2.0, 5.0][d.below(3)];
    let mut logits: Vec<f32> = (0..n_vocab).map(|_| d.normal() * scale).collect();
    match d.below(3) {
        0 => {
            for _ in 0..1 + d.below(6) {
                logits[hot(d).0 as usize] += 4.0 + 12.0 * d.unit();
            }
        }
        1 if rows == Rows::Finite => logits
            .iter_mut()
            .for_each(|l| *l = (*l * 2.0).round() / 2.0),
        _ => (),
    }
    if rows == Rows::Holes {
        for _ in 0..d.below(n_vocab / 2) {
            logits[d.below(n_vocab)] = f32::NEG_INFINITY;
        }
        logits[hot(d).0 as usize] = 3.0;
        spread(&mut logits);
    }
    logits
}

/// Moves equal logits apart.
fn spread(logits: &mut [f32]) {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    for pair in order.windows(2) {
        if logits[pair[0]] != f32::NEG_INFINITY && logits[pair[1]] <= logits[pair[0]] {
            logits[pair[1]] = logits[pair[0]].next_up();
        }
    }
}
