//! What a version of a model is beside what serves it: where it came from, and what brings it back.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use super::serving::{GraphId, Serving};
use crate::config::{Config, Lora, RawConfig};
use crate::error::{Error, Result};
use crate::models::{Found, Name, Profile, Source};
use crate::scheduler::Permits;

/// The model of plain loads, which name none.
pub const DEFAULT: &str = "default";

/// Longest name of a model in bytes.
const MOST_NAME_BYTES: usize = 256;

/// A version of a model. Cheap to clone.
#[derive(Clone)]
pub struct Version {
    /// Its model.
    pub model: Name,
    /// The handle that hosts know it by.
    pub graph: GraphId,
    /// Counts the versions of its model from 1.
    pub number: u64,
    /// Where it came from.
    pub origin: Arc<Origin>,
    /// The settings that it was loaded with.
    pub config: Arc<Config>,
    /// Those of the model's turns, which go from version to version.
    pub permits: Arc<Permits>,
}

/// What it takes to load a version again.
pub struct Origin {
    /// Its file.
    pub source: Source,
    /// The load's own configuration.
    pub load: Option<Arc<RawConfig>>,
    /// Its adapters, wherever a relative path of that configuration leads by now.
    pub adapters: Vec<Lora>,
}

/// A version whose memory was given to others.
pub struct Sleeper {
    /// Which.
    pub version: Version,
    /// The version's label.
    pub label: Arc<str>,
    /// What it is.
    pub profile: Profile,
    /// The last time that it could not be brought back, and why.
    pub failed: Mutex<Option<(Instant, Error)>>,
}

impl Sleeper {
    /// Of a version that serves until now.
    pub fn of(serving: &Serving) -> Sleeper {
        Sleeper {
            version: serving.version.clone(),
            label: serving.label.clone(),
            profile: serving.profile.clone(),
            failed: Mutex::default(),
        }
    }

    /// Errors: the failure of an attempt that ended after `since`, so that who waited for it need not try again.
    pub fn check(&self, since: Instant) -> Result<()> {
        match &*self.failed.lock() {
            Some((at, error)) if *at >= since => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

/// The permits of a model's turns; new ones where there is no such model.
pub fn permits(found: &Found<Serving, Sleeper>) -> Arc<Permits> {
    match found {
        Found::Serving(serving) => serving.version.permits.clone(),
        Found::Asleep(sleeper) | Found::Away(sleeper) => sleeper.version.permits.clone(),
        Found::Absent => Arc::new(Permits::new()),
    }
}

/// What is known of a model, whether it serves or sleeps.
pub struct Known {
    /// Its version's handle.
    pub graph: GraphId,
    /// Its version's number.
    pub number: u64,
    /// Its version's label.
    pub label: Arc<str>,
    /// The file.
    pub file: String,
    /// What it is.
    pub profile: Profile,
}

/// What is known of what a name stands for; `None` where that is nothing.
pub fn known(found: &Found<Serving, Sleeper>) -> Option<Known> {
    let (version, label, profile) = match found {
        Found::Serving(serving) => (&serving.version, &serving.label, &serving.profile),
        Found::Asleep(sleeper) | Found::Away(sleeper) => {
            (&sleeper.version, &sleeper.label, &sleeper.profile)
        }
        Found::Absent => return None,
    };
    Some(Known {
        graph: version.graph,
        number: version.number,
        label: label.clone(),
        file: version.origin.source.shown().to_owned(),
        profile: profile.clone(),
    })
}

/// A model's name from outside. Errors: `InvalidArgument` for one that is empty, longer than 256 bytes, no UTF-8 or with
/// control characters.
pub fn model_name(bytes: &[u8]) -> Result<Name> {
    let refused = |why: &str| Err(Error::InvalidArgument(format!("model name: {why}")));
    match std::str::from_utf8(bytes) {
        Err(_) => refused("is not UTF-8"),
        Ok(_) if bytes.is_empty() || bytes.len() > MOST_NAME_BYTES => refused(&format!(
            "has {} bytes, must have 1 to {MOST_NAME_BYTES}",
            bytes.len()
        )),
        Ok(name) if name.chars().any(char::is_control) => refused("has control characters"),
        Ok(name) => Ok(name.into()),
    }
}

/// A number that is equal for vocabularies of one hash: tokens of past messages stay.
pub fn vocabulary_key(profile: &Profile) -> u64 {
    u64::from_str_radix(&profile.vocabulary.hash, 16).unwrap_or(0)
}
