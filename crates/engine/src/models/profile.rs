//! What a model is, as far as another one in its place may differ from it.

use serde::Serialize;

use crate::llama::{KvType, Model, Token, Vocab, VocabKind};

/// Facts about one version of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// `general.architecture`.
    pub architecture: String,
    /// Parameters.
    pub parameters: u64,
    /// The file type by name.
    pub quantisation: String,
    /// The context that it was trained with, in tokens.
    pub training_context: u32,
    /// Tokens that a conversation may have.
    pub session_tokens: u32,
    /// Its tokens.
    pub vocabulary: Vocabulary,
    /// A hash of the chat template in force; none where there is none of its own.
    pub template: Option<String>,
    /// Whether that template knows tools.
    pub tools: bool,
    /// Why a template that was wanted does not serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_passed_over: Option<String>,
    /// Bytes of all its files.
    pub disk_bytes: u64,
    /// Bytes of weights in memory.
    pub weights_bytes: u64,
    /// Bytes of cells and compute buffers.
    pub buffer_bytes: u64,
    /// Bytes that one token takes in the cells.
    pub kv_bytes_per_token: u64,
    /// How many positions a layer with a sliding window looks back on; 0 without such layers.
    pub sliding_window: u32,
    /// Whether it keeps a state instead of cells, in some layers at least.
    pub recurrent: bool,
}

/// What tells one vocabulary from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Vocabulary {
    /// The tokenizer.
    pub kind: String,
    /// How many tokens it has.
    pub tokens: usize,
    /// A hash of all texts, of what ends an answer and of how texts are cut before they are looked up: where it is equal,
    /// the tokens of past messages may stay.
    pub hash: String,
    /// The beginning-of-text and the end token.
    pub special: [Option<i32>; 2],
}

impl Vocabulary {
    /// Reads all of the vocabulary of `model`.
    pub fn of(model: &Model, vocab: &Vocab) -> Vocabulary {
        let mut hasher = blake3::Hasher::new();
        let kind = match vocab.kind() {
            VocabKind::Spm => "spm",
            VocabKind::Bpe => "bpe",
            VocabKind::Wpm => "wpm",
            VocabKind::Ugm => "ugm",
            VocabKind::Rwkv => "rwkv",
            VocabKind::Plamo => "plamo",
            VocabKind::Other => "other",
        };
        hasher.update(kind.as_bytes());
        hasher.update(&[u8::from(vocab.add_bos())]);
        for rule in ["pre", "add_space_prefix", "remove_extra_whitespaces"] {
            let rule = model.meta(&format!("tokenizer.ggml.{rule}"));
            hasher.update(format!("{rule:?}").as_bytes());
        }
        for id in 0..i32::try_from(vocab.n_tokens()).unwrap_or(i32::MAX) {
            let token = Token(id);
            let text = vocab.token_text(token);
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
            hasher.update(&[
                u8::from(vocab.is_control(token)),
                u8::from(vocab.is_eog(token)),
            ]);
        }
        let special = [vocab.bos(), vocab.eos()].map(|token| token.map(|t| t.0));
        hasher.update(format!("{special:?}").as_bytes());
        Vocabulary {
            kind: kind.into(),
            tokens: vocab.n_tokens(),
            hash: short(&hasher.finalize()),
            special,
        }
    }
}

/// What the profile takes from elsewhere.
pub struct Sizes {
    /// Tokens that a conversation may have.
    pub session_tokens: u32,
    /// Bytes of all files.
    pub disk_bytes: u64,
    /// Bytes of weights, then of cells, then of compute buffers.
    pub memory: [u64; 3],
    /// The types of cached keys and values.
    pub cache_types: [KvType; 2],
}

impl Profile {
    /// Of a model, whose tensors may be absent. `template`: what the configuration sets.
    pub fn of(
        model: &Model,
        vocabulary: Vocabulary,
        template: Option<&str>,
        sizes: &Sizes,
    ) -> Profile {
        let own = model.chat_template(None);
        let template = template.or(own.as_deref());
        let [weights, cells, compute] = sizes.memory;
        Profile {
            architecture: model.meta("general.architecture").unwrap_or_default(),
            parameters: model.n_params(),
            quantisation: model.file_type(),
            training_context: model.n_ctx_train(),
            session_tokens: sizes.session_tokens,
            vocabulary,
            template: template.map(hashed),
            tools: template.is_some_and(knows_tools),
            template_passed_over: None,
            disk_bytes: sizes.disk_bytes,
            weights_bytes: weights,
            buffer_bytes: cells + compute,
            kv_bytes_per_token: kv_bytes_per_token(model, sizes.cache_types),
            sliding_window: model.n_swa(),
            recurrent: model.is_recurrent() || model.is_hybrid(),
        }
    }

    /// Takes over which template serves; `None` where it is none of the model's own.
    pub fn set_template(&mut self, text: Option<&str>) {
        self.template = text.map(hashed);
        self.tools = text.is_some_and(knows_tools);
    }
}

fn hashed(template: &str) -> String {
    short(&blake3::hash(template.as_bytes()))
}

fn knows_tools(template: &str) -> bool {
    template.contains("tools")
}

/// Bytes that one token takes in the KV cache of all layers: keys and values of every KV head.
pub fn kv_bytes_per_token(model: &Model, types: [KvType; 2]) -> u64 {
    let head = u64::from(model.n_embd() / model.n_head().max(1));
    let values = u64::from(model.n_layer()) * u64::from(model.n_head_kv()) * head;
    let half_bits: u64 = types.iter().map(|kind| kind.half_bits()).sum();
    values * half_bits / 16
}

/// Enough of a hash to tell some thousand things apart.
pub fn short(hash: &blake3::Hash) -> String {
    hash.to_hex()[..16].to_owned()
}
