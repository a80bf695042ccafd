//! Keys about embeddings: whether a model gives them, and how the tokens of a text become one.

use crate::config::key::Key;
use crate::config::value::{Word, put, words};

/// How the values of a text's tokens become those of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// As the model says; its last token's where it says nothing.
    Model,
    /// Not: the last token's.
    None,
    /// The mean of all.
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
    /// A score for the text, by the model's own head for it.
    Rank,
}

impl Word for Pooling {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("model", Pooling::Model),
        ("none", Pooling::None),
        ("mean", Pooling::Mean),
        ("cls", Pooling::Cls),
        ("last", Pooling::Last),
        ("rank", Pooling::Rank),
    ];
}

/// What a token of a text sees while it is embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attention {
    /// As the model says.
    Model,
    /// The tokens before it.
    Causal,
    /// All tokens.
    NonCausal,
}

impl Word for Attention {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("model", Attention::Model),
        ("causal", Attention::Causal),
        ("non_causal", Attention::NonCausal),
    ];
}

pub(super) static KEYS: &[Key] = &[
    Key::bool(
        "embedding",
        |config| config.model.embedding,
        |config, on| config.model.embedding = on,
    )
    .about(
        "The model embeds texts of at most batch_size tokens, in memory of its own for that; one \
         that is no encoder generates, too.",
    ),
    Key::word(
        "pooling",
        words::<Pooling>,
        |config| config.model.pooling.word(),
        |config, word| put(&mut config.model.pooling, word),
    )
    .about(
        "How the values of a text's tokens become one embedding: as the model says, the last \
         token's (none, last, and where the model says nothing), the mean, the first token's \
         (cls), or a score by the model's head for it (rank).",
    ),
    Key::word(
        "attention",
        words::<Attention>,
        |config| config.model.attention.word(),
        |config, word| put(&mut config.model.attention, word),
    )
    .about(
        "What a token sees while a text is embedded: as the model says, the tokens before it, or \
         all of them.",
    ),
];
