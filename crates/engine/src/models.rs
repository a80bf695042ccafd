//! Loaded models: bringing one up, what it is beside others, and replacing it while its turns run.
//!
//! Does not know conversations or jobs: what serves a model is a type parameter here.

mod compat;
mod identity;
mod label;
mod load;
mod profile;
mod registry;
mod room;
mod shape;
mod source;
mod survey;
mod vision;
mod weights;

pub use compat::{Report, Verdict, compare};
pub use load::{Brought, bring_up};
pub use profile::Profile;
pub use registry::{Claim, Found, Listed, Name, Registry, Unserved};
pub use room::{Budget, Bytes, Newcomer, Tenant, Way, way};
pub use shape::{Beside, anchor};
pub use source::Source;
pub use survey::survey;
pub use vision::{Piece, Seeing, Vision};
