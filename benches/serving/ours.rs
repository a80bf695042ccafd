//! The side under test: the library with a model loaded. Knows the configuration that measurements need.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::engine::{Engine, OnPiece, Request, Turn};
use crate::error::Result;
use crate::library::{Asked, Backend, Context, Library};

/// What differs between measurements; everything else is as the library has it by default.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Turns decoded together.
    pub parallel: usize,
    /// Tokens of one conversation.
    pub context: u32,
    /// Open contexts.
    pub contexts: usize,
    /// Turns that may wait.
    pub queue: usize,
}

/// What a model gets of a text, and when its answer ends. Greedy either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// The text as it is; only the token limit ends an answer.
    Raw,
    /// The text as the model's own template writes it; the model ends its answers.
    Chat,
}

/// Where the library, the model and the log are.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The library.
    pub library: &'static Library,
    /// The model's file.
    pub model: &'a Path,
    /// How the model is spoken to.
    pub speech: Speech,
    /// Compute threads.
    pub threads: usize,
    /// File for the library's log lines.
    pub log: &'a Path,
}

/// A backend with a model; dropping it ends it with all its threads.
pub struct Ours {
    backend: Backend,
    /// The configuration of its load.
    config: Value,
    /// How long the load took its caller.
    pub load_time: Duration,
}

impl Ours {
    /// Loads the model and runs a turn of a few tokens, so that its pages are in memory. `more`: sections of the load's
    /// configuration whose keys are added to those that every measurement has.
    pub fn start(place: Place<'_>, settings: &Settings, more: &Value) -> Result<Ours> {
        let backend = place.library.backend(&json!({
            // A setting that the library does not take as it is meant would falsify what is measured.
            "strict": true,
            "backend": {
                "max_concurrent": settings.contexts,
                "queue_size": settings.queue,
                "default_task_timeout_ms": 3_600_000,
            },
            "logging": {"level": "warn", "file": place.log.to_string_lossy()},
        }))?;
        let mut config = match place.speech {
            Speech::Raw => json!({
                "model": {"chat_template": "raw"},
                "sampling": {"temp": 0, "repeat_penalty": 1, "ignore_eos": true},
            }),
            Speech::Chat => json!({"sampling": {"temp": 0, "repeat_penalty": 1}}),
        };
        let sizes = json!({
            "model": {"ctx_size": settings.context, "threads": place.threads},
            "performance": {"n_parallel": settings.parallel},
        });
        add(&mut config, &sizes);
        add(&mut config, more);
        let begun = Instant::now();
        backend.load(place.model, &config)?;
        let ours = Ours {
            backend,
            config,
            load_time: begun.elapsed(),
        };
        ours.run(Request {
            prompt: "warm",
            tokens: 4,
        })?;
        Ok(ours)
    }

    /// Puts another model in the place of the one that serves, with the same configuration.
    pub fn swap(&self, model: &Path) -> Result<()> {
        self.backend.load(model, &self.config)
    }

    /// Loads a model of its own name beside it, with the same configuration; its number.
    pub fn load_beside(&self, name: &str, model: &Path) -> Result<u32> {
        let mut config = self.config.clone();
        if let Some(sections) = config.as_object_mut() {
            // They are of the whole backend.
            sections.remove("backend");
        }
        self.backend.load_model(name, model, &config)
    }

    /// Opens a context on a model that was loaded beside it.
    pub fn context_on(&self, graph: u32) -> Result<Context<'_>> {
        self.backend.context_on(graph)
    }

    /// What the library says of its models.
    pub fn model_status(&self) -> Result<Value> {
        self.backend.model_status()
    }

    /// Opens a context.
    pub fn context(&self) -> Result<Context<'_>> {
        self.backend.context()
    }

    /// Opens a context of a conversation that has a name and outlives it.
    pub fn named_context(&self, name: &str) -> Result<Context<'_>> {
        self.backend.named_context(name)
    }

    /// Tokens that the model makes of a text alone.
    pub fn count_tokens(&self, text: &str) -> Result<u32> {
        self.backend.count_tokens(text)
    }

    /// What the library says of its memory.
    pub fn memory_status(&self) -> Result<Value> {
        self.backend.memory_status()
    }

    /// Asks for a report, which is written to `room`.
    pub fn ask(&self, asked: Asked, room: &mut [u8]) -> Result<()> {
        self.backend.ask(asked, room)
    }

    /// Tokens for which the model was trained.
    pub fn training_context(&self) -> Result<u32> {
        let status = self.backend.model_status()?;
        let tokens = status["training_context"].as_u64().unwrap_or(2048);
        Ok(u32::try_from(tokens).unwrap_or(u32::MAX))
    }
}

impl Engine for Ours {
    fn run(&self, request: Request<'_>) -> Result<Turn> {
        let context = self.backend.context()?;
        context.run(request.prompt, &limit(request.tokens))?;
        counts(&context)
    }

    fn stream(&self, request: Request<'_>, on_piece: OnPiece<'_>) -> Result<Turn> {
        let context = self.backend.context()?;
        stream(&context, request, on_piece)
    }
}

/// Runs a turn on a context that is open already.
pub fn stream(context: &Context<'_>, request: Request<'_>, on_piece: OnPiece<'_>) -> Result<Turn> {
    let mut go_on = || on_piece().is_continue();
    context.stream(request.prompt, &limit(request.tokens), &mut go_on)?;
    counts(context)
}

/// Adds the keys of each section.
fn add(config: &mut Value, more: &Value) {
    for (name, keys) in more.as_object().into_iter().flatten() {
        match (&mut config[name], keys) {
            (Value::Object(section), Value::Object(keys)) => section.extend(keys.clone()),
            (place, keys) => *place = keys.clone(),
        }
    }
}

/// The settings of one call.
pub fn limit(tokens: u32) -> Value {
    json!({"stopping": {"max_tokens": tokens}})
}

fn counts(context: &Context<'_>) -> Result<Turn> {
    let metadata = context.metadata()?;
    let count = |key: &str| metadata[key].as_u64().unwrap_or(0);
    Ok(Turn {
        prompt_tokens: count("prompt_tokens"),
        completion_tokens: count("completion_tokens"),
    })
}
