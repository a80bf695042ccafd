//! Tokens are llama.cpp's own, for every pre-tokenizer and family, and long texts are no danger.
//!
//! What is right is what `llama_tokenize` says of texts that it survives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::forge::{ALPHABET, Forge, MARKERS, SEQUENCE, rewritten};
use super::support::*;
use crate::llama::tokenizer::whole;
use crate::llama::*;

/// For each of llama.cpp's numbers that a file can name, a name for it.
const PRE_TOKENIZERS: [(i32, &str); 58] = [
    (0, "default"),
    (1, "llama-bpe"),
    (2, "deepseek-llm"),
    (3, "deepseek-coder"),
    (4, "falcon"),
    (5, "mpt"),
    (6, "starcoder"),
    (7, "gpt-2"),
    (8, "refact"),
    (9, "command-r"),
    (10, "stablelm2"),
    (11, "qwen2"),
    (12, "olmo"),
    (13, "dbrx"),
    (14, "smaug-bpe"),
    (15, "poro-chat"),
    (17, "glm4"),
    (18, "viking"),
    (19, "jais"),
    (20, "tekken"),
    (21, "smollm"),
    (22, "codeshell"),
    (23, "bloom"),
    (24, "gpt3-finnish"),
    (25, "exaone"),
    (26, "chameleon"),
    (27, "minerva-7b"),
    (28, "deepseek-v3"),
    (29, "gpt-4o"),
    (30, "superbpe"),
    (31, "trillion"),
    (32, "bailingmoe"),
    (35, "seed-coder"),
    (36, "hunyuan"),
    (37, "kimi-k2"),
    (38, "hunyuan-dense"),
    (39, "grok-2"),
    (40, "granite-docling"),
    (41, "minimax-m2"),
    (42, "afmoe"),
    (43, "solar-open"),
    (44, "youtu"),
    (45, "exaone-moe"),
    (46, "qwen35"),
    (47, "tiny_aya"),
    (48, "joyai-llm"),
    (49, "jais-2"),
    (50, "gemma4"),
    (51, "sarvam-moe"),
    (52, "minicpm5"),
    (53, "whitespace"),
    (54, "granite-embed-multi-97m"),
    (55, "mellum2"),
    (56, "laguna"),
    (57, "hy_v4"),
    (58, "spark2_5"),
    (59, "ufakzeka"),
    (60, "mmbert"),
];

/// Numbers that llama.cpp has and no file can name.
const NAMELESS: [i32; 3] = [16, 33, 34];

/// The first of several names of one set of passes: where time grows with the text, one of them is enough.
const DIFFERENT: [&str; 31] = [
    "default",
    "llama-bpe",
    "deepseek-llm",
    "deepseek-coder",
    "falcon",
    "starcoder",
    "gpt-2",
    "qwen2",
    "poro-chat",
    "viking",
    "tekken",
    "chameleon",
    "deepseek-v3",
    "gpt-4o",
    "superbpe",
    "bailingmoe",
    "seed-coder",
    "kimi-k2",
    "afmoe",
    "youtu",
    "exaone-moe",
    "qwen35",
    "tiny_aya",
    "jais-2",
    "minicpm5",
    "granite-embed-multi-97m",
    "laguna",
    "spark2_5",
    "ufakzeka",
    "gemma4",
    "mmbert",
];

fn outline(path: &std::path::Path) -> Vocab {
    let model = Model::outline(path, &model_params()).expect("a file that can be asked");
    Arc::new(model).vocab()
}

/// The pocket model's vocabulary with another pre-tokenizer.
fn pocket_with(pre: &str) -> Vocab {
    let file = std::fs::read(pocket_path()).expect("the committed model");
    let file = rewritten(&file, "tokenizer.ggml.pre", pre);
    // Tests run beside each other, and each has files of its own.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("pre-{}.gguf", COUNT.fetch_add(1, Ordering::Relaxed));
    outline(&super::support::file(&name, &file))
}

/// Numbers from a fixed sequence.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    /// A text of some runs of characters, sometimes with a special token.
    fn text(&mut self, parts: &[&str]) -> String {
        let mut text = String::new();
        for _ in 0..1 + self.below(40) {
            match self.below(20) {
                0 => text.push_str(parts[self.below(parts.len())]),
                1 => text.extend(std::iter::repeat_n(' ', self.below(20))),
                2 => text.extend((0..self.below(9)).map(|_| ['1', '2', '\u{b2}'][self.below(3)])),
                3 => text.push_str(["'s", "'LL", "'ve", "'x"][self.below(4)]),
                _ => {
                    let c = ALPHABET[self.below(ALPHABET.len())];
                    let count = if self.below(4) == 0 { self.below(5) } else { 1 };
                    text.extend(std::iter::repeat_n(c, count));
                }
            }
        }
        text
    }
}

fn check(vocab: &Vocab, text: &str, what: &str) {
    for special in [Special::Plain, Special::Parse] {
        let expect = whole(vocab, text.as_bytes(), special).expect("llama.cpp's tokens");
        let tokens = vocab.tokenize(text, special).expect("tokens");
        assert_eq!(tokens, expect, "{what}, {special:?}: {text:?}");
    }
}

#[test]
fn every_pre_tokenizer_gives_the_tokens_of_llama() {
    let mut numbers = Vec::new();
    let mut dice = Dice(1);
    for (number, pre) in PRE_TOKENIZERS {
        // Names that make white space beside special tokens part of them.
        let name = ["forged", "phi-3", "modern-bert"][number as usize % 3];
        let forge = Forge::byte_pairs("gpt2", pre, name);
        let vocab = outline(&forge.write("byte-pairs.gguf"));
        let rules = ffi::split_rules(&vocab).expect("a byte-pair vocabulary");
        assert_eq!(rules.pre, number, "{pre}");
        numbers.push(number);
        let blanks = format!("a{}1", " ".repeat(1100));
        for text in std::iter::once(blanks).chain((0..150).map(|_| dice.text(&MARKERS))) {
            // Without blanks where llama.cpp's own assertion would end the process.
            let is_fatal = pre == "whitespace";
            let text = if is_fatal {
                text.replace(' ', "")
            } else {
                text
            };
            check(&vocab, &text, pre);
        }
    }
    numbers.extend(NAMELESS);
    numbers.sort_unstable();
    assert_eq!(numbers, Vec::from_iter(0..61));
}

#[test]
fn kinds_of_byte_pair_vocabularies_that_read_text_in_their_own_way_give_the_tokens_of_llama() {
    let mut dice = Dice(2);
    for (kind, pre) in [
        ("whitespace", "whitespace"),
        ("whitespace", "gpt-2"),
        ("hybriddna", "gpt-4o"),
    ] {
        let vocab = outline(&Forge::byte_pairs(kind, pre, "forged").write("kinds.gguf"));
        let mut parts = vec!["<dna>", "</dna>", SEQUENCE, "acgtacgg", "\u{c9}\u{130} "];
        parts.extend(MARKERS);
        for _ in 0..300 {
            check(&vocab, &dice.text(&parts), kind);
        }
        let text = format!("x<dna>{SEQUENCE}{}</dna>y", SEQUENCE.to_lowercase());
        check(&vocab, &text, kind);
    }
}

#[test]
fn other_families_give_the_tokens_of_llama() {
    let mut dice = Dice(3);
    let words = [
        "\n", " ", "a", "ab", "abc", "e", "\\xc3", "\u{e9}", "\\xe2", "?",
    ];
    let mut greedy = Forge::greedy(&words);
    greedy.number("tokenizer.ggml.unknown_token_id", words.len() as u32 - 1);
    for (name, forge) in [
        ("sentence pieces", Forge::model()),
        ("word pieces", Forge::encoder()),
        ("greedy", greedy),
    ] {
        let vocab = outline(&forge.write("family.gguf"));
        for _ in 0..300 {
            check(
                &vocab,
                &dice.text(&["<s>", "</s>", "<unk>", "[MASK]", "abcab"]),
                name,
            );
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "says that it skips")]
fn a_real_model_gives_the_tokens_of_llama() {
    let Some(folder) = std::env::var_os("WASI_NN_TEST_MODELS") else {
        eprintln!("skipped: WASI_NN_TEST_MODELS names no folder of models");
        return;
    };
    let texts = [
        "It's 12:45, isn't it? We've paid $1,234.56 for \u{201c}na\u{ef}ve\u{201d} caf\u{e9}s...\r\n\r\n  - OK!\n",
        "<|im_start|>user\nfn main() {\n\tprintln!(\"{}\", 0x1F);\n}\n<|im_end|>\n<start_of_turn>",
        "\u{4f60}\u{597d}\u{ff0c}\u{4e16}\u{754c}\u{3002}\u{3053}\u{3093}\u{306b}\u{3061}\u{306f} \u{d55c}\u{ad6d}\u{c5b4}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} e\u{301}\u{302} \u{661}\u{662}\u{663} \u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}",
        "     \t\t  \n \n\n\n\n\n    <unused5><unused5> x    ",
    ];
    for entry in std::fs::read_dir(folder).expect("a folder of models") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|end| end == "gguf") {
            let vocab = outline(&path);
            texts
                .iter()
                .for_each(|text| check(&vocab, text, &path.to_string_lossy()));
            check(&vocab, &texts.concat(), &path.to_string_lossy());
        }
    }
}

/// So many bytes of what people send.
fn long_texts(bytes: usize) -> Vec<(&'static str, String)> {
    let all = |unit: &str| unit.repeat(bytes / unit.len());
    vec![
        ("words", all("words with single blanks ")),
        ("marks", all("e\u{301}\u{302}a\u{308}")),
        ("lines", all("\n\n \n")),
        ("slashes", format!("!{}", all("\n/"))),
        ("digits", all("8")),
        ("Chinese", all("\u{4f60}\u{597d}\u{4e16}\u{754c}")),
        ("emoji", all("\u{1f600}\u{200d}\u{1f680}")),
        ("base64", all("QmFzZTY0IGlzIG5vdCBhIHdvcmQ+/9a")),
        ("JSON", all(r#"{"id":1234,"tags":["a","b"],"ok":true},"#)),
        ("letters", all("x")),
        ("capitals", all("\u{c9}X")),
        ("blanks", all(" ")),
    ]
}

#[test]
fn long_text_of_any_kind_needs_no_stack_in_any_pre_tokenizer() {
    // llama.cpp takes some 300 bytes of stack for each character of a match: a thousandth of these texts is too much
    // for this one. The longer texts are for those that users have seen die, and for the widest matches.
    let (long, longer) = (long_texts(256 << 10), long_texts(1 << 20));
    let work = || {
        for pre in DIFFERENT {
            let vocab = pocket_with(pre);
            let pieces: Vec<Vec<u8>> = vocab
                .all()
                .map(|token| {
                    let mut piece = Vec::new();
                    vocab.piece(token, &mut piece).expect("a token of it");
                    piece
                })
                .collect();
            // Vocabularies over raw UTF-8 have no tokens for most of these texts here.
            let is_whole = !matches!(pre, "gemma4" | "mmbert");
            let texts = match pre {
                "gpt-4o" | "tekken" | "exaone-moe" | "deepseek-llm" => &longer,
                _ => &long,
            };
            for (name, text) in texts {
                let tokens = vocab.tokenize(text, Special::Plain).expect("tokens");
                let mut rest = text.as_bytes();
                let says = |token: &Token| {
                    let begun = rest.strip_prefix(&pieces[token.0 as usize][..]);
                    begun.map(|left| rest = left).is_some()
                };
                assert!(!is_whole || tokens.iter().all(says), "{pre}, {name}");
                assert!(!is_whole || rest.is_empty(), "{pre}, {name}");
            }
        }
    };
    std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let thread = small.spawn_scoped(scope, work).expect("a thread");
        thread.join().expect("every text came back");
    });
}

#[test]
fn a_short_text_that_llama_matches_as_one_word_is_one() {
    // 30 kB: `!` and all that follows it are one match of `[^\s\p{L}\p{N}]+[\r\n/]*`.
    let vocab = pocket_with("gpt-4o");
    let unit = "\n/".repeat(15_000);
    let tokens = vocab
        .tokenize(&format!("!{unit}"), Special::Plain)
        .expect("tokens");
    let few = whole(&vocab, b"!\n/\n/", Special::Plain).expect("few enough for llama.cpp");
    assert_eq!(few.len(), 5, "nothing merges here");
    let expect: Vec<Token> = few[..1]
        .iter()
        .chain(few[1..3].repeat(15_000).iter())
        .copied()
        .collect();
    assert_eq!(tokens, expect);
}

#[test]
fn text_without_blanks_before_a_marker_leaves_it_whole() {
    for pre in ["gpt-2", "gpt-4o", "qwen2"] {
        let vocab = pocket_with(pre);
        let marker = vocab
            .tokenize("<|im_end|>", Special::Parse)
            .expect("a marker");
        assert_eq!(marker.len(), 1, "it is a token");
        for unit in ["x", "\u{4e2d}", "QUJD", "{\"a\":1},"] {
            for length in 2030..=2050_usize {
                let mut run = unit.repeat(length / unit.len());
                run.push_str(&"y".repeat(length - run.len()));
                let expect = vocab.tokenize(&run, Special::Parse).expect("tokens");
                let tokens = vocab.tokenize(&format!("{run}<|im_end|>"), Special::Parse);
                let expect: Vec<Token> = expect.into_iter().chain(marker.clone()).collect();
                assert_eq!(tokens, Ok(expect), "{pre}: {length} bytes of {unit}");
            }
        }
    }
}

#[test]
fn as_many_markers_as_a_text_can_hold_are_found() {
    let vocab = pocket().vocab();
    let marker = vocab
        .tokenize("<|im_end|>", Special::Parse)
        .expect("a marker");
    let tokens = vocab.tokenize(&"<|im_end|>".repeat(100_000), Special::Parse);
    assert_eq!(tokens, Ok(marker.repeat(100_000)));
}

#[test]
fn a_blank_beside_another_ends_no_process() {
    // Merges over raw text: llama.cpp asserts that no symbol is a blank.
    let vocab = outline(&Forge::byte_pairs("gpt2", "whitespace", "forged").write("blanks.gguf"));
    let tokens = vocab.tokenize("a  \t b", Special::Plain).expect("tokens");
    let texts: Vec<String> = tokens
        .iter()
        .map(|token| vocab.token_text(*token))
        .collect();
    assert_eq!(texts, ["a", "<0x20>", "<0x20>", "\t", "<0x20>", "b"]);
}

#[test]
fn a_greedy_vocabulary_that_would_read_the_same_place_for_ever_is_refused() {
    let vocab = outline(&Forge::greedy(&["\n", "ab", "c"]).write("greedy.gguf"));
    let error = vocab
        .tokenize("cac", Special::Plain)
        .expect_err("no token for `a`");
    assert!(error.to_string().contains("0x61"), "{error}");
}

#[test]
fn a_vocabulary_that_is_a_tree_of_any_depth_is_refused() {
    let refusal = |words: &[&str]| {
        let path = Forge::greedy(words).write("tree.gguf");
        let loaded = Model::outline(&path, &model_params());
        loaded
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refusal(&["\n", &"x".repeat(1024)]), "");
    let deep = refusal(&["\n", &"x".repeat(1025)]);
    assert!(deep.contains("a token of 1025 bytes"), "{deep}");
    // llama.cpp tokenises a line feed as it loads.
    let endless = refusal(&["\nx", "x"]);
    assert!(endless.contains("no token for a line feed"), "{endless}");
}
