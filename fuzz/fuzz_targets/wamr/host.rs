//! A host: makes each call with things in the memory of a guest and judges the outcome.
//!
//! Loads are in `loads`, whole turns in `turn`, streamed ones and the other native functions in `single`.

use std::ops::Range;

use crate::abi::{self, BUSY, Generation, INVALID_ARGUMENT, NOT_FOUND, RUNTIME_ERROR, SUCCESS};
use crate::call::{Call, Config, Name, Text};
use crate::memory::{FILL, Memory, Place};
use crate::single;
use crate::world::{Picked, World};

/// One thread of a host, with a guest.
pub struct Host<'a> {
    pub world: &'a World,
    pub memory: &'a Memory,
    pub generation: Generation,
    pub native: abi::Native,
}

/// What is said of a call before its outcome is known.
pub struct Case<'a> {
    pub function: &'static str,
    pub documented: &'a [u32],
    /// It cannot succeed.
    pub is_bad: bool,
}

impl<'a> Host<'a> {
    pub fn new(world: &'a World, memory: &'a Memory) -> Host<'a> {
        Host {
            world,
            memory,
            generation: abi::generation(),
            native: single::table(),
        }
    }

    /// Makes one call.
    pub fn call(&self, call: &Call) {
        self.memory.clear();
        match call {
            Call::Init { place } => self.init(*place),
            Call::Deinit { ctx, will } if will % 4 == 0 => self.deinit(*ctx),
            Call::LoadBytes {
                ctx,
                bytes,
                hints,
                config,
                place,
            } => self.load_bytes(*ctx, bytes, *hints, config, *place),
            Call::LoadByName {
                ctx,
                name,
                config,
                is_late,
                place,
            } => match config {
                Some(config) => self.load_with_config(*ctx, name, config, *place),
                None => self.load_by_name(*ctx, name, *is_late, *place),
            },
            Call::Open { ctx, graph, place } => self.open(*ctx, *graph, *place),
            Call::SetPrompt {
                ctx,
                context,
                index,
                text,
                shape,
            } => self.set_prompt(*ctx, *context, *index, &text.0, shape),
            Call::SetMetadata {
                ctx,
                context,
                config,
                shape,
            } => self.set_metadata(*ctx, *context, config, shape),
            Call::Compute { ctx, context } => self.compute(*ctx, *context),
            Call::GetOutput {
                ctx,
                context,
                index,
                output,
            } => self.get_output(*ctx, *context, *index, output),
            Call::Single { context, times } => self.compute_single(*context, *times),
            Call::GetSingle {
                context,
                index,
                output,
            } => self.get_single(*context, *index, output),
            Call::FinishSingle { context } => self.finish_single(*context),
            Call::Unload { graph, will } if will % 4 == 0 => self.unload(*graph),
            Call::Finalize { context, will } if will % 4 == 0 => self.finalize(*context),
            Call::Deinit { .. } | Call::Unload { .. } | Call::Finalize { .. } => {}
            Call::AskForTable { module, symbols } => self.ask_for_table(*module, *symbols),
        }
    }

    /// An instance with a graph and a context, or what came of trying.
    pub fn make_ready(&self) {
        self.memory.clear();
        self.init(0);
        let (name, config) = (Name::GOOD, Config::GOOD);
        self.memory.clear();
        self.load_with_config(0, &name, &config, 0);
        self.memory.clear();
        self.open(0, 0, 0);
    }

    /// The graph of a load without settings.
    pub fn load_without_config(&self) {
        self.memory.clear();
        self.load_by_name(0, &Name::GOOD, false, 0);
    }

    /// Ends what is left; all of it is alive, since nobody else calls any more.
    pub fn leave(&self) {
        for handle in self.world.instances() {
            // SAFETY: numbers only.
            let codes = unsafe { (abi::deinit_backend(handle), abi::deinit_backend(handle)) };
            assert_eq!(
                codes,
                (SUCCESS, INVALID_ARGUMENT),
                "the last deinit_backend, and one more"
            );
            self.world.ended(handle);
        }
        // What was made through stale ctxs belongs to nobody.
        let (graphs, contexts) = self.world.left();
        for context in contexts {
            // SAFETY: numbers only.
            let code = unsafe { (self.native.finalize)(0, context) };
            assert_eq!(code, SUCCESS, "the context {context} is not there");
        }
        for graph in graphs {
            // SAFETY: numbers only.
            let code = unsafe { (self.native.unload)(0, graph) };
            assert_eq!(code, SUCCESS, "the graph {graph} is not there");
        }
    }

    fn init(&self, pick: u8) {
        let place = self.memory.room(pick, size_of::<usize>());
        let before = self.memory.snapshot();
        // SAFETY: a place for a handle or none.
        let code = unsafe { abi::init_backend(place.at) };
        self.check(
            &Case {
                function: "init_backend",
                documented: &[INVALID_ARGUMENT],
                is_bad: !place.is_right,
            },
            code,
        );
        let written = place.at..place.at.wrapping_add(8);
        if code != SUCCESS {
            return self.check_changes("init_backend", &before, &[]);
        }
        self.check_changes("init_backend", &before, &[written]);
        let bytes = self.memory.read(place.at, 8);
        let handle = usize::from_le_bytes(bytes.try_into().expect("eight bytes"));
        self.world.began(handle);
    }

    fn deinit(&self, ctx: u8) {
        let ctx = self.world.instance(ctx);
        // SAFETY: a number.
        let code = unsafe { abi::deinit_backend(ctx.handle) };
        self.check(
            &Case {
                function: "deinit_backend",
                documented: &[INVALID_ARGUMENT],
                is_bad: ctx.is_bad,
            },
            code,
        );
        if code == SUCCESS {
            self.world.ended(ctx.handle);
        }
        assert!(
            ctx.is_bad || !self.world.is_alone || code == SUCCESS,
            "a live instance was not ended"
        );
    }

    fn open(&self, ctx: u8, graph: u8, pick: u8) {
        if !self.world.may_open() {
            return;
        }
        let ctx = self.world.instance(ctx);
        let graph = self.world.graph(graph, Some(ctx));
        let place = self.memory.room(pick, 4);
        let before = self.memory.snapshot();
        // SAFETY: numbers, and a place or none.
        let code = unsafe { abi::init_execution_context(ctx.handle, graph.handle, place.at) };
        let name = "init_execution_context";
        self.check(
            &Case {
                function: name,
                documented: &[INVALID_ARGUMENT, RUNTIME_ERROR, NOT_FOUND],
                is_bad: self.is_refused(ctx) || graph.is_bad || !place.is_right,
            },
            code,
        );
        if self.world.is_alone && graph.is_bad && place.is_right && !ctx.is_bad {
            assert_eq!(code, NOT_FOUND, "a graph that is not there");
        }
        if let Some(number) = self.number(name, code, place, &before) {
            self.world.opened(number, ctx);
        }
    }

    /// Whether a host of this generation is known to insist on the ctx of its calls, and this is none.
    pub fn is_refused(&self, ctx: Picked<usize>) -> bool {
        ctx.is_bad && self.generation == Generation::B
    }

    /// Whether this ctx may be insisted on: what the library knows of an open host changes with the first output.
    pub fn may_be_refused(&self, ctx: Picked<usize>) -> bool {
        ctx.is_bad && self.generation != Generation::A
    }

    /// The outcome is one that the manual names, and no success where there can be none.
    pub fn check(&self, case: &Case, code: u32) {
        // Two threads may want the same context; an instance may end under a call.
        let is_crowded =
            !self.world.is_alone && matches!(code, BUSY | INVALID_ARGUMENT | NOT_FOUND);
        let function = case.function;
        assert!(
            code == SUCCESS || case.documented.contains(&code) || is_crowded,
            "{function} answered {code}"
        );
        if self.world.is_calm {
            assert!(
                !case.is_bad || code != SUCCESS,
                "{function} took what cannot be used"
            );
        }
    }

    /// Only these bytes of the guest's memory were written.
    pub fn check_changes(&self, function: &str, before: &[u64], allowed: &[Range<usize>]) {
        if self.world.is_calm {
            self.memory.check_changes(function, before, allowed);
        }
    }

    /// A number is written on success and only then; it is returned.
    pub fn number(&self, function: &str, code: u32, place: Place, before: &[u64]) -> Option<u32> {
        if code != SUCCESS || !place.is_right {
            self.check_changes(function, before, &[]);
            return None;
        }
        self.check_changes(function, before, &[place.at..place.at + 4]);
        let number = self.memory.word(place.at);
        assert!(
            number != u32::from_le_bytes([FILL; 4]),
            "{function} wrote no number"
        );
        Some(number)
    }

    /// Lays a text down, and its length beside it: mostly the true one.
    pub fn text(&self, pick: u8, text: &[u8], lie: u8) -> (Place, u32, bool) {
        let place = self.memory.lay(pick, text);
        let (len, is_true) = crate::call::lie(lie, text.len());
        (place, len, is_true)
    }
}

impl Text {
    pub const NONE: Text = Text(Vec::new());
}
