//! What one setting means for another: spellings of one thing in two sections, contradictions, and defaults that
//! follow another setting.

use serde_json::{Value, json};

use super::finding::{Code, Finding, Findings, shortened};
use super::layers::{Origin, Origins, Setting};
use super::model::{CacheType, FlashAttention};
use super::stopping::RepetitionGuard;
use super::value::Word;
use super::{Config, Level, Overflow};

const N_PREDICT: Setting = ("model", "n_predict");
const MAX_TOKENS: Setting = ("stopping", "max_tokens");
const SAMPLING_IGNORE_EOS: Setting = ("sampling", "ignore_eos");
const STOPPING_IGNORE_EOS: Setting = ("stopping", "ignore_eos");
const GRAMMAR: Setting = ("sampling", "grammar");
const JSON_SCHEMA: Setting = ("sampling", "json_schema");
const LEVEL: Setting = ("logging", "level");
const ENABLE_DEBUG: Setting = ("logging", "enable_debug");
const CONTEXT_SHIFTING: Setting = ("memory", "context_shifting");
const OVERFLOW: Setting = ("memory", "overflow");
const WARNING: Setting = ("backend", "queue_warning_threshold");
const REJECT: Setting = ("backend", "queue_reject_threshold");
const BATCH_SIZE: Setting = ("model", "batch_size");
const CACHE_TYPE_V: Setting = ("model", "cache_type_v");
const N_PARALLEL: Setting = ("performance", "n_parallel");
const GRAMMAR_LAZY: Setting = ("sampling", "grammar_lazy");
const GRAMMAR_TRIGGERS: Setting = ("stopping", "grammar_triggers");
const MIN_TIMEOUT: Setting = ("stopping", "min_timeout_ms");
const MAX_TIMEOUT: Setting = ("stopping", "max_inference_time_ms");
const MIN_PATTERN: Setting = ("stopping", "min_pattern_tokens");
const MAX_PATTERN: Setting = ("stopping", "max_pattern_tokens");

/// Turns decoded together at most unless configuration says more.
const MOST_PARALLEL: u32 = 32;

/// Brings the settings that one text has `taken` in line with each other, so that a higher layer's word for a thing
/// beats a lower layer's other word for it.
pub(super) fn within_text(config: &mut Config, taken: &Origins, findings: &mut Findings) {
    let has = |setting| taken.contains_key(&setting);
    if has(N_PREDICT) && !has(MAX_TOKENS) {
        config.stopping.max_tokens = None;
    }
    if has(STOPPING_IGNORE_EOS) {
        config.sampling.ignore_eos = config.stopping.ignore_eos;
    } else if has(SAMPLING_IGNORE_EOS) {
        config.stopping.ignore_eos = config.sampling.ignore_eos;
    }
    if has(ENABLE_DEBUG) && config.logging.enable_debug {
        config.logging.level = Level::Debug;
    } else if has(LEVEL) {
        config.logging.enable_debug = false;
    }
    one_constraint(config, taken, findings);
    one_overflow(config, taken, findings);
}

/// A grammar and a schema exclude each other; of one text's two the schema wins, else the higher layer's.
fn one_constraint(config: &mut Config, taken: &Origins, findings: &mut Findings) {
    let sampling = &mut config.sampling;
    match (taken.get(&GRAMMAR), taken.get(&JSON_SCHEMA)) {
        (Some(origin), Some(_)) if sampling.json_schema.is_some() => {
            if let Some(grammar) = sampling.grammar.take() {
                let given = shortened(&grammar.into());
                let said = "not together with json_schema, which is used";
                let code = Code::BadCombination;
                findings.add(code, &origin.path, given, Value::Null, said);
            }
        }
        (Some(_), None) => sampling.json_schema = None,
        (None, Some(_)) if sampling.json_schema.is_some() => sampling.grammar = None,
        _ => {}
    }
}

/// `context_shifting: false` and `overflow: "error"` are one thing.
fn one_overflow(config: &mut Config, taken: &Origins, findings: &mut Findings) {
    let memory = &mut config.memory;
    let shifting = memory.context_shifting;
    match (taken.get(&CONTEXT_SHIFTING), taken.contains_key(&OVERFLOW)) {
        (Some(origin), true) if shifting == (memory.overflow == Overflow::Error) => {
            memory.overflow = Overflow::Error;
            let said = "contradicts overflow, keeping \"error\"";
            let code = Code::BadCombination;
            findings.add(code, &origin.path, shifting.into(), false.into(), said);
        }
        (Some(_), false) if !shifting => memory.overflow = Overflow::Error,
        (Some(_), false) if memory.overflow == Overflow::Error => {
            memory.overflow = Overflow::Shift;
        }
        _ => {}
    }
    memory.context_shifting = memory.overflow != Overflow::Error;
}

/// Fills in what follows other settings, once all layers are merged.
pub(super) fn settle(config: &mut Config, origins: &Origins, findings: &mut Vec<Finding>) {
    let model = &mut config.model;
    if let Some(batch) = config.performance.batch_size
        && !origins.contains_key(&BATCH_SIZE)
    {
        model.batch_size = batch;
    }
    model.ubatch_size = model.ubatch_size.min(model.batch_size);
    if model.threads_batch == 0 {
        model.threads_batch = model.threads;
    }
    if !origins.contains_key(&N_PARALLEL) {
        config.performance.n_parallel = config.backend.max_concurrent.min(MOST_PARALLEL);
    }
    if model.cache_type_v.is_quantised()
        && model.flash_attn == FlashAttention::Off
        && let Some(origin) = origins.get(&CACHE_TYPE_V)
    {
        let given = model.cache_type_v.word();
        model.cache_type_v = CacheType::F16;
        let said = format!("{given} needs flash attention, which is off, keeping \"f16\"");
        findings.push(contradiction(origin, given.into(), "f16".into(), &said));
    }
    thresholds(config, origins, findings);
    settle_turn(config, &Config::default(), origins, findings);
}

/// Judges what a turn may set on what is in effect for it, once the base or a call is merged; `below` is what it was
/// merged over.
///
/// `origins` are those of the texts that were merged now: what a call finds settled is no matter of its own, so a
/// contradiction is told of the last key that brought it about.
pub(super) fn settle_turn(
    config: &mut Config,
    below: &Config,
    origins: &Origins,
    findings: &mut Vec<Finding>,
) {
    lazy_grammar(config, origins, findings);
    timeout_floor(config, origins, findings);
    let guard = &below.stopping.repetition_guard;
    pattern_lengths(config, guard, origins, findings);
}

/// A grammar sleeps because of its triggers; without any it holds from the start, and without a grammar they do
/// nothing.
fn lazy_grammar(config: &mut Config, origins: &Origins, findings: &mut Vec<Finding>) {
    let sampling = &mut config.sampling;
    let is_constrained = sampling.grammar.is_some() || sampling.json_schema.is_some();
    let triggers = &config.stopping.grammar_triggers;
    if is_constrained && sampling.grammar_lazy && triggers.is_empty() {
        sampling.grammar_lazy = false;
        let settings = [GRAMMAR_LAZY, GRAMMAR_TRIGGERS, GRAMMAR, JSON_SCHEMA];
        if let Some(origin) = last_written(origins, &settings) {
            let said = "grammar_lazy without grammar_triggers, keeping false";
            findings.push(contradiction(origin, true.into(), false.into(), said));
        }
    }
    if let Some(origin) = origins.get(&GRAMMAR_TRIGGERS)
        && !is_constrained
        && !triggers.is_empty()
    {
        let said = "no grammar and no json_schema to wake, no effect";
        let finding = contradiction(origin, Value::Null, Value::Null, said);
        let code = Code::NoEffect;
        findings.push(Finding { code, ..finding });
    }
}

/// The least adaptive limit is at most the limit itself.
fn timeout_floor(config: &mut Config, origins: &Origins, findings: &mut Vec<Finding>) {
    let Some(limit) = &mut config.stopping.timeout_config else {
        return;
    };
    if limit.min_timeout <= limit.max_inference_time {
        return;
    }
    let given = limit.min_timeout.as_millis() as u64;
    let used = limit.max_inference_time.as_millis() as u64;
    limit.min_timeout = limit.max_inference_time;
    if let Some(origin) = last_written(origins, &[MIN_TIMEOUT, MAX_TIMEOUT]) {
        let said =
            format!("min_timeout_ms {given} above max_inference_time_ms {used}, keeping {used}");
        findings.push(contradiction(origin, given.into(), used.into(), &said));
    }
}

/// The shortest pattern is at most as long as the longest; a bad pair goes back to the one of `below`.
fn pattern_lengths(
    config: &mut Config,
    below: &RepetitionGuard,
    origins: &Origins,
    findings: &mut Vec<Finding>,
) {
    let guard = &mut config.stopping.repetition_guard;
    let (least, most) = (guard.min_pattern_tokens, guard.max_pattern_tokens);
    if least <= most {
        return;
    }
    guard.min_pattern_tokens = below.min_pattern_tokens;
    guard.max_pattern_tokens = below.max_pattern_tokens;
    if let Some(origin) = last_written(origins, &[MIN_PATTERN, MAX_PATTERN]) {
        let (min, max) = (guard.min_pattern_tokens, guard.max_pattern_tokens);
        let said = format!(
            "min_pattern_tokens {least} above max_pattern_tokens {most}, keeping {min} and {max}"
        );
        let (given, used) = (json!([least, most]), json!([min, max]));
        findings.push(contradiction(origin, given, used, &said));
    }
}

/// The place of the one of `settings` that the latest door has written; of one door's the first in the list.
fn last_written<'o>(origins: &'o Origins, settings: &[Setting]) -> Option<&'o Origin> {
    let written = settings.iter().rev();
    let written = written.filter_map(|setting| origins.get(setting));
    written.max_by_key(|origin| origin.door)
}

/// Warning at 80 % and refusal at 100 % of the queue, unless written; a bad pair puts both back there.
fn thresholds(config: &mut Config, origins: &Origins, findings: &mut Vec<Finding>) {
    let backend = &mut config.backend;
    let size = backend.queue_size;
    let percentages = ((size * 8 / 10).max(1), size);
    let (warning, reject) = (origins.get(&WARNING), origins.get(&REJECT));
    if reject.is_none() {
        backend.queue_reject_threshold = percentages.1;
    }
    if warning.is_none() {
        backend.queue_warning_threshold = percentages.0.min(backend.queue_reject_threshold);
    }
    let (warns, refuses) = (
        backend.queue_warning_threshold,
        backend.queue_reject_threshold,
    );
    let bad = match (warning, reject) {
        (_, Some(origin)) if refuses > size => {
            Some((origin, refuses, percentages.1, format!("queue_size {size}")))
        }
        (Some(origin), _) if warns > refuses => Some((
            origin,
            warns,
            percentages.0,
            format!("queue_reject_threshold {refuses}"),
        )),
        _ => None,
    };
    if let Some((origin, given, used, bound)) = bad {
        let said = format!("{given} above {bound}, keeping {used}");
        findings.push(contradiction(origin, given.into(), used.into(), &said));
        (
            backend.queue_warning_threshold,
            backend.queue_reject_threshold,
        ) = percentages;
    }
}

fn contradiction(origin: &Origin, given: Value, used: Value, said: &str) -> Finding {
    Finding {
        code: Code::BadCombination,
        door: origin.door,
        path: origin.path.clone(),
        given,
        used,
        message: format!("{}: {said}", origin.path),
    }
}
