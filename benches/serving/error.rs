//! What may go wrong while measuring. Knows neither the library nor the peers, only how their failures are told.

use thiserror::Error;

/// Why a measurement could not be taken.
#[derive(Debug, Clone, Error)]
pub enum Error {
    /// A function of the library under test refused.
    #[error("{call} answered {code}: {text}")]
    Library {
        /// The function.
        call: &'static str,
        /// What it returned.
        code: u32,
        /// The library's last error.
        text: String,
    },
    /// A program beside which the library is measured.
    #[error("{0}")]
    Peer(String),
    /// Arguments, files, threads.
    #[error("{0}")]
    Setup(String),
}

/// A measurement or the reason why there is none.
pub type Result<T> = std::result::Result<T, Error>;
