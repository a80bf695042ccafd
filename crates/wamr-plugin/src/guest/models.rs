//! The models that guests share: one for each set of files and configuration, as long as somebody holds it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::thread::Builder;

use engine::Backend;
use parking_lot::{Condvar, Mutex};

use super::open::Identity;
use super::process;
use super::settings::Settings;
use super::source::Source;
use crate::failure::Failure;
use crate::instances;

/// A model in service. It is unloaded when its last holder lets go.
pub struct Model {
    /// The engine that serves it.
    pub backend: Arc<Backend>,
    /// Its number there.
    pub graph: u32,
    /// What it was loaded from: it is read again when it wakes up.
    _files: Vec<Source>,
}

/// The files and the configuration of a model. Equal configurations are equal texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// The model's, and those of its adapters and its projector.
    files: Vec<Identity>,
    config: Arc<str>,
}

/// What is known of a key; one guest loads, the others wait for it.
enum Place {
    Loading,
    Loaded(Weak<Model>),
}

#[derive(Default)]
struct Shelf {
    places: Mutex<HashMap<Key, Place>>,
    changed: Condvar,
}

static SHELF: LazyLock<Shelf> = LazyLock::new(Shelf::default);

impl Model {
    /// The model of `source` as `settings` want it, loaded for the instance `maker` if nobody holds it. Errors: those of
    /// the load; `Runtime` where the instance ends meanwhile.
    pub fn get(maker: u32, source: &Source, settings: &Settings) -> Result<Arc<Model>, Failure> {
        let files: Vec<Source> = std::iter::once(source)
            .chain(settings.files.iter())
            .cloned()
            .collect();
        let key = Key {
            files: files.iter().map(|file| file.identity).collect(),
            config: settings.model.clone(),
        };
        if let Some(model) = SHELF.find_or_claim(&key) {
            return Ok(model);
        }
        let claim = Claim(&key);
        let model = Arc::new(load(maker, files, &key.config)?);
        SHELF
            .places
            .lock()
            .insert(key.clone(), Place::Loaded(Arc::downgrade(&model)));
        drop(claim);
        Ok(model)
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // Where it fails there is nothing to unload: a backend that is being closed does it by itself.
        if let Ok(false) = self.backend.unload_graph_now(self.graph) {
            unload_later(self.backend.clone(), self.graph);
        }
    }
}

/// Unloads when the load of another guest, which may take minutes, is over. Nobody who lets go of a model waits for it.
fn unload_later(backend: Arc<Backend>, graph: u32) {
    let wait = move || drop(backend.unload_graph(graph));
    // Without a thread the model stays until the engine closes.
    drop(Builder::new().name("wasi-nn-unload".into()).spawn(wait));
}

impl Shelf {
    /// The model, or nothing where the caller is to load it.
    fn find_or_claim(&self, key: &Key) -> Option<Arc<Model>> {
        let mut places = self.places.lock();
        loop {
            match places.get(key) {
                Some(Place::Loading) => self.changed.wait(&mut places),
                Some(Place::Loaded(model)) => match model.upgrade() {
                    Some(model) => return Some(model),
                    None => break,
                },
                None => break,
            }
        }
        places.retain(|_, place| match place {
            Place::Loading => true,
            Place::Loaded(model) => model.strong_count() > 0,
        });
        places.insert(key.clone(), Place::Loading);
        None
    }
}

/// The right to load; giving it up lets the next one try.
struct Claim<'a>(&'a Key);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut places = SHELF.places.lock();
        if matches!(places.get(self.0), Some(Place::Loading)) {
            places.remove(self.0);
        }
        drop(places);
        SHELF.changed.notify_all();
    }
}

/// `files`: the model, and what is to be kept with it.
fn load(maker: u32, files: Vec<Source>, config: &str) -> Result<Model, Failure> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let backend = process::open()?;
    let name = format!("guest-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let path = files.first().map(|file| file.path.clone());
    // Nobody else would take what an instance that has ended still loads.
    let mut go_on = |_| instances::is_open(maker);
    let loaded = backend.load_model(
        name.as_bytes(),
        &path.unwrap_or_default(),
        Some(config.as_bytes()),
        Some(&mut go_on),
    );
    match loaded {
        Ok(graph) => Ok(Model {
            graph: graph.0,
            backend,
            _files: files,
        }),
        Err(error) => {
            let failure = Failure::from(error);
            // The engine may go with this failure, and its log with it: only warnings find another.
            if failure.level() > log::Level::Warn {
                backend.note(log::Level::Warn, &format!("load: {failure}"));
            }
            Err(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::names::Names;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn who_lets_go_of_a_model_does_not_wait_for_the_load_of_another() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/pocket-a.gguf");
        let names = Names::read(None, None, None).0;
        let source = Source::named(&names, path).unwrap();
        let settings = Settings::read(br#"{"ctx-size": 384}"#, &names, &source).unwrap();
        let model = Model::get(0, &source, &settings).unwrap();
        let (backend, graph) = (model.backend.clone(), model.graph);
        let ((inside, loads), (gone, is_gone)) = (channel(), channel());
        let (end, go_on) = channel::<()>();
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut step = move |_| inside.send(()).is_ok() && go_on.recv().is_ok();
                let config = br#"{"model": {"ctx_size": 384}}"#;
                backend.load_model(b"slow", path.as_ref(), Some(config), Some(&mut step))
            });
            loads.recv_timeout(PATIENCE).unwrap();
            scope.spawn(move || {
                drop(model);
                gone.send(()).unwrap();
            });
            let has_gone = is_gone.recv_timeout(PATIENCE);
            // Before anything is judged: without it the other load would not end.
            drop(end);
            assert!(other.join().unwrap().is_err(), "it was cancelled");
            has_gone.unwrap();
        });
        let deadline = Instant::now() + PATIENCE;
        while let Ok(context) = backend.open_context(graph) {
            backend.close_context(context.0).unwrap();
            assert!(Instant::now() < deadline, "the model is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
