//! The locks and atomics of protocols between threads whose interleavings are tested: there these names stand for a
//! scheduler's own (`tests/interleavings.rs`).

pub use std::sync::atomic;
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
