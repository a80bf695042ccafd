//! Text to tokens, in bounded depth for every vocabulary and every text.
//!
//! The tokens are those of `llama_tokenize`. That function recurses over long text wherever it splits words with
//! `std::regex`, and takes time that grows with the square of the number of special tokens in a text. So special tokens
//! are found here first, the text between them is split here, and llama.cpp's tables say how a word is merged. Other
//! families than byte-pair vocabularies split nothing: llama.cpp gets each stretch of ordinary text.

use std::borrow::Cow;

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};

use super::partition::{Fragment, Partition, Spelled};
use super::pretokenizer::{Characters, Pretokenizer};
use super::{Model, Special, Token, Vocab, VocabKind, exit, ffi};

/// The longest text of a byte-pair vocabulary: whatever is added to it, places in it are numbers of 32 bits.
const TEXT_LIMIT_BYTES: usize = 1 << 30;

/// Words are merged in batches of about so much text, so that room for their tokens stays small.
const BATCH_BYTES: usize = 64 << 10;

/// What stands around a sequence in texts for a tokenizer of the `hybriddna` kind.
const DNA_TAGS: [&str; 2] = ["<dna>", "</dna>"];

/// What has to be known of a vocabulary before it tokenises.
#[derive(Debug)]
pub(super) struct Tokenizer {
    partition: Partition,
    /// None where llama.cpp reads ordinary text itself.
    words: Option<Words>,
}

/// How a byte-pair vocabulary makes words of ordinary text.
#[derive(Debug)]
struct Words {
    pretokenizer: Pretokenizer,
    rules: ffi::RawSplitRules,
    variant: Variant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Plain,
    /// Between tags stand sequences that are no words.
    Dna,
    /// White space ends a word and is dropped.
    Blankless,
}

impl Tokenizer {
    pub(super) fn of(vocab: &Vocab, model: &Model) -> Result<Tokenizer> {
        let partition = Partition::new(spelled(vocab)?)
            .map_err(|reason| Error::Engine(format!("tokenize: special tokens: {reason}")))?;
        let words = match vocab.kind() {
            VocabKind::Bpe => Some(Words::of(vocab, model)?),
            VocabKind::Rwkv => {
                ends_everywhere(vocab)?;
                None
            }
            _ => None,
        };
        Ok(Tokenizer { partition, words })
    }

    /// The tokens of `text`. Errors: as `Vocab::tokenize`.
    pub(super) fn tokenize(
        &self,
        vocab: &Vocab,
        text: &str,
        special: Special,
    ) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        let text = text.as_bytes();
        for fragment in self.partition.of(text, special == Special::Parse) {
            match (fragment, &self.words) {
                (Fragment::Special(token), _) => tokens.push(token),
                (Fragment::Ordinary(range), None) => {
                    tokens.append(&mut whole(vocab, &text[range], special)?);
                }
                (Fragment::Ordinary(range), Some(words)) => {
                    words.tokenize(vocab, &text[range], special, &mut tokens)?;
                }
            }
        }
        Ok(tokens)
    }
}

impl Words {
    fn of(vocab: &Vocab, model: &Model) -> Result<Words> {
        let rules = ffi::split_rules(vocab).map_err(|fault| fault.during("tokenize"))?;
        let pretokenizer = Pretokenizer::new(rules.pre).ok_or_else(|| {
            Error::Engine(format!("tokenize: pre-tokenizer {} is unknown", rules.pre))
        })?;
        let has = |text: &str| vocab.all().any(|token| vocab.token_text(token) == text);
        let variant = match model.meta("tokenizer.ggml.model").as_deref() {
            Some("hybriddna") if DNA_TAGS.into_iter().chain(["<oov>"]).all(has) => Variant::Dna,
            Some("whitespace") => Variant::Blankless,
            _ => Variant::Plain,
        };
        Ok(Words {
            pretokenizer,
            rules,
            variant,
        })
    }

    fn tokenize(
        &self,
        vocab: &Vocab,
        text: &[u8],
        special: Special,
        tokens: &mut Vec<Token>,
    ) -> Result<()> {
        let mut text = decode(text);
        if self.rules.escapes_whitespace {
            text = Cow::Owned(text.replace(' ', "\u{2581}"));
        }
        if text.len() > TEXT_LIMIT_BYTES {
            return Err(Error::TooLarge {
                what: "text",
                limit: TEXT_LIMIT_BYTES,
            });
        }
        match self.variant {
            Variant::Plain => self.merge(vocab, text.into_owned(), tokens),
            Variant::Dna => self.between_tags(vocab, &text, special, tokens),
            Variant::Blankless => {
                let characters = Characters::get()?;
                let lowers = self.rules.lowers;
                let segments = text.split(|c| characters.is_blank(c));
                for segment in segments.filter(|segment| !segment.is_empty()) {
                    let lowered = |c| if lowers { characters.lower(c) } else { c };
                    self.merge(vocab, segment.chars().map(lowered).collect(), tokens)?;
                }
                Ok(())
            }
        }
    }

    fn between_tags(
        &self,
        vocab: &Vocab,
        text: &str,
        special: Special,
        tokens: &mut Vec<Token>,
    ) -> Result<()> {
        let [open, close] = DNA_TAGS;
        let mut rest = text;
        while let Some(start) = rest.find(open) {
            self.merge(vocab, rest[..start].to_owned(), tokens)?;
            let inside = &rest[start..];
            let end = inside
                .find(close)
                .map_or(inside.len(), |at| at + close.len());
            // Sequences are cut into equal lengths, without an expression.
            tokens.append(&mut whole(vocab, &inside.as_bytes()[..end], special)?);
            rest = &inside[end..];
        }
        self.merge(vocab, rest.to_owned(), tokens)
    }

    /// Splits a text without special tokens into words, and appends the tokens of each.
    fn merge(&self, vocab: &Vocab, text: String, tokens: &mut Vec<Token>) -> Result<()> {
        let (text, ends) = self.pretokenizer.split(text)?;
        let traits = self.pretokenizer.traits();
        let rules = ffi::RawWordRules {
            encodes_bytes: !traits.is_raw,
            ignores_merges: self.rules.ignores_merges,
            keeps_newlines: traits.keeps_newlines,
        };
        let (mut from, mut first) = (0, 0);
        for (i, end) in ends.iter().enumerate() {
            let to = *end as usize;
            if to - from < BATCH_BYTES && i + 1 < ends.len() {
                continue;
            }
            let local: Vec<u32> = ends[first..=i].iter().map(|e| e - from as u32).collect();
            let ids = {
                let _reading = exit::Reading::begin().ok_or_else(ending)?;
                ffi::merge_words(vocab, &text[from..to], &local, &rules)
                    .map_err(|fault| fault.during("tokenize"))?
            };
            tokens.extend(ids.into_iter().map(Token));
            (from, first) = (to, i + 1);
        }
        Ok(())
    }
}

/// The tokens that `llama_tokenize` makes of `text`, which it splits itself.
///
/// Errors: `TooLarge` above 2 GiB; `Engine` where the vocabulary cannot express the text.
pub(super) fn whole(vocab: &Vocab, text: &[u8], special: Special) -> Result<Vec<Token>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let too_large = || Error::TooLarge {
        what: "text",
        limit: i32::MAX as usize,
    };
    let len = i32::try_from(text.len()).map_err(|_| too_large())?;
    let _reading = exit::Reading::begin().ok_or_else(ending)?;
    // One token per byte and a leading blank is what most texts stay below; the exact count comes back otherwise.
    let mut room = text.len() + 2;
    loop {
        let mut ids: Vec<sys::llama_token> = vec![0; room];
        let capacity = i32::try_from(room).map_err(|_| too_large())?;
        let mut count = 0;
        ffi::guarded(|err, cap| {
            // SAFETY: the text has `len` bytes and `ids` has room for `capacity` tokens; both outlive the call.
            unsafe {
                ffi::engine_tokenize(
                    vocab.as_ptr(),
                    text.as_ptr().cast(),
                    len,
                    ids.as_mut_ptr(),
                    capacity,
                    special == Special::Parse,
                    &mut count,
                    err,
                    cap,
                )
            }
        })
        .map_err(|fault| fault.during("tokenize"))?;
        if let Ok(count) = usize::try_from(count) {
            ids.truncate(count);
            let tokens: Vec<Token> = ids.into_iter().map(Token).collect();
            if !tokens.iter().all(|token| vocab.is_valid(*token)) {
                let reason = "tokenize: the vocabulary has no token for a part of the text";
                return Err(Error::Engine(reason.to_owned()));
            }
            return Ok(tokens);
        }
        if count == i32::MIN {
            return Err(too_large());
        }
        room = count.unsigned_abs() as usize;
    }
}

/// The tokens that a text may spell, in llama.cpp's order.
fn spelled(vocab: &Vocab) -> Result<Vec<Spelled>> {
    let mut found = Vec::new();
    for token in vocab.all() {
        let attributes = vocab.attributes(token);
        let has = |attribute| attributes & attribute != 0;
        let is_always = has(sys::LLAMA_TOKEN_ATTR_USER_DEFINED);
        let is_parsed = has(sys::LLAMA_TOKEN_ATTR_CONTROL | sys::LLAMA_TOKEN_ATTR_UNKNOWN);
        if is_always || is_parsed {
            found.push(Spelled {
                token,
                text: vocab.token_bytes(token).to_vec(),
                is_always: is_always && !is_parsed,
                strips_before: has(sys::LLAMA_TOKEN_ATTR_LSTRIP),
                strips_after: has(sys::LLAMA_TOKEN_ATTR_RSTRIP),
            });
        }
    }
    let ids = found.iter().map(|one| one.token.0).collect();
    let lengths: Vec<usize> = found.iter().map(|one| one.text.len()).collect();
    let sorted = ffi::sort_by_length(ids, &lengths).map_err(|fault| fault.during("tokenize"))?;
    // `found` is in rising order of ids.
    let place = |id: i32| found.binary_search_by_key(&id, |one| one.token.0);
    let in_order = sorted.into_iter().filter_map(|id| place(id).ok());
    Ok(in_order.map(|at| found[at].clone()).collect())
}

/// Whether a greedy vocabulary has a token for what every token begins with. Without one llama.cpp begins the text again
/// at that place, for ever. Errors: `Engine`.
fn ends_everywhere(vocab: &Vocab) -> Result<()> {
    let mut begins = [false; 256];
    let mut has = [false; 256];
    let mut piece = Vec::new();
    for token in vocab.all() {
        piece.clear();
        vocab.piece_special(token, &mut piece)?;
        if let Some(first) = piece.first() {
            begins[usize::from(*first)] = true;
            has[usize::from(*first)] |= piece.len() == 1;
        }
    }
    match (0..256).find(|byte| begins[*byte] && !has[*byte]) {
        None => Ok(()),
        Some(byte) => Err(Error::Engine(format!(
            "tokenize: the vocabulary has tokens that begin with the byte 0x{byte:02X}, and none for it"
        ))),
    }
}

/// A stretch of a text as characters. A special token may end inside a character: each byte of its rest is a character
/// that says so.
fn decode(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Cow::Owned(text)
}

fn ending() -> Error {
    Error::Internal("the process is ending".to_owned())
}
