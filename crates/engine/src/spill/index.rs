//! Who has which cells in which tier: the rules and the accounting under the store's lock.
//!
//! Does no I/O and drops no large buffer: what the writer must do, and what may be freed, is put aside for whoever
//! holds the lock.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::entry::{Entry, Filed, Order, Place};
use super::file::Fault;
use super::order;
use super::shelves::Shelves;
use super::{Cells, Key, Limits, Loss, Tier};
use crate::config::CacheStrategy;
use crate::llama::Token;

/// How long a disk that failed is left alone.
pub const RETRY: Duration = Duration::from_secs(5);

/// What may be on its way to the disk whatever the budget is.
pub const LEAVING_BYTES: u64 = 64 << 20;

/// All entries, and what is remembered of those that were lost.
pub struct Index {
    limits: Limits,
    shelves: Shelves,
    /// The last loss of each session, until it puts again or is forgotten.
    lost: BTreeMap<u64, Lost>,
    /// Of the latest put or departure; never used twice, so that late news of an older one is recognised.
    generation: u64,
    /// Those that only rise; the shelves have the others.
    counts: Counts,
    /// While writing fails: when it is tried again.
    retry_at: Option<Instant>,
    chores: Chores,
    trash: Vec<Arc<Cells>>,
}

struct Lost {
    shape: u64,
    loss: Loss,
}

/// What there is to do about files beside writing them.
#[derive(Default)]
pub struct Chores {
    /// Files that nobody will read.
    pub unwanted: Vec<PathBuf>,
    /// The folder is no longer the configured one.
    pub is_deserted: bool,
}

impl Index {
    /// Empty, and without room for anything.
    pub fn new() -> Index {
        Index {
            limits: Limits {
                ram_bytes: 0,
                dir: None,
                disk_bytes: 0,
                strategy: CacheStrategy::Lru,
            },
            shelves: Shelves::default(),
            lost: BTreeMap::new(),
            generation: 0,
            counts: Counts::default(),
            retry_at: None,
            chores: Chores::default(),
            trash: Vec::new(),
        }
    }

    /// Other budgets, from now on.
    pub fn set_limits(&mut self, limits: Limits, now: Instant) {
        let is_moved = limits.dir != self.limits.dir;
        let is_smaller = limits.disk_bytes < self.limits.disk_bytes;
        self.limits = limits;
        if is_moved {
            self.retry_at = None;
            self.chores.is_deserted = true;
            self.drop_files();
        }
        if is_moved || is_smaller {
            self.shelves.turn_back();
        }
        self.clear_disk(self.limits.disk_bytes);
        self.enforce(self.limits.ram_bytes, None, now);
    }

    /// Keeps cells in place of what the key had.
    pub fn put(&mut self, key: Key, cells: Cells, now: Instant) {
        self.discard(key);
        self.lost.remove(&key.session);
        if cells.presence.is_gone() {
            self.trash.push(Arc::new(cells));
            return;
        }
        self.generation += 1;
        let entry = Entry::new(cells, self.generation, now);
        self.shelves.insert(key, entry);
        self.enforce(self.limits.ram_bytes, None, now);
    }

    /// What the cells of a key hold, and whether they were moved.
    pub fn tokens(&self, key: Key) -> Option<(Arc<[Token]>, bool)> {
        let entry = self.shelves.get(key)?;
        Some((entry.tokens.clone(), entry.moved))
    }

    /// Takes an entry out that is in memory. `None`: it is in a file, and stays.
    pub fn take(&mut self, key: Key) -> Result<Option<Arc<Cells>>, Loss> {
        let entry = self.shelves.get(key).ok_or_else(|| self.loss(key))?;
        let cells = entry.cells().cloned();
        if cells.is_some() {
            self.shelves.remove(key);
        }
        Ok(cells)
    }

    /// The entry of a key, where it is in a file.
    pub fn in_file(&self, key: Key) -> Option<Filed> {
        let entry = self.shelves.get(key)?;
        match &entry.place {
            Place::Disk(path) => Some(entry.filed(key, path)),
            Place::Ram(_) | Place::Leaving(_) => None,
        }
    }

    /// Drops an entry. Returns why there is none, if there is none.
    pub fn remove(&mut self, key: Key) -> Option<Loss> {
        let is_there = self.shelves.get(key).is_some();
        self.discard(key);
        (!is_there).then(|| self.loss(key))
    }

    /// The cells of an entry in memory, which counts as a use.
    pub fn read(&mut self, key: Key, now: Instant) -> Option<Arc<Cells>> {
        let cells = self.shelves.get(key)?.cells()?.clone();
        self.shelves.touch(key, now);
        Some(cells)
    }

    /// The entry in memory with the longest prefix of `prompt` whose cells may be given to other sessions than `but`, and
    /// how long that is.
    pub fn donor(&self, shape: u64, prompt: &[Token], but: u64) -> Option<(Key, usize)> {
        self.shelves.donor(shape, prompt, but)
    }

    /// The file of an entry that could be kept in memory.
    pub fn filed(&self, key: Key) -> Option<Filed> {
        let entry = self.shelves.get(key)?;
        match &entry.place {
            Place::Disk(path) if entry.bytes() <= self.limits.ram_bytes => {
                Some(entry.filed(key, path))
            }
            _ => None,
        }
    }

    /// A file was read ahead of need, or could not be. Does nothing if it has gone its way meanwhile, and then returns
    /// false.
    pub fn staged(
        &mut self,
        filed: &Filed,
        read: Result<Arc<Cells>, &Fault>,
        now: Instant,
    ) -> bool {
        let key = filed.key;
        let entry = self.shelves.get(key);
        if !entry.is_some_and(|entry| entry.is_filed(filed.generation)) {
            self.trash.extend(read);
            return false;
        }
        let cells = match read {
            Ok(cells) => cells,
            Err(fault) => {
                self.count_fault(fault);
                self.lose(key, fault.loss());
                return true;
            }
        };
        self.counts.read_back += 1;
        self.counts.staged += 1;
        self.chores.unwanted.push(filed.path.clone());
        if let Some(mut entry) = self.shelves.remove(key) {
            entry.place = Place::Ram(cells);
            entry.used = now;
            self.shelves.insert(key, entry);
        }
        // It was read because it is needed soon: the others leave first.
        self.enforce(self.limits.ram_bytes, Some(key), now);
        self.enforce(self.limits.ram_bytes, None, now);
        true
    }

    /// Whether the entry is still in that file.
    pub fn is_filed(&self, filed: &Filed) -> bool {
        let entry = self.shelves.get(filed.key);
        entry.is_some_and(|entry| entry.is_filed(filed.generation))
    }

    /// Takes an entry out whose file was read: from memory where it is there by now, and else as it was `read`.
    pub fn take_read(&mut self, key: Key, read: Arc<Cells>) -> (Arc<Cells>, Tier) {
        let here = self.shelves.get(key).and_then(Entry::cells).cloned();
        self.discard(key);
        match here {
            Some(cells) => (cells, Tier::Ram),
            None => {
                self.counts.read_back += 1;
                (read, Tier::Disk)
            }
        }
    }

    /// A file that a turn wanted gave nothing. False: it has gone its way meanwhile.
    pub fn refuse(&mut self, filed: &Filed, fault: &Fault) -> bool {
        let is_filed = self.is_filed(filed);
        if is_filed {
            self.count_fault(fault);
            // The turn looks for its cells once more, and is to learn why there are none.
            self.lose(filed.key, fault.loss());
        }
        is_filed
    }

    /// A file gave nothing.
    fn count_fault(&mut self, fault: &Fault) {
        match fault {
            Fault::Unreadable(_) => self.counts.unreadable += 1,
            Fault::Damaged(_) => self.counts.damaged += 1,
        }
    }

    /// Drops everything of a session, and the memory of its losses.
    pub fn forget(&mut self, session: u64) {
        let keys: Vec<Key> = self.shelves.of(session).collect();
        for key in keys {
            self.discard(key);
        }
        self.lost.remove(&session);
    }

    /// Entries leave memory until it holds at most `ram_bytes`; how many left. `but` stays.
    pub fn enforce(&mut self, ram_bytes: u64, but: Option<Key>, now: Instant) -> usize {
        let mut left = 0;
        while self.shelves.ram.bytes > ram_bytes
            && !(ram_bytes < self.limits.ram_bytes && self.is_crowded(now))
        {
            let idle = self.shelves.idle(now).filter(|(key, _)| Some(*key) != but);
            let Some(key) = order::leaves_first(self.limits.strategy, idle) else {
                break;
            };
            self.leave(key, now);
            left += 1;
        }
        left
    }

    /// The next entry to write: the first that left. Older files go until there is room for it.
    pub fn next_write(&mut self) -> Option<Order> {
        let dir = self.limits.dir.clone()?;
        let key = self.shelves.first_leaving()?;
        let entry = self.shelves.get(key)?;
        let order = Order {
            key,
            generation: entry.generation,
            cells: entry.cells()?.clone(),
            dir,
        };
        self.clear_disk(self.limits.disk_bytes.saturating_sub(entry.bytes()));
        Some(order)
    }

    /// An order was carried out. False: nobody wants the file any more.
    pub fn written(&mut self, order: &Order, path: PathBuf) -> bool {
        self.retry_at = None;
        let entry = self.shelves.get(order.key);
        if !entry.is_some_and(|entry| entry.is_leaving(order.generation)) {
            return false;
        }
        if let Some(mut entry) = self.shelves.remove(order.key) {
            self.trash.extend(entry.cells().cloned());
            entry.place = Place::Disk(path);
            self.shelves.insert(order.key, entry);
        }
        self.counts.written += 1;
        true
    }

    /// Writing failed: what was on its way stays in memory as far as the budget allows. True for the first failure
    /// since something was written.
    pub fn failed(&mut self, now: Instant) -> bool {
        let is_first = self.retry_at.is_none();
        self.retry_at = Some(now + RETRY);
        self.counts.failed_writes += 1;
        // A write of theirs that is under way will find that nobody wants its file.
        self.shelves.turn_back();
        self.enforce(self.limits.ram_bytes, None, now);
        is_first
    }

    /// Drops everything but the counts that only rise.
    pub fn clear(&mut self) {
        let (counts, shelves) = (self.counts, std::mem::take(&mut self.shelves));
        *self = Index::new();
        self.counts = counts;
        self.trash = shelves
            .into_iter()
            .filter_map(|entry| entry.cells().cloned())
            .collect();
    }

    /// A snapshot.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            ram: self.shelves.ram,
            leaving: self.shelves.leaving,
            disk: self.shelves.disk,
            ..self.counts
        };
        counts.ram.limit_bytes = self.limits.ram_bytes;
        counts.leaving.limit_bytes = self.leaving_limit();
        counts.disk.limit_bytes = match self.limits.dir {
            Some(_) => self.limits.disk_bytes,
            None => 0,
        };
        counts
    }

    /// Sessions whose last loss is remembered.
    #[cfg(test)]
    pub fn losses(&self) -> usize {
        self.lost.len()
    }

    /// The entries, added up anew: memory, leaving, disk.
    #[cfg(test)]
    pub fn recount(&self) -> [super::Held; 3] {
        self.shelves.recount()
    }

    /// Whether entries wait to be written.
    pub fn has_writes(&self) -> bool {
        self.shelves.leaving.entries > 0
    }

    /// Whether anything else waits to be done about files.
    pub fn has_chores(&self) -> bool {
        self.chores.is_deserted || !self.chores.unwanted.is_empty()
    }

    /// Hands out what waits.
    pub fn take_chores(&mut self) -> Chores {
        std::mem::take(&mut self.chores)
    }

    /// Hands out what is to be freed, which takes too long under a lock.
    pub fn take_trash(&mut self) -> Vec<Arc<Cells>> {
        std::mem::take(&mut self.trash)
    }

    /// Out of memory: towards the disk where it may go there, else it is dropped.
    fn leave(&mut self, key: Key, now: Instant) {
        let Some(mut entry) = self.shelves.remove(key) else {
            return;
        };
        let bytes = entry.bytes();
        let is_writable = self.limits.dir.is_some() && self.retry_at.is_none_or(|at| now >= at);
        // One entry may always be on its way: else those of a large model never were.
        let leaving = self.shelves.leaving;
        let is_bounded = leaving.entries == 0 || leaving.bytes + bytes <= self.leaving_limit();
        let may_leave = is_writable && is_bounded && bytes <= self.limits.disk_bytes;
        if let (Place::Ram(cells), true) = (&entry.place, may_leave) {
            self.generation += 1;
            entry.generation = self.generation;
            entry.place = Place::Leaving(cells.clone());
            self.shelves.insert(key, entry);
        } else {
            self.shelves.insert(key, entry);
            self.lose(key, Loss::Evicted);
        }
    }

    /// Whether as much is on its way to the disk as may be: what can wait for the next look does.
    fn is_crowded(&self, now: Instant) -> bool {
        let is_writable = self.limits.dir.is_some() && self.retry_at.is_none_or(|at| now >= at);
        is_writable && self.shelves.leaving.bytes >= self.leaving_limit()
    }

    fn drop_files(&mut self) {
        while let Some(key) = self.shelves.first_filed() {
            self.lose(key, Loss::Evicted);
        }
    }

    /// The oldest files go until at most so many bytes are in files.
    fn clear_disk(&mut self, bytes: u64) {
        while self.shelves.disk.bytes > bytes {
            let Some(key) = self.shelves.first_filed() else {
                break;
            };
            self.lose(key, Loss::Evicted);
        }
    }

    fn lose(&mut self, key: Key, loss: Loss) {
        if loss == Loss::Evicted {
            self.counts.dropped += 1;
        }
        let shape = key.shape;
        self.lost.insert(key.session, Lost { shape, loss });
        self.discard(key);
    }

    fn discard(&mut self, key: Key) {
        match self.shelves.remove(key).map(|entry| entry.place) {
            Some(Place::Ram(cells) | Place::Leaving(cells)) => self.trash.push(cells),
            Some(Place::Disk(path)) => self.chores.unwanted.push(path),
            None => (),
        }
    }

    fn loss(&self, key: Key) -> Loss {
        let lost = self.lost.get(&key.session);
        match lost {
            Some(lost) if lost.shape == key.shape => lost.loss,
            _ if self.shelves.of(key.session).any(|k| k.shape != key.shape) => Loss::OtherModel,
            Some(lost) => lost.loss,
            None => Loss::Never,
        }
    }

    fn leaving_limit(&self) -> u64 {
        LEAVING_BYTES.max(self.limits.ram_bytes / 2)
    }
}
