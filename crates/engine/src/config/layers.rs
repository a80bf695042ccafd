//! The layers: which written value of which spelling in which place of which text is the one in effect.
//!
//! Knows keys by their rows only. What one setting means for another stands in `combinations`.

use serde_json::{Map, Value};
use std::collections::HashMap;

use super::finding::{Code, Finding, Findings, NOT_AVAILABLE, shortened, shown_key};
use super::key::{Available, Doors, Flat, Key, Kind, Section};
use super::reading::{Reading, Written};
use super::spelling;
use super::value::type_of;
use super::{CallSettings, Config, Door, RawConfig, combinations, sections};

/// Name of the section that holds the base of every call, or in a call wraps its keys.
const RUNTIME: &str = "runtime";

/// A setting by section and main name.
pub(super) type Setting = (&'static str, &'static str);

/// Where the value of a setting was written.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) door: Door,
    pub(super) path: String,
}

/// Settings that were written, with the place that took effect last.
pub(super) type Origins = HashMap<Setting, Origin>;

/// See [`Config::from_layers`].
pub(super) fn merge(layers: &[(Door, &RawConfig)]) -> (Config, Vec<Finding>) {
    let mut config = Config::default();
    let mut origins = Origins::new();
    let mut findings = Vec::new();
    for &(door, text) in layers {
        let mut pass = Pass::new(door, Form::Base, &mut config);
        pass.text(text);
        let (taken, found) = pass.finish();
        origins.extend(taken);
        findings.extend(found);
    }
    let runtime = layers.iter().rev().find_map(|&(door, text)| {
        let (name, section) = spelling::find(&text.root, RUNTIME)?;
        Some((door, name, section.as_object()?))
    });
    if let Some((door, name, section)) = runtime {
        let mut pass = Pass::new(door, Form::Call, &mut config);
        let scopes = pass.open(section, format!("{}.", shown_key(name)));
        pass.read(&scopes);
        let (taken, found) = pass.finish();
        origins.extend(taken);
        findings.extend(found);
    }
    combinations::settle(&mut config, &origins, &mut findings);
    (config, findings)
}

/// See [`Config::for_call`].
pub(super) fn for_call(loaded: &Config, call: Option<&RawConfig>) -> (CallSettings, Vec<Finding>) {
    let mut config = loaded.clone();
    let mut findings = Vec::new();
    let mut taken = Origins::new();
    if let Some(text) = call {
        let mut pass = Pass::new(Door::Run, Form::Call, &mut config);
        pass.text(text);
        (taken, findings) = pass.finish();
    }
    combinations::settle_turn(&mut config, loaded, &taken, &mut findings);
    let limit = config.stopping.max_tokens.unwrap_or(config.model.n_predict);
    config.stopping.max_tokens = Some(limit);
    let settings = CallSettings {
        strict: config.strict,
        priority: taken
            .contains_key(&("", "priority"))
            .then_some(config.priority),
        sampling: config.sampling,
        stopping: config.stopping,
    };
    (settings, findings)
}

/// Whether a setting is of the whole backend and not of one model.
pub(super) fn is_of_backend((section, key): Setting) -> bool {
    const OF_MEMORY: [&str; 4] = [
        "max_memory_mb",
        "memory_pressure_threshold",
        "spill_dir",
        "spill_max_mb",
    ];
    match section {
        "backend" | "logging" | "events" => true,
        "memory" => OF_MEMORY.contains(&key),
        _ => false,
    }
}

/// What a text, or part of one, may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The base configuration: every section.
    Base,
    /// Settings of a call, or the base of them.
    Call,
}

/// An object whose entries are keys.
struct Scope<'a> {
    /// Path of the object with a dot behind it; empty at the root.
    prefix: String,
    /// The section that it is; `None` where keys stand flat.
    section: Option<&'static Section>,
    object: &'a Map<String, Value>,
    /// A `runtime` section may stand here.
    is_root: bool,
}

/// One reading of one text over what `config` holds already.
struct Pass<'c> {
    door: Door,
    form: Form,
    config: &'c mut Config,
    taken: Origins,
    findings: Findings,
}

impl<'c> Pass<'c> {
    fn new(door: Door, form: Form, config: &'c mut Config) -> Self {
        Pass {
            door,
            form,
            config,
            taken: Origins::new(),
            findings: Findings::new(door),
        }
    }

    /// Reads a whole text; a call's `runtime` section is its inner, stronger half.
    fn text(&mut self, text: &RawConfig) {
        if let Some(ignored) = &text.ignored {
            let said = format!("{} bytes after the root object, ignored", ignored.bytes);
            let given = ignored.start.as_str().into();
            self.findings
                .add(Code::WrongType, "$", given, Value::Null, &said);
        }
        let mut scopes = self.open(&text.root, String::new());
        if let Some((name, section)) = spelling::find(&text.root, RUNTIME) {
            let name = shown_key(name);
            match section.as_object() {
                Some(inner) if self.door == Door::Run => {
                    scopes.extend(self.open(inner, format!("{name}.")));
                }
                Some(_) => {}
                None => self.not_an_object(&name, section),
            }
        }
        self.read(&scopes);
    }

    /// The scopes of `root` from weak to strong: its flat keys, then its sections.
    fn open<'a>(&mut self, root: &'a Map<String, Value>, prefix: String) -> Vec<Scope<'a>> {
        let mut scopes = Vec::new();
        for section in sections().into_iter().skip(1) {
            for name in section.aliases.iter().chain([&section.name]) {
                let Some((written, value)) = spelling::find(root, name) else {
                    continue;
                };
                let path = format!("{prefix}{}", shown_key(written));
                match value {
                    Value::Object(object) => scopes.push(Scope {
                        prefix: format!("{path}."),
                        section: Some(section),
                        object,
                        is_root: false,
                    }),
                    other => self.not_an_object(&path, other),
                }
            }
        }
        let flat = Scope {
            is_root: prefix.is_empty(),
            prefix,
            section: None,
            object: root,
        };
        scopes.insert(0, flat);
        scopes
    }

    fn not_an_object(&mut self, path: &str, given: &Value) {
        let said = format!("expected object, found {}", type_of(given));
        let given = shortened(given);
        self.findings
            .add(Code::WrongType, path, given, Value::Null, &said);
    }

    fn read(&mut self, scopes: &[Scope<'_>]) {
        for section in sections() {
            for key in section.keys() {
                let mut written = Vec::new();
                for scope in scopes
                    .iter()
                    .filter(|scope| self.reads(scope, section, key))
                {
                    collect(key, self.door, scope.object, &scope.prefix, &mut written);
                }
                self.key((section.name, key.name), key, written);
            }
        }
        for scope in scopes {
            let names: Vec<&'static str> = self.names(scope).collect();
            self.unknown(scope.object, &scope.prefix, &names);
        }
    }

    /// Whether `key` of `section` is looked up in `scope`.
    fn reads(&self, scope: &Scope<'_>, section: &'static Section, key: &Key) -> bool {
        match scope.section {
            Some(own) => std::ptr::eq(own, section),
            None => match key.flat {
                Flat::Never => false,
                Flat::Always => true,
                Flat::NotPerCall => self.form == Form::Base,
                Flat::OnlyPerCall => self.form == Form::Call,
            },
        }
    }

    /// Every name that has a meaning in `scope`.
    fn names<'s>(&'s self, scope: &'s Scope<'_>) -> impl Iterator<Item = &'static str> + 's {
        let keys = sections().into_iter().flat_map(move |section| {
            let read = move |key: &&'static Key| self.reads(scope, section, key);
            section.keys().filter(read)
        });
        let is_flat = scope.section.is_none();
        let groups = sections().into_iter().skip(1).filter(move |_| is_flat);
        keys.flat_map(|key| key.spellings(self.door).iter().copied())
            .chain(groups.flat_map(|group| group.aliases.iter().copied().chain([group.name])))
            .chain(scope.is_root.then_some(RUNTIME))
    }

    /// Reads one key from all its places, weak to strong.
    fn key(&mut self, setting: Setting, key: &'static Key, mut written: Vec<Written<'_>>) {
        if self.door == Door::Run {
            // The strongest "as loaded" voids what is weaker; the loaded value is in place already.
            if let Some(at) = written.iter().rposition(|one| key.is_as_loaded(one.value)) {
                written.drain(..=at);
            }
        }
        let Some(last) = written.last() else {
            return;
        };
        let origin = Origin {
            door: self.door,
            path: last.path.clone(),
        };
        let given = shortened(last.value);
        if matches!(key.kind, Kind::NoEffect) {
            self.answer_each(Code::NoEffect, &written, key, "known, has no effect here");
            return;
        }
        if let Some(said) = self.refusal(setting, key, &origin.path) {
            self.answer_each(Code::WrongDoor, &written, key, said);
            return;
        }
        if let Kind::Object { keys, implied } = &key.kind {
            self.group(setting.0, keys, *implied, &written);
            return;
        }
        let before = (key.available != Available::Whole).then(|| self.config.clone());
        let mut reading = Reading {
            written,
            faults: Vec::new(),
        };
        let taken = key.kind.read(self.config, &mut reading);
        let mut is_available = true;
        if let Some(before) = before
            && taken
            && !self.does(key)
        {
            *self.config = before;
            is_available = false;
        }
        let used = shortened(&key.kind.show(self.config));
        for fault in reading.faults {
            let mut said = fault.said;
            if fault.keeping {
                said.push_str(&format!(", keeping {used}"));
            }
            self.findings
                .add(fault.code, &fault.path, fault.given, used.clone(), &said);
        }
        if !is_available {
            let code = Code::NotAvailable;
            self.findings
                .add(code, &origin.path, given, used, NOT_AVAILABLE);
        } else if taken {
            self.taken.insert(setting, origin);
        }
    }

    /// Why this text may not set `key`.
    fn refusal(&self, setting: Setting, key: &Key, path: &str) -> Option<&'static str> {
        match (key.doors, self.form) {
            _ if self.door == Door::Further && is_of_backend(setting) => {
                Some("of the whole backend, not settable for a further model")
            }
            // The flag of a call's base would be one of the load that it stands in.
            (Doors::All, Form::Call) if key.name == "strict" && self.door != Door::Run => {
                path.contains('.').then_some("only settable at the root")
            }
            (Doors::All, _) => None,
            (_, Form::Call) => Some("not settable per call"),
            (Doors::Load, Form::Base) if self.door == Door::Init => Some("not settable at init"),
            _ => None,
        }
    }

    /// Whether this version does what `config` now says of `key`.
    fn does(&self, key: &Key) -> bool {
        let now = key.kind.show(self.config);
        match key.available {
            Available::Whole => true,
            Available::BuiltInOnly => now == key.kind.show(&Config::default()),
            Available::Except(word) => now != word,
        }
    }

    fn answer_each(&mut self, code: Code, written: &[Written<'_>], key: &Key, said: &str) {
        let used = shortened(&key.kind.show(self.config));
        for one in written {
            let given = shortened(one.value);
            self.findings
                .add(code, &one.path, given, used.clone(), said);
        }
    }

    /// Reads a group of keys from every object that was written for it.
    fn group(
        &mut self,
        section: &'static str,
        keys: &'static [Key],
        implied: fn(&mut Config),
        written: &[Written<'_>],
    ) {
        let mut objects = Vec::new();
        for one in written {
            match one.value.as_object() {
                Some(object) => objects.push((object, format!("{}.", one.path))),
                None => self.not_an_object(&one.path, one.value),
            }
        }
        let says = |(object, _): &(&Map<String, Value>, String)| {
            spelling::find(object, "enabled").is_some()
        };
        if !objects.is_empty() && !objects.iter().any(says) {
            implied(self.config);
        }
        for key in keys {
            let mut written = Vec::new();
            for (object, prefix) in &objects {
                collect(key, self.door, object, prefix, &mut written);
            }
            self.key((section, key.name), key, written);
        }
        let names: Vec<&'static str> = keys.iter().map(|key| key.name).collect();
        for (object, prefix) in &objects {
            self.unknown(object, prefix, &names);
        }
    }

    /// Answers the entries of `object` that have none of `names`.
    fn unknown(&mut self, object: &Map<String, Value>, prefix: &str, names: &[&'static str]) {
        for (written, value) in object {
            if names.iter().any(|name| spelling::is_same(written, name)) {
                continue;
            }
            if self.findings.is_full() {
                self.findings.add_beyond(Code::UnknownKey);
                return;
            }
            let meant = elsewhere(written)
                .or_else(|| spelling::nearest(written, names.iter().copied()).map(String::from));
            let said = match meant {
                Some(name) => format!("unknown, did you mean {name}?"),
                None => "unknown".to_owned(),
            };
            let path = format!("{prefix}{}", shown_key(written));
            let given = shortened(value);
            self.findings
                .add(Code::UnknownKey, &path, given, Value::Null, &said);
        }
    }

    /// Brings settings that mean one thing together; returns what was written and what was found.
    fn finish(mut self) -> (Origins, Vec<Finding>) {
        combinations::within_text(self.config, &self.taken, &mut self.findings);
        self.config.strict |= self.config.strict_for_life;
        if self.door == Door::Init && self.form == Form::Base {
            self.config.strict_for_life = self.config.strict;
        }
        (self.taken, self.findings.into_vec())
    }
}

/// Adds every value that `object` has for `key`, in the order of reading at `door`.
fn collect<'a>(
    key: &'static Key,
    door: Door,
    object: &'a Map<String, Value>,
    prefix: &str,
    written: &mut Vec<Written<'a>>,
) {
    for spelling in key.spellings(door) {
        if let Some((name, value)) = spelling::find(object, spelling) {
            written.push(Written {
                path: format!("{prefix}{}", shown_key(name)),
                spelling,
                value,
            });
        }
    }
}

/// The place where a key that is unknown here is known.
fn elsewhere(written: &str) -> Option<String> {
    sections().into_iter().skip(1).find_map(|section| {
        let has = |key: &Key| {
            let spellings = key.spellings(Door::Load);
            spellings
                .iter()
                .any(|name| spelling::is_same(written, name))
        };
        let key = section.keys().find(|key| has(key))?;
        Some(format!("{}.{}", section.name, key.name))
    })
}
