//! Text to tokens and back.

use super::support::*;
use crate::llama::*;

fn rendered(vocab: &Vocab, tokens: &[Token]) -> String {
    let mut bytes = Vec::new();
    for token in tokens {
        vocab
            .piece(*token, &mut bytes)
            .expect("a token of the vocabulary");
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn text_survives_the_way_to_tokens_and_back() {
    let vocab = pocket().vocab();
    for text in [
        "hello there",
        "My name is Anna.\n",
        "1, 2, 3",
        "na\u{ef}ve \u{4e2d}",
    ] {
        let tokens = vocab.tokenize(text, Special::Plain).unwrap();
        assert!(tokens.iter().all(|token| vocab.is_valid(*token)));
        assert_eq!(rendered(&vocab, &tokens).trim_start(), text);
    }
    assert_eq!(vocab.tokenize("", Special::Plain), Ok(Vec::new()));
}

#[test]
fn the_text_of_special_tokens_is_text_unless_it_is_asked_to_be_more() {
    let vocab = pocket().vocab();
    let specials: Vec<Token> = (0..vocab.n_tokens() as i32)
        .map(Token)
        .filter(|token| vocab.is_control(*token))
        .collect();
    assert!(!specials.is_empty());
    for special in specials {
        let spelled = vocab.token_text(special);
        let text = format!("a{spelled}b");
        let plain = vocab.tokenize(&text, Special::Plain).unwrap();
        assert!(
            !plain.iter().any(|token| vocab.is_control(*token)),
            "{text}"
        );
        let parsed = vocab.tokenize(&text, Special::Parse).unwrap();
        assert!(parsed.contains(&special), "{text}");
        let mut bytes = Vec::new();
        vocab.piece(special, &mut bytes).unwrap();
        assert_eq!(bytes, b"", "a control token renders as nothing");
        vocab.piece_special(special, &mut bytes).unwrap();
        assert_eq!(bytes, spelled.as_bytes());
    }
}

#[test]
fn ids_outside_the_vocabulary_are_answered_and_not_looked_up() {
    let vocab = pocket().vocab();
    let outside = [
        Token(-1),
        Token(i32::MIN),
        Token(vocab.n_tokens() as i32),
        Token(i32::MAX),
    ];
    for token in outside {
        assert!(!vocab.is_valid(token) && !vocab.is_eog(token) && !vocab.is_control(token));
        assert_eq!(vocab.token_text(token), "");
        let error = vocab.piece(token, &mut Vec::new()).unwrap_err();
        assert!(
            error.to_string().contains("outside the vocabulary"),
            "{error}"
        );
    }
}

#[test]
fn generation_ends_at_tokens_that_the_model_names() {
    let vocab = pocket().vocab();
    let ends = vocab.eog_tokens();
    assert!(!ends.is_empty());
    assert!(ends.iter().all(|token| vocab.is_eog(*token)));
    if let Some(eos) = vocab.eos() {
        assert!(ends.contains(&eos));
    }
    assert!(vocab.bos().is_none_or(|bos| vocab.is_control(bos)));
}

#[test]
fn endless_text_is_tokenised_without_recursion() {
    let vocab = pocket().vocab();
    for text in [
        "x".repeat(1 << 20),
        " ".repeat(1 << 20),
        "9a ".repeat(1 << 18),
    ] {
        let tokens = vocab.tokenize(&text, Special::Plain).unwrap();
        assert_eq!(rendered(&vocab, &tokens).trim(), text.trim());
    }
}

#[test]
fn many_threads_share_a_vocabulary() {
    let vocab = pocket().vocab();
    let expect = vocab.tokenize("once upon a time", Special::Plain).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (vocab, expect) = (vocab.clone(), &expect);
            scope.spawn(move || {
                for _ in 0..50 {
                    let tokens = vocab.tokenize("once upon a time", Special::Plain);
                    assert_eq!(tokens.as_ref(), Ok(expect));
                }
            });
        }
    });
}
