//! Which waiting job runs next.
//!
//! A pure data structure, generic over the job: it sees a class and a deadline, given at push, and time as an argument.
//! No channel, clock or model inside. Classes share admissions by smooth weighted round robin (urgent 8, high 4,
//! normal 2, low 1), so of 15 admissions with all four waiting each gets its weight; inside a class the order is that
//! of arrival.

use std::collections::VecDeque;
use std::time::Instant;

use super::job::Class;

/// Bounds and rules of the queue.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A warning is due when so many wait.
    pub warn_at: usize,
    /// The next one is refused when so many wait.
    pub reject_at: usize,
    /// Off: arrival order, whatever the class.
    pub by_class: bool,
    /// Off: an expired job is found only when its turn comes.
    pub sweep_expired: bool,
}

/// What became of a pushed job.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It waits.
    Admitted,
    /// It waits, and the warning threshold was crossed by it.
    Warned,
}

struct Waiting<J> {
    job: J,
    deadline: Instant,
    arrival: u64,
}

/// Waiting jobs.
pub struct Queue<J> {
    limits: Limits,
    lanes: [VecDeque<Waiting<J>>; 4],
    credit: [i64; 4],
    arrivals: u64,
}

impl<J> Queue<J> {
    /// An empty queue.
    pub fn new(limits: Limits) -> Queue<J> {
        Queue {
            limits,
            lanes: Default::default(),
            credit: [0; 4],
            arrivals: 0,
        }
    }

    /// Jobs waiting.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(VecDeque::len).sum()
    }

    /// Whether no job waits.
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    /// Jobs waiting in `class`.
    pub fn waiting(&self, class: Class) -> usize {
        self.lanes[class as usize].len()
    }

    /// Appends a job that must leave by `deadline`; gives it back when the queue is full.
    pub fn push(&mut self, job: J, class: Class, deadline: Instant) -> Result<Pushed, J> {
        if self.len() >= self.limits.reject_at {
            return Err(job);
        }
        self.arrivals += 1;
        self.lanes[class as usize].push_back(Waiting {
            job,
            deadline,
            arrival: self.arrivals,
        });
        Ok(if self.len() == self.limits.warn_at {
            Pushed::Warned
        } else {
            Pushed::Admitted
        })
    }

    /// The job whose turn it is, without taking it.
    pub fn peek(&self) -> Option<&J> {
        let lane = self.next_lane()?;
        self.lanes[lane].front().map(|w| &w.job)
    }

    /// Takes the job that [`Queue::peek`] shows.
    pub fn pick(&mut self) -> Option<J> {
        let lane = self.next_lane()?;
        let waiting: Vec<usize> = (0..4).filter(|&l| !self.lanes[l].is_empty()).collect();
        for &l in &waiting {
            self.credit[l] += Class::ALL[l].weight();
        }
        self.credit[lane] -= waiting.iter().map(|&l| Class::ALL[l].weight()).sum::<i64>();
        let picked = self.lanes[lane].pop_front()?;
        if self.lanes[lane].is_empty() {
            // A class that was silent earns no credit.
            self.credit[lane] = 0;
        }
        Some(picked.job)
    }

    /// Takes out every job whose deadline has passed at `now`, or, with sweeping off, only such at the head.
    pub fn expire(&mut self, now: Instant) -> Vec<J> {
        if self.limits.sweep_expired {
            return self.remove_if(|_, deadline| deadline <= now);
        }
        let mut expired = Vec::new();
        while let Some(lane) = self.next_lane()
            && self.lanes[lane].front().is_some_and(|w| w.deadline <= now)
        {
            expired.extend(self.lanes[lane].pop_front().map(|w| w.job));
        }
        expired
    }

    /// Takes out every job that `gone` names.
    pub fn remove(&mut self, mut gone: impl FnMut(&J) -> bool) -> Vec<J> {
        self.remove_if(|job, _| gone(job))
    }

    fn remove_if(&mut self, mut gone: impl FnMut(&J, Instant) -> bool) -> Vec<J> {
        let mut removed = Vec::new();
        for (lane, credit) in self.lanes.iter_mut().zip(&mut self.credit) {
            let mut at = 0;
            while at < lane.len() {
                if gone(&lane[at].job, lane[at].deadline) {
                    removed.extend(lane.remove(at).map(|w| w.job));
                } else {
                    at += 1;
                }
            }
            if lane.is_empty() {
                *credit = 0;
            }
        }
        removed
    }

    fn next_lane(&self) -> Option<usize> {
        let waiting = (0..4).filter(|&l| !self.lanes[l].is_empty());
        if self.limits.by_class {
            waiting.max_by_key(|&l| (self.credit[l] + Class::ALL[l].weight(), l))
        } else {
            waiting.min_by_key(|&l| self.lanes[l].front().map(|w| w.arrival))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn limits() -> Limits {
        Limits {
            warn_at: 40,
            reject_at: 50,
            by_class: true,
            sweep_expired: true,
        }
    }

    fn later(n: u64) -> Instant {
        Instant::now() + Duration::from_secs(n)
    }

    #[test]
    fn fifteen_admissions_with_all_classes_waiting_follow_the_weights() {
        let mut queue = Queue::new(Limits {
            reject_at: 1000,
            ..limits()
        });
        for class in Class::ALL {
            for _ in 0..40 {
                queue.push(class, class, later(9)).unwrap();
            }
        }
        let mut taken = [0; 4];
        for _ in 0..30 {
            taken[queue.pick().unwrap() as usize] += 1;
        }
        assert_eq!(taken, [2, 4, 8, 16]);
    }

    #[test]
    fn without_classes_the_order_is_arrival() {
        let mut queue = Queue::new(Limits {
            by_class: false,
            ..limits()
        });
        for (n, class) in [Class::Low, Class::Urgent, Class::Normal]
            .into_iter()
            .enumerate()
        {
            queue.push(n, class, later(9)).unwrap();
        }
        assert_eq!(
            [queue.pick(), queue.pick(), queue.pick()],
            [Some(0), Some(1), Some(2)]
        );
    }

    #[test]
    fn exactly_the_job_past_the_limit_is_given_back_and_the_threshold_warns_once() {
        let mut queue = Queue::new(limits());
        let mut warned = Vec::new();
        for n in 0..50 {
            if queue.push(n, Class::Normal, later(9)).unwrap() == Pushed::Warned {
                warned.push(n);
            }
        }
        assert_eq!(warned, [39]);
        assert_eq!(queue.push(50, Class::Urgent, later(9)), Err(50));
        assert_eq!(queue.pick(), Some(0));
        assert!(queue.push(51, Class::Normal, later(9)).is_ok());
    }

    #[test]
    fn without_sweeping_an_expired_job_leaves_only_at_the_head() {
        let mut queue = Queue::new(Limits {
            sweep_expired: false,
            ..limits()
        });
        let now = later(0);
        queue
            .push(1, Class::Normal, now + Duration::from_secs(5))
            .unwrap();
        queue.push(2, Class::Normal, now).unwrap();
        assert!(queue.expire(now).is_empty());
        queue.pick();
        assert_eq!(queue.expire(now), [2]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_doubled(steps in prop::collection::vec((0u8..5, 0u32..4, 0u64..9), 0..200)) {
            let start = Instant::now();
            let mut queue = Queue::new(Limits { reject_at: 20, warn_at: 10, ..limits() });
            let mut inside = std::collections::BTreeMap::new();
            let mut next = 0u32;
            for (what, class, seconds) in steps {
                let at = start + Duration::from_secs(seconds);
                match what {
                    0..=2 => {
                        let class = Class::from_number(class).unwrap();
                        let full = queue.len() >= 20;
                        match queue.push(next, class, at) {
                            Ok(_) => { prop_assert!(!full); inside.insert(next, at); }
                            Err(back) => { prop_assert!(full && back == next); }
                        }
                        next += 1;
                    }
                    3 => {
                        let shown = queue.peek().copied();
                        let picked = queue.pick();
                        prop_assert_eq!(shown, picked);
                        if let Some(job) = picked { prop_assert!(inside.remove(&job).is_some()); }
                    }
                    _ => for job in queue.expire(at) {
                        prop_assert!(inside.remove(&job).is_some_and(|deadline| deadline <= at));
                    },
                }
                prop_assert_eq!(queue.len(), inside.len());
            }
        }

        #[test]
        fn no_class_waits_longer_than_its_share_under_endless_load_of_the_others(quiet in 0u32..4) {
            let quiet = Class::from_number(quiet).unwrap();
            let mut queue = Queue::new(Limits { reject_at: 1000, ..limits() });
            for class in Class::ALL.into_iter().filter(|&c| c != quiet) {
                for _ in 0..4 { queue.push(class, class, later(9)).unwrap(); }
            }
            for _ in 0..7 { let class = queue.pick().unwrap(); queue.push(class, class, later(9)).unwrap(); }
            queue.push(quiet, quiet, later(9)).unwrap();
            let mut waited = 0;
            loop {
                let class = queue.pick().unwrap();
                if class == quiet { break; }
                waited += 1;
                prop_assert!(waited <= 30);
                queue.push(class, class, later(9)).unwrap();
            }
        }
    }
}
