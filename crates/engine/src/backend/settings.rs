//! The configuration in force: its layers, what they came to, and what was found wrong with them.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{RwLockReadGuard, RwLockWriteGuard};
use serde_json::Value;

use super::{Backend, Options};
use crate::config::{ArgumentsMode, Code, Config, Door, Finding, RawConfig};
use crate::error::{Error, Result};

/// A backend's configuration.
pub struct Settings {
    /// What the layers came to.
    pub config: Arc<Config>,
    init: Option<RawConfig>,
    load: Option<RawConfig>,
    arguments: Option<ArgumentsMode>,
    /// `strict` was given at init.
    strict_at_init: bool,
    findings: Vec<Finding>,
    /// Doors and paths that were logged.
    logged: HashSet<(Door, String)>,
}

/// Findings that are logged in a backend's life. Calls may name any number of unknown keys.
const MOST_LOGGED: usize = 1000;

/// What opening has to say once there is a log to say it in.
pub struct Opening(Vec<String>, Vec<Finding>);

/// A load's configuration, checked and not in force yet.
pub struct Pending {
    /// What it comes to.
    pub config: Arc<Config>,
    load: Option<RawConfig>,
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
        let layers: Vec<_> = init.iter().map(|raw| (Door::Init, raw)).collect();
        let (config, findings) = Config::from_layers(&layers);
        // What does not compile is recorded here and refused by the load.
        let refusable = findings.iter().filter(|f| f.code != Code::NoCompile);
        refuse(refusable, config.strict)?;
        let settings = Settings {
            strict_at_init: config.strict,
            config: Arc::new(config),
            init,
            load: None,
            arguments,
            logged: findings.iter().map(key).collect(),
            findings: findings.clone(),
        };
        Ok((settings, Opening(lines, findings)))
    }

    /// Checks a load's configuration over the init one; without a text the load before stays in force. The second value
    /// says why a text is no configuration.
    pub fn pend(&self, text: Option<&[u8]>) -> Result<(Pending, Option<String>)> {
        let mut ignored = None;
        let load = match text.filter(|text| !text.is_empty()) {
            None => self.load.clone(),
            Some(text) => match RawConfig::parse(Door::Load, text) {
                Ok(raw) => Some(raw),
                Err(reason) if self.strict_at_init => {
                    return Err(Error::InvalidArgument(format!("load config: {reason}")));
                }
                Err(reason) => {
                    ignored = Some(format!("load config ignored, using defaults: {reason}"));
                    None
                }
            },
        };
        let init = self.init.iter().map(|raw| (Door::Init, raw));
        let layers: Vec<_> = init
            .chain(load.iter().map(|raw| (Door::Load, raw)))
            .collect();
        let (config, findings) = Config::from_layers(&layers);
        refuse(&findings, config.strict)?;
        let pending = Pending {
            config: Arc::new(config),
            load,
            findings,
        };
        Ok((pending, ignored))
    }

    /// Puts a checked load configuration in force.
    pub fn apply(&mut self, pending: Pending) {
        self.config = pending.config;
        self.load = pending.load;
        self.findings = pending.findings;
    }

    /// Everything that was found, as JSON.
    pub fn notes(&self) -> Value {
        self.findings.iter().map(Finding::to_json).collect()
    }
}

impl Pending {
    /// Logs what was found, each door and path once.
    pub fn note(&self, backend: &Backend) -> Result<()> {
        backend.note_findings(&self.findings, self.config.strict)
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
            let logged = &mut self.settings_mut().logged;
            if logged.len() < MOST_LOGGED && logged.insert(key(finding)) {
                log_finding(finding);
            }
        }
        refuse(findings, strict)
    }
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
