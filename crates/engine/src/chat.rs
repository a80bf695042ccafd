//! Conversations: what was said, how it is rendered for a model, and which tokens that makes.
//!
//! The message list is the truth; rendered text, tokens and cells are caches of it. Ignorant of scheduling: it prepares
//! a prompt and commits an answer, and what happens between is none of its business.

mod blanks;
mod borders;
pub mod history;
pub mod ledger;
pub mod session;
pub mod template;
pub mod token_cache;
pub mod turnstile;

pub use history::{History, Message, Role};
pub use session::{Session, TurnResult};
pub use template::Template;
