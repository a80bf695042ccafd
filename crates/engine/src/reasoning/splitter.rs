//! One output as it grows, sorted into thought and answer.

use std::sync::Arc;

use super::format::{Begun, Format, Mark, is_final};

/// Bytes that wait at the start of an output until it is seen whether they open a thought.
const MOST_HELD: usize = 64;

/// Tokens in a row that may come before an answer without being of it or of a thought: headers and blanks.
const MOST_IDLE: u8 = 16;

/// What a token was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Nothing of the answer; nor were those that were held.
    Hidden,
    /// It may turn out to be of the answer.
    Held,
    /// Of the answer.
    Answer {
        /// The text that the answer grows by, with that of the tokens that were held.
        text: Vec<u8>,
        /// Bytes of each token that was held.
        held: Vec<usize>,
        /// Whether all of the token's text is of the answer.
        is_whole: bool,
    },
}

/// The output of one turn, up to its last token.
#[derive(Debug, Clone)]
pub struct Splitter {
    format: Arc<Format>,
    state: State,
    thought: Vec<u8>,
    /// Text that nothing is decided about, and how much of it each token was.
    held: Vec<u8>,
    lengths: Vec<usize>,
    idle: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A thought or the answer may begin.
    Start,
    Thought,
    /// Between a thought and the answer.
    Gap,
    /// In what names a message of Harmony. `named`: a channel is being named. `first`: of the first message, which a
    /// model that leaves the format out begins with its answer.
    Header {
        named: bool,
        first: bool,
    },
    Answer,
}

impl Splitter {
    /// An output in `format` that goes on behind a prompt which ends with `opening`.
    pub fn new(format: Arc<Format>, opening: &str) -> Splitter {
        let state = match (format.begun(opening), &*format) {
            (Begun::Thought, _) => State::Thought,
            (Begun::Answer, _) => State::Answer,
            (Begun::Nothing, Format::Marked { .. }) => State::Start,
            (Begun::Nothing, Format::Harmony { .. }) => State::Header {
                named: false,
                first: true,
            },
        };
        Splitter {
            format,
            state,
            thought: Vec::new(),
            held: Vec::new(),
            lengths: Vec::new(),
            idle: 0,
        }
    }

    /// Whether the output is inside a thought.
    pub fn is_thinking(&self) -> bool {
        self.state == State::Thought
    }

    /// Whether `token`, the text of which is `bytes`, would leave the answer where it is: not begun.
    pub fn would_wait(&self, token: i32, bytes: &[u8]) -> bool {
        self.idle < MOST_IDLE && self.clone().feed(token, bytes) == Part::Hidden
    }

    /// What follows is the answer, whatever it says. To be called where nothing is held.
    pub fn begin_answer(&mut self) {
        self.hide(State::Answer);
    }

    /// Takes the next token, the text of which is `bytes`: none for those that show as nothing.
    pub fn feed(&mut self, token: i32, bytes: &[u8]) -> Part {
        let before = self.state;
        let format = self.format.clone();
        let part = match &*format {
            Format::Marked { open, close, .. } => self.marked(open, close, token, bytes),
            Format::Harmony {
                channel,
                message,
                start,
                end,
            } => match token {
                t if t == *channel => self.header(true),
                t if t == *message => self.body(),
                t if t == *start || t == *end => self.header(false),
                _ => self.message(bytes),
            },
        };
        self.idle = match before == self.state {
            true => self.idle.saturating_add(1),
            false => 0,
        };
        part
    }

    /// Ends the output: what was held is of the answer.
    pub fn finish(&mut self) -> Part {
        match self.lengths.is_empty() {
            true => Part::Hidden,
            false => self.answer(&[], 0),
        }
    }

    /// The thought, as far as it has come; `None` where there was none.
    pub fn thought(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.thought);
        let mut text = text.trim();
        if let Format::Marked { opening, label, .. } = &*self.format {
            // Models repeat the mark that their prompt ends with.
            text = text.strip_prefix(opening).unwrap_or(text).trim_start();
            text = text.strip_prefix(label).unwrap_or(text).trim_start();
        }
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn marked(&mut self, open: &Mark, close: &Mark, token: i32, bytes: &[u8]) -> Part {
        let is = |mark: &Mark| *mark == Mark::Token(token);
        match self.state {
            State::Answer | State::Header { .. } => self.answer(bytes, bytes.len()),
            State::Start | State::Gap if is(open) => self.hide(State::Thought),
            State::Start | State::Gap if is(close) => self.hide(State::Gap),
            State::Start => self.start(open, close, bytes),
            State::Gap => self.gap(bytes, bytes.len()),
            State::Thought if is(close) => self.hide(State::Gap),
            State::Thought if is(open) => Part::Hidden,
            State::Thought => self.think(close, bytes, bytes.len()),
        }
    }

    /// At the start of an output: a thought, blanks before it, the beginning of a mark, or the answer.
    fn start(&mut self, open: &Mark, close: &Mark, bytes: &[u8]) -> Part {
        if bytes.is_empty() {
            return match self.held.is_empty() {
                true => Part::Hidden,
                false => self.hold(bytes),
            };
        }
        let all = [&self.held[..], bytes].concat();
        let text = all.trim_ascii_start();
        let may_open = match open {
            Mark::Text(open) if text.starts_with(open.as_bytes()) => {
                self.hide(State::Thought);
                return self.think(close, &text[open.len()..], bytes.len());
            }
            Mark::Text(open) => open.as_bytes().starts_with(text),
            Mark::Token(_) => text.is_empty(),
        };
        match may_open && all.len() <= MOST_HELD {
            true => self.hold(bytes),
            false => self.answer(bytes, bytes.len()),
        }
    }

    /// In a thought: looks for its end in `bytes`, the end of a token of `length` bytes.
    fn think(&mut self, close: &Mark, bytes: &[u8], length: usize) -> Part {
        let from = self.thought.len();
        self.thought.extend_from_slice(bytes);
        let Mark::Text(close) = close else {
            return Part::Hidden;
        };
        let close = close.as_bytes();
        let window = (from + 1).saturating_sub(close.len());
        let found = self.thought[window..]
            .windows(close.len())
            .position(|part| part == close);
        let Some(at) = found.map(|at| window + at) else {
            return Part::Hidden;
        };
        let rest = self.thought.split_off(at)[close.len()..].to_vec();
        self.state = State::Gap;
        self.gap(&rest, length)
    }

    /// Between thought and answer: blanks are of neither. `length`: of the token that `bytes` are the end of.
    fn gap(&mut self, bytes: &[u8], length: usize) -> Part {
        match bytes.trim_ascii_start() {
            [] => Part::Hidden,
            text => self.answer(text, length),
        }
    }

    /// Text in a message of Harmony, or in its header.
    fn message(&mut self, bytes: &[u8]) -> Part {
        match self.state {
            State::Thought => {
                self.thought.extend_from_slice(bytes);
                Part::Hidden
            }
            State::Header {
                named: false,
                first: true,
            } => {
                // The header may name whom the message is for; whatever else stands there is an answer without a format.
                let all = [&self.held[..], bytes].concat();
                let text = all.trim_ascii_start();
                let is_header = text.starts_with(b"to=") || b"to=".starts_with(text);
                match (is_header && all.len() <= MOST_HELD, bytes) {
                    (true, []) if self.held.is_empty() => Part::Hidden,
                    (true, _) => self.hold(bytes),
                    (false, _) => self.answer(bytes, bytes.len()),
                }
            }
            State::Header { .. } => {
                self.held.extend_from_slice(bytes);
                Part::Hidden
            }
            State::Start | State::Gap | State::Answer => self.answer(bytes, bytes.len()),
        }
    }

    fn header(&mut self, named: bool) -> Part {
        if self.state == State::Thought && !self.thought.is_empty() {
            self.thought.extend_from_slice(b"\n");
        }
        let first = matches!(self.state, State::Header { first: true, .. });
        self.hide(State::Header { named, first })
    }

    /// A header is complete: its message is a thought, unless it is in the channel of answers or in none.
    fn body(&mut self) -> Part {
        let is_answer = match self.state {
            State::Header { named: true, .. } => is_final(&String::from_utf8_lossy(&self.held)),
            _ => true,
        };
        self.hide(if is_answer {
            State::Answer
        } else {
            State::Thought
        })
    }

    fn hide(&mut self, state: State) -> Part {
        self.state = state;
        self.held.clear();
        self.lengths.clear();
        Part::Hidden
    }

    fn hold(&mut self, bytes: &[u8]) -> Part {
        self.held.extend_from_slice(bytes);
        self.lengths.push(bytes.len());
        Part::Held
    }

    /// `length`: of the token that `bytes` are the end of.
    fn answer(&mut self, bytes: &[u8], length: usize) -> Part {
        self.state = State::Answer;
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(bytes);
        Part::Answer {
            text,
            held: std::mem::take(&mut self.lengths),
            is_whole: bytes.len() == length,
        }
    }
}

#[cfg(test)]
mod tests;
