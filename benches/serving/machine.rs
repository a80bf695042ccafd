//! On what was measured: processor, cores, load, source version. Every part is left out where it cannot be learned.

use std::fs;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

/// Instruction sets that decide how fast the kernels are.
const FEATURES: &[&str] = &[
    "avx",
    "avx2",
    "fma",
    "f16c",
    "avx512f",
    "avx512_vnni",
    "amx_int8",
];

/// The machine and its state now.
pub fn to_json() -> Value {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = processor.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let flags = field("flags").unwrap_or_default();
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let features: Vec<&&str> = FEATURES.iter().filter(|f| flags.contains(f)).collect();
    json!({
        "processor": field("model name"),
        "cores": cores(),
        "features": features,
        "load": load(),
    })
}

/// Cores that this process may use.
pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Processes that ran or wanted to, on average over the last minute.
pub fn load() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// Bytes of this process that are in memory.
pub fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}

/// The commit that the working directory is at, with a mark where files differ from it.
pub fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    match git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty() {
        true => Some(commit),
        false => Some(format!("{commit}-changed")),
    }
}
