//! Instances with a conversation each: those of WebAssembly modules, through the plugin for WAMR, and what a host of the C
//! library has in their place. Both look alike, so that their load is written once.
//!
//! A prompt is the whole conversation. The plugin keeps the cells of what it begins with. The C library is given the same
//! text as the first message of a conversation whose last turn was removed, which leaves its cells. So both evaluate the
//! same tokens, and what differs are the doors.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::library::Context;
use crate::ours::{self, Ours};
use crate::plugin::{Instance, Plugin};

/// Something that instances are opened on.
pub trait Side: Sync {
    /// Opens an instance with a context.
    fn open(&self) -> Result<Box<dyn Guest + '_>>;
}

/// An instance with a context.
pub trait Guest {
    /// Runs a turn on a prompt, which the model gets as it is, and reads its text and its metadata.
    fn answer(&self, prompt: &str) -> Result<Answer>;

    /// Ends the instance and frees what it has.
    fn end(self: Box<Self>) -> Result<()>;
}

/// What came of a turn.
pub struct Answer {
    /// Its text.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// How many of them were in the cache.
    pub cached_tokens: u64,
    /// Tokens generated.
    pub tokens: u64,
}

impl Answer {
    /// `prompt_tokens` and `tokens`: the names of these counts.
    fn new(text: String, metadata: &Value, prompt_tokens: &str, tokens: &str) -> Result<Answer> {
        let count = |key: &str| {
            let count = metadata[key].as_u64();
            count.ok_or_else(|| Error::Setup(format!("the metadata has no number {key}")))
        };
        Ok(Answer {
            text,
            prompt_tokens: count(prompt_tokens)?,
            cached_tokens: count("cached_tokens")?,
            tokens: count(tokens)?,
        })
    }
}

/// The C library with its model, which all contexts share.
pub struct Native {
    /// The library.
    pub engine: Ours,
    /// Tokens of each answer.
    pub tokens: u32,
}

impl Side for Native {
    fn open(&self) -> Result<Box<dyn Guest + '_>> {
        Ok(Box::new(NativeGuest {
            context: self.engine.context()?,
            tokens: self.tokens,
        }))
    }
}

struct NativeGuest<'a> {
    context: Context<'a>,
    tokens: u32,
}

impl Guest for NativeGuest<'_> {
    fn answer(&self, prompt: &str) -> Result<Answer> {
        self.context.run(prompt, &ours::limit(self.tokens))?;
        let (text, metadata) = (self.context.text()?, self.context.metadata()?);
        self.context.remove_oldest_turn()?;
        Answer::new(text, &metadata, "prompt_tokens", "completion_tokens")
    }

    fn end(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The plugin, which lets instances with the same configuration share a model.
pub struct Wasm<'a> {
    /// The plugin.
    pub plugin: &'static Plugin,
    /// The model's file.
    pub model: &'a Path,
    /// What each instance loads it with.
    pub config: Value,
}

impl Side for Wasm<'_> {
    fn open(&self) -> Result<Box<dyn Guest + '_>> {
        let instance = self.plugin.instance()?;
        let graph = instance.load(self.model, &self.config)?;
        let context = instance.context(graph)?;
        Ok(Box::new(WasmGuest { instance, context }))
    }
}

struct WasmGuest {
    instance: Instance,
    context: u32,
}

impl Guest for WasmGuest {
    fn answer(&self, prompt: &str) -> Result<Answer> {
        self.instance.set_prompt(self.context, prompt)?;
        self.instance.compute(self.context)?;
        let text = self.instance.text(self.context)?;
        let metadata = self.instance.metadata(self.context)?;
        Answer::new(text, &metadata, "input_tokens", "output_tokens")
    }

    fn end(self: Box<Self>) -> Result<()> {
        self.instance.end()
    }
}
