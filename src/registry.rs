//! The process-wide table behind the `ctx` pointers: from token to backend.
//!
//! One of the few pieces of state outside a `Backend`. Tokens rise and are never used again, so a stale pointer is an
//! error. A forked child is recognised by the token alone: the table's lock may have been held while it was forked.
//! Knows nothing of what a backend does.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::Arc;

use boundary::{Token, TokenSource};
use engine::Backend;
use parking_lot::{Mutex, RwLock};

use crate::abi::Failure;

static TOKENS: TokenSource = TokenSource::new();
static BACKENDS: RwLock<BTreeMap<Token, Entry>> = RwLock::new(BTreeMap::new());

thread_local! {
    /// The backends whose functions wait for a callback that runs on this thread, innermost last.
    static CALLING_BACK: RefCell<Vec<Token>> = const { RefCell::new(Vec::new()) };
}

struct Entry {
    backend: Arc<Backend>,
    last_error: Mutex<Arc<str>>,
}

/// Enters a backend and returns the pointer that stands for it.
pub(crate) fn insert(backend: Backend) -> Result<*mut c_void, Failure> {
    boundary::report_panics(|text| log::error!(target: "backend", "{text}"));
    let token = TOKENS.draw().ok_or(Failure::HandlesUsedUp)?;
    let entry = Entry {
        backend: backend.share(),
        last_error: Mutex::new(Arc::from("")),
    };
    BACKENDS.write().insert(token, entry);
    Ok(token.as_pointer())
}

/// The backend that a pointer stands for; it lives as long as the result, whoever destroys it meanwhile.
pub(crate) fn backend(ctx: *mut c_void) -> Result<Arc<Backend>, Failure> {
    let token = own_token(ctx)?;
    let backends = BACKENDS.read();
    let entry = backends.get(&token).ok_or(Failure::UnknownBackend)?;
    Ok(Arc::clone(&entry.backend))
}

/// Takes a backend out of the table: from now on its pointer is stale.
pub(crate) fn remove(ctx: *mut c_void) -> Result<Arc<Backend>, Failure> {
    let token = own_token(ctx)?;
    // A thread whose locals are gone already is in no callback.
    if CALLING_BACK.try_with(|waiting| waiting.borrow().contains(&token)) == Ok(true) {
        return Err(Failure::InsideCallback);
    }
    let removed = BACKENDS.write().remove(&token);
    Ok(removed.ok_or(Failure::UnknownBackend)?.backend)
}

/// Calls the host back from a function of the backend `ctx`, which cannot be destroyed meanwhile on this thread.
pub(crate) fn call_back<R>(ctx: *mut c_void, callback: impl FnOnce() -> R) -> R {
    let _waiting = Token::from_pointer(ctx).map(Waiting::begin);
    callback()
}

/// Keeps a backend's latest failure and writes it to its log, if the backend still exists.
pub(crate) fn keep_error(ctx: *mut c_void, level: log::Level, text: &Arc<str>) {
    let Ok(token) = own_token(ctx) else { return };
    let backend = BACKENDS.read().get(&token).map(|entry| {
        *entry.last_error.lock() = Arc::clone(text);
        Arc::clone(&entry.backend)
    });
    match backend {
        Some(backend) => backend.note(level, text),
        None => log::log!(target: "backend", level, "{text}"),
    }
}

/// A backend's latest failure; empty before the first.
pub(crate) fn kept_error(ctx: *mut c_void) -> Result<Arc<str>, Failure> {
    let token = own_token(ctx)?;
    let backends = BACKENDS.read();
    let entry = backends.get(&token).ok_or(Failure::UnknownBackend)?;
    Ok(Arc::clone(&entry.last_error.lock()))
}

fn own_token(ctx: *mut c_void) -> Result<Token, Failure> {
    match Token::from_pointer(ctx) {
        Some(token) if token.is_of_this_process() => Ok(token),
        Some(_) => Err(Failure::OtherProcess),
        None => Err(Failure::UnknownBackend),
    }
}

struct Waiting;

impl Waiting {
    fn begin(token: Token) -> Waiting {
        let _ = CALLING_BACK.try_with(|waiting| waiting.borrow_mut().push(token));
        Waiting
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = CALLING_BACK.try_with(|waiting| waiting.borrow_mut().pop());
    }
}
