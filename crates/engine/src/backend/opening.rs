//! Opening and closing conversations, and forgetting what has ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Backend;
use super::contexts::{ContextId, Opened};
use super::lines::{self, Eviction};
use super::version::DEFAULT;
use crate::chat::{History, Session};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::scheduler::SessionKey;

impl Backend {
    /// Opens a conversation of its own. `graph`: a model version that was loaded here selects it; any other number
    /// selects the current one, because hosts pass uninitialised memory. Errors: `NoModel`; `TooManyContexts`; `MemoryPressure`.
    pub fn open_context(&self, graph: u32) -> Result<ContextId> {
        let _call = self.enter()?;
        let model = match self.fleet.name_of(graph) {
            Some(model) => model,
            None => {
                let model = self.fleet.current().ok_or(Error::NoModel)?;
                if !self.warned_graph.swap(true, Ordering::Relaxed) {
                    log::warn!(target: "session", "graph {graph} is not loaded here, using model {model}");
                }
                model
            }
        };
        let config = self.settings().config.clone();
        let history = self.history_of(&model, &config);
        self.forget_all(&self.contexts.clean_up(&config.backend), Eviction::Idle);
        self.monitor.admit()?;
        let limits = &config.backend;
        let opened = self.contexts.open_anonymous(limits, history, model)?;
        Ok(self.opened(&opened))
    }

    /// Opens the conversation `name`, or attaches to it. Errors: `MemoryPressure`; `InvalidArgument` for a name that is empty or longer
    /// than 1,024 bytes; `NoModel`; `TooManyContexts`.
    pub fn open_named_context(&self, name: &[u8]) -> Result<ContextId> {
        let _call = self.enter()?;
        let model = self.fleet.current().ok_or(Error::NoModel)?;
        if name.is_empty() || name.len() > 1024 {
            return Err(Error::InvalidArgument(format!(
                "session name has {} bytes, must have 1 to 1024",
                name.len()
            )));
        }
        let config = self.settings().config.clone();
        let history = self.history_of(&model, &config);
        self.forget_all(&self.contexts.clean_up(&config.backend), Eviction::Idle);
        if !self.contexts.has_named(name) {
            self.monitor.admit()?;
        }
        let limits = &config.backend;
        let opened = self.contexts.open_named(limits, name, history, model)?;
        Ok(self.opened(&opened))
    }

    /// Closes a context; its running turn is cancelled. A named conversation is kept. Errors: `UnknownContext`.
    pub fn close_context(&self, context: u32) -> Result<()> {
        let _call = self.enter()?;
        self.refuse_reentrance(Some(context))?;
        let ended = self.contexts.close(context)?;
        lines::closed(context, ended.is_none());
        if let Some(session) = ended {
            self.forget(&session);
        }
        Ok(())
    }

    /// A new conversation with `model`, under its system prompt.
    fn history_of(&self, model: &str, config: &Config) -> History {
        let own = self.fleet.lineage(model).config;
        let own = own.as_deref().filter(|_| model != DEFAULT);
        History::new(own.unwrap_or(config).model.system_prompt.as_deref())
    }

    fn opened(&self, opened: &Opened) -> ContextId {
        self.forget_all(&opened.evicted, Eviction::Limit);
        lines::opened(opened.id.0, &opened.session);
        opened.id
    }

    /// Sessions that clean-up has ended.
    fn forget_all(&self, sessions: &[Arc<Session>], why: Eviction) {
        for session in sessions {
            lines::evicted(session, why);
            self.forget(session);
        }
    }

    pub(super) fn forget(&self, session: &Session) {
        self.store.forget(session.id);
        for version in self.fleet.registry.versions() {
            version.engine.forget(SessionKey(session.id));
        }
    }
}
