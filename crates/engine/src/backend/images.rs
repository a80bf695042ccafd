//! Images in a raw prompt: from text with marks and encoded images to tokens and embeddings.

use std::sync::Arc;

use super::Backend;
use super::serving::Serving;
use super::workers::{STACK, panicked};
use crate::chat::ledger;
use crate::error::{Error, Result};
use crate::llama::{IMAGE_MARK, Special, Token};
use crate::logging;
use crate::models::{Piece, Seeing};
use crate::scheduler::Media;

/// Most images of one prompt.
const MOST_IMAGES: usize = 64;

/// A prompt as the engine takes it.
pub struct Tokens {
    /// The whole of it.
    pub tokens: Vec<Token>,
    /// Which of them stand for embeddings.
    pub media: Media,
}

impl Backend {
    /// What `serving` makes of `images`. Computes on a thread of its own: no worker is kept from other turns, and a
    /// host's stack may be small.
    ///
    /// Errors: `InvalidArgument` for images where the model has no projector, for more than 64, and for bytes that are
    /// no image; `TooLarge`; `Engine`.
    pub(super) fn read_images(
        &self,
        serving: &Serving,
        images: &[Arc<[u8]>],
    ) -> Result<Vec<Seeing>> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let Some(vision) = &serving.vision else {
            let text = "the prompt has images, and the model was loaded without model.mmproj";
            return Err(Error::InvalidArgument(text.into()));
        };
        if images.len() > MOST_IMAGES {
            return Err(Error::InvalidArgument(format!(
                "the prompt has {} images, may have {MOST_IMAGES}",
                images.len()
            )));
        }
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("wasi-nn-images".into())
                .stack_size(STACK)
                .spawn_scoped(scope, || {
                    let _entered = logging::enter(&self.journal);
                    images.iter().map(|image| vision.look(image)).collect()
                })
                .map_err(|e| Error::Engine(format!("no thread to look at images: {e}")))?
                .join()
                .unwrap_or_else(|panic| Err(panicked(&*panic)))
        })
    }
}

/// The tokens of a raw prompt in which each mark stands for the next of `images`. Without images a mark is text like
/// any other.
///
/// Errors: `InvalidArgument` where there are more or fewer marks than images, and for an image that a turn cannot
/// evaluate; those of the tokenizer.
pub fn tokens(
    serving: &Serving,
    text: &str,
    images: &[Seeing],
    is_deterministic: bool,
) -> Result<Tokens> {
    let vocab = &serving.vocab;
    let mut media = Media::default();
    if images.is_empty() {
        let tokens = ledger::raw(vocab, text)?;
        return Ok(Tokens { tokens, media });
    }
    let mut parts = text.split(IMAGE_MARK);
    let marks = parts.clone().count() - 1;
    if marks != images.len() {
        return Err(Error::InvalidArgument(format!(
            "the prompt has {marks} times {IMAGE_MARK} for {} images, must have it once for each",
            images.len()
        )));
    }
    let mut tokens = ledger::raw(vocab, parts.next().unwrap_or_default())?;
    for (image, text) in images.iter().zip(parts) {
        if let Some(vision) = &serving.vision {
            vision.check(image, is_deterministic)?;
        }
        for piece in image.iter() {
            match piece {
                Piece::Text(words) => tokens.extend_from_slice(words),
                Piece::Image(stand_ins, rows) => {
                    media.push(tokens.len(), rows.clone());
                    tokens.extend_from_slice(stand_ins);
                }
            }
        }
        // Each text is tokenised by itself, as libmtmd does it: what models were trained with.
        tokens.extend(vocab.tokenize(text, Special::Parse)?);
    }
    Ok(Tokens { tokens, media })
}
