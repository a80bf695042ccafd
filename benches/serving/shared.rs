//! A shared library that stays open, and its functions by name. Knows none of them.

use std::ffi::CStr;
use std::path::Path;

use crate::error::{Error, Result};

/// Opens a shared library. It stays in the process until that ends, so its functions may be called at any time.
pub fn open(path: &Path) -> Result<&'static libloading::Library> {
    // SAFETY: the initialisers of the libraries under test have no demands of their own.
    let opened = unsafe { libloading::Library::new(path) };
    let opened = opened.map_err(|error| Error::Setup(format!("{}: {error}", path.display())))?;
    Ok(Box::leak(Box::new(opened)))
}

/// Looks a function up. `T` is the type of the function of that name: its callers say so.
pub fn symbol<T: Copy>(library: &'static libloading::Library, name: &'static CStr) -> Result<T> {
    // SAFETY: T is a function pointer of the type that whoever made the library declares for this name.
    let found = unsafe { library.get::<T>(name.to_bytes_with_nul()) };
    found
        .map(|symbol| *symbol)
        .map_err(|error| Error::Setup(error.to_string()))
}
