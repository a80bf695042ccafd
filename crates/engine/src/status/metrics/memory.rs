//! Figures of memory: cells, bytes, what is saved elsewhere, and pressure.

use super::super::exposition::Kind::{Counter, Gauge};
use super::Family;
use crate::scheduler::{Hit, Miss};

/// The rows, in the order of the page.
pub static ROWS: &[Family] = &[
    Family::new(
        Gauge,
        "wasi_nn_kv_cells",
        &["state"],
        "KV cells, used and free.",
        |f, out| {
            let (all, used) = (f.memory.cache_tokens_limit, f.memory.cache_tokens);
            out.put(&["used"], used);
            out.put(&["free"], all.saturating_sub(used));
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_kv_idle_tokens",
        &[],
        "Tokens in sequences without a running turn; several may share a cell.",
        |f, out| out.put(&[], f.memory.cache_tokens_idle),
    ),
    Family::new(
        Counter,
        "wasi_nn_kv_reuse_total",
        &["place"],
        "Turns that found tokens of theirs: in their own cells, shared with others, kept in memory, kept in a file.",
        |f, out| {
            for hit in Hit::ALL {
                out.put(&[hit.name()], f.totals.reuse.hits(hit));
            }
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_kv_misses_total",
        &["reason"],
        "Turns that evaluated something of their past again.",
        |f, out| {
            for miss in Miss::ALL {
                out.put(&[miss.name()], f.totals.reuse.misses(miss));
            }
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_kv_events_total",
        &["event"],
        "What happened to cells: sequences evicted, spilled and restored, packed and moved; turns displaced; turns \
         that followed an equal beginning; conversations shifted; saved ones dropped.",
        |f, out| {
            out.put(&["evicted"], f.memory.evictions);
            out.put(&["spilled"], f.memory.spills);
            out.put(&["restored"], f.memory.restores);
            out.put(&["packed"], f.memory.packed);
            out.put(&["moved"], f.memory.moves);
            out.put(&["displaced"], f.memory.displaced);
            out.put(&["followed"], f.memory.followed);
            out.put(&["shifted"], f.memory.shifts);
            out.put(&["dropped"], f.memory.dropped);
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_accounting_errors_total",
        &[],
        "Decode calls that found no cells although the accounting had them: a bug, if it is not 0.",
        |f, out| out.put(&[], f.memory.accounting_errors),
    ),
    Family::new(
        Gauge,
        "wasi_nn_memory_bytes",
        &["kind"],
        "Bytes of weights, KV cells, compute buffers, the context of deterministic turns, and conversations' texts.",
        |f, out| {
            out.put(&["weights"], f.memory.weights_bytes);
            out.put(&["cells"], f.memory.cache_bytes);
            out.put(&["compute"], f.memory.compute_bytes);
            out.put(&["deterministic"], f.memory.deterministic_bytes);
            out.put(&["history"], f.memory.history_bytes);
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_saved_sessions",
        &["tier"],
        "Idle conversations whose cells are kept outside of the context.",
        |f, out| {
            out.put(&["ram"], f.memory.ram.sessions);
            out.put(&["disk"], f.memory.disk.sessions);
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_saved_bytes",
        &["tier"],
        "Bytes of their cells; leaving are those in memory on their way to the disk.",
        |f, out| {
            out.put(&["ram"], f.memory.ram.bytes);
            out.put(&["leaving"], f.memory.ram.leaving_bytes);
            out.put(&["disk"], f.memory.disk.bytes);
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_saved_limit_bytes",
        &["tier"],
        "Bytes that they may take.",
        |f, out| {
            out.put(&["ram"], f.memory.ram.limit_bytes);
            out.put(&["disk"], f.memory.disk.limit_bytes);
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_saved_files_total",
        &["event"],
        "Files of cells: written, read back, attempts to write that failed, unreadable and damaged ones.",
        |f, out| {
            let disk = &f.memory.disk;
            out.put(&["written"], disk.written);
            out.put(&["read"], disk.read);
            out.put(&["failed_write"], disk.failed_writes);
            out.put(&["unreadable"], disk.unreadable);
            out.put(&["damaged"], disk.damaged);
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_memory_pressure_level",
        &[],
        "What must give way, each with those before it: 0 nothing, 1 saved cells, 2 half of the idle cells, 3 all of \
         them, 4 new conversations.",
        |f, out| out.put(&[], f.memory.pressure.rank),
    ),
    Family::new(
        Counter,
        "wasi_nn_memory_pressure_changes_total",
        &[],
        "Changes of the level of memory pressure.",
        |f, out| out.put(&[], f.memory.pressure.changes),
    ),
    Family::new(
        Gauge,
        "wasi_nn_memory_limit_used_bytes",
        &["limit"],
        "Bytes that count against a limit that is watched.",
        |f, out| {
            for limit in &f.memory.pressure.limits {
                out.put(&[limit.name], limit.used);
            }
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_memory_limit_bytes",
        &["limit"],
        "Bytes that there may be; 0 is no limit.",
        |f, out| {
            for limit in &f.memory.pressure.limits {
                out.put(&[limit.name], limit.limit);
            }
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_resident_bytes",
        &[],
        "Bytes of the process that are in memory, where the system says it.",
        |f, out| {
            if let Some(bytes) = f.memory.pressure.resident_bytes {
                out.put(&[], bytes);
            }
        },
    ),
];
