//! When a turn ends and which of its text leaves: token and bytes in, verdict and text out.
//!
//! Pure: time comes in as an argument, tokens are numbers, and nothing here knows a model or a channel. The order of
//! the rules is that of the configuration reference: end or stop token, stop string, stop pattern, token limit, soft
//! time limit.

mod needles;
mod utf8;

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::config;
use needles::{Needles, Scan};

/// Bytes at the end of an answer that stop patterns look at.
const REGEX_WINDOW: usize = 4096;

/// Why a turn ended with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The model ended its answer.
    Eos,
    /// One of `stop_tokens` was sampled; it is not part of the text.
    StopToken(i32),
    /// This stop string appeared; the text ends before it.
    Stop(String),
    /// This stop pattern matched; the text ends before the match.
    StopRegex(String),
    /// The token limit.
    Length,
    /// The soft time limit.
    Time,
    /// No free cell is left in the context.
    ContextFull,
    /// The grammar is complete, and the end of the answer is forbidden.
    GrammarDeadEnd,
    /// The streaming callback asked for it.
    Callback,
}

impl Verdict {
    /// The word for the metadata's `finish_reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Verdict::Eos => "eos",
            Verdict::StopToken(_) => "stop_token",
            Verdict::Stop(_) => "stop",
            Verdict::StopRegex(_) => "stop_regex",
            Verdict::Length => "length",
            Verdict::Time => "time",
            Verdict::ContextFull => "context_full",
            Verdict::GrammarDeadEnd => "grammar_dead_end",
            Verdict::Callback => "callback",
        }
    }

    /// What exactly matched, where the rule has several.
    pub fn detail(&self) -> Option<String> {
        match self {
            Verdict::StopToken(token) => Some(token.to_string()),
            Verdict::Stop(text) | Verdict::StopRegex(text) => Some(text.clone()),
            _ => None,
        }
    }
}

/// The rules of one turn, compiled once and shared.
#[derive(Debug)]
pub struct Rules {
    needles: Needles,
    patterns: Vec<Regex>,
    stop_tokens: Vec<i32>,
    token_limit: Option<usize>,
    soft_time: Option<Duration>,
}

impl Rules {
    /// Compiles the text rules of `settings`; `stop_tokens` and `token_limit` come resolved for the model.
    ///
    /// Errors: the text of a pattern that does not compile, with the reason.
    pub fn compile(
        settings: &config::Stopping,
        stop_tokens: Vec<i32>,
        token_limit: Option<usize>,
    ) -> Result<Rules, String> {
        let patterns = settings
            .stop_regex
            .iter()
            .map(|p| Regex::new(p).map_err(|e| format!("stop_regex {p:?} does not compile: {e}")))
            .collect::<Result<_, _>>()?;
        Ok(Rules {
            needles: Needles::new(&settings.stop),
            patterns,
            stop_tokens,
            token_limit,
            soft_time: settings.max_time,
        })
    }

    /// Whether the answer ends after some time.
    pub fn is_timed(&self) -> bool {
        self.soft_time.is_some()
    }

    /// The most tokens that the answer may have; `None` is until the context is full.
    pub fn token_limit(&self) -> Option<usize> {
        self.token_limit
    }
}

/// The answer of one turn as it grows, and the rules' view of it.
#[derive(Debug)]
pub struct Watch {
    rules: Arc<Rules>,
    scan: Scan,
    /// All text so far, matches included; never ends inside a character.
    text: String,
    /// Bytes of a character that is not complete yet.
    partial: Vec<u8>,
    /// Bytes of `text` that have left.
    sent: usize,
    /// Where the text ends, once a rule has cut it.
    cut: Option<usize>,
    tokens: usize,
}

impl Watch {
    /// An empty answer under `rules`.
    pub fn new(rules: Arc<Rules>) -> Watch {
        Watch {
            scan: rules.needles.start(),
            rules,
            text: String::new(),
            partial: Vec::new(),
            sent: 0,
            cut: None,
            tokens: 0,
        }
    }

    /// Judges a sampled token before it becomes text. `is_end`: the vocabulary calls it an end of generation.
    pub fn token(&self, token: i32, is_end: bool) -> Option<Verdict> {
        if self.rules.stop_tokens.contains(&token) {
            return Some(Verdict::StopToken(token));
        }
        is_end.then_some(Verdict::Eos)
    }

    /// Takes the bytes of the next token; `elapsed` is the time since the turn's first prefill step.
    pub fn piece(&mut self, bytes: &[u8], elapsed: Duration) -> Option<Verdict> {
        self.tokens += 1;
        let from = self.text.len();
        utf8::append(&mut self.text, &mut self.partial, bytes);
        if let Some(found) = self.scan.feed(&self.rules.needles, &self.text[from..]) {
            self.cut = Some(found.start);
            return Some(Verdict::Stop(
                self.rules.needles.text(found.needle).to_owned(),
            ));
        }
        if self.text.len() > from
            && let Some(verdict) = self.pattern()
        {
            return Some(verdict);
        }
        if self.rules.token_limit.is_some_and(|n| self.tokens >= n) {
            return Some(Verdict::Length);
        }
        self.rules
            .soft_time
            .is_some_and(|limit| elapsed >= limit)
            .then_some(Verdict::Time)
    }

    /// Whether the soft limit has passed before any text, which is a failure and not a short answer.
    pub fn is_out_of_time(&self, elapsed: Duration) -> bool {
        self.tokens == 0 && self.rules.soft_time.is_some_and(|limit| elapsed >= limit)
    }

    /// The text that may leave now: all but what may still become a stop string.
    pub fn take(&mut self) -> Option<String> {
        let end = self.cut.unwrap_or(self.text.len() - self.scan.held());
        let end = floor_char(&self.text, end);
        if end <= self.sent {
            return None;
        }
        let piece = self.text[self.sent..end].to_owned();
        self.sent = end;
        Some(piece)
    }

    /// Ends the answer: what was held back for a stop string that did not come is released, an incomplete character
    /// is dropped. Returns the last piece, if any text was still held.
    pub fn finish(&mut self) -> Option<String> {
        if self.cut.is_none() {
            // A match that waited for an earlier, longer one counts after all when the text ends here.
            self.cut = Some(
                self.scan
                    .pending()
                    .map_or(self.text.len(), |found| found.start),
            );
        }
        self.take()
    }

    /// The answer, final once [`Watch::finish`] was called.
    pub fn answer(&self) -> &str {
        // A pattern may match text that has left already: the answer is cut all the same.
        &self.text[..floor_char(&self.text, self.cut.unwrap_or(self.text.len()))]
    }

    /// Bytes before any cut, those of an incomplete character included.
    pub fn raw_len(&self) -> usize {
        self.text.len() + self.partial.len()
    }

    fn pattern(&mut self) -> Option<Verdict> {
        let window = floor_char(&self.text, self.text.len().saturating_sub(REGEX_WINDOW));
        let (start, pattern) = self
            .rules
            .patterns
            .iter()
            .filter_map(|p| p.find_at(&self.text, window).map(|m| (m.start(), p)))
            .min_by_key(|(start, _)| *start)?;
        self.cut = Some(start);
        Some(Verdict::StopRegex(pattern.as_str().to_owned()))
    }
}

/// The largest character border at or below `at`.
fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests;
