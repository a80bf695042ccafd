//! Writes GGUF files: whole tiny models, and broken ones.
//!
//! Knows the format as far as tests bend it; the walk under test is not used.

use std::path::PathBuf;

/// The bytes of a file in the making.
#[derive(Clone, Default)]
pub(super) struct Forge {
    pairs: Vec<(String, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, Vec<f32>)>,
}

/// The tokens of a forged vocabulary: three special ones, all bytes, the letters.
pub(super) const TOKENS: usize = 3 + 256 + 26;

impl Forge {
    /// A complete llama model with one layer, weights from a fixed sequence, and a SentencePiece vocabulary.
    pub(super) fn model() -> Forge {
        let mut forge = Forge::default();
        forge.text("general.architecture", "llama");
        forge.text("general.name", "forged");
        forge.number("llama.block_count", 1);
        forge.number("llama.context_length", 512);
        forge.number("llama.embedding_length", 32);
        forge.number("llama.feed_forward_length", 64);
        forge.number("llama.attention.head_count", 4);
        forge.number("llama.attention.head_count_kv", 2);
        forge.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
        forge.vocabulary();
        let width = 32;
        let tokens = TOKENS as u64;
        forge.tensor("token_embd.weight", &[width, tokens]);
        forge.tensor("blk.0.attn_norm.weight", &[width]);
        forge.tensor("blk.0.attn_q.weight", &[width, width]);
        forge.tensor("blk.0.attn_k.weight", &[width, width / 2]);
        forge.tensor("blk.0.attn_v.weight", &[width, width / 2]);
        forge.tensor("blk.0.attn_output.weight", &[width, width]);
        forge.tensor("blk.0.ffn_norm.weight", &[width]);
        forge.tensor("blk.0.ffn_gate.weight", &[width, 64]);
        forge.tensor("blk.0.ffn_up.weight", &[width, 64]);
        forge.tensor("blk.0.ffn_down.weight", &[64, width]);
        forge.tensor("output_norm.weight", &[width]);
        forge
    }

    /// A tokenizer without a model.
    pub(super) fn vocabulary_only() -> Forge {
        let mut forge = Forge::default();
        forge.text("general.architecture", "llama");
        forge.vocabulary();
        forge
    }

    fn vocabulary(&mut self) {
        self.text("tokenizer.ggml.model", "llama");
        let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
        tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
        tokens.extend(('a'..='z').map(String::from));
        let kinds = (0..TOKENS).map(|id| -> i32 {
            match id {
                0 => 2,
                1 | 2 => 3,
                3..=258 => 6,
                _ => 1,
            }
        });
        let mut value = array(8, TOKENS);
        for token in &tokens {
            value.extend(text(token));
        }
        self.pair("tokenizer.ggml.tokens", 9, value);
        let mut value = array(6, TOKENS);
        (0..TOKENS).for_each(|id| value.extend((-(id as f32)).to_le_bytes()));
        self.pair("tokenizer.ggml.scores", 9, value);
        let mut value = array(5, TOKENS);
        kinds.for_each(|kind| value.extend(kind.to_le_bytes()));
        self.pair("tokenizer.ggml.token_type", 9, value);
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.pair(key, 8, text(value));
    }

    pub(super) fn number(&mut self, key: &str, value: u32) {
        self.pair(key, 4, value.to_le_bytes().to_vec());
    }

    pub(super) fn float(&mut self, key: &str, value: f32) {
        self.pair(key, 6, value.to_le_bytes().to_vec());
    }

    /// Sets a pair of any type; one of the same key is replaced.
    pub(super) fn pair(&mut self, key: &str, kind: u32, value: Vec<u8>) {
        let value = [kind.to_le_bytes().to_vec(), value].concat();
        match self.pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((key.to_owned(), value)),
        }
    }

    pub(super) fn without(mut self, key: &str) -> Forge {
        self.pairs.retain(|(known, _)| known != key);
        self
    }

    fn tensor(&mut self, name: &str, shape: &[u64]) {
        let count: u64 = shape.iter().product();
        // A fixed sequence that is spread evenly: the model computes, and says nothing.
        let weight = |i: u64| ((i * 7919 + count) % 1000) as f32 / 1000.0 - 0.5;
        let weights = match shape.len() {
            1 => vec![1.0; count as usize],
            _ => (0..count).map(weight).collect(),
        };
        self.tensors
            .push((name.to_owned(), shape.to_vec(), weights));
    }

    /// Replaces a tensor's values.
    pub(super) fn fill(&mut self, name: &str, value: f32) {
        let tensor = self.tensors.iter_mut().find(|(known, ..)| known == name);
        tensor.expect("a tensor of that name").2.fill(value);
    }

    /// The file's bytes, and where its tensor data begins.
    pub(super) fn bytes(&self) -> (Vec<u8>, usize) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, value) in &self.pairs {
            bytes.extend(text(key));
            bytes.extend(value);
        }
        let mut data: Vec<u8> = Vec::new();
        for (name, shape, weights) in &self.tensors {
            bytes.extend(text(name));
            bytes.extend((shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
            bytes.extend(0_u32.to_le_bytes());
            bytes.extend((data.len() as u64).to_le_bytes());
            weights.iter().for_each(|w| data.extend(w.to_le_bytes()));
            data.resize(data.len().next_multiple_of(32), 0);
        }
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        let start = bytes.len();
        bytes.extend(data);
        (bytes, start)
    }

    /// Writes the file into the folder of `name`'s test and returns its path.
    pub(super) fn write(&self, name: &str) -> PathBuf {
        super::support::file(name, &self.bytes().0)
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn array(element: u32, count: usize) -> Vec<u8> {
    [&element.to_le_bytes()[..], &(count as u64).to_le_bytes()].concat()
}
