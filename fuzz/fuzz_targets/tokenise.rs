#![no_main]
//! Arbitrary text in every pre-tokenizer of the pinned llama.cpp, parsed for special tokens and not.
//!
//! Whatever the text is, and however often it is repeated, its tokens come back on a small stack, say the text again,
//! and are llama.cpp's own where the text is short enough for llama.cpp.

use std::path::Path;
use std::sync::LazyLock;

use engine::TrialVocab;
use libfuzzer_sys::fuzz_target;

/// A name for every set of expressions that llama.cpp has.
const PRE_TOKENIZERS: [&str; 32] = [
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
    "whitespace",
];

/// The last so many merge raw text, for which this vocabulary has no bytes.
const RAW: usize = 3;

/// What llama.cpp itself is asked about: its recursion is no danger here.
const SHORT_BYTES: usize = 400;

/// How long a repeated text gets.
const LONG_BYTES: usize = 256 << 10;

const SMALL_STACK_BYTES: usize = 256 << 10;

static VOCABULARIES: LazyLock<Vec<TrialVocab>> = LazyLock::new(|| {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/pocket-a.gguf");
    let file = std::fs::read(model).expect("the model of the repository");
    let open = |pre| {
        let path = Path::new("pre.gguf");
        std::fs::write(path, with_pre_tokenizer(&file, pre)).expect("a file in the room of this run");
        TrialVocab::open(path).expect("the model of the repository loads")
    };
    PRE_TOKENIZERS.into_iter().map(open).collect()
});

fuzz_target!(init: { LazyLock::force(&VOCABULARIES); }, |input: (u8, u16, bool, &str)| {
    let (which, times, parses, unit) = input;
    let which = usize::from(which) % PRE_TOKENIZERS.len();
    let vocab = &VOCABULARIES[which];
    let times = usize::from(times).clamp(1, 1 + LONG_BYTES / unit.len().max(1));
    let text = unit.repeat(times);
    let tokens = std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(SMALL_STACK_BYTES);
        let thread = small.spawn_scoped(scope, || vocab.tokens(&text, parses));
        thread.expect("a thread").join().expect("no panic")
    });
    let tokens = tokens.expect("every byte has a token");
    assert!(parses || !vocab.has_control(&tokens), "a control token of plain text");
    if which < PRE_TOKENIZERS.len() - RAW {
        let bytes = vocab.bytes(&tokens).expect("tokens of the vocabulary");
        assert!(bytes == text.as_bytes(), "another text");
    }
    // llama.cpp asserts that raw text to merge has no blank.
    let is_fatal = PRE_TOKENIZERS[which] == "whitespace" && text.contains(' ');
    if text.len() <= SHORT_BYTES && !is_fatal {
        let expect = vocab.llama_tokens(&text, parses).expect("llama.cpp's tokens");
        assert_eq!(tokens, expect, "{}", PRE_TOKENIZERS[which]);
    }
});

/// The file with another pre-tokenizer. Its description grows so far that the tensors begin where a multiple of 32 is.
fn with_pre_tokenizer(file: &[u8], pre: &str) -> Vec<u8> {
    let mut file = file.to_vec();
    let grown = replace(&mut file, "tokenizer.ggml.pre", |_| pre.into());
    replace(&mut file, "general.description", |old| {
        let more = (-grown).rem_euclid(32) as usize;
        [old, &vec![b' '; more]].concat()
    });
    file
}

/// Replaces the text of `key`, and returns by how many bytes the file has grown.
fn replace(file: &mut Vec<u8>, key: &str, value: impl Fn(&[u8]) -> Vec<u8>) -> isize {
    let found = file.windows(key.len()).position(|part| part == key.as_bytes());
    // Behind the key stand the type and the length.
    let length = found.expect("a key of the file") + key.len() + 4;
    let start = length + 8;
    let old = u64::from_le_bytes(file[length..start].try_into().expect("8 bytes")) as usize;
    let new = value(&file[start..start + old]);
    let text = [&(new.len() as u64).to_le_bytes()[..], &new].concat();
    file.splice(length..start + old, text);
    new.len() as isize - old as isize
}
