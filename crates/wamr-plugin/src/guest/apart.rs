//! Work on a thread with our own stack, for what a guest's thread of 128 KiB is too small for.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::failure::Failure;

/// Bytes of stack.
const STACK: usize = 8 << 20;

/// Runs `work` on such a thread and waits for it. A panic goes on in the caller. Errors: `Runtime` where the system has
/// no thread for us.
pub fn run<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    let outcome = std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("wasi-nn-guest".into())
            .stack_size(STACK)
            .spawn_scoped(scope, || catch_unwind(AssertUnwindSafe(work)))
            .map(|thread| thread.join().and_then(|outcome| outcome))
    });
    match outcome {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => Err(Failure::Runtime(format!("no thread: {error}"))),
    }
}
