//! Figures of conversations. No name of one is among them.

use super::super::exposition::Kind::{Counter, Gauge};
use super::Family;

/// The rows, in the order of the page.
pub static ROWS: &[Family] = &[
    Family::new(
        Gauge,
        "wasi_nn_sessions",
        &["kind"],
        "Conversations: anonymous ones, named ones with an open context, named ones that are kept without.",
        |f, out| {
            out.put(&["anonymous"], f.sessions.open_anonymous);
            out.put(&["named"], f.sessions.open_named);
            out.put(&["detached"], f.sessions.detached_named);
        },
    ),
    Family::new(
        Gauge,
        "wasi_nn_sessions_limit",
        &["kind"],
        "Conversations that there may be: anonymous ones, named ones with and without a context.",
        |f, out| {
            out.put(&["anonymous"], f.sessions.max_concurrent);
            out.put(&["named"], f.sessions.max_sessions);
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_session_evictions_total",
        &["reason"],
        "Conversations that were cleaned up.",
        |f, out| {
            out.put(&["idle"], f.sessions.evictions.idle);
            out.put(&["limit"], f.sessions.evictions.limit);
            out.put(&["reclaimed"], f.sessions.evictions.reclaimed);
        },
    ),
    Family::new(
        Counter,
        "wasi_nn_sessions_refused_total",
        &[],
        "Conversations that were refused for want of memory.",
        |f, out| out.put(&[], f.memory.pressure.refused_sessions),
    ),
];
