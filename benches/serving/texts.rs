//! Texts on their way through the library's C interface.

use std::ffi::CString;

use serde_json::Value;

use crate::error::{Error, Result};

/// A text with a NUL behind it.
pub fn terminated(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Setup("a prompt has a NUL".to_owned()))
}

/// Its bytes, as the interface counts them.
pub fn length(text: &str) -> u32 {
    u32::try_from(text.len()).expect("prompts and configurations are far below 4 GiB")
}

/// What a buffer has before its first NUL.
pub fn text(buffer: &[u8]) -> String {
    let end = buffer.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&buffer[..end.unwrap_or(buffer.len())]).into_owned()
}

/// A document that the library wrote.
pub fn json(text: &str) -> Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| Error::Setup(format!("the library wrote no JSON: {error}")))
}
