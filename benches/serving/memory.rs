//! What the library says of its memory, at one moment and while something runs. Judges nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::measure;
use crate::ours::Ours;

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(10);

/// A memory report.
#[derive(Debug, Clone, Default)]
pub struct Memory(Value);

impl Memory {
    /// Of this moment.
    pub fn now(engine: &Ours) -> Result<Memory> {
        engine.memory_status().map(Memory)
    }

    /// The number at a JSON pointer. Errors: `Setup` if the library reports none there.
    pub fn number(&self, pointer: &str) -> Result<u64> {
        let number = self.0.pointer(pointer).and_then(Value::as_u64);
        number.ok_or_else(|| Error::Setup(format!("the memory status has no number {pointer}")))
    }

    /// Bytes that the model takes beside its weights, however little is kept of conversations.
    pub fn fixed(&self) -> Result<u64> {
        Ok(self.number("/cache_bytes")? + self.number("/compute_bytes")?)
    }

    /// Bytes that count against `max_memory_mb`.
    pub fn accounted(&self) -> Result<u64> {
        Ok(self.fixed()? + self.number("/history_bytes")? + self.number("/ram/bytes")?)
    }

    /// The whole report.
    pub fn to_json(&self) -> Value {
        self.0.clone()
    }
}

/// The most that was accounted for, and the report at the end.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Bytes.
    pub most: u64,
    /// The report.
    pub last: Memory,
}

/// Runs `work` and looks at the memory again and again meanwhile.
pub fn watch<T>(engine: &Ours, work: impl FnOnce() -> Result<T>) -> Result<(T, Watched)> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !ended.load(Ordering::Relaxed) {
                most = Memory::now(engine)?.accounted()?.max(most);
                thread::sleep(PERIOD);
            }
            Ok(most)
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        let most = measure::join(watcher)?;
        let last = Memory::now(engine)?;
        let most = last.accounted()?.max(most);
        Ok((done?, Watched { most, last }))
    })
}
