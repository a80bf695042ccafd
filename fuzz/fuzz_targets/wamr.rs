#![no_main]
//! Random call sequences on the WAMR door.
//!
//! A host calls the exported functions, and the native ones by the table that it is given, for guests whose memory is a
//! mapping between two fences: structs at odd addresses, across the fence or nowhere, lengths that lie, texts without a
//! NUL, handles that are alive, stale or invented, from one thread or two, with or without a third that rewrites the
//! memory meanwhile. After each call the host checks that the number is one that the manual names, that results are
//! written as it says, and that nothing else in the guest's memory is. A panic anywhere inside the library is a
//! finding, even one that the border would have caught.
//!
//! A process has one host, so its generation is chosen for the whole run: `WASI_NN_LLAMACPP_ABI` is 2.2 or 2.4, or is
//! not set, for a host of B that the library has to recognise.

#[path = "wamr/abi.rs"]
mod abi;
#[path = "wamr/call.rs"]
mod call;
#[path = "wamr/host.rs"]
mod host;
#[path = "wamr/loads.rs"]
mod loads;
#[path = "wamr/memory.rs"]
mod memory;
#[path = "wamr/single.rs"]
mod single;
#[path = "wamr/turn.rs"]
mod turn;
#[path = "wamr/world.rs"]
mod world;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use libfuzzer_sys::fuzz_target;
// For its exported symbols: `abi` declares them as a host does.
use wamr_door as _;

use call::Plan;
use host::Host;
use memory::Memory;
use world::World;

fuzz_target!(init: prepare(), |plan: Plan| {
    let world = World::new(!plan.has_second_thread, !plan.has_rewriter);
    let (first, second) = (Memory::new(), Memory::new());
    let host = Host::new(&world, &first);
    if plan.is_ready {
        host.make_ready();
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        if plan.has_rewriter {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    first.rewrite();
                }
            });
        }
        let beside = plan.has_second_thread.then(|| {
            scope.spawn(|| {
                let host = Host::new(&world, &second);
                plan.second.iter().for_each(|call| host.call(call));
            })
        });
        plan.first.iter().for_each(|call| host.call(call));
        let beside = beside.map(|thread| thread.join());
        is_over.store(true, Ordering::Relaxed);
        assert!(beside.is_none_or(|outcome| outcome.is_ok()));
    });
    host.leave();
});

fn prepare() {
    // The program has a logger of its own, so the library's lines come here: they are made and thrown away.
    log::set_logger(&Formatting).expect("nobody has set a logger before");
    log::set_max_level(log::LevelFilter::Trace);
    LazyLock::force(&world::MODEL);
    world::set_names();
    // The library puts its own hook for panics in place with its first instance: the fuzzer's must be the last.
    let abort = std::panic::take_hook();
    // This one is never ended: what it has loaded stays, so that loading costs a sequence little.
    let world = Box::leak(Box::new(World::new(true, true)));
    let memory = Box::leak(Box::new(Memory::new()));
    let host = Host::new(world, memory);
    host.make_ready();
    host.load_without_config();
    std::panic::set_hook(abort);
}

/// Makes every line and keeps none.
struct Formatting;

impl log::Log for Formatting {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        std::hint::black_box((record.args().to_string(), format!("{record:?}")));
    }

    fn flush(&self) {}
}
