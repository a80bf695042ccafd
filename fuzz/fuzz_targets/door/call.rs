//! What a host may do, as data that random bytes are read into.
//!
//! Small numbers pick from short lists, so that most bytes mean something. Knows neither handles nor memory.

use std::ptr::null;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};

/// Calls of a sequence, both threads together.
const MOST_CALLS: usize = 48;

/// Configurations that a sequence begins with: plain ones, and those by which models replace and displace each other.
const READY: [u8; 8] = [0, 0, 0, 10, 10, 11, 11, 12];

/// A sequence of calls, perhaps with a second thread beside it.
#[derive(Debug)]
pub struct Plan {
    /// Begin with a model and a context, on a backend of this configuration.
    pub ready: Option<u8>,
    pub has_second_thread: bool,
    pub first: Vec<Step>,
    pub second: Vec<Step>,
}

/// One call of a sequence.
#[derive(Debug)]
pub enum Step {
    Call(Call),
    Models(ModelCall),
}

impl<'a> Arbitrary<'a> for Plan {
    /// As many calls as the bytes are enough for: a list of the crate's own kind would rarely be long.
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Plan> {
        let manner = u8::arbitrary(bytes)?;
        let mut plan = Plan {
            ready: (manner % 8 != 7).then(|| READY[usize::from(manner >> 3) % READY.len()]),
            has_second_thread: manner >= 0xC0,
            first: Vec::new(),
            second: Vec::new(),
        };
        while !bytes.is_empty() && plan.first.len() + plan.second.len() < MOST_CALLS {
            let is_second = plan.has_second_thread && bool::arbitrary(bytes)?;
            let calls = if is_second {
                &mut plan.second
            } else {
                &mut plan.first
            };
            calls.push(match u8::arbitrary(bytes)? % 3 {
                0 => Step::Models(ModelCall::arbitrary(bytes)?),
                _ => Step::Call(Call::arbitrary(bytes)?),
            });
        }
        Ok(plan)
    }
}

/// A short text.
#[derive(Debug)]
pub struct Text(pub Vec<u8>);

impl<'a> Arbitrary<'a> for Text {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Text> {
        let len = usize::from(u8::arbitrary(bytes)? % 64).min(bytes.len());
        Ok(Text(bytes.bytes(len)?.to_vec()))
    }
}

/// One call. `ctx` and `context` pick a handle, `place` an address for a pointer. What ends the use of everything else
/// happens in one of four cases only, by `will`.
#[derive(Arbitrary, Debug)]
pub enum Call {
    Init {
        config: u8,
        place: u8,
    },
    Deinit {
        ctx: u8,
        will: u8,
    },
    LoadFile {
        ctx: u8,
        file: u8,
        config: u8,
        place: u8,
    },
    LoadAndWatch {
        ctx: u8,
        file: u8,
        config: u8,
        steps: u8,
        place: u8,
    },
    LoadBytes {
        ctx: u8,
        bytes: Bytes,
        encoding: u8,
        target: u8,
        config: u8,
        place: u8,
    },
    Unload {
        ctx: u8,
        will: u8,
    },
    Open {
        ctx: u8,
        graph: u8,
        place: u8,
    },
    OpenNamed {
        ctx: u8,
        name: u8,
        place: u8,
    },
    Close {
        ctx: u8,
        context: u8,
    },
    SetInput {
        ctx: u8,
        context: u8,
        index: u32,
        prompt: Prompt,
    },
    Compute {
        ctx: u8,
        context: u8,
    },
    GetOutput {
        ctx: u8,
        context: u8,
        index: u8,
        output: Output,
    },
    Run {
        ctx: u8,
        context: u8,
        prompt: Prompt,
        output: Output,
        settings: Settings,
    },
    Stream {
        ctx: u8,
        context: u8,
        prompt: Prompt,
        settings: Settings,
        pieces: u8,
        inside: u8,
    },
    Status {
        ctx: u8,
        kind: u8,
        size: u8,
        place: u8,
    },
    LastError {
        ctx: u8,
        size: u8,
        place: u8,
    },
    Cancel {
        ctx: u8,
        context: u8,
    },
    Priority {
        ctx: u8,
        context: u8,
        priority: u8,
    },
    Client {
        ctx: u8,
        context: u8,
        key: [u8; 4],
        length: u8,
    },
    RemoveTurns {
        ctx: u8,
        context: u8,
        first: u8,
        count: u32,
    },
    Overflow {
        ctx: u8,
        context: u8,
        overflow: u8,
        keep: u32,
        discard: u32,
    },
    Window {
        ctx: u8,
        context: u8,
        tokens: u16,
    },
    Clear {
        ctx: u8,
        context: u8,
    },
    Usage {
        ctx: u8,
        context: u8,
        used: u8,
        capacity: u8,
    },
    History {
        ctx: u8,
        context: u8,
        output: Output,
    },
    Count {
        ctx: u8,
        text: Text,
        beyond: u8,
        place: u8,
        text_place: u8,
    },
    Logging {
        ctx: u8,
        which: u8,
        place: u8,
    },
    Version,
    Metrics {
        ctx: u8,
        output: Output,
    },
}

/// One call about several models. `graph` and `load` pick a number, `name` and `file` from a short list.
#[derive(Arbitrary, Debug)]
pub enum ModelCall {
    LoadNamed {
        ctx: u8,
        name: u8,
        file: u8,
        config: u8,
        watch: Watch,
        place: u8,
    },
    Swap {
        ctx: u8,
        graph: u8,
        file: u8,
        config: u8,
        watch: Watch,
        place: u8,
    },
    RollBack {
        ctx: u8,
        graph: u8,
        place: u8,
    },
    Compare {
        ctx: u8,
        graph: u8,
        file: u8,
        config: u8,
        output: Output,
    },
    UnloadGraph {
        ctx: u8,
        graph: u8,
        will: u8,
    },
    UseGraph {
        ctx: u8,
        context: u8,
        graph: u8,
    },
    BeginLoad {
        ctx: u8,
        name: u8,
        file: u8,
        config: u8,
        place: u8,
    },
    GetLoad {
        ctx: u8,
        load: u8,
        output: Output,
    },
    AwaitLoad {
        ctx: u8,
        load: u8,
        patience: u8,
        place: u8,
    },
    CancelLoad {
        ctx: u8,
        load: u8,
    },
}

/// How a host follows a load: with its callback or without, until which step, and what it does inside.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Watch {
    pub steps: u8,
    pub act: u8,
    pub context: u8,
}

impl Watch {
    /// Without a callback.
    pub const NONE: Watch = Watch {
        steps: 0,
        act: 0,
        context: 0,
    };
}

/// A text for the model.
#[derive(Arbitrary, Debug)]
pub struct Prompt {
    text: Text,
    doublings: u8,
    pub shape: u8,
    pub place: u8,
    pub tensor_place: u8,
}

impl Prompt {
    /// The bytes, often short and now and then longer than a context.
    pub fn text(&self) -> Vec<u8> {
        let doublings = self.doublings.checked_sub(0xF0).map_or(0, |n| n.min(7));
        self.text.0.repeat(1 << doublings)
    }
}

/// A buffer and the size beside it.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Output {
    size: u8,
    pub place: u8,
    pub size_place: u8,
}

impl Output {
    /// What the host claims and what it has.
    pub fn claimed_and_backed(&self) -> (u32, usize) {
        match self.size % 12 {
            0 => (1, 1),
            1 => (4, 4),
            2 => (64, 64),
            3 => (0, 8192),
            4 => (0, 0),
            5 => (u32::MAX, 8192),
            6 => (8192, 4),
            7 => (1 << 27, 8192),
            8 => (5, 5),
            _ => (8192, 8192),
        }
    }
}

/// Arguments 7 and 8 of a turn.
#[derive(Arbitrary, Debug)]
pub enum Settings {
    None,
    /// One of a few configurations.
    Known {
        which: u8,
    },
    /// Not a configuration, or a very short one.
    Bytes {
        text: Text,
    },
    /// A pointer and a length that have nothing to do with each other.
    Leftovers {
        place: u8,
        len: u32,
    },
}

const SETTINGS: [&str; 14] = [
    r#"{"temp": 0}"#,
    r#"{"stop": ["a", "e", "."], "max_tokens": 6}"#,
    r#"{"max_tokens": 1}"#,
    r#"{"grammar": "root ::= \"a\" | \"b\" root", "max_tokens": 4}"#,
    r#"{"grammar": "root ::= ("}"#,
    r#"{"json_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}, "max_tokens": 8}"#,
    r#"{"mirostat": 2, "seed": 7, "n_probs": 3, "max_tokens": 3}"#,
    r#"{"logit_bias": {"5": false, "6": 100}, "token_filters": {"forbidden_tokens": [1, "e"]}}"#,
    r#"{"stop_regex": ["[a-z]+ ", "("], "max_tokens": 5}"#,
    r#"{"strict": true, "top_kk": 4}"#,
    r#"{"deterministic": true, "dry_multiplier": 2, "xtc_probability": 1, "max_tokens": 4}"#,
    r#"{"runtime": {"sampling": {"temp": 100, "top_n_sigma": 1, "typical_p": 0.5}}}"#,
    r#"{"max_time_ms": 1, "timeout_config": {"max_inference_time_ms": 1000}, "ignore_eos": true}"#,
    r#"{"repetition_guard": {"enabled": true, "max_repeats": 2, "min_span_tokens": 1}, "temp": 0}"#,
];

impl Settings {
    /// The text of those that have one.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Settings::None | Settings::Leftovers { .. } => None,
            Settings::Known { which } => {
                Some(SETTINGS[usize::from(*which) % SETTINGS.len()].as_bytes())
            }
            Settings::Bytes { text } => Some(&text.0),
        }
    }
}

/// A model in memory.
#[derive(Arbitrary, Debug)]
pub struct Bytes {
    /// Keep this many 4 KiB pages; a multiple of 8 keeps all.
    pages: u16,
    /// Bytes that are changed: where and to what, three bytes each.
    changes: Text,
    pub count: u8,
    pub place: u8,
}

impl Bytes {
    /// The model after cut and changes, which reach over its first 64 KiB.
    pub fn of(&self, model: &[u8]) -> Vec<u8> {
        let kept = match self.pages % 8 {
            0 => model.len(),
            _ => usize::from(self.pages) * 4096,
        };
        let mut model = model[..kept.min(model.len())].to_vec();
        for change in self.changes.0.chunks_exact(3) {
            let at = usize::from(change[0]) << 8 | usize::from(change[1]);
            if let Some(byte) = model.get_mut(at) {
                *byte = change[2];
            }
        }
        model
    }
}

const CONFIGS: [&str; 14] = [
    r#"{"logging": {"level": "none"}, "model": {"ctx_size": 256, "n_predict": 8, "threads": 1}, "performance": {"n_parallel": 2}}"#,
    r#"{"ctx_size": 256, "n_predict": 4, "threads": 1, "temp": 0, "backend": {"max_concurrent": 1, "max_sessions": 1, "idle_timeout_ms": 10}}"#,
    r#"{"ctx_size": 128, "n_predict": 8, "threads": 2, "backend": {"run_inference_args": 8, "max_output_bytes": 256}, "strict": true}"#,
    r#"{"ctx_size": 256, "n_predict": 2, "threads": 1, "backend": {"run_inference_args": 6, "auto_cleanup": false, "max_sessions": 2}}"#,
    r#"{"ctx_size": 128, "n_predict": 8, "threads": 1, "memory": {"overflow": "error"}, "stop": ["e"]}"#,
    r#"{"ctx_size": 128, "n_predict": 8, "threads": 1, "memory": {"n_keep_tokens": 0, "n_discard_tokens": 1}, "queue_size": 1}"#,
    r#"{"ctx_size": 256, "n_predict": 0, "threads": 1, "cache_type_k": "q8_0", "flash_attn": "on"}"#,
    r#"{"strict": true, "ctx_size": 99}"#,
    r#"{"ctx_size": 256, "n_predict": 8, "threads": 1, "grammar": "root ::= [a-z]+"}"#,
    r#"{"truncated": [1, 2"#,
    r#"{"ctx_size": 256, "n_predict": 99, "threads": 1, "backend": {"swap_mode": "replace", "swap_drain_ms": 0}}"#,
    r#"{"ctx_size": 128, "n_predict": 6, "threads": 1, "backend": {"max_model_memory_mb": 14, "swap_drain_ms": 2}}"#,
    r#"{"ctx_size": 128, "threads": 1, "max_model_memory_mb": 22, "swap_drain_ms": 0, "swap_turns": "requeue"}"#,
    r#"{"ctx_size": 128, "backend": {"max_model_memory_mb": 1, "swap_drain_ms": 0, "swap_compatibility": "refuse"}}"#,
];

const LOGGING: [&str; 6] = [
    r#"{"level": "debug"}"#,
    r#"{"logging": {"structured": true, "timestamps": false}}"#,
    r#"{"categories": ["queue", "engine"], "level": "loud"}"#,
    r#"{"level": "none", "levle": 1}"#,
    r#"{"level": "none"}"#,
    r#"["level"]"#,
];

/// A configuration of the log, and whether every backend refuses it.
pub fn logging(pick: u8) -> (&'static str, bool) {
    let pick = usize::from(pick) % LOGGING.len();
    (LOGGING[pick], LOGGING[pick].starts_with('['))
}

/// Address and length of a text; none is NULL.
pub fn lent(text: Option<&str>) -> (*const u8, u32) {
    text.map_or((null(), 0), |text| (text.as_ptr(), text.len() as u32))
}

/// A pick that gives no configuration.
pub const NO_CONFIG: u8 = CONFIGS.len() as u8;

/// A configuration for an init or a load: none, or one of a few.
pub fn config(pick: u8) -> Option<&'static str> {
    let pick = usize::from(pick) % (CONFIGS.len() + 1);
    CONFIGS.get(pick).copied()
}
