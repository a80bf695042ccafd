//! The tree against a search through everything, and how many tokens it compares.

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

fn list(ids: &[u32]) -> Arc<[u32]> {
    ids.into()
}

fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(x, y)| x == y).count()
}

#[test]
fn the_longest_prefix_is_found_inside_of_a_part_and_behind_it() {
    let mut prefixes = Prefixes::default();
    prefixes.insert(1, &list(&[1, 2, 3, 4, 5, 6]));
    prefixes.insert(2, &list(&[1, 2, 3]));
    prefixes.insert(3, &list(&[1, 2, 3, 4, 9]));
    assert_eq!(prefixes.longest(&[1, 2, 3, 4, 5], 9), Some((1, 5)));
    assert_eq!(prefixes.longest(&[1, 2, 3, 4, 5], 1), Some((3, 4)));
    assert_eq!(prefixes.longest(&[1, 2, 3, 4, 5, 6, 7], 9), Some((1, 6)));
    assert_eq!(
        prefixes.longest(&[1, 2, 8], 2).map(|found| found.1),
        Some(2)
    );
    assert_eq!(prefixes.longest(&[8], 9).map(|found| found.1), Some(0));
    prefixes.remove(1, &[1, 2, 3, 4, 5, 6]);
    assert_eq!(prefixes.longest(&[1, 2, 3, 4, 5], 9), Some((3, 4)));
    assert_eq!(prefixes.longest(&[1, 2, 3, 4, 5], 3), Some((2, 3)));
    prefixes.remove(3, &[1, 2, 3, 4, 9]);
    prefixes.remove(2, &[1, 2, 3]);
    assert!(prefixes.is_empty());
    assert_eq!(prefixes.longest(&[1], 9), None);
}

#[test]
fn what_is_not_there_is_not_taken_out() {
    let mut prefixes = Prefixes::default();
    prefixes.insert(1, &list(&[1, 2, 3]));
    prefixes.remove(2, &[1, 2, 3]);
    prefixes.remove(1, &[1, 2]);
    prefixes.remove(1, &[7]);
    assert_eq!(prefixes.longest(&[1, 2, 3], 0), Some((1, 3)));
}

#[test]
fn an_entry_inside_of_ten_thousand_others_costs_no_stack() {
    let mut prefixes = Prefixes::default();
    let all: Vec<u32> = (0..10_000).collect();
    let entry = |length: usize| list(&all[..length]);
    let lengths = || (1..=all.len()).step_by(2);
    lengths().for_each(|length| prefixes.insert(length as u64, &entry(length)));
    assert_eq!(prefixes.longest(&all, 0), Some((9_999, 9_999)));
    lengths().for_each(|length| prefixes.remove(length as u64, &entry(length)));
    assert!(prefixes.is_empty());
    assert_eq!(prefixes.nodes.len() - prefixes.free.len(), 1);
}

thread_local! {
    static COMPARED: Cell<usize> = const { Cell::new(0) };
}

/// A token that counts how often it is compared.
#[derive(Clone, Copy, Eq)]
struct Counted(u32);

impl Counted {
    fn count() {
        COMPARED.set(COMPARED.get() + 1);
    }
}

impl PartialEq for Counted {
    fn eq(&self, other: &Counted) -> bool {
        Counted::count();
        self.0 == other.0
    }
}

impl PartialOrd for Counted {
    fn partial_cmp(&self, other: &Counted) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Counted {
    fn cmp(&self, other: &Counted) -> Ordering {
        Counted::count();
        self.0.cmp(&other.0)
    }
}

#[test]
fn among_five_thousand_sessions_a_search_compares_little_more_than_the_prompt() {
    const SESSIONS: u32 = 5_000;
    const SYSTEM: u32 = 500;
    const OWN: u32 = 300;
    // All begin with one of ten system prompts, and go on by themselves.
    let entry = |session: u32| -> Arc<[Counted]> {
        let system = (0..SYSTEM).map(|n| n + 10_000 * (session % 10));
        let own = (0..OWN).map(|n| 1_000_000 + session * OWN + n);
        system.chain(own).map(Counted).collect()
    };
    let mut prefixes = Prefixes::default();
    for session in 0..SESSIONS {
        prefixes.insert(u64::from(session), &entry(session));
    }
    let compared = |prompt: &[Counted], but: u64| {
        COMPARED.set(0);
        let found = prefixes.longest(prompt, but);
        (found.map(|found| found.1), COMPARED.get())
    };
    // Its length, and at each of two branches a binary search among 10 and 500.
    let most = (SYSTEM + OWN) as usize + 2 * 16;
    let prompt = entry(4_321);
    let (length, count) = compared(&prompt, 0);
    assert_eq!(length, Some((SYSTEM + OWN) as usize));
    assert!(count <= most, "{count}");
    let (length, count) = compared(&prompt, 4_321);
    assert_eq!(length, Some(SYSTEM as usize));
    assert!(count <= most, "{count}");
    let (length, count) = compared(&[Counted(7_777_777); 800], 0);
    assert_eq!(length, Some(0));
    assert!(count <= 16, "{count}");
}

proptest! {
    #[test]
    fn it_finds_what_a_search_through_everything_finds(
        steps in prop::collection::vec(
            (0u64..8, prop::collection::vec(0u32..3, 0..12), any::<bool>()), 0..60),
    ) {
        let mut prefixes = Prefixes::default();
        let mut entries: BTreeMap<u64, Arc<[u32]>> = BTreeMap::new();
        for (session, tokens, only_asks) in steps {
            let best = |but: u64| {
                let others = entries.iter().filter(|(other, _)| **other != but);
                others.map(|(_, held)| common(held, &tokens)).max()
            };
            for but in [session, 99] {
                let found = prefixes.longest(&tokens, but);
                prop_assert_eq!(found.map(|found| found.1), best(but));
                if let Some((other, length)) = found {
                    prop_assert!(other != but);
                    prop_assert_eq!(common(&entries[&other], &tokens), length);
                }
            }
            if only_asks {
                continue;
            }
            match entries.remove(&session) {
                Some(held) => prefixes.remove(session, &held),
                None => {
                    prefixes.insert(session, &list(&tokens));
                    entries.insert(session, list(&tokens));
                }
            }
            prop_assert_eq!(prefixes.nodes[ROOT].entries, entries.len());
            // At each place but the root something ends or parts.
            prop_assert!(prefixes.nodes.len() - prefixes.free.len() <= 1 + 2 * entries.len());
        }
    }
}
