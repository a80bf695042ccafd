//! A LoRA adapter: small matrices that a context adds to the products of a model's own.
//!
//! Owned by the model that it was loaded for, which frees it; loaded before anybody else sees that model, because
//! llama.cpp keeps a list of them without a lock. Files are judged by the GGUF walk.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use crate::error::{Error, Result};
use crate::llama::{ffi, log};

/// A loaded adapter; valid as long as its model.
#[derive(Debug)]
pub(super) struct Adapter(NonNull<sys::llama_adapter_lora>);

impl Adapter {
    /// Loads the adapter at `path` for `model`, after `gguf::check`. `model` is valid and nobody else's yet.
    ///
    /// Errors: `Load` with the path and llama.cpp's reason.
    pub(super) fn load(model: NonNull<sys::llama_model>, path: &Path) -> Result<Adapter> {
        let shown = super::super::opened::shown(path);
        let c_path = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| Error::Load(format!("adapter not found: {shown}")))?;
        let mut raw = std::ptr::null_mut();
        let (loaded, lines) = log::capture(|| {
            ffi::guarded(|err, cap| {
                // SAFETY: the model is valid and not shared; the path is NUL-terminated; `raw` is written on success.
                unsafe {
                    ffi::engine_adapter_load(model.as_ptr(), c_path.as_ptr(), &mut raw, err, cap)
                }
            })
        });
        let failed =
            |reason: String| Error::Load(format!("adapter {shown} cannot be loaded: {reason}"));
        loaded.map_err(|fault| failed(fault.during("load").to_string()))?;
        NonNull::new(raw).map(Adapter).ok_or_else(|| {
            failed(log::reason(&lines).unwrap_or_else(|| "llama.cpp gave no reason".into()))
        })
    }

    pub(super) fn as_ptr(&self) -> *mut sys::llama_adapter_lora {
        self.0.as_ptr()
    }
}
