//! The border of every exported function, and the text that tells why one failed.
//!
//! Kept like `errno`: set by a failure, not cleared by success. Once for the calling thread, once for the backend.
//! Does not know what the functions do.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::Arc;

use crate::abi::{Failure, wasi_nn_error};
use crate::registry;

thread_local! {
    /// The thread's latest failure and the `ctx` it came from. The pointer is compared, never followed.
    static LATEST: RefCell<Option<(*mut c_void, Arc<str>)>> = const { RefCell::new(None) };
}

/// Runs the body of the exported `function`: panics and failures become codes, and their text is kept.
pub(crate) fn answer(
    function: &'static str,
    ctx: *mut c_void,
    body: impl FnOnce() -> Result<(), Failure>,
) -> wasi_nn_error {
    boundary::answer(body, |failure| {
        let text: Arc<str> = format!("{function}: {failure}").into();
        let level = match boundary::Failure::code(failure) {
            // How a host asks for a size.
            wasi_nn_error::TooLarge => log::Level::Debug,
            _ => log::Level::Warn,
        };
        registry::keep_error(ctx, level, &text);
        // Without the thread's own place, which is gone when the thread is being torn down, the backend's has the text.
        let _ = LATEST.try_with(|latest| *latest.borrow_mut() = Some((ctx, text)));
    })
}

/// The text for `wasi_nn_get_last_error`: the thread's own if it came from `ctx`, else the backend's.
///
/// With `ctx` NULL the thread's own, wherever it came from. Empty where nothing failed yet.
/// Errors: `ctx` is no backend, and the thread's own text is not about it.
pub(crate) fn text(ctx: *mut c_void) -> Result<Arc<str>, Failure> {
    let own = LATEST.try_with(|latest| match &*latest.borrow() {
        Some((from, text)) if ctx.is_null() || *from == ctx => Some(Arc::clone(text)),
        _ => None,
    });
    let own = own.ok().flatten();
    match own {
        Some(text) => Ok(text),
        None if ctx.is_null() => Ok(Arc::from("")),
        None => registry::kept_error(ctx),
    }
}
