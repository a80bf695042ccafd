//! The answer of one turn as it grows, and the rules' view of it.

use std::sync::Arc;
use std::time::Duration;

use super::filters::{FilterState, Required};
use super::needles::Scan;
use super::repetition::Guard;
use super::sentences::Sentences;
use super::{Rules, Verdict, floor_char, utf8};

/// Bytes at the end of an answer that stop patterns look at.
const REGEX_WINDOW: usize = 4096;

/// The answer of one turn as it grows.
#[derive(Debug)]
pub struct Watch {
    rules: Arc<Rules>,
    scan: Scan,
    guard: Option<Guard>,
    sentences: Option<Sentences>,
    filters: FilterState,
    /// All text so far, matches included; never ends inside a character.
    text: String,
    /// Bytes of a character that is not complete yet.
    partial: Vec<u8>,
    /// Bytes of raw text after each token that became text.
    ends: Vec<usize>,
    /// Bytes of `text` before the last token.
    new_from: usize,
    /// Bytes of `text` that have left.
    sent: usize,
    /// Where the text ends, once a rule has cut it.
    cut: Option<usize>,
    /// The grammar has not been woken.
    asleep: bool,
}

/// Where a grammar that wakes begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wake {
    /// Its first token, counted from the answer's first.
    pub token: usize,
    /// Bytes of that token which are before the place.
    pub skip: usize,
}

impl Watch {
    /// An empty answer under `rules`.
    pub fn new(rules: Arc<Rules>) -> Watch {
        Watch {
            scan: rules.needles.start(),
            guard: rules.repeats.map(Guard::new),
            sentences: rules.sentences.map(Sentences::new),
            filters: rules.filters.start(),
            asleep: !rules.triggers.is_empty(),
            rules,
            text: String::new(),
            partial: Vec::new(),
            ends: Vec::new(),
            new_from: 0,
            sent: 0,
            cut: None,
        }
    }

    /// The probability of the end tokens that would end the answer here, where a rule asks for it.
    pub fn confidence(&self) -> Option<f32> {
        self.rules.confidence.filter(|_| !self.is_waiting())
    }

    /// Tokens that would complete something forbidden.
    pub fn forbidden(&self) -> impl Iterator<Item = i32> + use<'_> {
        self.filters.banned(&self.rules.filters)
    }

    /// Whether something required has not appeared, so that the answer may not end by itself.
    pub fn is_waiting(&self) -> bool {
        self.filters.is_waiting()
    }

    /// What is required and has not appeared: texts, and tokens by their number.
    pub fn missing(&self) -> Vec<String> {
        let words = |required: &Required| match required {
            Required::Token(token) => token.to_string(),
            Required::Text(text) => text.clone(),
        };
        self.filters
            .missing(&self.rules.filters)
            .map(words)
            .collect()
    }

    /// Judges a sampled token before it becomes text. `is_end`: the vocabulary calls it an end of generation.
    pub fn token(&self, token: i32, is_end: bool) -> Option<Verdict> {
        if self.rules.stop_tokens.contains(&token) {
            return Some(Verdict::StopToken(token));
        }
        is_end.then_some(Verdict::Eos)
    }

    /// Takes the next token with its bytes; `elapsed` is the time since the turn's first prefill step.
    pub fn piece(&mut self, token: i32, bytes: &[u8], elapsed: Duration) -> Option<Verdict> {
        self.new_from = self.text.len();
        utf8::append(&mut self.text, &mut self.partial, bytes);
        self.ends.push(self.text.len() + self.partial.len());
        self.filters
            .push(&self.rules.filters, token, &self.text, self.new_from);
        // Each looks at every token and text, whichever of them ends the answer.
        let repeats = self.guard.as_mut().and_then(|guard| guard.push(token));
        let new = &self.text[self.new_from..];
        let surplus = self.sentences.as_mut().and_then(|s| s.feed(new));
        if let Some(found) = self.scan.feed(&self.rules.needles, new) {
            let text = self.rules.needles.text(found.needle).to_owned();
            return self.cut_at(found.cut, Verdict::Stop(text));
        }
        if !new.is_empty()
            && let Some((start, pattern)) = self.pattern()
        {
            return self.cut_at(start, Verdict::StopRegex(pattern));
        }
        if let Some(found) = repeats {
            let kept = self.ends.len() - found.pattern * (found.repeats - 1);
            let (pattern, repeats) = (found.pattern, found.repeats);
            let end = self.ends[kept - 1].min(self.text.len());
            return self.cut_at(end, Verdict::Repetition { pattern, repeats });
        }
        if let (Some(start), Some(most)) = (surplus, self.rules.sentences) {
            return self.cut_at(start, Verdict::Sentence(most));
        }
        if self.rules.token_limit.is_some_and(|n| self.ends.len() >= n) {
            return Some(Verdict::Length);
        }
        let is_late = self.rules.soft_time.is_some_and(|limit| elapsed >= limit);
        is_late.then_some(Verdict::Time)
    }

    /// How many tokens became text, or none: those that are no part of the answer count too.
    pub fn tokens(&self) -> usize {
        self.ends.len()
    }

    /// The last tokens, which came without a text, are of the answer after all: of what is to come, each is so many bytes.
    pub fn release(&mut self, lengths: &[usize]) {
        let first = self.ends.len() - lengths.len();
        let mut end = self.text.len() + self.partial.len();
        for (place, length) in self.ends[first..].iter_mut().zip(lengths) {
            end += length;
            *place = end;
        }
    }

    /// As [`Watch::release`], where no token follows whose text it could come with: the answer ends with `bytes`.
    /// Returns why it ends where a stop string stands in them.
    pub fn end_with(&mut self, lengths: &[usize], bytes: &[u8]) -> Option<Verdict> {
        self.release(lengths);
        let from = self.text.len();
        utf8::append(&mut self.text, &mut self.partial, bytes);
        let found = self.scan.feed(&self.rules.needles, &self.text[from..]);
        let found = found?;
        let text = self.rules.needles.text(found.needle).to_owned();
        self.cut_at(found.cut, Verdict::Stop(text))
    }

    /// Whether `token`, the last one, wakes the grammar; at most once an answer.
    pub fn wake(&mut self, token: i32) -> Option<Wake> {
        if !self.asleep {
            return None;
        }
        let text = &self.text;
        let from = self.rules.triggers.search(text, self.new_from, token)?.from;
        self.asleep = false;
        // A token that is its own trigger may have no text: it is the last one all the same.
        let last = self.ends.len().saturating_sub(1);
        let first = self.ends.partition_point(|&end| end <= from).min(last);
        let start = first.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(Wake {
            token: first,
            skip: from.saturating_sub(start),
        })
    }

    /// Whether the soft limit has passed before any text, which is a failure and not a short answer.
    pub fn is_out_of_time(&self, elapsed: Duration) -> bool {
        self.ends.is_empty() && self.rules.soft_time.is_some_and(|limit| elapsed >= limit)
    }

    /// The text that may leave now: all but what may still become a stop string.
    pub fn take(&mut self) -> Option<String> {
        let held = self.scan.held(&self.rules.needles);
        let end = self.cut.unwrap_or(self.text.len() - held);
        // No rule beats a stop string that stands complete and waits for a longer one.
        let end = self.scan.pending().map_or(end, |found| end.min(found.cut));
        let end = floor_char(&self.text, end);
        if end <= self.sent {
            return None;
        }
        let piece = self.text[self.sent..end].to_owned();
        self.sent = end;
        Some(piece)
    }

    /// Ends the answer: what was held back for a stop string that did not come is released, an incomplete character
    /// is dropped. Returns why it ends, which is not `verdict` where a stop string stands complete that waited for a
    /// longer one: no rule beats a stop string.
    pub fn finish(&mut self, verdict: Verdict) -> Verdict {
        if let Some(found) = self
            .scan
            .pending()
            .filter(|_| !matches!(verdict, Verdict::Stop(_)))
        {
            self.cut = Some(found.cut);
            return Verdict::Stop(self.rules.needles.text(found.needle).to_owned());
        }
        self.cut.get_or_insert(self.text.len());
        verdict
    }

    /// The answer, final once [`Watch::finish`] was called.
    pub fn answer(&self) -> &str {
        // A rule may cut text that has left already: the answer is cut all the same.
        &self.text[..floor_char(&self.text, self.cut.unwrap_or(self.text.len()))]
    }

    /// How many tokens lie whole inside the answer, and how many of its bytes they are. A token may end inside a
    /// character, so it counts only once the character is whole.
    pub fn whole_tokens(&self) -> (usize, usize) {
        let length = self.answer().len();
        let whole = self.ends.partition_point(|&end| end <= length);
        let bytes = whole.checked_sub(1).map_or(0, |last| self.ends[last]);
        (whole, bytes)
    }

    fn cut_at(&mut self, start: usize, verdict: Verdict) -> Option<Verdict> {
        self.cut = Some(start);
        Some(verdict)
    }

    fn pattern(&self) -> Option<(usize, String)> {
        let window = floor_char(&self.text, self.text.len().saturating_sub(REGEX_WINDOW));
        let matches = self.rules.patterns.iter();
        let (start, pattern) = matches
            .filter_map(|p| p.find_at(&self.text, window).map(|m| (m.start(), p)))
            .min_by_key(|(start, _)| *start)?;
        Some((start, pattern.as_str().to_owned()))
    }
}
