//! Who holds which sequence and how many cells: the accounting that keeps decode from ever running out.
//!
//! Pure bookkeeping in tokens; the loop carries its decisions out on the cache. A sequence is free, idle (it keeps a
//! conversation's tokens for the next turn) or running with cells reserved for its answer.

use std::time::Instant;

use super::job::SessionKey;
use crate::llama::Token;

/// One sequence's state.
#[derive(Debug)]
struct Sequence {
    owner: Option<SessionKey>,
    /// Tokens whose cells are filled, in order.
    tokens: Vec<Token>,
    /// Cells promised to the running job beyond `tokens`; 0 when idle.
    reserved: usize,
    running: bool,
    last_used: Instant,
}

/// All sequences of one context.
#[derive(Debug)]
pub struct Pool {
    sequences: Vec<Sequence>,
    cells: usize,
    idle_limit: usize,
}

/// A place for a job.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// The sequence's index.
    pub sequence: usize,
    /// Leading tokens of the job that its cells hold already.
    pub cached: usize,
    /// Idle sequences that must be cleared first.
    pub evicted: Vec<usize>,
}

impl Pool {
    /// `sequences` empty ones over `cells` cells; idle ones may keep `idle_limit` tokens in total (0: no cap).
    pub fn new(sequences: usize, cells: usize, idle_limit: usize, now: Instant) -> Pool {
        let empty = || Sequence {
            owner: None,
            tokens: Vec::new(),
            reserved: 0,
            running: false,
            last_used: now,
        };
        Pool {
            sequences: std::iter::repeat_with(empty).take(sequences).collect(),
            cells,
            idle_limit,
        }
    }

    /// Finds a sequence and `reserve` cells beyond the prompt for a job of `session`, at the cost of idle sequences,
    /// longest unused first. `None`: running jobs hold too much; try again when one ends.
    pub fn admit(
        &mut self,
        session: SessionKey,
        prompt: &[Token],
        reserve: usize,
        now: Instant,
    ) -> Option<Grant> {
        let own = self
            .idle()
            .find(|&i| self.sequences[i].owner == Some(session));
        let free = || (0..self.sequences.len()).find(|&i| self.is_free(i));
        let sequence = own.or_else(free).or_else(|| self.oldest_idle(&[]))?;
        let mut evicted = Vec::new();
        if own.is_none() && !self.sequences[sequence].tokens.is_empty() {
            evicted.push(sequence);
        }
        let need = prompt.len() + reserve;
        let used_by_running: usize = self.running().map(|s| s.tokens.len() + s.reserved).sum();
        if used_by_running + need > self.cells {
            return None;
        }
        let mut idle_tokens: usize = self
            .idle()
            .filter(|&i| i != sequence)
            .map(|i| self.sequences[i].tokens.len())
            .sum();
        while used_by_running + idle_tokens + need > self.cells {
            let mut taken = evicted.clone();
            taken.push(sequence);
            let victim = self.oldest_idle(&taken)?;
            idle_tokens -= self.sequences[victim].tokens.len();
            evicted.push(victim);
        }
        for &victim in &evicted {
            self.forget(victim);
        }
        let place = &mut self.sequences[sequence];
        let cached = common_prefix(&place.tokens, prompt).min(prompt.len().saturating_sub(1));
        place.tokens.truncate(cached);
        place.owner = Some(session);
        place.running = true;
        place.reserved = need - cached;
        place.last_used = now;
        Some(Grant {
            sequence,
            cached,
            evicted,
        })
    }

    /// The cells of a running sequence could not be cut: they were cleared and everything is evaluated again.
    pub fn restart(&mut self, sequence: usize) {
        let place = &mut self.sequences[sequence];
        place.reserved += place.tokens.len();
        place.tokens.clear();
    }

    /// The cells of a running sequence were filled from elsewhere.
    pub fn restored(&mut self, sequence: usize, tokens: &[Token]) {
        for &token in tokens {
            self.filled(sequence, token);
        }
    }

    /// Whether `need` cells would be free for a job if these running sequences, and idle ones, gave way.
    pub fn fits_without(&self, need: usize, victims: &[usize]) -> bool {
        let held: usize = (0..self.sequences.len())
            .filter(|i| self.sequences[*i].running && !victims.contains(i))
            .map(|i| self.sequences[i].tokens.len() + self.sequences[i].reserved)
            .sum();
        held + need <= self.cells
    }

    /// A token of a running sequence was evaluated.
    pub fn filled(&mut self, sequence: usize, token: Token) {
        let place = &mut self.sequences[sequence];
        place.tokens.push(token);
        place.reserved = place.reserved.saturating_sub(1);
    }

    /// Tokens whose cells are filled.
    pub fn len(&self, sequence: usize) -> usize {
        self.sequences[sequence].tokens.len()
    }

    /// Ends a running sequence; it stays as an idle one. Returns the idle sequences to clear, so that their tokens stay
    /// within the cap: the longest unused first, this one last.
    pub fn release(&mut self, sequence: usize, now: Instant) -> Vec<usize> {
        let place = &mut self.sequences[sequence];
        place.running = false;
        place.reserved = 0;
        place.last_used = now;
        let mut cleared = Vec::new();
        while self.idle_limit > 0 && self.idle_tokens() > self.idle_limit {
            let Some(victim) = self.oldest_idle(&[]) else {
                break;
            };
            self.forget(victim);
            cleared.push(victim);
        }
        cleared
    }

    /// Forgets a sequence's tokens and owner; its cells are to be cleared by the caller.
    pub fn forget(&mut self, sequence: usize) {
        let place = &mut self.sequences[sequence];
        place.tokens.clear();
        place.owner = None;
        place.reserved = 0;
        place.running = false;
    }

    /// Forgets all running sequences and names them.
    pub fn clear_running(&mut self) -> Vec<usize> {
        let running: Vec<usize> = (0..self.sequences.len())
            .filter(|&i| self.sequences[i].running)
            .collect();
        for &sequence in &running {
            self.forget(sequence);
        }
        running
    }

    /// Forgets all idle sequences and names those that held tokens.
    pub fn clear_idle(&mut self) -> Vec<usize> {
        let idle: Vec<usize> = self.idle().filter(|&i| !self.is_free(i)).collect();
        for &sequence in &idle {
            self.forget(sequence);
        }
        idle
    }

    /// The idle sequence of `session`.
    pub fn idle_of(&self, session: SessionKey) -> Option<usize> {
        self.idle()
            .find(|&i| self.sequences[i].owner == Some(session))
    }

    /// Tokens in idle sequences.
    pub fn idle_tokens(&self) -> usize {
        self.idle().map(|i| self.sequences[i].tokens.len()).sum()
    }

    /// Tokens in all sequences.
    pub fn used(&self) -> usize {
        self.sequences.iter().map(|s| s.tokens.len()).sum()
    }

    fn running(&self) -> impl Iterator<Item = &Sequence> {
        self.sequences.iter().filter(|s| s.running)
    }

    fn idle(&self) -> impl Iterator<Item = usize> {
        (0..self.sequences.len()).filter(|&i| !self.sequences[i].running)
    }

    fn is_free(&self, index: usize) -> bool {
        let s = &self.sequences[index];
        !s.running && s.tokens.is_empty()
    }

    fn oldest_idle(&self, but: &[usize]) -> Option<usize> {
        self.idle()
            .filter(|i| !but.contains(i) && !self.sequences[*i].tokens.is_empty())
            .min_by_key(|&i| self.sequences[i].last_used)
    }
}

/// Length of the longest common prefix.
fn common_prefix(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn tokens(range: std::ops::Range<i32>) -> Vec<Token> {
        range.map(Token).collect()
    }

    fn run(pool: &mut Pool, session: u64, prompt: &[Token], at: Instant) -> Option<Grant> {
        let grant = pool.admit(SessionKey(session), prompt, 0, at)?;
        for token in &prompt[grant.cached..] {
            pool.filled(grant.sequence, *token);
        }
        pool.release(grant.sequence, at);
        Some(grant)
    }

    #[test]
    fn a_session_finds_its_own_tokens_and_evaluates_the_rest() {
        let now = Instant::now();
        let mut pool = Pool::new(2, 100, 0, now);
        run(&mut pool, 1, &tokens(0..10), now).unwrap();
        let grant = run(&mut pool, 1, &tokens(0..20), now).unwrap();
        assert_eq!((grant.sequence, grant.cached), (0, 10));
    }

    #[test]
    fn the_last_token_is_evaluated_again_for_its_logits() {
        let now = Instant::now();
        let mut pool = Pool::new(2, 100, 0, now);
        run(&mut pool, 1, &tokens(0..10), now).unwrap();
        assert_eq!(run(&mut pool, 1, &tokens(0..10), now).unwrap().cached, 9);
    }

    #[test]
    fn no_session_ever_continues_the_tokens_of_another() {
        let now = Instant::now();
        let mut pool = Pool::new(1, 100, 0, now);
        run(&mut pool, 1, &tokens(0..10), now).unwrap();
        let grant = run(&mut pool, 2, &tokens(0..10), now).unwrap();
        assert_eq!((grant.cached, grant.evicted), (0, vec![0]));
    }

    #[test]
    fn idle_sequences_give_way_longest_unused_first() {
        let now = Instant::now();
        let mut pool = Pool::new(3, 30, 0, now);
        for session in 1..=2 {
            run(
                &mut pool,
                session,
                &tokens(0..10),
                now + Duration::from_secs(session),
            )
            .unwrap();
        }
        let grant = run(&mut pool, 3, &tokens(0..15), now).unwrap();
        assert_eq!(grant.evicted, [0]);
    }

    #[test]
    fn a_job_waits_while_running_jobs_hold_the_cells() {
        let now = Instant::now();
        let mut pool = Pool::new(2, 30, 0, now);
        let first = pool.admit(SessionKey(1), &tokens(0..10), 10, now).unwrap();
        assert_eq!(pool.admit(SessionKey(2), &tokens(0..10), 10, now), None);
        pool.release(first.sequence, now);
        assert!(pool.admit(SessionKey(2), &tokens(0..10), 10, now).is_some());
    }

    #[test]
    fn the_idle_cap_clears_the_longest_unused() {
        let now = Instant::now();
        let mut pool = Pool::new(4, 100, 15, now);
        run(&mut pool, 1, &tokens(0..10), now).unwrap();
        run(&mut pool, 2, &tokens(0..10), now + Duration::from_secs(1)).unwrap();
        assert!(pool.idle_of(SessionKey(1)).is_none());
        assert!(pool.idle_of(SessionKey(2)).is_some());
    }

    proptest! {
        #[test]
        fn cells_never_exceed_the_pool(steps in prop::collection::vec((1u64..6, 1i32..30, 0usize..20, any::<bool>()), 0..60)) {
            let now = Instant::now();
            let mut pool = Pool::new(3, 64, 0, now);
            let mut running: Vec<(Grant, Vec<Token>, usize)> = Vec::new();
            for (at, (session, length, reserve, end)) in steps.into_iter().enumerate() {
                let at = now + Duration::from_secs(at as u64);
                if end && !running.is_empty() {
                    let (grant, _, _) = running.remove(0);
                    pool.release(grant.sequence, at);
                    continue;
                }
                let prompt = tokens(0..length);
                if let Some(grant) = pool.admit(SessionKey(session), &prompt, reserve, at) {
                    prop_assert!(running.iter().all(|(g, _, _)| g.sequence != grant.sequence));
                    for token in &prompt[grant.cached..] { pool.filled(grant.sequence, *token); }
                    for _ in 0..reserve { pool.filled(grant.sequence, Token(0)); }
                    running.push((grant, prompt, reserve));
                }
                prop_assert!(pool.used() <= 64);
            }
        }
    }
}
