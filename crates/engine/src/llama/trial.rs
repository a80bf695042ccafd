//! A file's vocabulary for the fuzz target `tokenise`, beside llama.cpp's own tokens. Knows nothing else.

use std::path::Path;
use std::sync::Arc;

use crate::error::Result;

use super::tokenizer::whole;
use super::{CpuExperts, Model, ModelParams, Special, SplitMode, Token, Vocab};

/// The vocabulary of a file whose tensors are not read.
#[derive(Debug)]
pub struct TrialVocab(Vocab);

impl TrialVocab {
    /// Errors: `Load`.
    pub fn open(path: &Path) -> Result<TrialVocab> {
        let params = ModelParams {
            n_gpu_layers: Some(0),
            main_gpu: 0,
            tensor_split: Vec::new(),
            split_mode: SplitMode::Layer,
            cpu_experts: CpuExperts::First(0),
            use_mmap: true,
            use_mlock: false,
            check_tensors: false,
            adapters: Vec::new(),
        };
        let model = Model::outline(path, &params)?;
        Ok(TrialVocab(Arc::new(model).vocab()))
    }

    /// The tokens of `text`; where it `parses`, special tokens that it spells are among them.
    pub fn tokens(&self, text: &str, parses: bool) -> Result<Vec<i32>> {
        let tokens = self.0.tokenize(text, special(parses))?;
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    /// llama.cpp's own tokens. It recurses over the text: for short ones only.
    pub fn llama_tokens(&self, text: &str, parses: bool) -> Result<Vec<i32>> {
        let tokens = whole(&self.0, text.as_bytes(), special(parses))?;
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    /// The bytes of `tokens`, with the text of control tokens.
    pub fn bytes(&self, tokens: &[i32]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for token in tokens {
            self.0.piece_special(Token(*token), &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Whether one of `tokens` is a control token.
    pub fn has_control(&self, tokens: &[i32]) -> bool {
        tokens.iter().any(|token| self.0.is_control(Token(*token)))
    }
}

fn special(parses: bool) -> Special {
    match parses {
        true => Special::Parse,
        false => Special::Plain,
    }
}
