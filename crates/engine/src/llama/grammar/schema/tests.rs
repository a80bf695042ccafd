//! Schemas to random texts of their grammars, judged by a validator.

mod bombs;
mod hostile;
mod libraries;
mod numbers;
mod refused;
mod values;
mod walk;
