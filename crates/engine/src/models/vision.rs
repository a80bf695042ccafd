//! Images as one model version reads them: its projector, and what it made of the images that it was shown last.
//!
//! In a prompt an image is a run of tokens that no vocabulary has, one for each embedding. They follow from the image's
//! bytes and a secret of the version, so equal images have equal cells, and nobody can make an image whose tokens begin
//! as those of another one do.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::llama::{Model, Part, Projector, Rows, Token};

/// Bytes of embeddings that are kept for the next turn on the same images.
const KEPT_BYTES: usize = 64 << 20;

/// The projector of a model version.
pub struct Vision {
    projector: Projector,
    key: [u8; 32],
    graphs: Graphs,
    seen: Mutex<Seen>,
}

/// Positions that fit into one graph.
#[derive(Debug, Clone, Copy)]
pub struct Graphs {
    /// Of the steps that turns share.
    pub shared: usize,
    /// Of those that a deterministic turn has to itself.
    pub single: usize,
}

/// A part of what stands in a prompt for an image.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Tokens of the vocabulary.
    Text(Vec<Token>),
    /// Tokens that stand for embeddings, one for each.
    Image(Vec<Token>, Rows),
}

/// What stands in a prompt for an image.
pub type Seeing = Arc<[Piece]>;

/// What images became, the last one at the end.
#[derive(Default)]
struct Seen {
    images: VecDeque<(blake3::Hash, Seeing)>,
    bytes: usize,
}

impl Vision {
    /// Opens the projector at `path` for `model`. Errors: `Load` with the reason.
    pub fn open(path: &Path, model: &Arc<Model>, threads: u32, graphs: Graphs) -> Result<Vision> {
        Ok(Vision {
            projector: Projector::open(path, model, threads)?,
            key: secret(),
            graphs,
            seen: Mutex::default(),
        })
    }

    /// What stands in a prompt for the image in `bytes`. Computes where it was not seen lately, for as long as that
    /// takes.
    ///
    /// Errors: `InvalidArgument` for bytes that are no PNG, JPEG or BMP; `TooLarge`; `Engine`.
    pub fn look(&self, bytes: &[u8]) -> Result<Seeing> {
        let name = blake3::keyed_hash(&self.key, bytes);
        if let Some(known) = self.seen.lock().find(&name) {
            return Ok(known);
        }
        let mut numbers = self.numbers(&name);
        let parts = self.projector.encode(bytes)?.into_iter();
        let seeing: Seeing = parts
            .map(|part| match part {
                Part::Text(tokens) => Piece::Text(tokens),
                Part::Image(rows) => {
                    Piece::Image(numbers.by_ref().take(rows.len()).collect(), rows)
                }
            })
            .collect();
        self.seen.lock().keep(name, seeing.clone());
        Ok(seeing)
    }

    /// Errors: `InvalidArgument` where a part of `seeing` must be evaluated at once and does not fit into a graph.
    pub fn check(&self, seeing: &Seeing, is_deterministic: bool) -> Result<()> {
        let (graph, kind, key) = match is_deterministic {
            true => (
                self.graphs.single,
                "deterministic ",
                "without deterministic",
            ),
            false => (self.graphs.shared, "", "with a larger model.ubatch_size"),
        };
        let longest = seeing.iter().filter_map(|piece| match piece {
            Piece::Image(_, rows) if rows.looks_ahead() => Some(rows.len()),
            _ => None,
        });
        match longest.max() {
            Some(count) if count > graph => Err(Error::InvalidArgument(format!(
                "the image has {count} positions that are evaluated at once, a {kind}turn takes {graph}: try {key}"
            ))),
            _ => Ok(()),
        }
    }

    /// Tokens for the embeddings of the image of that name, in order.
    fn numbers(&self, name: &blake3::Hash) -> impl Iterator<Item = Token> + use<> {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(name.as_bytes());
        let mut stream = hasher.finalize_xof();
        std::iter::from_fn(move || {
            let mut number = [0; 4];
            stream.fill(&mut number);
            Some(Token(i32::from_le_bytes(number) | i32::MIN))
        })
    }
}

impl Seen {
    fn find(&mut self, name: &blake3::Hash) -> Option<Seeing> {
        let at = self.images.iter().position(|(known, _)| known == name)?;
        let image = self.images.remove(at)?;
        let seeing = image.1.clone();
        self.images.push_back(image);
        Some(seeing)
    }

    fn keep(&mut self, name: blake3::Hash, seeing: Seeing) {
        if self.find(&name).is_some() {
            // Another turn on it was faster.
            return;
        }
        self.bytes += bytes(&seeing);
        self.images.push_back((name, seeing));
        while self.bytes > KEPT_BYTES
            && let Some((_, oldest)) = self.images.pop_front()
        {
            self.bytes -= bytes(&oldest);
        }
    }
}

fn bytes(seeing: &Seeing) -> usize {
    let of = |piece: &Piece| match piece {
        Piece::Text(_) => 0,
        Piece::Image(_, rows) => rows.bytes(),
    };
    seeing.iter().map(of).sum()
}

/// 32 bytes that nobody can guess: the standard library's hashers are keyed by the system's random numbers.
fn secret() -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for _ in 0..8 {
        let number = RandomState::new().build_hasher().finish();
        hasher.update(&number.to_le_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeing(numbers: usize) -> Seeing {
        let rows = Rows::of(&vec![0.0; numbers], 1, false);
        Arc::new([Piece::Image(Vec::new(), rows)])
    }

    #[test]
    fn what_was_seen_longest_ago_goes_first() {
        let mut seen = Seen::default();
        let name = |n: u8| blake3::hash(&[n]);
        // Each takes a third of what is kept and a little more.
        let third = KEPT_BYTES / 4 / 3 + 1;
        seen.keep(name(0), seeing(third));
        seen.keep(name(1), seeing(third));
        assert!(seen.find(&name(0)).is_some());
        seen.keep(name(2), seeing(third));
        assert!(seen.find(&name(1)).is_none());
        assert!(seen.find(&name(0)).is_some() && seen.find(&name(2)).is_some());
        assert_eq!(seen.bytes, 2 * 4 * third);
        seen.keep(name(2), seeing(third));
        assert_eq!(seen.bytes, 2 * 4 * third, "one that is known counts once");
        seen.keep(name(3), seeing(KEPT_BYTES));
        assert_eq!(
            (seen.images.len(), seen.bytes),
            (0, 0),
            "too large for all of it"
        );
    }
}
