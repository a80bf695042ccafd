//! The messages of one conversation.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::llama::Token;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The frame of the conversation.
    System,
    /// The host's side.
    User,
    /// The model's side.
    Assistant,
}

impl Role {
    /// The name that templates and JSON use.
    pub fn name(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// One message. Cheap to clone: text and tokens are shared.
#[derive(Debug, Clone)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Arc<str>,
    /// What the model thought before it answered, without markup; templates get it as `reasoning_content`.
    pub reasoning: Option<Arc<str>>,
    /// The tokens of `content` for one model.
    pub tokens: Option<ContentTokens>,
}

/// Tokens that a model made of a text, or sampled as it.
#[derive(Debug, Clone)]
pub struct ContentTokens {
    /// The number of the vocabulary that they belong to.
    pub vocabulary: u64,
    /// The tokens, whose text is the content.
    pub tokens: Arc<[Token]>,
    /// What of the content they are, where a template does not show all of it.
    pub part: Option<Arc<str>>,
}

impl Message {
    /// A message that no model has seen yet.
    pub fn new(role: Role, content: &str) -> Message {
        Message {
            role,
            content: content.into(),
            reasoning: None,
            tokens: None,
        }
    }
}

/// A conversation's messages: an optional system message, then turns of a user message and its answer.
#[derive(Debug, Clone, Default)]
pub struct History {
    system: Option<Message>,
    turns: Vec<[Message; 2]>,
    dropped: usize,
    /// Turns were removed since the last one was added.
    edited: bool,
}

impl History {
    /// An empty conversation under `system`.
    pub fn new(system: Option<&str>) -> History {
        History {
            system: system.map(|text| Message::new(Role::System, text)),
            ..History::default()
        }
    }

    /// All messages in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.system.iter().chain(self.turns.iter().flatten())
    }

    /// Complete turns, oldest first.
    pub fn turns(&self) -> usize {
        self.turns.len()
    }

    /// Turns that were dropped to make room, since the start or the last clear.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Appends a complete turn.
    pub fn push(&mut self, user: Message, answer: Message) {
        self.edited = false;
        self.turns.push([user, answer]);
    }

    /// Takes over the tokens that rendering found for `messages`, which are this conversation's.
    pub fn learn(&mut self, messages: Vec<Message>) {
        let own = self
            .system
            .iter_mut()
            .chain(self.turns.iter_mut().flatten());
        for (own, learnt) in own.zip(messages) {
            own.tokens = learnt.tokens;
        }
    }

    /// Removes the turns of `range` to make room.
    pub fn drop_turns(&mut self, range: Range<usize>) {
        self.dropped += range.len();
        self.turns.drain(range);
    }

    /// Removes the turns of `range` because they are not wanted any more.
    pub fn remove_turns(&mut self, range: Range<usize>) {
        self.edited |= !range.is_empty();
        self.turns.drain(range);
    }

    /// Whether turns were removed that the last answer may have looked at.
    pub fn is_edited(&self) -> bool {
        self.edited
    }

    /// Forgets everything but the system message.
    pub fn clear(&mut self) {
        self.turns.clear();
        self.dropped = 0;
    }

    /// Bytes of text.
    pub fn bytes(&self) -> usize {
        let thought = |m: &Message| m.reasoning.as_ref().map_or(0, |text| text.len());
        self.messages().map(|m| m.content.len() + thought(m)).sum()
    }

    /// A JSON array of `{role, content}`, with `reasoning_content` where the model thought.
    pub fn to_json(&self) -> Value {
        let message = |m: &Message| {
            let mut message = json!({"role": m.role.name(), "content": &*m.content});
            if let Some(thought) = &m.reasoning {
                message["reasoning_content"] = (**thought).into();
            }
            message
        };
        self.messages().map(message).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(n: usize) -> (Message, Message) {
        (
            Message::new(Role::User, &format!("q{n}")),
            Message::new(Role::Assistant, &format!("a{n}")),
        )
    }

    #[test]
    fn dropping_turns_keeps_the_system_message_and_counts() {
        let mut history = History::new(Some("s"));
        for n in 0..4 {
            let (user, answer) = turn(n);
            history.push(user, answer);
        }
        history.drop_turns(1..3);
        let said: Vec<&str> = history.messages().map(|m| &*m.content).collect();
        assert_eq!(said, ["s", "q0", "a0", "q3", "a3"]);
        assert_eq!(history.dropped(), 2);
    }

    #[test]
    fn clear_keeps_only_the_system_message() {
        let mut history = History::new(Some("s"));
        let (user, answer) = turn(0);
        history.push(user, answer);
        history.clear();
        assert_eq!(
            history.to_json(),
            json!([{"role": "system", "content": "s"}])
        );
    }
}
