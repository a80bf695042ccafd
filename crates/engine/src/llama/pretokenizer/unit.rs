//! Borders of words, as the expressions say.

use super::*;

fn check(pre: i32, text: &str, expect: &[&str]) {
    let pretokenizer = Pretokenizer::new(pre).expect("a pre-tokenizer of this llama.cpp");
    let (text, ends) = pretokenizer.split(String::from(text)).expect("words");
    let mut from = 0;
    let words: Vec<&str> = ends
        .iter()
        .map(|end| &text[std::mem::replace(&mut from, *end as usize)..*end as usize])
        .collect();
    assert_eq!(words, expect, "{pre}: {text:?}");
}

#[test]
fn every_number_of_this_llama_has_a_splitter() {
    for pre in 0..=60 {
        let pretokenizer = Pretokenizer::new(pre).expect("a number of this llama.cpp");
        let (text, ends) = pretokenizer.split(String::new()).expect("no words");
        assert_eq!((text.as_str(), ends.as_slice()), ("", &[][..]), "{pre}");
    }
    assert!(Pretokenizer::new(-1).is_none() && Pretokenizer::new(61).is_none());
}

#[test]
fn the_last_blank_before_a_word_belongs_to_it() {
    check(7, "a   b  ", &["a", "  ", " b", "  "]);
    check(1, "a   1 \n  b", &["a", "  ", " ", "1", " \n", " ", " b"]);
    check(1, "I'LL  go1234", &["I", "'LL", " ", " go", "123", "4"]);
}

#[test]
fn white_space_is_halved_where_the_vocabulary_says_so() {
    let blanks = " ".repeat(1 + 512 + 128 + 3);
    let expect = [512, 128, 2, 1, 1].map(|n| " ".repeat(n));
    let mut expect: Vec<&str> = expect.iter().map(String::as_str).collect();
    expect.push("1");
    check(49, &format!("{blanks}1"), &expect);
    check(49, "       ", &["    ", "  ", " "]);
}

#[test]
fn numbers_are_grouped_from_their_end() {
    check(30, "1234567", &["1", "234", "567"]);
    check(47, "12345 a", &["12", "345", " a"]);
    check(42, "a123456", &["a", "123", "456"]);
}

#[test]
fn large_letters_begin_words_and_small_ones_end_them() {
    check(29, "fooBar's HTTPServer", &["foo", "Bar's", " HTTPServer"]);
    check(20, "a\u{c9}\u{e9}B", &["a\u{c9}\u{e9}", "B"]);
}

#[test]
fn a_metaspace_begins_every_word_of_a_metaspace_vocabulary() {
    check(
        60,
        "a\u{2581}b\n\n\u{2581}\u{2581}c",
        &["\u{2581}a", "\u{2581}b", "\n\n", "\u{2581}", "\u{2581}c"],
    );
}

#[test]
fn one_match_may_be_as_long_as_the_text() {
    let text = format!("!{}", "\n/".repeat(15_000));
    check(29, &text, &[&text]);
    let text = "ab cd".repeat(10_000);
    check(45, &text, &[&text]);
}
