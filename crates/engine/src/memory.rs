//! What gives way when a conversation outgrows its context, and how many KV cells a model gets.
//!
//! Pure: sizes in, decisions out. Touches no cache and knows no message text.

pub mod align;
pub mod pressure;

use std::ops::Range;

use crate::config::{Memory, Overflow, SessionMemory};
use crate::error::ContextNeed;

pub use pressure::Level;

/// The sizes, in tokens, of what the next turn would send.
#[derive(Debug, Clone, Copy)]
pub struct Demand<'a> {
    /// Messages before the first turn: the system message with its template text.
    pub head: usize,
    /// Past turns, oldest first, each with its template text.
    pub turns: &'a [usize],
    /// The new user message with the template text that opens the answer.
    pub new: usize,
    /// Most tokens that the answer may take; `None` is until the context is full.
    pub limit: Option<usize>,
    /// Tokens that the context holds.
    pub capacity: usize,
}

/// The rules for one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether old turns may be dropped for want of room.
    pub drops: bool,
    /// Tokens at the start that are never dropped, clamped to half of the context.
    pub keep: usize,
    /// Tokens that go at once at least; 0 is half of what may be dropped.
    pub discard: usize,
    /// Most tokens of history and new turn together. What a window drops is as little as it can be.
    pub window: Option<usize>,
}

impl Policy {
    /// The configuration's rules, but where the conversation has its own.
    pub fn new(config: &Memory, own: &SessionMemory) -> Policy {
        let configured = match config.context_shifting {
            true => config.overflow,
            false => Overflow::Error,
        };
        Policy {
            drops: own.overflow.unwrap_or(configured) != Overflow::Error,
            keep: own.keep.unwrap_or(config.n_keep_tokens) as usize,
            discard: own.discard.unwrap_or(config.n_discard_tokens) as usize,
            window: own.window.map(|tokens| tokens as usize),
        }
    }
}

/// What to do before the turn runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// Send it as it is.
    Fits,
    /// Leave these past turns (indexes into [`Demand::turns`]) out and for good.
    Drop(Range<usize>),
    /// Nothing that may be dropped makes room.
    PromptTooLong(ContextNeed),
    /// Dropping is off.
    ContextFull(ContextNeed),
}

/// Decides what gives way so that `demand` fits: the oldest whole turns after the kept prefix, never the new one.
///
/// Room for the answer (its limit, at most a quarter of the context) counts as wanted, not as needed: when dropping
/// everything that may be dropped leaves less, the turn still runs with what is left, one token at least.
pub fn fit(demand: &Demand<'_>, policy: &Policy) -> Fit {
    let history: usize = demand.turns.iter().sum();
    let reserve = reserve(demand.limit, demand.capacity);
    let total = demand.head + history + demand.new;
    let kept = kept_turns(demand, policy);
    let droppable = &demand.turns[kept..];
    let droppable_tokens: usize = droppable.iter().sum();
    let window = policy.window.unwrap_or(usize::MAX);
    let is_full = total + reserve > demand.capacity;
    if !is_full && total <= window {
        return Fit::Fits;
    }
    let need = ContextNeed {
        kept: total - demand.new - droppable_tokens,
        history: droppable_tokens,
        new: demand.new,
        reserve,
        capacity: demand.capacity,
    };
    let least_room = usize::from(reserve > 0);
    if total - droppable_tokens + least_room > demand.capacity {
        return Fit::PromptTooLong(need);
    }
    let at_least = match (policy.drops, policy.window, policy.discard) {
        // Without dropping for want of room, a window still drops.
        (false, None, _) if total + least_room <= demand.capacity => return Fit::Fits,
        (false, None, _) => return Fit::ContextFull(need),
        (_, Some(_), _) => 0,
        (_, None, 0) => droppable_tokens / 2,
        (_, None, n) => n.min(droppable_tokens),
    };
    let wanted = match policy.drops {
        true => demand.capacity - reserve,
        false => usize::MAX,
    };
    let mut dropped = 0;
    let mut end = 0;
    while end < droppable.len() && (dropped < at_least || total - dropped > wanted.min(window)) {
        dropped += droppable[end];
        end += 1;
    }
    if !policy.drops && total - dropped + least_room > demand.capacity {
        return Fit::ContextFull(need);
    }
    match end {
        0 => Fit::Fits,
        _ => Fit::Drop(kept..kept + end),
    }
}

/// Where the turns begin that may still give way while the answer grows, and how many before them may not; `None` where
/// none may.
pub fn droppable(demand: &Demand<'_>, policy: &Policy) -> Option<(usize, usize)> {
    // Without a system message the first turn opens the text, with what the template writes there.
    let opening = usize::from(demand.head == 0);
    let kept = kept_turns(demand, policy).max(opening);
    let tokens: usize = demand.turns.iter().take(kept).sum();
    (policy.drops && kept < demand.turns.len()).then_some((kept, demand.head + tokens))
}

/// Tokens that leave a prompt which is no conversation, so that it fits with one token of its answer; `None` where it does.
///
/// Whole blocks behind the kept beginning go, each half of what is not kept: while a prompt grows, what is left of it
/// stays the same until the next block goes, and its cells with it. (The rule of llama-server for prompts that are too
/// long.)
pub fn surplus(tokens: usize, policy: &Policy, capacity: usize) -> Option<Range<usize>> {
    if tokens < capacity {
        return None;
    }
    let keep = policy.keep.min(capacity / 2);
    let block = ((capacity - keep) / 2).max(1);
    let blocks = (tokens - keep - block) / block;
    Some(keep..keep + blocks * block)
}

/// Cells held free for an answer of at most `limit` tokens: a quarter of the context at most.
pub fn reserve(limit: Option<usize>, capacity: usize) -> usize {
    limit.unwrap_or(usize::MAX).min(capacity / 4)
}

/// Leading turns that lie whole inside the first `n_keep_tokens` tokens, at most half of the context.
fn kept_turns(demand: &Demand<'_>, policy: &Policy) -> usize {
    let keep = policy.keep.min(demand.capacity / 2);
    let mut end = demand.head;
    demand
        .turns
        .iter()
        .take_while(|&&turn| {
            end += turn;
            end <= keep
        })
        .count()
}

/// Sizes from which a model's cell pool is planned.
#[derive(Debug, Clone, Copy)]
pub struct PoolDemand {
    /// Tokens that one session may use.
    pub session_tokens: u32,
    /// Turns decoded together.
    pub slots: u32,
    /// Cells that are wished for; 0 is a full context for every slot.
    pub wanted: u32,
    /// KV bytes that one token takes in all layers.
    pub bytes_per_token: u64,
    /// Bytes that the cells may take.
    pub bytes: u64,
}

/// Plans the cells of a unified pool: a full context for every slot or what is wished for, as far as the bytes allow, and
/// one full context in any case. Turns that find too few free cells wait, or give theirs up for a while.
pub fn pool_tokens(demand: &PoolDemand) -> u32 {
    let all = u64::from(demand.session_tokens) * u64::from(demand.slots);
    let wanted = match demand.wanted {
        0 => all,
        n => all.min(n.into()),
    };
    let affordable = demand.bytes / demand.bytes_per_token.max(1);
    let tokens = wanted.min(affordable).max(u64::from(demand.session_tokens));
    u32::try_from(tokens).unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    fn policy(change: impl FnOnce(&mut Memory)) -> Policy {
        let (config, findings) = Config::from_layers(&[]);
        assert!(findings.is_empty());
        let mut memory = config.memory;
        change(&mut memory);
        Policy::new(&memory, &SessionMemory::default())
    }

    fn demand<'a>(turns: &'a [usize], new: usize) -> Demand<'a> {
        Demand {
            head: 10,
            turns,
            new,
            limit: Some(64),
            capacity: 1024,
        }
    }

    #[test]
    fn a_turn_with_room_for_its_answer_is_sent_whole() {
        assert_eq!(fit(&demand(&[100; 5], 100), &policy(|_| ())), Fit::Fits);
    }

    #[test]
    fn the_oldest_turns_after_the_kept_prefix_go_half_of_them_at_once() {
        let p = policy(|m| m.n_keep_tokens = 256);
        // 10 + 9 * 110 + 40 > 1024; two turns lie inside the kept 256 tokens, seven may go.
        assert_eq!(fit(&demand(&[110; 9], 40), &p), Fit::Drop(2..6));
    }

    proptest! {
        #[test]
        fn what_is_left_of_a_prompt_fits_with_a_token_to_spare(
            tokens in 1usize..100_000, keep in 0u32..5000, capacity in 4usize..5000,
        ) {
            let p = policy(|m| m.n_keep_tokens = keep);
            match surplus(tokens, &p, capacity) {
                None => prop_assert!(tokens < capacity),
                Some(gone) => {
                    prop_assert!(gone.end <= tokens && !gone.is_empty());
                    prop_assert_eq!(gone.start, (keep as usize).min(capacity / 2));
                    let left = tokens - gone.len();
                    prop_assert!(left < capacity && left > gone.start);
                }
            }
        }
    }

    #[test]
    fn n_discard_tokens_bounds_the_drop_from_below() {
        let p = policy(|m| {
            m.n_keep_tokens = 0;
            m.n_discard_tokens = 100;
        });
        assert_eq!(fit(&demand(&[110; 9], 40), &p), Fit::Drop(0..1));
    }

    #[test]
    fn without_shifting_a_full_context_is_an_error_with_counts() {
        let p = policy(|m| m.overflow = Overflow::Error);
        match fit(&demand(&[110; 9], 40), &p) {
            Fit::ContextFull(need) => {
                assert_eq!((need.kept, need.history, need.new), (230, 770, 40));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_turn_that_alone_exceeds_the_context_is_too_long_whatever_the_policy() {
        for p in [policy(|_| ()), policy(|m| m.overflow = Overflow::Error)] {
            assert!(matches!(fit(&demand(&[], 1020), &p), Fit::PromptTooLong(_)));
        }
    }

    #[test]
    fn a_conversation_may_have_rules_of_its_own() {
        let (config, _) = Config::from_layers(&[]);
        let own = SessionMemory {
            overflow: Some(Overflow::Error),
            keep: Some(1),
            ..SessionMemory::default()
        };
        let policy = Policy::new(&config.memory, &own);
        assert_eq!((policy.drops, policy.keep, policy.discard), (false, 1, 0));
    }

    #[test]
    fn a_window_drops_as_little_as_it_can_whatever_the_policy_says_of_a_full_context() {
        for drops in [true, false] {
            let mut p = policy(|m| m.n_keep_tokens = 0);
            p.drops = drops;
            p.window = Some(400);
            // 10 + 5 * 100 + 40 = 550: two turns less are 350.
            assert_eq!(fit(&demand(&[100; 5], 40), &p), Fit::Drop(0..2));
            assert_eq!(fit(&demand(&[100; 3], 40), &p), Fit::Fits);
            // A new turn beyond the window runs without history.
            assert_eq!(fit(&demand(&[100; 3], 600), &p), Fit::Drop(0..3));
            assert_eq!(fit(&demand(&[], 600), &p), Fit::Fits);
        }
    }

    #[test]
    fn what_may_give_way_to_a_growing_answer_begins_behind_what_is_kept() {
        let p = policy(|m| m.n_keep_tokens = 120);
        assert_eq!(droppable(&demand(&[100; 3], 40), &p), Some((1, 110)));
        let p = policy(|m| m.n_keep_tokens = 0);
        let mut d = demand(&[100; 3], 40);
        assert_eq!(droppable(&d, &p), Some((0, 10)));
        d.head = 0;
        assert_eq!(droppable(&d, &p), Some((1, 100)));
        assert_eq!(droppable(&demand(&[], 40), &p), None);
        let p = policy(|m| m.overflow = Overflow::Error);
        assert_eq!(droppable(&demand(&[100; 3], 40), &p), None);
    }

    #[test]
    fn the_pool_holds_every_slot_when_memory_allows_and_one_session_always() {
        let mut d = PoolDemand {
            session_tokens: 2048,
            slots: 8,
            wanted: 0,
            bytes_per_token: 1 << 17,
            bytes: 32 << 30,
        };
        assert_eq!(pool_tokens(&d), 16384);
        d.bytes = 1 << 29;
        assert_eq!(pool_tokens(&d), 4096);
        d.wanted = 3000;
        assert_eq!(pool_tokens(&d), 3000);
        d.bytes = 0;
        assert_eq!(pool_tokens(&d), 2048);
    }

    proptest! {
        #[test]
        fn after_the_drop_the_turn_fits_and_the_kept_prefix_stands(
            turns in prop::collection::vec(1usize..300, 0..30),
            new in 1usize..1200,
            keep in 0u32..700,
            discard in 0u32..700,
            window in prop::option::of(1usize..1500),
        ) {
            let mut p = policy(|m| { m.n_keep_tokens = keep; m.n_discard_tokens = discard; });
            p.window = window;
            let d = demand(&turns, new);
            if let Fit::Drop(range) = fit(&d, &p) {
                let rest: usize = turns[..range.start].iter().chain(&turns[range.end..]).sum();
                prop_assert!(d.head + rest + new < d.capacity);
                prop_assert!(!range.is_empty());
                let again: Vec<usize> = turns[..range.start].iter().chain(&turns[range.end..]).copied().collect();
                let settled = matches!(fit(&demand(&again, new), &p), Fit::Fits | Fit::Drop(_));
                prop_assert!(settled);
            }
        }
    }
}
