//! Formats of conversations that llama.cpp knows by name.

use std::ffi::{CStr, CString, c_char};

use llama_cpp_sys_2 as sys;

use super::ffi::{self, guarded};
use crate::error::{Error, Result};

/// A format by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format(CString);

impl Format {
    /// The format of this name in any case, if llama.cpp has it.
    pub(crate) fn named(name: &str) -> Option<Format> {
        let found = names()
            .into_iter()
            .find(|own| own.eq_ignore_ascii_case(name));
        found.and_then(|own| CString::new(own).ok()).map(Format)
    }

    /// Its name as llama.cpp spells it.
    pub(crate) fn name(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// A conversation, as pairs of role and content, with the opening of the next answer where `opens_answer`. A NUL in
    /// it becomes the replacement character, since llama.cpp's texts end at one.
    ///
    /// Errors: `Engine` where llama.cpp fails.
    pub(crate) fn render(&self, messages: &[[&str; 2]], opens_answer: bool) -> Result<String> {
        let c_text = |text: &str| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
        let owned: Vec<[CString; 2]> = messages.iter().map(|m| m.map(c_text)).collect();
        let chat: Vec<sys::llama_chat_message> = owned
            .iter()
            .map(|[role, content]| sys::llama_chat_message {
                role: role.as_ptr(),
                content: content.as_ptr(),
            })
            .collect();
        let mut text: Vec<u8> = Vec::new();
        loop {
            let mut needed = 0;
            let room = i32::try_from(text.len()).unwrap_or(i32::MAX);
            guarded(|err, cap| {
                // SAFETY: the name and the texts of `chat` are NUL-terminated and live in `owned`, `text` has `room`
                // bytes, and the shim catches what is thrown.
                unsafe {
                    ffi::engine_chat_format(
                        self.0.as_ptr(),
                        chat.as_ptr(),
                        chat.len(),
                        opens_answer,
                        text.as_mut_ptr().cast::<c_char>(),
                        room,
                        &mut needed,
                        err,
                        cap,
                    )
                }
            })
            .map_err(|fault| fault.during("chat format"))?;
            let needed = usize::try_from(needed)
                .map_err(|_| Error::Engine(format!("no chat format '{}'", self.name())))?;
            if needed <= text.len() {
                text.truncate(needed);
                return Ok(String::from_utf8_lossy(&text).into_owned());
            }
            text.resize(needed, 0);
        }
    }
}

/// The names of all formats.
pub(crate) fn names() -> Vec<String> {
    // SAFETY: with no room the function only counts.
    let count = unsafe { sys::llama_chat_builtin_templates(std::ptr::null_mut(), 0) };
    let mut found = vec![std::ptr::null::<c_char>(); usize::try_from(count).unwrap_or(0)];
    // SAFETY: the list has room for as many names as it is told.
    let count = unsafe { sys::llama_chat_builtin_templates(found.as_mut_ptr(), found.len()) };
    found.truncate(usize::try_from(count).unwrap_or(0));
    let text = |name: *const c_char| {
        // SAFETY: not null, hence a key of llama.cpp's static table, which is NUL-terminated.
        let name = unsafe { CStr::from_ptr(name) };
        name.to_string_lossy().into_owned()
    };
    found
        .into_iter()
        .filter(|name| !name.is_null())
        .map(text)
        .collect()
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn every_format_is_found_in_any_case_and_renders() {
        let names = names();
        assert!(names.len() > 40, "{names:?}");
        for name in &names {
            let format = Format::named(&name.to_uppercase()).unwrap();
            assert_eq!(format.name(), name);
            let text = format.render(&[["user", "hello"]], true).unwrap();
            assert!(text.contains("hello"), "{name}: {text}");
        }
        assert_eq!(Format::named("no such format"), None);
    }

    #[test]
    fn a_long_conversation_is_whole() {
        let format = Format::named("llama3").unwrap();
        let content = "x\0".repeat(100_000);
        let text = format.render(&[["user", &content]], false).unwrap();
        assert!(text.contains(&"x\u{fffd}".repeat(100_000)));
    }
}
