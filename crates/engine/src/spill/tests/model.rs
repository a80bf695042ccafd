//! Random calls against a model that knows the rules only, and no threads, files or races.

use proptest::prelude::*;

use super::*;
use crate::spill::index::{Index, RETRY};

#[derive(Debug, Clone)]
enum Step {
    Put(Key, usize, bool),
    Take(Key),
    Read(Key),
    Stage(Key),
    Forget(u64),
    Shrink(u64),
    Limit(u64, u64, bool, CacheStrategy),
}

/// An entry as the model sees it.
#[derive(Debug, Clone)]
struct Kept {
    key: Key,
    bytes: u64,
    tokens: u64,
    open: bool,
    used: u64,
    is_filed: bool,
}

/// Files stand in the order of their writing.
#[derive(Default)]
struct Model {
    kept: Vec<Kept>,
    evicted: Vec<(u64, u64)>,
    limits: (u64, u64, bool, Option<CacheStrategy>),
    now: u64,
    dropped: u64,
    written: u64,
    read_back: u64,
    staged: u64,
}

impl Model {
    fn sum(&self, is_filed: bool) -> (usize, u64) {
        let of = self.kept.iter().filter(|k| k.is_filed == is_filed);
        of.fold((0, 0), |(n, bytes), k| (n + 1, bytes + k.bytes))
    }

    fn find(&self, key: Key) -> Option<usize> {
        self.kept.iter().position(|k| k.key == key)
    }

    fn drop_entry(&mut self, at: usize) {
        let key = self.kept.remove(at).key;
        self.dropped += 1;
        self.evicted.retain(|(session, _)| *session != key.session);
        self.evicted.push((key.session, key.shape));
    }

    /// Who leaves memory first, by exact fractions.
    fn victim(&self, but: Option<Key>) -> Option<usize> {
        let now = self.now;
        let before = |a: &Kept, b: &Kept| {
            let worth = |k: &Kept| k.tokens * if k.open { 2 } else { 1 };
            let by_strategy = match self.limits.3 {
                Some(CacheStrategy::Fifo) => a.key.session.cmp(&b.key.session),
                Some(CacheStrategy::Smart) => {
                    (worth(a) * (1 + now - b.used)).cmp(&(worth(b) * (1 + now - a.used)))
                }
                _ => std::cmp::Ordering::Equal,
            };
            by_strategy
                .then(a.used.cmp(&b.used))
                .then(a.key.cmp(&b.key))
        };
        let in_ram = |k: &Kept| !k.is_filed && Some(k.key) != but;
        (0..self.kept.len())
            .filter(|&at| in_ram(&self.kept[at]))
            .min_by(|&a, &b| before(&self.kept[a], &self.kept[b]))
    }

    fn shrink(&mut self, ram: u64, but: Option<Key>) -> usize {
        let (mut left, mut leaving) = (0, Vec::new());
        while self.sum(false).1 > ram {
            let Some(at) = self.victim(but) else { break };
            left += 1;
            if self.limits.2 && self.kept[at].bytes <= self.limits.1 {
                leaving.push(self.kept.remove(at));
            } else {
                self.drop_entry(at);
            }
        }
        for mut entry in leaving {
            self.shrink_disk(self.limits.1 - entry.bytes);
            entry.is_filed = true;
            self.written += 1;
            self.kept.push(entry);
        }
        left
    }

    fn shrink_disk(&mut self, disk: u64) {
        while self.sum(true).1 > disk {
            let at = self.kept.iter().position(|k| k.is_filed).unwrap();
            self.drop_entry(at);
        }
    }

    fn put(&mut self, key: Key, bytes: usize, open: bool) {
        self.kept.retain(|k| k.key != key);
        self.evicted.retain(|(session, _)| *session != key.session);
        let (bytes, tokens, used) = (bytes as u64, 2, self.now);
        self.kept.push(Kept {
            key,
            bytes,
            tokens,
            open,
            used,
            is_filed: false,
        });
        self.shrink(self.limits.0, None);
    }

    fn take(&mut self, key: Key) -> Result<Tier, Loss> {
        if let Some(at) = self.find(key) {
            let is_filed = self.kept.remove(at).is_filed;
            self.read_back += u64::from(is_filed);
            return Ok(if is_filed { Tier::Disk } else { Tier::Ram });
        }
        let evicted = self
            .evicted
            .iter()
            .find(|(session, _)| *session == key.session);
        let other = |k: &Kept| k.key.session == key.session && k.key.shape != key.shape;
        Err(match evicted {
            Some((_, shape)) if *shape == key.shape => Loss::Evicted,
            _ if self.kept.iter().any(other) => Loss::OtherModel,
            Some(_) => Loss::Evicted,
            None => Loss::Never,
        })
    }

    fn stage(&mut self, key: Key) {
        let Some(at) = self.find(key) else { return };
        let entry = &mut self.kept[at];
        if entry.is_filed && entry.bytes <= self.limits.0 {
            (entry.is_filed, entry.used) = (false, self.now);
            self.read_back += 1;
            self.staged += 1;
            self.shrink(self.limits.0, Some(key));
        }
    }

    fn limit(&mut self, ram: u64, disk: u64, has_disk: bool, strategy: CacheStrategy) {
        self.limits = (ram, disk, has_disk, Some(strategy));
        self.shrink_disk(if has_disk { disk } else { 0 });
        self.shrink(ram, None);
    }
}

fn any_key() -> impl Strategy<Value = Key> {
    (1u64..5, 1u64..3, prop::bool::weighted(0.2)).prop_map(|(session, shape, exact)| Key {
        session,
        shape,
        exact,
    })
}

fn any_strategy() -> impl Strategy<Value = CacheStrategy> {
    prop::sample::select(vec![
        CacheStrategy::Lru,
        CacheStrategy::Fifo,
        CacheStrategy::Smart,
    ])
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any_key(), 8usize..400, any::<bool>()).prop_map(|(k, b, o)| Step::Put(k, b, o)),
        3 => any_key().prop_map(Step::Take),
        2 => any_key().prop_map(Step::Read),
        2 => any_key().prop_map(Step::Stage),
        1 => (1u64..5).prop_map(Step::Forget),
        1 => (0u64..800).prop_map(Step::Shrink),
        1 => (0u64..1000, 0u64..1500, prop::bool::weighted(0.8), any_strategy())
            .prop_map(|(r, d, h, s)| Step::Limit(r, d, h, s)),
    ]
}

fn step(bench: &Bench, model: &mut Model, step: &Step) {
    let store = &bench.store;
    match *step {
        Step::Put(key, bytes, open) => {
            let given = cells(key.session, bytes);
            if open {
                given.presence.open();
            }
            store.put(key, given);
            model.put(key, bytes, open);
        }
        Step::Take(key) => {
            let took = store.take_waiting(key);
            assert_eq!(took.map(|(_, tier)| tier), model.take(key));
        }
        Step::Read(key) => {
            let now = model.now;
            let at = model.find(key).filter(|&at| !model.kept[at].is_filed);
            assert_eq!(store.read(key).is_some(), at.is_some());
            if let Some(at) = at {
                model.kept[at].used = now;
            }
        }
        Step::Stage(key) => {
            store.stage(key);
            model.stage(key);
        }
        Step::Forget(session) => {
            store.forget(session);
            model.kept.retain(|k| k.key.session != session);
            model.evicted.retain(|(lost, _)| *lost != session);
        }
        Step::Shrink(ram) => assert_eq!(store.shrink(ram), model.shrink(ram, None)),
        Step::Limit(ram_bytes, disk_bytes, has_disk, strategy) => {
            let dir = has_disk.then(|| bench.scratch.path().to_owned());
            store.set_limits(Limits {
                ram_bytes,
                dir,
                disk_bytes,
                strategy,
            });
            model.limit(ram_bytes, disk_bytes, has_disk, strategy);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_store_does_what_the_rules_say_and_counts_it(steps in prop::collection::vec(any_step(), 1..60)) {
        let bench = Bench::ticking(Duration::ZERO);
        let mut model = Model::default();
        step(&bench, &mut model, &Step::Limit(700, 1000, true, CacheStrategy::Lru));
        for s in steps {
            model.now += 1;
            bench.pass(Duration::from_secs(1));
            step(&bench, &mut model, &s);
            bench.store.flush();
            let counts = bench.store.counts();
            let held = |held: Held| (held.entries, held.bytes);
            prop_assert_eq!(held(counts.ram), model.sum(false));
            prop_assert_eq!(held(counts.disk), model.sum(true));
            prop_assert_eq!(held(counts.leaving), (0, 0));
            prop_assert_eq!((counts.dropped, counts.written), (model.dropped, model.written));
            prop_assert_eq!((counts.read_back, counts.staged), (model.read_back, model.staged));
            prop_assert!(counts.ram.bytes <= counts.ram.limit_bytes);
            prop_assert!(counts.disk.bytes <= counts.disk.limit_bytes);
            let files = match bench.scratch.names().len() {
                0 => 0,
                _ => bench.scratch.files().len(),
            };
            prop_assert_eq!(files, counts.disk.entries);
        }
    }

    #[test]
    fn counts_are_exact_wherever_the_writer_is(
        steps in prop::collection::vec((any_step(), 0u8..6), 1..80),
    ) {
        let mut now = Instant::now();
        let (mut index, mut order) = (Index::new(), None);
        for (step, writer) in steps {
            now += RETRY / 2;
            match step {
                Step::Put(key, bytes, _) => index.put(key, cells(key.session, bytes), now),
                Step::Take(key) => drop(index.take(key)),
                Step::Read(key) => drop(index.read(key, now)),
                Step::Stage(key) => if let Some(filed) = index.filed(key) {
                    let state = vec![0; filed.label().state_bytes];
                    prop_assert!(index.staged(&filed, Ok(filed.cells(state)), now));
                },
                Step::Forget(session) => index.forget(session),
                Step::Shrink(ram) => drop(index.enforce(ram, None, now)),
                Step::Limit(ram_bytes, disk_bytes, has_disk, strategy) => {
                    let dir = has_disk.then(|| "folder".into());
                    index.set_limits(Limits { ram_bytes, dir, disk_bytes, strategy }, now);
                }
            }
            match (writer, order.take()) {
                (0, _) => drop(index.failed(now)),
                (1 | 2, Some(order)) => drop(index.written(&order, "file".into())),
                (_, None) => order = index.next_write(),
                (_, begun) => order = begun,
            }
            let counts = index.counts();
            let sums = [counts.ram, counts.leaving, counts.disk].map(|held| (held.entries, held.bytes));
            prop_assert_eq!(sums, index.recount().map(|held| (held.entries, held.bytes)));
            prop_assert!(counts.ram.bytes <= counts.ram.limit_bytes);
            prop_assert!(counts.disk.bytes <= counts.disk.limit_bytes);
            prop_assert!(index.losses() <= 4);
        }
    }
}
