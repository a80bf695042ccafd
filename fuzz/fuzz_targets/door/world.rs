//! What is alive while a sequence runs: backends, contexts, models, and what was never there.
//!
//! Shared by the threads of a sequence. Calls nothing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// Loads of a whole model that one sequence may do.
const LOADS: usize = 7;

/// Loads that ended and are still told about: as many as that are certainly known.
const KNOWN_LOADS: usize = 32;

/// A model that converses, in a file and in memory.
pub static MODEL: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let path = model_file("pocket-a.gguf");
    let bytes = std::fs::read(&path).expect("the model of the repository");
    (path, bytes)
});

/// A larger model with another vocabulary, in a file.
pub static OTHER_MODEL: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = model_file("pocket-b.gguf");
    assert!(path.is_file(), "the other model of the repository");
    path
});

fn model_file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../models")).join(name)
}

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
    graphs: Vec<Graph>,
    /// Loads that began in the background.
    begun: Vec<Begun>,
    loads: usize,
    /// Loads that a caller waited for, whatever became of them.
    tried: usize,
}

impl State {
    fn loaded(&mut self, graph: u32, owner: usize) {
        let is_new = graph != 0 && self.seen_graphs.insert(graph);
        assert!(is_new, "the model number {graph} was given out before");
        self.graphs.push(Graph {
            number: graph,
            owner,
            is_dead: false,
        });
    }
}

/// A number of a model.
#[derive(Clone, Copy)]
struct Graph {
    number: u32,
    /// The backend that gave it.
    owner: usize,
    /// Replaced or unloaded: numbers do not come back.
    is_dead: bool,
}

/// A load in the background.
#[derive(Clone, Copy)]
struct Begun {
    number: u32,
    owner: usize,
    /// Its file is a model.
    is_model: bool,
    /// The model that it gave, once somebody was told.
    graph: Option<u32>,
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
        state.graphs.get(index).map_or(any, |graph| graph.number)
    }

    /// A model that is to be one of the backend `ctx`: often the current one, mostly one that was given out.
    pub fn model(&self, pick: u8, ctx: Picked<usize>) -> Picked<u32> {
        let state = self.state();
        let n = usize::from(pick >> 3);
        match pick % 8 {
            0 | 1 => Picked {
                handle: 0,
                is_bad: ctx.is_bad,
            },
            2..=6 if !state.graphs.is_empty() => {
                // The latest first: those before are often dead.
                let graph = state.graphs[state.graphs.len() - 1 - n % state.graphs.len()];
                Picked {
                    handle: graph.number,
                    is_bad: ctx.is_bad || graph.is_dead || graph.owner != ctx.handle,
                }
            }
            _ => Picked {
                handle: [u32::MAX, 1 << 24, 0xdead_beef, 1 << 31][n % 4],
                is_bad: true,
            },
        }
    }

    /// A load that is to be one of the backend `ctx`: mostly one that began.
    pub fn load(&self, pick: u8, ctx: Picked<usize>) -> Picked<u32> {
        let state = self.state();
        let n = usize::from(pick >> 3);
        match pick % 8 {
            0..=6 if !state.begun.is_empty() => {
                let load = state.begun[state.begun.len() - 1 - n % state.begun.len()];
                Picked {
                    handle: load.number,
                    is_bad: ctx.is_bad || load.owner != ctx.handle,
                }
            }
            _ => Picked {
                handle: [0, u32::MAX, 1 << 24, 0xdead_beef][n % 4],
                is_bad: true,
            },
        }
    }

    /// Whether a load that is not bad is certainly remembered, as long as its backend is there.
    pub fn is_remembered(&self, load: Picked<u32>) -> bool {
        let state = self.state();
        // Plain loads are remembered, too, and count against the same bound.
        self.is_alone && !load.is_bad && state.begun.len() + state.tried < KNOWN_LOADS
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

    pub fn loaded(&self, graph: u32, owner: usize) {
        self.state().loaded(graph, owner);
    }

    /// A model that is not there any more.
    pub fn ended(&self, graph: u32) {
        let mut state = self.state();
        let ended = state.graphs.iter_mut().filter(|g| g.number == graph);
        ended.for_each(|graph| graph.is_dead = true);
    }

    /// A load began in the background.
    pub fn began(&self, load: u32, owner: usize, is_model: bool) {
        let mut state = self.state();
        let is_new = load != 0 && state.begun.iter().all(|begun| begun.number != load);
        assert!(is_new, "the load {load} was given out before");
        state.begun.push(Begun {
            number: load,
            owner,
            is_model,
            graph: None,
        });
    }

    /// The load that began in the background gave a model, and always gives the same.
    pub fn arrived(&self, load: u32, graph: u32) {
        let mut state = self.state();
        let begun = state.begun.iter_mut().find(|begun| begun.number == load);
        let begun = begun.expect("a load that began here");
        assert!(begun.is_model, "the load {load} loaded what is no model");
        let (before, owner) = (begun.graph.replace(graph), begun.owner);
        match before {
            None => state.loaded(graph, owner),
            Some(before) => assert_eq!(before, graph, "the load {load} gave two models"),
        }
    }

    /// A load was tried.
    pub fn tried(&self) {
        self.state().tried += 1;
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
