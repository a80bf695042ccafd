//! Whose step computes next, when the models of a backend want more cores than there are.
//!
//! Pure: it sees how many cores a step takes, which classes a model works for, and moments as arguments. It does not
//! know threads, locks, clocks or models.
//!
//! # The order
//!
//! A step of n cores that took s seconds costs its model `n * s / weight`; the sum is the model's tag, and of those who
//! wait the smallest tag is next, of equal ones who came first. Steps that fit beside those that run start at once.
//! While the first of the order waits for more cores than are free, nobody overtakes it, so that narrow steps never
//! starve a wide one.
//!
//! The weight is what the model's classes would have in one queue for all models: each class has its own weight (urgent
//! 8, high 4, normal 2, low 1), and the models that have running or waiting turns of it share that equally.
//!
//! Who is new or comes back from idling is lifted to the smallest tag of those who wait: silence earns no credit.
//!
//! # The hold
//!
//! Between two steps a model samples, and does not ask. If cores were given away in that moment, two models that need all
//! of them would take turns whatever their weights. So one that stands before the first in the order and could not
//! start beside it has a while to come back: each step earns it a quarter of its time, its absences use that up, and
//! 50 ms are the most. So cores are idle for at most a quarter of the time that is computed. One that came back later
//! the last time is not waited for.
//!
//! # The bound
//!
//! Two models that cannot compute together, and always come back within the hold, differ over any interval by at most
//! two of the longest step's cost of each, whatever other models do: a model starts only when its tag is the
//! smaller one, so tags differ by one step. What others do moves no tag: the clamp of [`Turns::ask`], which
//! bounds debts and credits where models did not stand in each other's way, lies outside of what such pairs reach.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::super::class::{Class, Classes};

/// Part of its steps for which a model is waited for between them, and the most at once.
const HOLD: u32 = 4;
const LONGEST_HOLD: Duration = Duration::from_millis(50);
/// How far a tag may be behind and ahead of the first in the order, in costs of the longest step.
const BEHIND: f64 = 4.0;
const AHEAD: f64 = 2.0;
/// The least that a step is taken for.
const LEAST: Duration = Duration::from_micros(1);

/// Who takes cores; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(u64);

/// What a model asks for.
#[derive(Debug, Default, Clone, Copy)]
pub struct Ask {
    /// Cores that its step computes on; all of them at most.
    pub cores: u32,
    /// Classes of its running and waiting turns.
    pub classes: Classes,
}

/// Whether a step may begin.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// It has begun.
    Now,
    /// Not before something changes, or this moment is there.
    Later(Option<Duration>),
}

/// The cores of a machine and the models that take them.
#[derive(Debug)]
pub struct Turns {
    cores: u32,
    users: Vec<User>,
    /// Models and asks so far.
    entries: u64,
    /// The tag of the last one that was active.
    floor: f64,
}

#[derive(Debug)]
struct User {
    id: Id,
    /// Core-seconds by weight, and what it was lifted by.
    tag: f64,
    /// The last step's part of it.
    cost: f64,
    ask: Ask,
    state: State,
    /// For how long it may be waited for.
    patience: Duration,
    /// It came back within that time the last time.
    punctual: bool,
    /// Core-seconds of all its steps.
    spent: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Without turns.
    Idle,
    /// Between two steps, and waited for until then.
    Between(Duration),
    /// In the order; of equal tags the lower number is first.
    Waiting(u64),
    Running {
        since: Duration,
        weight: f64,
    },
}

impl User {
    fn is_active(&self) -> bool {
        self.state != State::Idle
    }

    fn arrival(&self) -> Option<u64> {
        match self.state {
            State::Waiting(arrival) => Some(arrival),
            _ => None,
        }
    }
}

impl Turns {
    /// `cores`, at least one, and nobody who takes them.
    pub fn new(cores: u32) -> Turns {
        Turns {
            cores: cores.max(1),
            users: Vec::new(),
            entries: 0,
            floor: 0.0,
        }
    }

    /// One model more, idle.
    pub fn join(&mut self) -> Id {
        self.entries += 1;
        let id = Id(self.entries);
        self.users.push(User {
            id,
            tag: 0.0,
            cost: 0.0,
            ask: Ask::default(),
            state: State::Idle,
            patience: Duration::ZERO,
            punctual: true,
            spent: 0.0,
        });
        id
    }

    /// A model is gone; what it had is free.
    pub fn leave(&mut self, id: Id) {
        self.rest(id);
        self.users.retain(|user| user.id != id);
    }

    /// A model has no turns.
    pub fn rest(&mut self, id: Id) {
        if let Some(user) = self.user(id) {
            let tag = user.tag;
            user.state = State::Idle;
            user.patience = Duration::ZERO;
            self.floor = self.floor.max(tag);
        }
    }

    /// A model wants to compute a step. From here on it is in the order.
    pub fn ask(&mut self, id: Id, ask: Ask, now: Duration) {
        self.entries += 1;
        let (arrival, cores) = (self.entries, self.cores);
        let newcomer = self.newcomers(id);
        let (low, high) = self.reach(id);
        let Some(user) = self.user(id) else { return };
        user.ask = Ask {
            cores: ask.cores.clamp(1, cores),
            ..ask
        };
        match user.state {
            State::Idle => {
                user.tag = user.tag.max(newcomer);
                user.punctual = true;
            }
            State::Between(until) => {
                user.punctual = now <= until;
                user.patience = until.saturating_sub(now);
            }
            State::Waiting(_) | State::Running { .. } => {}
        }
        user.tag = user.tag.max(low).min(high);
        user.state = State::Waiting(arrival);
    }

    /// Lets a model that has asked begin its step, if it is its turn.
    pub fn start(&mut self, id: Id, now: Duration) -> Start {
        let Some(head) = self.head(None).filter(|head| head.id == id) else {
            return Start::Later(None);
        };
        let Some(left) = self.free().checked_sub(head.ask.cores) else {
            return Start::Later(None);
        };
        let held = self.users.iter().filter_map(|user| match user.state {
            State::Between(until) if user.punctual && now < until => {
                (user.tag < head.tag && user.ask.cores > left).then_some(until)
            }
            _ => None,
        });
        if let Some(until) = held.max() {
            return Start::Later(Some(until));
        }
        let weight = self.weight(head.ask.classes);
        if let Some(user) = self.user(id) {
            user.state = State::Running { since: now, weight };
        }
        Start::Now
    }

    /// A step is over.
    pub fn end(&mut self, id: Id, now: Duration) {
        let Some(user) = self.user(id) else { return };
        if let State::Running { since, weight } = user.state {
            let time = now.saturating_sub(since).max(LEAST);
            let seconds = f64::from(user.ask.cores) * time.as_secs_f64();
            user.spent += seconds;
            user.cost = seconds / weight;
            user.tag += user.cost;
            user.patience = (user.patience + time / HOLD).min(LONGEST_HOLD);
            user.state = State::Between(now + user.patience);
        }
    }

    /// A model that waits does not want to any more.
    pub fn withdraw(&mut self, id: Id, now: Duration) {
        if let Some(user) = self.user(id)
            && user.arrival().is_some()
        {
            user.state = State::Between(now);
        }
    }

    /// Whether somebody else than `id` waits.
    pub fn others_wait(&self, id: Id) -> bool {
        self.head(Some(id)).is_some()
    }

    /// Whether somebody else has steps.
    pub fn has_others(&self, id: Id) -> bool {
        let mut others = self.users.iter().filter(|user| user.id != id);
        others.any(User::is_active)
    }

    /// After how many steps one after the other each active model has had one, if those that fit compute together; at
    /// least 1.
    pub fn rounds(&self) -> u32 {
        let mut rounds: Vec<u32> = Vec::new();
        for user in self.users.iter().filter(|user| user.is_active()) {
            let cores = user.ask.cores;
            match rounds.iter_mut().find(|used| **used + cores <= self.cores) {
                Some(used) => *used += cores,
                None => rounds.push(cores),
            }
        }
        u32::try_from(rounds.len()).unwrap_or(u32::MAX).max(1)
    }

    /// Cores that no step computes on.
    pub fn free(&self) -> u32 {
        let running = |user: &&User| matches!(user.state, State::Running { .. });
        let taken: u32 = self
            .users
            .iter()
            .filter(running)
            .map(|user| user.ask.cores)
            .sum();
        self.cores.saturating_sub(taken)
    }

    /// Core-seconds of each model, in the order in which they joined.
    #[cfg(test)]
    pub fn spent(&self) -> Vec<f64> {
        self.users.iter().map(|user| user.spent).collect()
    }

    /// The first in the order, but for one model.
    fn head(&self, but: Option<Id>) -> Option<&User> {
        let waiting = self
            .users
            .iter()
            .filter_map(|user| user.arrival().map(|arrival| (user, arrival)))
            .filter(|(user, _)| Some(user.id) != but);
        let order = |a: &(&User, u64), b: &(&User, u64)| {
            a.0.tag.total_cmp(&b.0.tag).then_with(|| a.1.cmp(&b.1))
        };
        waiting.min_by(order).map(|(user, _)| user)
    }

    /// The other active models.
    fn others(&self, id: Id) -> impl Iterator<Item = &User> {
        self.users
            .iter()
            .filter(move |user| user.id != id && user.is_active())
    }

    /// The tag of one that comes back from idling.
    fn newcomers(&self, id: Id) -> f64 {
        let first = self.head(Some(id)).map(|head| head.tag);
        let smallest = || self.others(id).map(|user| user.tag).min_by(f64::total_cmp);
        first.or_else(smallest).unwrap_or(self.floor)
    }

    /// The smallest and the largest tag that one may have among the others.
    fn reach(&self, id: Id) -> (f64, f64) {
        let own = self.users.iter().filter(|user| user.id == id);
        let costs = self.others(id).chain(own).map(|user| user.cost);
        let longest = costs.fold(0.0, f64::max);
        let largest = self.others(id).map(|user| user.tag).max_by(f64::total_cmp);
        match (self.head(Some(id)), largest) {
            (Some(head), _) => (head.tag - BEHIND * longest, head.tag + AHEAD * longest),
            (None, Some(largest)) => (f64::MIN, largest + AHEAD * longest),
            (None, None) => (f64::MIN, f64::MAX),
        }
    }

    /// What these classes weigh, each shared by the active models that have it.
    fn weight(&self, classes: Classes) -> f64 {
        let active = || self.users.iter().filter(|user| user.is_active());
        let part = |class: Class| {
            let sharers = active().filter(|user| user.ask.classes.has(class)).count();
            class.weight() as f64 / sharers.max(1) as f64
        };
        let parts = Class::ALL.into_iter().filter(|class| classes.has(*class));
        let weight: f64 = parts.map(part).sum();
        match weight > 0.0 {
            true => weight,
            false => 1.0,
        }
    }

    fn user(&mut self, id: Id) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }
}
