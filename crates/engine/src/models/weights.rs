//! Weights that are in memory: who loads a file that somebody has loaded already gets a share of the same.
//!
//! For the whole process, because weights never change: models of several backends may be of one file, too.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use once_cell::sync::Lazy;
use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::llama::{Model, ModelParams};

/// Between two looks of who waits for another one's load.
const LOOK: Duration = Duration::from_millis(20);

/// Which file, and how its tensors lie in memory.
type Key = (u64, String);

/// One file's weights. Locked while they are loaded.
type Shelf = Arc<Mutex<Weak<Model>>>;

static SHELVES: Lazy<Mutex<HashMap<Key, Shelf>>> = Lazy::new(Mutex::default);

/// The weights of the file at `path` that `identity` tells from all others: those that are in memory, or loaded now.
///
/// `progress` as for `Model::load`; while somebody else loads them it is asked with 0, and for those in memory with 1.
pub fn load(
    path: &Path,
    identity: u64,
    params: &ModelParams,
    progress: &mut dyn FnMut(f32) -> bool,
) -> Result<Arc<Model>> {
    let shelf = shelf(identity, params);
    let mut weights = loop {
        match shelf.try_lock_for(LOOK) {
            Some(weights) => break weights,
            None if !progress(0.0) => return Err(cancelled()),
            None => {}
        }
    };
    if let Some(shared) = weights.upgrade() {
        return match progress(1.0) {
            true => Ok(shared),
            false => Err(cancelled()),
        };
    }
    let loaded = Arc::new(Model::load(path, params, progress)?);
    *weights = Arc::downgrade(&loaded);
    Ok(loaded)
}

/// Whether those weights are in memory, so that a load of them takes none.
pub fn are_loaded(identity: u64, params: &ModelParams) -> bool {
    let shelves = SHELVES.lock();
    let shelf = shelves.get(&key(identity, params)).cloned();
    drop(shelves);
    // Weights that are being loaded count as loaded by the one who loads them.
    shelf.is_some_and(|shelf| {
        shelf
            .try_lock()
            .is_some_and(|weights| weights.strong_count() > 0)
    })
}

/// A number for the weights that such a load would share.
pub fn shelf_number(identity: u64, params: &ModelParams) -> u64 {
    let mut hasher = DefaultHasher::new();
    key(identity, params).hash(&mut hasher);
    hasher.finish()
}

fn cancelled() -> Error {
    Error::Load("load cancelled".into())
}

fn shelf(identity: u64, params: &ModelParams) -> Shelf {
    let mut shelves = SHELVES.lock();
    // One that is locked, or held by somebody who is about to lock it, stays.
    shelves.retain(|_, shelf| {
        Arc::strong_count(shelf) > 1
            || shelf
                .try_lock()
                .is_none_or(|weights| weights.strong_count() > 0)
    });
    shelves.entry(key(identity, params)).or_default().clone()
}

fn key(identity: u64, params: &ModelParams) -> Key {
    (identity, format!("{params:?}"))
}
