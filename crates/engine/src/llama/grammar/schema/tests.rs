//! Schemas to random texts of their grammars, judged by a validator.

mod bombs;
mod refused;
mod values;
mod walk;
