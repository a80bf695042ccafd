//! The vocabulary of a model: text to tokens and back, as bytes.
//!
//! Every token id that reaches llama.cpp is checked here. Never adds a token that the text does not hold: who places
//! BOS and EOS is decided above. Knows no template.

use std::ffi::CStr;
use std::sync::{Arc, OnceLock};

use llama_cpp_sys_2 as sys;
use parking_lot::Mutex;

use crate::error::{Error, Result};

use super::tokenizer::Tokenizer;
use super::{Model, Token, grammar};

/// What the text of special tokens inside a text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// It becomes the token: for template text only.
    Parse,
    /// It stays text, whatever it spells: for everything that a user wrote.
    Plain,
}

/// The family of a tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VocabKind {
    /// SentencePiece with byte fallback.
    Spm,
    /// Byte-pair encoding over bytes.
    Bpe,
    /// WordPiece.
    Wpm,
    /// Unigram.
    Ugm,
    /// Greedy, as in RWKV.
    Rwkv,
    /// As in PLaMo-2.
    Plamo,
    /// None, or one that the engine does not read.
    Other,
}

/// The vocabulary of a model; cheap to clone, keeps the model alive. Any thread.
#[derive(Debug, Clone)]
pub(crate) struct Vocab {
    model: Arc<Model>,
}

/// What was found out about a vocabulary at some cost.
#[derive(Debug, Default)]
pub(super) struct Walked {
    ends: OnceLock<Vec<Token>>,
    silent: OnceLock<Vec<Token>>,
    /// The last grammar that was compiled, which takes milliseconds: turn after turn has the same one.
    grammar: Mutex<Option<(Box<str>, Arc<grammar::Code>)>>,
    /// What grammars have to know of the tokens.
    words: OnceLock<grammar::Words>,
    /// What it tokenises with.
    tokenizer: OnceLock<Tokenizer>,
}

impl Vocab {
    pub(super) fn of(model: Arc<Model>) -> Vocab {
        Vocab { model }
    }

    pub(super) fn as_ptr(&self) -> *const sys::llama_vocab {
        self.model.vocab_ptr()
    }

    /// How many tokens there are; ids run from 0.
    pub(crate) fn n_tokens(&self) -> usize {
        // SAFETY: the vocabulary lives as long as the model that `self` holds.
        let count = unsafe { sys::llama_vocab_n_tokens(self.as_ptr()) };
        usize::try_from(count).unwrap_or(0)
    }

    /// Whether `token` is one of this vocabulary.
    pub(crate) fn is_valid(&self, token: Token) -> bool {
        usize::try_from(token.0).is_ok_and(|id| id < self.n_tokens())
    }

    /// The tokens of `text`; never BOS or EOS unless `special` is `Parse` and the text spells them.
    ///
    /// They are those of `llama_tokenize`, but any length of text takes constant depth. Safe on any stack.
    ///
    /// Errors: `TooLarge` above 1 GiB of text between special tokens; `Engine` where the vocabulary cannot express the
    /// text.
    pub(crate) fn tokenize(&self, text: &str, special: Special) -> Result<Vec<Token>> {
        let known = &self.model.walked.tokenizer;
        if known.get().is_none() {
            let tokenizer = Tokenizer::of(self, &self.model)?;
            // Somebody else may have been faster: theirs is the same.
            let _ = known.set(tokenizer);
        }
        match known.get() {
            Some(tokenizer) => tokenizer.tokenize(self, text, special),
            None => Err(Error::Internal("a tokenizer that was just made".to_owned())),
        }
    }

    /// Appends the bytes of `token` to `out`; a control token has none. Not always whole characters.
    ///
    /// Errors: `InvalidArgument` for an id outside the vocabulary.
    pub(crate) fn piece(&self, token: Token, out: &mut Vec<u8>) -> Result<()> {
        self.render(token, false, out)
    }

    /// As `piece`, with the text of control tokens shown.
    pub(crate) fn piece_special(&self, token: Token, out: &mut Vec<u8>) -> Result<()> {
        self.render(token, true, out)
    }

    fn render(&self, token: Token, special: bool, out: &mut Vec<u8>) -> Result<()> {
        self.check(token)?;
        let start = out.len();
        let mut room = 32;
        loop {
            out.resize(start + room as usize, 0);
            let target = out[start..].as_mut_ptr().cast();
            // SAFETY: the id is valid and `target` has `room` bytes.
            let length = unsafe {
                sys::llama_token_to_piece(self.as_ptr(), token.0, target, room, 0, special)
            };
            if let Ok(length) = usize::try_from(length) {
                out.truncate(start + length);
                return Ok(());
            }
            room = length.saturating_neg();
        }
    }

    /// The text of `token` as the vocabulary stores it; empty for an id outside it.
    pub(crate) fn token_text(&self, token: Token) -> String {
        String::from_utf8_lossy(self.token_bytes(token)).into_owned()
    }

    /// The same, which need not be UTF-8.
    pub(super) fn token_bytes(&self, token: Token) -> &[u8] {
        if !self.is_valid(token) {
            return &[];
        }
        // SAFETY: the id is valid; the string belongs to the vocabulary, which `self` keeps.
        unsafe { CStr::from_ptr(sys::llama_vocab_get_text(self.as_ptr(), token.0)) }.to_bytes()
    }

    /// The bits of what the file says about `token` (`LLAMA_TOKEN_ATTR_*`); none for an id outside the vocabulary.
    pub(super) fn attributes(&self, token: Token) -> sys::llama_token_attr {
        if !self.is_valid(token) {
            return sys::LLAMA_TOKEN_ATTR_UNDEFINED;
        }
        // SAFETY: the id is valid.
        unsafe { sys::llama_vocab_get_attr(self.as_ptr(), token.0) }
    }

    /// Whether generation ends at `token`.
    pub(crate) fn is_eog(&self, token: Token) -> bool {
        // SAFETY: the id is checked first.
        self.is_valid(token) && unsafe { sys::llama_vocab_is_eog(self.as_ptr(), token.0) }
    }

    /// Whether `token` is a control token, such as BOS or a template marker.
    pub(crate) fn is_control(&self, token: Token) -> bool {
        // SAFETY: the id is checked first.
        self.is_valid(token) && unsafe { sys::llama_vocab_is_control(self.as_ptr(), token.0) }
    }

    /// All tokens at which generation ends, in rising order.
    pub(crate) fn eog_tokens(&self) -> &[Token] {
        let ends = &self.model.walked.ends;
        ends.get_or_init(|| self.all().filter(|token| self.is_eog(*token)).collect())
    }

    /// All tokens that leave no text and do not end generation, in rising order: markers of templates, unused places.
    pub(crate) fn silent_tokens(&self) -> &[Token] {
        self.model.walked.silent.get_or_init(|| {
            let mut piece = Vec::new();
            let is_silent = |token: &Token| {
                piece.clear();
                // Every token of the walk is valid.
                let _ = self.piece(*token, &mut piece);
                piece.is_empty() && !self.is_eog(*token)
            };
            self.all().filter(is_silent).collect()
        })
    }

    /// What grammars have to know of the tokens.
    pub(super) fn words(&self) -> &grammar::Words {
        self.model.walked.words.get_or_init(|| {
            let spell = |token: usize, out: &mut Vec<u8>| {
                // Every token of the walk is valid.
                let _ = self.piece_special(Token(token as i32), out);
            };
            let ids = |tokens: &[Token]| tokens.iter().map(|token| token.0).collect();
            grammar::Words {
                pieces: Arc::new(grammar::Pieces::new(self.n_tokens(), spell)),
                ends: ids(self.eog_tokens()),
                silent: ids(self.silent_tokens()),
            }
        })
    }

    /// The code of `grammar`, if it is the last one that was noted.
    pub(super) fn compiled(&self, grammar: &str) -> Option<Arc<grammar::Code>> {
        let last = self.model.walked.grammar.lock();
        let last = last.as_ref().filter(|(text, _)| **text == *grammar);
        last.map(|(_, code)| Arc::clone(code))
    }

    /// Notes the code of a grammar for this vocabulary.
    pub(super) fn note_compiled(&self, grammar: &str, code: &Arc<grammar::Code>) {
        *self.model.walked.grammar.lock() = Some((grammar.into(), Arc::clone(code)));
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Token> {
        (0..i32::try_from(self.n_tokens()).unwrap_or(0)).map(Token)
    }

    /// The token that begins a sequence, if the model has one.
    pub(crate) fn bos(&self) -> Option<Token> {
        // SAFETY: the vocabulary lives as long as the model that `self` holds.
        self.some(unsafe { sys::llama_vocab_bos(self.as_ptr()) })
    }

    /// The token that ends a sequence, if the model has one. Generation ends at any `is_eog`.
    pub(crate) fn eos(&self) -> Option<Token> {
        // SAFETY: as above.
        self.some(unsafe { sys::llama_vocab_eos(self.as_ptr()) })
    }

    /// Whether a prompt of this model begins with BOS.
    pub(crate) fn add_bos(&self) -> bool {
        // SAFETY: as above.
        unsafe { sys::llama_vocab_get_add_bos(self.as_ptr()) }
    }

    /// `tokens` between what a whole text of this model begins and ends with, as far as it does not already.
    pub(crate) fn enclose(&self, tokens: Vec<Token>) -> Vec<Token> {
        let is_word_piece = self.kind() == VocabKind::Wpm;
        // SAFETY: as above.
        let (add_eos, sep) = unsafe {
            let vocab = self.as_ptr();
            (
                sys::llama_vocab_get_add_eos(vocab),
                sys::llama_vocab_sep(vocab),
            )
        };
        let first = self.bos().filter(|_| self.add_bos() || is_word_piece);
        let last = match is_word_piece {
            true => self.some(sep),
            false => self.eos().filter(|_| add_eos),
        };
        let first = first.filter(|first| tokens.first() != Some(first));
        let last = last.filter(|last| tokens.last() != Some(last));
        first.into_iter().chain(tokens).chain(last).collect()
    }

    /// The tokenizer's family.
    pub(crate) fn kind(&self) -> VocabKind {
        self.model.vocab_kind()
    }

    fn some(&self, id: sys::llama_token) -> Option<Token> {
        Some(Token(id)).filter(|token| self.is_valid(*token))
    }

    pub(super) fn check(&self, token: Token) -> Result<()> {
        if self.is_valid(token) {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "token {} is outside the vocabulary of {}",
            token.0,
            self.n_tokens()
        )))
    }
}
