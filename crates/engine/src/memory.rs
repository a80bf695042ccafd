//! What gives way when a conversation outgrows its context, and how many KV cells a model gets.
//!
//! Pure: sizes in, decisions out. Touches no cache and knows no message text.

use std::ops::Range;

use crate::config::{Memory, Overflow};
use crate::error::ContextNeed;

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
pub fn fit(demand: &Demand<'_>, policy: &Memory) -> Fit {
    let history: usize = demand.turns.iter().sum();
    let reserve = reserve(demand.limit, demand.capacity);
    let total = demand.head + history + demand.new;
    if total + reserve <= demand.capacity {
        return Fit::Fits;
    }
    let kept = kept_turns(demand, policy);
    let droppable = &demand.turns[kept..];
    let droppable_tokens: usize = droppable.iter().sum();
    let need = ContextNeed {
        kept: total - demand.new - droppable_tokens,
        history: droppable_tokens,
        new: demand.new,
        reserve,
        capacity: demand.capacity,
    };
    if total - droppable_tokens + usize::from(reserve > 0) > demand.capacity {
        return Fit::PromptTooLong(need);
    }
    if !policy.context_shifting || policy.overflow == Overflow::Error {
        return if total + usize::from(reserve > 0) <= demand.capacity {
            Fit::Fits
        } else {
            Fit::ContextFull(need)
        };
    }
    let at_least = match policy.n_discard_tokens as usize {
        0 => droppable_tokens / 2,
        n => n.min(droppable_tokens),
    };
    let mut dropped = 0;
    let mut end = 0;
    while end < droppable.len()
        && (dropped < at_least || total - dropped + reserve > demand.capacity)
    {
        dropped += droppable[end];
        end += 1;
    }
    match end {
        0 => Fit::Fits,
        _ => Fit::Drop(kept..kept + end),
    }
}

/// Cells held free for an answer of at most `limit` tokens: a quarter of the context at most.
pub fn reserve(limit: Option<usize>, capacity: usize) -> usize {
    limit.unwrap_or(usize::MAX).min(capacity / 4)
}

/// Leading turns that lie whole inside the first `n_keep_tokens` tokens, at most half of the context.
fn kept_turns(demand: &Demand<'_>, policy: &Memory) -> usize {
    let keep = (policy.n_keep_tokens as usize).min(demand.capacity / 2);
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
    /// KV bytes that one token takes in all layers.
    pub bytes_per_token: u64,
    /// Bytes of memory that the machine still has.
    pub available_bytes: u64,
}

/// Plans the cells of a unified pool: a full context for every slot, within half of the available memory, and one
/// full context in any case. Turns that find too few free cells wait for others to end.
pub fn pool_tokens(demand: &PoolDemand) -> u32 {
    let wanted = u64::from(demand.session_tokens) * u64::from(demand.slots);
    let affordable = demand.available_bytes / 2 / demand.bytes_per_token.max(1);
    let tokens = wanted.min(affordable).max(u64::from(demand.session_tokens));
    u32::try_from(tokens).unwrap_or(u32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    fn policy(change: impl FnOnce(&mut Memory)) -> Memory {
        let (config, findings) = Config::from_layers(&[]);
        assert!(findings.is_empty());
        let mut memory = config.memory;
        change(&mut memory);
        memory
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
    fn the_pool_holds_every_slot_when_memory_allows_and_one_session_always() {
        let mut d = PoolDemand {
            session_tokens: 2048,
            slots: 8,
            bytes_per_token: 1 << 17,
            available_bytes: 64 << 30,
        };
        assert_eq!(pool_tokens(&d), 16384);
        d.available_bytes = 1 << 30;
        assert_eq!(pool_tokens(&d), 4096);
        d.available_bytes = 0;
        assert_eq!(pool_tokens(&d), 2048);
    }

    proptest! {
        #[test]
        fn after_the_drop_the_turn_fits_and_the_kept_prefix_stands(
            turns in prop::collection::vec(1usize..300, 0..30),
            new in 1usize..1200,
            keep in 0u32..700,
            discard in 0u32..700,
        ) {
            let p = policy(|m| { m.n_keep_tokens = keep; m.n_discard_tokens = discard; });
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
