//! The numbers that guests hold instead of graphs and execution contexts, and the tables behind them.
//!
//! A rising number goes through a keyed bijection of 32 bits before a guest sees it: not to be guessed from one's own,
//! and given out again only after all others, unless it is still in use: numbers do not run out. Where it is known who
//! calls, a number is worth something only to the instance that made it; elsewhere the number is the capability, and
//! guesses of the whole process come one after the other, slowly. Does not know what the items are.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use crate::guest;
use crate::misses::{Misses, Pace};

static NUMBERS: LazyLock<Numbers> = LazyLock::new(|| Numbers::new(RandomState::new()));

static MISSES: Mutex<Misses> = Mutex::new(Misses::new());

/// Whoever has to wait for an answer waits for those who do so already: more threads guess no faster.
static PENITENTS: Mutex<()> = Mutex::new(());

/// How long somebody who guesses has to wait for each answer.
const PENALTY: Duration = Duration::from_millis(1);

/// Who asks for a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Number of the backend ctx; 0 if none was given.
    pub(crate) maker: u32,
    /// Whether handles of other makers are unknown to it.
    pub(crate) is_bound: bool,
}

/// Items by the numbers that guests know.
///
/// Any thread may use it. No lock is held while an item is dropped or used.
pub(crate) struct Table<T> {
    entries: RwLock<BTreeMap<u32, Entry<T>>>,
}

struct Entry<T> {
    maker: u32,
    item: Arc<T>,
}

impl<T> Table<T> {
    /// A table without items.
    pub(crate) const fn new() -> Table<T> {
        Table {
            entries: RwLock::new(BTreeMap::new()),
        }
    }

    /// Enters an item that `maker` made, under the number that is returned.
    pub(crate) fn insert(&self, maker: u32, item: Arc<T>) -> u32 {
        self.insert_by(&*NUMBERS, maker, item)
    }

    fn insert_by<K: BuildHasher>(&self, numbers: &Numbers<K>, maker: u32, item: Arc<T>) -> u32 {
        let mut entries = self.entries.write();
        // What is in the table has a place in memory, so there are never as many items as numbers.
        let number = loop {
            let number = numbers.draw();
            if !entries.contains_key(&number) {
                break number;
            }
        };
        entries.insert(number, Entry { maker, item });
        number
    }

    /// The item behind a number, if the caller may know it. Someone who asks for many that are not there has to wait.
    pub(crate) fn get(&self, caller: Caller, number: u32) -> Option<Arc<T>> {
        let found = self
            .entries
            .read()
            .get(&number)
            .filter(|entry| entry.is_known_to(caller))
            .map(|entry| Arc::clone(&entry.item));
        found.or_else(miss)
    }

    /// Takes the item behind a number out, if the caller may know it.
    pub(crate) fn remove(&self, caller: Caller, number: u32) -> Option<Arc<T>> {
        let mut entries = self.entries.write();
        let is_known = entries
            .get(&number)
            .is_some_and(|entry| entry.is_known_to(caller));
        let removed = is_known.then(|| entries.remove(&number)).flatten();
        drop(entries);
        removed.map(|entry| entry.item).or_else(miss)
    }

    /// Takes out everything that `maker` made.
    pub(crate) fn take_of(&self, maker: u32) -> Vec<Arc<T>> {
        let mut entries = self.entries.write();
        let (taken, kept): (BTreeMap<_, _>, _) = std::mem::take(&mut *entries)
            .into_iter()
            .partition(|(_, entry)| entry.maker == maker);
        *entries = kept;
        taken.into_values().map(|entry| entry.item).collect()
    }

    /// How many items `maker` made that are still there.
    pub(crate) fn count_of(&self, maker: u32) -> usize {
        let entries = self.entries.read();
        let own = entries.values().filter(|entry| entry.maker == maker);
        own.count()
    }
}

impl<T> Entry<T> {
    fn is_known_to(&self, caller: Caller) -> bool {
        !caller.is_bound || self.maker == caller.maker
    }
}

/// Counts an unknown number. Always none.
fn miss<T>() -> Option<T> {
    let pace = MISSES.lock().count(Instant::now());
    if pace == Pace::FirstSlow {
        let text = "a guest asks for many handles that it does not have; it is slowed down";
        guest::note(log::Level::Warn, text);
    }
    if pace != Pace::Free {
        let _one_at_a_time = PENITENTS.lock();
        std::thread::sleep(PENALTY);
    }
    None
}

/// Where the numbers come from.
struct Numbers<K = RandomState> {
    drawn: AtomicU64,
    key: K,
}

impl<K: BuildHasher> Numbers<K> {
    fn new(key: K) -> Numbers<K> {
        Numbers {
            drawn: AtomicU64::new(0),
            key,
        }
    }

    /// A number that was not drawn before, or if all were, the one whose turn is longest ago. Neither 0 nor 0xffffffff,
    /// which stand for "none" elsewhere.
    fn draw(&self) -> u32 {
        loop {
            let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
            // Only the lower half counts: after the last comes the first.
            let number = self.mix(drawn as u32);
            if !matches!(number, 0 | u32::MAX) {
                return number;
            }
        }
    }

    /// A Feistel network of four rounds: a bijection whatever the rounds do, and here a keyed hash does them.
    fn mix(&self, rising: u32) -> u32 {
        let halves = ((rising >> 16) as u16, rising as u16);
        let (left, right) = (0u8..4).fold(halves, |(left, right), round| {
            let hash = self.key.hash_one((round, right)) as u16;
            (right, left ^ hash)
        });
        u32::from(left) << 16 | u32::from(right)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const ANYBODY: Caller = Caller {
        maker: 0,
        is_bound: false,
    };

    fn bound(maker: u32) -> Caller {
        Caller {
            maker,
            is_bound: true,
        }
    }

    /// A hash that is a number, so that a network can be run backwards and steered.
    #[derive(Clone, Copy)]
    struct Plain(u64);

    impl BuildHasher for Plain {
        type Hasher = std::hash::DefaultHasher;

        fn build_hasher(&self) -> Self::Hasher {
            use std::hash::Hasher;
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write_u64(self.0);
            hasher
        }
    }

    fn unmix(numbers: &Numbers<Plain>, number: u32) -> u32 {
        let halves = ((number >> 16) as u16, number as u16);
        let (left, right) = (0u8..4).rev().fold(halves, |(left, right), round| {
            let hash = numbers.key.hash_one((round, left)) as u16;
            (right ^ hash, left)
        });
        u32::from(left) << 16 | u32::from(right)
    }

    proptest! {
        #[test]
        fn mixing_can_be_undone_so_that_no_number_comes_twice(key: u64, rising: u32) {
            let numbers = Numbers::new(Plain(key));
            prop_assert_eq!(unmix(&numbers, numbers.mix(rising)), rising);
        }

        #[test]
        fn numbers_that_stand_for_none_are_skipped(key: u64, is_first: bool) {
            let numbers = Numbers::new(Plain(key));
            let none = if is_first { 0 } else { u32::MAX };
            let source = unmix(&numbers, none);
            prop_assume!(source < u32::MAX - 1);
            numbers.drawn.store(source.into(), Ordering::Relaxed);
            let next = numbers.draw();
            prop_assert!(next != 0 && next != u32::MAX);
            prop_assert!(unmix(&numbers, next) > source);
        }
    }

    #[test]
    fn numbers_of_a_process_do_not_repeat_and_do_not_rise() {
        let numbers = Numbers::new(RandomState::new());
        let drawn: Vec<u32> = (0..100_000).map(|_| numbers.draw()).collect();
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), drawn.len());
        let rises = drawn.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((45_000..55_000).contains(&rises), "{rises} of 100000 rise");
        let other = Numbers::new(RandomState::new());
        let equal = drawn.iter().filter(|&&n| other.draw() == n).count();
        assert!(equal < 10, "{equal} numbers are those of another process");
    }

    #[test]
    fn after_the_last_number_come_those_that_are_not_in_use() {
        let numbers = Numbers::new(Plain(7));
        let table = Table::new();
        let insert = |item| table.insert_by(&numbers, 1, Arc::new(item));
        let first: Vec<u32> = (0..3).map(insert).collect();
        table.remove(bound(1), first[1]).unwrap();
        // All others were given out and came back.
        numbers.drawn.store(1 << 32, Ordering::Relaxed);
        assert_eq!(
            insert(3),
            first[1],
            "the only one of the first three that is free"
        );
        let next = insert(4);
        assert!(!first.contains(&next));
        for (item, number) in [(0, first[0]), (3, first[1]), (2, first[2]), (4, next)] {
            assert_eq!(table.get(bound(1), number).as_deref(), Some(&item));
        }
    }

    #[test]
    fn bound_callers_know_their_own_handles_only() {
        let table = Table::new();
        let (mine, yours) = (
            table.insert(1, Arc::new("mine")),
            table.insert(2, Arc::new("yours")),
        );
        assert_eq!(table.get(bound(1), mine).as_deref(), Some(&"mine"));
        assert_eq!(table.get(bound(1), yours), None);
        assert_eq!(table.remove(bound(1), yours), None);
        assert_eq!(table.get(ANYBODY, yours).as_deref(), Some(&"yours"));
        assert_eq!(table.remove(bound(2), yours).as_deref(), Some(&"yours"));
        assert_eq!(table.get(ANYBODY, yours), None);
        assert_eq!(table.remove(ANYBODY, yours), None);
        assert_eq!(table.get(ANYBODY, mine ^ 1), None);
    }

    #[test]
    fn everything_of_a_maker_goes_at_once() {
        let table = Table::new();
        let numbers: Vec<u32> = (0..6).map(|n| table.insert(n % 2, Arc::new(n))).collect();
        let mut taken: Vec<u32> = table.take_of(1).iter().map(|item| **item).collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 3, 5]);
        assert!(table.take_of(1).is_empty());
        assert_eq!(table.count_of(0), 3);
        for (n, &number) in (0..).zip(&numbers) {
            let left = table.get(ANYBODY, number).map(|item| *item);
            assert_eq!(left, (n % 2 == 0).then_some(n));
        }
        table.take_of(0);
        assert_eq!(table.count_of(0), 0);
    }
}
