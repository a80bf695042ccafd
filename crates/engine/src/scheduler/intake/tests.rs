//! The way in by itself, with real threads and clocks; `tests/interleavings.rs` tries it with all others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::intake::*;
use super::permits::{Pass, Permits};

fn intake<C>() -> Intake<C> {
    Intake::new(Arc::new(Permits::new()))
}

#[test]
fn a_place_is_free_again_when_its_job_is_dropped() {
    let intake = intake();
    intake.submit(1, &Pass::new(), |place| place).unwrap();
    assert_eq!(
        intake.submit(1, &Pass::new(), |place| place),
        Err(Refusal::Full(1))
    );
    let (taken, phase) = intake.take(Wait::Forever);
    assert_eq!((taken.len(), phase), (1, Phase::Open));
    drop(taken);
    intake.submit(1, &Pass::new(), |place| place).unwrap();
}

#[test]
fn what_was_let_in_before_the_close_is_handed_to_the_closer() {
    let intake = intake();
    intake.submit(9, &Pass::new(), |place| place).unwrap();
    assert_eq!(intake.close().len(), 1);
    assert_eq!(
        intake.submit(9, &Pass::new(), |place| place),
        Err(Refusal::Closed)
    );
}

#[test]
fn a_wait_ends_with_a_command_a_phase_or_its_time() {
    let intake: Arc<Intake<u8>> = Arc::new(intake());
    let soon = Instant::now() + Duration::from_millis(1);
    assert_eq!(intake.take(Wait::Until(soon)), (vec![], Phase::Open));
    let other = intake.clone();
    let waiter = std::thread::spawn(move || other.take(Wait::Forever));
    intake.tell(7);
    assert_eq!(waiter.join().unwrap(), (vec![7], Phase::Open));
    intake.stop();
    assert_eq!(intake.take(Wait::Forever), (vec![], Phase::Stopping));
}

#[test]
fn what_is_handed_back_keeps_its_place_beside_those_who_come_later() {
    let permits = Arc::new(Permits::new());
    let versions = [(); 2].map(|()| Intake::new(permits.clone()));
    let (moved, late) = (Pass::new(), Pass::new());
    versions[0].submit(2, &moved, |place| place).unwrap();
    versions[0].submit(2, &Pass::new(), |place| place).unwrap();
    let mut places = versions[0].close();
    // One runs on and steps aside, the other one is handed back.
    let stays = places.pop().unwrap();
    stays.step_aside();
    places.pop().unwrap().hand_back(true);
    assert_eq!((versions[0].unanswered(), permits.held()), (1, 1));
    versions[1].submit(2, &late, |place| place).unwrap();
    let refused = versions[1].submit(2, &Pass::new(), |place| place);
    assert_eq!(refused, Err(Refusal::Full(2)));
    // A refusal takes nothing.
    assert_eq!(
        versions[0].submit(2, &moved, |place| place),
        Err(Refusal::Closed)
    );
    assert!(moved.take_run() && !moved.take_run());
    versions[1].submit(2, &moved, |place| place).unwrap();
    assert_eq!((versions[1].unanswered(), permits.held()), (2, 2));
    drop((versions[1].close(), stays));
    assert_eq!(permits.held(), 0);
}

#[test]
fn a_turn_that_nobody_fetches_keeps_no_place_from_others_and_is_let_in_when_somebody_does() {
    let permits = Arc::new(Permits::new());
    let versions = [(); 2].map(|()| Intake::new(permits.clone()));
    let unread = Pass::new();
    versions[0].submit(1, &unread, |place| place).unwrap();
    unread.attend(false);
    versions[0].close().pop().unwrap().hand_back(false);
    assert_eq!(permits.held(), 0);
    versions[1].submit(1, &Pass::new(), |place| place).unwrap();
    unread.attend(true);
    versions[1].submit(1, &unread, |place| place).unwrap();
    // Where a version has it, it holds its place whether or not it is read.
    unread.attend(false);
    assert_eq!((versions[1].unanswered(), permits.held()), (2, 2));
    drop(versions[1].close());
    assert_eq!(permits.held(), 0);
}
