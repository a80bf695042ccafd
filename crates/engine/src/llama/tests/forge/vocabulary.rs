//! Byte-pair vocabularies that show where words end.
//!
//! Any two neighbours of the alphabet merge, so that a border in another place gives other tokens for half of all texts.

use super::{Forge, array, text};

/// Characters of every kind that an expression of some pre-tokenizer tells apart.
pub(crate) const ALPHABET: [char; 62] = [
    'a',
    'Z',
    's',
    'T',
    'l',
    'e',
    'r',
    'v',
    'd',
    'm',
    '\'',
    ' ',
    '\n',
    '\r',
    '\t',
    '1',
    '9',
    '/',
    '.',
    ',',
    '!',
    '<',
    '$',
    '^',
    '|',
    '(',
    '`',
    '_',
    '\u{b}',
    '\u{1c}',
    '\u{0}',
    '\u{85}',
    '\u{a0}',
    '\u{b2}',
    '\u{bd}',
    '\u{c9}',
    '\u{e9}',
    '\u{df}',
    '\u{1c5}',
    '\u{2b0}',
    '\u{301}',
    '\u{378}',
    '\u{60c}',
    '\u{661}',
    '\u{915}',
    '\u{964}',
    '\u{e01}',
    '\u{200d}',
    '\u{2014}',
    '\u{2019}',
    '\u{2028}',
    '\u{20ac}',
    '\u{3000}',
    '\u{3002}',
    '\u{3042}',
    '\u{4e2d}',
    '\u{ac00}',
    '\u{e000}',
    '\u{f900}',
    '\u{ff11}',
    '\u{20000}',
    '\u{1f600}',
];

/// Texts of the special tokens of such a vocabulary; the first is one in parsed text only.
pub(crate) const MARKERS: [&str; 4] = ["<|im_end|>", "<extra>", "[MASK]", "\n\n\n\n"];

/// The sequence of the `hybriddna` kind that is a token.
pub(crate) const SEQUENCE: &str = "ACGTAC";

const NORMAL: i32 = 1;
const CONTROL: i32 = 3;
const ADDED: i32 = 4;

impl Forge {
    /// A model that can be asked, with a byte-pair vocabulary: `kind` is the tokenizer's, `name` the model's.
    pub(crate) fn byte_pairs(kind: &str, pre: &str, name: &str) -> Forge {
        let mut tokens: Vec<(Vec<u8>, i32)> = Vec::new();
        let mut known = std::collections::HashSet::new();
        let mut add = |token: Vec<u8>, type_: i32| {
            if known.insert(token.clone()) {
                tokens.push((token, type_));
            }
        };
        for byte in 0..=255 {
            add(encoded(byte).into(), NORMAL);
            add(format!("<0x{byte:02X}>").into(), NORMAL);
        }
        let mut bytes: Vec<u8> = ALPHABET.iter().collect::<String>().into_bytes();
        bytes.extend("\u{2581}".bytes());
        bytes.sort_unstable();
        bytes.dedup();
        let spelled: Vec<String> = bytes.into_iter().map(encoded).collect();
        let plain = ALPHABET.iter().filter(|c| !matches!(c, ' ' | '\0'));
        let plain: Vec<String> = plain.chain(&['\u{2581}']).map(char::to_string).collect();
        let mut merges = Vec::new();
        for set in [&spelled, &plain] {
            for (first, second) in set.iter().flat_map(|a| set.iter().map(move |b| (a, b))) {
                add(format!("{first}{second}").into(), NORMAL);
                merges.push(format!("{first} {second}"));
            }
            set.iter().for_each(|one| add(one.clone().into(), NORMAL));
        }
        // A fixed order in which neighbours in the alphabet are none.
        merges.sort_by_key(|merge| blake3::hash(merge.as_bytes()).to_hex());
        add(MARKERS[0].into(), CONTROL);
        MARKERS[1..]
            .iter()
            .for_each(|one| add((*one).into(), ADDED));
        // llama.cpp looks these up where a model is called phi-3.
        for token in ["<unk>", "<s>", "</s>", "<|endoftext|>"] {
            add(token.into(), CONTROL);
        }
        // The first bytes of characters that begin with the same: the rest is no character.
        add(b"\xF0\x9F\x98\x80\xF0\x9F".into(), ADDED);
        if kind == "hybriddna" {
            for token in ["<dna>", "</dna>", "<oov>", &format!("{SEQUENCE}\u{e000}")] {
                add(token.into(), NORMAL);
            }
        }
        let mut forge = Forge::model().without("tokenizer.ggml.scores");
        forge.text("general.name", name);
        forge.text("tokenizer.ggml.model", kind);
        forge.text("tokenizer.ggml.pre", pre);
        let mut value = array(8, tokens.len());
        for (token, _) in &tokens {
            value.extend((token.len() as u64).to_le_bytes());
            value.extend(token);
        }
        forge.pair("tokenizer.ggml.tokens", 9, value);
        let mut value = array(5, tokens.len());
        tokens
            .iter()
            .for_each(|(_, type_)| value.extend(type_.to_le_bytes()));
        forge.pair("tokenizer.ggml.token_type", 9, value);
        let mut value = array(8, merges.len());
        merges.iter().for_each(|merge| value.extend(text(merge)));
        forge.pair("tokenizer.ggml.merges", 9, value);
        forge
            .tensors
            .retain(|(name, ..)| name != "token_embd.weight");
        forge.tensor("token_embd.weight", &[32, tokens.len() as u64]);
        forge
    }

    /// A greedy vocabulary of these tokens.
    pub(crate) fn greedy(words: &[&str]) -> Forge {
        let mut forge = Forge::model().without("tokenizer.ggml.scores");
        forge.text("tokenizer.ggml.model", "rwkv");
        let mut value = array(8, words.len());
        words.iter().for_each(|word| value.extend(text(word)));
        forge.pair("tokenizer.ggml.tokens", 9, value);
        forge = forge.without("tokenizer.ggml.token_type");
        forge
            .tensors
            .retain(|(name, ..)| name != "token_embd.weight");
        forge.tensor("token_embd.weight", &[32, words.len() as u64]);
        forge
    }
}

/// The character that stands for a byte in vocabularies after GPT-2.
fn encoded(byte: u8) -> String {
    let is_shown = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let hidden_before = (0..byte).filter(|byte| !is_shown(*byte)).count() as u32;
    let shown = if is_shown(byte) {
        u32::from(byte)
    } else {
        256 + hidden_before
    };
    char::from_u32(shown).expect("a character below 512").into()
}
