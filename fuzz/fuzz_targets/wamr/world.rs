//! What is alive while a sequence runs: instances, graphs, contexts, and what was never there.
//!
//! Shared by the threads of a sequence. Calls nothing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::abi::{Generation, generation};

/// Loads of a model that one sequence may do.
const LOADS: usize = 9;

/// Contexts that one sequence may open.
const CONTEXTS: usize = 12;

/// A model that converses, in a file and in memory.
pub static MODEL: LazyLock<(PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let path = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../models/pocket-a.gguf"
    ));
    let bytes = std::fs::read(&path).expect("the model of the repository");
    (path, bytes)
});

/// Every number that was ever given out in this process.
static SEEN: LazyLock<Mutex<HashSet<u32>>> = LazyLock::new(Mutex::default);

/// Gives the model a name that guests may use. Before the library is called.
pub fn set_names() {
    let path = MODEL.0.display();
    let names = format!("pip:GGML:CPU:{path};broken;:GGML:AUTO:;gone:GGML:AUTO:/no/such/file");
    // SAFETY: the only thread of the process.
    unsafe { std::env::set_var("WASI_NN_PRELOAD", names) };
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
    /// Nobody rewrites what was laid down for a call.
    pub is_calm: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    alive: Vec<usize>,
    dead: Vec<usize>,
    graphs: Vec<Made>,
    contexts: Vec<Made>,
    loads: usize,
    opens: usize,
}

/// A graph or a context.
#[derive(Clone, Copy)]
struct Made {
    number: u32,
    /// The instance that made it.
    maker: usize,
    is_dead: bool,
}

impl World {
    pub fn new(is_alone: bool, is_calm: bool) -> World {
        World {
            is_alone,
            is_calm,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance: mostly one that is alive.
    pub fn instance(&self, pick: u8) -> Picked<usize> {
        let state = self.state();
        let n = usize::from(pick >> 4);
        let of = |list: &[usize]| (!list.is_empty()).then(|| list[n % list.len()]);
        let bad = [0, 1, 0xdead_beef_dead_beef, usize::MAX];
        match (pick % 16, of(&state.alive), of(&state.dead)) {
            (0..=13, Some(handle), _) => Picked {
                handle,
                is_bad: false,
            },
            (14, _, Some(handle)) => Picked {
                handle,
                is_bad: true,
            },
            _ => Picked {
                handle: bad[n % bad.len()],
                is_bad: true,
            },
        }
    }

    /// A graph for a call of `ctx`, or for one without.
    pub fn graph(&self, pick: u8, ctx: Option<Picked<usize>>) -> Picked<u32> {
        pick_of(&self.state().graphs, pick, ctx)
    }

    /// A context for a call of `ctx`, or for one without.
    pub fn context(&self, pick: u8, ctx: Option<Picked<usize>>) -> Picked<u32> {
        pick_of(&self.state().contexts, pick, ctx)
    }

    pub fn began(&self, handle: usize) {
        let mut state = self.state();
        let is_new = handle != 0 && !state.alive.contains(&handle) && !state.dead.contains(&handle);
        assert!(is_new, "the handle {handle:#x} was given out before");
        state.alive.push(handle);
    }

    /// An instance has ended, and with it everything that it made.
    pub fn ended(&self, handle: usize) {
        let mut state = self.state();
        state.alive.retain(|&h| h != handle);
        state.dead.push(handle);
        let State {
            graphs, contexts, ..
        } = &mut *state;
        let made = graphs.iter_mut().chain(contexts);
        made.filter(|made| made.maker == handle)
            .for_each(|made| made.is_dead = true);
    }

    pub fn loaded(&self, number: u32, ctx: Picked<usize>) {
        self.state().graphs.push(new(number, ctx));
    }

    pub fn opened(&self, number: u32, ctx: Picked<usize>) {
        self.state().contexts.push(new(number, ctx));
    }

    pub fn unloaded(&self, number: u32) {
        kill(&mut self.state().graphs, number);
    }

    pub fn closed(&self, number: u32) {
        kill(&mut self.state().contexts, number);
    }

    /// Whether one more load is within the bounds of a sequence.
    pub fn may_load(&self) -> bool {
        let mut state = self.state();
        state.loads += 1;
        state.loads <= LOADS
    }

    /// Whether one more context is within the bounds of a sequence.
    pub fn may_open(&self) -> bool {
        let mut state = self.state();
        state.opens += 1;
        state.opens <= CONTEXTS
    }

    pub fn instances(&self) -> Vec<usize> {
        self.state().alive.clone()
    }

    /// Graphs and contexts that are still there.
    pub fn left(&self) -> (Vec<u32>, Vec<u32>) {
        let state = self.state();
        let alive = |list: &[Made]| {
            let alive = list.iter().filter(|made| !made.is_dead);
            alive.map(|made| made.number).collect()
        };
        (alive(&state.graphs), alive(&state.contexts))
    }
}

fn new(number: u32, ctx: Picked<usize>) -> Made {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(
        !matches!(number, 0 | u32::MAX) && seen.insert(number),
        "the number {number} was given out before"
    );
    Made {
        number,
        // What is made through a stale ctx belongs to nobody.
        maker: if ctx.is_bad { 0 } else { ctx.handle },
        is_dead: false,
    }
}

fn kill(list: &mut [Made], number: u32) {
    let dead = list.iter_mut().filter(|made| made.number == number);
    dead.for_each(|made| made.is_dead = true);
}

/// Mostly one that is there, the latest first.
fn pick_of(list: &[Made], pick: u8, ctx: Option<Picked<usize>>) -> Picked<u32> {
    let n = usize::from(pick >> 4);
    let invented = [0, u32::MAX, 1, 0xdead_beef];
    if pick % 16 == 15 || list.is_empty() {
        return Picked {
            handle: invented[n % invented.len()],
            is_bad: true,
        };
    }
    let made = list[list.len() - 1 - n % list.len()];
    // Only a host of B that is known to be one binds what is made to its maker.
    let is_foreign = generation() == Generation::B && ctx.is_some_and(|c| c.handle != made.maker);
    Picked {
        handle: made.number,
        is_bad: made.is_dead || is_foreign,
    }
}
