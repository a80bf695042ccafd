//! One loaded version of a model with everything that serves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::naming::Known;
use super::templates;
use super::version::{Version, vocabulary_key};
use crate::chat::Template;
use crate::chat::ledger::Words;
use crate::chat::token_cache::TokenCache;
use crate::config::{BackendLimits, Config, ReasoningFormat};
use crate::error::{Error, Result};
use crate::handles::{Handle, Numbers};
use crate::llama::{Context, Model, Special, Token, Vocab};
use crate::models::{Brought, Profile, Vision};
use crate::reasoning::{self, Format};
use crate::scheduler::{
    Cores, Engine, Keeping, Known as ChunkFacts, Limits, Placement, Spawn, Start, Totals, chunk,
};
use crate::spill::Store;

/// A loaded model version as a host sees it: non-zero, unique in the process, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GraphId(pub u32);

impl Handle for GraphId {
    fn from_number(number: u32) -> GraphId {
        GraphId(number)
    }
}

static NUMBERS: Numbers = Numbers::new();

impl GraphId {
    /// One that was never given. Errors: `Engine` once all were.
    pub fn next() -> Result<GraphId> {
        Ok(GraphId(NUMBERS.next()?))
    }
}

/// A model version in service. A share of it is a lease: it ends with the last turn that runs on it.
pub struct Serving {
    /// Its number.
    pub graph: GraphId,
    /// Which version it is.
    pub version: Version,
    /// What it is called.
    pub label: Arc<str>,
    /// What it is, for comparison with others.
    pub profile: Profile,
    /// Equal for versions that share their weights.
    pub shelf: u64,
    /// Turns that use it.
    pub users: AtomicUsize,
    /// Equal for equal vocabularies.
    pub vocabulary: u64,
    /// The settings that it was loaded with.
    pub config: Arc<Config>,
    /// Its chat template.
    pub template: Template,
    /// Its vocabulary.
    pub vocab: Vocab,
    /// The tokens of what its template writes.
    pub words: TokenCache,
    /// How it tells its thoughts from its answers, where it may think and that is asked for.
    pub reasoning: Option<Arc<Format>>,
    /// Bytes of text that one token stands for, at most.
    pub longest_token: usize,
    /// What turns asked of its tokens and of their ends.
    pub known: Known,
    /// The same for turns on raw prompts.
    pub known_raw: Known,
    /// Its engine thread.
    pub engine: Engine,
    /// How it reads images, where it has a projector.
    pub vision: Option<Vision>,
    weights: Arc<Model>,
    report: Value,
    memory: Memory,
}

/// Bytes that the version holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Weights.
    pub weights: u64,
    /// KV cells.
    pub cache: u64,
    /// Compute buffers.
    pub compute: u64,
    /// KV cells, in tokens.
    pub cells: u32,
    /// Sequences that they may belong to.
    pub sequences: u32,
}

impl Serving {
    /// Puts a model into service as `version`. The threads are the caller's to join.
    ///
    /// `strict`: a template that was passed over is an error, and not a warning. Errors: `Load` then, and under the
    /// configuration's own `strict`.
    pub fn start(
        brought: Brought,
        version: Version,
        strict: bool,
        totals: Arc<Totals>,
        cores: Arc<Cores>,
        store: Arc<Store>,
        spawn: &Spawn,
    ) -> Result<(Serving, Vec<JoinHandle<()>>)> {
        let config = version.config.clone();
        let weights = brought.weights;
        let vocab = weights.vocab();
        let choice = templates::choose(&config, weights.chat_template(None).as_deref(), &vocab)?;
        if let Some(reason) = choice.passed_over.as_ref()
            && (strict || config.strict)
        {
            return Err(Error::Load(reason.clone()));
        }
        let mut profile = brought.profile;
        templates::judge(&mut profile, &choice);
        let note = choice.note();
        match (&note, choice.is_absent) {
            (Some(note), true) => log::info!(target: "model", "{note}"),
            (Some(note), false) => log::warn!(target: "model", "{note}"),
            (None, _) => {}
        }
        let template = choice.template;
        log::debug!(target: "model", "chat template {:?}", template.traits());
        let end = templates::foreign_end(&template, &vocab);
        let bytes = brought.context.memory();
        let embedding = brought.embedding.as_ref().map(Context::memory);
        let [cache, compute] = embedding.map_or([0; 2], |bytes| [bytes.context, bytes.compute]);
        let memory = Memory {
            weights: bytes.model,
            cache: bytes.context + cache,
            compute: bytes.compute + compute,
            cells: brought.context.n_ctx(),
            sequences: brought.context.n_seq_max(),
        };
        let plan = brought.plan;
        let report = json!({
            "architecture": weights.meta("general.architecture"),
            "name": weights.meta("general.name"),
            "description": weights.description(),
            "parameters": weights.n_params(),
            "quantisation": weights.file_type(),
            "training_context": weights.n_ctx_train(),
            "layers": weights.n_layer(),
            "device_layers": weights.n_gpu_layers(),
            "vocabulary": vocab.n_tokens(),
            "load_time_ms": u64::try_from(brought.load_time.as_millis()).unwrap_or(u64::MAX),
            "session_tokens": plan.session_tokens,
            "parallel": plan.parallel,
            "kv_mode": if plan.unified { "unified" } else { "split" },
            "kv_mode_reason": plan.layout_reason,
            "kv_cells": memory.cells,
            "batch_size": brought.context.n_batch(),
            "ubatch_size": brought.context.n_ubatch(),
            "threads": plan.threads.decode,
            "threads_batch": plan.threads.batch,
            "removal": format!("{:?}", brought.context.removal()).to_lowercase(),
            "sliding_window": brought.context.n_swa(),
            "shift": brought.context.can_shift(),
            "cache_type_k": brought.cache_types[0],
            "cache_type_v": brought.cache_types[1],
            "chat_template": format!("{:?}", template.origin()).to_lowercase(),
            "notes": brought.notes.iter().chain(&note).collect::<Vec<_>>(),
        });
        let placement = Placement {
            device_layers: weights.n_gpu_layers(),
            layers: weights.n_layer(),
            cells_on_device: config.model.kv_offload,
        };
        let engine = Engine::start(
            Start {
                context: brought.context,
                embedding: brought.embedding,
                generates: brought.generates,
                again: brought.again,
                spare: brought.spare,
                chunk: chunk(ChunkFacts {
                    parameters: weights.n_params(),
                    threads: plan.threads.batch,
                    gap: config.performance.target_gap,
                    placement,
                }),
                vocab: vocab.clone(),
                parallel: plan.parallel as usize,
                capacity: plan.session_tokens as usize,
                keeping: Keeping {
                    model: brought.identity,
                    store,
                    strategy: config.memory.cache_strategy,
                    idle_limit: config.memory.max_cache_tokens as usize,
                    threshold: config.memory.memory_pressure_threshold,
                    halves: config.memory.enable_partial_cache_deletion,
                    shares: config.memory.enable_token_cache_reuse,
                },
                limits: limits(&config.backend),
                permits: version.permits.clone(),
                threads: plan.threads,
                placement,
                cores,
                target_gap: config.performance.target_gap,
                slow_step: config.performance.slow_step,
                gather: config.performance.batch_timeout,
                totals,
            },
            spawn,
        )?;
        let threads = engine.take_threads();
        let serving = Serving {
            graph: version.graph,
            version,
            label: brought.label.into(),
            vocabulary: vocabulary_key(&profile),
            profile,
            shelf: brought.shelf,
            users: AtomicUsize::new(0),
            reasoning: match config.model.reasoning_format {
                ReasoningFormat::Auto => format(&template, &vocab),
                ReasoningFormat::None => None,
            },
            config,
            template,
            words: TokenCache::default(),
            longest_token: longest_token(&vocab),
            vocab,
            known: Known::ending_at(end),
            known_raw: Known::default(),
            engine,
            vision: brought.vision,
            weights,
            report,
            memory,
        };
        Ok((serving, threads))
    }

    /// Its vocabulary with what is remembered of it.
    pub fn words(&self) -> Words<'_> {
        Words {
            vocab: &self.vocab,
            number: self.vocabulary,
            cache: &self.words,
        }
    }

    /// Whether a turn uses it.
    pub fn is_used(&self) -> bool {
        self.users.load(Ordering::Relaxed) > 0
    }

    /// The file that it was loaded from.
    pub fn file(&self) -> &str {
        self.version.origin.source.shown()
    }

    /// The name in the model's metadata, or its file.
    pub fn name(&self) -> String {
        self.weights
            .meta("general.name")
            .unwrap_or_else(|| self.file().to_owned())
    }

    /// What is known about the model, for its status document.
    pub fn report(&self) -> &Value {
        &self.report
    }

    /// Bytes that it holds.
    pub fn memory(&self) -> Memory {
        self.memory
    }
}

/// The queue's bounds from the configuration.
pub fn limits(backend: &BackendLimits) -> Limits {
    Limits {
        warn_at: backend.queue_warning_threshold as usize,
        reject_at: backend.queue_reject_threshold as usize,
        by_class: backend.priority_scheduling_enabled,
        fair: backend.fair_scheduling_enabled,
        sweep_expired: backend.auto_queue_cleanup,
    }
}

/// How the model tells its thoughts from its answers.
fn format(template: &Template, vocab: &Vocab) -> Option<Arc<Format>> {
    let single = |text: &str| match vocab.tokenize(text, Special::Parse).ok()?.as_slice() {
        [token] => Some(token.0),
        _ => None,
    };
    reasoning::detect(template.source(), single).map(Arc::new)
}

/// Bytes of the longest text that one token stands for.
fn longest_token(vocab: &Vocab) -> usize {
    let ids = 0..i32::try_from(vocab.n_tokens()).unwrap_or(i32::MAX);
    let mut bytes = Vec::new();
    let lengths = ids.map(|id| {
        bytes.clear();
        // A token without a text stands for none.
        let _ = vocab.piece_special(Token(id), &mut bytes);
        bytes.len()
    });
    lengths.max().unwrap_or(0)
}
