//! What the functions of wasi-nn mean to a guest: graphs, execution contexts, prompts, answers.
//!
//! Safe code over the engine. Knows no pointers and no numbers of errors; who may use which handle is told by the tables.
//! Prompts are raw: the guest is the author of its template text.

mod account;
mod apart;
mod asked;
mod context;
mod graph;
mod images;
mod lines;
mod metadata;
mod models;
mod open;
mod process;
mod rate;
mod settings;
mod source;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use crate::failure::Failure;
use crate::handles::{Caller, Table};
use crate::names::{Names, Policy};
use account::Share;
use context::Context;
use graph::Graph;
use source::Source;

pub use lines::{keep_panic, note};

static GRAPHS: Table<Graph> = Table::new();
static CONTEXTS: Table<Context> = Table::new();

/// Read once, at the first load: a guest cannot change the environment of its host.
static NAMES: LazyLock<Names> = LazyLock::new(names);

/// Whether a model of `bytes` may be brought along, and room for it: asked before it is copied. Errors: `Unsupported`
/// where only names are allowed, `Busy` where there are too many graphs, or where such models take all that models may.
pub fn may_load_bytes(maker: u32, bytes: u64) -> Result<Share, Failure> {
    lines::begin();
    if NAMES.policy() == Policy::Registry {
        return Err(Failure::Unsupported(
            "only registered models may be loaded here, and these are bytes".into(),
        ));
    }
    check_count(&GRAPHS, maker, "graphs")?;
    source::room(bytes)
}

/// Loads a model from its bytes. `maker`: the number of the backend ctx; `room`: of [`may_load_bytes`]. Errors:
/// `InvalidEncoding` for bytes or a configuration that cannot be read, `InvalidArgument` for a value.
pub fn load_bytes(
    maker: u32,
    model: Vec<u8>,
    room: Share,
    config: Option<Vec<u8>>,
) -> Result<u32, Failure> {
    load(maker, move || Source::bytes(model, room), config)
}

/// Loads a model by its name, as `WASI_NN_PRELOAD`, `WASI_NN_MODEL_ROOT` and `WASI_NN_MODEL_POLICY` allow it. Errors:
/// also `ModelNotFound`, `NotFound` and `Refused`.
pub fn load_by_name(maker: u32, name: &str, config: Option<Vec<u8>>) -> Result<u32, Failure> {
    load(maker, || Source::named(&NAMES, name), config)
}

fn load(
    maker: u32,
    source: impl FnOnce() -> Result<Source, Failure> + Send,
    config: Option<Vec<u8>>,
) -> Result<u32, Failure> {
    lines::begin();
    check_count(&GRAPHS, maker, "graphs")?;
    let config = config.unwrap_or_default();
    let graph = apart::run(move || Graph::load(maker, source()?, &config))?;
    Ok(GRAPHS.insert(maker, Arc::new(graph)))
}

/// Opens an execution context on a graph. Errors: `NotFound`; `Busy` where there are too many.
pub fn open_context(caller: Caller, graph: u32) -> Result<u32, Failure> {
    let graph = GRAPHS.get(caller, graph).ok_or_else(|| no_graph(graph))?;
    check_count(&CONTEXTS, caller.maker, "execution contexts")?;
    let context = Context::open(&graph, caller.maker)?;
    Ok(CONTEXTS.insert(caller.maker, Arc::new(context)))
}

/// Keeps the prompt of the next turn. A turn that is being streamed ends.
pub fn set_prompt(caller: Caller, context: u32, text: String) -> Result<(), Failure> {
    find(caller, context)?.set_prompt(text)
}

/// Lays a configuration over that of the context. Errors: `InvalidEncoding`, `InvalidArgument`; then nothing has changed.
pub fn set_metadata(caller: Caller, context: u32, json: Vec<u8>) -> Result<(), Failure> {
    let context = find(caller, context)?;
    apart::run(move || context.set_metadata(&json))
}

/// Runs the turn of the prompt to its end. Errors: `PromptTooLong`, `ContextFull` with the text kept, `InvalidArgument`
/// without a prompt.
pub fn compute(caller: Caller, context: u32) -> Result<(), Failure> {
    find(caller, context)?.compute()
}

/// Makes the next piece of the turn's answer. Errors: `EndOfSequence` when there is none; as [`compute`].
pub fn compute_single(caller: Caller, context: u32) -> Result<(), Failure> {
    find(caller, context)?.compute_single()
}

/// 0: the text of the turn so far, or the embedding; 1: its metadata. Errors: `InvalidArgument` for another index.
pub fn output(caller: Caller, context: u32, index: u32) -> Result<Arc<str>, Failure> {
    find(caller, context)?.output(index)
}

/// 0: the last piece; 1: the metadata. Errors: `InvalidArgument` for another index.
pub fn output_single(caller: Caller, context: u32, index: u32) -> Result<Arc<str>, Failure> {
    find(caller, context)?.output_single(index)
}

/// Ends a turn that is being streamed; what is cached of its prompt stays.
pub fn finish_single(caller: Caller, context: u32) -> Result<(), Failure> {
    find(caller, context)?.finish_single()
}

/// Gives a graph up. Its open contexts keep the model until they go. Errors: `NotFound`.
pub fn unload(caller: Caller, graph: u32) -> Result<(), Failure> {
    GRAPHS
        .remove(caller, graph)
        .map(drop)
        .ok_or_else(|| no_graph(graph))
}

/// Cancels what runs on a context and frees it.
pub fn close_context(caller: Caller, context: u32) -> Result<(), Failure> {
    let removed = CONTEXTS.remove(caller, context);
    removed.ok_or_else(|| no_context(context))?.close();
    Ok(())
}

/// Cancels and frees everything that was made through a backend ctx.
pub fn end_instance(maker: u32) {
    for context in CONTEXTS.take_of(maker) {
        context.close();
    }
    drop(GRAPHS.take_of(maker));
}

/// Graphs, and as many contexts, that one instance may have: what it takes cannot be had by others.
const MOST_OF_ONE: usize = 1024;

fn check_count<T>(table: &Table<T>, maker: u32, what: &str) -> Result<(), Failure> {
    match table.count_of(maker) < MOST_OF_ONE {
        true => Ok(()),
        false => Err(Failure::Busy(format!(
            "the instance has {MOST_OF_ONE} {what}, which is all that one may have"
        ))),
    }
}

fn find(caller: Caller, context: u32) -> Result<Arc<Context>, Failure> {
    let found = CONTEXTS.get(caller, context);
    found.ok_or_else(|| no_context(context))
}

fn no_context(context: u32) -> Failure {
    Failure::InvalidArgument(format!("execution context {context} is unknown"))
}

fn no_graph(graph: u32) -> Failure {
    Failure::NotFound(format!("graph {graph} is unknown or was unloaded"))
}

fn names() -> Names {
    let read = |name| std::env::var(name).ok();
    let (names, problems) = Names::read(
        read("WASI_NN_PRELOAD").as_deref(),
        read("WASI_NN_MODEL_ROOT").as_deref(),
        read("WASI_NN_MODEL_POLICY").as_deref(),
    );
    for problem in problems {
        note(log::Level::Warn, &problem);
    }
    names
}
