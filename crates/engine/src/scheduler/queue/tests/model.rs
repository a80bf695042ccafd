//! Random operations against a model that only counts.

use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Clone, Copy)]
struct Entry {
    class: Class,
    client: u64,
    arrival: u64,
    /// None once it has run.
    deadline: Option<Instant>,
    since: Now,
    order: u64,
}

/// What must be true of the queue, told without credits and virtual times.
struct Model {
    queue: Queue<u64>,
    limits: Limits,
    waiting: BTreeMap<u64, Entry>,
    running: BTreeMap<u64, (Entry, Standing)>,
    names: u64,
    entries: u64,
    warned: bool,
    now: Now,
}

/// Every second job, or every job.
fn eligible(narrow: bool) -> impl Fn(&u64) -> bool {
    move |job| !narrow || job % 2 == 0
}

impl Model {
    fn new(limits: Limits) -> Model {
        Model {
            queue: Queue::new(limits),
            limits,
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            names: 0,
            entries: 0,
            warned: false,
            now: at(0),
        }
    }

    fn push(&mut self, class: Class, client: u64, patience: u64) {
        self.names += 1;
        let full = self.waiting.len() >= self.limits.reject_at;
        let deadline = self.now.time + Duration::from_secs(patience);
        let ask = Ask {
            deadline,
            ..ask(class, client)
        };
        let expect = if full {
            Err(self.names)
        } else {
            self.enter(Entry {
                class,
                client,
                arrival: self.names,
                deadline: Some(deadline),
                since: self.now,
                order: 0,
            });
            let warns = !self.warned && self.waiting.len() >= self.limits.warn_at;
            self.warned |= warns;
            Ok(if warns {
                Pushed::Warned
            } else {
                Pushed::Admitted
            })
        };
        assert_eq!(self.queue.push(self.names, ask, self.now), expect);
    }

    fn enter(&mut self, entry: Entry) {
        self.entries += 1;
        let order = self.entries;
        let since = self.now;
        let entry = Entry {
            order,
            since,
            ..entry
        };
        assert!(self.waiting.insert(entry.arrival, entry).is_none());
    }

    fn is_expired(&self, entry: &Entry) -> bool {
        entry.deadline.is_some_and(|d| d <= self.now.time)
    }

    fn rises(&self, entry: &Entry) -> u64 {
        let seconds = self.now.time.duration_since(entry.since.time).as_secs();
        ((self.now.step - entry.since.step) / 256).max(seconds / 2)
    }

    fn take(&mut self, choice: Choice, narrow: bool) {
        let job = *self.queue.job(&choice).unwrap();
        let entry = self.waiting[&job];
        assert!(eligible(narrow)(&job) && !self.is_expired(&entry));
        let rank = |e: &Entry| self.rises(e).min(3);
        for (_, other) in self
            .waiting
            .iter()
            .filter(|(other, e)| **other != job && eligible(narrow)(other) && !self.is_expired(e))
        {
            let in_place = match choice.turn {
                Turn::Overdue => rank(other) < 3 || other.order > entry.order,
                Turn::Class(..) => {
                    let place = |e: &Entry| (e.client, e.class, rank(e));
                    place(other) != place(&entry) || other.arrival > entry.arrival
                }
                Turn::Nobody => self.limits.by_class || other.arrival > entry.arrival,
            };
            assert!(in_place);
        }
        let (taken, standing) = self.queue.take(choice, self.now).unwrap();
        assert_eq!(taken, job);
        assert_eq!(
            (standing.class, standing.client.0),
            (entry.class, entry.client)
        );
        self.leave(&[job], |_, _| true);
        self.running.insert(job, (entry, standing));
    }

    fn put_back(&mut self, job: u64) {
        let (entry, mut standing) = self.running.remove(&job).unwrap();
        // Of every second one the work had begun.
        let begun = job.is_multiple_of(2);
        if begun {
            standing.begin();
        }
        self.queue.put_back(job, standing, self.now);
        self.enter(Entry {
            deadline: entry.deadline.filter(|_| !begun),
            ..entry
        });
    }

    fn leave(&mut self, gone: &[u64], may: impl Fn(&Model, &Entry) -> bool) {
        for job in gone {
            let entry = self.waiting.remove(job).unwrap();
            assert!(may(self, &entry));
        }
        self.warned &= self.waiting.len() >= self.limits.warn_at;
    }

    fn rotate(&mut self, served: u64, narrow: bool) {
        let names: Vec<u64> = self.running.keys().copied().collect();
        let running: Vec<_> = (self.running.values())
            .map(|(entry, standing)| Running {
                standing,
                served: served + entry.arrival % 64,
                resumed: entry.deadline.is_none(),
            })
            .collect();
        let rotation = self.queue.rotate(self.now, &running, eligible(narrow));
        if let Some(Rotation { victim, choice }) = rotation {
            self.put_back(names[victim]);
            self.take(choice, narrow);
        }
    }

    fn expire(&mut self) {
        let gone = self.queue.expire(self.now);
        self.leave(&gone, Model::is_expired);
        if self.limits.sweep_expired {
            assert!(!self.waiting.values().any(|e| self.is_expired(e)));
        }
    }

    /// One operation; `a` and `b` are its dice.
    fn act(&mut self, what: u8, a: u64, b: u64) {
        let some_running = |model: &Model| {
            let nth = usize::try_from(b).unwrap() % model.running.len().max(1);
            model.running.keys().nth(nth).copied()
        };
        match what {
            0..4 => {
                let class = Class::ALL[usize::try_from(a % 4).unwrap()];
                self.push(class, b % 4, a % 13);
            }
            4..6 => {
                if let Some(choice) = self.queue.next(self.now, eligible(a == 0)) {
                    self.take(choice, a == 0);
                }
            }
            6 => self.rotate(a * 8, b == 0),
            7 => some_running(self)
                .into_iter()
                .for_each(|job| self.put_back(job)),
            8 => {
                if let Some(job) = some_running(self) {
                    let (_, standing) = self.running.remove(&job).unwrap();
                    self.queue.done(standing);
                }
            }
            9 => self.queue.charge(Client(b % 4), a * 20),
            10 => self.expire(),
            11 => {
                let gone = self.queue.remove(|job| job % 7 == a % 7);
                self.leave(&gone, |_, entry| entry.arrival % 7 == a % 7);
                assert!(self.waiting.keys().all(|job| job % 7 != a % 7));
            }
            _ => {
                self.now.step += a * 8;
                self.now.time += Duration::from_millis(b * 40);
            }
        }
        assert_eq!(self.queue.len(), self.waiting.len());
        assert_eq!(self.queue.is_empty(), self.waiting.is_empty());
        let overdue = self.waiting.values().filter(|e| self.rises(e) >= 3).count();
        let overdue = if self.limits.by_class { overdue } else { 0 };
        assert_eq!(self.queue.overdue(self.now), overdue);
        for class in Class::ALL {
            let of_class = self.waiting.values().filter(|e| e.class == class);
            assert_eq!(self.queue.waiting(class), of_class.count());
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_doubled_or_chosen_out_of_place(
        acts in prop::collection::vec((0..14u8, 0..64u64, 0..64u64), 0..300),
        (by_class, fair, sweep_expired) in any::<(bool, bool, bool)>(),
        (warn_at, reject_at) in (0..12usize, 0..16usize),
    ) {
        let limits = Limits { warn_at, reject_at, by_class, fair, sweep_expired };
        let mut model = Model::new(limits);
        for (what, a, b) in acts {
            model.act(what, a, b);
        }
        let mut left = model.queue.remove(|_| true);
        left.sort_unstable();
        prop_assert_eq!(left, model.waiting.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn a_job_that_may_run_is_always_found(
        acts in prop::collection::vec((0..14u8, 0..64u64, 0..64u64), 0..200),
    ) {
        let mut model = Model::new(Limits { reject_at: 16, ..limits() });
        for (what, a, b) in acts {
            model.act(what, a, b);
            let may_run = model.waiting.values().any(|e| !model.is_expired(e));
            prop_assert_eq!(model.queue.next(model.now, |_| true).is_some(), may_run);
        }
    }
}
