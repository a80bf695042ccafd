//! Contexts: creation, decoding, cells, states, threads.

use super::support::*;
use crate::error::Error;
use crate::llama::context::Removal;
use crate::llama::*;

/// A text of some length that the pocket model reads.
const TEXT: &str = "Hello there. What is your name? My name is Anna and I like the colour blue.";

#[test]
fn a_context_has_the_shape_that_was_asked_for() {
    let ctx = context(&context_params());
    assert_eq!((ctx.n_ctx(), ctx.n_ctx_seq()), (512, 512));
    assert_eq!(
        (ctx.n_batch(), ctx.n_ubatch(), ctx.n_seq_max()),
        (64, 32, 4)
    );
    assert_eq!(ctx.removal(), Removal::Anywhere);
    assert!(ctx.can_shift());
    assert!(ctx.seq(3).is_some() && ctx.seq(4).is_none());
    assert_eq!(ctx.seq_next_pos(ctx.seq(0).unwrap()), 0);
    let memory = ctx.memory();
    assert!(memory.measured);
    assert!(memory.model > 0 && memory.context > 0 && memory.compute > 0);
    let split = context(&ContextParams {
        kv_unified: false,
        is_shy: false,
        n_ctx: 1024,
        ..context_params()
    });
    assert_eq!((split.n_ctx(), split.n_ctx_seq()), (1024, 256));
}

#[test]
fn two_sequences_in_one_batch_say_what_each_says_alone() {
    let (a, b) = (prompt(TEXT), prompt("Count to seven, please."));
    for kv_unified in [true, false] {
        let mut ctx = context(&ContextParams {
            kv_unified,
            n_ctx: 1024,
            ..context_params()
        });
        let alone: Vec<Token> = [&a, &b]
            .into_iter()
            .map(|tokens| {
                let seq = ctx.seq(2).unwrap();
                let token = best(&feed(&mut ctx, seq, tokens));
                ctx.seq_clear(seq);
                token
            })
            .collect();
        let (first, second) = (ctx.seq(0).unwrap(), ctx.seq(1).unwrap());
        let mut batch = ctx.new_batch();
        let mut last = Vec::new();
        for (seq, tokens) in [(first, &a), (second, &b)] {
            for (pos, token) in tokens.iter().enumerate() {
                let output = pos + 1 == tokens.len();
                let index = batch.push(*token, pos as u32, seq, output).unwrap();
                if output {
                    last.push(index);
                }
            }
        }
        ctx.decode(&batch).unwrap();
        let together: Vec<Token> = last
            .iter()
            .map(|index| best(ctx.logits(*index).unwrap()))
            .collect();
        assert_eq!(together, alone);
    }
}

#[test]
fn only_entries_that_asked_have_logits_and_none_after_a_refused_decode() {
    let mut ctx = context(&context_params());
    let seq = ctx.seq(1).unwrap();
    assert!(ctx.logits(0).is_none());
    let mut batch = ctx.new_batch();
    for pos in 0..3 {
        batch.push(Token(5), pos, seq, pos == 1).unwrap();
    }
    ctx.decode(&batch).unwrap();
    assert!(ctx.logits(0).is_none() && ctx.logits(2).is_none() && ctx.logits(9).is_none());
    assert_eq!(
        ctx.logits(1).map(<[f32]>::len),
        Some(pocket().vocab().n_tokens())
    );
    // The same positions again do not continue the sequence.
    let refused = ctx.decode(&batch).unwrap_err();
    let text = "position 0 of sequence 1 does not continue the context, must be 3";
    assert_eq!(refused, DecodeFailure::Failed(text.to_owned()));
    batch.clear();
    let empty = DecodeFailure::Failed("the batch is empty".to_owned());
    assert_eq!(ctx.decode(&batch), Err(empty));
    let other = context(&context_params()).new_batch();
    let foreign = DecodeFailure::Failed("the batch belongs to another context".to_owned());
    assert_eq!(ctx.decode(&other), Err(foreign));
}

#[test]
fn a_sequence_cut_back_and_decoded_again_is_as_it_was() {
    let mut ctx = context(&context_params());
    let seq = ctx.seq(0).unwrap();
    let tokens = prompt(TEXT);
    let logits = feed(&mut ctx, seq, &tokens);
    let expect = greedy(&mut ctx, seq, logits, 8);
    let keep = tokens.len() - 3;
    assert!(ctx.seq_truncate(seq, keep as u32));
    assert_eq!(ctx.seq_next_pos(seq), keep as u32);
    let logits = feed(&mut ctx, seq, &tokens[keep..]);
    assert_eq!(greedy(&mut ctx, seq, logits, 8), expect);
    ctx.seq_clear(seq);
    assert_eq!((ctx.seq_next_pos(seq), ctx.seq_min_pos(seq)), (0, None));
}

#[test]
fn a_full_context_answers_no_cells_and_keeps_what_it_has() {
    let mut ctx = context(&ContextParams {
        n_ctx: 256,
        ..context_params()
    });
    let (first, second) = (ctx.seq(0).unwrap(), ctx.seq(1).unwrap());
    feed(&mut ctx, first, &[Token(5); 250]);
    let mut batch = ctx.new_batch();
    for pos in 0..20 {
        batch.push(Token(6), pos, second, pos == 19).unwrap();
    }
    assert_eq!(ctx.decode(&batch), Err(DecodeFailure::NoCells));
    assert_eq!(
        (ctx.seq_next_pos(first), ctx.seq_next_pos(second)),
        (250, 0)
    );
    assert!(ctx.seq_truncate(first, 200));
    assert_eq!(ctx.decode(&batch), Ok(()));
}

#[test]
fn a_saved_sequence_comes_back_in_another_context_of_the_same_shape() {
    let mut ctx = context(&context_params());
    let seq = ctx.seq(1).unwrap();
    let tokens = prompt(TEXT);
    feed(&mut ctx, seq, &tokens[..tokens.len() - 1]);
    let saved = ctx.save_seq(seq).unwrap();
    let logits = feed(&mut ctx, seq, &tokens[tokens.len() - 1..]);
    let expect = greedy(&mut ctx, seq, logits, 8);

    let mut other = context(&context_params());
    let seq = other.seq(3).unwrap();
    assert_eq!(other.restore_seq(seq, &saved), Ok(tokens.len() - 1));
    let logits = feed(&mut other, seq, &tokens[tokens.len() - 1..]);
    assert_eq!(greedy(&mut other, seq, logits, 8), expect);
    // Again over a sequence that has cells.
    assert_eq!(other.restore_seq(seq, &saved), Ok(tokens.len() - 1));
}

#[test]
fn saved_bytes_that_are_cut_changed_or_foreign_are_refused() {
    let mut ctx = context(&context_params());
    let seq = ctx.seq(0).unwrap();
    feed(&mut ctx, seq, &prompt("Hello."));
    let saved = ctx.save_seq(seq).unwrap();
    let before = ctx.seq_next_pos(seq);
    let mut refused = |bytes: &[u8], expect: &str| {
        let error = ctx.restore_seq(seq, bytes).unwrap_err();
        assert!(matches!(error, Error::InvalidEncoding(_)));
        assert!(error.to_string().contains(expect), "{error}");
        assert_eq!(ctx.seq_next_pos(seq), before, "the sequence is as before");
    };
    refused(&[], "is too short");
    refused(&[0; 100], "was not written by this engine");
    refused(&saved[..saved.len() - 1], "has lost its end");
    let mut changed = saved.clone();
    changed[10] ^= 1;
    refused(&changed, "another model or context shape");
    let mut split = context(&ContextParams {
        kv_unified: false,
        is_shy: false,
        ..context_params()
    });
    let error = split
        .restore_seq(split.seq(0).unwrap(), &saved)
        .unwrap_err();
    assert!(
        error.to_string().contains("another model or context shape"),
        "{error}"
    );
}

#[test]
fn a_sequence_that_does_not_fit_is_refused_and_left_empty() {
    let mut ctx = context(&ContextParams {
        n_ctx: 256,
        ..context_params()
    });
    let (first, second) = (ctx.seq(0).unwrap(), ctx.seq(1).unwrap());
    feed(&mut ctx, first, &[Token(5); 200]);
    let saved = ctx.save_seq(first).unwrap();
    let error = ctx.restore_seq(second, &saved).unwrap_err();
    assert!(error.to_string().contains("restore sequence"), "{error}");
    assert_eq!(
        (ctx.seq_next_pos(first), ctx.seq_next_pos(second)),
        (200, 0)
    );
}

#[test]
fn a_shared_prefix_continues_like_its_source() {
    let mut ctx = context(&context_params());
    let (src, dst) = (ctx.seq(0).unwrap(), ctx.seq(1).unwrap());
    let tokens = prompt(TEXT);
    let logits = feed(&mut ctx, src, &tokens);
    let expect = greedy(&mut ctx, src, logits, 6);
    let shared = tokens.len() as u32 - 1;
    ctx.seq_copy(src, dst, 0, shared).unwrap();
    assert_eq!(ctx.seq_next_pos(dst), shared);
    let logits = feed(&mut ctx, dst, &tokens[tokens.len() - 1..]);
    assert_eq!(greedy(&mut ctx, dst, logits, 6), expect);
    let error = ctx.seq_copy(src, dst, 0, 1).unwrap_err();
    assert!(error.to_string().contains("needs an empty one"), "{error}");
}

#[test]
fn split_contexts_copy_whole_sequences_only() {
    let mut ctx = context(&ContextParams {
        kv_unified: false,
        is_shy: false,
        n_ctx: 1024,
        ..context_params()
    });
    let (src, dst) = (ctx.seq(0).unwrap(), ctx.seq(1).unwrap());
    let tokens = prompt(TEXT);
    let logits = feed(&mut ctx, src, &tokens);
    let error = ctx.seq_copy(src, dst, 0, 3).unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)), "{error}");
    ctx.seq_copy(src, dst, 0, u32::MAX).unwrap();
    assert_eq!(ctx.seq_next_pos(dst), tokens.len() as u32);
    let expect = greedy(&mut ctx, src, logits.clone(), 6);
    assert_eq!(greedy(&mut ctx, dst, logits, 6), expect);
}

#[test]
fn a_shift_closes_a_hole_and_decoding_goes_on() {
    let mut ctx = context(&context_params());
    let seq = ctx.seq(0).unwrap();
    feed(&mut ctx, seq, &[Token(7); 40]);
    assert!(ctx.seq_remove(seq, 10, 20));
    assert!(!ctx.seq_remove(seq, 10, 10));
    ctx.seq_shift(seq, 20, u32::MAX, -10).unwrap();
    assert_eq!(ctx.seq_next_pos(seq), 30);
    // The decode that applies the shift is not cut.
    let mut batch = ctx.new_batch();
    batch.push(Token(8), 30, seq, false).unwrap();
    assert_eq!(ctx.decode_unless(&batch, &|| true), Ok(()));
    assert_eq!(ctx.seq_next_pos(seq), 31);
    for (from, delta) in [(5, -6), (5, i32::MAX)] {
        let error = ctx.seq_shift(seq, from, u32::MAX, delta).unwrap_err();
        assert!(error.to_string().contains("cannot move by"), "{error}");
    }
}

#[test]
fn a_decode_is_cut_when_told_to_stop_and_the_context_stays_usable() {
    let mut ctx = context(&context_params());
    let seq = ctx.seq(0).unwrap();
    let tokens = prompt(TEXT);
    let expect = best(&feed(&mut ctx, seq, &tokens));
    ctx.seq_clear(seq);
    let mut batch = ctx.new_batch();
    for (pos, token) in tokens.iter().enumerate() {
        batch.push(*token, pos as u32, seq, false).unwrap();
    }
    assert_eq!(
        ctx.decode_unless(&batch, &|| true),
        Err(DecodeFailure::Aborted)
    );
    let done = ctx.seq_next_pos(seq) as usize;
    assert!(done < tokens.len());
    assert_eq!(best(&feed(&mut ctx, seq, &tokens[done..])), expect);
}

#[test]
fn threads_change_pause_and_resume_between_steps() {
    let threads = ThreadCounts {
        decode: 1,
        batch: 2,
    };
    let mut ctx = context(&ContextParams {
        threads,
        ..context_params()
    });
    let seq = ctx.seq(0).unwrap();
    let tokens = prompt(TEXT);
    let expect = best(&feed(&mut ctx, seq, &tokens));
    for count in [1, 2, 400] {
        ctx.seq_clear(seq);
        ctx.pause_threads();
        ctx.set_threads(ThreadCounts {
            decode: count,
            batch: count,
        })
        .unwrap();
        if count == 2 {
            ctx.resume_threads();
        }
        assert_eq!(best(&feed(&mut ctx, seq, &tokens)), expect);
    }
    for (decode, batch) in [(0, 1), (1, 0), (513, 1)] {
        let error = ctx.set_threads(ThreadCounts { decode, batch }).unwrap_err();
        assert!(
            error.to_string().contains("must be between 1 and 512"),
            "{error}"
        );
    }
}

#[test]
fn a_context_moves_between_threads() {
    let mut ctx = context(&context_params());
    let tokens = prompt(TEXT);
    let seq = ctx.seq(0).unwrap();
    let here = best(&feed(&mut ctx, seq, &tokens));
    let there = std::thread::spawn(move || {
        ctx.seq_clear(seq);
        best(&feed(&mut ctx, seq, &tokens))
    });
    assert_eq!(there.join().unwrap(), here);
}

#[test]
fn shapes_that_cannot_exist_are_refused_with_a_reason() {
    let good = context_params();
    let check = |params: ContextParams, expect: &str| {
        let error = Context::new(pocket(), &params)
            .expect_err("a refusal")
            .to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(
        ContextParams {
            n_ctx: 0,
            ..good.clone()
        },
        "n_ctx is 0",
    );
    check(
        ContextParams {
            n_ctx: u32::MAX,
            ..good.clone()
        },
        "n_ctx is 4294967295",
    );
    check(
        ContextParams {
            n_ctx: 1 << 30,
            ..good.clone()
        },
        "this machine has",
    );
    check(
        ContextParams {
            n_batch: 0,
            ..good.clone()
        },
        "n_batch is 0",
    );
    check(
        ContextParams {
            n_ubatch: 0,
            ..good.clone()
        },
        "n_ubatch is 0",
    );
    check(
        ContextParams {
            n_seq_max: 0,
            ..good.clone()
        },
        "n_seq_max is 0",
    );
    check(
        ContextParams {
            n_seq_max: 257,
            ..good.clone()
        },
        "n_seq_max is 257",
    );
    check(
        ContextParams {
            poll: 101,
            ..good.clone()
        },
        "poll is 101",
    );
    let threads = ThreadCounts {
        decode: 0,
        batch: 1,
    };
    check(
        ContextParams {
            threads,
            ..good.clone()
        },
        "threads is 0",
    );
    check(
        ContextParams {
            type_v: KvType::F16,
            type_k: KvType::Q8_0,
            n_seq_max: 257,
            ..good
        },
        "n_seq_max is 257",
    );
}

#[test]
fn quantised_values_without_flash_attention_are_refused() {
    let mut params = context_params();
    params.type_v = KvType::Q8_0;
    params.flash_attention = FlashAttention::Off;
    let error = Context::new(pocket(), &params)
        .expect_err("a refusal")
        .to_string();
    // A model with short heads is refused for its heads first.
    let known = ["needs flash attention, which is off", "stores blocks of 32"];
    assert!(known.iter().any(|text| error.contains(text)), "{error}");
}

#[test]
fn every_cache_type_computes_or_is_refused() {
    let tokens = prompt(TEXT);
    let kinds = [
        KvType::F32,
        KvType::F16,
        KvType::Bf16,
        KvType::Q8_0,
        KvType::Q5_0,
        KvType::Q5_1,
        KvType::Q4_0,
        KvType::Q4_1,
        KvType::Iq4Nl,
    ];
    for flash_attention in [
        FlashAttention::Off,
        FlashAttention::On,
        FlashAttention::Auto,
    ] {
        for (type_k, type_v) in kinds.iter().flat_map(|k| [(*k, *k), (*k, KvType::F16)]) {
            let params = ContextParams {
                type_k,
                type_v,
                flash_attention,
                ..context_params()
            };
            let Ok(mut ctx) = Context::new(pocket(), &params) else {
                assert!(type_k.is_quantised(), "{params:?}");
                continue;
            };
            let seq = ctx.seq(0).unwrap();
            let logits = feed(&mut ctx, seq, &tokens);
            assert!(logits.iter().all(|logit| logit.is_finite()), "{params:?}");
        }
    }
}

#[test]
fn the_least_context_has_one_of_everything() {
    let least = ContextParams {
        n_ctx: 1,
        n_batch: 1,
        n_ubatch: 1,
        n_seq_max: 4,
        n_outputs_max: 0,
        ..context_params()
    };
    let mut ctx = context(&least);
    let seq = ctx.seq(3).unwrap();
    assert_eq!(ctx.n_batch(), 1);
    feed(&mut ctx, seq, &[Token(5); 3]);
    assert_eq!(ctx.seq_next_pos(seq), 3);
}
