//! Which tokens a grammar allows, against llama.cpp's own reader of grammars; and what one choice may cost.

use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use super::super::grammar::{Matcher, matcher};
use super::super::*;
use super::differential::draws::Draws;
use super::forge::Forge;
use super::support::*;

/// llama.cpp's reader of a grammar.
struct Theirs {
    raw: *mut sys::llama_sampler,
    count: i32,
}

impl Theirs {
    fn new(vocab: &Vocab, grammar: &str) -> Theirs {
        let grammar = CString::new(grammar).unwrap();
        // SAFETY: the vocabulary outlives the test, and both texts are NUL-terminated.
        let raw = unsafe {
            sys::llama_sampler_init_grammar(vocab.as_ptr(), grammar.as_ptr(), c"root".as_ptr())
        };
        assert!(!raw.is_null(), "llama.cpp reads it");
        let count = vocab.n_tokens() as i32;
        Theirs { raw, count }
    }

    fn allowed(&self) -> Vec<bool> {
        let all = (0..self.count).map(|id| sys::llama_token_data {
            id,
            logit: 1.0,
            p: 0.0,
        });
        let mut data: Vec<sys::llama_token_data> = all.collect();
        let mut list = sys::llama_token_data_array {
            data: data.as_mut_ptr(),
            size: data.len(),
            selected: -1,
            sorted: false,
        };
        // SAFETY: the sampler is valid, and so is the list with its length.
        unsafe { sys::llama_sampler_apply(self.raw, &mut list) };
        data.iter().map(|token| token.logit > 0.0).collect()
    }

    fn accept(&mut self, token: i32) {
        // SAFETY: the sampler is valid and allows the token.
        unsafe { sys::llama_sampler_accept(self.raw, token) }
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        // SAFETY: `self` owns the sampler.
        unsafe { sys::llama_sampler_free(self.raw) }
    }
}

/// By token, whether `ours` allows it.
fn allowed(ours: &mut Matcher, count: usize) -> Vec<bool> {
    ours.begin().unwrap();
    let bits = ours.allowed().unwrap();
    let is_set = |id: usize| bits[id / 64] >> (id % 64) & 1 == 1;
    (0..count).map(is_set).collect()
}

/// Random texts of `grammar`, token by token: both readers allow the same tokens everywhere.
fn compare(vocab: &Vocab, grammar: &str, walks: usize) {
    let count = vocab.n_tokens();
    let names = grammar.contains("<[");
    let silent: Vec<usize> = match names {
        true => Vec::new(),
        false => vocab.silent_tokens().iter().map(|t| t.0 as usize).collect(),
    };
    let with = |text: &[u8], id: usize| {
        let mut text = text.to_vec();
        vocab.piece_special(Token(id as i32), &mut text).unwrap();
        text
    };
    // What can be no part of a text is allowed there where a class is negated.
    let is_foreign = |text: &[u8], id: usize| {
        let text = with(text, id);
        std::str::from_utf8(&text).is_err_and(|error| error.error_len().is_some())
    };
    let mut d = Draws(7);
    for _ in 0..walks {
        let mut ours = matcher(vocab, grammar).unwrap();
        let mut theirs = Theirs::new(vocab, grammar);
        let mut text = Vec::new();
        for _ in 0..12 {
            let our = allowed(&mut ours, count);
            let mut their = theirs.allowed();
            silent.iter().for_each(|id| their[*id] = false);
            let mut can = Vec::new();
            for id in 0..count {
                let shown = String::from_utf8_lossy(&text);
                if our[id] != their[id] && is_foreign(&text, id) {
                    assert!(!our[id], "token {id} after {shown:?}: {grammar}");
                    continue;
                }
                assert_eq!(our[id], their[id], "token {id} after {shown:?}: {grammar}");
                // A token with a name that is half a character leaves the other half to be read there.
                let is_half = names && String::from_utf8(with(&text, id)).is_err();
                if our[id] && !is_half && !vocab.is_eog(Token(id as i32)) {
                    can.push(id as i32);
                }
            }
            let Some(last) = can.len().checked_sub(1) else {
                break;
            };
            let token = can[d.below(last + 1)];
            assert!(ours.allows(token).unwrap() && ours.accept(token).unwrap());
            theirs.accept(token);
            vocab.piece_special(Token(token), &mut text).unwrap();
        }
    }
}

const SCHEMA: &str = r#"{"type":"object","properties":{"name":{"type":"string","maxLength":20},
    "age":{"type":"integer","minimum":0,"maximum":130},"tags":{"type":"array","items":{"enum":["a","b","ab"]}},
    "id":{"type":"string","format":"uuid"}},"required":["name"]}"#;

fn grammars() -> Vec<String> {
    let json = r#"root ::= value
value ::= object | array | string | number | "true" | "null"
object ::= "{" (string ":" value ("," string ":" value)*)? "}"
array ::= "[" (value ("," value)*)? "]"
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" ["\\/bfnrt])* "\""
number ::= "-"? [0-9]{1,4} ("." [0-9]+)?"#;
    let mut all: Vec<String> = [
        "root ::= \"yes\" | \"no\"",
        "root ::= (\" \"? [a-z]+)* [.!?]",
        "root ::= [^a-m]* \"end\"",
        "root ::= .{0,6} \"\\n\" .*",
        "root ::= \"caf\\u00e9\" | \"\\u4e2d\\u6587\"+ | [\\u0400-\\u04ff]{2,3} \"\\U0001f600\"?",
        "root ::= (\"a\"? \"b\"? \"ab\"?){3} \"c\"*",
        "root ::= \"(\" root \")\" | [a-c]*",
        "root ::= <[5]> !<[6]> [a-z]* | <[7]> \"a\"",
        "root ::= \"\" | [0-9]",
        json,
    ]
    .map(str::to_owned)
    .into();
    all.push(json_schema_to_grammar(SCHEMA).unwrap());
    all
}

#[test]
fn the_allowed_tokens_are_those_of_llama_cpp() {
    let forged = Arc::new(load(&Forge::model().write("bytes.gguf")).unwrap());
    for grammar in grammars() {
        compare(&pocket().vocab(), &grammar, 6);
        // Single bytes: characters arrive in parts.
        compare(&forged.vocab(), &grammar, 6);
    }
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "who runs the tests is to see what was left out"
)]
fn the_allowed_tokens_of_a_real_vocabulary_are_those_of_llama_cpp() {
    let Some(folder) = std::env::var_os("WASI_NN_TEST_MODELS") else {
        eprintln!("skipped: WASI_NN_TEST_MODELS names no folder of models");
        return;
    };
    let path = Path::new(&folder).join("smollm2-135m-instruct-q4_1.gguf");
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return;
    }
    let model = Arc::new(load(&path).expect("a real model"));
    for grammar in grammars() {
        compare(&model.vocab(), &grammar, 1);
    }
}

#[test]
fn a_text_that_ends_inside_of_a_character_is_finished_and_not_ended() {
    let forged = Arc::new(load(&Forge::model().write("parts.gguf")).unwrap());
    let vocab = forged.vocab();
    // The bytes of a forged vocabulary begin at token 3.
    let byte = |byte: u8| 3 + i32::from(byte);
    let mut ours = matcher(&vocab, "root ::= \"a\"? [\\u00e0-\\u00ef]?").unwrap();
    let eos = vocab.eog_tokens()[0].0;
    assert!(ours.allows(eos).unwrap());
    assert!(
        !ours.allows(byte(0xc2)).unwrap(),
        "no letter of the class begins so"
    );
    assert!(ours.accept(byte(0xc3)).unwrap());
    assert!(!ours.allows(eos).unwrap() && !ours.allows(byte(b'a')).unwrap());
    assert!(!ours.accept(byte(0x9f)).unwrap(), "another letter");
    assert!(ours.accept(byte(0xa9)).unwrap());
    assert!(ours.allows(eos).unwrap() && !ours.allows(byte(0xc3)).unwrap());
}

#[test]
fn equal_ways_of_reading_a_long_token_are_one() {
    // A token of 32 letters has 2^31 ways of being parted.
    let mut forge = Forge::model();
    forge.rename_token(3 + 256, &"a".repeat(32));
    let model = Arc::new(load(&forge.write("long.gguf")).unwrap());
    let vocab = model.vocab();
    let mut ours = matcher(&vocab, "root ::= (\"a\"{1,40}){1,40} \"b\"").unwrap();
    let long = 3 + 256;
    for _ in 0..10 {
        let can = allowed(&mut ours, vocab.n_tokens());
        assert!(can[long]);
        assert!(ours.accept(long as i32).unwrap());
    }
    let can = allowed(&mut ours, vocab.n_tokens());
    assert!(can[long + 1], "b ends it");
}

/// A grammar that the search for ambiguities lets pass: many choices stand before a place where thousands of ways are
/// open, and none of its rules is bad alone.
fn hidden() -> String {
    format!(
        "root ::= {}body
c ::= \"x\" \"1\" | \"y\" \"2\"
body ::= {}\"b\"
g ::= h
h ::= (\"a\"{{1,40}}){{1,40}}",
        "c ".repeat(40),
        "g ".repeat(300),
    )
}

#[test]
fn a_choice_that_takes_too_many_steps_fails_by_name() {
    let vocab = pocket().vocab();
    let mut ours = matcher(&vocab, &hidden()).expect("the search finds nothing");
    assert!(ours.accept_text("x1y2".repeat(20).as_bytes()).unwrap());
    let mut read = 0;
    let error = loop {
        ours.begin().unwrap();
        match ours.accept_text(b"a") {
            Ok(is_read) => assert!(is_read),
            Err(error) => break error.to_string(),
        }
        read += 1;
        assert!(read < 1000, "the bound is never reached");
    };
    assert!(error.contains("takes more than 500000 steps"), "{error}");
    // What failed has changed nothing: the text can still be gone on with, as long as its ways are few.
    assert!(ours.begin().is_ok());
}

#[test]
fn what_is_remembered_of_a_long_text_is_bounded() {
    let vocab = pocket().vocab();
    let mut ours = matcher(&vocab, "root ::= ([a-z]* \"#\" | [ -~]{1,1900} \"\\n\")*").unwrap();
    let mut most = 0;
    for at in 0..40_000 {
        ours.begin().unwrap();
        let text: &[u8] = if at % 1000 == 999 { b"\n" } else { b"a" };
        assert!(ours.accept_text(text).unwrap(), "{at}");
        most = most.max(ours.size());
    }
    assert!(most < 1 << 18, "{most} stacks");
    // Nothing that counts was forgotten.
    assert!(ours.accept_text(b"#").unwrap());
}
