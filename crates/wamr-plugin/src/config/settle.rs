//! From what was written to what is wanted: every value checked, related ones brought together, each put in its place.

use serde_json::Value;
use std::collections::BTreeMap;

use super::place::{Document, Place, canonical};
use super::written::{Said, Written};
use super::{Fault, Options, Wanted, leftovers, rows};
use crate::plain::plain;

/// Tokens of a batch unless written: the engine's default, and the other plugin's, which a text to embed must fit in.
const BATCH: i64 = 512;
const EMBEDDING_BATCH: i64 = 2048;
/// The smallest context of the engine.
const SMALLEST_CONTEXT: i64 = 128;
/// Longest text of a call that the engine reads, in bytes.
const LONGEST_CALL: usize = 1 << 20;
/// Keys that one warning lists.
const MOST_LISTED: usize = 16;

/// Keys of sections that concern more than the guest: the process, its memory, its files, its status.
const NOT_A_GUESTS: &[&str] = &[
    "model.chat_template",
    // A path: only the table of keys takes it, for the caller to judge.
    "model.mmproj",
    "model.system_prompt",
    "model.version",
    "runtime.strict",
];
/// Sections that concern more than the guest, but for their settings in the table of keys and these keys.
const OF_ALL: &[(&str, &[&str])] = &[
    ("memory", &["n_discard_tokens", "n_discard"]),
    ("performance", &[]),
];
/// Flat keys and whole sections of the same sort.
const NOT_A_GUESTS_FLAT: &[&str] = &["backend", "events", "logging", "strict", "system-prompt"];

/// Checked settings by their key; null where nothing is said.
struct Settings {
    values: BTreeMap<&'static str, Value>,
    changed: Vec<String>,
}

/// See [`Written::settle`].
pub(super) fn settle(written: &Written, known: &dyn Fn(&str) -> bool) -> Result<Wanted, Fault> {
    refuse_speech(written)?;
    let mut settings = Settings::read(written)?;
    settings.relate()?;
    let options = settings.options();
    if !options.image.is_empty() && options.mmproj.is_none() {
        let shown = plain(&options.image.join(", "));
        return Err(Fault::Wrong(format!(
            "image is {shown}, must come with mmproj"
        )));
    }
    let (mut load, mut call) = (Document::default(), Document::default());
    settings.put(&options, &mut load, &mut call);
    let mut warnings = pass_on(written, known, &mut load, &mut call);
    if !settings.changed.is_empty() {
        warnings.push(format!("changed: {}", settings.changed.join("; ")));
    }
    let call = call.finish();
    let length = call.to_string().len();
    if length > LONGEST_CALL {
        return Err(Fault::Wrong(format!(
            "what a call must be told is {length} bytes long, must be at most {LONGEST_CALL}"
        )));
    }
    Ok(Wanted {
        model: canonical(load.finish()),
        call,
        options,
        warnings,
    })
}

fn refuse_speech(written: &Written) -> Result<(), Fault> {
    let is_asked =
        |(name, said): &(&String, &Said)| **said == Said::Something && leftovers::is_speech(name);
    match written.others.iter().find(is_asked) {
        Some((name, _)) => {
            let name = plain(name);
            Err(Fault::Unsupported(format!(
                "{name} asks for speech, this plugin answers with text only"
            )))
        }
        None => Ok(()),
    }
}

impl Settings {
    fn read(written: &Written) -> Result<Settings, Fault> {
        let (mut values, mut changed) = (BTreeMap::new(), Vec::new());
        for row in rows::rows() {
            let value = match written.settings.get(row.key) {
                None | Some(Value::Null) => row.default.value(),
                Some(value) => row.kind.read(row.key, value, &mut changed)?,
            };
            values.insert(row.key, value);
        }
        Ok(Settings { values, changed })
    }

    /// Judges values by each other.
    fn relate(&mut self) -> Result<(), Fault> {
        let context = self.whole("ctx-size").unwrap_or(0);
        if (1..SMALLEST_CONTEXT).contains(&context) {
            return Err(Fault::Wrong(format!(
                "ctx-size is {context}, must be 0 or at least {SMALLEST_CONTEXT}"
            )));
        }
        let exact = [&Value::Null, &Value::from("f32"), &Value::from("bf16")];
        let cells = self.get("cache-type-v");
        if *self.get("flash-attn") == "off" && !exact.contains(&cells) {
            let cells = cells.clone();
            return Err(Fault::Wrong(format!(
                "cache-type-v is {cells}, must not be quantised while flash-attn is off"
            )));
        }
        if !self.get("grammar").is_null() && !self.get("json-schema").is_null() {
            self.values.insert("grammar", Value::Null);
            self.changed
                .push("grammar gives way to json-schema".to_owned());
        }
        if self.get("threads-batch") == self.get("threads") {
            self.values.insert("threads-batch", Value::Null);
        }
        if self.is_on("reranking") {
            let pooling = self.get("pooling-type");
            if !pooling.is_null() && *pooling != "rank" {
                let pooling = pooling.clone();
                self.changed.push(format!(
                    "pooling-type is {pooling}, taken as rank for reranking"
                ));
            }
            self.values.insert("embedding", true.into());
            self.values.insert("pooling-type", "rank".into());
        }
        Ok(())
    }

    fn options(&self) -> Options {
        let texts = |key| match self.get(key) {
            Value::Array(items) => items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        let n_keep = self.whole("n-keep").unwrap_or(0);
        let normalize = self.whole("embd-normalize").unwrap_or(2);
        Options {
            stream_stdout: self.is_on("stream-stdout"),
            embedding: self.is_on("embedding"),
            reranking: self.is_on("reranking"),
            embd_normalize: i32::try_from(normalize).unwrap_or(2),
            no_perf: self.is_on("no-perf"),
            enable_log: self.is_on("enable-log"),
            enable_debug_log: self.is_on("enable-debug-log"),
            context_shift: self.is_on("ctx-shift"),
            // -1 is the whole prompt.
            n_keep: u32::try_from(n_keep).unwrap_or(u32::MAX),
            image: texts("image"),
            mmproj: self.get("mmproj").as_str().map(str::to_owned),
        }
    }

    /// Puts every setting in its place, but what the engine does untold.
    fn put(&mut self, options: &Options, load: &mut Document, call: &mut Document) {
        for row in rows::rows() {
            let value = match self.get(row.key) {
                value if *value == row.engine.value() => Value::Null,
                value => value.clone(),
            };
            match row.place {
                Place::Load(section, key) => load.set(section, key, value),
                Place::Call(section, key) => call.set(section, key, value),
                Place::Own => {}
            }
        }
        self.put_limit(load, call);
        self.put_batch(options.embedding, load);
        if self.is_on("no-kv-offload") {
            load.set("model", "kv_offload", false.into());
        }
        // Without embeddings these have no effect, and saying them would keep guests from sharing a model.
        if options.embedding {
            load.set("model", "embedding", true.into());
            load.set("model", "pooling", self.get("pooling-type").clone());
            load.set("model", "attention", self.get("attention-type").clone());
        }
    }

    /// A call reads -1 and 0 as "as loaded", so both are said at load. -1 is, always: guests with different limits
    /// share a model then.
    fn put_limit(&self, load: &mut Document, call: &mut Document) {
        let limit = self.whole("n-predict").unwrap_or(-1);
        let at_load = if limit == 0 { 0 } else { -1 };
        load.set("model", "n_predict", at_load.into());
        if limit > 0 {
            call.set("stopping", "max_tokens", limit.into());
        }
    }

    fn put_batch(&mut self, is_embedding: bool, load: &mut Document) {
        let unless_written = if is_embedding { EMBEDDING_BATCH } else { BATCH };
        let batch = self.whole("batch-size").unwrap_or(unless_written);
        let written = self.whole("ubatch-size");
        // A text to embed must fit into one physical batch.
        let physical = match written {
            _ if is_embedding => batch,
            Some(tokens) => tokens.min(batch),
            None => BATCH.min(batch),
        };
        if let Some(tokens) = written.filter(|tokens| *tokens != physical) {
            self.changed
                .push(format!("ubatch-size is {tokens}, taken as {physical}"));
        }
        if batch != BATCH {
            load.set("model", "batch_size", batch.into());
        }
        // The engine lowers its default to the batch by itself.
        if physical != BATCH.min(batch) {
            load.set("model", "ubatch_size", physical.into());
        }
    }

    fn get(&self, key: &str) -> &Value {
        self.values.get(key).unwrap_or(&Value::Null)
    }

    fn is_on(&self, key: &str) -> bool {
        *self.get(key) == Value::Bool(true)
    }

    fn whole(&self, key: &str) -> Option<i64> {
        self.get(key).as_i64()
    }
}

/// Hands on the engine's own keys from the nested form; returns what is told of the rest.
fn pass_on(
    written: &Written,
    known: &dyn Fn(&str) -> bool,
    load: &mut Document,
    call: &mut Document,
) -> Vec<String> {
    let (mut idle, mut foreign, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    // `runtime` comes last: what it says of a call beats the sections beside it.
    let is_base = |path: &&(String, String)| path.0 != "runtime";
    let (base, runtime): (Vec<_>, Vec<_>) = written.nested.keys().partition(is_base);
    for path @ (section, key) in base.into_iter().chain(runtime) {
        let value = match written.nested.get(path) {
            None | Some(Value::Null) => continue,
            Some(value) => value.clone(),
        };
        let dotted = format!("{section}.{key}");
        let of_call = |section: &&str| known(&format!("{section}.{key}"));
        let is_foreign =
            NOT_A_GUESTS.contains(&dotted.as_str()) || is_of_all(section, key) && known(&dotted);
        if leftovers::is_nested(&dotted) {
            idle.push(dotted);
        } else if is_foreign {
            foreign.push(dotted);
        } else if section == "runtime" {
            match ["sampling", "stopping"].into_iter().find(of_call) {
                Some(section) => call.set(section, key, value),
                None => unknown.push(dotted),
            }
        } else if !known(&dotted) {
            unknown.push(dotted);
        } else if ["sampling", "stopping"].contains(&section.as_str()) {
            call.set(section, key, value);
        } else {
            load.set(section, key, value);
        }
    }
    for (name, said) in &written.others {
        match name.as_str() {
            _ if *said == Said::Nothing => {}
            _ if leftovers::is_speech(name) || leftovers::is_of_examples(name) => {}
            // A number here is the priority of CPU threads.
            "priority" => idle.push(name.clone()),
            _ if leftovers::is_flat(name) => idle.push(name.clone()),
            name if NOT_A_GUESTS_FLAT.contains(&name) => foreign.push(name.to_owned()),
            _ => unknown.push(name.clone()),
        }
    }
    let lines = [
        ("without effect here", idle),
        ("not a guest's to set, ignored", foreign),
        ("unknown, ignored", unknown),
    ];
    let lines = lines.into_iter().filter(|(_, names)| !names.is_empty());
    lines
        .map(|(what, names)| format!("{what}: {}", listed(&names)))
        .collect()
}

fn is_of_all(section: &str, key: &str) -> bool {
    OF_ALL
        .iter()
        .any(|(name, own)| *name == section && !own.contains(&key))
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(MOST_LISTED)
        .map(|name| plain(name))
        .collect();
    match names.len().saturating_sub(MOST_LISTED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
