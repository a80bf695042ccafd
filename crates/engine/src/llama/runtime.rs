//! What llama.cpp needs once per process, and what it says about itself and this machine.
//!
//! Knows no model. The initialisation is never undone: other models and other users of the library may be running.

use std::collections::HashSet;
use std::ffi::CStr;
use std::sync::{Once, OnceLock};

use llama_cpp_sys_2 as sys;

use super::log as llama_log;

static INIT: Once = Once::new();

/// How memory and threads are spread over NUMA nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numa {
    /// Left to the system.
    Disabled,
    /// Spread over all nodes.
    Distribute,
    /// Kept on the node where the process started.
    Isolate,
    /// As given by `numactl`.
    Numactl,
}

/// Initialises llama.cpp and routes its log lines. Idempotent, any thread; a second caller waits for the first.
pub(crate) fn init() {
    init_numa(Numa::Disabled);
}

/// As `init`, with a NUMA strategy. The first call of either decides; later strategies are ignored.
pub(crate) fn init_numa(strategy: Numa) {
    INIT.call_once(|| {
        llama_log::install();
        // SAFETY: called once per process, before any other function that needs it.
        unsafe { sys::llama_backend_init() };
        let strategy = match strategy {
            Numa::Disabled => return,
            Numa::Distribute => sys::GGML_NUMA_STRATEGY_DISTRIBUTE,
            Numa::Isolate => sys::GGML_NUMA_STRATEGY_ISOLATE,
            Numa::Numactl => sys::GGML_NUMA_STRATEGY_NUMACTL,
        };
        // SAFETY: the backends are registered by the line above, so the CPU device that it asserts exists.
        unsafe { sys::llama_numa_init(strategy) };
    });
}

/// The instruction sets that this build uses and finds, one line, as llama.cpp prints it.
pub(crate) fn system_info() -> String {
    // llama.cpp fills one static buffer at each call, so it is asked once.
    static INFO: OnceLock<String> = OnceLock::new();
    INFO.get_or_init(|| {
        init();
        // SAFETY: returns a static NUL-terminated buffer; this is its only caller.
        let text = unsafe { CStr::from_ptr(sys::llama_print_system_info()) };
        let text = text.to_string_lossy();
        text.trim().trim_end_matches('|').trim_end().to_owned()
    })
    .clone()
}

/// llama.cpp's own version, such as `b8000`.
pub(crate) fn version() -> String {
    // SAFETY: returns a static NUL-terminated string.
    let text = unsafe { CStr::from_ptr(sys::llama_version()) };
    text.to_string_lossy().into_owned()
}

/// Whether this build and this machine offer a device that layers can be moved to.
pub(crate) fn supports_gpu() -> bool {
    init();
    // SAFETY: no arguments; reads the registry of devices.
    unsafe { sys::llama_supports_gpu_offload() }
}

/// The most sequences that one context can hold.
pub(crate) fn max_sequences() -> u32 {
    // SAFETY: no arguments; returns a constant of the build.
    let count = unsafe { sys::llama_max_parallel_sequences() };
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The cores of this machine without their hyper-threads, at most what this process may use.
///
/// Read from `/sys`, counted as distinct sets of sibling threads; at least 1.
pub(crate) fn physical_cores() -> u32 {
    let usable = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut cores = HashSet::new();
    let cpus = std::fs::read_dir("/sys/devices/system/cpu");
    for cpu in cpus.into_iter().flatten().flatten() {
        // An entry without the file is no processor, or one that is offline.
        let siblings = cpu.path().join("topology/thread_siblings_list");
        if let Ok(siblings) = std::fs::read_to_string(siblings) {
            cores.insert(siblings);
        }
    }
    let count = match cores.len() {
        0 => usable,
        count => count.min(usable),
    };
    u32::try_from(count).unwrap_or(1).max(1)
}

/// Gives freed memory back to the system. After the first large buffer is freed, glibc keeps later ones of that size in
/// its arenas: a process that swaps models would grow with every version.
pub(crate) fn give_back_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes no pointers, may be called from any thread at any time, and locks what it walks.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn initialisation_may_be_asked_for_by_many_threads() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(init);
            }
        });
        init_numa(Numa::Isolate);
        assert!(system_info().contains("CPU"), "{}", system_info());
        assert!(!version().is_empty());
    }

    #[test]
    fn the_machine_has_at_least_one_core_and_one_sequence() {
        let usable = std::thread::available_parallelism().unwrap().get() as u32;
        assert!((1..=usable).contains(&physical_cores()));
        assert!(max_sequences() >= 1);
    }
}
