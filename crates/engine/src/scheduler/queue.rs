//! Which waiting job runs next, and which running one makes room for it.
//!
//! A pure data structure, generic over the job: it sees a class, a client and a deadline, given at push; moments, costs
//! and what runs come in as arguments. It does not know channels, clocks, slots, cells or models.
//!
//! Three layers decide. Classes share admissions by smooth weighted round robin (urgent 8, high 4, normal 2, low 1), so
//! of 15 admissions with all four waiting each gets its weight. Inside a class the waiting client with the lowest
//! virtual time is next; inside a client the order is that of arrival. Age overrides both: see `waiting.rs`.
//!
//! # The start bound
//!
//! With S slots, a queue of at most Q, A = 256 steps per rise and R = 256 steps until a slot must yield, a job of any
//! class is taken for the first time within
//!
//! ```text
//! 3 A + ceil(2 Q / S) * (R + S - 1) steps
//! ```
//!
//! whatever else arrives, if each step first fills free slots by [`Queue::next`] and [`Queue::take`] and then, with all
//! slots full, carries out [`Queue::rotate`] once. It needs every waiting job to be eligible.
//!
//! 1. After 3 A steps the job is overdue. Ahead of it stand only jobs that entered before it: less than Q, since it was
//!    itself accepted. Whoever enters later, a put-back victim included, stands behind it, so put-back jobs do not
//!    weigh although the limit does not bind them.
//! 2. While an overdue job waits, of any two admissions in a row one is the oldest overdue: free slots alternate,
//!    rotation for an overdue job serves that lane, and every other rotation waits for its turn in the same
//!    alternation. (Without the last rule, urgent or lagging clients could turn over each slot every 16 or 64 steps;
//!    none would ever have served R, and the overdue lane would starve.) So 2 Q admissions suffice.
//!    (A slot that the only turn of a client left may stay free for one step; such a step serves all other slots.)
//!    Rotation for a client without a slot passes by an overdue job of a client that gives one of several up. At most
//!    S - 1 such turns run; each of them that ends leaves a free slot, which is the overdue job's turn. So for such jobs
//!    3 Q + S stands in the place of 2 Q.
//! 3. A slot without an admission for R steps is due, and is rotated after at most S - 1 others, one per step. So every
//!    R + S - 1 steps bring at least S admissions.
//!
//! # The fairness bound
//!
//! Two clients of one class that both always wait differ by at most `2 * max(longest prompt, 2 * tokens in the pool)`
//! cost units over any interval, as long as none of their jobs is overdue: the overdue lane knows no clients, and a
//! client gets of it what it has waiting there.

mod clients;
mod rotation;
#[cfg(test)]
mod tests;
mod waiting;

use std::time::Instant;

pub use self::clients::Client;
use self::clients::Clients;
pub use self::rotation::{Rotation, Running};
pub use self::waiting::Now;
use self::waiting::{Lane, Waiting};
use super::class::{Class, Classes};

/// Bounds and rules of the queue.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A warning is due when so many wait.
    pub warn_at: usize,
    /// The next one is refused when so many wait.
    pub reject_at: usize,
    /// Off: arrival order, whatever the class, client or age, and no rotation.
    pub by_class: bool,
    /// Off: arrival order inside a class, and no rotation for the sake of a client.
    pub fair: bool,
    /// Off: an expired job is found only when its turn comes.
    pub sweep_expired: bool,
}

/// What the queue sees of a job.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Its class.
    pub class: Class,
    /// Who is charged for it.
    pub client: Client,
    /// When it gives up waiting for its first start.
    pub deadline: Instant,
}

/// What became of a pushed job.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Admitted,
    /// It waits, and is the first since the number of waiting jobs rose to the warning threshold.
    Warned,
}

/// A job's place in class and client order. It travels with the running job and comes back exactly once, to
/// [`Queue::put_back`] or [`Queue::done`].
#[derive(Debug)]
#[must_use]
pub struct Standing {
    class: Class,
    client: Client,
    arrival: u64,
    /// When it gives up waiting; `None` since it began.
    deadline: Option<Instant>,
}

impl Standing {
    /// The job's work has begun: its queue deadline binds no longer.
    pub fn begin(&mut self) {
        self.deadline = None;
    }

    /// The job's own class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Who is charged for it.
    pub fn client(&self) -> Client {
        self.client
    }
}

/// A waiting job that was chosen, and in whose turn. It outlives changes of the queue that leave its job there.
#[derive(Debug)]
#[must_use]
pub struct Choice {
    arrival: u64,
    turn: Turn,
}

impl Choice {
    /// Whether it was chosen for its age.
    pub fn is_overdue(&self) -> bool {
        matches!(self.turn, Turn::Overdue)
    }
}

/// Whom an admission is counted for.
#[derive(Debug)]
enum Turn {
    /// The oldest overdue job.
    Overdue,
    /// A class, out of those that had a candidate.
    Class(Class, [bool; 4]),
    /// Nobody: rotation between the turns, or plain arrival order.
    Nobody,
}

/// Waiting jobs, and what is remembered of their clients.
pub struct Queue<J> {
    limits: Limits,
    /// In order of arrival.
    waiting: Vec<Waiting<J>>,
    entries: u64,
    clients: Clients,
    credit: [i64; 4],
    overdue_was_last: bool,
    warned: bool,
}

impl<J> Queue<J> {
    /// An empty queue.
    pub fn new(limits: Limits) -> Queue<J> {
        Queue {
            limits,
            waiting: Vec::new(),
            entries: 0,
            clients: Clients::default(),
            credit: [0; 4],
            overdue_was_last: false,
            warned: false,
        }
    }

    /// Jobs waiting.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Jobs waiting whose own class is `class`.
    pub fn waiting(&self, class: Class) -> usize {
        let of_class = |w: &&Waiting<J>| w.standing.class == class;
        self.waiting.iter().filter(of_class).count()
    }

    /// Classes that have a say: those of waiting jobs and `running` ones; one for all while classes are off.
    pub fn classes(&self, running: impl Iterator<Item = Class>) -> Classes {
        match self.limits.by_class {
            true => {
                let waiting = self.waiting.iter().map(|w| w.standing.class);
                waiting.chain(running).collect()
            }
            false => std::iter::once(Class::Normal).collect(),
        }
    }

    /// Jobs waiting that are overdue; none while classes are off.
    pub fn overdue(&self, now: Now) -> usize {
        let overdue = |w: &&Waiting<J>| self.limits.by_class && w.lane(now) == Lane::Overdue;
        self.waiting.iter().filter(overdue).count()
    }

    /// Appends a job; gives it back when the queue is full.
    pub fn push(&mut self, job: J, ask: Ask, now: Now) -> Result<Pushed, J> {
        if self.len() >= self.limits.reject_at {
            return Err(job);
        }
        self.clients.enter(ask.client);
        let standing = Standing {
            class: ask.class,
            client: ask.client,
            arrival: self.entries + 1,
            deadline: Some(ask.deadline),
        };
        self.insert(job, standing, now);
        let crossed = !self.warned && self.len() >= self.limits.warn_at;
        self.warned |= crossed;
        Ok(if crossed {
            Pushed::Warned
        } else {
            Pushed::Admitted
        })
    }

    /// The job whose turn it is among those that `eligible` accepts and whose deadline has not passed.
    pub fn next(&self, now: Now, eligible: impl Fn(&J) -> bool) -> Option<Choice> {
        self.choose(now, &self.candidates(now, eligible))
    }

    /// The chosen job; none if it has left the queue since.
    pub fn job(&self, choice: &Choice) -> Option<&J> {
        Some(&self.waiting[self.position(choice)?].job)
    }

    /// Takes the chosen job out to run, and counts the admission; none if it has left the queue since.
    pub fn take(&mut self, choice: Choice, now: Now) -> Option<(J, Standing)> {
        let taken = self.waiting.remove(self.position(&choice)?);
        self.overdue_was_last = matches!(choice.turn, Turn::Overdue);
        if let Turn::Class(class, waited) = choice.turn {
            self.count_for(class, waited, now);
        }
        self.rearm_warning();
        Some((taken.job, taken.standing))
    }

    /// Lets a preempted job wait again, however many wait. It keeps its place in class and client order; its age starts
    /// anew. Its queue deadline binds as long as its work has not begun.
    pub fn put_back(&mut self, job: J, standing: Standing, now: Now) {
        self.insert(job, standing, now);
    }

    /// Notes that a taken job has ended.
    pub fn done(&mut self, standing: Standing) {
        self.clients.leave(standing.client);
    }

    /// Notes that every taken job has ended, also those of which nobody could say so.
    pub fn all_done(&mut self) {
        let waiting = self.waiting.iter().map(|w| w.standing.client);
        self.clients.recount(waiting);
    }

    /// Charges a client for what it was served: 1 per prefilled token, 2 per generated one.
    pub fn charge(&mut self, client: Client, cost: u64) {
        self.clients.charge(client, cost);
    }

    /// Takes out every job whose deadline has passed, or, with sweeping off, only such whose turn it is.
    pub fn expire(&mut self, now: Now) -> Vec<J> {
        if self.limits.sweep_expired {
            return self.remove_if(|w| w.is_expired(now));
        }
        let mut expired = Vec::new();
        while let Some(choice) = self.choose(now, &self.waiting.iter().collect::<Vec<_>>()) {
            let gone =
                self.remove_if(|w| w.standing.arrival == choice.arrival && w.is_expired(now));
            if gone.is_empty() {
                break;
            }
            expired.extend(gone);
        }
        expired
    }

    /// Shows every waiting job, in order of arrival.
    pub fn each(&self, mut see: impl FnMut(&J)) {
        self.waiting.iter().for_each(|waiting| see(&waiting.job));
    }

    /// Takes out every job that `gone` names.
    pub fn remove(&mut self, mut gone: impl FnMut(&J) -> bool) -> Vec<J> {
        self.remove_if(|w| gone(&w.job))
    }

    /// Takes everything out and leaves the books as they are: for a queue that nobody uses any more.
    pub fn drain(&mut self) -> Vec<J> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|waiting| waiting.job).collect()
    }

    fn insert(&mut self, job: J, standing: Standing, now: Now) {
        self.entries += 1;
        let earlier = |w: &Waiting<J>| w.standing.arrival < standing.arrival;
        let at = self.waiting.partition_point(earlier);
        let waiting = Waiting {
            job,
            standing,
            entry: self.entries,
            since: now,
        };
        self.waiting.insert(at, waiting);
    }

    fn candidates(&self, now: Now, eligible: impl Fn(&J) -> bool) -> Vec<&Waiting<J>> {
        let open = |w: &&Waiting<J>| !w.is_expired(now) && eligible(&w.job);
        self.waiting.iter().filter(open).collect()
    }

    fn choose(&self, now: Now, candidates: &[&Waiting<J>]) -> Option<Choice> {
        if !self.limits.by_class {
            return candidates.first().map(|w| w.chosen(Turn::Nobody));
        }
        let firsts = Class::ALL.map(|class| {
            let of_class = candidates
                .iter()
                .filter(|w| w.lane(now) == Lane::Class(class));
            of_class.min_by_key(|w| self.fair_order(w))
        });
        let class = (Class::ALL.into_iter())
            .filter(|&class| firsts[class as usize].is_some())
            .max_by_key(|&class| (self.credit[class as usize] + class.weight(), class));
        let overdue = waiting::oldest_overdue(candidates, now);
        match (overdue, class) {
            (Some(oldest), _) if class.is_none() || !self.overdue_was_last => {
                Some(oldest.chosen(Turn::Overdue))
            }
            (_, Some(class)) => {
                let turn = Turn::Class(class, firsts.map(|first| first.is_some()));
                firsts[class as usize].map(|first| first.chosen(turn))
            }
            _ => None,
        }
    }

    /// Orders the jobs of one class.
    fn fair_order(&self, waiting: &Waiting<J>) -> (u64, u64) {
        let time = if self.limits.fair {
            self.clients.time(waiting.standing.client)
        } else {
            0
        };
        (time, waiting.standing.arrival)
    }

    fn count_for(&mut self, admitted: Class, waited: [bool; 4], now: Now) {
        for class in Class::ALL {
            if waited[class as usize] {
                self.credit[class as usize] += class.weight();
                self.credit[admitted as usize] -= class.weight();
            }
        }
        for class in Class::ALL {
            // A class that was silent earns no credit.
            if !(self.waiting.iter()).any(|w| w.lane(now) == Lane::Class(class)) {
                self.credit[class as usize] = 0;
            }
        }
    }

    fn remove_if(&mut self, mut gone: impl FnMut(&Waiting<J>) -> bool) -> Vec<J> {
        let removed: Vec<_> = self.waiting.extract_if(.., |w| gone(w)).collect();
        for waiting in &removed {
            self.clients.leave(waiting.standing.client);
        }
        self.rearm_warning();
        removed.into_iter().map(|w| w.job).collect()
    }

    fn rearm_warning(&mut self) {
        self.warned &= self.len() >= self.limits.warn_at;
    }

    fn position(&self, choice: &Choice) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&choice.arrival, |w| w.standing.arrival)
            .ok()
    }
}
