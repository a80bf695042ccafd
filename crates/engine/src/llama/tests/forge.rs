//! Writes GGUF files: whole tiny models, and broken ones.
//!
//! Knows the format as far as tests bend it; the walk under test is not used.

mod picture;
mod projector;
mod rewrite;
mod tabulated;
mod vocabulary;

use std::path::PathBuf;

pub(crate) use picture::{bmp, jpeg, picture, png, png_of};
pub(crate) use projector::IMAGE_TOKENS;
pub(crate) use rewrite::rewritten;
pub(crate) use vocabulary::{ALPHABET, MARKERS, SEQUENCE};

/// The bytes of a file in the making.
#[derive(Clone, Default)]
pub(crate) struct Forge {
    pairs: Vec<(String, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, Vec<f32>)>,
    /// All tensors of this name's end say that they are whole numbers of 32 bits.
    whole: Option<String>,
}

/// The tokens of a forged vocabulary: three special ones, all bytes, the letters.
pub(crate) const TOKENS: usize = 3 + 256 + 26;

/// The tokens of a forged word-piece vocabulary.
const WORD_PIECES: usize = 5 + 2 * 26;

/// How many tokens the first layer of a forged model with a sliding window sees.
pub(crate) const WINDOW: u32 = 16;

/// Sizes of the models that are no llama: heads that quantised cells fit, states that CUDA's kernels take.
const WIDTH: u64 = 64;
const HEADS: u32 = 2;
const STATE: u64 = 16;
const EXPERTS: u64 = 4;
const RANK: u64 = 4;
const CONVOLUTION: u64 = 4;

impl Forge {
    /// A complete llama model with one layer, weights from a fixed sequence, and a SentencePiece vocabulary.
    pub(crate) fn model() -> Forge {
        let mut forge = Forge::sized("llama", 1, 32);
        forge.number("llama.attention.head_count", 4);
        forge.number("llama.attention.head_count_kv", 2);
        forge.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
        forge.vocabulary();
        forge.tensor("token_embd.weight", &[32, TOKENS as u64]);
        forge.attention(0, 32, 16);
        forge.tensor("blk.0.ffn_norm.weight", &[32]);
        forge.feed_forward(0, 32);
        forge.tensor("output_norm.weight", &[32]);
        forge
    }

    /// A cohere2 model of two layers: the first sees the last `WINDOW` tokens only, the second sees all.
    pub(crate) fn sliding_window() -> Forge {
        let mut forge = Forge::sized("cohere2", 2, WIDTH);
        forge.number("cohere2.attention.head_count", HEADS);
        forge.number("cohere2.attention.head_count_kv", 1);
        forge.number("cohere2.attention.sliding_window", WINDOW);
        forge.number("cohere2.attention.sliding_window_pattern", 2);
        forge.float("cohere2.attention.layer_norm_epsilon", 1e-5);
        forge.float("cohere2.logit_scale", 1.0);
        forge.vocabulary();
        forge.tensor("token_embd.weight", &[WIDTH, TOKENS as u64]);
        for layer in 0..2 {
            forge.attention(layer, WIDTH, WIDTH / u64::from(HEADS));
            forge.feed_forward(layer, WIDTH);
        }
        forge.tensor("output_norm.weight", &[WIDTH]);
        forge
    }

    /// A llama model of two layers whose feed-forward part is a mixture of four experts, two of which speak.
    pub(crate) fn mixture() -> Forge {
        let mut forge = Forge::sized("llama", 2, WIDTH);
        forge.number("llama.attention.head_count", HEADS);
        forge.number("llama.attention.head_count_kv", 1);
        forge.number("llama.expert_count", EXPERTS as u32);
        forge.number("llama.expert_used_count", 2);
        forge.float("llama.attention.layer_norm_rms_epsilon", 1e-5);
        forge.vocabulary();
        forge.tensor("token_embd.weight", &[WIDTH, TOKENS as u64]);
        for layer in 0..2 {
            forge.attention(layer, WIDTH, WIDTH / u64::from(HEADS));
            let name = |part| format!("blk.{layer}.ffn_{part}.weight");
            forge.tensor(&name("norm"), &[WIDTH]);
            forge.tensor(&name("gate_inp"), &[WIDTH, EXPERTS]);
            forge.tensor(&name("gate_exps"), &[WIDTH, 64, EXPERTS]);
            forge.tensor(&name("up_exps"), &[WIDTH, 64, EXPERTS]);
            forge.tensor(&name("down_exps"), &[64, WIDTH, EXPERTS]);
        }
        forge.tensor("output_norm.weight", &[WIDTH]);
        forge
    }

    /// A bert model of two layers with a head for scores: its tokens see all others, and it embeds by their mean.
    pub(crate) fn encoder() -> Forge {
        let mut forge = Forge::sized("bert", 2, WIDTH);
        forge.number("bert.attention.head_count", HEADS);
        forge.float("bert.attention.layer_norm_epsilon", 1e-5);
        forge.pair("bert.attention.causal", 7, vec![0]);
        forge.number("bert.pooling_type", 1);
        forge.word_pieces();
        let tokens = WORD_PIECES as u64;
        forge.tensor("token_embd.weight", &[WIDTH, tokens]);
        forge.tensor("token_types.weight", &[WIDTH, 2]);
        forge.tensor("position_embd.weight", &[WIDTH, 512]);
        let norm = |forge: &mut Forge, name: &str| {
            forge.tensor(&format!("{name}.weight"), &[WIDTH]);
            forge.tensor(&format!("{name}.bias"), &[WIDTH]);
            forge.fill(&format!("{name}.bias"), 0.0);
        };
        norm(&mut forge, "token_embd_norm");
        for layer in 0..2 {
            for part in ["q", "k", "v", "output"] {
                forge.tensor(&format!("blk.{layer}.attn_{part}.weight"), &[WIDTH, WIDTH]);
            }
            norm(&mut forge, &format!("blk.{layer}.attn_output_norm"));
            forge.tensor(&format!("blk.{layer}.ffn_up.weight"), &[WIDTH, 64]);
            forge.tensor(&format!("blk.{layer}.ffn_down.weight"), &[64, WIDTH]);
            norm(&mut forge, &format!("blk.{layer}.layer_output_norm"));
        }
        forge.tensor("cls.output.weight", &[WIDTH, 1]);
        forge
    }

    /// A word-piece vocabulary: padding, unknown, start, end, mask; letters at the start of a word, letters inside.
    fn word_pieces(&mut self) {
        self.text("tokenizer.ggml.model", "bert");
        self.number("tokenizer.ggml.token_type_count", 2);
        let named = [
            ("padding", 0),
            ("unknown", 1),
            ("bos", 2),
            ("cls", 2),
            ("eos", 3),
            // Spelt as the format has it.
            ("seperator", 3),
            ("mask", 4),
        ];
        for (name, id) in named {
            self.number(&format!("tokenizer.ggml.{name}_token_id"), id);
        }
        let mut tokens: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
            .map(str::to_owned)
            .into();
        tokens.extend(('a'..='z').map(|letter| format!("\u{2581}{letter}")));
        tokens.extend(('a'..='z').map(String::from));
        let mut value = array(8, WORD_PIECES);
        tokens.iter().for_each(|token| value.extend(text(token)));
        self.pair("tokenizer.ggml.tokens", 9, value);
        let mut value = array(5, WORD_PIECES);
        let kind = |id: usize| -> i32 { if id < 5 { 3 } else { 1 } };
        (0..WORD_PIECES).for_each(|id| value.extend(kind(id).to_le_bytes()));
        self.pair("tokenizer.ggml.token_type", 9, value);
    }

    /// A LoRA adapter of rank 2 for the matrices `changed` of a model of that architecture.
    pub(crate) fn adapter(architecture: &str, changed: &[(&str, [u64; 2])]) -> Forge {
        let mut forge = Forge::default();
        forge.text("general.type", "adapter");
        forge.text("general.architecture", architecture);
        forge.text("adapter.type", "lora");
        forge.float("adapter.lora.alpha", 2.0);
        for (name, [input, output]) in changed {
            forge.tensor(&format!("{name}.lora_a"), &[*input, 2]);
            forge.tensor(&format!("{name}.lora_b"), &[2, *output]);
        }
        forge
    }

    /// Says that the tensors whose names end so are whole numbers of 32 bits.
    pub(crate) fn whole(&mut self, end: &str) {
        self.whole = Some(end.to_owned());
    }

    /// Forgets all tensors.
    pub(crate) fn clear_tensors(&mut self) {
        self.tensors.clear();
    }

    /// A mamba model of two layers: no cells, one state per sequence.
    pub(crate) fn recurrent() -> Forge {
        let mut forge = Forge::sized("mamba", 2, WIDTH);
        forge.states("mamba");
        forge.vocabulary();
        forge.tensor("token_embd.weight", &[WIDTH, TOKENS as u64]);
        forge.recurrence(0);
        forge.recurrence(1);
        forge.tensor("output_norm.weight", &[WIDTH]);
        forge
    }

    /// A jamba model of two layers: the first has one state per sequence, the second attends without positions.
    pub(crate) fn hybrid() -> Forge {
        let mut forge = Forge::sized("jamba", 2, WIDTH);
        forge.number("jamba.attention.head_count", HEADS);
        // Heads of keys and values in each layer: a layer without any is recurrent.
        let shared = [0_u32, 1].map(u32::to_le_bytes).concat();
        forge.pair(
            "jamba.attention.head_count_kv",
            9,
            [array(4, 2), shared].concat(),
        );
        forge.states("jamba");
        forge.vocabulary();
        forge.tensor("token_embd.weight", &[WIDTH, TOKENS as u64]);
        forge.recurrence(0);
        for (part, length) in [("dt", RANK), ("b", STATE), ("c", STATE)] {
            forge.tensor(&format!("blk.0.ssm_{part}_norm.weight"), &[length]);
        }
        forge.attention(1, WIDTH, WIDTH / u64::from(HEADS));
        for layer in 0..2 {
            forge.tensor(&format!("blk.{layer}.ffn_norm.weight"), &[WIDTH]);
            forge.feed_forward(layer, WIDTH);
        }
        forge.tensor("output_norm.weight", &[WIDTH]);
        forge
    }

    /// The start of a model: its name and sizes.
    fn sized(architecture: &str, layers: u32, width: u64) -> Forge {
        let mut forge = Forge::default();
        forge.text("general.architecture", architecture);
        forge.text("general.name", "forged");
        forge.number(&format!("{architecture}.block_count"), layers);
        forge.number(&format!("{architecture}.context_length"), 512);
        forge.number(&format!("{architecture}.embedding_length"), width as u32);
        forge.number(&format!("{architecture}.feed_forward_length"), 64);
        forge
    }

    /// The sizes of recurrent layers, and the epsilon of all norms.
    fn states(&mut self, architecture: &str) {
        let sizes = [
            ("conv_kernel", CONVOLUTION),
            ("inner_size", 2 * WIDTH),
            ("state_size", STATE),
            ("time_step_rank", RANK),
        ];
        for (key, size) in sizes {
            self.number(&format!("{architecture}.ssm.{key}"), size as u32);
        }
        self.float(
            &format!("{architecture}.attention.layer_norm_rms_epsilon"),
            1e-5,
        );
    }

    /// The attention of a layer, and the norm before it.
    fn attention(&mut self, layer: u32, width: u64, shared: u64) {
        let name = |part| format!("blk.{layer}.attn_{part}.weight");
        self.tensor(&name("norm"), &[width]);
        self.tensor(&name("q"), &[width, width]);
        self.tensor(&name("k"), &[width, shared]);
        self.tensor(&name("v"), &[width, shared]);
        self.tensor(&name("output"), &[width, width]);
    }

    fn feed_forward(&mut self, layer: u32, width: u64) {
        let name = |part| format!("blk.{layer}.ffn_{part}.weight");
        self.tensor(&name("gate"), &[width, 64]);
        self.tensor(&name("up"), &[width, 64]);
        self.tensor(&name("down"), &[64, width]);
    }

    /// The state space of a layer, and the norm before it.
    fn recurrence(&mut self, layer: u32) {
        let inner = 2 * WIDTH;
        let name = |part| format!("blk.{layer}.ssm_{part}");
        self.tensor(&format!("blk.{layer}.attn_norm.weight"), &[WIDTH]);
        self.tensor(&name("in.weight"), &[WIDTH, 2 * inner]);
        self.tensor(&name("conv1d.weight"), &[CONVOLUTION, inner]);
        self.tensor(&name("conv1d.bias"), &[inner]);
        self.tensor(&name("x.weight"), &[inner, RANK + 2 * STATE]);
        self.tensor(&name("dt.weight"), &[RANK, inner]);
        self.tensor(&name("dt.bias"), &[inner]);
        self.tensor(&name("a"), &[STATE, inner]);
        self.tensor(&name("d"), &[inner]);
        self.tensor(&name("out.weight"), &[inner, WIDTH]);
        // A state must decay, and slowly: a token is remembered for some dozens.
        self.fill(&name("a"), -0.5);
        self.fill(&name("dt.bias"), -3.0);
        self.fill(&name("conv1d.bias"), 0.0);
    }

    /// A tokenizer without a model.
    pub(crate) fn vocabulary_only() -> Forge {
        let mut forge = Forge::default();
        forge.text("general.architecture", "llama");
        forge.vocabulary();
        forge
    }

    fn vocabulary(&mut self) {
        self.text("tokenizer.ggml.model", "llama");
        self.tokens(&tabulated::tokens());
        let kinds = (0..TOKENS).map(|id| -> i32 {
            match id {
                0 => 2,
                1 | 2 => 3,
                3..=258 => 6,
                _ => 1,
            }
        });
        let mut value = array(6, TOKENS);
        (0..TOKENS).for_each(|id| value.extend((-(id as f32)).to_le_bytes()));
        self.pair("tokenizer.ggml.scores", 9, value);
        let mut value = array(5, TOKENS);
        kinds.for_each(|kind| value.extend(kind.to_le_bytes()));
        self.pair("tokenizer.ggml.token_type", 9, value);
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.pair(key, 8, text(value));
    }

    pub(crate) fn number(&mut self, key: &str, value: u32) {
        self.pair(key, 4, value.to_le_bytes().to_vec());
    }

    pub(crate) fn float(&mut self, key: &str, value: f32) {
        self.pair(key, 6, value.to_le_bytes().to_vec());
    }

    /// Sets a pair of any type; one of the same key is replaced.
    pub(crate) fn pair(&mut self, key: &str, kind: u32, value: Vec<u8>) {
        let value = [kind.to_le_bytes().to_vec(), value].concat();
        match self.pairs.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => *old = value,
            None => self.pairs.push((key.to_owned(), value)),
        }
    }

    pub(crate) fn without(mut self, key: &str) -> Forge {
        self.pairs.retain(|(known, _)| known != key);
        self
    }

    /// Adds a tensor with values of its own.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[u64]) {
        let count: u64 = shape.iter().product();
        // A fixed sequence without a pattern, scaled so that a product keeps its factor's size: the model says nothing,
        // and what it says depends on all that it sees.
        let scale = (12.0 / shape[0] as f32).sqrt();
        let mut state = 1 + self.tensors.len() as u64;
        let weight = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * scale
        };
        let weights = match shape.len() {
            1 => vec![1.0; count as usize],
            _ => (0..count).map(weight).collect(),
        };
        self.tensors
            .push((name.to_owned(), shape.to_vec(), weights));
    }

    /// Replaces a tensor's values.
    pub(crate) fn fill(&mut self, name: &str, value: f32) {
        let tensor = self.tensors.iter_mut().find(|(known, ..)| known == name);
        tensor.expect("a tensor of that name").2.fill(value);
    }

    /// The same model in `count` parts, as llama.cpp splits it: the first has all that is no tensor.
    pub(crate) fn parts(mut self, count: u16) -> Vec<Forge> {
        let tensors = std::mem::take(&mut self.tensors);
        let total = tensors.len() as i32;
        let each = tensors.len().div_ceil(usize::from(count) - 1);
        let mut rest = tensors.into_iter();
        let part = |no: u16| {
            let mut part = match no {
                0 => self.clone(),
                _ => Forge::default(),
            };
            part.pair("split.no", 2, no.to_le_bytes().to_vec());
            part.pair("split.count", 2, count.to_le_bytes().to_vec());
            part.pair("split.tensors.count", 5, total.to_le_bytes().to_vec());
            part.tensors = rest.by_ref().take(if no == 0 { 0 } else { each }).collect();
            part
        };
        (0..count).map(part).collect()
    }

    /// The file's bytes, and where its tensor data begins.
    pub(crate) fn bytes(&self) -> (Vec<u8>, usize) {
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
            let is_whole = self.whole.as_ref().is_some_and(|end| name.ends_with(end));
            // `GGML_TYPE_I32` and `GGML_TYPE_F32`.
            bytes.extend(if is_whole { 26_u32 } else { 0 }.to_le_bytes());
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
    pub(crate) fn write(&self, name: &str) -> PathBuf {
        super::support::file(name, &self.bytes().0)
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn array(element: u32, count: usize) -> Vec<u8> {
    [&element.to_le_bytes()[..], &(count as u64).to_le_bytes()].concat()
}
