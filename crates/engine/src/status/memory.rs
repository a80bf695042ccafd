//! The MEMORY document: bytes and cells, where turns found their past, and how hard caches must shrink.

use schemars::JsonSchema;
use serde::Serialize;

use super::sum;
use crate::scheduler::{Hit, Miss, Stats, Totals};
use crate::spill::Counts;

/// Bytes and cells, where turns found their past, and how hard caches must shrink. Counts are since init, across
/// models.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Memory {
    /// Bytes of the model's weights.
    pub weights_bytes: u64,
    /// Bytes of the KV cells.
    pub cache_bytes: u64,
    /// Bytes of the compute buffers.
    pub compute_bytes: u64,
    /// Bytes of the context that deterministic turns have for themselves; 0 until the first of them.
    pub deterministic_bytes: u64,
    /// Bytes of the conversations' texts.
    pub history_bytes: u64,
    /// Most tokens that idle sequences may keep: `memory.max_cache_tokens`.
    pub idle_cache_tokens_limit: u64,
    /// Sequences that the cells may belong to.
    pub sequences: u64,
    /// Which idle conversation gives way first: `memory.cache_strategy`.
    pub cache_strategy: &'static str,
    /// How hard caches must shrink, and why.
    pub pressure: Pressure,
    /// Cells in use.
    pub cache_tokens: u64,
    /// Tokens in sequences without a running turn; several may share a cell.
    pub cache_tokens_idle: u64,
    /// Tokens that several conversations began with, all of which are gone.
    pub cache_tokens_prefixes: u64,
    /// Cells that there are.
    pub cache_tokens_limit: u64,
    /// Sequences with tokens and without a running turn.
    pub idle_sequences: u64,
    /// Cells of idle conversations that are kept in memory.
    pub ram: Ram,
    /// Cells of idle conversations that are kept in files.
    pub disk: Disk,
    /// Sequences that gave way to others.
    pub evictions: u64,
    /// Sequences whose cells were saved outside of the context.
    pub spills: u64,
    /// Sequences that were filled with saved cells.
    pub restores: u64,
    /// Saved conversations that were dropped for a budget, or because their folder is no longer the configured one.
    pub dropped: u64,
    /// Sequences that were written anew into lower cells.
    pub packed: u64,
    /// Running sequences that moved next to others.
    pub moves: u64,
    /// Running turns that gave their cells to others and waited.
    pub displaced: u64,
    /// Turns that waited for a beginning that another one evaluated.
    pub followed: u64,
    /// Times that old turns or old text gave way, before a turn or while its answer grew.
    pub shifts: u64,
    /// Time of the longest step that moved cells for that, in milliseconds.
    pub shift_step_ms_longest: f64,
    /// Turns that found tokens of theirs in a cache.
    pub reuse_hits: u64,
    /// Tokens that they found.
    pub reused_tokens: u64,
    /// Those turns, by where the tokens were.
    pub hits: Hits,
    /// Turns that evaluated something of their past again, by reason. A turn can be a hit and a miss.
    pub misses: Misses,
    /// Decode calls that found no cells although the accounting had them: a bug, if it is not 0.
    pub accounting_errors: u64,
}

/// How hard caches must shrink, and why.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Pressure {
    /// What must give way: `none`, `spill`, `trim`, `drop` or `refuse`, each with those before it.
    pub level: &'static str,
    /// Its number, from 0.
    #[serde(skip)]
    pub rank: u64,
    /// Share of a limit at which the level rises: `memory.memory_pressure_threshold`.
    pub threshold: f32,
    /// The limits that are watched.
    pub limits: Vec<LimitUse>,
    /// Bytes of the process that are in memory; null where the system does not say.
    pub resident_bytes: Option<u64>,
    /// Share of the last ten seconds in which some process of the control group waited for memory, in percent; null
    /// where the system does not say.
    pub stall_percent: Option<f32>,
    /// New conversations are refused.
    pub refuses_sessions: bool,
    /// Changes of the level.
    pub changes: u64,
    /// Saved conversations that left memory.
    pub spilled: u64,
    /// Times that half of the idle cells gave way.
    pub trims: u64,
    /// Times that all of them did.
    pub drops: u64,
    /// Conversations that were refused.
    pub refused_sessions: u64,
}

/// A limit and what counts against it, in bytes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct LimitUse {
    /// Whose limit: `max_memory_mb` (what that leaves beside cells and compute buffers), `control group` or `process
    /// limit`.
    pub name: &'static str,
    /// Bytes that count against it.
    pub used: u64,
    /// Bytes that there may be; 0 is no limit.
    pub limit: u64,
}

/// Cells of idle conversations in memory.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ram {
    /// Conversations; one counts for each shape of the cache that it was saved from.
    pub sessions: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Bytes that they may take.
    pub limit_bytes: u64,
    /// Bytes that are still in memory on their way to the disk.
    pub leaving_bytes: u64,
}

/// Cells of idle conversations in files.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Disk {
    /// Conversations; one counts for each shape of the cache that it was saved from.
    pub sessions: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Bytes that they may take.
    pub limit_bytes: u64,
    /// Files written.
    pub written: u64,
    /// Files that came back whole.
    pub read: u64,
    /// Attempts to write that failed.
    pub failed_writes: u64,
    /// Files that could not be read.
    pub unreadable: u64,
    /// Files refused because they were not what was written.
    pub damaged: u64,
}

/// Turns that found tokens, by place.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Hits {
    /// In its own idle sequence.
    pub pool: u64,
    /// In cells of another conversation that began alike.
    pub shared: u64,
    /// In its own cells that were kept in memory.
    pub ram: u64,
    /// In its own cells that were kept in a file.
    pub disk: u64,
}

/// Turns that evaluated something of their past again, by reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Misses {
    /// A first turn, and nobody began alike.
    pub new: u64,
    /// The history was edited, or the template writes old messages anew.
    pub changed: u64,
    /// Old turns gave way, and what followed was not moved.
    pub trimmed: u64,
    /// `cache_prompt` is off, the last turn failed, or a deterministic turn.
    pub not_kept: u64,
    /// Dropped for a budget.
    pub evicted: u64,
    /// Kept for another model or another shape of the cache.
    pub other_model: u64,
    /// Its file could not be read.
    pub unreadable: u64,
    /// Its file was not what was written.
    pub damaged: u64,
    /// The model cannot be taken back to where the prompt differs.
    pub not_rewindable: u64,
    /// llama.cpp did not take the cells.
    pub refused: u64,
}

/// What the counters do not know.
#[derive(Debug, Clone)]
pub struct Held {
    /// Bytes of weights.
    pub weights_bytes: u64,
    /// Bytes of cells.
    pub cache_bytes: u64,
    /// Bytes of compute buffers.
    pub compute_bytes: u64,
    /// Bytes of the conversations' texts.
    pub history_bytes: u64,
    /// KV cells, in tokens.
    pub cells: u64,
    /// Sequences that they may belong to.
    pub sequences: u64,
    /// `memory.max_cache_tokens`.
    pub idle_cache_tokens_limit: u64,
    /// `memory.cache_strategy`.
    pub cache_strategy: &'static str,
    /// What the watch over memory says.
    pub pressure: Pressure,
}

impl Memory {
    /// Reads the counters. `saved`: what the store of saved cells holds.
    pub fn read(totals: &Totals, now: &[&Stats], saved: &Counts, held: Held) -> Memory {
        let reuse = &totals.reuse;
        Memory {
            weights_bytes: held.weights_bytes,
            cache_bytes: held.cache_bytes,
            compute_bytes: held.compute_bytes,
            deterministic_bytes: sum(now, |stats| stats.spare_bytes.get()),
            history_bytes: held.history_bytes,
            idle_cache_tokens_limit: held.idle_cache_tokens_limit,
            sequences: held.sequences,
            cache_strategy: held.cache_strategy,
            pressure: held.pressure,
            cache_tokens: sum(now, |stats| stats.used_tokens.get()),
            cache_tokens_idle: sum(now, |stats| stats.idle_tokens.get()),
            cache_tokens_prefixes: sum(now, |stats| stats.prefix_tokens.get()),
            cache_tokens_limit: held.cells,
            idle_sequences: sum(now, |stats| stats.idle_sequences.get()),
            ram: Ram {
                sessions: saved.ram.entries as u64,
                bytes: saved.ram.bytes,
                limit_bytes: saved.ram.limit_bytes,
                leaving_bytes: saved.leaving.bytes,
            },
            disk: Disk {
                sessions: saved.disk.entries as u64,
                bytes: saved.disk.bytes,
                limit_bytes: saved.disk.limit_bytes,
                written: saved.written,
                read: saved.read_back,
                failed_writes: saved.failed_writes,
                unreadable: saved.unreadable,
                damaged: saved.damaged,
            },
            evictions: totals.evictions.get(),
            spills: totals.spills.get(),
            restores: totals.restores.get(),
            dropped: saved.dropped,
            packed: totals.packed.get(),
            moves: totals.moves.get(),
            displaced: totals.displaced.get(),
            followed: totals.followed.get(),
            shifts: totals.shifts.get(),
            shift_step_ms_longest: totals.shift_us.highest() as f64 / 1000.0,
            reuse_hits: reuse.all_hits(),
            reused_tokens: reuse.tokens.get(),
            hits: Hits {
                pool: reuse.hits(Hit::Pool),
                shared: reuse.hits(Hit::Shared),
                ram: reuse.hits(Hit::Ram),
                disk: reuse.hits(Hit::Disk),
            },
            misses: Misses {
                new: reuse.misses(Miss::New),
                changed: reuse.misses(Miss::Changed),
                trimmed: reuse.misses(Miss::Trimmed),
                not_kept: reuse.misses(Miss::NotKept),
                evicted: reuse.misses(Miss::Evicted),
                other_model: reuse.misses(Miss::OtherModel),
                unreadable: reuse.misses(Miss::Unreadable),
                damaged: reuse.misses(Miss::Damaged),
                not_rewindable: reuse.misses(Miss::NotRewindable),
                refused: reuse.misses(Miss::Refused),
            },
            accounting_errors: totals.accounting_errors.get(),
        }
    }
}
