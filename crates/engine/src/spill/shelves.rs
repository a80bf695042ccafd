//! The entries of all tiers, and their sums.
//!
//! An entry changes its tier by being removed and inserted again, so that the sums cannot part from the entries.

use std::collections::BTreeMap;
use std::time::Instant;

use super::Key;
use super::counts::Held;
use super::entry::{Entry, Place};
use super::order::Idle;
use super::prefixes::Prefixes;
use crate::llama::Token;

/// Entries by key.
#[derive(Default)]
pub struct Shelves {
    entries: BTreeMap<Key, Entry>,
    /// What may be given to other sessions, by shape.
    donors: BTreeMap<u64, Prefixes<Token>>,
    /// In memory, within its budget.
    pub ram: Held,
    /// In memory, on their way to the disk.
    pub leaving: Held,
    /// In files.
    pub disk: Held,
}

impl Shelves {
    /// The entry of a key.
    pub fn get(&self, key: Key) -> Option<&Entry> {
        self.entries.get(&key)
    }

    /// Notes that an entry was of use.
    pub fn touch(&mut self, key: Key, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.used = now;
        }
    }

    /// Adds an entry. The key must have none.
    pub fn insert(&mut self, key: Key, entry: Entry) {
        self.held(&entry.place).add(entry.bytes());
        if may_donate(key, &entry) {
            let donors = self.donors.entry(key.shape).or_default();
            donors.insert(key.session, &entry.tokens);
        }
        self.entries.insert(key, entry);
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries.remove(&key)?;
        self.held(&entry.place).remove(entry.bytes());
        if may_donate(key, &entry)
            && let Some(donors) = self.donors.get_mut(&key.shape)
        {
            donors.remove(key.session, &entry.tokens);
            if donors.is_empty() {
                self.donors.remove(&key.shape);
            }
        }
        Some(entry)
    }

    /// Everything that is on its way to the disk is back in memory.
    pub fn turn_back(&mut self) {
        while let Some(key) = self.first_leaving() {
            if let Some(mut entry) = self.remove(key) {
                if let Place::Leaving(cells) = entry.place {
                    entry.place = Place::Ram(cells);
                }
                self.insert(key, entry);
            }
        }
    }

    /// The keys of a session.
    pub fn of(&self, session: u64) -> impl Iterator<Item = Key> {
        self.entries
            .range(Key::first(session)..=Key::last(session))
            .map(|(key, _)| *key)
    }

    /// Entries in memory that may leave it.
    pub fn idle(&self, now: Instant) -> impl Iterator<Item = (Key, Idle)> {
        self.entries
            .iter()
            .filter(|(_, entry)| matches!(entry.place, Place::Ram(_)))
            .map(move |(key, entry)| (*key, entry.idle(key.session, now)))
    }

    /// The entry in memory of one shape that has the longest prefix of `prompt` and may be given to other sessions than
    /// `but`, and how long that is.
    pub fn donor(&self, shape: u64, prompt: &[Token], but: u64) -> Option<(Key, usize)> {
        let (session, length) = self.donors.get(&shape)?.longest(prompt, but)?;
        let key = Key {
            session,
            shape,
            exact: false,
        };
        Some((key, length))
    }

    /// The one that left memory first and is not in a file yet.
    pub fn first_leaving(&self) -> Option<Key> {
        self.first(|place| matches!(place, Place::Leaving(_)))
    }

    /// The one whose file is the oldest.
    pub fn first_filed(&self) -> Option<Key> {
        self.first(|place| matches!(place, Place::Disk(_)))
    }

    /// The sums, added up anew: memory, leaving, disk.
    #[cfg(test)]
    pub fn recount(&self) -> [Held; 3] {
        let mut sums = [Held::default(); 3];
        for entry in self.entries.values() {
            let tier = match entry.place {
                Place::Ram(_) => 0,
                Place::Leaving(_) => 1,
                Place::Disk(_) => 2,
            };
            sums[tier].add(entry.bytes());
        }
        sums
    }

    fn first(&self, is_there: impl Fn(&Place) -> bool) -> Option<Key> {
        self.entries
            .iter()
            .filter(|(_, entry)| is_there(&entry.place))
            .min_by_key(|(_, entry)| entry.generation)
            .map(|(key, _)| *key)
    }

    fn held(&mut self, place: &Place) -> &mut Held {
        match place {
            Place::Ram(_) => &mut self.ram,
            Place::Leaving(_) => &mut self.leaving,
            Place::Disk(_) => &mut self.disk,
        }
    }
}

/// Whether an entry's cells may be given to other sessions, as long as it is where it is.
fn may_donate(key: Key, entry: &Entry) -> bool {
    !key.exact && !entry.moved && entry.cells().is_some()
}

impl IntoIterator for Shelves {
    type Item = Entry;
    type IntoIter = std::collections::btree_map::IntoValues<Key, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_values()
    }
}
