//! Loaded models: bringing one up, and replacing it while its turns run.
//!
//! Does not know conversations or jobs: what serves a model is a type parameter here.

mod identity;
mod load;
mod registry;

pub use load::{Brought, Source, bring_up};
pub use registry::Registry;
