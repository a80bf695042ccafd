//! What a host does with several models: loads under names, swaps, versions, loads in the background.
//!
//! Other calls, from inside a callback or of another thread, may change what serves between any two of them.

use std::ffi::c_void;
use std::ptr::null_mut;

use crate::argument::{File, Name, Number};
use crate::c::{self, INVALID_ARGUMENT, RUNTIME_ERROR, SUCCESS, TIMEOUT, TOO_LARGE};
use crate::call::{self, ModelCall, NO_CONFIG, Output, Watch};
use crate::host::Host;
use crate::memory::Fenced;
use crate::outcome::{check_bad, check_code, check_word};
use crate::report::{SIZED, long_text, sized};

/// For how long a load is waited for, in milliseconds. Every load ends, so that the last one is no wait for ever.
const PATIENCE: [u32; 8] = [0, 0, 1, 5, 20, 50, 200, u32::MAX];

/// The phases that a load is told to be in.
const PHASES: [&str; 5] = ["waiting", "reading", "draining", "loading", "ended"];

/// A progress callback's own data: how many steps it lets pass, and what it does at the first one.
struct Watcher<'a> {
    host: &'a Host<'a>,
    /// The pick that gave the backend.
    pick: u8,
    ctx: usize,
    watch: Watch,
}

impl Host<'_> {
    /// Makes one call about several models.
    pub fn call_about_models(&self, call: &ModelCall) {
        match *call {
            ModelCall::LoadNamed {
                ctx,
                name,
                file,
                config,
                watch,
                place,
            } => self.load_named(ctx, name, (file, config), watch, place),
            ModelCall::Swap {
                ctx,
                graph,
                file,
                config,
                watch,
                place,
            } => self.swap(ctx, graph, file, config, watch, place),
            ModelCall::RollBack { ctx, graph, place } => self.roll_back(ctx, graph, place),
            ModelCall::Compare {
                ctx,
                graph,
                file,
                config,
                output,
            } => self.compare(ctx, graph, (file, config), output),
            ModelCall::UnloadGraph { ctx, graph, will } if will % 2 == 0 => {
                self.unload_graph(ctx, graph);
            }
            ModelCall::UnloadGraph { .. } => {}
            ModelCall::UseGraph {
                ctx,
                context,
                graph,
            } => self.use_graph(ctx, context, graph),
            ModelCall::BeginLoad {
                ctx,
                name,
                file,
                config,
                place,
            } => self.begin_load(ctx, name, (file, config), place),
            ModelCall::GetLoad { ctx, load, output } => self.get_load(ctx, load, output),
            ModelCall::AwaitLoad {
                ctx,
                load,
                patience,
                place,
            } => self.await_load(ctx, load, patience, place),
            ModelCall::CancelLoad { ctx, load } => self.cancel_load(ctx, load),
        }
    }

    pub fn load_named(&self, ctx: u8, name: u8, (file, config): (u8, u8), watch: Watch, place: u8) {
        const FUNCTION: &str = "wasi_nn_load_model";
        let (name, file) = (Name::new(name), File::new(file));
        if file.is_model && !self.world.may_load() {
            return;
        }
        self.world.tried();
        let pick = ctx;
        let ctx = self.world.backend(pick);
        let mut watcher = Watcher {
            host: self,
            pick,
            ctx: ctx.handle,
            watch,
        };
        let (callback, user_data) = watcher.lent();
        let text = call::lent(call::config(config));
        let number = Number::new(place);
        // SAFETY: name, path and text of these lengths or ones that end before memory that cannot be read; a place or
        // none; a callback with its own data.
        let code = unsafe {
            c::wasi_nn_load_model(
                ctx.handle,
                name.at,
                name.len,
                file.path.at(),
                file.len,
                text.0,
                text.1,
                callback,
                user_data,
                number.at,
            )
        };
        check_code(FUNCTION, code, c::LOAD);
        let is_bad = number.is_bad();
        check_bad(
            FUNCTION,
            code,
            [ctx.is_bad, name.is_bad, file.is_bad, is_bad],
        );
        file.check(FUNCTION, code);
        self.check_loaded(FUNCTION, code, &number, ctx.handle);
    }

    pub fn swap(&self, ctx: u8, graph: u8, file: u8, config: u8, watch: Watch, place: u8) {
        const FUNCTION: &str = "wasi_nn_swap_model";
        let file = File::new(file);
        if file.is_model && !self.world.may_load() {
            return;
        }
        self.world.tried();
        let pick = ctx;
        let ctx = self.world.backend(pick);
        let mut watcher = Watcher {
            host: self,
            pick,
            ctx: ctx.handle,
            watch,
        };
        let (callback, user_data) = watcher.lent();
        let graph = self.world.model(graph, ctx);
        let text = call::lent(call::config(config));
        let number = Number::new(place);
        // SAFETY: path and text of these lengths or ones that end before memory that cannot be read; a place or none; a
        // callback with its own data.
        let code = unsafe {
            c::wasi_nn_swap_model(
                ctx.handle,
                graph.handle,
                file.path.at(),
                file.len,
                text.0,
                text.1,
                callback,
                user_data,
                number.at,
            )
        };
        check_code(FUNCTION, code, c::LOAD);
        let is_bad = graph.is_bad || file.is_bad || number.is_bad();
        check_bad(FUNCTION, code, [ctx.is_bad, is_bad]);
        file.check(FUNCTION, code);
        if code == SUCCESS {
            self.world.ended(graph.handle);
        }
        self.check_loaded(FUNCTION, code, &number, ctx.handle);
    }

    pub fn roll_back(&self, ctx: u8, graph: u8, pick: u8) {
        const FUNCTION: &str = "wasi_nn_roll_back_model";
        if !self.world.may_load() {
            return;
        }
        self.world.tried();
        let ctx = self.world.backend(ctx);
        let graph = self.world.model(graph, ctx);
        let number = Number::new(pick);
        // SAFETY: numbers, a place or none.
        let code = unsafe { c::wasi_nn_roll_back_model(ctx.handle, graph.handle, number.at) };
        check_code(FUNCTION, code, c::LOAD);
        check_bad(FUNCTION, code, [ctx.is_bad, graph.is_bad, number.is_bad()]);
        if code == SUCCESS {
            self.world.ended(graph.handle);
        }
        self.check_loaded(FUNCTION, code, &number, ctx.handle);
    }

    fn compare(&self, ctx: u8, graph: u8, (file, config): (u8, u8), output: Output) {
        const FUNCTION: &str = "wasi_nn_compare_model";
        const DOCUMENTED: &[u32] = &[SUCCESS, INVALID_ARGUMENT, RUNTIME_ERROR, TOO_LARGE];
        let file = File::new(file);
        let ctx = self.world.backend(ctx);
        let graph = self.world.model(graph, ctx);
        let text = call::lent(call::config(config));
        let is_bad = ctx.is_bad || graph.is_bad || file.is_bad;
        let sizes = long_text(output);
        let written = sized(FUNCTION, output, sizes, DOCUMENTED, is_bad, |at, size| {
            let path = file.path.at();
            // SAFETY: path and text of these lengths or ones that end before memory that cannot be read; a buffer and
            // its size, or addresses that are no memory.
            let code = unsafe {
                c::wasi_nn_compare_model(
                    ctx.handle,
                    graph.handle,
                    path,
                    file.len,
                    text.0,
                    text.1,
                    at,
                    size,
                )
            };
            file.check(FUNCTION, code);
            code
        });
        let Some(written) = written else { return };
        let report = object(FUNCTION, &written);
        for key in ["model", "label", "profile", "comparison"] {
            assert!(report.get(key).is_some(), "no {key} in {written}");
        }
    }

    pub fn unload_graph(&self, ctx: u8, graph: u8) {
        const FUNCTION: &str = "wasi_nn_unload_graph";
        let ctx = self.world.backend(ctx);
        let graph = self.world.model(graph, ctx);
        // SAFETY: numbers.
        let code = unsafe { c::wasi_nn_unload_graph(ctx.handle, graph.handle) };
        check_code(FUNCTION, code, &[SUCCESS, INVALID_ARGUMENT]);
        check_bad(FUNCTION, code, [ctx.is_bad, graph.is_bad]);
        if code == SUCCESS {
            self.world.ended(graph.handle);
        }
    }

    fn use_graph(&self, ctx: u8, context: u8, graph: u8) {
        const FUNCTION: &str = "wasi_nn_use_graph";
        let (ctx, context) = (self.world.backend(ctx), self.world.context(context));
        let graph = self.world.model(graph, ctx);
        // SAFETY: numbers.
        let code = unsafe { c::wasi_nn_use_graph(ctx.handle, context.handle, graph.handle) };
        check_code(FUNCTION, code, &[SUCCESS, INVALID_ARGUMENT]);
        check_bad(FUNCTION, code, [ctx.is_bad, context.is_bad, graph.is_bad]);
    }

    fn begin_load(&self, ctx: u8, name: u8, (file, config): (u8, u8), pick: u8) {
        const FUNCTION: &str = "wasi_nn_begin_load";
        let (name, file) = (Name::new(name), File::new(file));
        if file.is_model && !self.world.may_load() {
            return;
        }
        let ctx = self.world.backend(ctx);
        // Gone once the call is over, while the load goes on.
        let config = Fenced::holding(call::config(config).unwrap_or_default().as_bytes());
        let config_len = config.bytes().len() as u32;
        let number = Number::new(pick);
        // SAFETY: name, path and text of these lengths or ones that end before memory that cannot be read; a place or
        // none.
        let code = unsafe {
            c::wasi_nn_begin_load(
                ctx.handle,
                name.at,
                name.len,
                file.path.at(),
                file.len,
                config.at(),
                config_len,
                number.at,
            )
        };
        check_code(FUNCTION, code, &[SUCCESS, INVALID_ARGUMENT]);
        let is_bad_name = name.is_bad && !name.is_none;
        check_bad(
            FUNCTION,
            code,
            [ctx.is_bad, is_bad_name, file.is_bad, !number.is_right],
        );
        if let Some(load) = check_word(FUNCTION, code, &number.word, number.is_right) {
            self.world.began(load, ctx.handle, file.is_model);
        }
        let is_good = !is_bad_name && !file.is_bad && number.is_right;
        assert!(
            ctx.is_bad || !is_good || !self.world.is_alone || code == SUCCESS,
            "a load did not begin"
        );
    }

    fn get_load(&self, ctx: u8, load: u8, output: Output) {
        const FUNCTION: &str = "wasi_nn_get_load";
        let ctx = self.world.backend(ctx);
        let load = self.world.load(load, ctx);
        let is_bad = ctx.is_bad || load.is_bad;
        let text = sized(
            FUNCTION,
            output,
            output.claimed_and_backed(),
            SIZED,
            is_bad,
            |at, size| {
                // SAFETY: a buffer and its size, or addresses that are no memory.
                unsafe { c::wasi_nn_get_load(ctx.handle, load.handle, at, size) }
            },
        );
        let Some(text) = text else { return };
        let state = object(FUNCTION, &text);
        let phase = state["phase"].as_str().unwrap_or_default();
        let progress = state["progress"].as_f64().unwrap_or(f64::NAN);
        assert!(PHASES.contains(&phase), "{text}");
        assert!((0.0..=1.0).contains(&progress), "{text}");
        let (graph, error) = (state["graph"].as_u64(), state["error"].as_str());
        let results = usize::from(graph.is_some()) + usize::from(error.is_some());
        assert_eq!(results, usize::from(phase == "ended"), "{text}");
        assert_eq!(state["load"].as_u64(), Some(load.handle.into()), "{text}");
        if let Some(graph) = graph {
            self.world.arrived(load.handle, graph as u32);
        }
    }

    fn await_load(&self, ctx: u8, load: u8, patience: u8, pick: u8) {
        const FUNCTION: &str = "wasi_nn_await_load";
        let ctx = self.world.backend(ctx);
        let load = self.world.load(load, ctx);
        let patience = PATIENCE[usize::from(patience) % PATIENCE.len()];
        let number = Number::new(pick);
        // SAFETY: numbers, a place or none.
        let code = unsafe { c::wasi_nn_await_load(ctx.handle, load.handle, patience, number.at) };
        check_code(
            FUNCTION,
            code,
            &[SUCCESS, INVALID_ARGUMENT, TIMEOUT, RUNTIME_ERROR],
        );
        check_bad(FUNCTION, code, [ctx.is_bad, load.is_bad, number.is_bad()]);
        assert!(
            patience < u32::MAX || code != TIMEOUT,
            "{FUNCTION} did not wait"
        );
        if let Some(graph) = check_word(FUNCTION, code, &number.word, number.is_right) {
            self.world.arrived(load.handle, graph);
        }
    }

    fn cancel_load(&self, ctx: u8, load: u8) {
        const FUNCTION: &str = "wasi_nn_cancel_load";
        let ctx = self.world.backend(ctx);
        let load = self.world.load(load, ctx);
        // SAFETY: numbers.
        let code = unsafe { c::wasi_nn_cancel_load(ctx.handle, load.handle) };
        check_code(FUNCTION, code, &[SUCCESS, INVALID_ARGUMENT]);
        check_bad(FUNCTION, code, [ctx.is_bad, load.is_bad]);
        assert!(
            code == SUCCESS || ctx.is_bad || !self.world.is_remembered(load),
            "the load {} is forgotten",
            load.handle
        );
    }

    /// Notes the model that a load gave, where its number was wanted.
    fn check_loaded(&self, function: &str, code: u32, number: &Number, owner: usize) {
        if let Some(graph) = check_word(function, code, &number.word, number.is_right) {
            self.world.loaded(graph, owner);
        }
    }
}

impl Watcher<'_> {
    /// The callback and its data; without steps there is none.
    fn lent(&mut self) -> (Option<c::OnProgress>, *mut c_void) {
        match self.watch.steps {
            0 => (None, null_mut()),
            _ => (Some(on_part), (&raw mut *self).cast()),
        }
    }
}

/// Does what its watcher does inside, and cancels when its steps are used up.
unsafe extern "C" fn on_part(user_data: *mut c_void, part: f32) -> i32 {
    assert!((0.0..=1.0).contains(&part), "progress of {part}");
    assert!(!user_data.is_null(), "a callback without its data");
    // SAFETY: the watcher that the caller of the load passed with this function.
    let watcher = unsafe { &mut *user_data.cast::<Watcher<'_>>() };
    let (host, pick) = (watcher.host, watcher.pick);
    let Watch { act, context, .. } = watcher.watch;
    // Once is enough.
    watcher.watch.act = u8::MAX;
    match act % 32 {
        0 => {
            // SAFETY: a number.
            let code = unsafe { c::deinit_backend(watcher.ctx) };
            assert_eq!(
                code, INVALID_ARGUMENT,
                "a backend ended inside its callback"
            );
        }
        1 => host.use_graph(pick, context, context),
        2 => host.unload_graph(pick, context),
        3 => host.swap(pick, context, context, NO_CONFIG, Watch::NONE, 0),
        4 => host.roll_back(pick, context, 0),
        5 => host.cancel_load(pick, context),
        6 => host.await_load(pick, context, context, 0),
        7 => host.begin_load(pick, context, (context, NO_CONFIG), 0),
        8 => host.compute(pick, context),
        9 => host.usage(pick, context, 0, 0),
        10 => host.count(pick, b"text", 0, (0, 0)),
        _ => {}
    }
    watcher.watch.steps = watcher.watch.steps.saturating_sub(1);
    i32::from(watcher.watch.steps == 0)
}

/// The members of a JSON object.
fn object(function: &str, text: &str) -> serde_json::Map<String, serde_json::Value> {
    let read = serde_json::from_str(text);
    read.unwrap_or_else(|e| panic!("{function}: {e} in {text}"))
}
