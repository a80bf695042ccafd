//! Placeholder of what the functions mean: every call fails.

use std::sync::Arc;

use crate::failure::Failure;
use crate::handles::Caller;

fn absent<T>() -> Result<T, Failure> {
    Err(Failure::Runtime("not built in".to_owned()))
}

pub(crate) fn load_bytes(_: u32, _: Vec<u8>, _: Option<Vec<u8>>) -> Result<u32, Failure> {
    absent()
}

pub(crate) fn load_by_name(_: u32, _: &str, _: Option<Vec<u8>>) -> Result<u32, Failure> {
    absent()
}

pub(crate) fn open_context(_: Caller, _: u32) -> Result<u32, Failure> {
    absent()
}

pub(crate) fn set_prompt(_: Caller, _: u32, _: String) -> Result<(), Failure> {
    absent()
}

pub(crate) fn set_metadata(_: Caller, _: u32, _: Vec<u8>) -> Result<(), Failure> {
    absent()
}

pub(crate) fn compute(_: Caller, _: u32) -> Result<(), Failure> {
    absent()
}

pub(crate) fn compute_single(_: Caller, _: u32) -> Result<(), Failure> {
    absent()
}

pub(crate) fn output(_: Caller, _: u32, _: u32) -> Result<Arc<str>, Failure> {
    absent()
}

pub(crate) fn output_single(_: Caller, _: u32, _: u32) -> Result<Arc<str>, Failure> {
    absent()
}

pub(crate) fn finish_single(_: Caller, _: u32) -> Result<(), Failure> {
    absent()
}

pub(crate) fn unload(_: Caller, _: u32) -> Result<(), Failure> {
    absent()
}

pub(crate) fn close_context(_: Caller, _: u32) -> Result<(), Failure> {
    absent()
}

pub(crate) fn end_instance(_: u32) {}

pub(crate) fn note(level: log::Level, text: &str) {
    log::log!(target: "backend", level, "{text}");
}
