//! Numbers that a host holds, and the values behind them.
//!
//! Knows nothing of what it holds. A number rises within the process and is never given twice, so a stale one is
//! simply not found.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::RwLock;

use crate::error::{Error, Result};

/// A number that stands for a value in a [`Handles`] table.
pub trait Handle: Copy + Eq + Hash {
    /// Wraps a number that [`Numbers`] gave.
    fn from_number(number: u32) -> Self;
}

/// The source of one kind of number: 1, 2, 3, ... for the whole process.
pub struct Numbers(AtomicU32);

impl Numbers {
    /// Starts at 1; 0 is never given, so that hosts may use it for "none".
    pub const fn new() -> Numbers {
        Numbers(AtomicU32::new(1))
    }

    /// The next number. Errors: `Engine` once 2^32 - 1 of them were given; it does not wrap around.
    pub fn next(&self) -> Result<u32> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1))
            .map_err(|_| Error::Engine("no more handle numbers in this process".into()))
    }
}

/// A table from rising numbers to shared values. Any thread.
pub struct Handles<K: 'static, V> {
    numbers: &'static Numbers,
    values: RwLock<HashMap<K, Arc<V>>>,
}

impl<K: Handle, V> Handles<K, V> {
    /// An empty table that draws from `numbers`, shared by all tables of the kind.
    pub fn new(numbers: &'static Numbers) -> Handles<K, V> {
        Handles {
            numbers,
            values: RwLock::new(HashMap::new()),
        }
    }

    /// Stores `value` under a new number.
    pub fn insert(&self, value: Arc<V>) -> Result<K> {
        let key = K::from_number(self.numbers.next()?);
        self.values.write().insert(key, value);
        Ok(key)
    }

    /// The value behind `key`, kept alive by the caller's share of it.
    pub fn get(&self, key: K) -> Option<Arc<V>> {
        self.values.read().get(&key).cloned()
    }

    /// Takes `key` out; later look-ups miss.
    pub fn remove(&self, key: K) -> Option<Arc<V>> {
        self.values.write().remove(&key)
    }

    /// All pairs at this moment, in no order.
    pub fn snapshot(&self) -> Vec<(K, Arc<V>)> {
        let values = self.values.read();
        values.iter().map(|(k, v)| (*k, v.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static NUMBERS: Numbers = Numbers::new();

    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    struct Key(u32);

    impl Handle for Key {
        fn from_number(number: u32) -> Key {
            Key(number)
        }
    }

    #[test]
    fn a_removed_number_is_never_found_or_given_again() {
        let table: Handles<Key, &str> = Handles::new(&NUMBERS);
        let other: Handles<Key, &str> = Handles::new(&NUMBERS);
        let first = table.insert(Arc::new("a")).unwrap();
        assert_eq!(table.remove(first).as_deref(), Some(&"a"));
        assert!(table.get(first).is_none());
        let second = other.insert(Arc::new("b")).unwrap();
        assert!(second.0 > first.0);
        assert!(table.get(second).is_none(), "numbers of another table miss");
    }

    #[test]
    fn an_exhausted_number_space_is_an_error_and_stays_one() {
        let numbers = Numbers(AtomicU32::new(u32::MAX - 1));
        assert_eq!(numbers.next(), Ok(u32::MAX - 1));
        assert!(numbers.next().is_err());
        assert!(numbers.next().is_err());
    }
}
