//! The SESSIONS document: conversations, open and kept.

use schemars::JsonSchema;
use serde::Serialize;

/// Conversations, open and kept, with their limits.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Sessions {
    /// Anonymous contexts that may be open: `backend.max_concurrent`.
    pub max_concurrent: u32,
    /// Named conversations that are kept: `backend.max_sessions`.
    pub max_sessions: u32,
    /// Idle time in milliseconds after which a conversation may be cleaned up: `backend.idle_timeout_ms`.
    pub idle_timeout_ms: u64,
    /// Whether that is done when a context is opened: `backend.auto_cleanup`.
    pub auto_cleanup: bool,
    /// Open anonymous contexts.
    pub open_anonymous: u64,
    /// Named conversations with an open context.
    pub open_named: u64,
    /// Named conversations that are kept without one.
    pub detached_named: u64,
    /// Conversations that were cleaned up, since init.
    pub evictions: Evictions,
    /// All conversations, oldest first.
    pub sessions: Vec<Session>,
}

/// Conversations that were cleaned up, by reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Evictions {
    /// Named and idle for longer than `idle_timeout_ms`.
    pub idle: u64,
    /// Named and least recently used when there were `max_sessions`.
    pub limit: u64,
    /// Anonymous and idle for longer than `idle_timeout_ms` when there were `max_concurrent`.
    pub reclaimed: u64,
}

/// One conversation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Session {
    /// Its number, never given again in this process; the log names it too.
    pub id: u64,
    /// Its open context; null where it is kept without one.
    pub context: Option<u32>,
    /// `#` and 16 hexadecimal digits that stand for the host's name for it as long as the backend lives, or the name
    /// itself with `backend.session_names_in_status`; null for an anonymous one.
    pub name: Option<String>,
    /// Complete turns in its history.
    pub turns: u64,
    /// Tokens of it at its last turn.
    pub tokens: u64,
    /// Milliseconds since it was opened or one of its turns began or ended.
    pub idle_ms: u64,
    /// A turn runs or waits.
    pub busy: bool,
    /// Class of its next turns: 0 low, 1 normal, 2 high, 3 urgent.
    pub priority: u32,
}
