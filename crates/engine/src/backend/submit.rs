//! The step from a prepared turn to the engine thread, unless the turn is over by then.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::prepare::Ready;
use super::serving::Serving;
use crate::chat::Session;
use crate::error::{Error, Result};
use crate::scheduler::{
    Class, Client, Deadlines, Kept, Pass, Past, SessionKey, Speech, Ticket, Turn,
};

/// How a turn is to be run.
pub struct How {
    /// When its caller first handed it in.
    pub since: Instant,
    /// Its permit, if it was accepted before.
    pub pass: Pass,
    /// Latest moment to leave the queue.
    pub deadline: Instant,
    /// Ends it when set.
    pub cancelled: Arc<AtomicBool>,
    /// How urgent it is.
    pub class: Class,
    /// It runs in engine calls of its own.
    pub deterministic: bool,
    /// Its caller wants the text in pieces.
    pub stream: bool,
    /// Let go of when it is answered.
    pub keeps: Option<Box<dyn Any + Send>>,
}

/// A turn that the engine has accepted.
pub struct Submitted {
    /// The way of its answer.
    pub ticket: Ticket,
    /// Tokens of its prompt.
    pub prompt_tokens: usize,
}

/// Hands a prepared turn of `session` to the engine thread. Errors: `Replaced` where another version has taken over;
/// `Cancelled` and `Timeout` where it is over before that.
pub fn submit(
    serving: &Serving,
    session: &Session,
    prepared: Ready,
    how: How,
) -> Result<Submitted> {
    let prompt_tokens = prepared.tokens.len();
    // The waits on the way here may have taken all the time that there was.
    if how.cancelled.load(Ordering::Relaxed) {
        serving.engine.stats().totals.given_up();
        return Err(Error::Cancelled);
    }
    if Instant::now() >= how.deadline {
        serving.engine.stats().totals.came_late();
        return Err(Error::Timeout(format!(
            "the turn was ready for the queue after {} ms, and gave up",
            how.since.elapsed().as_millis()
        )));
    }
    let ticket = serving.engine.submit(Turn {
        session: SessionKey(session.id),
        class: how.class,
        client: Client(session.client.load(Ordering::Relaxed)),
        deterministic: how.deterministic,
        stream: how.stream,
        tokens: prepared.tokens,
        media: prepared.media,
        speech: Speech::new(prepared.recipe, prepared.rules).sorted_by(prepared.splitter),
        deadlines: Deadlines {
            queued: how.deadline,
            hard: prepared.hard_limit,
        },
        keep_cache: serving.config.memory.cache_prompt,
        past: Past {
            presence: session.presence.clone(),
            ..prepared.past
        },
        since: how.since,
        pass: how.pass,
        cancelled: how.cancelled,
        keeps: Kept::new(how.keeps),
    })?;
    Ok(Submitted {
        ticket,
        prompt_tokens,
    })
}
