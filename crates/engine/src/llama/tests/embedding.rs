//! Embeddings against what llama.cpp says when it is asked directly, and models that only embed.

use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use super::forge::Forge;
use super::support::*;
use crate::llama::*;

const POOLINGS: [(Pooling, sys::llama_pooling_type); 4] = [
    (Pooling::None, sys::LLAMA_POOLING_TYPE_NONE),
    (Pooling::Mean, sys::LLAMA_POOLING_TYPE_MEAN),
    (Pooling::Cls, sys::LLAMA_POOLING_TYPE_CLS),
    (Pooling::Last, sys::LLAMA_POOLING_TYPE_LAST),
];

fn params(pooling: Pooling, causal: Option<bool>) -> ContextParams {
    ContextParams {
        n_ctx: 128,
        n_batch: 128,
        n_ubatch: 128,
        n_seq_max: 1,
        n_outputs_max: 0,
        embedding: Some(Embedding { pooling, causal }),
        ..context_params()
    }
}

fn embed(model: &Arc<Model>, params: &ContextParams, tokens: &[Token]) -> Vec<f32> {
    let mut context = Context::new(Arc::clone(model), params).expect("a context");
    context.embed(tokens, &|| false).expect("an embedding")
}

/// What llama.cpp itself says, without anything of ours in between.
fn directly(
    model: &Model,
    pooling: sys::llama_pooling_type,
    attention: sys::llama_attention_type,
    tokens: &[Token],
) -> Vec<f32> {
    let mut ids: Vec<i32> = tokens.iter().map(|token| token.0).collect();
    let count = ids.len() as i32;
    // SAFETY: the model outlives the context, which is freed at the end; the batch is one of `ids`, which outlives it,
    // and llama.cpp keeps as many values for a token and for a sequence as the model's embedding is wide.
    unsafe {
        let mut params = sys::llama_context_default_params();
        (params.n_ctx, params.n_batch, params.n_ubatch) = (128, 128, 128);
        (params.n_threads, params.n_threads_batch) = (1, 1);
        params.embeddings = true;
        params.pooling_type = pooling;
        params.attention_type = attention;
        params.kv_unified = true;
        let context = sys::llama_init_from_model(model.as_ptr(), params);
        assert!(!context.is_null());
        let batch = sys::llama_batch_get_one(ids.as_mut_ptr(), count);
        assert_eq!(sys::llama_decode(context, batch), 0);
        let values = match pooling {
            sys::LLAMA_POOLING_TYPE_NONE => sys::llama_get_embeddings_ith(context, count - 1),
            _ => sys::llama_get_embeddings_seq(context, 0),
        };
        assert!(!values.is_null());
        let values = std::slice::from_raw_parts(values, model.n_embd() as usize).to_vec();
        sys::llama_free(context);
        values
    }
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn an_embedding_is_what_llama_cpp_says_when_it_is_asked_directly() {
    let tokens = prompt("My name is Zorvath. What is my name?");
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for (pooling, raw) in POOLINGS {
        for causal in [true, false] {
            let attention = match causal {
                true => sys::LLAMA_ATTENTION_TYPE_CAUSAL,
                false => sys::LLAMA_ATTENTION_TYPE_NON_CAUSAL,
            };
            let ours = embed(&pocket(), &params(pooling, Some(causal)), &tokens);
            let theirs = directly(&pocket(), raw, attention, &tokens);
            assert!(distance(&ours, &theirs) < 1e-5, "{pooling:?} {causal}");
            seen.push(ours);
        }
    }
    // The last token's values are what pooling by the last one gives; all else differs.
    assert!(distance(&seen[0], &seen[6]) < 1e-5);
    for (a, b) in [(0, 1), (0, 2), (0, 4), (2, 3), (4, 5)] {
        assert!(distance(&seen[a], &seen[b]) > 1e-2, "{a} {b}");
    }
    let own = embed(&pocket(), &params(Pooling::Model, None), &tokens);
    assert!(distance(&own, &seen[0]) < 1e-5, "it has no way of its own");
}

#[test]
fn a_text_leaves_nothing_behind_and_what_does_not_fit_changes_nothing() {
    let params = params(Pooling::Mean, None);
    let mut context = Context::new(pocket(), &params).expect("a context");
    let tokens = prompt("Hello there.");
    let first = context.embed(&tokens, &|| false).expect("an embedding");
    let long = vec![tokens[0]; context.n_batch() as usize + 1];
    assert!(matches!(
        context.embed(&long, &|| false),
        Err(DecodeFailure::Failed(_))
    ));
    assert_eq!(
        context.embed(&tokens, &|| true),
        Err(DecodeFailure::Aborted)
    );
    assert!(context.embed(&[], &|| false).is_err());
    assert!(context.embed(&[Token(-1)], &|| false).is_err());
    let full = vec![tokens[0]; context.n_batch() as usize];
    assert!(context.embed(&full, &|| false).is_ok());
    assert_eq!(context.embed(&tokens, &|| false), Ok(first));
}

#[test]
fn an_encoder_embeds_and_ranks_and_does_not_generate() {
    let path = Forge::encoder().write("encoder.gguf");
    let model = Arc::new(load(&path).expect("an encoder"));
    assert!(model.tabulates_positions() && model.ranks());
    let generates = Context::new(Arc::clone(&model), &context_params());
    let error = generates.unwrap_err().to_string();
    assert!(error.contains("generates none"), "{error}");
    let vocab = model.vocab();
    let tokens = |text: &str| {
        let tokens = vocab.tokenize(text, Special::Parse).expect("tokens");
        vocab.enclose(tokens)
    };
    let text = tokens("abc de");
    assert_eq!(
        (text.first(), text.last()),
        (Some(&Token(2)), Some(&Token(3)))
    );
    assert_eq!(vocab.enclose(text.clone()), text, "once is enough");
    for (pooling, raw) in POOLINGS {
        let ours = embed(&model, &params(pooling, None), &text);
        let theirs = directly(&model, raw, sys::LLAMA_ATTENTION_TYPE_UNSPECIFIED, &text);
        assert!(distance(&ours, &theirs) < 1e-5, "{pooling:?}");
    }
    // Its own way is the mean, and what stands behind a token counts.
    let own = embed(&model, &params(Pooling::Model, None), &text);
    let mean = embed(&model, &params(Pooling::Mean, None), &text);
    assert!(distance(&own, &mean) < 1e-5);
    let first = |text: &str| embed(&model, &params(Pooling::Cls, None), &tokens(text));
    assert!(distance(&first("abc de"), &first("abc dz")) > 1e-4);
    let score = |text: &str| embed(&model, &params(Pooling::Rank, None), &tokens(text));
    assert_eq!(score("abc").len(), 1);
    assert_ne!(score("abc"), score("xyz"));
    let refused = Context::new(pocket(), &params(Pooling::Rank, None)).unwrap_err();
    assert!(refused.to_string().contains("no head"), "{refused}");
}
