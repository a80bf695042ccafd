//! Section `backend`: limits on contexts, the queue and output buffers.

use serde_json::{Value, json};
use std::time::Duration;

use super::key::{Ints, Key, Kind, Section};
use super::reading::Reading;
use super::swap::{self, Swap};
use super::value::{Wrong, integer, type_of};

/// Limits on contexts, the queue and output buffers.
#[derive(Debug, Clone, PartialEq)]
pub struct BackendLimits {
    /// Named sessions kept, open or detached.
    pub max_sessions: u32,
    /// Idle time after which a session may be cleaned up.
    pub idle_timeout: Duration,
    /// Clean up when a context is opened; off: the limits refuse.
    pub auto_cleanup: bool,
    /// Open anonymous contexts.
    pub max_concurrent: u32,
    /// Turns waiting to run.
    pub queue_size: u32,
    /// Longest wait in the queue; never cuts a running turn.
    pub default_task_timeout: Duration,
    /// Turns of higher priority go first; off: in order of arrival.
    pub priority_scheduling_enabled: bool,
    /// Turns of one priority share by token cost; off: in order of arrival.
    pub fair_scheduling_enabled: bool,
    /// Waiting turns from which on the queue warns; at most `queue_reject_threshold`.
    pub queue_warning_threshold: u32,
    /// Waiting turns from which on the queue refuses; at most `queue_size`.
    pub queue_reject_threshold: u32,
    /// Expired turns leave the queue at once.
    pub auto_queue_cleanup: bool,
    /// How arguments 7 and 8 of `run_inference` are taken.
    pub run_inference_args: ArgumentsMode,
    /// Upper bound on every output capacity, in bytes; `None`: no bound.
    pub max_output_bytes: Option<usize>,
    /// How models share memory and take each other's place.
    pub swap: Swap,
    /// The SESSIONS status shows the host's names of conversations; off: what stands for them.
    pub session_names_in_status: bool,
}

impl Default for BackendLimits {
    fn default() -> Self {
        BackendLimits {
            max_sessions: 100,
            idle_timeout: Duration::from_millis(300_000),
            auto_cleanup: true,
            max_concurrent: 8,
            queue_size: 50,
            default_task_timeout: Duration::from_millis(30_000),
            priority_scheduling_enabled: true,
            fair_scheduling_enabled: true,
            queue_warning_threshold: 40,
            queue_reject_threshold: 50,
            auto_queue_cleanup: true,
            run_inference_args: ArgumentsMode::Auto,
            max_output_bytes: None,
            swap: Swap::default(),
            session_names_in_status: false,
        }
    }
}

/// How arguments 7 and 8 of `run_inference` are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentsMode {
    /// Only when the bytes prove to be a configuration.
    Auto,
    /// Never looked at.
    Six,
    /// Believed.
    Eight,
}

impl ArgumentsMode {
    /// The mode of the text of an override: `auto`, `6` or `8`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text {
            "6" => Some(ArgumentsMode::Six),
            "8" => Some(ArgumentsMode::Eight),
            _ => text
                .eq_ignore_ascii_case("auto")
                .then_some(ArgumentsMode::Auto),
        }
    }
}

pub(super) static SECTION: Section = Section {
    name: "backend",
    aliases: &[],
    about: "Limits on contexts, the queue and output buffers.",
    lists: &[KEYS, swap::KEYS],
};

static KEYS: &[Key] = &[
    Key::int(
        "max_sessions",
        Ints::new(1, 10_000),
        |config| config.backend.max_sessions.into(),
        |config, count| config.backend.max_sessions = count as u32,
    )
    .about("Named sessions kept, open or detached."),
    Key::int(
        "idle_timeout_ms",
        Ints::new(10, 86_400_000),
        |config| config.backend.idle_timeout.as_millis() as i64,
        |config, ms| config.backend.idle_timeout = Duration::from_millis(ms as u64),
    )
    .about("Idle time in milliseconds after which a session may be cleaned up."),
    Key::bool(
        "auto_cleanup",
        |config| config.backend.auto_cleanup,
        |config, on| config.backend.auto_cleanup = on,
    )
    .read_as(&[
        "auto_cleanup_sessions",
        "auto_cleanup_enabled",
        "auto_cleanup",
    ])
    .about(
        "Idle and least recently used sessions are cleaned up when a context is \
         opened. Off: the limits refuse.",
    ),
    Key::int(
        "max_concurrent",
        Ints::new(1, 4096),
        |config| config.backend.max_concurrent.into(),
        |config, count| config.backend.max_concurrent = count as u32,
    )
    .about("Open anonymous contexts; named ones do not count."),
    Key::int(
        "queue_size",
        Ints::new(1, 10_000),
        |config| config.backend.queue_size.into(),
        |config, count| config.backend.queue_size = count as u32,
    )
    .about("Turns that may wait to run; one more is refused."),
    Key::int(
        "default_task_timeout_ms",
        Ints::new(1000, 3_600_000),
        |config| config.backend.default_task_timeout.as_millis() as i64,
        |config, ms| {
            config.backend.default_task_timeout = Duration::from_millis(ms as u64);
        },
    )
    .about(
        "Longest wait in the queue in milliseconds, then the turn fails with \
         timeout. Never cuts a running turn.",
    ),
    Key::bool(
        "priority_scheduling_enabled",
        |config| config.backend.priority_scheduling_enabled,
        |config, on| config.backend.priority_scheduling_enabled = on,
    )
    .about(
        "Turns share by priority and rise with age while they wait. Off: in order \
         of arrival.",
    ),
    Key::bool(
        "fair_scheduling_enabled",
        |config| config.backend.fair_scheduling_enabled,
        |config, on| config.backend.fair_scheduling_enabled = on,
    )
    .about(
        "Within a priority, clients share by what they were served. Off: in order \
         of arrival.",
    ),
    // Their real upper bound is `queue_size`, which is checked when all layers are merged.
    Key::int(
        "queue_warning_threshold",
        Ints::new(1, 10_000),
        |config| config.backend.queue_warning_threshold.into(),
        |config, count| config.backend.queue_warning_threshold = count as u32,
    )
    .about(
        "Waiting turns from which on the queue warns. Unless written: 80 % of \
         queue_size.",
    ),
    Key::int(
        "queue_reject_threshold",
        Ints::new(1, 10_000),
        |config| config.backend.queue_reject_threshold.into(),
        |config, count| config.backend.queue_reject_threshold = count as u32,
    )
    .about(
        "Waiting turns from which on the queue refuses, at most queue_size and not \
         below the warning. Unless written: queue_size.",
    ),
    Key::bool(
        "auto_queue_cleanup",
        |config| config.backend.auto_queue_cleanup,
        |config, on| config.backend.auto_queue_cleanup = on,
    )
    .about("Expired turns leave the queue at once, not only when their turn comes."),
    Key::new(
        "run_inference_args",
        Kind::Special {
            expected: "\"auto\", 6 or 8",
            schema: || json!({"enum": ["auto", 6, 8]}),
            get: |config| match config.backend.run_inference_args {
                ArgumentsMode::Auto => "auto".into(),
                ArgumentsMode::Six => 6.into(),
                ArgumentsMode::Eight => 8.into(),
            },
            read: |config, reading, expected| match read_mode(reading, expected) {
                Some(mode) => {
                    config.backend.run_inference_args = mode;
                    true
                }
                None => false,
            },
        },
    )
    .about(
        "How arguments 7 and 8 of run_inference are taken: only when the bytes \
         prove to be a configuration, never, or always.",
    ),
    Key::int(
        "max_output_bytes",
        Ints::zero_or(256, 1 << 30),
        |config| config.backend.max_output_bytes.unwrap_or(0) as i64,
        |config, bytes| {
            config.backend.max_output_bytes = (bytes != 0).then_some(bytes as usize);
        },
    )
    .about(
        "Upper bound on every output capacity in bytes, for hosts that pass \
         undefined sizes. 0: no bound.",
    ),
    Key::bool(
        "session_names_in_status",
        |config| config.backend.session_names_in_status,
        |config, on| config.backend.session_names_in_status = on,
    )
    .about(
        "The SESSIONS status shows the names that the host gave to conversations. Off: \
         a keyed hash of each, since a name may be a person's address.",
    ),
];

fn read_mode(reading: &mut Reading<'_>, expected: &str) -> Option<ArgumentsMode> {
    let accepted = || "auto, 6, 8".to_owned();
    reading.last(expected, accepted, |value| match value {
        Value::String(word) if word.eq_ignore_ascii_case("auto") => Ok(ArgumentsMode::Auto),
        Value::String(_) => Err(Wrong::Range),
        Value::Number(_) => match integer(value)? {
            6 => Ok(ArgumentsMode::Six),
            8 => Ok(ArgumentsMode::Eight),
            _ => Err(Wrong::Range),
        },
        other => Err(Wrong::Type(type_of(other))),
    })
}
