//! What is alive while a sequence runs: backends, contexts, models, and what was never there.
//!
//! Shared by the threads of a sequence. Calls nothing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Loads of a whole model that one sequence may do.
const LOADS: usize = 4;

/// A model that converses, in a file and in memory.
pub static MODEL: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../models/pocket-a.gguf"
    ));
    let bytes = std::fs::read(&path).expect("the model of the repository");
    (path, bytes)
});

/// A handle, and whether it certainly stands for nothing.
#[derive(Debug, Clone, Copy)]
pub struct Picked<T> {
    pub handle: T,
    pub is_bad: bool,
}

pub struct World {
    /// One thread makes all calls, so that what it knows of a handle is true.
    pub is_alone: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    alive: Vec<usize>,
    dead: Vec<usize>,
    contexts: Vec<u32>,
    closed: Vec<u32>,
    /// Every number that was ever given out, as context or as model.
    seen_contexts: HashSet<u32>,
    seen_graphs: HashSet<u32>,
    graphs: Vec<u32>,
    loads: usize,
}

impl World {
    pub fn new(is_alone: bool) -> World {
        World {
            is_alone,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A backend handle: mostly one that is alive.
    pub fn backend(&self, pick: u8) -> Picked<usize> {
        let state = self.state();
        let n = usize::from(pick >> 4);
        let of = |list: &[usize]| (!list.is_empty()).then(|| list[n % list.len()]);
        let bad = [0, 1, 0xdead_beef_dead_beef, usize::MAX];
        match pick % 16 {
            0..=13 if !state.alive.is_empty() => Picked {
                handle: of(&state.alive).unwrap_or(0),
                is_bad: false,
            },
            14 if !state.dead.is_empty() => Picked {
                handle: of(&state.dead).unwrap_or(0),
                is_bad: true,
            },
            _ => Picked {
                handle: bad[n % bad.len()],
                is_bad: true,
            },
        }
    }

    /// A context: mostly one that is open, on whatever backend.
    pub fn context(&self, pick: u8) -> Picked<u32> {
        let state = self.state();
        let n = usize::from(pick >> 4);
        let (list, is_bad) = match pick % 16 {
            0..=13 => (&state.contexts, false),
            14 => (&state.closed, true),
            _ => {
                return Picked {
                    handle: [0, u32::MAX][n % 2],
                    is_bad: true,
                };
            }
        };
        match list.is_empty() {
            true => Picked {
                handle: 0,
                is_bad: true,
            },
            false => Picked {
                handle: list[n % list.len()],
                is_bad,
            },
        }
    }

    /// A number for a model: one that was given out or any other, which is the same to the library.
    pub fn graph(&self, pick: u8) -> u32 {
        let state = self.state();
        let any = u32::from(pick) << 24;
        let index = usize::from(pick) % (state.graphs.len() + 1);
        state.graphs.get(index).copied().unwrap_or(any)
    }

    pub fn opened_backend(&self, handle: usize) {
        let mut state = self.state();
        let is_new = handle != 0 && !state.alive.contains(&handle) && !state.dead.contains(&handle);
        assert!(is_new, "the handle {handle:#x} was given out before");
        state.alive.push(handle);
    }

    pub fn closed_backend(&self, handle: usize) {
        let mut state = self.state();
        state.alive.retain(|&h| h != handle);
        state.dead.push(handle);
    }

    /// Notes a context. A named one may be answered again while it is open.
    pub fn opened_context(&self, id: u32, is_named: bool) {
        let mut state = self.state();
        let is_new = state.seen_contexts.insert(id);
        let is_open = state.contexts.contains(&id);
        assert!(id != 0, "a context without a number");
        // Another thread may have closed it meanwhile.
        let may_attach = is_named && (is_open || !self.is_alone);
        assert!(
            is_new || may_attach,
            "the context {id} was given out before"
        );
        if is_new {
            state.contexts.push(id);
        }
    }

    pub fn closed_context(&self, id: u32) {
        let mut state = self.state();
        state.contexts.retain(|&c| c != id);
        state.closed.push(id);
    }

    pub fn loaded(&self, graph: u32) {
        let mut state = self.state();
        let is_new = graph != 0 && state.seen_graphs.insert(graph);
        assert!(is_new, "the model number {graph} was given out before");
        state.graphs.push(graph);
    }

    /// Whether one more load of a model is within the bounds of a sequence.
    pub fn may_load(&self) -> bool {
        let mut state = self.state();
        state.loads += 1;
        state.loads <= LOADS
    }

    pub fn backends(&self) -> Vec<usize> {
        self.state().alive.clone()
    }
}
