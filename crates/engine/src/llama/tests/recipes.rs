//! What holds for the chains of any settings, and where each key of section `sampling` arrives.

use std::collections::BTreeSet;

use super::differential::direct::{self, CONTEXT, Direct, Part, Walk};
use super::differential::draws::{self, Draws, NAMES, Rows};
use super::support::*;
use crate::config::{Bias, Config, Door, RawConfig, SamplerName, Sampling, Seed, TokenRef};
use crate::llama::*;
use crate::sampling::recipe;

fn chain(settings: &Sampling) -> Sampler {
    let recipe = recipe(settings, &pocket().vocab(), 9, CONTEXT);
    recipe.expect("a chain").sampler
}

/// The tokens that a chain chooses from random rows after a prompt.
fn text(settings: &Sampling, d: &mut Draws, rows: Rows) -> Vec<Token> {
    let mut chain = chain(settings);
    for token in draws::prompt(d) {
        chain.accept(token).unwrap();
    }
    let n_vocab = pocket().vocab().n_tokens();
    let mut tokens = Vec::new();
    for _ in 0..12 {
        match chain.sample(&draws::row(d, n_vocab, rows), &[]) {
            Ok(token) => tokens.push(token),
            Err(error) => {
                assert!(
                    error.to_string().starts_with(DEAD_END_TEXT),
                    "{error} {settings:?}"
                );
                break;
            }
        }
    }
    tokens
}

/// Settings that may have extremes of everything at once.
fn settings(seed: u64) -> (Sampling, Draws) {
    let mut d = Draws(seed);
    (draws::any(&mut d), d)
}

#[test]
fn any_settings_choose_tokens_that_exist_and_are_not_forbidden() {
    let vocab = pocket().vocab();
    for seed in 0..400 {
        let (s, mut d) = settings(seed);
        let rows = [Rows::Finite, Rows::Holes][d.below(2)];
        for token in text(&s, &mut d, rows) {
            assert!(vocab.is_valid(token), "{token:?} {s:?}");
            assert!(!(s.ignore_eos && vocab.is_eog(token)), "{token:?} {s:?}");
            let last = s
                .logit_bias
                .iter()
                .rfind(|(t, _)| *t == TokenRef::Id(token.0.into()));
            assert!(
                !last.is_some_and(|(_, bias)| *bias == Bias::Never),
                "{token:?} {s:?}"
            );
        }
    }
}

#[test]
fn equal_seeds_make_equal_texts_and_a_clone_goes_on_alike() {
    let mut differ = 0;
    for seed in 0..200 {
        let (s, d) = settings(seed);
        let of = |s: &Sampling| text(s, &mut Draws(d.0), Rows::Finite);
        assert_eq!(of(&s), of(&s), "{s:?}");
        let Seed::Fixed(number) = s.seed else {
            panic!("drawn settings have a seed");
        };
        let other = Sampling {
            seed: Seed::Fixed(number / 2),
            ..s.clone()
        };
        differ += usize::from(of(&s) != of(&other));

        let mut d = Draws(seed);
        let mut one = chain(&s);
        let row = |d: &mut Draws| draws::row(d, pocket().vocab().n_tokens(), Rows::Finite);
        let _ = one.sample(&row(&mut d), &[]);
        let mut two = one.try_clone().unwrap();
        for _ in 0..5 {
            let row = row(&mut d);
            assert_eq!(one.sample(&row, &[]), two.sample(&row, &[]), "{s:?}");
        }
    }
    assert!(differ > 50, "seeds matter");
}

#[test]
fn temperature_zero_chooses_the_best_after_biases_and_penalties() {
    let n_vocab = pocket().vocab().n_tokens();
    for seed in 0..300 {
        let (mut s, mut d) = settings(seed);
        (s.temp, s.samplers, s.dry_multiplier, s.ignore_eos) = (0.0, None, 0.0, false);
        s.logit_bias.dedup_by_key(|(token, _)| token.clone());
        let mut chain = chain(&s);
        let mut seen = draws::prompt(&mut d);
        seen.iter().for_each(|token| chain.accept(*token).unwrap());
        for _ in 0..10 {
            let row = draws::row(&mut d, n_vocab, Rows::Holes);
            let token = chain.sample(&row, &[]).unwrap();
            let after = penalised(&s, &row, &seen);
            let best = after.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(after[token.0 as usize], best, "{token:?} {s:?}");
            seen.push(token);
        }
    }
}

/// The row after biases and the three penalties, by their definitions.
fn penalised(s: &Sampling, row: &[f32], seen: &[Token]) -> Vec<f32> {
    let mut row = row.to_vec();
    for (token, logit) in row.iter_mut().enumerate() {
        let last = s
            .logit_bias
            .iter()
            .rfind(|(t, _)| *t == TokenRef::Id(token as i64));
        *logit += match last {
            Some((_, Bias::Value(value))) => *value,
            Some((_, Bias::Never)) => f32::NEG_INFINITY,
            None => 0.0,
        };
        let window = match s.penalty_last_n {
            -1 => CONTEXT,
            n => n as usize,
        };
        let from = seen.len().saturating_sub(window);
        let count = seen[from..]
            .iter()
            .filter(|t| t.0 as usize == token)
            .count() as f32;
        if count > 0.0 {
            match *logit <= 0.0 {
                true => *logit *= s.repeat_penalty,
                false => *logit /= s.repeat_penalty,
            }
            *logit -= count * s.frequency_penalty + s.presence_penalty;
        }
    }
    row
}

#[test]
fn each_filter_leaves_min_keep_tokens_and_without_it_fewer() {
    let strict = |name: SamplerName, min_keep: u32| {
        let mut s = Sampling {
            min_keep,
            ..draws::neutral()
        };
        match name {
            SamplerName::TopNSigma => s.top_n_sigma = 1e-3,
            SamplerName::TopK => s.top_k = 1,
            SamplerName::TypicalP => s.typical_p = 0.0,
            SamplerName::TopP => s.top_p = 0.0,
            SamplerName::MinP => s.min_p = 1.0,
            SamplerName::Xtc => (s.xtc_probability, s.xtc_threshold) = (1.0, 0.0),
            _ => unreachable!("no filter"),
        }
        s
    };
    let row = draws::row(&mut Draws(3), pocket().vocab().n_tokens(), Rows::Holes);
    for name in &NAMES[2..8] {
        for min_keep in [0, 1, 2, 7] {
            // So hot that every token which is left comes up soon.
            let s = Sampling {
                temp: 100.0,
                ..strict(*name, min_keep)
            };
            let mut chain = chain(&s);
            let left: BTreeSet<Token> =
                (0..300).map(|_| chain.sample(&row, &[]).unwrap()).collect();
            match (name, min_keep) {
                // It drops all but the last of the top choices, or leaves them if that would be too few.
                (SamplerName::Xtc, 2..) => assert!(left.len() >= 7, "{left:?}"),
                _ => assert_eq!(left.len(), min_keep.max(1) as usize, "{name:?} {left:?}"),
            }
        }
    }
}

#[test]
fn a_token_that_is_as_good_as_forbidden_does_not_switch_typical_off() {
    let of = |bias: Bias| {
        let mut s = draws::neutral();
        s.typical_p = 0.5;
        s.logit_bias = (0..20).map(|id| (TokenRef::Id(id), bias)).collect();
        text(&s, &mut Draws(5), Rows::Finite)
    };
    assert_eq!(of(Bias::Value(-100.0)), of(Bias::Never));
}

#[test]
fn an_empty_list_of_samplers_leaves_biases_and_the_choice() {
    let n_vocab = pocket().vocab().n_tokens() as i32;
    for seed in 0..100 {
        let (mut s, mut d) = settings(seed);
        s.samplers = Some(Vec::new());
        (s.temp, s.mirostat, s.ignore_eos) = (0.7, 0, false);
        s.logit_bias = vec![(TokenRef::Id(50), Bias::Value(3.0))];
        let Seed::Fixed(number) = s.seed else {
            panic!("drawn settings have a seed");
        };
        let parts = vec![
            direct::logit_bias(n_vocab, &[(Token(50), 3.0)]),
            direct::dist(number),
        ];
        same(&s, parts, &mut d);
    }
}

/// The chain of `settings` is `parts`, in this order.
fn same(settings: &Sampling, parts: Vec<Part>, d: &mut Draws) {
    let mut ours = chain(settings);
    let mut theirs = Direct::new(parts, Walk::Possible, settings.min_keep);
    for token in draws::prompt(d) {
        ours.accept(token).unwrap();
        theirs.accept(token);
    }
    for _ in 0..30 {
        let row = draws::row(d, pocket().vocab().n_tokens(), Rows::Finite);
        assert_eq!(
            ours.sample(&row, &[]).ok(),
            theirs.choose(&row),
            "{settings:?}"
        );
    }
}

/// A load's text with `keys`, over a text that switches everything off, becomes `parts`.
fn check(keys: &str, parts: Vec<Part>) {
    let off = r#""seed":7,"temp":1,"top_k":0,"top_p":1,"min_p":0,"repeat_penalty":1"#;
    // The first of two equal keys wins.
    let text = match keys {
        "" => format!("{{\"sampling\":{{{off}}}}}"),
        _ => format!("{{\"sampling\":{{{keys},{off}}}}}"),
    };
    let raw = RawConfig::parse(Door::Load, text.as_bytes()).expect("JSON");
    let (config, findings) = Config::from_layers(&[(Door::Load, &raw)]);
    assert!(findings.is_empty(), "{findings:?}");
    same(&config.sampling, parts, &mut Draws(77));
}

/// As `check`, before a choice by chance.
fn filters(keys: &str, mut parts: Vec<Part>) {
    parts.push(direct::dist(7));
    check(keys, parts);
}

#[test]
fn each_key_of_a_filter_arrives_as_documented() {
    use direct::*;
    filters("", vec![]);
    for off in [
        r#""top_k":-1"#,
        r#""top_n_sigma":-1"#,
        r#""top_n_sigma":0"#,
        r#""xtc_threshold":0"#,
    ] {
        filters(off, vec![]);
    }
    filters(r#""top_k":5"#, vec![top_k(5)]);
    filters(r#""top_k":1000000"#, vec![top_k(1_000_000)]);
    filters(r#""top_k":2,"min_keep":3"#, vec![top_k(3)]);
    // One token, whatever `min_keep` says below 2.
    for keys in [r#""top_p":0"#, r#""top_p":0,"min_keep":0"#, r#""top_k":1"#] {
        filters(keys, vec![top_k(1)]);
    }
    filters(r#""top_p":0.3"#, vec![top_p(0.3, 1)]);
    filters(r#""top_p":0.3,"min_keep":9"#, vec![top_p(0.3, 9)]);
    filters(r#""min_p":0.2,"min_keep":9"#, vec![min_p(0.2, 9)]);
    filters(r#""min_p":1,"min_keep":0"#, vec![min_p(1.0, 0)]);
    filters(r#""typical_p":0.4"#, vec![typical(0.4, 1)]);
    filters(r#""typical_p":0,"min_keep":0"#, vec![typical(0.0, 0)]);
    filters(r#""top_n_sigma":1.5"#, vec![top_n_sigma(1.5)]);
    filters(r#""xtc_probability":0.5"#, vec![xtc(0.5, 0.1, 1, 7)]);
    filters(
        r#""xtc_probability":1,"xtc_threshold":0"#,
        vec![xtc(1.0, 0.0, 1, 7)],
    );
    filters(r#""xtc_probability":1,"xtc_threshold":0.6"#, vec![]);
    filters(r#""temperature":0.4"#, vec![temp_ext(0.4, 0.0, 1.0)]);
    filters(
        r#""temp":0.4,"dynatemp_range":0.3,"dynatemp_exponent":2"#,
        vec![temp_ext(0.4, 0.3, 2.0)],
    );
    // Temperatures below zero do not come out of a range that is wider than the temperature.
    filters(
        r#""temp":0.4,"dynatemp_range":3"#,
        vec![temp_ext(0.4, 3.0, 1.0)],
    );
}

#[test]
fn each_key_of_a_penalty_and_of_a_bias_arrives_as_documented() {
    use direct::*;
    let vocab = pocket().vocab();
    let n_vocab = vocab.n_tokens() as i32;
    let all = CONTEXT as i32;
    let of = |last_n, repeat, frequency, presence| {
        vec![penalties(n_vocab, last_n, repeat, frequency, presence)]
    };
    filters(r#""repeat_penalty":1.3"#, of(64, 1.3, 0.0, 0.0));
    filters(
        r#""repeat_penalty":0.5,"repeat_last_n":9"#,
        of(9, 0.5, 0.0, 0.0),
    );
    filters(r#""presence_penalty":-1"#, of(64, 1.0, 0.0, -1.0));
    filters(
        r#""frequency_penalty":-1,"penalty_last_n":-1"#,
        of(all, 1.0, -1.0, 0.0),
    );
    filters(
        r#""frequency_penalty":0.3,"presence_penalty":2,"penalty_last_n":1"#,
        of(1, 1.0, 0.3, 2.0),
    );
    filters(r#""repeat_penalty":2,"penalty_last_n":0"#, vec![]);

    let breakers = ["\n", ":", "\"", "*"].map(String::from);
    let of = |lengths, breakers: &[String]| vec![dry(&vocab, (2.0, 1.75), lengths, breakers)];
    let on = |keys: &str| format!("\"dry_multiplier\":2{keys}");
    filters(&on(""), of((2, all), &breakers));
    filters(&on(r#","dry_sequence_breakers":[]"#), of((2, all), &[]));
    filters(
        &on(r#","dry_sequence_breakers":["e"],"dry_penalty_last_n":50"#),
        of((2, 50), &["e".to_owned()]),
    );
    filters(&on(r#","dry_allowed_length":0"#), of((0, all), &breakers));
    filters(&on(r#","dry_penalty_last_n":0"#), vec![]);
    filters(r#""dry_base":2,"dry_allowed_length":1"#, vec![]);

    let never = f32::NEG_INFINITY;
    let keys = r#""logit_bias":[[50,4.5],[51,false],[52,-100],[50,6]]"#;
    let biases = [(50, 6.0), (51, never), (52, -100.0)].map(|(id, bias)| (Token(id), bias));
    filters(keys, vec![logit_bias(n_vocab, &biases)]);
    let ends: Vec<_> = vocab.eog_tokens().iter().map(|&end| (end, never)).collect();
    filters(r#""ignore_eos":true"#, vec![logit_bias(n_vocab, &ends)]);
}

#[test]
fn temperature_zero_mirostat_and_orders_arrive_as_documented() {
    use direct::*;
    let n_vocab = pocket().vocab().n_tokens() as i32;
    check(r#""temp":0,"dynatemp_range":2"#, vec![greedy()]);
    check(
        r#""temp":0,"mirostat":2,"xtc_probability":1,"typical_p":0.1"#,
        vec![greedy()],
    );
    let replaced = r#""top_k":1,"top_p":0,"min_p":1,"typical_p":0"#;
    let one = mirostat(n_vocab, 7, 5.0, 0.1, 100);
    check(&format!("\"mirostat\":1,{replaced}"), vec![one]);
    let two = mirostat_v2(7, 3.0, 0.4);
    check(
        &format!("\"mirostat\":2,\"mirostat_tau\":3,\"mirostat_eta\":0.4,{replaced}"),
        vec![two],
    );
    let keys =
        r#""mirostat":2,"temp":0.6,"dynatemp_range":0.5,"top_n_sigma":2,"xtc_probability":0.5"#;
    let parts = vec![
        top_n_sigma(2.0),
        xtc(0.5, 0.1, 1, 7),
        temp_ext(0.6, 0.5, 1.0),
        mirostat_v2(7, 5.0, 0.1),
    ];
    check(keys, parts);

    // The documented order, then others.
    let keys = r#""typical_p":0.9,"top_p":0.8,"min_p":0.05,"top_k":30,"temp":0.5,"top_n_sigma":3"#;
    let parts = || {
        vec![
            top_n_sigma(3.0),
            top_k(30),
            typical(0.9, 1),
            top_p(0.8, 1),
            min_p(0.05, 1),
        ]
    };
    let mut standard = parts();
    standard.push(temp_ext(0.5, 0.0, 1.0));
    filters(keys, standard);
    let mut turned = parts();
    turned.reverse();
    let order = r#""samplers":["min_p","top_p","typical_p","top_k","top_n_sigma"],"#;
    filters(&format!("{order}{keys}"), turned);
    filters(&format!("\"samplers\":[],{keys}"), vec![]);
    let order = r#""samplers":["temp","top_k"],"#;
    filters(
        &format!("{order}{keys}"),
        vec![temp_ext(0.5, 0.0, 1.0), top_k(30)],
    );
}

#[test]
fn the_window_that_a_turn_looks_back_on_is_the_longest_in_use() {
    let window = |change: &dyn Fn(&mut Sampling)| {
        let mut s = draws::neutral();
        change(&mut s);
        recipe(&s, &pocket().vocab(), 9, 512)
            .unwrap()
            .penalty_window
    };
    assert_eq!(window(&|_| ()), 0);
    assert_eq!(window(&|s| s.repeat_penalty = 1.1), 64);
    assert_eq!(
        window(&|s| (s.presence_penalty, s.penalty_last_n) = (1.0, -1)),
        512
    );
    assert_eq!(
        window(&|s| (s.frequency_penalty, s.penalty_last_n) = (1.0, 1_048_576)),
        512
    );
    assert_eq!(
        window(&|s| (s.repeat_penalty, s.penalty_last_n) = (1.1, 0)),
        0
    );
    assert_eq!(window(&|s| s.dry_multiplier = 0.1), 512);
    assert_eq!(
        window(&|s| (s.dry_multiplier, s.dry_penalty_last_n) = (0.1, 7)),
        7
    );
}
