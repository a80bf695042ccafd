//! The way of an answer from the engine thread to the caller who waits for it.
//!
//! A reader with nothing to read sleeps at once. One that yields its core for a while first, as general channels do,
//! stays runnable beside the compute threads: each yield costs one of them a slice, and the scheduler of the system
//! moves them together onto one core to make room. A stream then lost a tenth of its speed on two cores.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Instant;

use crate::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Pieces that wait one by one for a reader who is slow.
const MOST_UNREAD: usize = 256;

/// The engine's end. Sending never waits; dropping it ends the answer.
pub struct Writer<T>(Arc<Pipe<T>>);

/// The caller's end.
pub struct Reader<T>(Arc<Pipe<T>>);

struct Pipe<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    pieces: VecDeque<T>,
    ended: bool,
}

/// What a reader finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// The next piece.
    Piece(T),
    /// The answer was ended, and this was all of it.
    Ended,
    /// Nothing came in time.
    Late,
}

/// Both ends of an answer.
pub fn pipe<T>() -> (Writer<T>, Reader<T>) {
    let pipe = Arc::new(Pipe {
        state: Mutex::new(State {
            pieces: VecDeque::new(),
            ended: false,
        }),
        changed: Condvar::new(),
    });
    (Writer(pipe.clone()), Reader(pipe))
}

impl<T> Writer<T> {
    /// Adds a piece, or what `join` leaves of it once it has seen the last one, where so many are unread that a reader who
    /// never comes would cost memory. A reader that has left does not mind.
    pub fn send_joined(&self, piece: T, join: impl FnOnce(&mut T, T) -> Option<T>) {
        let mut state = self.0.lock();
        let rest = match state.pieces.len() < MOST_UNREAD {
            true => Some(piece),
            false => match state.pieces.back_mut() {
                Some(last) => join(last, piece),
                None => Some(piece),
            },
        };
        state.pieces.extend(rest);
        drop(state);
        self.0.changed.notify_one();
    }

    /// Adds a piece. A reader that has left does not mind.
    pub fn send(&self, piece: T) {
        self.0.lock().pieces.push_back(piece);
        self.0.changed.notify_one();
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_one();
    }
}

impl<T> Reader<T> {
    /// Waits for the next piece until `end`, and looks once in any case.
    pub fn next_until(&self, end: Instant) -> Next<T> {
        let mut state = self.0.lock();
        loop {
            if let Some(piece) = state.pieces.pop_front() {
                return Next::Piece(piece);
            }
            if state.ended {
                return Next::Ended;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Next::Late;
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Pipe<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
