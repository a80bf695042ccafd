//! The configuration in force: its layers, what they came to, and what was found wrong with them.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use serde_json::json;
use serde_json::value::{RawValue, Value, to_raw_value};

use super::workers::apart;
use super::{Backend, Options};
use crate::config::{ArgumentsMode, Code, Config, Door, Finding, RawConfig};
use crate::error::{Error, Result};
use crate::logging::{self, Directives};

/// A backend's configuration.
pub struct Settings {
    /// What the layers came to.
    pub config: Arc<Config>,
    shown: Shown,
    base: Base,
    arguments: Option<ArgumentsMode>,
    /// What is logged as long as nobody says.
    directives: Option<Directives>,
    /// The log was changed at run time, over init and load.
    log_is_changed: bool,
    /// Doors and paths that were logged.
    logged: HashSet<(Door, String)>,
}

/// The texts that a load's configuration is laid over.
#[derive(Clone)]
pub struct Base {
    init: Option<Arc<RawConfig>>,
    load: Option<Arc<RawConfig>>,
    /// `strict` was given at init.
    strict_at_init: bool,
}

/// The settings in force as the MODEL status has them. Written once for each change, on a thread with enough stack:
/// they may be long, and nested as deep as a schema is.
#[derive(Clone)]
pub struct Shown {
    /// Every setting with its value.
    pub config: Arc<RawValue>,
    /// What was found wrong with the configurations.
    pub notes: Arc<RawValue>,
}

/// Findings that are logged in a backend's life. Calls may name any number of unknown keys.
const MOST_LOGGED: usize = 1000;

/// What opening has to say once there is a log to say it in.
pub struct Opening(Vec<String>, Vec<Finding>);

/// The text of a load's configuration.
pub enum Text<'a> {
    /// A new one.
    New(&'a [u8]),
    /// That of the backend's load before.
    Kept,
    /// That of an earlier load.
    Again(Option<Arc<RawConfig>>),
}

/// A load's configuration, checked and not in force yet.
pub struct Pending {
    /// What it comes to.
    pub config: Arc<Config>,
    load: Option<Arc<RawConfig>>,
    /// Its text says something of the log.
    sets_log: bool,
    findings: Vec<Finding>,
}

impl Settings {
    /// Reads the init configuration. Text that is no configuration means defaults. Errors: `InvalidArgument` for a
    /// finding under `strict`.
    pub fn open(options: Options<'_>) -> Result<(Settings, Opening)> {
        let mut lines = Vec::new();
        let init = options.config.and_then(|text| {
            RawConfig::parse(Door::Init, text)
                .inspect_err(|reason| {
                    lines.push(format!("init config ignored, using defaults: {reason}"));
                })
                .ok()
        });
        let arguments = options.run_inference_args.and_then(|text| {
            let mode = ArgumentsMode::from_text(text);
            if mode.is_none() {
                lines.push(format!(
                    "WASI_NN_RUN_INFERENCE_ARGS is {text:?}, must be auto, 6 or 8; ignored"
                ));
            }
            mode
        });
        let filter = options
            .log_filter
            .filter(|_| !init.as_ref().is_some_and(sets_log));
        let (directives, ignored) = filter.map(Directives::parse).unwrap_or_default();
        lines.extend(ignored);
        let layers: Vec<_> = init.iter().map(|raw| (Door::Init, raw)).collect();
        let (config, findings) = Config::from_layers(&layers);
        // What does not compile is recorded here and refused by the load.
        let refusable = findings.iter().filter(|f| f.code != Code::NoCompile);
        refuse(refusable, config.strict)?;
        let settings = Settings {
            shown: Shown {
                config: shown_config(&config),
                notes: shown_notes(&findings),
            },
            base: Base {
                init: init.map(Arc::new),
                load: None,
                strict_at_init: config.strict,
            },
            config: Arc::new(config),
            arguments,
            directives,
            log_is_changed: false,
            logged: findings.iter().map(key).collect(),
        };
        Ok((settings, Opening(lines, findings)))
    }

    /// The settings in force as the MODEL status has them.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// Exchanges what is in force for `pending`, which then holds what was.
    fn exchange(&mut self, pending: &mut Pending, shown: &mut Shown) {
        self.log_is_changed &= !pending.sets_log;
        std::mem::swap(&mut self.config, &mut pending.config);
        std::mem::swap(&mut self.base.load, &mut pending.load);
        std::mem::swap(&mut self.shown, shown);
    }

    /// What is logged, where no configuration says anything of it.
    pub fn directives(&self) -> Option<&Directives> {
        let texts = self.base.init.iter().chain(&self.base.load);
        let is_said = self.log_is_changed || texts.into_iter().any(|text| sets_log(text));
        self.directives.as_ref().filter(|_| !is_said)
    }
}

impl Base {
    /// Checks a load's configuration over the init one. `now`: what is in force, of which the load of a further model takes
    /// what is of the whole backend.
    fn pend(&self, text: Text<'_>, now: Option<&Config>) -> Result<Pending> {
        let door = match now {
            Some(_) => Door::Further,
            None => Door::Load,
        };
        let is_new = matches!(text, Text::New(_));
        let load = match text {
            Text::Kept => self.load.clone(),
            Text::Again(load) => load,
            Text::New(text) => match RawConfig::parse(door, text) {
                Ok(raw) => Some(Arc::new(raw)),
                Err(reason) if self.strict_at_init => {
                    return Err(Error::InvalidArgument(format!("load config: {reason}")));
                }
                Err(reason) => {
                    log::warn!(target: "config", "load config ignored, using defaults: {reason}");
                    None
                }
            },
        };
        let init = self.init.iter().map(|raw| (Door::Init, &**raw));
        let layers: Vec<_> = init.chain(load.iter().map(|raw| (door, &**raw))).collect();
        let (mut config, findings) = Config::from_layers(&layers);
        // A load answers for what it brought; what init brought was answered there.
        let brought = |f: &&Finding| f.door != Door::Init || f.code == Code::NoCompile;
        refuse(findings.iter().filter(brought), config.strict)?;
        if let Some(now) = now {
            config.share(now);
        }
        Ok(Pending {
            config: Arc::new(config),
            sets_log: is_new && load.as_deref().is_some_and(sets_log),
            load,
            findings,
        })
    }
}

impl Pending {
    /// The load's own text.
    pub fn load(&self) -> Option<Arc<RawConfig>> {
        self.load.clone()
    }

    /// Logs what was found, each door and path once.
    fn note(&self, backend: &Backend) -> Result<()> {
        // What `strict` refuses was refused when it was read.
        backend.note_findings(&self.findings, false)
    }
}

impl Opening {
    /// Writes it.
    pub fn log(&self) {
        for line in &self.0 {
            log::warn!(target: "config", "{line}");
        }
        self.1.iter().for_each(log_finding);
    }
}

impl Backend {
    /// The settings in force.
    pub(super) fn settings(&self) -> RwLockReadGuard<'_, Settings> {
        self.settings.read()
    }

    pub(super) fn settings_mut(&self) -> RwLockWriteGuard<'_, Settings> {
        self.settings.write()
    }

    /// Checks a load's configuration over what is in force, and logs what was found. `is_further`: the load is of a model
    /// beside the backend's own, which has the settings of the whole backend as they are.
    ///
    /// Errors: `InvalidArgument` for what does not compile, and for a finding under `strict`.
    pub(super) fn pend(&self, text: Text<'_>, is_further: bool) -> Result<Pending> {
        // Read without the lock: while a long text is, nobody waits for it.
        let (base, now) = {
            let settings = self.settings();
            (settings.base.clone(), settings.config.clone())
        };
        let pending = base.pend(text, is_further.then_some(&*now))?;
        pending.note(self)?;
        Ok(pending)
    }

    /// Puts a load's configuration in force, everywhere.
    pub(super) fn apply(&self, pending: Pending) {
        self.put_in_force(pending);
        self.reopen_log();
        let memory = self.settings().config.memory.clone();
        self.monitor.configure(&memory);
    }

    /// Puts a checked load configuration in force.
    fn put_in_force(&self, mut pending: Pending) {
        let _change = self.settling.lock();
        let settings = self.settings();
        let is_kept = settings.log_is_changed && !pending.sets_log;
        let kept = is_kept.then(|| settings.config.logging.clone());
        drop(settings);
        if let Some(logging) = kept {
            Arc::make_mut(&mut pending.config).logging = logging;
        }
        let mut shown = Shown {
            config: shown_config(&pending.config),
            notes: shown_notes(&pending.findings),
        };
        self.settings_mut().exchange(&mut pending, &mut shown);
    }

    /// Puts the keys of `text`, which has only those of the log, in force over those that are.
    fn change_log(&self, text: &RawConfig) -> Result<()> {
        let _change = self.settling.lock();
        let mut config = self.settings().config.clone();
        let now = json!({"logging": config.to_json()["logging"]}).to_string();
        let now = RawConfig::parse(Door::Load, now.as_bytes()).map_err(Error::Internal)?;
        // Absent values are null in the lower layer and refused there, which leaves them absent.
        let (changed, _) = Config::from_layers(&[(Door::Load, &now), (Door::Load, text)]);
        Arc::make_mut(&mut config).logging = changed.logging;
        let shown = shown_config(&config);
        let mut settings = self.settings_mut();
        settings.config = config;
        settings.shown.config = shown;
        settings.log_is_changed |= sets_log(text);
        Ok(())
    }

    /// Changes what is logged, where and how, from now on until a load says something of it. `text`: the keys of the
    /// section `logging` as a JSON object, perhaps inside `{"logging": ...}`; a key that is left out stays as it is.
    /// Errors: `InvalidArgument` if the text is none, or naming the first finding under `strict`: then nothing changes.
    pub fn set_logging(&self, text: &[u8]) -> Result<()> {
        let call = self.enter()?;
        // Nested text takes more stack than a host's thread may have.
        apart(|| {
            let _entered = logging::enter(&self.journal);
            let keys = RawConfig::parse(Door::Load, text)
                .map_err(|reason| Error::InvalidArgument(format!("logging config: {reason}")))?
                .within("logging");
            let (_, findings) = Config::from_layers(&[(Door::Load, &keys)]);
            let strict = self.settings().config.strict;
            self.note_findings(&findings, strict)?;
            self.change_log(&keys)
        })?;
        self.reopen_log();
        drop(call);
        Ok(())
    }

    /// Lets the log follow the settings in force.
    pub(super) fn reopen_log(&self) {
        // One after the other, so that of two changes the later one stands. A file may take long to open.
        let change = self.settling.lock();
        let settings = self.settings();
        let (config, directives) = (settings.config.clone(), settings.directives().cloned());
        drop(settings);
        let problem = self.journal.reopen(&config.logging, directives.as_ref());
        drop(change);
        logging::update_level();
        if let Some(problem) = problem {
            log::warn!(target: "config", "{problem}");
        }
    }

    /// How arguments 7 and 8 of `run_inference` are taken.
    pub(super) fn arguments_mode(&self) -> ArgumentsMode {
        let settings = self.settings();
        settings
            .arguments
            .unwrap_or(settings.config.backend.run_inference_args)
    }

    /// The upper bound on every output buffer, where one is configured.
    pub fn max_output_bytes(&self) -> Option<usize> {
        self.settings().config.backend.max_output_bytes
    }

    /// Logs findings, each door and path once. Errors: `InvalidArgument` with the first one that `strict` refuses, or
    /// one that does not compile.
    pub(super) fn note_findings(&self, findings: &[Finding], strict: bool) -> Result<()> {
        for finding in findings {
            // Not under the lock: a log may be slow to write.
            let is_new = {
                let logged = &mut self.settings_mut().logged;
                logged.len() < MOST_LOGGED && logged.insert(key(finding))
            };
            if is_new {
                log_finding(finding);
            }
        }
        refuse(findings, strict)
    }
}

/// Whether a configuration says anything of the log.
fn sets_log(text: &RawConfig) -> bool {
    text.says("logging", &["enable_debug", "enable_debug_log"])
}

fn shown_config(config: &Config) -> Arc<RawValue> {
    raw(&config.to_json())
}

fn shown_notes(findings: &[Finding]) -> Arc<RawValue> {
    raw(&findings.iter().map(Finding::to_json).collect())
}

fn raw(value: &Value) -> Arc<RawValue> {
    to_raw_value(value).expect("a JSON value is JSON").into()
}

fn key(finding: &Finding) -> (Door, String) {
    (finding.door, finding.path.clone())
}

fn log_finding(finding: &Finding) {
    match finding.code {
        Code::NoEffect => log::info!(target: "config", "{}", finding.message),
        _ => log::warn!(target: "config", "{}", finding.message),
    }
}

/// Errors: `InvalidArgument` with the first finding that does not compile, or that `strict` refuses.
fn refuse<'a>(findings: impl IntoIterator<Item = &'a Finding>, strict: bool) -> Result<()> {
    let mut findings = findings.into_iter();
    let refused = findings
        .find(|f| f.code == Code::NoCompile || (strict && f.code.is_refused_under_strict()));
    refused.map_or(Ok(()), |finding| {
        Err(Error::InvalidArgument(finding.message.clone()))
    })
}

#[cfg(test)]
mod tests {
    use log::{Level, Metadata};

    use super::*;

    /// The categories whose debug lines a backend writes, of two.
    fn talkative(backend: &Backend) -> [bool; 2] {
        ["memory", "queue"].map(|target| {
            let mut line = Metadata::builder();
            let line = line.level(Level::Debug).target(target).build();
            backend.journal.wants(&line)
        })
    }

    #[test]
    fn the_directives_count_as_long_as_no_configuration_says_anything_of_the_log() {
        let open = |config: Option<&str>| {
            let options = Options {
                config: config.map(str::as_bytes),
                run_inference_args: None,
                log_filter: Some("memory=debug"),
            };
            Backend::open(options).unwrap()
        };
        let check = |config: Option<&str>, expect| {
            assert_eq!(talkative(&open(config)), expect, "{config:?}");
        };
        check(None, [true, false]);
        check(Some("not JSON"), [true, false]);
        check(Some(r#"{"model": {"ctx_size": 512}}"#), [true, false]);
        check(Some(r#"{"logging": {}}"#), [true, false]);
        check(Some(r#"{"logging": {"level": "error"}}"#), [false, false]);
        check(Some(r#"{"Logging": {"colors": false}}"#), [false, false]);
        check(Some(r#"{"enable_debug": true}"#), [true, true]);
        check(Some(r#"{"enable_debug_log": false}"#), [false, false]);

        let backend = open(None);
        backend.set_logging(b"{}").unwrap();
        assert_eq!(talkative(&backend), [true, false]);
        backend.set_logging(br#"{"colors": true}"#).unwrap();
        assert_eq!(talkative(&backend), [false, false]);
        backend.set_logging(br#"{"level": "debug"}"#).unwrap();
        assert_eq!(talkative(&backend), [true, true]);
    }
}
