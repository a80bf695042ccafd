//! The configuration from text to settings, without a model.

mod call;
mod document;
mod finding;
mod layer;
mod name;
mod property;
mod published;
mod table;
mod trigger;

use super::*;

/// Parses `text`, which is a configuration.
fn raw(door: Door, text: &str) -> RawConfig {
    RawConfig::parse(door, text.as_bytes()).unwrap()
}

/// The settings after init with `text`, and the messages of all findings.
fn init(text: &str) -> (Config, Vec<String>) {
    at(&[(Door::Init, text)])
}

/// The settings after the texts of `layers`, and the messages of all findings.
fn at(layers: &[(Door, &str)]) -> (Config, Vec<String>) {
    let (config, findings) = found(layers);
    (config, messages(&findings))
}

fn found(layers: &[(Door, &str)]) -> (Config, Vec<Finding>) {
    let raws: Vec<_> = layers.iter().map(|(d, text)| (*d, raw(*d, text))).collect();
    let layers: Vec<_> = raws.iter().map(|(door, raw)| (*door, raw)).collect();
    Config::from_layers(&layers)
}

fn messages(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| f.message.clone()).collect()
}

/// The settings of a call with `call` after a load with `load`, and the messages of the call's findings.
fn called(load: &str, call: &str) -> (CallSettings, Vec<String>) {
    let (config, found) = at(&[(Door::Load, load)]);
    assert_eq!(found, [""; 0], "the load is clean");
    let (settings, findings) = config.for_call(Some(&raw(Door::Run, call)));
    assert!(findings.iter().all(|f| f.door == Door::Run));
    (settings, messages(&findings))
}

/// Checks that `text` at init brings exactly one finding, of `code` and with `message`.
fn check(text: &str, code: Code, message: &str) {
    check_at(Door::Init, text, code, message);
}

fn check_at(door: Door, text: &str, code: Code, message: &str) {
    let raw = raw(door, text);
    let findings = match door {
        Door::Run => Config::from_layers(&[]).0.for_call(Some(&raw)).1,
        _ => Config::from_layers(&[(door, &raw)]).1,
    };
    let seen: Vec<_> = findings
        .iter()
        .map(|f| (f.code, f.message.as_str()))
        .collect();
    assert_eq!(seen, [(code, message)], "{text}");
    assert_eq!(findings[0].door, door);
    assert!(message.starts_with(&findings[0].path));
}

const NONE: [&str; 0] = [];
