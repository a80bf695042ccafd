//! One open or kept conversation, and what may be said about it without stopping its turn.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::Value;

use super::history::History;
use super::turnstile::Turnstile;
use crate::config::SessionMemory;
use crate::presence::Presence;

/// The priority of a session that was given none.
pub const UNSET: u32 = u32::MAX;

/// A conversation. Shared by the context that names it and the turns that run on it.
#[derive(Debug)]
pub struct Session {
    /// Rises within the process; names the conversation to the engine thread.
    pub id: u64,
    /// The host's name for it; anonymous sessions have none.
    pub name: Option<Box<[u8]>>,
    /// Orders its turns.
    pub turnstile: Arc<Turnstile>,
    /// 0 low, 1 normal, 2 high, 3 urgent: the class of its next turns; [`UNSET`] is that of the configuration.
    pub priority: AtomicU32,
    /// Who is charged for its turns: the session itself, or a key that several have in common.
    pub client: AtomicU64,
    /// Whether it is still there, for those who keep something of it.
    pub presence: Arc<Presence>,
    /// Its own rules for what gives way when it outgrows its context.
    pub memory: Mutex<SessionMemory>,
    /// The model that answers its next turns, by name.
    model: Mutex<Arc<str>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    history: History,
    input: Option<String>,
    result: Option<TurnResult>,
    /// Flags of the turns that run or wait, each set to cancel its turn.
    turns: Vec<Arc<AtomicBool>>,
    closed: bool,
    /// Tokens of the conversation at its last turn, the answer included.
    used_tokens: usize,
    last_used: Instant,
}

/// What the last turn left for `get_output`.
#[derive(Debug, Clone)]
pub struct TurnResult {
    /// The answer.
    pub text: Arc<str>,
    /// How it came about; the metadata document without `truncated`.
    pub metadata: Value,
}

/// What status and eviction see of a session.
#[derive(Debug, Clone, Copy)]
pub struct Activity {
    /// Since the last open, start or end of a turn.
    pub idle: Duration,
    /// A turn runs or waits.
    pub busy: bool,
    /// Complete turns in the history.
    pub turns: usize,
    /// Tokens of the conversation.
    pub used_tokens: usize,
    /// Bytes of the history's text.
    pub history_bytes: usize,
}

impl Session {
    /// A new conversation over `history` with the model of that name.
    pub fn new(id: u64, name: Option<Box<[u8]>>, history: History, model: Arc<str>) -> Session {
        Session {
            id,
            name,
            turnstile: Arc::default(),
            priority: AtomicU32::new(UNSET),
            client: AtomicU64::new(id),
            presence: Arc::default(),
            memory: Mutex::default(),
            model: Mutex::new(model),
            state: Mutex::new(State {
                history,
                input: None,
                result: None,
                turns: Vec::new(),
                closed: false,
                used_tokens: 0,
                last_used: Instant::now(),
            }),
        }
    }

    /// The model that answers its next turns.
    pub fn model(&self) -> Arc<str> {
        self.model.lock().clone()
    }

    /// Lets another model answer its next turns.
    pub fn set_model(&self, model: Arc<str>) {
        *self.model.lock() = model;
    }

    /// A copy of the conversation; messages are shared.
    pub fn history(&self) -> History {
        self.state.lock().history.clone()
    }

    /// Replaces the conversation by what a complete turn made of it.
    pub fn commit(&self, history: History, used_tokens: usize) {
        let mut state = self.state.lock();
        state.history = history;
        state.used_tokens = used_tokens;
    }

    /// Notes how many tokens the last turn had, where it is no part of the conversation.
    pub fn set_used(&self, tokens: usize) {
        self.state.lock().used_tokens = tokens;
    }

    /// Forgets the turns of `range`. False: there are not so many.
    pub fn remove_turns(&self, range: Range<usize>) -> bool {
        let mut state = self.state.lock();
        let is_there = range.end <= state.history.turns();
        if is_there {
            state.history.remove_turns(range);
        }
        is_there
    }

    /// Forgets what was said.
    pub fn clear(&self) {
        let mut state = self.state.lock();
        state.history.clear();
        state.used_tokens = 0;
    }

    /// Keeps the input of the next `compute`; the last one wins.
    pub fn set_input(&self, text: String) {
        self.state.lock().input = Some(text);
    }

    /// The input of `compute`; it stays for another one.
    pub fn input(&self) -> Option<String> {
        self.state.lock().input.clone()
    }

    /// Keeps the result of a turn.
    pub fn set_result(&self, result: TurnResult) {
        self.state.lock().result = Some(result);
    }

    /// The result of the last turn.
    pub fn result(&self) -> Option<TurnResult> {
        self.state.lock().result.clone()
    }

    /// Notes in the last result's metadata that the host's buffer took less than the text.
    pub fn mark_truncated(&self) {
        if let Some(result) = &mut self.state.lock().result {
            result.metadata["truncated"] = Value::Bool(true);
        }
    }

    /// Registers a turn that runs or waits; `None` when the session is closed.
    pub fn begin(self: &Arc<Self>, cancel: &Arc<AtomicBool>) -> Option<Turn> {
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        state.turns.push(cancel.clone());
        state.last_used = Instant::now();
        Some(Turn {
            session: self.clone(),
            cancel: cancel.clone(),
        })
    }

    /// Cancels every turn that runs or waits.
    pub fn cancel(&self) {
        for turn in &self.state.lock().turns {
            turn.store(true, Ordering::Relaxed);
        }
        self.turnstile.wake();
    }

    /// Cancels, and lets no further turn begin.
    pub fn close(&self) {
        self.presence.end();
        self.state.lock().closed = true;
        self.cancel();
    }

    /// Stamps the session as used now.
    pub fn touch(&self) {
        self.state.lock().last_used = Instant::now();
    }

    /// What it has been doing.
    pub fn activity(&self) -> Activity {
        let state = self.state.lock();
        Activity {
            idle: state.last_used.elapsed(),
            busy: !state.turns.is_empty(),
            turns: state.history.turns(),
            used_tokens: state.used_tokens,
            history_bytes: state.history.bytes(),
        }
    }
}

/// A turn that runs or waits; dropping it takes it off the session.
#[derive(Debug)]
pub struct Turn {
    session: Arc<Session>,
    cancel: Arc<AtomicBool>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.session.state.lock();
        state.turns.retain(|t| !Arc::ptr_eq(t, &self.cancel));
        state.last_used = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Arc<Session> {
        Arc::new(Session::new(1, None, History::new(None), "m".into()))
    }

    #[test]
    fn cancel_reaches_every_turn_and_close_admits_no_other() {
        let session = session();
        let flags = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let turns: Vec<_> = flags.iter().map(|f| session.begin(f).unwrap()).collect();
        assert!(session.activity().busy);
        session.close();
        assert!(flags.iter().all(|f| f.load(Ordering::Relaxed)));
        assert!(session.begin(&flags[0]).is_none());
        drop(turns);
        assert!(!session.activity().busy);
    }

    #[test]
    fn a_truncated_result_says_so_and_keeps_its_text() {
        let session = session();
        session.set_result(TurnResult {
            text: "abc".into(),
            metadata: serde_json::json!({"truncated": false}),
        });
        session.mark_truncated();
        let result = session.result().unwrap();
        assert_eq!(
            (&*result.text, &result.metadata["truncated"]),
            ("abc", &Value::Bool(true))
        );
    }
}
