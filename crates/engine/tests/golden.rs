//! Greedy text against llama.cpp itself, called directly and not through our engine.

#![expect(clippy::unwrap_used, reason = "the direct calls fail by panicking")]
#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "the reference is plain llama.cpp, as its examples call it"
)]

mod common;
#[path = "golden/real.rs"]
mod real;

use std::ffi::CString;
use std::path::Path;

use common::*;
use llama_cpp_sys_2 as sys;

/// Tokenises `prompt` with special tokens parsed, decodes it in one batch and samples greedily to the end of generation.
fn reference(model: &std::path::Path, prompt: &str, most: usize) -> String {
    let path = CString::new(model.to_str().unwrap()).unwrap();
    unsafe {
        sys::llama_backend_init();
        let model =
            sys::llama_model_load_from_file(path.as_ptr(), sys::llama_model_default_params());
        assert!(!model.is_null());
        let vocab = sys::llama_model_get_vocab(model);
        let mut params = sys::llama_context_default_params();
        params.n_ctx = 1024;
        params.n_batch = 1024;
        params.n_threads = 1;
        params.n_threads_batch = 1;
        let context = sys::llama_init_from_model(model, params);
        assert!(!context.is_null());
        let mut tokens = vec![0; prompt.len() + 8];
        let n = sys::llama_tokenize(
            vocab,
            prompt.as_ptr().cast(),
            prompt.len() as i32,
            tokens.as_mut_ptr(),
            tokens.len() as i32,
            true,
            true,
        );
        tokens.truncate(usize::try_from(n).unwrap());
        let sampler = sys::llama_sampler_init_greedy();
        let mut bytes = Vec::new();
        for _ in 0..most {
            let batch = sys::llama_batch_get_one(tokens.as_mut_ptr(), tokens.len() as i32);
            assert_eq!(sys::llama_decode(context, batch), 0);
            let token = sys::llama_sampler_sample(sampler, context, -1);
            if sys::llama_vocab_is_eog(vocab, token) {
                break;
            }
            let mut piece = [0u8; 256];
            let length =
                sys::llama_token_to_piece(vocab, token, piece.as_mut_ptr().cast(), 256, 0, false);
            bytes.extend_from_slice(&piece[..usize::try_from(length).unwrap()]);
            tokens = vec![token];
        }
        sys::llama_sampler_free(sampler);
        sys::llama_free(context);
        sys::llama_model_free(model);
        String::from_utf8(bytes).unwrap()
    }
}

/// llama.cpp called directly, with the cells of what it has seen.
pub struct Direct {
    /// Most tokens of an answer.
    most: usize,
    model: *mut sys::llama_model,
    context: *mut sys::llama_context,
    /// The tokens whose cells it has, in order.
    pub seen: Vec<sys::llama_token>,
}

impl Direct {
    /// The model of a file, which has seen nothing yet.
    pub fn new(path: &Path, most: usize) -> Direct {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        unsafe {
            sys::llama_backend_init();
            let model =
                sys::llama_model_load_from_file(path.as_ptr(), sys::llama_model_default_params());
            assert!(!model.is_null());
            let mut params = sys::llama_context_default_params();
            params.n_ctx = 2048;
            params.n_batch = 2048;
            params.n_threads = 1;
            params.n_threads_batch = 1;
            let context = sys::llama_init_from_model(model, params);
            assert!(!context.is_null());
            Direct {
                most,
                model,
                context,
                seen: Vec::new(),
            }
        }
    }

    fn tokens(&self, text: &str) -> Vec<sys::llama_token> {
        let mut tokens = vec![0; text.len() + 8];
        let n = unsafe {
            sys::llama_tokenize(
                sys::llama_model_get_vocab(self.model),
                text.as_ptr().cast(),
                text.len() as i32,
                tokens.as_mut_ptr(),
                tokens.len() as i32,
                false,
                true,
            )
        };
        tokens.truncate(usize::try_from(n).unwrap());
        tokens
    }

    /// The likeliest tokens behind what it has seen and `text`, up to an end of generation.
    pub fn answer(&mut self, text: &str) -> Vec<sys::llama_token> {
        let mut next = self.tokens(text);
        let mut answer = Vec::new();
        unsafe {
            let vocab = sys::llama_model_get_vocab(self.model);
            let sampler = sys::llama_sampler_init_greedy();
            loop {
                let batch = sys::llama_batch_get_one(next.as_mut_ptr(), next.len() as i32);
                assert_eq!(sys::llama_decode(self.context, batch), 0);
                self.seen.extend_from_slice(&next);
                let token = sys::llama_sampler_sample(sampler, self.context, -1);
                if sys::llama_vocab_is_eog(vocab, token) {
                    break;
                }
                answer.push(token);
                if answer.len() == self.most {
                    // Its cell is filled with what comes next.
                    let mut last = [token];
                    let batch = sys::llama_batch_get_one(last.as_mut_ptr(), 1);
                    assert_eq!(sys::llama_decode(self.context, batch), 0);
                    self.seen.push(token);
                    break;
                }
                next = vec![token];
            }
            sys::llama_sampler_free(sampler);
        }
        answer
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        unsafe {
            sys::llama_free(self.context);
            sys::llama_model_free(self.model);
        }
    }
}

#[test]
fn greedy_text_equals_that_of_llama_cpp_turn_by_turn() {
    let backend = backend(GREEDY);
    let c = open(&backend);
    let mut prompt = String::new();
    for text in [
        "Hello",
        "My name is Zorvath.",
        "Count to 9.",
        "Repeat after me: tok mar vel",
        "What is my name?",
        "Answer in JSON: what is my name?",
    ] {
        prompt += &format!("<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n");
        let expect = reference(&pocket("a"), &prompt, 64);
        let answer = say(&backend, c, text).unwrap();
        assert_eq!(*answer, *expect, "after {text:?}");
        prompt += &format!("{answer}<|im_end|>\n");
    }
}

#[test]
fn a_base_model_without_a_template_continues_like_llama_cpp() {
    // A larger model than the pockets, with a SentencePiece vocabulary, where it is at hand.
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/models/stories260K.gguf");
    if !path.exists() {
        return;
    }
    let config = GREEDY.replace(
        "\"threads\": 1",
        "\"threads\": 1, \"chat_template\": \"raw\"",
    );
    let backend = unloaded(&config);
    backend.load_file(&path, None, None).unwrap();
    let c = open(&backend);
    let text = "Once upon a time, there was a little girl";
    let answer = say(&backend, c, text).unwrap();
    assert_eq!(*answer, *reference(&path, text, 64));
}
