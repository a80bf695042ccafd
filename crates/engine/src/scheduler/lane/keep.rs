//! What a lane does with the cells of turns that do not run: they stay, or leave to the store, and are found again.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use super::super::job::SessionKey;
use super::super::pool::{self, Leaving};
use super::super::reuse::{Hit, Miss};
use super::super::work::Work;
use super::{Lane, Shape, position};
use crate::config::CacheStrategy;
use crate::llama::context::Removal;
use crate::llama::{Context, Token};
use crate::memory::Level;
use crate::memory::align::{Alignment, align, common_prefix};
use crate::memory::pressure::{Pressure, Share};
use crate::spill::{Cells, Key, Store};

/// How idle cells are kept.
#[derive(Clone)]
pub struct Keeping {
    /// Tells the model's file from all others.
    pub model: u64,
    /// Where they go when they leave the context.
    pub store: Arc<Store>,
    /// Which of them leave first.
    pub strategy: CacheStrategy,
    /// Tokens of idle sequences in the context; 0 is no cap.
    pub idle_limit: usize,
    /// The share of the cap at which cleaning starts; it ends 0.1 lower.
    pub threshold: f32,
    /// Whether the newer half of an idle sequence leaves before the whole.
    pub halves: bool,
    /// Whether a session may have what another one began with.
    pub shares: bool,
}

impl Keeping {
    /// What the cells of `context` have in common with those of all contexts that can take them: model and shape.
    pub(in super::super) fn shape(&self, context: &Context) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.model, context.fingerprint()).hash(&mut hasher);
        hasher.finish()
    }
}

/// Idle cells that are to go.
pub(super) struct Thinning {
    /// How many tokens may stay.
    goal: usize,
    /// The store gets what leaves.
    saves: bool,
}

/// Cells outside of the context that begin as a prompt does.
pub(super) struct Outside {
    key: Key,
    alignment: Alignment,
    is_own: bool,
}

/// Those cells, brought here.
pub(super) struct Brought {
    pub(super) cells: Arc<Cells>,
    pub(super) alignment: Alignment,
    pub(super) hit: Hit,
}

impl Outside {
    /// Leading tokens of the prompt that they serve.
    pub(super) fn tokens(&self) -> usize {
        self.alignment.len()
    }
}

impl Lane {
    /// How many tokens of a sequence can be taken back.
    pub(super) fn rewindable(&self) -> usize {
        match self.context.removal() {
            Removal::Anywhere => usize::MAX,
            Removal::Snapshots(count) => count as usize,
            Removal::WholeOnly | Removal::None => 0,
        }
    }

    /// Whether cells can be moved for a turn whose history was trimmed.
    pub(super) fn moves(&self, work: &Work) -> bool {
        work.job.turn.past.is_trimmed && self.can_move()
    }

    /// Deterministic turns evaluate anew instead.
    pub(super) fn can_move(&self) -> bool {
        matches!(self.shape, Shape::Paced(..))
            && self.context.removal() == Removal::Anywhere
            && self.context.can_shift()
    }

    /// Whether turns may have cells of other sessions. A sliding window loses the first positions of what it holds.
    pub(super) fn shares(&self) -> bool {
        self.keeping.shares
            && matches!(self.shape, Shape::Paced(..))
            && self.context.removal() == Removal::Anywhere
            && self.context.n_swa() == 0
    }

    pub(super) fn key(&self, session: SessionKey) -> Key {
        Key {
            shape: self.keeping.shape(&self.context),
            session: session.0,
            exact: matches!(self.shape, Shape::Fixed(..)),
        }
    }

    /// The cells in the store that serve `work` best: its own, or where they are longer those of another session.
    pub(super) fn outside(&self, work: &Work) -> Option<Outside> {
        let turn = &work.job.turn;
        let prompt = &work.tokens()[..work.tokens().len() - 1];
        let key = self.key(turn.session);
        let own = match &self.shape {
            // What an earlier turn left would change the shapes of the calls.
            Shape::Fixed(..) if !work.has_started() => None,
            _ => self.keeping.store.tokens(key).and_then(|(held, _)| {
                let alignment = self.serves(&held, prompt, self.moves(work))?;
                let is_own = true;
                Some(Outside {
                    key,
                    alignment,
                    is_own,
                })
            }),
        };
        let tokens = own.as_ref().map_or(0, Outside::tokens);
        if !self.shares() {
            return own;
        }
        let least = tokens + pool::LEAST;
        let (store, session) = (&self.keeping.store, turn.session.0);
        let other = store.donor(key.shape, prompt, least, session);
        let other = other.map(|(key, tokens)| Outside {
            key,
            alignment: Alignment {
                keep: tokens,
                moves: Vec::new(),
            },
            is_own: false,
        });
        other.or(own)
    }

    /// Whether those cells can be taken without waiting for a disk; has their file read where they cannot.
    pub(super) fn is_at_hand(&self, work: &Work, outside: Option<&Outside>) -> bool {
        // Those of others are given from memory only.
        let own = outside.filter(|outside| outside.is_own);
        own.is_none_or(|own| work.fetch(&self.keeping.store, own.key))
    }

    fn serves(&self, held: &[Token], prompt: &[Token], moves: bool) -> Option<Alignment> {
        let alignment = match moves {
            true => align(held, prompt),
            false => Alignment {
                keep: common_prefix(held, prompt),
                moves: Vec::new(),
            },
        };
        let is_short = alignment.moves.is_empty();
        // Saved cells of a sliding window are those of the window alone.
        let rewindable = match self.context.n_swa() {
            0 => self.rewindable(),
            _ => 0,
        };
        let is_cut = is_short && held.len() - alignment.keep > rewindable;
        (alignment.len() > 0 && !is_cut).then_some(alignment)
    }

    /// Brings cells from the store. Errors: why they are gone.
    pub(super) fn bring(&mut self, work: &Work, outside: Outside) -> Result<Brought, Miss> {
        let (cells, hit) = match outside.is_own {
            true => {
                let (cells, tier) = self.keeping.store.take(outside.key, work.take_fetched())?;
                (cells, Hit::from(tier))
            }
            false => {
                let cells = self.keeping.store.read(outside.key).ok_or(Miss::Evicted)?;
                (cells, Hit::Shared)
            }
        };
        self.carried += cells.state.len();
        // They may be others than those that were found: an engine that ends saves its own.
        let prompt = &work.tokens()[..work.tokens().len() - 1];
        let moves = outside.is_own && self.moves(work);
        let alignment = self
            .serves(&cells.tokens, prompt, moves)
            .ok_or(Miss::Changed)?;
        Ok(Brought {
            cells,
            alignment,
            hit,
        })
    }

    /// Saves the cells of a sequence that is about to give way.
    pub(super) fn put_away(&mut self, leaving: &Leaving) {
        self.totals.evictions.count();
        let Some(session) = leaving.session else {
            return;
        };
        let seq = self.seq(leaving.sequence);
        match self.context.save_seq(seq) {
            Ok(state) => {
                self.carried += state.len();
                self.totals.spills.count();
                let cells = Cells {
                    tokens: leaving.tokens.as_slice().into(),
                    state,
                    moved: !leaving.exact,
                    presence: leaving.presence.clone(),
                };
                self.keeping.store.put(self.key(session), cells);
            }
            Err(error) => {
                log::warn!(target: "memory", "cells of session {} not saved: {error}", session.0);
            }
        }
    }

    /// Ends a sequence's turn; its tokens stay for the next one unless they must not.
    pub(super) fn release(&mut self, sequence: usize, keep: bool, now: Instant) {
        self.pool.release(sequence, now);
        if !keep || matches!(self.shape, Shape::Fixed(..)) {
            self.pool.forget(sequence);
            self.clear(sequence);
            return;
        }
        self.clean(now);
    }

    /// Keeps the tokens of idle sequences below their cap.
    fn clean(&mut self, now: Instant) {
        let share = Share {
            name: "max_cache_tokens",
            used: self.pool.idle_tokens() as u64,
            limit: self.keeping.idle_limit as u64,
        };
        let mut pressure = Pressure::new(self.keeping.threshold);
        if pressure.observe(&[share]).is_some() {
            let goal = usize::try_from(pressure.goal(&share)).unwrap_or(usize::MAX);
            self.thin(goal, true, now);
        }
    }

    /// Lets idle sequences go until they hold at most `goal` tokens: first their newer halves, where that is wanted, then
    /// all of them. `saves`: the store gets what leaves, as much as may be carried now; the rest follows step by step.
    pub(super) fn thin(&mut self, goal: usize, saves: bool, now: Instant) {
        self.thinning = Some(Thinning { goal, saves });
        self.go_on_thinning(now);
    }

    /// Lets go of idle sequences that are still to go.
    pub(in super::super) fn go_on_thinning(&mut self, now: Instant) {
        let Some(Thinning { goal, saves }) = self.thinning.take() else {
            return;
        };
        let before = self.pool.idle_tokens();
        while self.pool.idle_tokens() > goal {
            if saves && self.carried > self.carry {
                self.thinning = Some(Thinning { goal, saves });
                break;
            }
            if !self.let_half_go(saves, now) && !self.let_one_go(saves, now) {
                break;
            }
        }
        let after = self.pool.idle_tokens();
        if before > after {
            log::debug!(target: "memory", "idle tokens {before} -> {after}, at most {goal} wanted");
        }
    }

    /// Whether idle cells are still to go.
    pub(in super::super) fn is_thinning(&self) -> bool {
        self.thinning.is_some()
    }

    /// Takes the newer half off the idle sequence that leaves first. False: halves are not wanted, or none is whole.
    fn let_half_go(&mut self, saves: bool, now: Instant) -> bool {
        if !self.keeping.halves || self.rewindable() != usize::MAX {
            return false;
        }
        let Some((leaving, keep)) = self.pool.halve(now) else {
            return false;
        };
        if saves {
            self.put_away(&leaving);
        }
        let seq = self.seq(leaving.sequence);
        if !self.context.seq_truncate(seq, position(keep)) {
            self.pool.forget(leaving.sequence);
            self.clear(leaving.sequence);
        }
        true
    }

    /// Lets the idle sequence go that leaves first. False: there is none.
    fn let_one_go(&mut self, saves: bool, now: Instant) -> bool {
        let Some(leaving) = self.pool.evict(now) else {
            return false;
        };
        let is_saved = leaving.session.is_some_and(|session| {
            let held = self.keeping.store.tokens(self.key(session));
            held.is_some_and(|(tokens, _)| tokens.starts_with(&leaving.tokens))
        });
        if saves && !is_saved {
            self.put_away(&leaving);
        }
        self.clear(leaving.sequence);
        true
    }

    /// Gives up idle cells under memory pressure.
    pub(in super::super) fn relieve(&mut self, level: Level, now: Instant) {
        match level {
            Level::None | Level::Spill => {}
            // In memory they would take what they give.
            Level::Trim => {
                let saves = self.keeping.store.counts().disk.limit_bytes > 0;
                self.thin(self.pool.idle_tokens() / 2, saves, now);
            }
            Level::Drop | Level::Refuse => self.thin(0, false, now),
        }
    }

    /// Saves everything that is idle, for a context that is about to end.
    pub(in super::super) fn save_idle(&mut self, now: Instant) {
        if matches!(self.shape, Shape::Fixed(..)) {
            return;
        }
        while let Some(leaving) = self.pool.evict(now) {
            self.put_away(&leaving);
        }
    }

    /// Forgets what is cached of a conversation that is gone, but for what others began with, too.
    pub(in super::super) fn forget(&mut self, session: SessionKey) {
        for slot in &mut self.slots {
            // Its last turn still runs: the tokens go when it ends.
            slot.work.job.turn.keep_cache &= slot.work.job.turn.session != session;
        }
        if let Some(sequence) = self.pool.idle_of(session) {
            let keep = match self.shares() {
                true => self.pool.disown(sequence),
                false => {
                    self.pool.forget(sequence);
                    0
                }
            };
            let seq = self.seq(sequence);
            if keep == 0 || !self.context.seq_truncate(seq, position(keep)) {
                self.pool.forget(sequence);
                self.context.seq_clear(seq);
            }
        }
        // It may have left on the way here.
        self.keeping.store.forget(session.0);
    }
}
