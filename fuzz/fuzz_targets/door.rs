#![no_main]
//! Random call sequences on the C door.
//!
//! A host calls the exported functions with handles that are alive, stale or invented, with memory that ends where it
//! says or does not exist, from one thread or two, and checks after each call that the code is one that the manual names,
//! that outputs are written as the manual says, and that nothing else is. A panic anywhere inside the library is a
//! finding, even one that the border would have caught.

#[path = "door/argument.rs"]
mod argument;
#[path = "door/c.rs"]
mod c;
#[path = "door/call.rs"]
mod call;
#[path = "door/host.rs"]
mod host;
#[path = "door/memory.rs"]
mod memory;
#[path = "door/models.rs"]
mod models;
#[path = "door/outcome.rs"]
mod outcome;
#[path = "door/report.rs"]
mod report;
#[path = "door/turn.rs"]
mod turn;
#[path = "door/world.rs"]
mod world;

use std::sync::LazyLock;

// For its exported symbols: `c` declares them as a host does.
use c_door as _;
use libfuzzer_sys::fuzz_target;

use call::{Plan, Step};
use host::Host;
use world::World;

fuzz_target!(init: prepare(), |plan: Plan| {
    let world = World::new(!plan.has_second_thread);
    let host = Host { world: &world };
    if let Some(config) = plan.ready {
        host.make_ready(config);
    }
    std::thread::scope(|scope| {
        if plan.has_second_thread {
            scope.spawn(|| make(&world, &plan.second));
        }
        make(&world, &plan.first);
    });
    host.leave();
});

fn make(world: &World, steps: &[Step]) {
    let host = Host { world };
    for step in steps {
        match step {
            Step::Call(call) => host.call(call),
            Step::Models(call) => host.call_about_models(call),
        }
    }
}

fn prepare() {
    // The program has a logger of its own, so the library's lines come here: they are made and thrown away.
    log::set_logger(&Formatting).expect("nobody has set a logger before");
    log::set_max_level(log::LevelFilter::Trace);
    LazyLock::force(&world::MODEL);
    LazyLock::force(&world::OTHER_MODEL);
    // The library puts its own hook for panics in place with its first backend: the fuzzer's must be the last.
    let abort = std::panic::take_hook();
    let world = World::new(true);
    let host = Host { world: &world };
    host.make_ready(0);
    host.leave();
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
