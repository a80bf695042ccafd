//! Words that settings choose among: llama.cpp's enumerations with their numbers, and the engine's word for each.
//!
//! Where the engine would do the same untold, nothing is said.

use super::kind::Choice;

pub(super) static NUMA: &[Choice] = &[
    Choice::numbered(&["off", "disabled"], 0, None).flag(false),
    Choice::numbered(&["distribute"], 1, Some("distribute")).flag(true),
    Choice::numbered(&["isolate"], 2, Some("isolate")),
    Choice::numbered(&["numactl"], 3, Some("numactl")),
];

pub(super) static SPLIT_MODES: &[Choice] = &[
    Choice::numbered(&["none"], 0, Some("none")),
    Choice::numbered(&["layer"], 1, None),
    Choice::numbered(&["row"], 2, Some("row")),
];

pub(super) static FLASH: &[Choice] = &[
    Choice::numbered(&["auto"], -1, None),
    Choice::numbered(&["off", "disabled"], 0, Some("off")).flag(false),
    Choice::numbered(&["on", "enabled"], 1, Some("on")).flag(true),
];

pub(super) static CACHE_TYPES: &[Choice] = &[
    Choice::numbered(&["f32"], 0, Some("f32")),
    Choice::numbered(&["f16"], 1, None),
    Choice::numbered(&["q4_0"], 2, Some("q4_0")),
    Choice::numbered(&["q4_1"], 3, Some("q4_1")),
    Choice::numbered(&["q5_0"], 6, Some("q5_0")),
    Choice::numbered(&["q5_1"], 7, Some("q5_1")),
    Choice::numbered(&["q8_0"], 8, Some("q8_0")),
    Choice::numbered(&["iq4_nl"], 20, Some("iq4_nl")),
    Choice::numbered(&["bf16"], 30, Some("bf16")),
];

pub(super) static ROPE_SCALINGS: &[Choice] = &[
    Choice::numbered(&["model", "unspecified"], -1, None),
    Choice::numbered(&["none"], 0, Some("none")),
    Choice::numbered(&["linear"], 1, Some("linear")),
    Choice::numbered(&["yarn"], 2, Some("yarn")),
    Choice::numbered(&["longrope"], 3, Some("longrope")),
];

pub(super) static POOLINGS: &[Choice] = &[
    Choice::numbered(&["model", "unspecified"], -1, None),
    Choice::numbered(&["none"], 0, Some("none")),
    Choice::numbered(&["mean"], 1, Some("mean")),
    Choice::numbered(&["cls"], 2, Some("cls")),
    Choice::numbered(&["last"], 3, Some("last")),
    Choice::numbered(&["rank"], 4, Some("rank")),
];

pub(super) static ATTENTIONS: &[Choice] = &[
    Choice::numbered(&["model", "unspecified"], -1, None),
    Choice::numbered(&["causal"], 0, Some("causal")),
    Choice::numbered(&["non_causal", "non-causal"], 1, Some("non_causal")),
];

/// The other plugin has a number under this key, the priority of CPU threads, which `written` sorts out.
pub(super) static PRIORITIES: &[Choice] = &[
    Choice::named(&["low"], Some("low")),
    Choice::named(&["normal"], None),
    Choice::named(&["high"], Some("high")),
    Choice::named(&["urgent"], Some("urgent")),
];
