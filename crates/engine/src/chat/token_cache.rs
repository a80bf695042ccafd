//! Tokens of the texts that a template repeats: what stands between contents is the same turn after turn.
//!
//! Belongs to one vocabulary. Bounded: what was used longest ago goes first. Any thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::error::Result;
use crate::llama::Token;

/// Bytes of text that are remembered, together with [`ENTRY`] for each.
const MOST_BYTES: usize = 1 << 20;

/// What an entry takes beside its text, in bytes of text.
const ENTRY: usize = 64;

/// Remembered tokens of template texts.
#[derive(Debug, Default)]
pub struct TokenCache {
    state: Mutex<State>,
    tokenised: AtomicU64,
}

/// A text, and the character before it where that matters.
type Key = (Option<char>, Arc<str>);

#[derive(Debug, Default)]
struct State {
    known: HashMap<Key, (u64, Arc<[Token]>)>,
    /// Keys by their last use.
    used: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

impl TokenCache {
    /// The tokens of `text` behind the character `before`, remembered or made by `tokenise`.
    ///
    /// Errors: those of `tokenise`.
    pub fn tokens(
        &self,
        before: Option<char>,
        text: &str,
        tokenise: impl FnOnce() -> Result<Vec<Token>>,
    ) -> Result<Arc<[Token]>> {
        let key: Key = (before, text.into());
        if let Some(tokens) = self.state.lock().find(&key) {
            return Ok(tokens);
        }
        // Without the lock: others need not wait for a long text.
        let tokens: Arc<[Token]> = tokenise()?.into();
        self.note_tokenised(text);
        self.state.lock().keep(key, tokens.clone());
        Ok(tokens)
    }

    /// Counts a text that was tokenised and is not kept here.
    pub fn note_tokenised(&self, text: &str) {
        let bytes = text.len() as u64;
        self.tokenised.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of text that were tokenised so far: what preparing turns costs, whatever the machine does beside it.
    #[cfg(test)]
    pub fn tokenised(&self) -> u64 {
        self.tokenised.load(Ordering::Relaxed)
    }
}

impl State {
    fn find(&mut self, key: &Key) -> Option<Arc<[Token]>> {
        let (used, tokens) = self.known.get_mut(key)?;
        let tokens = tokens.clone();
        self.uses += 1;
        let before = std::mem::replace(used, self.uses);
        if let Some(key) = self.used.remove(&before) {
            self.used.insert(self.uses, key);
        }
        Some(tokens)
    }

    fn keep(&mut self, key: Key, tokens: Arc<[Token]>) {
        // Two threads may have made the same; and one long text must not drive out all others.
        let cost = cost(&key);
        if cost > MOST_BYTES / 4 || self.known.contains_key(&key) {
            return;
        }
        self.uses += 1;
        self.used.insert(self.uses, key.clone());
        self.known.insert(key, (self.uses, tokens));
        self.bytes += cost;
        while self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.used.pop_first() else {
                return;
            };
            self.known.remove(&oldest);
            self.bytes -= self::cost(&oldest);
        }
    }
}

fn cost(key: &Key) -> usize {
    key.1.len() + ENTRY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(cache: &TokenCache, before: Option<char>, text: &str) -> bool {
        let mut is_new = false;
        let tokens = cache.tokens(before, text, || {
            is_new = true;
            Ok(vec![Token(text.len() as i32)])
        });
        assert_eq!(*tokens.unwrap(), [Token(text.len() as i32)]);
        is_new
    }

    #[test]
    fn a_text_is_tokenised_once_for_each_character_before_it() {
        let cache = TokenCache::default();
        assert!(ask(&cache, None, "abc") && ask(&cache, Some('x'), "abc"));
        assert!(!ask(&cache, None, "abc") && !ask(&cache, Some('x'), "abc"));
        assert_eq!(cache.tokenised(), 6);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_bound_holds() {
        let cache = TokenCache::default();
        let text = |n: usize| format!("{n:>1000}");
        assert!(ask(&cache, None, "often"));
        for n in 0..3000 {
            assert!(ask(&cache, None, &text(n)));
            assert!(!ask(&cache, None, "often"));
            let state = cache.state.lock();
            assert!(state.bytes <= MOST_BYTES);
            assert_eq!(state.known.len(), state.used.len());
        }
        assert!(!ask(&cache, None, &text(2999)) && ask(&cache, None, &text(0)));
        let long = "x".repeat(MOST_BYTES);
        assert!(ask(&cache, None, &long) && ask(&cache, None, &long));
    }
}
