//! The way in by itself, with real threads and clocks; `tests/interleavings.rs` tries it with all others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::intake::*;

#[test]
fn a_place_is_free_again_when_its_job_is_dropped() {
    let intake = Intake::new();
    intake.submit(1, |place| place).unwrap();
    assert_eq!(intake.submit(1, |place| place), Err(Refusal::Full(1)));
    let (taken, phase) = intake.take(Wait::Forever);
    assert_eq!((taken.len(), phase), (1, Phase::Open));
    drop(taken);
    intake.submit(1, |place| place).unwrap();
}

#[test]
fn what_was_let_in_before_the_close_is_handed_to_the_closer() {
    let intake = Intake::new();
    intake.submit(9, |place| place).unwrap();
    assert_eq!(intake.close().len(), 1);
    assert_eq!(intake.submit(9, |place| place), Err(Refusal::Closed));
}

#[test]
fn a_wait_ends_with_a_command_a_phase_or_its_time() {
    let intake: Arc<Intake<u8>> = Arc::new(Intake::new());
    let soon = Instant::now() + Duration::from_millis(1);
    assert_eq!(intake.take(Wait::Until(soon)), (vec![], Phase::Open));
    let other = intake.clone();
    let waiter = std::thread::spawn(move || other.take(Wait::Forever));
    intake.tell(7);
    assert_eq!(waiter.join().unwrap(), (vec![7], Phase::Open));
    intake.stop();
    assert_eq!(intake.take(Wait::Forever), (vec![], Phase::Stopping));
}
