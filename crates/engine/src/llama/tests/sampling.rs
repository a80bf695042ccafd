//! Sampler chains: what they choose, what they count, what they refuse.

use super::support::*;
use crate::error::Error;
use crate::llama::*;

/// Logits in which `order` are the best, in this order, and all others equal.
fn row(order: &[i32]) -> Vec<f32> {
    let mut logits = vec![0.0; pocket().vocab().n_tokens()];
    for (rank, token) in order.iter().enumerate() {
        logits[*token as usize] = 10.0 - rank as f32;
    }
    logits
}

fn chain(stages: &[Stage]) -> Sampler {
    Sampler::new(&pocket().vocab(), stages).expect("a chain")
}

fn refused(stages: &[Stage], expect: &str) {
    let error = Sampler::new(&pocket().vocab(), stages).expect_err("a refusal");
    assert!(
        matches!(error, Error::InvalidArgument(_) | Error::TooLarge { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(expect), "{error}");
}

#[test]
fn greedy_chooses_the_best_and_a_seed_chooses_the_same_again() {
    let logits = row(&[7, 8, 9]);
    assert_eq!(chain(&[Stage::Greedy]).sample(&logits, &[]), Ok(Token(7)));
    let draws = |seed| -> Vec<Token> {
        let mut sampler = chain(&[Stage::Temperature(5.0), Stage::Dist(seed)]);
        (0..20)
            .map(|_| sampler.sample(&logits, &[]).unwrap())
            .collect()
    };
    assert_eq!(draws(3), draws(3));
    assert_ne!(draws(3), draws(4));
}

#[test]
fn every_stage_samples_from_the_model() {
    let mut ctx = context(&context_params());
    let seq = ctx.seq(0).unwrap();
    feed(&mut ctx, seq, &prompt("Hello."));
    let index = prompt("Hello.").len() - 1;
    let stages = [
        Stage::LogitBias(vec![(Token(5), f32::NEG_INFINITY), (Token(6), 1.5)]),
        Stage::Penalties {
            last_n: 64,
            repeat: 1.1,
            frequency: 0.1,
            presence: 0.1,
        },
        Stage::Dry {
            multiplier: 0.8,
            base: 1.75,
            allowed_length: 2,
            last_n: 256,
            breakers: vec!["\n".to_owned(), ":".to_owned(), String::new()],
        },
        Stage::TopNSigma {
            n: 3.0,
            min_keep: 1,
        },
        Stage::TopK(40),
        Stage::Typical {
            p: 0.9,
            min_keep: 1,
        },
        Stage::TopP {
            p: 0.95,
            min_keep: 1,
        },
        Stage::MinP {
            p: 0.05,
            min_keep: 1,
        },
        Stage::Xtc {
            probability: 0.5,
            threshold: 0.1,
            min_keep: 1,
            seed: 1,
        },
        Stage::DynamicTemperature {
            temp: 0.8,
            range: 0.5,
            exponent: 1.0,
        },
        Stage::Temperature(0.8),
    ];
    let lasts = [
        Stage::Greedy,
        Stage::Dist(1),
        Stage::Mirostat {
            seed: 1,
            tau: 5.0,
            eta: 0.1,
        },
        Stage::MirostatV2 {
            seed: 1,
            tau: 5.0,
            eta: 0.1,
        },
    ];
    for last in lasts {
        let mut sampler = chain(&[&stages[..], &[last]].concat());
        for _ in 0..20 {
            let token = sampler.sample(ctx.row(index).unwrap(), &[]).unwrap();
            assert!(pocket().vocab().is_valid(token) && token != Token(5));
        }
    }
    let error = ctx.row(index + 1).unwrap_err();
    assert!(error.to_string().contains("has no logits"), "{error}");
}

#[test]
fn a_token_is_counted_once_per_sample_and_once_per_accept() {
    // Each time that a token was seen takes 0.6 from its lead of 1 over the next.
    let stage = Stage::Penalties {
        last_n: 8,
        repeat: 1.0,
        frequency: 0.6,
        presence: 0.0,
    };
    let logits = row(&[7, 8]);
    let mut sampler = chain(&[stage.clone(), Stage::Greedy]);
    let chosen: Vec<i32> = (0..4)
        .map(|_| sampler.sample(&logits, &[]).unwrap().0)
        .collect();
    assert_eq!(chosen, [7, 7, 8, 7]);
    let mut sampler = chain(&[stage, Stage::Greedy]);
    sampler.accept(Token(7)).unwrap();
    sampler.accept(Token(7)).unwrap();
    let mut twin = sampler.try_clone().unwrap();
    assert_eq!(sampler.sample(&logits, &[]), Ok(Token(8)));
    assert_eq!(
        twin.sample(&logits, &[]),
        Ok(Token(8)),
        "a clone has the same state"
    );
    assert!(sampler.accept(Token(-1)).is_err());
}

#[test]
fn a_grammar_allows_its_own_text_only_and_does_not_count_the_prompt() {
    let vocab = pocket().vocab();
    let grammar = Stage::Grammar("root ::= \"yes\" | \"no\"".to_owned());
    let mut sampler = chain(&[grammar, Stage::TopK(5), Stage::Greedy]);
    for token in prompt("Anything at all.") {
        sampler.accept(token).unwrap();
    }
    let mut text = Vec::new();
    for step in 0..8 {
        let logits: Vec<f32> = (0..vocab.n_tokens())
            .map(|i| ((i * 31 + step) % 97) as f32)
            .collect();
        let token = sampler.sample(&logits, &[]).unwrap();
        if vocab.is_eog(token) {
            break;
        }
        vocab.piece(token, &mut text).unwrap();
    }
    let text = String::from_utf8(text).unwrap();
    assert!(["yes", "no"].contains(&text.trim_start()), "{text}");
    // At its end only the end is allowed, again and again.
    for _ in 0..2 {
        assert!(vocab.is_eog(sampler.sample(&row(&[7]), &[]).unwrap()));
    }
}

#[test]
fn a_grammar_that_does_not_parse_is_refused_with_line_and_reason() {
    let grammar = |text: &str| [Stage::Grammar(text.to_owned()), Stage::Greedy];
    refused(&grammar(""), "no rules");
    refused(&grammar("root ::= \"a"), "line 1: unexpected end");
    refused(
        &grammar("root ::= \"a\"\nb ::= (\n"),
        "line 3: expected ')'",
    );
    refused(&grammar("root ::= root"), "rule root begins with itself");
    refused(&grammar("root ::= <no such token>"), "not one token");
    refused(&grammar(&"a".repeat(300_000)), "more than 262144 bytes");
    let two = [
        &grammar("root ::= \"a\"")[..],
        &grammar("root ::= \"b\"")[..1],
        &[],
    ]
    .concat();
    let two = [two[0].clone(), two[2].clone(), Stage::Greedy];
    refused(&two, "takes one grammar");
}

#[test]
fn what_passes_our_parser_passes_llama_cpp_too() {
    let schema = r##"{"type":"object","properties":{"name":{"type":"string","maxLength":20},
        "age":{"type":"integer","minimum":0},"tags":{"type":"array","items":{"$ref":"#/$defs/t"}}},
        "required":["name"],"$defs":{"t":{"enum":["a","b"]}}}"##;
    for text in [
        "root ::= \"a\"*",
        "root ::= (\"x\" | [^a-z\\]]+){2,5} .? # note",
        "# note\nroot ::=\n  item (\",\" item)*\n\nitem ::= [0-9]{1,3} | \"\\u00e9\\x41\\n\"",
        "root ::= \"\" | \"a\" |",
        "root ::= <[3]> !<[4]>",
        &json_schema_to_grammar(schema).unwrap(),
    ] {
        chain(&[Stage::Grammar(text.to_owned()), Stage::Greedy]);
    }
}

#[test]
fn a_chain_ends_in_its_one_choosing_stage() {
    refused(&[], "this one has 0");
    refused(&[Stage::TopK(1)], "this one has 0");
    refused(&[Stage::Greedy, Stage::TopK(1)], "this one has 1");
    refused(&[Stage::Dist(1), Stage::Greedy], "this one has 2");
}

#[test]
fn numbers_that_llama_cpp_does_not_check_are_refused() {
    let check = |stage: Stage, expect: &str| refused(&[stage, Stage::Greedy], expect);
    let penalties = |last_n, repeat, frequency| Stage::Penalties {
        last_n,
        repeat,
        frequency,
        presence: 0.0,
    };
    check(penalties(64, 0.0, 0.0), "repeat_penalty is 0");
    check(penalties(64, f32::NAN, 0.0), "repeat_penalty is NaN");
    check(
        penalties(64, 1.0, f32::INFINITY),
        "frequency_penalty is inf",
    );
    check(
        penalties(i32::MAX, 1.1, 0.0),
        "penalty_last_n is 2147483647",
    );
    check(
        Stage::LogitBias(vec![(Token(1), f32::NAN)]),
        "logit_bias is NaN",
    );
    check(
        Stage::LogitBias(vec![(Token(1), f32::INFINITY)]),
        "logit_bias is inf",
    );
    check(
        Stage::LogitBias(vec![(Token(-1), 0.0)]),
        "outside the vocabulary",
    );
    check(Stage::Temperature(-1.0), "temperature is -1");
    check(
        Stage::TopP {
            p: 1.5,
            min_keep: 1,
        },
        "top_p is 1.5",
    );
    check(
        Stage::Typical {
            p: f32::NAN,
            min_keep: 1,
        },
        "typical_p is NaN",
    );
    check(
        Stage::TopNSigma {
            n: f32::NAN,
            min_keep: 1,
        },
        "top_n_sigma is NaN",
    );
    let dry = |last_n, breakers: usize| Stage::Dry {
        multiplier: 1.0,
        base: 1.75,
        allowed_length: 2,
        last_n,
        breakers: vec!["x".to_owned(); breakers],
    };
    check(dry(i32::MAX, 0), "dry_penalty_last_n is");
    check(dry(64, 1000), "dry_sequence_breakers is 1000");
}

#[test]
fn a_row_without_a_finite_logit_is_bad_and_a_forbidden_vocabulary_is_a_dead_end() {
    let vocab = pocket().vocab();
    let count = vocab.n_tokens();
    let mut sampler = chain(&[Stage::TopK(4), Stage::Dist(1)]);
    let check = |sampler: &mut Sampler, logits: &[f32], expect: &str| {
        let error = sampler.sample(logits, &[]).unwrap_err().to_string();
        assert!(error.starts_with(expect), "{error}");
    };
    check(&mut sampler, &vec![f32::NAN; count], "bad logits");
    check(&mut sampler, &vec![f32::NEG_INFINITY; count], "bad logits");
    let mut one = row(&[7]);
    one[count - 1] = f32::INFINITY;
    check(&mut sampler, &one, "bad logits");
    check(&mut sampler, &[0.0; 3], "3 logits for a vocabulary of");
    let all = (0..count as i32).map(|id| (Token(id), f32::NEG_INFINITY));
    let mut sampler = chain(&[Stage::LogitBias(all.collect()), Stage::Greedy]);
    check(&mut sampler, &row(&[7]), "dead end");
}
