//! What every section is given: both sides, ready to be started, and the sizes. Measures nothing.

use serde_json::{Map, Value, json};

use crate::corpus;
use crate::error::{Error, Result};
use crate::library::Library;
use crate::logs::Logs;
use crate::machine;
use crate::options::Options;
use crate::ours::{Ours, Place, Settings, Speech};
use crate::peers::Peers;
use crate::shape::Shape;

/// Both sides and the sizes.
pub struct Bench {
    /// The command line.
    pub options: Options,
    /// The sizes.
    pub shape: Shape,
    /// The programs to compare with.
    pub peers: Peers,
    /// Where both sides write their logs.
    pub logs: Logs,
    /// Processes that wanted a core before the first measurement, on average.
    pub load_before: Option<f64>,
    library: &'static Library,
}

impl Bench {
    /// Opens the library, looks at the model and finds the peers.
    pub fn new(options: Options) -> Result<Bench> {
        let load_before = machine::load();
        let library = Library::open(&options.library)?;
        let logs = Logs::new(options.keep_logs)?;
        let peers = Peers::find(
            options.peers.as_deref(),
            &options.model,
            options.threads,
            logs.folder(),
        );
        let mut bench = Bench {
            shape: Shape::quick(u32::MAX),
            options,
            peers,
            logs,
            load_before,
            library,
        };
        let context = bench.counting()?.training_context()?;
        bench.shape = match bench.options.quick {
            true => Shape::quick(context),
            false => Shape::full(context, &bench.options.streams),
        };
        Ok(bench)
    }

    /// Starts our side.
    pub fn ours(&self, settings: &Settings) -> Result<Ours> {
        self.ours_with(settings, &json!({}))
    }

    /// Starts our side with further keys in the load's configuration.
    pub fn ours_with(&self, settings: &Settings, more: &Value) -> Result<Ours> {
        self.raw(self.library, settings, more)
    }

    /// Starts the library without debug lines, where there is one.
    pub fn without_debug_lines(&self, settings: &Settings) -> Result<Option<Ours>> {
        let Some(path) = &self.options.quiet_library else {
            return Ok(None);
        };
        self.raw(Library::open(path)?, settings, &json!({}))
            .map(Some)
    }

    /// Starts our side with the pocket model, for conversations that it understands.
    pub fn pocket(&self, settings: &Settings, more: &Value) -> Result<Ours> {
        let place = Place {
            library: self.library,
            model: &self.options.pocket,
            speech: Speech::Chat,
            // Between two barriers of several threads it computes for less time than they take.
            threads: 1,
            log: &self.logs.folder().join("ours.log"),
        };
        Ours::start(place, settings, more)
    }

    /// `count` different prompts of `tokens` tokens.
    pub fn prompts(&self, tokens: u32, count: usize) -> Result<Vec<String>> {
        corpus::prompts(&self.counting()?, tokens, count)
    }

    /// One prompt of `tokens` tokens.
    pub fn prompt(&self, tokens: u32) -> Result<String> {
        let mut prompts = self.prompts(tokens, 1)?;
        prompts
            .pop()
            .ok_or_else(|| Error::Setup("no prompt was made".to_owned()))
    }

    /// Whether clients can be told apart.
    pub fn has_client_keys(&self) -> bool {
        self.library.has_client_keys()
    }

    /// What everything was measured on and with.
    pub fn about(&self) -> Map<String, Value> {
        let about = json!({
            "machine": machine::to_json(),
            "load_before": self.load_before,
            "library": self.library.version(),
            "commit": machine::commit(),
            "options": self.options.to_json(),
            "shape": self.shape.to_json(),
            "peers": self.peers.to_json(),
        });
        match about {
            Value::Object(about) => about,
            _ => Map::new(),
        }
    }

    /// The model of the command line, which gets its texts as they are.
    fn raw(&self, library: &'static Library, settings: &Settings, more: &Value) -> Result<Ours> {
        let place = Place {
            library,
            model: &self.options.model,
            speech: Speech::Raw,
            threads: self.options.threads,
            log: &self.logs.folder().join("ours.log"),
        };
        Ours::start(place, settings, more)
    }

    /// Our side with little memory, for counting.
    fn counting(&self) -> Result<Ours> {
        self.ours(&Settings {
            parallel: 1,
            context: 512,
            contexts: 1,
            queue: 50,
        })
    }
}
