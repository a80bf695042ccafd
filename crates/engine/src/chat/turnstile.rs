//! Turns of one conversation, one after the other, in the order of their calls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// A line of callers, one of whom is inside. Any thread.
#[derive(Debug, Default)]
pub struct Turnstile {
    line: Mutex<Line>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<u64>,
    next: u64,
}

/// The right to be inside, or a place in the line; leaving is dropping it.
#[derive(Debug)]
pub struct Place {
    turnstile: Arc<Turnstile>,
    number: u64,
}

impl Turnstile {
    /// Joins the line. Does not wait.
    pub fn join(self: &Arc<Self>) -> Place {
        let mut line = self.line.lock();
        let number = line.next;
        line.next += 1;
        line.waiting.push_back(number);
        Place {
            turnstile: self.clone(),
            number,
        }
    }
}

impl Place {
    /// Waits until everyone who came before has left. False: `deadline` or `give_up` came first.
    pub fn enter(&self, deadline: Instant, mut give_up: impl FnMut() -> bool) -> bool {
        let mut line = self.turnstile.line.lock();
        while line.waiting.front() != Some(&self.number) {
            if give_up()
                || self
                    .turnstile
                    .moved
                    .wait_until(&mut line, deadline)
                    .timed_out()
            {
                return false;
            }
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.turnstile.line.lock();
        line.waiting.retain(|&n| n != self.number);
        drop(line);
        self.turnstile.moved.notify_all();
    }
}

impl Turnstile {
    /// Wakes everyone in the line, so that they look at their `give_up`.
    pub fn wake(&self) {
        // Taking the lock orders the caller's flag before the look of a waiter that is about to sleep.
        drop(self.line.lock());
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn callers_enter_in_the_order_in_which_they_joined() {
        let turnstile = Arc::new(Turnstile::default());
        let places: Vec<Place> = (0..4).map(|_| turnstile.join()).collect();
        let entered = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for (n, place) in places.into_iter().enumerate().rev() {
                let entered = &entered;
                scope.spawn(move || {
                    assert!(place.enter(later(), || false));
                    assert_eq!(entered.fetch_add(1, Ordering::SeqCst), n);
                });
            }
        });
        assert!(turnstile.line.lock().waiting.is_empty());
    }

    #[test]
    fn one_who_gives_up_does_not_block_those_behind() {
        let turnstile = Arc::new(Turnstile::default());
        let inside = turnstile.join();
        let gone = turnstile.join();
        let behind = turnstile.join();
        assert!(inside.enter(later(), || false));
        assert!(!gone.enter(Instant::now(), || false));
        drop(gone);
        drop(inside);
        assert!(behind.enter(later(), || false));
    }

    #[test]
    fn wake_makes_a_waiter_look_at_its_reason_to_give_up() {
        let turnstile = Arc::new(Turnstile::default());
        let stop = Arc::new(AtomicBool::new(false));
        let _inside = turnstile.join();
        let waiter = {
            let (turnstile, stop) = (turnstile.clone(), stop.clone());
            std::thread::spawn(move || {
                let place = turnstile.join();
                place.enter(later(), || stop.load(Ordering::SeqCst))
            })
        };
        while turnstile.line.lock().waiting.len() < 2 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::SeqCst);
        turnstile.wake();
        assert!(!waiter.join().unwrap());
    }
}
